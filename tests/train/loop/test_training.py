from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.releases import PictureReader, open_release, split_rows
from pictus.tasks import TASKS
from pictus.train.feed.loader import Batch
from pictus.train.loop import training
from pictus.train.loop.schedule import Plan
from pictus.train.loop.state import Counters
from pictus.train.recipes import Recipe

MakeRelease = Callable[..., Path]

TINY = ("size=32", "batch_size=8", "precision=fp32", "ema=0.9", "flip=0", "threads=1")


def _spoil(folder: Path, split: str, positions: slice) -> int:
    """Overwrite pictures of a split, in the order they are read -> how many."""
    rows = split_rows(open_release(folder), split).to_pylist()[positions]
    for row in rows:
        with (folder / row["shard"]).open("r+b") as shard:
            shard.seek(row["offset"])
            shard.write(b"x" * row["size"])
    return len(rows)


@pytest.fixture
def folder(project: pictus.Project, make_release: MakeRelease) -> Path:
    """Release 1.0.0 of a project: three classes, 48 pictures to train on and 129 to validate."""
    return make_release(project.releases_dir, val=43)


def test_a_last_batch_of_one_unreadable_picture_does_not_end_the_run(project: pictus.Project, folder: Path) -> None:
    assert _spoil(folder, "val", slice(128, None)) == 1
    assert train.run(project, epochs=2, set_=TINY).summary["epochs"] == 2


def test_unreadable_pictures_of_validation_count_as_wrong(project: pictus.Project, folder: Path) -> None:
    _spoil(folder, "val", slice(0, 60))
    train.run(project, epochs=3, set_=TINY)
    run = models.find_run(project)
    release = open_release(folder)
    reader = PictureReader(release)
    rows = split_rows(release, "val").to_pylist()
    read = rows[60:]
    logits = models.predict_logits(
        models.load_run(run), run, (reader.read(row["shard"], row["offset"], row["size"]) for row in read)
    )
    right = sum(int(guess.argmax()) == row["label"] for guess, row in zip(logits, read, strict=True))
    assert run.card["results"]["val_top1"] == pytest.approx(right / len(rows))
    assert run.card["results"]["val_top5"] == pytest.approx(len(read) / len(rows)), "three classes: five guesses hit"


def test_training_batches_without_readable_pictures_are_steps_that_learn_nothing(
    project: pictus.Project, folder: Path
) -> None:
    assert _spoil(folder, "train", slice(0, 40)) == 40
    outcome = train.run(project, epochs=3, set_=TINY)
    assert outcome.summary["steps"] == 18


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_a_readable_picture_is_told(project: pictus.Project, folder: Path, split: str) -> None:
    _spoil(folder, split, slice(None))
    with pytest.raises(UserError, match=f"Too few pictures of split '{split}' can be decoded") as caught:
        train.run(project, epochs=2, set_=TINY)
    assert caught.value.fix == "pictus release verify 1.0.0"


def test_a_batch_of_validation_that_does_not_fit_into_memory_is_halved_until_it_does() -> None:
    tried: list[int] = []

    class Network(torch.nn.Module):  # type: ignore[misc]
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            tried.append(len(inputs))
            if len(inputs) > 2:
                raise RuntimeError("CUDA out of memory. Tried to allocate")
            return inputs.mean((2, 3))

    seen, recipe = models.Preprocessing(8, 8), Recipe("small-cnn", precision="fp32")
    job: Any = SimpleNamespace(device="cpu", n_classes=3, preprocessing=seen, recipe=recipe,
                               task=TASKS.get("classification"))  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    batch = Batch((pixels,), (np.zeros((5, 1)),), np.array([0, 1, 2, 0, 1]), np.arange(5))
    logits, losses, targets, positions = training._scored(job, Network(), batch)
    assert tried == [5, 2, 3, 1, 2]
    expected = models.normalised(torch.from_numpy(pixels), seen).mean((2, 3)).numpy()
    assert np.allclose(logits, expected, atol=1e-6)
    assert losses.shape == (5,)
    assert (targets.tolist(), positions.tolist()) == ([0, 1, 2, 0, 1], [0, 1, 2, 3, 4])


def test_a_curve_has_as_many_points_with_minutes_as_with_epochs() -> None:
    counters = Counters(step=999)
    counters.plan = Plan(0, 0.0, 600_000)  # the greatest number of epochs, before the minutes are planned
    assert not training.is_logged(counters)
    counters.plan = Plan(500, 0.5, 1_000)
    assert training.is_logged(counters)


@pytest.mark.parametrize(("kept", "epoch"), [("best", 1), ("last", 3)])
def test_the_best_epoch_is_kept_or_the_last(
    project: pictus.Project, folder: Path, monkeypatch: pytest.MonkeyPatch, kept: str, epoch: int
) -> None:
    validated, found = training.validate, iter((0.9, 0.5, 0.4))
    monkeypatch.setattr(
        training, "validate", lambda *asked: validated(*asked)._replace(top1=(score := next(found)), main=score)
    )
    assert folder.is_dir()
    train.run(project, epochs=3, set_=(*TINY, f"kept={kept}"))
    run = models.find_run(project)
    assert run.card["results"]["best_epoch"] == epoch
    weights = [(run.root / name).read_bytes() for name in ("model.safetensors", "last.safetensors")]
    assert (weights[0] == weights[1]) == (kept == "last")
