from __future__ import annotations

import hashlib
import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus import evaluate, models, stores, train
from pictus.errors import UserError
from pictus.project import bare
from pictus.releases import Release, open_release
from pictus.shards import ShardReader, ShardWriter
from pictus.tasks import TASKS
from pictus.train.feed import augment, loader, packs, remote, sampling
from pictus.train.loop import training
from pictus.train.recipes import Recipe

MakeRelease = Callable[..., Path]
RECIPE = Recipe("small-cnn", size=32)
VIEW = partial(augment.augmented, recipe=RECIPE, fill=(0, 0, 0))
PLACE = "memory://store/releases/1.0.0"
GIB = 2**30
TINY = ("size=32", "batch_size=8", "parts=1", "threads=1", "probe=false")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_release: MakeRelease) -> Path:
    """A release of nine shards, each with 7 pictures or fewer."""
    root = make_release(tmp_path_factory.mktemp("there"))
    pictures = open_release(root).pictures
    reader, rows = ShardReader(root), pictures.to_pylist()
    with ShardWriter(root / "shards", prefix="part", max_bytes=14_000, ends={}) as writer:
        for row in rows:
            placed = writer.add(row["image_id"], "jpg", reader.read(row["shard"], row["offset"], row["size"]))
            row |= {"shard": f"shards/{placed.shard}", "offset": placed.offset}
    (root / "shards" / "pictures-00000.tar").unlink()
    pq.write_table(pa.Table.from_pylist(rows, schema=pictures.schema), root / "pictures.parquet")
    return root


@pytest.fixture
def place(folder: Path) -> Iterator[str]:
    store = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            store.pipe(f"/store/releases/1.0.0/{path.relative_to(folder)}", path.read_bytes())
    yield PLACE
    store.rm("/store", recursive=True)


def _pictures(release: Release, cache_gb: float) -> tuple[loader.Pictures, stores.Shelf]:
    recipe = replace(RECIPE, cache_gb=cache_gb)
    shelf = stores.shelf_of(release, recipe.cache_gb)
    assert shelf is not None
    labels = TASKS.get("classification").targets(release, "train")
    how = replace(sampling.asked(release, recipe), windows=remote.windows_of(release, recipe))
    decode = partial(loader.packed, short_side=-1, may_grow=False)
    supply = remote.supplied(release, "train", shelf)
    return loader.Pictures(release, "train", decode, 0, labels, how=how, supply=supply), shelf


def _hashes(pictures: loader.Pictures, threads: int, first: int = 0) -> list[str]:
    portions = loader.portions_of_epochs(0, len(pictures), 10, first, 12, how=pictures.how)
    with loader.batches(pictures, portions, VIEW, seed=0, threads=threads) as stream:
        return [hashlib.sha256(batch.views[0].tobytes() + batch.targets.tobytes()).hexdigest() for batch in stream]


def _most(release: Release, shards: float) -> float:
    """So many times the largest shard, in GiB."""
    shelf = stores.shelf_of(release, 1.0)
    assert shelf is not None
    return shards * max(shelf._sizes.values()) / GIB


def test_a_release_in_a_store_opens_without_its_shards(place: str, folder: Path, tmp_path: Path) -> None:
    release, here = stores.found(bare(tmp_path), place), open_release(folder)
    assert (release.digest, release.classes) == (here.digest, here.classes)
    assert release.pictures.equals(here.pictures)
    assert stores.address_of(release) == place
    assert stores.address_of(here) == ""
    assert not list(release.root.rglob("*.tar"))


@pytest.mark.parametrize("shards", [2.0, 2.5, 5.0])
def test_batches_are_identical_at_any_number_of_threads_and_after_a_resume_and_the_cache_keeps_its_bound(
    place: str, tmp_path: Path, shards: float
) -> None:
    release = stores.found(bare(tmp_path), place)
    most = _most(release, shards)
    expected: list[str] = []
    for threads in (1, 2, 4):
        pictures, shelf = _pictures(release, most)
        found = _hashes(pictures, threads)
        expected = expected or found
        assert found == expected
        assert sum(path.stat().st_size for path in release.root.rglob("*.tar")) <= shelf.most_bytes
        del pictures, shelf  # one after the other: they share a cache
    assert len(set(expected)) == 12
    assert _hashes(_pictures(release, most)[0], threads=2, first=7) == expected[7:]


def test_a_release_on_a_file_address_gives_the_same_batches_as_a_store(
    place: str, folder: Path, tmp_path: Path
) -> None:
    there, here = (stores.found(bare(tmp_path), address) for address in (place, f"file://{folder}"))
    most = _most(there, 3)
    assert _hashes(_pictures(here, most)[0], 2) == _hashes(_pictures(there, most)[0], 2)


