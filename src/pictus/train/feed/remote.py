"""A release in an object store, as training reads it: announced ahead, in windows of shards (pictus.stores fetches).

An epoch's order is permuted within windows of shards (sampling.py), so that each shard is fetched once an epoch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pictus.errors import UserError
from pictus.models import Run
from pictus.project import Project
from pictus.releases import Release, split_rows
from pictus.stores import Shelf, address_of, found, is_place, sizes_of
from pictus.train.feed.loader import Supply
from pictus.train.feed.sampling import Positions, Windows
from pictus.train.recipes import Recipe


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


def supplied(release: Release, split: str, shelf: Shelf | None) -> Supply | None:
    """Pictures of a split from the shelf, their shards fetched as soon as they are announced."""
    if shelf is None:
        return None
    rows = split_rows(release, split)
    shards, offsets, sizes = (rows.column(name).to_pylist() for name in ("shard", "offset", "size"))
    left = threading.Event()

    def read(position: int) -> bytes:
        return shelf.read(shards[position], offsets[position], sizes[position], left)

    def announce(positions: Positions) -> None:
        shelf.wish(dict.fromkeys(shards[position] for position in positions.tolist()), left)

    @contextmanager
    def reading() -> Iterator[Callable[[], None]]:
        try:
            yield lambda: shelf.leave(left)
        finally:
            left.clear()

    return Supply(read, {"address": shelf.place}, announce, reading)


def windows_of(release: Release, recipe: Recipe) -> Windows | None:
    """Windows of half the cache: one is read while the next is fetched."""
    if not address_of(release):
        return None
    sizes = sizes_of(release)
    names = sorted(sizes)
    number = {name: place for place, name in enumerate(names)}
    shards_N = np.array([number[name] for name in split_rows(release, "train").column("shard").to_pylist()])
    bytes_S = np.array([sizes[name] for name in names], dtype=np.int64)
    return Windows(shards_N, bytes_S, round(recipe.cache_gb * 2**30) // 2)
