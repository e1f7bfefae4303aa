"""A release in an object store: its tables are copied here, whole shards are fetched ahead into a bounded cache.

    models/remote/<key>/
      remote.json                             the address
      manifest.json pictures.parquet …        copies, checked by the manifest's digests
      shards/*.tar                            at most `cache_gb` of them at a time

An epoch's order is permuted within windows of shards (sampling.py), so that each shard is fetched once an epoch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pictus.errors import UserError, clipped
from pictus.extras import need
from pictus.models import Run
from pictus.project import Project, write_text
from pictus.releases import MANIFEST, PictureReader, Release, find_release, open_release, read_manifest, split_rows
from pictus.shards import BLOCK, ShardReader
from pictus.train.feed.loader import FORESEEN, Supply
from pictus.train.feed.sampling import Positions, Windows
from pictus.train.recipes import Recipe

ADDRESS, REMOTE = "remote.json", "remote"
_TABLES = ("pictures.parquet", "concepts.parquet", "labels.parquet")
_OPTIONAL = "labels.parquet"
_AWAITED = 2 * FORESEEN  # batches: those announced, and those in the making
_COPY_BYTES = 4 * 2**20
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def found(project: Project, version_or_place: str) -> Release:
    """A release by version, folder or address (s3://BUCKET/releases/1.0.0, any that fsspec opens)."""
    if not is_place(version_or_place):
        return find_release(project, version_or_place)
    place = version_or_place.rstrip("/")
    root = project.models_dir / REMOTE / hashlib.sha256(place.encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    _copied(f"{place}/{MANIFEST}", root / MANIFEST, "")  # small, and always asked for: it may have changed
    files = read_manifest(root).get("files", {})
    for name in _TABLES:
        stated = files.get(name, {}).get("sha256", "")
        is_wanted = stated or name != _OPTIONAL
        if is_wanted and not (stated and _has(root / name, stated)):
            _copied(f"{place}/{name}", root / name, stated)
    write_text(root / ADDRESS, json.dumps({"address": place}) + "\n")
    return open_release(root, with_shards=False)


def of_run(project: Project, run: Run) -> Release:
    """The release a run was started on; a UserError when it is gone or has changed since."""
    stated = run.card.get("release") or {}
    place = str(stated.get("path", ""))
    if place and not is_place(place):
        place = str(project.root / place)
        place = place if Path(place).is_dir() else ""
    opened = found(project, place or str(stated.get("version", "")))
    if opened.digest != stated.get("digest"):
        raise UserError(
            f"The release at {opened.root} is not the one run {run.name!r} was started on: its digest is"
            f" {opened.digest[:12]}, the run's {str(stated.get('digest'))[:12]}.",
            fix="put the release back, or train again: pictus train run",
        )
    return opened


def is_place(text: str) -> bool:
    """Whether it is an address rather than a version or a folder."""
    return _URL.match(text) is not None


def address_of(release: Release) -> str:
    """Where the shards lie; empty for a release on this machine."""
    path = release.root / ADDRESS
    return str(json.loads(path.read_text(encoding="utf-8"))["address"]) if path.is_file() else ""


def shelf_of(release: Release, cache_gb: float) -> "Shelf | None":
    """The bounded cache of a remote release's shards."""
    place = address_of(release)
    if not place:
        return None
    sums = {name: one["sha256"] for name, one in release.manifest.get("files", {}).items()}
    return Shelf(place, release.root, _sizes(release), round(cache_gb * 2**30), sums)


def supplied(release: Release, split: str, shelf: "Shelf | None") -> Supply | None:
    """Pictures of a split from the shelf, their shards fetched as soon as they are announced."""
    if shelf is None:
        return None
    rows = split_rows(release, split)
    shards, offsets, sizes = (rows.column(name).to_pylist() for name in ("shard", "offset", "size"))

    def read(position: int) -> bytes:
        return shelf.read(shards[position], offsets[position], sizes[position])

    def announce(positions: Positions) -> None:
        shelf.wish(dict.fromkeys(shards[position] for position in positions.tolist()))

    return Supply(read, {"address": shelf.place}, announce)


def reader_of(release: Release, card: Mapping[str, Any]) -> "ShardReader | Shelf":
    """What reads single pictures, wherever the shards lie; with a cache as large as the run of this card had."""
    cache_gb = (card.get("recipe") or {}).get("cache_gb", Recipe("").cache_gb)
    return shelf_of(release, float(cache_gb)) or PictureReader(release)


def windows_of(release: Release, recipe: Recipe) -> Windows | None:
    """Windows of half the cache: one is read while the next is fetched."""
    if not address_of(release):
        return None
    sizes = _sizes(release)
    names = sorted(sizes)
    number = {name: place for place, name in enumerate(names)}
    shards_N = np.array([number[name] for name in split_rows(release, "train").column("shard").to_pylist()])
    bytes_S = np.array([sizes[name] for name in names], dtype=np.int64)
    return Windows(shards_N, bytes_S, round(recipe.cache_gb * 2**30) // 2)


class Shelf:
    """Whole shards from `place` in `folder`, never more than `most_bytes` of them; any number of threads read. The one
    read longest ago makes room. `sums`: sha256 of a shard where it is known.
    """

    def __init__(
        self, place: str, folder: Path, sizes: Mapping[str, int], most_bytes: int, sums: Mapping[str, str]
    ) -> None:
        for name in sizes:
            if PurePosixPath(name).is_absolute() or {"..", ""} & set(name.split("/")):
                raise UserError(f"{place} names a shard {clipped(name)!r}: that is no file of it.", fix="cut it again")
        largest = max(sizes.values(), default=0)
        if 2 * largest > most_bytes:  # one is read while the next comes
            raise UserError(
                f"A shard of {place} has {largest / 2**30:.2f} GB, two do not fit into the cache of"
                f" {most_bytes / 2**30:.2f} GB.",
                fix=f"--set cache_gb={2.1 * largest / 2**30:.2g}",
            )
        self.place, self.most_bytes = place, most_bytes
        self._folder, self._sizes, self._sums = folder, sizes, sums
        self._reader = ShardReader(folder)
        self._change = threading.Condition()
        self._here: OrderedDict[str, int] = OrderedDict()  # shard -> readers, the one read longest ago first
        self._coming: set[str] = set()
        self._n_wishes = 0
        self._wished: dict[str, int] = {}  # shard -> the last wish that named it
        self._fetchers = ThreadPoolExecutor(2, thread_name_prefix="shard")
        self.n_fetched = 0
        for name in sizes:
            if (folder / name).is_file():  # of a run before; renamed into place, so whole
                self._here[name] = 0
        with self._change:
            self._make_room(0)

    def read(self, shard: str, offset: int, size: int) -> bytes:
        """The bytes of a picture; waits for its shard."""
        with self._held(shard):
            return self._reader.read(shard, offset, size)

    def wish(self, shards: Mapping[str, None]) -> None:
        """Fetch these soon, where room can be made without those of the last announcements: they are still to be read.
        A failure is told to who reads them.
        """
        with self._change:
            self._n_wishes += 1
            self._wished |= dict.fromkeys(shards, self._n_wishes)
            wanted = [name for name in shards if name not in self._here and name not in self._coming]
            wanted = [name for name in wanted if self._make_room(self._sizes[name], self._n_wishes - _AWAITED)]
            self._coming |= set(wanted)
        for name in wanted:
            self._fetchers.submit(self._fetch, name)

    @contextmanager
    def _held(self, shard: str) -> Iterator[None]:
        is_mine = False
        with self._change:
            while shard not in self._here:
                if shard not in self._coming and self._make_room(self._sizes[shard]):
                    self._coming.add(shard)
                    is_mine = True
                    break
                self._change.wait()
            else:
                self._take(shard)
        if is_mine:
            self._fetch(shard, readers=1)
        try:
            yield
        finally:
            with self._change:
                self._here[shard] -= 1
                self._change.notify_all()

    def _take(self, shard: str) -> None:
        self._here[shard] += 1
        self._here.move_to_end(shard)

    def _fetch(self, shard: str, readers: int = 0) -> None:
        """Bring a shard whose room is taken; it comes with so many readers."""
        is_whole = False
        try:
            _copied(f"{self.place}/{shard}", self._folder / shard, self._sums.get(shard, ""))
            is_whole = True
        finally:
            with self._change:
                self._coming.discard(shard)
                if is_whole:
                    self._here[shard] = readers
                    self.n_fetched += 1
                self._change.notify_all()

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
            (self._folder / name).unlink(missing_ok=True)
        if going:
            self._reader = ShardReader(self._folder)  # the one before holds them open: they would stay on the disk
        return True


def _sizes(release: Release) -> dict[str, int]:
    """Bytes of each shard: as the manifest says, else up to its last picture."""
    files: dict[str, Any] = release.manifest.get("files", {})
    names, offsets, sizes = (release.pictures.column(name).to_pylist() for name in ("shard", "offset", "size"))
    found_sizes: dict[str, int] = {}
    for name, offset, size in zip(names, offsets, sizes, strict=True):
        found_sizes[name] = max(found_sizes.get(name, 0), offset + size + 3 * BLOCK)
    return {name: int(files.get(name, {}).get("size", size)) for name, size in found_sizes.items()}


def _has(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == sha256


def _copied(address: str, path: Path, sha256: str) -> None:
    """An object, whole or not at all; a UserError that says why it did not come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        digest = _streamed(address, temporary)
        if sha256 and digest != sha256:
            what = f"{clipped(address, 200)} is not what the release's {MANIFEST} says"
            raise UserError(
                f"{what}: its digest is {digest[:12]}, not {sha256[:12]}.", fix="copy the release there again"
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _streamed(address: str, path: Path) -> str:
    """Copy the object, digest of what came."""
    fsspec = need("fsspec", "cloud")
    state = hashlib.sha256()
    try:
        with fsspec.open(address, "rb") as source, path.open("wb") as out:
            while block := source.read(_COPY_BYTES):
                state.update(block)
                out.write(block)
    except Exception as error:  # the drivers' own kinds
        raise UserError(
            f"{clipped(address, 200)} cannot be read: {type(error).__name__}: {clipped(str(error), 200)}.",
            fix="check the address and who may read it; then run the same command again",
        ) from error
    return state.hexdigest()
