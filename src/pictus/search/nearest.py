"""Exact cosine search over blocks of unit vectors. Legend: N vectors, D features, B in one block, R chosen rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

KEPT_BYTES = 64 * 2**20
"""Vectors of one concept held while its mean is not known yet: 43,000 of 384 features."""


class Block(NamedTuple):
    """Some pictures and their vectors: string[B], f32[B, D], every row of length 1."""

    ids: pa.Array
    vectors_BD: Floats


class Found(NamedTuple):
    """One neighbour; score is the cosine, -1..1."""

    image_id: str
    score: float


def nearest(
    query_D: Floats, blocks: Iterable[Block], count: int, *, allowed: AbstractSet[str] | None = None,
    excluded: AbstractSet[str] = frozenset(),
) -> list[Found]:  # fmt: skip
    """The `count` >= 1 nearest of all, best first, equal scores by id; exactly `count` where so many exist.

    `allowed` and `excluded` narrow before ranking, never after: a filter costs no results. They are
    asked only about rows that could still enter the answer, so that a million ids cost little.

    Blocks are ranked in float32 and what could be among the nearest once more in float64, row by
    row: equal vectors get equal scores wherever they lie, which a matrix product does not promise.
    """
    query = _unit(query_D)
    # |error| of a float32 dot product of unit vectors is at most D · 2^-24 (Higham 2002, §3.1), that of
    # rounding them 2 · 2^-24; twice that.
    error = (len(query) + 2) * float(np.finfo(np.float32).eps)
    best: list[Found] = []
    more: list[Found] = []
    for block in blocks:
        scores_B = block.vectors_BD @ query.astype(np.float32)
        floor = best[-1].score - error if len(best) == count else -np.inf
        rows_R = np.flatnonzero(scores_B >= floor)
        if allowed is not None or excluded:
            rows_R = rows_R[_wanted(block.ids.take(pa.array(rows_R)), allowed, excluded)]
        if len(rows_R) > count:
            last = np.partition(scores_B[rows_R], -count)[-count]
            rows_R = rows_R[scores_B[rows_R] >= last - 2 * error]
        more += _scored(query, block, rows_R)
        if len(more) >= count:  # not at every block: sorting 10,000 costs more than the block
            best, more = _best([*best, *more], count), []
    return _best([*best, *more], count)


def typical(
    read: Callable[[], Iterable[Block]], members: AbstractSet[str], count: int, *, kept_bytes: int = KEPT_BYTES
) -> list[Found] | None:
    """The `count` members nearest to the mean direction of all of them; None when they have none.

    `read` streams the whole index: once, and once more only when the members' vectors exceed `kept_bytes`.
    """
    kept: list[Block] = []
    size = 0

    def first() -> Iterator[Block]:
        nonlocal size
        for block in only(read(), members):
            size += block.vectors_BD.nbytes
            if size <= kept_bytes:
                kept.append(block)
            else:
                kept.clear()
            yield block

    heart = centroid(first())
    if heart is None:
        return None
    if size <= kept_bytes:
        return nearest(heart, kept, count)
    return nearest(heart, read(), count, allowed=members)  # asks few rows: a copy of most of the index costs more


def only(blocks: Iterable[Block], members: AbstractSet[str]) -> Iterator[Block]:
    """The rows of some pictures, copied; blocks without any are left out."""
    for block in blocks:
        rows_R = np.flatnonzero(_wanted(block.ids, members, frozenset()))
        if len(rows_R):
            yield Block(block.ids.take(pa.array(rows_R)), block.vectors_BD[rows_R])


def centroid(blocks: Iterable[Block]) -> Floats | None:
    """The mean direction of all vectors, f32[D]; None when there are none or they cancel out."""
    total: npt.NDArray[np.float64] | None = None
    for block in blocks:
        part = block.vectors_BD.sum(0, dtype=np.float64)
        total = part if total is None else total + part
    return None if total is None or not total.any() else _unit(total).astype(np.float32)


def _wanted(ids: pa.Array, allowed: AbstractSet[str] | None, excluded: AbstractSet[str]) -> npt.NDArray[np.bool_]:
    listed = ids.to_pylist()
    return np.fromiter(
        ((allowed is None or image_id in allowed) and image_id not in excluded for image_id in listed),
        np.bool_,
        len(listed),
    )


def _scored(query: npt.NDArray[np.float64], block: Block, rows_R: Rows) -> list[Found]:
    vectors_RD = block.vectors_BD[rows_R].astype(np.float64)  # of length 1 only to float32's seventh digit
    lengths_R = np.sqrt((vectors_RD**2).sum(1))
    scores_R = ((vectors_RD * query).sum(1) / lengths_R).clip(-1, 1)
    return list(map(Found, block.ids.take(pa.array(rows_R)).to_pylist(), scores_R.tolist()))


def _best(found: list[Found], count: int) -> list[Found]:
    return sorted(found, key=lambda one: (-one.score, one.image_id))[:count]


def _unit(vector_D: npt.ArrayLike) -> npt.NDArray[np.float64]:
    vector = np.asarray(vector_D, np.float64)
    return vector / max(float(np.linalg.norm(vector)), np.finfo(np.float64).tiny)
