"""A release in an object store: its tables are copied here, whole shards are fetched ahead into a bounded cache.

    models/remote/<key>/
      remote.json                             the address
      manifest.json pictures.parquet …        copies, checked by the manifest's digests
      cache-1/shards/*.tar                    of one reader, at most so many GiB at a time
      cache-2/ …                              of another that reads at the same time

A cache has one reader: two in one would throw out what the other reads next, and with a lock on the only one nobody
could evaluate beside a training run. Who comes first takes cache-1, with what it finds there; another reader fetches
for itself, and its cache goes with it. What a kill left, half a shard or another's cache, goes at the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from pictus.errors import UserError, clipped
from pictus.extras import need
from pictus.project import Project, write_text
from pictus.releases import (
    MANIFEST,
    PictureReader,
    Release,
    find_root,
    is_file_name,
    open_release,
    read_manifest,
    versions,
)
from pictus.shards import BLOCK, ShardReader

ADDRESS, REMOTE = "remote.json", "remote"

CACHE_GB = 20.0
"""GiB of shards kept here where nothing else is said."""

AWAITED = 128
"""Announcements of which nothing is thrown out: those before what is being read, and those behind it."""

FETCHERS = 2
"""Shards that come at the same time, besides those that somebody waits for."""

END = 3 * BLOCK
"""Bytes of a tar behind its last picture, at most: the picture's block is filled up, two of zeros end the file."""

_TABLES = ("pictures.parquet", "concepts.parquet", "labels.parquet")
_OPTIONAL = "labels.parquet"
_COPY_BYTES = 4 * 2**20
_MOST_MANIFEST = 256 * 2**20  # a line for each file of the release; of ImageNet-21k they are some 2,000
_OWN = "of"  # in a cache: which shards they are
_CACHE = re.compile(r"cache-([0-9]{1,9})")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def found(project: Project, version_or_place: str = "") -> Release:
    """A release by version, folder or address (s3://BUCKET/releases/1.0.0, any that fsspec opens); the newest of the
    project when nothing is named.
    """
    if not is_place(version_or_place):
        root = find_root(project, version_or_place)
        return open_release(root, with_shards=not (root / ADDRESS).is_file())
    place = version_or_place.rstrip("/")
    root = project.models_dir / REMOTE / hashlib.sha256(place.encode()).hexdigest()[:16]
    for path in (root, root / "copying.lock"):
        _check_no_link(path)
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root / "copying.lock"):
        _swept(root)
        # Small, and always asked for: it may have changed.
        _copied(f"{place}/{MANIFEST}", root / MANIFEST, "", most_bytes=_MOST_MANIFEST)
        files = read_manifest(root).get("files", {})
        for name in _TABLES:
            stated = files.get(name, {}).get("sha256", "")
            is_wanted = stated or name != _OPTIONAL
            if is_wanted and not (stated and _has(root / name, stated)):
                _copied(f"{place}/{name}", root / name, stated)
        write_text(root / ADDRESS, json.dumps({"address": place}) + "\n")
        opened = open_release(root, with_shards=False)
    for name in opened.pictures.column("shard").unique().to_pylist():
        _check_name(place, name)
    return opened


def asked(project: Project, named: str, card: Mapping[str, Any]) -> Release:
    """The release that is named, else the newest of the project, else what this run card names in a store."""
    stated = str((card.get("release") or {}).get("path", ""))
    is_here = (project.root / MANIFEST).is_file() or versions(project.releases_dir)
    return found(project, named or ("" if is_here or not is_place(stated) else stated))


def is_place(text: str) -> bool:
    """Whether it is an address rather than a version or a folder."""
    return _URL.match(text) is not None


def address_of(release: Release) -> str:
    """Where the shards lie; empty for a release on this machine."""
    path = release.root / ADDRESS
    return str(json.loads(path.read_text(encoding="utf-8"))["address"]) if path.is_file() else ""


def shelf_of(release: Release, cache_gb: float = CACHE_GB) -> "Shelf | None":
    """The bounded cache of a remote release's shards."""
    place = address_of(release)
    if not place:
        return None
    sums = {name: one["sha256"] for name, one in release.manifest.get("files", {}).items()}
    return Shelf(place, release.root, sizes_of(release), round(cache_gb * 2**30), sums)


def reader_of(release: Release, card: Mapping[str, Any]) -> "ShardReader | Shelf":
    """What reads pictures one after the other, wherever the shards lie; with a cache as large as the run of this card
    had.
    """
    cache_gb = (card.get("recipe") or {}).get("cache_gb", CACHE_GB)
    return shelf_of(release, float(cache_gb)) or PictureReader(release)


