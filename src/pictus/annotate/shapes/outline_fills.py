"""The masks of many outlines at once: the same runs as `rle.from_polygons` gives one by one, some 20 times as fast.

Legend: M masks, Q corners, E edges of outlines, or places where a mask begins or ends, P pairs of masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.shapes import rle
from pictus.annotate.shapes.rle import Rle

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_CROSSED = 1_000_000
"""Columns that outlines cross, worked out at once: some 200 bytes each."""

_MIDDLE = rle.FINE // 2
"""Of a column of pixels, on the fine grid."""

_PLACE = 29
"""Bits of a place in a picture of `rle.MOST_PIXELS`."""

_MOST_PLACE = (1 << _PLACE) - 1


class Masks(NamedTuple):
    """Runs of many masks, one after the other. A mask's places: where ones begin and end, by turns, column by column.

    height_M, width_M: px; place_E; first_M: i64[M + 1], where the places of each begin.
    """

    height_M: Ints
    width_M: Ints
    place_E: Ints
    first_M: Ints


def masks_of(runs: Sequence[Rle]) -> Masks:
    """Runs as they are read one by one, together."""
    places = [np.cumsum(one.counts)[: one.counts.size // 2 * 2] for one in runs]
    first_M = np.concatenate([[0], np.cumsum([place.size for place in places])]).astype(np.int64)
    height_M, width_M = (np.array([getattr(one, side) for one in runs], np.int64) for side in ("height", "width"))
    return Masks(height_M, width_M, np.concatenate(places) if places else np.zeros(0, np.int64), first_M)


def together(parts: Sequence[Masks]) -> Masks:
    """Several lots as one, in their order."""
    sizes = np.concatenate([np.diff(part.first_M) for part in parts])
    first_M = np.concatenate([[0], np.cumsum(sizes)])
    height_M, width_M, place_E = (np.concatenate([part[at] for part in parts]) for at in range(3))
    return Masks(height_M, width_M, place_E, first_M)


def taken(masks: Masks, number_M: Ints) -> Masks:
    """Those of these numbers, in that order."""
    many_M = np.diff(masks.first_M)[number_M]
    at = np.arange(many_M.sum()) - np.repeat(np.cumsum(many_M) - many_M, many_M)
    place_E = masks.place_E[np.repeat(masks.first_M[number_M], many_M) + at]
    first_M = np.concatenate([[0], np.cumsum(many_M)])
    return Masks(masks.height_M[number_M], masks.width_M[number_M], place_E, first_M)


def filled(corners_Q2: Floats, many_M: Ints, sizes_M2: Ints) -> Masks:
    """One polygon each, filled by COCO's rule. corners_Q2: x, y px of all corners; many_M: how many each has, 1 and
    more; sizes_M2: width and height of each picture.
    """
    corner_Q2 = (rle.FINE * corners_Q2 + 0.5).astype(np.int64)
    ends = np.cumsum(many_M)
    following = np.arange(1, corner_Q2.shape[0] + 1)
    following[ends - 1] = ends - many_M
    wide_Q = np.abs(corner_Q2[following, 0] - corner_Q2[:, 0]) // rle.FINE + 1
    lot_M = np.cumsum(wide_Q)[ends - 1] // _MOST_CROSSED
    mask_Q = np.repeat(np.arange(many_M.size), many_M)
    lots = [masks_of([])]
    for lot in np.unique(lot_M).tolist():
        first, last = np.searchsorted(lot_M, [lot, lot + 1]).tolist()
        edge = slice(int(ends[first] - many_M[first]), int(ends[last - 1]))
        column, row, at = _crossed(corner_Q2[edge], corner_Q2[following[edge]])
        lots.append(_turned(column, row, mask_Q[edge][at] - first, sizes_M2[first:last]))
    return together(lots)


def _crossed(corner_E2: Ints, following_E2: Ints) -> tuple[Ints, Ints, Ints]:
    """Where edges on the fine grid cross the middle of a column of pixels: column, row on the fine grid, which edge.

    Where `rle.from_polygons` walks along every point of an edge, only the two at each crossing are worked out.
    """
    span_E2 = np.abs(following_E2 - corner_E2)
    is_flat_E = span_E2[:, 0] >= span_E2[:, 1]
    length_E = span_E2.max(axis=1, initial=0)
    is_turned_E = np.where(is_flat_E, corner_E2[:, 0] > following_E2[:, 0], corner_E2[:, 1] > following_E2[:, 1])
    start_E2, end_E2 = (np.where(is_turned_E[:, None] == turned, following_E2, corner_E2) for turned in (True, False))
    rise_E = np.where(is_flat_E, end_E2[:, 1] - start_E2[:, 1], end_E2[:, 0] - start_E2[:, 0])
    slope_E = np.where(length_E > 0, rise_E / np.maximum(length_E, 1), 0.0)
    low_E, high_E = np.minimum(start_E2[:, 0], end_E2[:, 0]), np.maximum(start_E2[:, 0], end_E2[:, 0])
    first_E = low_E + (_MIDDLE - low_E) % rle.FINE
    many_E = np.maximum(0, -((first_E - high_E) // rle.FINE))
    edge = np.repeat(np.arange(many_E.size), many_E)
    line = first_E[edge] + rle.FINE * (np.arange(edge.size) - np.repeat(np.cumsum(many_E) - many_E, many_E))
    start_u, start_v, slope, is_flat = start_E2[edge, 0], start_E2[edge, 1], slope_E[edge], is_flat_E[edge]
    step = line - start_u

    def across(begin: Ints, at: Ints) -> Ints:
        return np.asarray((begin + slope * at + 0.5).astype(np.int64))

    row = np.minimum(across(start_v, step), across(start_v, step + 1))
    # A steep edge passes from `line` to the column beside it between two steps: about here, and at one of three.
    is_rising = slope > 0
    guess = (step + 0.5) / np.where(is_flat | (slope == 0), 1.0, slope)
    guess = np.where(is_rising, np.ceil(guess) - 1, np.floor(guess)).astype(np.int64)
    passed = guess - 1
    for at in (guess, guess + 1):
        passed = np.where(np.where(is_rising, across(start_u, at) <= line, across(start_u, at) > line), at, passed)
    return (line - _MIDDLE) // rle.FINE, np.where(is_flat, row, start_v + passed), edge


def areas(masks: Masks) -> Ints:
    """Pixels that are set, i64[M]."""
    return _sums(masks.place_E[1::2] - masks.place_E[::2], masks.first_M // 2)


def boxes(masks: Masks) -> Floats:
    """The smallest box around each, f64[M, 4] x1, y1, x2, y2 px; zeros around nothing."""
    found_M4 = np.zeros((masks.height_M.size, 4))
    start, end = masks.place_E[::2], masks.place_E[1::2]
    if not start.size:
        return found_M4
    height = np.repeat(masks.height_M, np.diff(masks.first_M) // 2)
    first, last = start // height, (end - 1) // height
    is_wrapped = last > first  # a run over a column's end reaches the lower and the upper edge
    top, bottom = np.where(is_wrapped, 0, start % height), np.where(is_wrapped, height, (end - 1) % height + 1)
    is_there = np.diff(masks.first_M) > 0
    at = masks.first_M[:-1][is_there] // 2
    found_M4[is_there] = np.stack([
        np.minimum.reduceat(first, at), np.minimum.reduceat(top, at), np.maximum.reduceat(last + 1, at),
        np.maximum.reduceat(bottom, at),
    ], axis=1)  # fmt: skip
    return found_M4


def texts(masks: Masks) -> list[str]:
    """COCO's compressed run lengths of each, as `rle.to_text` writes them."""
    count, first_M = _counts(masks)
    at = np.arange(count.size) - np.repeat(first_M[:-1], np.diff(first_M))
    value = count.copy()
    value[3:] -= np.where(at[3:] > 2, count[1:-2], 0)  # noqa: PLR2004  from the fourth on, less the one two before
    sign, used = rle.groups_of(value)
    whole = sign[np.arange(sign.shape[1]) < used[:, None]].tobytes().decode("ascii")
    ends = np.concatenate([[0], np.cumsum(used)])[first_M].tolist()
    return [whole[start:end] for start, end in pairwise(ends)]


