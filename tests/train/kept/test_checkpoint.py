from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import pytest
import torch

from pictus.errors import UserError
from pictus.train.kept import checkpoint
from pictus.train.kept.checkpoint import Checkpoint


def _made(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    kernel = torch.randn(4, 3, 3, 3, generator=generator).to(memory_format=torch.channels_last)
    values = {"step": step, "best": 0.1 + step, "worst": math.inf}
    return Checkpoint(step, {"model.a": kernel, "model.n": torch.tensor(step)}, values)


def _same(found: Checkpoint | None, step: int) -> bool:
    wanted = _made(step)
    assert found is not None
    return (
        found.step == step
        and found.values == wanted.values
        and found.tensors.keys() == wanted.tensors.keys()
        and all(torch.equal(found.tensors[key], wanted.tensors[key]) for key in wanted.tensors)
    )


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, _made(3))
    assert _same(checkpoint.load(tmp_path), 3)


def test_there_is_none_before_the_first(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None


def test_two_generations_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300, 4000):
        checkpoint.save(tmp_path, _made(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000300.json", "step-000000300.safetensors", "step-000004000.json", "step-000004000.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_generation_is_passed_over_for_the_one_before(tmp_path: Path, suffix: str, damage: str) -> None:
    for step in (5, 6):
        checkpoint.save(tmp_path, _made(step))
    path = tmp_path / f"step-000000006.{suffix}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flipped": bytes(data), "cut": bytes(data[:-3]), "empty": b""}[damage])
    found = checkpoint.load(tmp_path)
    assert _same(found, 5)
    assert found is not None
    is_noticed = (suffix, damage) != ("json", "gone")  # without its JSON a generation was never finished
    assert [problem[:35] for problem in found.problems] == ["checkpoint step-000000006 is damaged"[:35]] * is_noticed
    checkpoint.save(tmp_path, _made(6))
    assert _same(checkpoint.load(tmp_path), 6)


def test_all_damaged_is_an_error_that_says_so(tmp_path: Path) -> None:
    for step in (5, 6):
        checkpoint.save(tmp_path, _made(step))
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="Every checkpoint"):
        checkpoint.load(tmp_path)


def test_numbers_changed_by_hand_are_noticed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, _made(5))
    checkpoint.save(tmp_path, _made(6))
    path = tmp_path / "step-000000006.json"
    head = json.loads(path.read_text())
    head["values"]["best"] = 99.0
    path.write_text(json.dumps(head))
    assert _same(checkpoint.load(tmp_path), 5)


def test_what_a_kill_left_half_written_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "step-000000001.safetensors").write_bytes(b"half")
    (tmp_path / ".step-000000001.json.77.123.tmp").write_bytes(b"half")
    checkpoint.save(tmp_path, _made(2))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_a_full_disk_is_told_with_the_way_on_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoint.save(tmp_path, _made(5))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"step 6 could not be kept.*No space left on device") as caught:
        checkpoint.save(tmp_path, _made(6))
    monkeypatch.undo()
    assert "pictus train resume" in caught.value.fix
    assert _same(checkpoint.load(tmp_path), 5)