def picker_of(release: Release) -> "ShardReader | Picker":
    """What reads a few pictures from all over a release: of a store only their bytes are fetched, and none kept."""
    place = address_of(release)
    return Picker(place) if place else PictureReader(release)


def sizes_of(release: Release) -> dict[str, int]:
    """Bytes of each shard: as the manifest says, else up to its last picture."""
    files: dict[str, Any] = release.manifest.get("files", {})
    names, offsets, sizes = (release.pictures.column(name).to_pylist() for name in ("shard", "offset", "size"))
    found_sizes: dict[str, int] = {}
    for name, offset, size in zip(names, offsets, sizes, strict=True):
        found_sizes[name] = max(found_sizes.get(name, 0), offset + size + END)
    return {name: int(files.get(name, {}).get("size", size)) for name, size in found_sizes.items()}


class Picker:
    """Reads single pictures of a store by their range of bytes; any number of threads."""

    def __init__(self, place: str) -> None:
        self.place = place

    def read(self, shard: str, offset: int, size: int) -> bytes:
        """The bytes of a picture; a UserError that says why they did not come."""
        _check_name(self.place, shard)
        address = f"{self.place}/{shard}"
        try:
            store, path = need("fsspec", "cloud").core.url_to_fs(address)
            image_bytes = bytes(store.cat_file(path, start=offset, end=offset + size))
        except Exception as error:  # the drivers' own kinds
            raise _unread(address, error) from error
        if len(image_bytes) != size:
            raise UserError(f"{clipped(address, 200)} ends before byte {offset + size:,}.", fix="copy it there again")
        return image_bytes


