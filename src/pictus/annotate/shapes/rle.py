"""Masks as COCO run lengths: encode, decode, area, box, overlap, union, and polygons filled by COCO's rule.

A picture is read column by column, top to bottom; the runs take turns, the first is of zeros. As JSON it is
{"size": [height, width], "counts": …}: a list of run lengths, or a text of them ("compressed"): each number,
from the fourth on less the one two before, in groups of 5 bits, the lowest first, bit 6 set where more follow,
bit 5 of the last group the sign, each group a character from chr(48) on. Lin et al. 2014 (COCO), §3; the same
numbers as pycocotools gives, which tests compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.errors import UserError, clipped

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

MOST_TEXT = 1_000_000
"""Characters of one compressed mask: a 100 MP picture of noise would need more, nothing that people draw does."""

MOST_PIXELS = 400_000_000
_GROUPS = 7
"""5-bit groups a run may take: 35 bits hold any run of MOST_PIXELS with its sign."""

FINE = 5
"""COCO draws outlines on a grid of fifths of a pixel."""


class Rle(NamedTuple):
    """One mask. `counts`: i64[R] run lengths, zeros first, that sum to height × width; only the first may be 0."""

    height: int
    width: int
    counts: Ints


def encode(mask: Mask) -> Rle:
    """bool[H, W] -> its runs."""
    height, width = mask.shape
    flat = np.asarray(mask, np.bool_).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = [0, 0] if flat.size and flat[0] else [0]
    return Rle(height, width, np.diff(np.concatenate([starts, changes, [flat.size]])).astype(np.int64))


def decode(rle: Rle) -> Mask:
    """Runs -> bool[H, W]."""
    values = np.arange(rle.counts.size) % 2 == 1
    return np.repeat(values, rle.counts).reshape((rle.height, rle.width), order="F")


def crop(rle: Rle, x1: int, y1: int, x2: int, y2: int) -> Mask:
    """The part of a mask from column x1 to x2 and row y1 to y2 (ends outside), without decoding the rest."""
    ends = np.clip(np.cumsum(rle.counts) - x1 * rle.height, 0, (x2 - x1) * rle.height)
    values = np.arange(rle.counts.size) % 2 == 1
    columns = np.repeat(values, np.diff(ends, prepend=0)).reshape((rle.height, x2 - x1), order="F")
    return columns[y1:y2]


def placed(mask: Mask, x1: int, y1: int, height: int, width: int) -> Rle:
    """A crop put back at column x1, row y1 of an empty picture."""
    columns = np.zeros((height, mask.shape[1]), np.bool_)
    columns[y1 : y1 + mask.shape[0]] = mask
    inner = encode(columns).counts
    before, after = x1 * height, (width - x1 - mask.shape[1]) * height
    counts = inner.copy()
    counts[0] += before
    if counts.size % 2 == 0 and after:
        counts = np.append(counts, 0)
    counts[-1] += after
    return Rle(height, width, counts)


def area(rle: Rle) -> int:
    """Pixels that are set."""
    return int(rle.counts[1::2].sum())


def box(rle: Rle) -> tuple[float, float, float, float]:
    """The smallest box around what is set, x1, y1, x2, y2 in px (right and bottom edge outside); zeros for nothing."""
    start, end = _runs(rle)
    if not start.size:
        return (0.0, 0.0, 0.0, 0.0)
    first, last = start // rle.height, (end - 1) // rle.height
    top, bottom = start % rle.height, (end - 1) % rle.height
    is_wrapped = bool(np.any(last > first))  # a run over a column's end reaches the lower and the upper edge
    y1 = 0 if is_wrapped else int(top.min())
    y2 = rle.height if is_wrapped else int(bottom.max()) + 1
    return (float(first.min()), float(y1), float(last.max() + 1), float(y2))


def merge(rles: Sequence[Rle], *, intersect: bool = False) -> Rle:
    """The union of masks of one size, or what all of them cover."""
    if len(rles) == 1:
        return rles[0]
    height, width = _one_size(rles)
    total = height * width
    place, step = [], []
    for rle in rles:
        start, end = _runs(rle)
        place += [start, end]
        step += [np.ones(start.size, np.int64), -np.ones(end.size, np.int64)]
    places, deltas = np.concatenate(place), np.concatenate(step)
    at, first = np.unique(places, return_index=True)  # sums of what happens at one place
    order = np.argsort(places, kind="stable")
    sums = np.add.reduceat(deltas[order], np.searchsorted(places[order], at)) if first.size else deltas
    is_set = np.cumsum(sums) >= (len(rles) if intersect else 1)
    changes = at[np.diff(np.concatenate([[False], is_set])) != 0]
    edges = np.concatenate([[0], changes, [total]])
    counts = np.diff(edges)
    if counts.size > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return Rle(height, width, counts.astype(np.int64))


def iou(first: Rle, second: Rle, *, is_crowd: bool = False) -> float:
    """Overlap in [0, 1]; of a crowd the share of `first` that lies in it. Two empty masks overlap by 0."""
    both = area(merge([first, second], intersect=True)) if _boxes_meet(first, second) else 0
    whole = area(first) if is_crowd else area(first) + area(second) - both
    return both / whole if whole else 0.0


def to_text(rle: Rle) -> str:
    """The compressed form of the runs."""
    value = rle.counts.astype(np.int64).copy()
    value[3:] -= rle.counts[1:-2]
    groups, used = groups_of(value)
    return groups[np.arange(_GROUPS) < used[:, None]].tobytes().decode("ascii")


def groups_of(value: Ints) -> tuple[NDArray[np.uint8], Ints]:
    """Numbers in groups of 5 bits -> the character of each group u8[R, 7], and how many are used i64[R]."""
    groups = np.zeros((value.size, _GROUPS), np.uint8)
    used = np.zeros(value.size, np.int64)
    left, is_open = value, np.ones(value.size, np.bool_)
    for number in range(_GROUPS):
        low = left & 0x1F
        left = left >> 5
        has_more = np.where(low & 0x10, left != -1, left != 0)
        groups[:, number] = np.where(is_open, low + np.where(has_more, 0x20, 0) + 48, 0)
        used = np.where(is_open, number + 1, used)
        is_open = is_open & has_more
        if not is_open.any():
            break
    return groups, used


def from_json(given: object, *, height: int = 0, width: int = 0) -> Rle:
    """{"size", "counts"} -> runs; UserError for what is none, or is not of the size expected (0: any)."""
    size = given.get("size") if isinstance(given, dict) else None
    counts = given.get("counts") if isinstance(given, dict) else None
    is_size = isinstance(size, (list, tuple)) and len(size) == 2 and all(_is_count(side) and side > 0 for side in size)  # noqa: PLR2004  height, width
    if not is_size or not isinstance(size, (list, tuple)):
        raise _no_mask(f"its size is {told(size)}, not [height, width]")
    if size[0] * size[1] > MOST_PIXELS:
        raise _no_mask(f"{size[0]:,} × {size[1]:,} px are more than a picture may have")
    if height and width and (size[0], size[1]) != (height, width):
        raise _no_mask(f"it is {size[1]} × {size[0]} px, the picture {width} × {height}")
    if isinstance(counts, (str, bytes)):
        runs = _from_text(counts)
    elif isinstance(counts, (list, tuple)):
        if len(counts) > MOST_TEXT or not all(_is_count(run) for run in counts):
            raise _no_mask("its counts are not whole numbers of 0 or more")
        runs = np.array(counts, np.int64)
    else:
        raise _no_mask(f"its counts are {told(counts)}, neither a text nor a list")
    if runs.size and int(runs.min()) < 0:
        raise _no_mask("one of its runs is negative")
    if int(runs.sum()) != size[0] * size[1]:
        raise _no_mask(f"its runs make {int(runs.sum()):,} px, {size[1]} × {size[0]} are {size[0] * size[1]:,}")
    return _plain(Rle(int(size[0]), int(size[1]), runs))


def to_json(rle: Rle) -> dict[str, Any]:
    """{"size": [height, width], "counts": compressed}."""
    return {"size": [rle.height, rle.width], "counts": to_text(rle)}


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """The union of polygons [x1, y1, x2, y2, …] px, each filled by COCO's rule (even-odd on its outline in fifths)."""
    empty = Rle(height, width, np.array([height * width], np.int64))
    return merge([empty, *(_filled(np.asarray(one, np.float64).reshape(-1, 2), height, width) for one in polygons)])