def one(masks: Masks, number: int) -> Rle:
    """One of them by itself."""
    place = masks.place_E[masks.first_M[number] : masks.first_M[number + 1]]
    height, width = int(masks.height_M[number]), int(masks.width_M[number])
    counts = np.diff(np.concatenate([[0], place, [height * width]]))
    return Rle(height, width, counts[:-1] if counts.size > 1 and counts[-1] == 0 else counts)


def overlaps(masks: Masks, first_P: Ints, second_P: Ints) -> Floats:
    """IoU of each pair of masks of one size, f64[P] in [0, 1]."""
    pair, place, step = [], [], []
    for number_P in (first_P, second_P):
        many_P = masks.first_M[number_P + 1] - masks.first_M[number_P]
        at = np.arange(many_P.sum()) - np.repeat(np.cumsum(many_P) - many_P, many_P)
        pair.append(np.repeat(np.arange(first_P.size), many_P))
        place.append(masks.place_E[np.repeat(masks.first_M[number_P], many_P) + at])
        step.append(at % 2)
    # Sorted as one number each, which takes a fifth of the time of sorting by two.
    number = np.sort(np.concatenate(pair) << _PLACE + 1 | np.concatenate(place) << 1 | np.concatenate(step))
    pairs, places, deep = number >> _PLACE + 1, number >> 1 & _MOST_PLACE, np.cumsum(1 - 2 * (number & 1))
    is_both = (deep[:-1] == 2) & (pairs[1:] == pairs[:-1])  # noqa: PLR2004  both are set
    both_P = np.bincount(pairs[:-1][is_both], weights=np.diff(places)[is_both], minlength=first_P.size)
    area_M = areas(masks)
    whole_P = area_M[first_P] + area_M[second_P] - both_P
    return np.asarray(np.where(whole_P > 0, both_P / np.where(whole_P > 0, whole_P, 1), 0.0))