class Shelf:
    """Whole shards from `place` in a cache in `root`, never more than `most_bytes` of them; any number of threads read.
    The one read longest ago makes room. `sums`: sha256 of a shard where it is known.

    Who reads may hand in an event of its own, `left`: once it is set, nothing is awaited for its sake (`leave`).
    """

    def __init__(
        self, place: str, root: Path, sizes: Mapping[str, int], most_bytes: int, sums: Mapping[str, str]
    ) -> None:
        for name in sizes:
            _check_name(place, name)
        largest = max(sizes.values(), default=0)
        if 2 * largest > most_bytes:  # one is read while the next comes
            raise UserError(
                f"A shard of {place} has {largest / 2**30:.2f} GB, two do not fit into the cache of"
                f" {most_bytes / 2**30:.2f} GB.",
                fix=f"--set cache_gb={2.1 * largest / 2**30:.2g}",
            )
        self.place, self.most_bytes = place, most_bytes
        stamp = json.dumps([place, dict(sizes), {name: sums.get(name, "") for name in sizes}], sort_keys=True)
        self.folder, given_back = _own_cache(root, hashlib.sha256(stamp.encode()).hexdigest())
        weakref.finalize(self, given_back)
        self._sizes, self._sums = sizes, sums
        self._reader = ShardReader(self.folder)
        self._change = threading.Condition()
        self._here: OrderedDict[str, int] = OrderedDict()  # shard -> readers, the one read longest ago first
        self._coming: set[str] = set()
        self._n_wishes = 0
        self._wished: dict[str, int] = {}  # shard -> the last wish that named it
        self._queue: deque[tuple[str, threading.Event | None]] = deque()  # announced, not begun; for whom
        self._n_fetchers = 0
        self.n_fetched = 0
        self._unproved: set[str] = set()  # of a run before: looked at once, when it is first read
        for name in sizes:
            if (self.folder / name).is_file():
                self._here[name] = 0
                self._unproved.add(name)
        with self._change:
            self._make_room(0)

    def read(self, shard: str, offset: int, size: int, left: threading.Event | None = None) -> bytes:
        """The bytes of a picture; waits for its shard. CancelledError once `left` is set."""
        with self._held(shard, left):
            return self._reader.read(shard, offset, size)

    def wish(self, shards: Mapping[str, None], left: threading.Event | None = None) -> None:
        """Fetch these soon, where room can be made without those of the last announcements: they are still to be read.
        A failure is told to who reads them.
        """
        with self._change:
            self._n_wishes += 1
            self._wished |= dict.fromkeys(shards, self._n_wishes)
            wanted = [name for name in shards if name not in self._here and name not in self._coming]
            wanted = [name for name in wanted if self._make_room(self._sizes[name], self._n_wishes - AWAITED)]
            self._coming |= set(wanted)
            self._queue += ((name, left) for name in wanted)
            begun = max(0, min(len(self._queue), FETCHERS - self._n_fetchers))
            self._n_fetchers += begun
        for _ in range(begun):  # an executor's threads would be waited for when the process ends
            threading.Thread(target=self._fetch_announced, name="shard", daemon=True).start()

    def leave(self, left: threading.Event) -> None:
        """Set `left`: what was announced with it and has not begun is not fetched, who waits with it waits no more."""
        left.set()
        with self._change:
            self._coming -= {name for name, whose in self._queue if whose is left}
            self._queue = deque(one for one in self._queue if one[1] is not left)
            self._change.notify_all()

    def _fetch_announced(self) -> None:
        while True:
            with self._change:
                if not self._queue:
                    self._n_fetchers -= 1
                    return
                shard, left = self._queue.popleft()
            try:
                self._fetch(shard, left)
            except (UserError, OSError, CancelledError):
                continue  # who reads it fetches it again, and is told

    @contextmanager
    def _held(self, shard: str, left: threading.Event | None) -> Iterator[None]:
        is_mine = False
        with self._change:
            while True:
                _check_wanted(left)
                if shard in self._here and shard not in self._unproved:
                    self._take(shard)
                    break
                if self._here.pop(shard, None) is not None:  # its room is its own until it has been looked at
                    self._coming.add(shard)
                    is_mine = True
                    break
                if shard not in self._coming and self._make_room(self._sizes[shard]):
                    self._coming.add(shard)
                    is_mine = True
                    break
                self._change.wait()
        if is_mine:
            self._fetch(shard, left, readers=1)
        try:
            yield
        finally:
            with self._change:
                self._here[shard] -= 1
                self._change.notify_all()

    def _take(self, shard: str) -> None:
        self._here[shard] += 1
        self._here.move_to_end(shard)

    def _fetch(self, shard: str, left: threading.Event | None, readers: int = 0) -> None:
        """Bring a shard whose room is taken; it comes with so many readers."""
        is_here = is_whole = False
        try:
            is_here = shard in self._unproved and self._is_whole(shard)
            if not is_here:
                _copied(f"{self.place}/{shard}", self.folder / shard, self._sums.get(shard, ""), left)
                if not self._is_long_enough(shard):
                    (self.folder / shard).unlink()
                    raise UserError(
                        f"{clipped(f'{self.place}/{shard}', 200)} ends before its last picture does.",
                        fix="copy it there again",
                    )
            is_whole = True
        finally:
            with self._change:
                self._coming.discard(shard)
                self._unproved.discard(shard)
                if is_whole:
                    self._here[shard] = readers
                    self.n_fetched += not is_here
                self._change.notify_all()

    def _is_whole(self, shard: str) -> bool:
        """Whether what a run before left is what the release says, as far as it says anything."""
        sha256 = self._sums.get(shard, "")
        return _has(self.folder / shard, sha256) if sha256 else self._is_long_enough(shard)

    def _is_long_enough(self, shard: str) -> bool:
        path = self.folder / shard
        return path.is_file() and path.stat().st_size >= max(1, self._sizes[shard] - END)

    def _make_room(self, size: int, wished_before: float = math.inf) -> bool:
        """Whether `size` bytes fit, once those that nobody reads have gone, the one read longest ago first."""
        used = sum(self._sizes[name] for name in (*self._here, *self._coming))
        idle = [
            name for name, readers in self._here.items() if not readers and self._wished.get(name, 0) < wished_before
        ]
        going = []
        for name in idle:
            if used + size <= self.most_bytes:
                break
            going.append(name)
            used -= self._sizes[name]
        if used + size > self.most_bytes:
            return False
        for name in going:
            del self._here[name]
            (self.folder / name).unlink(missing_ok=True)
        if going:
            self._reader = ShardReader(self.folder)  # the one before holds them open: they would stay on the disk
        return True


Reader = ShardReader | Shelf | Picker


