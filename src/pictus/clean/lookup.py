"""Which two pictures may hold the same thing: codes that meet in a look-up, votes per pair. Pure and exact to repeat.

A code is cut into keys of whole bytes. Two codes meet when one key is equal and at most `radius` bits differ.
Each asked code looks up, under each of its keys, the LATEST codes that were held before it (other pictures',
added earlier) and no more: a corner of a letter that a hundred thousand pictures have costs each of
them LATEST comparisons, and copies still find their latest copy. What a picture finds depends on those before
it alone, so that adding pictures later gives the rows that adding them at once would have given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.hashes import Rows

LATEST = 8

_FILTER_BITS = 24
_ASKED = 2**21  # codes looked up together: about 300 MB

U64 = npt.NDArray[np.uint64]


class Codes(NamedTuple):
    """Codes of pictures, one after the other in the order the pictures were added."""

    owner: Rows  # i64[D], ascending: row of the picture
    codes: npt.NDArray[np.uint8]  # u8[D, 32]


class Votes(NamedTuple):
    """Pairs of pictures, `held` added before `asked`, and how many codes of the one meet codes of the other."""

    asked: Rows
    held: Rows
    votes: Rows


def meetings(held: Codes, asked: Codes, *, key_bytes: int, radius: int, least: int, most: int) -> Votes:
    """Pairs of pictures of which at least `least` codes meet; of each asked picture the `most` best, latest first.

    Votes are the smaller of how many codes of the one and of the other meet. `held` may hold pictures later than an
    asked one: they are not compared.
    """
    found = [
        _tallied(asked_part, *_met(held, asked_part, key_bytes, radius), least=least, most=most)
        for asked_part in _parts(asked)
    ]
    empty = np.zeros(0, dtype=np.int64)
    columns = [np.concatenate(column) for column in zip(*found, strict=True)] if found else [empty, empty, empty]
    return Votes(*columns)


def _parts(asked: Codes) -> Iterator[Codes]:
    """Whole pictures, about _ASKED codes at once."""
    at = 0
    while at < len(asked.owner):
        until = min(at + _ASKED, len(asked.owner))
        until = int(np.searchsorted(asked.owner, asked.owner[until - 1], side="right"))
        yield Codes(asked.owner[at:until], asked.codes[at:until])
        at = until


def _met(held: Codes, asked: Codes, key_bytes: int, radius: int) -> tuple[Rows, Rows, Rows]:
    """(row of asked.codes, row of held.codes, picture that holds it), each meeting once or more."""
    before = np.searchsorted(held.owner, asked.owner)  # codes held before the asked picture's own
    held = Codes(held.owner[: before[-1]], held.codes[: before[-1]])
    wide = held.codes.view(np.uint64), asked.codes.view(np.uint64)
    pairs: list[U64] = []
    for start in range(0, held.codes.shape[1] - key_bytes + 1, key_bytes):
        keys = [_key(side.codes, start, key_bytes) for side in (held, asked)]
        rows = np.flatnonzero(_may_hold(keys[0], keys[1]))
        entries = np.sort((keys[0][rows] << np.uint64(32)) | rows.astype(np.uint64))
        limit = (keys[1] << np.uint64(32)) | before.astype(np.uint64)
        order = np.argsort(limit, kind="stable")  # looked up in order: three times faster
        place = np.searchsorted(entries, limit[order]) - 1
        for _ in range(LATEST):
            is_open = place >= 0
            order, place = order[is_open], place[is_open]
            entry = entries[place]
            has_key = entry >> np.uint64(32) == keys[1][order]
            order, place = order[has_key], place[has_key] - 1
            other = (entry[has_key] & np.uint64(2**32 - 1)).astype(np.int64)
            distance = np.bitwise_count(wide[0][other] ^ wide[1][order]).sum(axis=1, dtype=np.int64)
            is_near = distance <= radius
            pairs.append(order[is_near].astype(np.uint64) << np.uint64(32) | other[is_near].astype(np.uint64))
    met = np.unique(np.concatenate(pairs))
    other = (met & np.uint64(2**32 - 1)).astype(np.int64)
    return (met >> np.uint64(32)).astype(np.int64), other, held.owner[other]


def _may_hold(held_keys: U64, asked_keys: U64) -> npt.NDArray[np.bool_]:
    """Which held keys are worth sorting: a filter by hash that lets every asked key pass."""
    is_asked = np.zeros(2**_FILTER_BITS, dtype=np.bool_)
    is_asked[_scattered(asked_keys)] = True
    return is_asked[_scattered(held_keys)]


def _scattered(keys: U64) -> U64:
    """Multiplied by 2^64 / the golden ratio (Knuth 6.4), the upper bits taken."""
    return (keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _FILTER_BITS)


def _key(codes: npt.NDArray[np.uint8], start: int, key_bytes: int) -> U64:
    key = np.zeros(len(codes), dtype=np.uint64)
    for byte in range(start, start + key_bytes):
        key = key << np.uint64(8) | codes[:, byte]
    return key


def _tallied(asked: Codes, code: Rows, other: Rows, held_by: Rows, *, least: int, most: int) -> Votes:
    """Meetings of codes -> pairs of pictures with their votes."""
    pair = asked.owner[code] << 32 | held_by
    pairs, label = np.unique(pair, return_inverse=True)
    votes = np.minimum(*(np.bincount(np.unique(label << 32 | side) >> 32, minlength=0) for side in (code, other)))
    pairs, votes = pairs[votes >= least], votes[votes >= least]
    first, second = pairs >> 32, pairs & (2**32 - 1)
    order = np.lexsort((-second, -votes, first))
    first, second, votes = first[order], second[order], votes[order]
    place = np.arange(len(first)) - np.searchsorted(first, first)
    kept = place < most
    return Votes(first[kept], second[kept], votes[kept])