def _turned(column: Ints, row: Ints, mask: Ints, sizes_M2: Ints) -> Masks:
    """Crossings in any order -> masks. Two at one pixel undo each other, one at the very end does nothing, and a mask
    that is set up to its last pixel ends behind it.
    """
    width_M, height_M = sizes_M2.T
    total_M = height_M * width_M
    is_inside = (column >= 0) & (column < width_M[mask])
    mask = mask[is_inside]
    place = np.ceil(np.clip((row[is_inside] + 0.5) / rle.FINE - 0.5, 0, height_M[mask])).astype(np.int64)
    place += column[is_inside] * height_M[mask]
    number = np.sort(mask << _PLACE | place)
    place, mask = number & _MOST_PLACE, number >> _PLACE
    is_new = np.concatenate([[True], (place[1:] != place[:-1]) | (mask[1:] != mask[:-1])])[: place.size]
    at = np.flatnonzero(is_new)
    at = at[np.diff(np.append(at, place.size)) % 2 == 1]
    at = at[place[at] < total_M[mask[at]]]
    many_M = np.bincount(mask[at], minlength=total_M.size)
    is_open = np.flatnonzero(many_M % 2)
    place = np.insert(place[at], np.cumsum(many_M)[is_open], total_M[is_open])
    many_M[is_open] += 1
    return Masks(height_M, width_M, place, np.concatenate([[0], np.cumsum(many_M)]))


def _counts(masks: Masks) -> tuple[Ints, Ints]:
    """Run lengths of all, and where those of each begin, i64[M + 1]: zeros first, no run of 0 at the end."""
    many_M = np.diff(masks.first_M)
    total_M = masks.height_M * masks.width_M
    ends = np.insert(masks.place_E, masks.first_M[1:], total_M)
    first_M = masks.first_M + np.arange(masks.first_M.size)
    begins = np.concatenate([[0], ends[:-1]])[: ends.size]
    begins[first_M[:-1]] = 0
    count = ends - begins
    is_last = np.zeros(count.size, np.bool_)
    is_last[first_M[1:] - 1] = True
    is_kept = ~(is_last & (count == 0) & np.repeat(many_M > 0, many_M + 1))
    return count[is_kept], np.concatenate([[0], np.cumsum(is_kept)])[first_M]


def _sums(values: Ints, first_M: Ints) -> Ints:
    upto = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(upto[first_M[1:]] - upto[first_M[:-1]])
