from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pictus
from pictus import models, pixels, train
from pictus.errors import UserError
from pictus.project import bare
from pictus.releases import Release, find_release, open_release, split_rows
from pictus.shards import members
from pictus.tasks import TASKS
from pictus.train.feed import augment, loader, packs
from pictus.train.recipes import Recipe

MakeRelease = Callable[..., Path]
VIEW = partial(augment.augmented, recipe=Recipe("small-cnn", size=16), fill=(0, 0, 0))
TINY = ("keep=pack", "pack=32", "size=32", "batch_size=8", "checkpoint_s=0", "parts=1", "threads=1")


def _files(root: Path) -> dict[str, str]:
    found = (path for path in root.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _made(project: pictus.Project, short_side: int = 24) -> packs.Pack:
    return packs.made(project, project.models_dir / packs.PACKS, find_release(project), short_side)


def _hashes(release: Release, pack: packs.Pack, threads: int, first: int = 0, memory: int = 0) -> list[str]:
    labels = TASKS.get("classification").targets(release, "train")
    decode = partial(loader.packed, short_side=24, may_grow=False)
    pictures = loader.Pictures(
        release, "train", decode, memory, labels, supply=loader.Supply(packs.reader(pack), {})
    )
    portions = loader.portions_of_epochs(0, len(pictures), 10, first, 8)
    with loader.batches(pictures, portions, VIEW, seed=0, threads=threads) as stream:
        return [hashlib.sha256(batch.views[0].tobytes() + batch.targets.tobytes()).hexdigest() for batch in stream]


def test_a_pack_holds_the_training_pictures_shrunk_in_order_as_plain_tar(stripes: pictus.Project) -> None:
    pack = _made(stripes)
    release = find_release(stripes)
    ids = split_rows(release, "train").column("image_id").to_pylist()
    assert pack.rows.column("image_id").to_pylist() == ids
    names = [member.name for member in members(pack.root / "pack-00000.tar")]
    assert names == [f"{image_id}.jpg" for image_id in ids]
    first = packs.reader(pack)(0)
    header = pixels.sniff(first)
    assert (header.format, header.width, header.height) == ("jpeg", 29, 24)  # 44 × 36 px: 24 / 36 of it
    assert b"\xff\xc0" in first  # baseline
    assert pack.card["key"] == packs.key_of(release, "train", 24)
    assert (pack.card["short_side"], pack.card["quality"], pack.card["pictures"]) == (24, 90, 48)


def test_small_and_broken_pictures_keep_the_bytes_of_the_release(tmp_path: Path, make_release: MakeRelease) -> None:
    release = open_release(make_release(tmp_path, broken=1))
    pack = packs.made(bare(tmp_path), tmp_path / "packs", release, 64)  # all are smaller than 64 px
    assert pack.rows.column("sha256").to_pylist() == pack.rows.column("image_id").to_pylist()
    pack = packs.made(bare(tmp_path), tmp_path / "packs", release, 24)
    labels = TASKS.get("classification").targets(release, "train")
    supply = loader.Supply(packs.reader(pack), {})
    decode = partial(loader.packed, short_side=24, may_grow=False)
    pictures = loader.Pictures(release, "train", decode, 0, labels, supply=supply)
    assert [position for position in range(48) if pictures.get(position) is None] == [0, 16, 32]
    assert set(pictures.unreadable.values()) == {"truncated"}


def test_batches_from_a_pack_are_identical_at_any_number_of_threads_any_memory_and_after_a_resume(
    stripes: pictus.Project,
) -> None:
    release, pack = find_release(stripes), _made(stripes)
    expected = _hashes(release, pack, threads=1)
    assert len(set(expected)) == 8
    for threads in (2, 4):
        assert _hashes(release, pack, threads) == expected
    assert _hashes(release, pack, threads=2, memory=2**20) == expected
    assert _hashes(release, pack, threads=2, first=5) == expected[5:]


@pytest.mark.parametrize("last", [1, 17, 40])
def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(
    stripes: pictus.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    release = find_release(stripes)
    expected = packs.made(stripes, tmp_path / "whole", release, 24)
    monkeypatch.setattr(packs, "COMMIT_BYTES", 4096)
    monkeypatch.setattr(packs, "cpu_count", lambda: 1)
    own, n_shrunk = packs.shrunk, 0

    def dying(image_bytes: bytes, short_side: int) -> bytes:
        nonlocal n_shrunk
        n_shrunk += 1
        if n_shrunk == last:
            raise KeyboardInterrupt
        return own(image_bytes, short_side)

    monkeypatch.setattr(packs, "shrunk", dying)
    with pytest.raises(KeyboardInterrupt):
        packs.made(stripes, tmp_path / "killed", release, 24)
    root = packs.folder_of(tmp_path / "killed", release, "train", 24)
    assert not (root / packs.CARD).exists()
    if last == 40:  # what a power cut leaves: a torn line, bytes without a row
        with (root / packs.BUILDING).open("a") as journal:
            journal.write("0123abc\tpack-0")
        with (root / "pack-00000.tar").open("ab") as shard:
            shard.write(b"torn" * 300)
    monkeypatch.setattr(packs, "shrunk", own)
    pack = packs.made(stripes, tmp_path / "killed", release, 24)
    assert _files(pack.root) == _files(expected.root)


def test_a_build_that_goes_on_shrinks_only_what_is_missing(
    stripes: pictus.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = find_release(stripes)
    monkeypatch.setattr(packs, "COMMIT_BYTES", 1)
    monkeypatch.setattr(packs, "cpu_count", lambda: 1)
    own, most = packs.shrunk, 30
    seen: list[int] = []

    def counting(image_bytes: bytes, short_side: int) -> bytes:
        if len(seen) == most:
            raise KeyboardInterrupt
        seen.append(short_side)
        return own(image_bytes, short_side)

    monkeypatch.setattr(packs, "shrunk", counting)
    with pytest.raises(KeyboardInterrupt):
        packs.made(stripes, tmp_path, release, 24)
    most = 10**6
    packs.made(stripes, tmp_path, release, 24)
    assert 48 <= len(seen) <= 48 + 5  # those computed ahead of the last commit


def test_a_pack_with_other_bytes_is_refused_where_they_are_read(stripes: pictus.Project) -> None:
    pack = _made(stripes)
    row = pack.rows.slice(3, 1).to_pylist()[0]
    with (pack.root / row["shard"]).open("r+b") as shard:
        shard.seek(row["offset"] + row["size"] // 2)
        byte = shard.read(1)
        shard.seek(-1, 1)
        shard.write(bytes([byte[0] ^ 1]))
    read = packs.reader(packs.opened(pack.root))
    assert read(2)
    with pytest.raises(UserError, match="holds other bytes than it was written with") as caught:
        read(3)
    assert "pictus train pack" in (caught.value.fix or "")
    outcome = train.pack(stripes, short_side=24)
    assert outcome.problems == ("1 picture of the pack had other bytes than were written: it was made again",)
    assert packs.reader(_made(stripes))(3)


@pytest.mark.parametrize("name", [packs.INDEX, "pack-00000.tar", packs.CARD])
def test_a_pack_that_lacks_a_part_is_damaged_and_made_again(stripes: pictus.Project, name: str) -> None:
    pack = _made(stripes)
    before = _files(pack.root)
    (pack.root / name).write_bytes(b"{}")
    with pytest.raises(UserError, match="is damaged"):
        packs.opened(pack.root)
    outcome = train.pack(stripes, short_side=24)
    assert len(outcome.problems) == 1
    assert _files(pack.root) == before


def test_the_step_tells_what_it_made_and_making_it_twice_changes_nothing(stripes: pictus.Project) -> None:
    outcome = train.pack(stripes, short_side=24)
    assert outcome.summary["pictures"] == outcome.summary["shrunk"] == 48
    assert json.dumps(outcome.summary)
    again = train.pack(stripes, short_side=24)
    assert again.summary == outcome.summary
    assert [facts.digest for facts in again] == [outcome.summary["digest"]]
    with pytest.raises(UserError, match="is no use"):
        train.pack(stripes, short_side=5)


def test_a_run_trains_from_a_pack_and_says_on_its_card_which(stripes: pictus.Project) -> None:
    train.run(stripes, name="a", epochs=1, set_=TINY)
    card = models.open_run(stripes.models_dir / "a").card
    pack = packs.opened(packs.folder_of(stripes.models_dir / "packs", find_release(stripes), "train", 32))
    assert card["pack"] == {name: pack.card[name] for name in packs.TOLD}
    assert (card["recipe"]["keep"], card["recipe"]["pack"]) == ("pack", 32)
    assert [run.name for run in models.runs(stripes)] == ["a"]  # the folder of packs is no run
    train.run(stripes, name="b", epochs=1, set_=TINY)
    weights = [(stripes.models_dir / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_a_pack_made_again_with_other_bytes_is_told_to_a_run_that_goes_on() -> None:
    before = {"digest": "a" * 64}
    assert packs.changes(None, None) == packs.changes(before, loader.Supply(bytes, before)) == ()
    told = packs.changes(before, loader.Supply(bytes, {"digest": "b" * 64}))
    assert "aaaaaaaaaaaa then, bbbbbbbbbbbb now" in told[0]


@pytest.mark.parametrize("facts", [{"address": "s3://b/1.0.0"}, {"pool": "c" * 64, "pictures": 3}])
def test_a_run_that_reads_from_a_store_or_a_pool_goes_on_without_a_word_about_packs(facts: dict[str, object]) -> None:
    assert packs.changes(facts, loader.Supply(bytes, facts)) == ()
    assert packs.changes({"digest": "a" * 64}, loader.Supply(bytes, facts)) == ()


def test_balance_and_repeats_of_a_recipe_reach_the_batches(stripes: pictus.Project) -> None:
    train.run(stripes, name="c", epochs=1, set_=(*TINY[2:], "keep=original", "balance=0.5", "repeats=2"))
    card = models.open_run(stripes.models_dir / "c").card
    assert card["pack"] is None
    assert (card["recipe"]["keep"], card["recipe"]["pack"], card["recipe"]["repeats"]) == ("original", -1, 2)
    assert np.isfinite(card["results"]["val_top1"])