def test_an_epoch_reads_one_window_of_shards_after_the_other_and_each_picture_once(
    place: str, tmp_path: Path
) -> None:
    release = stores.found(bare(tmp_path), place)
    pictures, _ = _pictures(release, _most(release, 4))  # windows of two of the largest
    given = pictures.how.windows
    assert given is not None
    orders = []
    for epoch in range(3):
        positions = sampling.shown(0, epoch, 48, 10, pictures.how).positions
        assert sorted(positions.tolist()) == list(range(48))
        window_S = sampling.windows(0, epoch, given)
        seen = window_S[given.shards_N[positions]]
        assert np.all(np.diff(seen) >= 0)
        for window in range(int(window_S.max()) + 1):
            assert given.bytes_S[window_S == window].sum() <= given.window_bytes
        assert positions.tolist() != sorted(positions.tolist())
        orders.append(positions.tolist())
    assert orders[0] != orders[1]


def test_each_shard_is_fetched_about_once_an_epoch(place: str, tmp_path: Path) -> None:
    release = stores.found(bare(tmp_path), place)
    pictures, shelf = _pictures(release, _most(release, 4))
    n_shards = len(shelf._sizes)
    portions = list(loader.portions_of_epochs(0, 48, 8, 0, 6, how=pictures.how))
    for portion in portions:
        for position in portion.positions.tolist():
            assert pictures.get(position) is not None
    assert shelf.n_fetched == n_shards


def test_what_is_announced_is_fetched_ahead_but_never_in_place_of_what_is_awaited(place: str, tmp_path: Path) -> None:
    release = stores.found(bare(tmp_path), place)
    _, shelf = _pictures(release, _most(release, 2))
    names = sorted(shelf._sizes)
    for name in names[:2]:
        shelf.read(name, 512, 1)
        shelf.wish({name: None})
    shelf.wish({names[2]: None})  # no room: both may still have to be read
    assert (list(shelf._here), shelf._coming) == (names[:2], set())
    shelf._n_wishes += stores.AWAITED
    shelf.wish({names[2]: None})
    for thread in (one for one in threading.enumerate() if one.name == "shard"):
        thread.join()
    assert (list(shelf._here), shelf.n_fetched) == (names[1:3], 3)


def test_a_shard_that_made_room_is_held_open_no_longer(place: str, tmp_path: Path) -> None:
    release = stores.found(bare(tmp_path), place)
    _, shelf = _pictures(release, _most(release, 2))
    for name in sorted(shelf._sizes):
        shelf.read(name, 512, 1)
    assert len(shelf._here) < len(shelf._sizes)
    assert set(shelf._reader._opened) <= set(shelf._here), "its bytes would stay on the disk"