def _own_cache(root: Path, stamp: str) -> tuple[Path, Callable[[], None]]:
    """A folder for shards that nobody else uses, and what gives it back. `stamp`: which shards they are; others go."""
    root.mkdir(parents=True, exist_ok=True)
    number, held = next((number, held) for number in count(1) if (held := _lock(root, number)) >= 0)
    folder = root / f"cache-{number}"
    told = folder / _OWN
    try:
        for path in (folder, *folder.rglob("*")):
            _check_no_link(path)
    except UserError:
        os.close(held)
        raise
    if folder.is_dir() and not (told.is_file() and told.read_text(encoding="utf-8") == stamp):
        shutil.rmtree(folder)  # of the same address before it was cut again
    folder.mkdir(exist_ok=True)
    write_text(told, stamp)
    _swept(folder, "**/")
    for other in root.glob("cache-*"):
        named = _CACHE.fullmatch(other.name)
        if not named or not other.is_dir() or other.is_symlink() or other == folder:
            continue
        if (theirs := _lock(root, int(named[1]))) >= 0:
            shutil.rmtree(other, ignore_errors=True)
            os.close(theirs)

    def given_back() -> None:
        if number > 1:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(held)

    return folder, given_back


def _lock(root: Path, number: int) -> int:
    """The lock of a cache, an open file that any kind of exit closes; -1 where somebody else has it."""
    path = root / f"cache-{number}.lock"
    _check_no_link(path)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another reader's
        os.close(held)
        return -1
    return held


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process after the other."""
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _swept(folder: Path, within: str = "") -> None:
    """Without the halves that a killed process left."""
    for path in folder.glob(f"{within}.*.tmp"):
        path.unlink(missing_ok=True)


def _check_wanted(left: threading.Event | None) -> None:
    if left is not None and left.is_set():
        raise CancelledError


def _check_no_link(path: Path) -> None:
    """A project may come from somebody: nothing is written, or removed, where a link in it leads."""
    if path.is_symlink():
        raise UserError(f"{path} is a link; shards are fetched into folders of the project alone.", fix=f"rm {path}")


def _check_name(place: str, name: str) -> None:
    parts = name.split("/")
    if PurePosixPath(name).is_absolute() or {"..", ""} & set(parts) or parts[0] == _OWN or not is_file_name(name):
        raise UserError(f"{place} names a shard {clipped(name)!r}: that is no file of it.", fix="cut it again")


def _has(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == sha256


def _copied(
    address: str, path: Path, sha256: str, left: threading.Event | None = None, most_bytes: float = math.inf
) -> None:
    """An object, whole or not at all; a UserError that says why it did not come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        digest = _streamed(address, temporary, left, most_bytes)
        if sha256 and digest != sha256:
            what = f"{clipped(address, 200)} is not what the release's {MANIFEST} says"
            raise UserError(
                f"{what}: its digest is {digest[:12]}, not {sha256[:12]}.", fix="copy the release there again"
            )
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} could not be written: {error.strerror or error}.",
            fix="free some space, or keep fewer shards here: --set cache_gb=…; then run the same command again",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _streamed(
    address: str, path: Path, left: threading.Event | None = None, most_bytes: float = math.inf
) -> str:
    """Copy the object, digest of what came; CancelledError once `left` is set."""
    state, n_bytes = hashlib.sha256(), 0
    with path.open("wb") as out:
        for block in _blocks(address):
            _check_wanted(left)
            n_bytes += len(block)
            if n_bytes > most_bytes:
                raise UserError(
                    f"{clipped(address, 200)} has more than {most_bytes / 2**20:,.0f} MB: that is none.",
                    fix="check the address, or copy the release there again",
                )
            state.update(block)
            out.write(block)
    return state.hexdigest()


def _blocks(address: str) -> Iterator[bytes]:
    """The bytes of an object; a UserError that says why they did not come."""
    fsspec = need("fsspec", "cloud")
    try:
        with fsspec.open(address, "rb") as source:
            while block := source.read(_COPY_BYTES):
                yield block
    except Exception as error:  # the drivers' own kinds
        raise _unread(address, error) from error


def _unread(address: str, error: Exception) -> UserError:
    kind = address.partition("://")[0]
    if isinstance(error, FileNotFoundError):
        why = "there is no such file"
    elif isinstance(error, PermissionError):
        why = "it is not for everybody to read"
    elif isinstance(error, ValueError) and str(error).startswith("Protocol not known"):
        return UserError(
            f"{clipped(address, 200)} cannot be read: no kind of store is called {kind!r}.",
            fix="file://, s3://, gs://, https:// or another that fsspec knows",
        )
    else:
        why = f"{type(error).__name__}: {clipped(str(error), 200)}"
    return UserError(
        f"{clipped(address, 200)} cannot be read: {why}.",
        fix="check the address and who may read it; then run the same command again",
    )