def told(value: object) -> str:
    """`errors.clipped` for parsed JSON, which may hold what Python will not write: huge numbers, bottomless lists."""
    try:
        return clipped(value)
    except (ValueError, RecursionError):
        return "something endless"


def _runs(rle: Rle) -> tuple[Ints, Ints]:
    """Start and end of each run of ones, in pixels read column by column."""
    ends = np.cumsum(rle.counts)
    start, end = ends[:-1:2][: rle.counts.size // 2], ends[1::2]
    is_real = end > start
    return start[is_real], end[is_real]


def _plain(rle: Rle) -> Rle:
    """Without runs of 0 but the first: the one way to write a mask."""
    if not np.any(rle.counts[1:] == 0):
        return rle
    start, end = _runs(rle)
    joins = np.flatnonzero(start[1:] == end[:-1])
    edges = np.stack([np.delete(start, joins + 1), np.delete(end, joins)], axis=1).ravel()
    counts = np.diff(np.concatenate([[0], edges, [rle.height * rle.width]]))
    return Rle(rle.height, rle.width, counts[:-1] if counts.size > 1 and counts[-1] == 0 else counts)


def _from_text(text: str | bytes) -> Ints:
    if len(text) > MOST_TEXT:
        raise _no_mask(f"its counts have {len(text):,} characters; {MOST_TEXT:,} are the most")
    try:
        code = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise _no_mask("its counts hold a sign that run lengths never do") from None
    if not code.size or np.any((code < 0) | (code > 0x3F)):  # noqa: PLR2004  six bits
        raise _no_mask("its counts hold a sign that run lengths never do" if code.size else "its counts are empty")
    is_last = (code & 0x20) == 0
    if not is_last[-1]:
        raise _no_mask("its counts end in the middle of a number")
    number = np.cumsum(is_last) - is_last
    first = np.concatenate([[0], np.flatnonzero(is_last)[:-1] + 1])
    place = np.arange(code.size) - first[number]
    if np.any(place >= _GROUPS):
        raise _no_mask("one of its runs is longer than any picture")
    value = np.zeros(first.size, np.int64)
    np.add.at(value, number, (code & 0x1F) << (5 * place))
    last = np.flatnonzero(is_last)
    value -= np.where(code[last] & 0x10, np.int64(1) << (5 * (place[last] + 1)), 0)
    value[1::2] = np.cumsum(value[1::2])
    value[2::2] = np.cumsum(value[2::2])
    return value


def _filled(points: NDArray[np.float64], height: int, width: int) -> Rle:
    """One polygon, f64[P, 2] px: where its outline crosses the middle of a column, the column changes from there."""
    corner = (FINE * points + 0.5).astype(np.int64)
    u, v = _outline(corner)
    moved = np.flatnonzero(u[1:] != u[:-1]) + 1
    before, after = moved - 1, moved
    column = (np.where(u[after] < u[before], u[after], u[after] - 1) + 0.5) / FINE - 0.5
    is_middle = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    row = (np.where(v[after] < v[before], v[after], v[before]) + 0.5) / FINE - 0.5
    row = np.ceil(np.clip(row, 0, height))
    places = np.sort((column[is_middle] * height + row[is_middle]).astype(np.int64))
    places = np.append(places, height * width)
    counts = np.diff(np.concatenate([[0], places]))
    return _plain(Rle(height, width, counts))


def _outline(corner: Ints) -> tuple[Ints, Ints]:
    """Every point of the closed outline on the fine grid: along the longer side of each edge one by one."""
    following = np.roll(corner, -1, axis=0)
    span = np.abs(following - corner)
    is_flat = span[:, 0] >= span[:, 1]
    length = np.where(is_flat, span[:, 0], span[:, 1])
    is_turned = np.where(is_flat, corner[:, 0] > following[:, 0], corner[:, 1] > following[:, 1])
    start = np.where(is_turned[:, None], following, corner)
    end = np.where(is_turned[:, None], corner, following)
    rise = np.where(is_flat, end[:, 1] - start[:, 1], end[:, 0] - start[:, 0])
    slope = rise / np.maximum(length, 1)
    slope = np.where(length == 0, 0.0, slope)
    edge = np.repeat(np.arange(len(corner)), length + 1)
    at = np.arange(edge.size) - np.repeat(np.cumsum(length + 1) - (length + 1), length + 1)
    at = np.where(is_turned[edge], length[edge] - at, at)
    along = np.where(is_flat, start[:, 0], start[:, 1])[edge] + at
    across = (np.where(is_flat, start[:, 1], start[:, 0])[edge] + slope[edge] * at + 0.5).astype(np.int64)
    return np.where(is_flat[edge], along, across), np.where(is_flat[edge], across, along)


def _boxes_meet(first: Rle, second: Rle) -> bool:
    a, b = box(first), box(second)
    _one_size([first, second])
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _one_size(rles: Sequence[Rle]) -> tuple[int, int]:
    sizes = {(rle.height, rle.width) for rle in rles}
    if len(sizes) != 1:
        message = f"masks of one size expected, found {sorted(sizes)}"
        raise ValueError(message)
    return sizes.pop()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_PIXELS


def _no_mask(why: str) -> UserError:
    return UserError(f"This is no mask: {why}.", fix='{"size": [height, width], "counts": run lengths as in COCO}')
