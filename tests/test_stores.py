"""Shards of a store in caches of their own: readers side by side, what is given up, what a kill leaves."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pictus import stores
from pictus.errors import UserError
from pictus.project import bare
from pictus.stores import Picker, Shelf

pytest.importorskip("fsspec", reason="pip install 'pictus[cloud]'")

SIZE = 1000
NAMES = [f"shards/part-{number:05d}.tar" for number in range(6)]
SIZES = dict.fromkeys(NAMES, SIZE)
READING = """
import os, sys
from pathlib import Path
from pictus.stores import Shelf
place, root, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
shelf = Shelf(place, root, dict.fromkeys(names, 1000), 2500, {})
assert b"".join(shelf.read(name, 10, 5) for name in names) == b"".join(name.encode()[-5:] for name in names)
"""
KILLED = """
(shelf.folder / "shards" / ".part.tar.1.2.tmp").write_bytes(bytes(700))
os.kill(os.getpid(), 9)
"""
ANNOUNCED = """
import threading
from pictus import stores
begun = threading.Event()
def never(*_):
    begun.set()
    threading.Event().wait()
stores._streamed = never
shelf = Shelf(place, root / "else", dict.fromkeys(names, 1000), 9000, {})
shelf.wish(dict.fromkeys(names))
begun.wait()
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    there = tmp_path / "there"
    for name in NAMES:
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(bytes(10) + name.encode()[-5:] + bytes(SIZE - 15))
    return f"file://{there}"


def shelf_at(place: str, root: Path, shards: float = 2.5, sums: dict[str, str] | None = None) -> Shelf:
    return Shelf(place, root, SIZES, round(shards * SIZE), sums or {})


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.tar"))


def other(code: str, place: str, root: Path) -> int:
    """The exit status of another process that reads every shard."""
    return subprocess.run([sys.executable, "-c", code, place, str(root), *NAMES], check=False).returncode


def test_two_processes_read_side_by_side_and_neither_throws_out_what_the_other_has(place: str, tmp_path: Path) -> None:
    root = tmp_path / "here"
    shelf = shelf_at(place, root)
    shelf.read(NAMES[0], 0, 1)
    shelf.read(NAMES[1], 0, 1)
    assert other(READING, place, root) == 0
    assert kept(root) == kept(shelf.folder) == ["part-00000.tar", "part-00001.tar"]  # the other's went with it
    shelf.read(NAMES[0], 0, 1)
    assert shelf.n_fetched == 2


def test_what_a_killed_process_left_goes_at_the_next_start(place: str, tmp_path: Path) -> None:
    root = tmp_path / "here"
    assert other(READING + KILLED, place, root) == -9
    assert kept(root / "cache-1") == ["part-00004.tar", "part-00005.tar"]
    shelf = shelf_at(place, root)
    assert not list(root.rglob("*.tmp"))
    shelf.read(NAMES[5], 0, 1)
    assert (shelf.folder.name, shelf.n_fetched) == ("cache-1", 0)  # whole shards are still of use
    assert other(READING + KILLED, place, root) == -9
    assert (root / "cache-2").is_dir()
    del shelf
    assert shelf_at(place, root).folder.name == "cache-1"
    assert sorted(path.name for path in root.glob("cache-*") if path.is_dir()) == ["cache-1"]


def test_a_process_ends_without_what_it_has_announced(place: str, tmp_path: Path) -> None:
    assert other(READING + ANNOUNCED, place, tmp_path / "here") == 0


