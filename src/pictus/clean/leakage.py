"""Which pictures of the pool are in an evaluation set, or near one that is. Pure: hashes in, leaks out.

A set is a list of hashes without pictures. Compared is what both sides have, the surest first: the sha256 of the
bytes, of the pixels, then the three perceptual hashes as `duplicates` does, or PDQ alone within Meta's 31 bits where
the set has no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pictus import neighbours
from pictus.clean import duplicates
from pictus.hashes import Hashes, Rows
from pictus.records import Leak

PDQ_RADIUS = 31
"""Meta's for "the same picture" of 256 bits."""


class Side(NamedTuple):
    """One side of the comparison, a row each. A hash that is not known is "" or has quality -1."""

    names: list[str]
    sha256: list[str]
    pixel_sha256: list[str]
    hashes: Hashes  # u64[N, 6]: pHash, dHash, PDQ
    quality: Rows  # PDQ's
    has_all: np.ndarray[tuple[int], np.dtype[np.bool_]]  # pHash and dHash too, not only PDQ


def find(pool: Side, items: Side, name: str, *, radius: int = duplicates.RADIUS) -> list[Leak]:
    """Each picture of the pool that is in the set `name`, once, with the surest evidence, in the pool's order."""
    best: dict[int, tuple[int, int, int]] = {}  # row -> (how sure, distance, item)
    for sure, distance, row, item in (*_equal(pool, items), *_near(pool, items, radius)):
        best[row] = min(best.get(row, (9, 0, 0)), (sure, distance, item))
    return [_leak(pool, items, name, row, *best[row]) for row in sorted(best)]


def _equal(pool: Side, items: Side) -> Iterator[tuple[int, int, int, int]]:
    for sure, (here, there) in enumerate(((pool.sha256, items.sha256), (pool.pixel_sha256, items.pixel_sha256))):
        first = {digest: item for item, digest in reversed(list(enumerate(there))) if digest}
        yield from ((sure, 0, row, first[digest]) for row, digest in enumerate(here) if digest in first)


def _near(pool: Side, items: Side, radius: int) -> Iterator[tuple[int, int, int, int]]:
    here = np.flatnonzero(pool.quality >= duplicates.LEAST_QUALITY)
    usable = items.quality >= duplicates.LEAST_QUALITY
    for wanted, start, limit, how in (
        (np.flatnonzero(usable & items.has_all), 0, radius, {"key_radius": duplicates.KEY_RADIUS, "keys": 2}),
        (np.flatnonzero(usable & ~items.has_all), 2, min(radius, PDQ_RADIUS), {}),
    ):
        if len(here) and len(wanted):
            mine, theirs = pool.hashes[here][:, start:], items.hashes[wanted][:, start:]
            same, first = duplicates.first_of_equal(mine), np.unique(duplicates.first_of_equal(theirs))
            heads, there = np.unique(same), wanted[first]  # each different hash is looked up once, and has one item
            found = neighbours.nearest_between(mine[heads], theirs[first], limit, **how)
            place = np.full(len(mine), -1, dtype=np.int64)
            place[heads[found.first]] = np.arange(len(found.first))
            is_near = place[same] >= 0
            which = place[same][is_near]
            columns = (found.distance[which].tolist(), here[is_near].tolist(), there[found.second[which]].tolist())
            yield from ((2, *each) for each in zip(*columns, strict=True))


def _leak(pool: Side, items: Side, name: str, row: int, sure: int, distance: int, item: int) -> Leak:  # noqa: PLR0917  one row of `find`
    bits = duplicates.HASH_BITS if items.has_all[item] else 256
    relation = ("bytes", "pixels", "near")[sure]
    how = {
        "bytes": "the same file as", "pixels": "the same pixels as", "near": f"{distance} of {bits} bits differ from"
    }  # fmt: skip
    reason = f"{how[relation]} {items.names[item]} of {name}"
    return Leak(pool.names[row], name, items.names[item], relation, distance, reason)
