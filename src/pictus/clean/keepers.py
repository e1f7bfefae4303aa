"""Which picture of a group stays: an order of words, each a question in which the better one wins. Pure.

resolution   more pixels, then colour, then more bytes
quality      the better JPEG quality (a lossless file counts as 100), then sharper edges
licence      the freer licence; known before unknown
age          added earlier

Whatever was asked first, `resolution` comes after it, and who was added first is kept in the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.errors import UserError, counted
from pictus.hashes import Rows
from pictus.registry import unknown

RESOLUTION, QUALITY, LICENCE, AGE = "resolution", "quality", "licence", "age"
WORDS = (RESOLUTION, QUALITY, LICENCE, AGE)
UNKNOWN = 9

_LOSSLESS = 100
_FREEDOM = (
    (r"-cc-?0-|-zero-", 0),
    (r"-pdm?-|public-?domain", 1),
    (r"by-nc-nd-", 7),
    (r"by-nc-sa-", 6),
    (r"by-nc-|non-?commercial", 5),
    (r"by-nd-|no-?deriv", 4),
    (r"by-sa-|share-?alike", 3),
    (r"(^|-cc|-licenses?)-by-|-attribution-", 2),
    (r"-all-rights-reserved-|-copyright|-proprietary-|-fair-use-", 8),
)
"""From the freest on: how Creative Commons orders its licences by what they allow. The first that matches counts."""

_PLAIN = {
    0: "CC0", 1: "public domain", 2: "CC BY", 3: "CC BY-SA", 4: "CC BY-ND", 5: "CC BY-NC", 6: "CC BY-NC-SA",
    7: "CC BY-NC-ND", 8: "all rights reserved", UNKNOWN: "unknown",
}  # fmt: skip


class Merits(NamedTuple):
    """What makes pictures worth keeping, one row each, in the order they were added."""

    width: Rows
    height: Rows
    is_grey: npt.NDArray[np.bool_]
    size: Rows  # bytes
    jpeg_quality: Rows  # 0: no JPEG
    sharpness: npt.NDArray[np.float64]
    freedom: Rows  # of the licence, 0 the freest, UNKNOWN last
    added: Rows  # a time


class Order(NamedTuple):
    """Pictures by worth. `rank`: place of each row, 0 is best; `columns`: what was asked, smaller is better."""

    rank: Rows
    columns: tuple[tuple[str, npt.NDArray[np.float64]], ...]


def read_keep(words: Sequence[str]) -> tuple[str, ...]:
    """The words as asked for; `resolution` when there are none."""
    asked = tuple(part for word in words for part in word.replace(",", " ").split())
    for word in asked:
        if word not in WORDS:
            raise unknown("reason to keep", word, list(WORDS))
    if len(set(asked)) < len(asked):
        raise UserError(
            f"--keep {' '.join(asked)}: {counted(len(asked) - len(set(asked)), 'word')} stands twice.",
            fix=f"pictus clean dedupe --keep {' --keep '.join(dict.fromkeys(asked))}",
        )
    return asked or (RESOLUTION,)


def freedom(licences: Iterable[str]) -> int:
    """The freest of a picture's licences: 0 CC0 … 8 all rights reserved, 9 unknown."""
    return min(map(_freedom, licences), default=UNKNOWN)


def _freedom(licence: str) -> int:
    text = f"-{re.sub('[^a-z0-9]+', '-', licence.lower().replace('©', ' copyright ')).strip('-')}-"
    return next((place for words, place in _FREEDOM if re.search(words, text)), UNKNOWN)


def order(merits: Merits, keep: Sequence[str] = (RESOLUTION,)) -> Order:
    """Rank pictures by the words of `keep`, then by resolution, then by who came first."""
    columns = [column for word in dict.fromkeys((*keep, RESOLUTION)) for column in _columns(word, merits)]
    place = np.lexsort((np.arange(len(merits.size)), *(values for _, values in reversed(columns))))
    rank = np.empty(len(place), dtype=np.int64)
    rank[place] = np.arange(len(place))
    return Order(rank, tuple(columns))


def _columns(word: str, merits: Merits) -> list[tuple[str, npt.NDArray[np.float64]]]:
    if word == QUALITY:
        coded = np.where(merits.jpeg_quality == 0, _LOSSLESS, merits.jpeg_quality)
        return [("jpeg", -coded.astype(np.float64)), ("sharp", -merits.sharpness.astype(np.float64))]
    if word == LICENCE:
        return [("licence", merits.freedom.astype(np.float64))]
    if word == AGE:
        return [("age", merits.added.astype(np.float64))]
    pixels = (merits.width * merits.height).astype(np.float64)
    return [
        ("pixels", -pixels), ("colour", merits.is_grey.astype(np.float64)), ("bytes", -merits.size.astype(np.float64))
    ]  # fmt: skip


def why_kept(merits: Merits, asked: Order, keeper: int, others: Sequence[int]) -> str:
    """In what the keeper is better than every other of its group."""
    size = f"{merits.width[keeper]} × {merits.height[keeper]} px"
    of_size = f" of {size}" if asked.columns[0][0] == "pixels" else ""
    rivals = np.asarray(others, dtype=np.int64)
    for name, values in asked.columns:
        equal = rivals[values[rivals] == values[keeper]]
        if not len(equal):
            return f"kept: {_superlative(merits, name, keeper, len(rivals) + 1, of_size)}"
        rivals = equal
    return f"kept: added first of {len(rivals) + 1}{of_size or ' that are equal otherwise'}"


def _superlative(merits: Merits, name: str, keeper: int, count: int, of_size: str) -> str:
    size = f"{merits.width[keeper]} × {merits.height[keeper]} px"
    words = {
        "pixels": f"{size} is the largest of {count}",
        "colour": f"the one in colour of {count}{of_size}",
        "bytes": f"{size}, and the most bytes ({merits.size[keeper]:,}) of {count} of this size",
        "jpeg": f"the best coded of {count} ({_coded(merits, keeper)})",
        "sharp": f"the sharpest of {count} ({merits.sharpness[keeper]:,.0f})",
        "licence": f"the freest licence of {count} ({_PLAIN[int(merits.freedom[keeper])]})",
        "age": f"the oldest of {count}",
    }
    return words[name]


def why_better(merits: Merits, asked: Order, keeper: int, row: int) -> str:
    """What the keeper has that the other has not: "has more pixels (640 × 480)"."""
    name = next((name for name, values in asked.columns if values[keeper] != values[row]), "")
    words = {
        "pixels": f"has more pixels ({merits.width[keeper]} × {merits.height[keeper]})",
        "colour": "has colour",
        "bytes": f"has more bytes ({merits.size[keeper]:,})",
        "jpeg": f"is better coded ({_coded(merits, keeper)}, not {_coded(merits, row)})",
        "sharp": f"is sharper ({merits.sharpness[keeper]:,.0f}, not {merits.sharpness[row]:,.0f})",
        "licence": f"has the freer licence ({_PLAIN[int(merits.freedom[keeper])]},"
        f" not {_PLAIN[int(merits.freedom[row])]})",
        "age": "is older",
        "": "was added first",
    }
    return words[name]


def _coded(merits: Merits, row: int) -> str:
    return f"JPEG quality {merits.jpeg_quality[row]}" if merits.jpeg_quality[row] else "no JPEG"