def test_shards_of_an_address_that_was_cut_again_are_fetched_again(place: str, tmp_path: Path) -> None:
    first = shelf_at(place, tmp_path / "here")
    first.read(NAMES[0], 0, 1)
    del first
    (tmp_path / "there" / NAMES[0]).write_bytes(b"x" * SIZE)
    sums = {NAMES[0]: "44f8354494a5ba03ba1792a8d3e9c534c47a9181980fde7a3f44b06ef2ae7c7f"}
    assert shelf_at(place, tmp_path / "here", sums=sums).read(NAMES[0], 10, 3) == b"xxx"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for every shard that begins to come; none comes before its reader has left."""
    begun = threading.Semaphore(0)

    def waiting(_address: str, _path: Path, left: threading.Event | None, _most_bytes: float) -> Any:
        begun.release()
        assert left is not None
        left.wait()
        raise CancelledError

    monkeypatch.setattr(stores, "_streamed", waiting)
    return begun


def test_who_leaves_waits_for_nothing_that_was_announced_or_asked_for(
    slow: threading.Semaphore, place: str, tmp_path: Path
) -> None:
    shelf, left = shelf_at(place, tmp_path / "here", shards=7), threading.Event()
    shelf.wish(dict.fromkeys(NAMES[:5]), left)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(shelf.read, name, 0, 1, left) for name in (NAMES[0], NAMES[4], NAMES[5])]
        for _ in range(stores.FETCHERS + 1):  # the announced ones, and the one that a reader fetches itself
            slow.acquire()
        assert [name for name, _ in shelf._queue] == NAMES[2:5]
        shelf.leave(left)
        for one in waiting:
            with pytest.raises(CancelledError):
                one.result()
    assert not shelf._queue
    for thread in (one for one in threading.enumerate() if one.name == "shard"):
        thread.join()
    assert not shelf._coming
    assert not kept(tmp_path / "here")


def test_what_another_reader_announced_stays_announced(slow: threading.Semaphore, place: str, tmp_path: Path) -> None:
    shelf, one, two = shelf_at(place, tmp_path / "here", shards=7), threading.Event(), threading.Event()
    shelf.wish(dict.fromkeys(NAMES[:4]), one)
    shelf.wish(dict.fromkeys(NAMES[4:]), two)
    for _ in range(stores.FETCHERS):
        slow.acquire()
    shelf.leave(one)
    assert {name for name, whose in shelf._queue if whose is one} == set()
    assert shelf._coming >= set(NAMES[4:])
    shelf.leave(two)


@pytest.mark.parametrize("name", ["../x.tar", "/etc/x.tar", "shards/../../x.tar", "of", "a\0b", "a" * 300])
def test_a_shard_outside_the_release_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="that is no file of it"):
        Shelf("memory://store", tmp_path, {name: 10}, SIZE, {})
    with pytest.raises(UserError, match="that is no file of it"):
        Picker("memory://store").read(name, 0, 1)


def test_a_few_pictures_are_picked_without_their_shards(place: str, tmp_path: Path) -> None:
    assert Picker(place).read(NAMES[2], 10, 5) == NAMES[2].encode()[-5:]
    with pytest.raises(UserError, match="ends before byte 2,000"):
        Picker(place).read(NAMES[2], 900, 1100)
    with pytest.raises(UserError, match="cannot be read: there is no such file"):
        Picker(place).read("shards/none.tar", 0, 1)
    with pytest.raises(UserError, match=r"cannot be read: no kind of store is called 's3x'\.\nfix: file://"):
        Picker("s3x://a/b").read("shards/none.tar", 0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_here_is_not_told_as_an_address_that_cannot_be_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="No space left"):
        stores._streamed(f"{place}/{NAMES[0]}", Path("/dev/full"))

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "_streamed", full)
    with pytest.raises(UserError, match="could not be written: No space left on device") as told:
        shelf_at(place, tmp_path / "here").read(NAMES[0], 0, 1)
    assert "free some space" in told.value.fix


@pytest.mark.parametrize("spoiled", [b"", b"x" * SIZE], ids=["emptied", "changed"])
def test_a_shard_that_was_changed_in_the_cache_is_fetched_again(place: str, tmp_path: Path, spoiled: bytes) -> None:
    sums = {name: hashlib.sha256((tmp_path / "there" / name).read_bytes()).hexdigest() for name in NAMES}
    first = shelf_at(place, tmp_path / "here", sums=sums)
    wanted = [first.read(name, 0, SIZE) for name in NAMES[:2]]
    (first.folder / NAMES[0]).write_bytes(spoiled)
    del first
    again = shelf_at(place, tmp_path / "here", sums=sums)
    again.wish(dict.fromkeys(NAMES[:2]))
    assert [again.read(name, 0, SIZE) for name in NAMES[:2] * 2] == wanted * 2
    assert again.n_fetched == 1


def test_a_shard_that_is_cut_short_there_is_told_by_its_address_and_not_kept(place: str, tmp_path: Path) -> None:
    there, name = tmp_path / "there" / NAMES[0], NAMES[0]
    there.write_bytes(bytes(100))
    shelf = Shelf(place, tmp_path / "here", {name: 2 * SIZE}, 9 * SIZE, {})
    with pytest.raises(UserError, match=f"{name}' ends before its last picture does"):
        shelf.read(name, 0, 1)
    there.write_bytes(bytes(2 * SIZE))
    assert shelf.read(name, 0, 1) == bytes(1)


@pytest.mark.parametrize("link", ["cache-1", "cache-1.lock", "cache-1/shards"])
def test_a_link_in_the_place_of_a_cache_is_refused_and_nothing_happens_behind_it(
    place: str, tmp_path: Path, link: str
) -> None:
    root, theirs = tmp_path / "here", tmp_path / "theirs"
    theirs.mkdir()
    (theirs / ".mine.tmp").write_text("x")
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(theirs)
    with pytest.raises(UserError, match="is a link"):
        shelf_at(place, root)
    assert [path.name for path in theirs.iterdir()] == [".mine.tmp"]


def test_folders_that_are_no_caches_are_left_alone(place: str, tmp_path: Path) -> None:
    kept = [tmp_path / "here" / name for name in ("cache-x", "cache-\u0662", "cache-")]
    for folder in kept:
        folder.mkdir(parents=True)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "here" / "cache-7").symlink_to(tmp_path / "theirs")
    assert shelf_at(place, tmp_path / "here").read(NAMES[0], 10, 5) == NAMES[0].encode()[-5:]
    assert all(folder.is_dir() for folder in (*kept, tmp_path / "theirs"))


def test_a_manifest_without_end_is_not_copied_till_the_disk_is_full(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_MOST_MANIFEST", 100)
    (tmp_path / "there" / "manifest.json").write_bytes(bytes(101))
    with pytest.raises(UserError, match=r"manifest\.json' has more than"):
        stores.found(bare(tmp_path), place)
    assert not [path for path in tmp_path.rglob("*manifest*") if "there" not in path.parts]