def test_a_run_trains_on_a_release_in_a_store_as_on_its_copy_and_is_resumed_by_its_address(
    place: str, folder: Path, project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(project, release=place, name="there", epochs=1, set_=TINY)
    train.run(project, release=str(folder), name="here", epochs=1, set_=TINY)
    card = models.open_run(project.models_dir / "there").card
    assert card["release"]["path"] == place
    kept = (project.models_dir / name / "model.safetensors" for name in ("there", "here"))
    assert len({path.read_bytes() for path in kept}) == 1  # all shards fit into one window: the order is the same
    assert stores.address_of(remote.of_run(project, models.open_run(project.models_dir / "there"))) == place


def test_a_run_on_a_release_in_a_store_that_was_stopped_goes_on_to_the_same_bytes(
    place: str, project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(project, release=place, name="whole", epochs=1, set_=TINY)
    advance = training.advance

    def stopping(job: Any, state: Any, *rest: Any) -> Any:
        if state.counters.step == 3:
            raise KeyboardInterrupt
        return advance(job, state, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(training, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train.run(project, release=place, name="stopped", epochs=1, set_=TINY)
    train.resume(project, "stopped")
    kept = (project.models_dir / name / "model.safetensors" for name in ("whole", "stopped"))
    assert len({path.read_bytes() for path in kept}) == 1


def test_what_is_asked_of_a_run_later_reads_the_release_in_the_store(place: str, project: pictus.Project) -> None:
    train.run(project, release=place, recipe="auto", name="there", epochs=1, set_=(*TINY, "minutes=0"))
    assert [row.pictures for row in train.robustness(project, "there", steps=1)] == [12, 12]
    assert [row.pictures for row in train.prune(project, "there", epochs=1)] == [12, 12, 12]
    train.run(project, release=place, name="next", epochs=1, set_=(*TINY, "from_run=there"))
    assert [row.pictures for row in train.forgetting(project, "next")] == [12]
    assert [row.pictures for row in train.probe(project, network="there")] == [12, 12]
    assert [row.shots for row in train.few_shot(project, network="there", shots=(1,), draws=2)] == [1]
    assert train.find_lr(project, release=place, steps=20, set_=TINY).summary["steps"] <= 20


def test_a_run_is_evaluated_and_exported_on_the_release_in_the_store_as_on_its_copy(
    place: str, folder: Path, project: pictus.Project
) -> None:
    train.run(project, release=place, name="there", epochs=1, set_=TINY)
    found = evaluate.run(project, run="there", split="val").summary  # its own: the project has none
    assert "place" not in str(found["release"])
    here = evaluate.run(project, run="there", release=str(folder), split="train").summary
    there = evaluate.run(project, run="there", release=place, split="train").summary
    assert found["n"] == 12
    assert there == here  # from other bytes on the disk: predictions are kept by the digest
    shutil.rmtree(project.models_dir / "there" / "evaluations")
    assert evaluate.run(project, run="there", release=place, split="train").summary == here
    (project.models_dir / stores.REMOTE).rename(project.root / "gone")
    release = stores.asked(project, "", models.open_run(project.models_dir / "there").card)
    row = release.pictures.to_pylist()[0]
    image_bytes = stores.picker_of(release).read(row["shard"], row["offset"], row["size"])
    assert hashlib.sha256(image_bytes).hexdigest() == row["image_id"]
    assert not list(project.models_dir.rglob("*.tar")), "a few pictures need no shard"


def test_who_interrupts_waits_for_no_shard_that_is_on_its_way(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = stores.found(bare(tmp_path), place)
    pictures, shelf = _pictures(release, 1.0)
    first, main = threading.Lock(), threading.main_thread().ident
    assert main is not None

    def never(_address: str, _path: Path, left: threading.Event, _most_bytes: float) -> str:
        if first.acquire(blocking=False):
            signal.pthread_kill(main, signal.SIGINT)  # Ctrl-C
        left.wait()
        raise CancelledError

    portions = loader.portions_of_epochs(0, len(pictures), 10, 0, 12, how=pictures.how)
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_streamed", never)
        batches = loader.batches(pictures, portions, VIEW, seed=0, threads=2)
        with pytest.raises(KeyboardInterrupt), batches as stream:
            next(stream)
    assert not shelf._queue
    assert len(set(_hashes(pictures, 2))) == 12  # they come when they are wanted again


def test_several_processes_do_not_share_a_cache(place: str, project: pictus.Project) -> None:
    with pytest.raises(UserError, match="read a release from a folder only"):
        train.run(project, release=place, epochs=1, name="several", set_=(*TINY, "processes=2"))
    assert not (project.models_dir / "several").exists()


def test_a_pack_is_made_from_a_store(place: str, folder: Path, project: pictus.Project, tmp_path: Path) -> None:
    there = train.pack(project, release=place, short_side=24)
    here = packs.made(project, tmp_path / "packs", open_release(folder), 24)
    assert there.summary["digest"] == here.card["digest"]


def test_a_shard_that_is_gone_changed_or_too_large_is_told(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = stores.found(bare(tmp_path), place)
    with pytest.raises(UserError, match=r"do not fit into the cache of 0\.00 GB") as caught:
        stores.shelf_of(release, 1e-6)
    assert "--set cache_gb=" in (caught.value.fix or "")
    store = fsspec.filesystem("memory")
    names = sorted(Path(name).name for name in store.ls("/store/releases/1.0.0/shards", detail=False))
    store.rm(f"/store/releases/1.0.0/shards/{names[0]}")
    pictures, shelf = _pictures(release, 1.0)
    with pytest.raises(UserError, match="cannot be read: there is no such file"):
        shelf.read(f"shards/{names[0]}", 512, 10)
    with pytest.raises(UserError, match="cannot be read"):
        _hashes(pictures, threads=2)
    wrong = stores.Shelf(place, tmp_path / "else", shelf._sizes, GIB, {f"shards/{names[1]}": "0" * 64})
    with pytest.raises(UserError, match=r"is not what the release's manifest\.json says"):
        wrong.read(f"shards/{names[1]}", 512, 10)
    assert not list((tmp_path / "else").rglob("*.t*"))


def test_an_address_without_a_release_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"memory://nothing/manifest\.json' cannot be read"):
        stores.found(bare(tmp_path), "memory://nothing")


def test_tables_are_copied_again_only_where_they_changed(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "there"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for name in ("pictures.parquet", "concepts.parquet"):
        manifest["files"][name] = {"sha256": hashlib.sha256((copy / name).read_bytes()).hexdigest(), "size": 1}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    release = stores.found(bare(tmp_path), f"file://{copy}")
    (copy / "pictures.parquet").unlink()
    assert stores.found(bare(tmp_path), f"file://{copy}").pictures.equals(release.pictures)
    (release.root / "pictures.parquet").unlink()
    with pytest.raises(UserError, match=r"pictures\.parquet' cannot be read"):
        stores.found(bare(tmp_path), f"file://{copy}")
