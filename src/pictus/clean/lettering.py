"""Pages, screenshots, and writing laid over photographs; from luma alone. Pure.

Both are hints for a person, not proofs: they flag and never drop.

    text_frac   share of tiles of 16 × 16 px that look like writing on a plain ground: much of the tile has the
                picture's commonest light, ink covers a part of it, and the two change often along its lines
    overlay     how far a line of lettering stands out: the share of its pixels that are thin strokes (brighter, or
                darker, than both pixels two to the left and right by STROKE levels), less the larger share above
                and below it, over a quarter of the picture's width. A fence or a meadow has as many above and
                below; a line of type has not. Lower than 1/25 of the picture, or faint, it is not found.

Both after the strokes of Epshtein et al. 2010 ("Detecting text in natural scenes with stroke width transform"): text
is thin, of one width and in lines; reduced to what a whole pool can afford.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pictus.hashes import Luma

TILE = 16
LEAST_PEAK = 0.05
"""Share of pixels of the commonest level from which a picture can have a plain ground at all."""

LEAST_SIDE = 128
"""px of a view's long side: at 64 px (Tiny ImageNet) type cannot be told from texture."""

_GROUND, _INK = 10, 40  # levels from the commonest light

STROKE = 24
_BLOCKS = 8  # columns of blocks; lettering fills two neighbours
_HEIGHTS = (3, 5, 8)  # of a line of lettering, in every second line of the view: 1/30 to 1/12 of 188
_GAP = 1  # between a line of lettering and what is above and below

Counts = npt.NDArray[np.float32]
"""f32[H, 2, 8]: light and dark strokes of every second line of a view, in eight blocks; whole numbers."""


def text_frac(luma: Luma, histogram: list[int]) -> float:
    """u8[H, W] and the counts of its 256 levels -> 0 to 1."""
    rows, columns = luma.shape[0] // TILE, luma.shape[1] // TILE
    most = max(histogram)
    if max(luma.shape) < LEAST_SIDE or not rows or not columns or most < LEAST_PEAK * sum(histogram):
        return 0.0
    away = np.abs(luma[: rows * TILE, : columns * TILE].astype(np.int16) - histogram.index(most))
    is_ink = away >= _INK
    changes = np.zeros_like(is_ink)
    np.not_equal(is_ink[:, 1:], is_ink[:, :-1], out=changes[:, 1:])
    ground, ink, switches = (_per_tile(one) / TILE**2 for one in (away <= _GROUND, is_ink, changes))
    is_text = (ground >= 0.3) & (ink >= 0.04) & (ink <= 0.6) & (switches >= 0.1)  # noqa: PLR2004  docs/clean.md
    return float(is_text.mean())


def strokes(luma: Luma) -> Counts:
    """u8[H, W] -> what `overlays` needs of a view."""
    lines = luma[::2]
    height, width = lines.shape[0], lines.shape[1] & ~7
    if max(luma.shape) < LEAST_SIDE or width < 8 * _BLOCKS:
        return np.zeros((0, 2, _BLOCKS), dtype=np.float32)
    flat = np.ascontiguousarray(lines[:, :width]).ravel()
    centre, left, right = flat[2:-2], flat[:-4], flat[4:]  # a line's first and last two meet another's: 4 px of it
    found = np.zeros((2, len(flat)), dtype=np.bool_)
    beside = np.maximum(left, right)
    np.greater_equal(np.maximum(centre, beside) - beside, STROKE, out=found[0, 2:-2])
    np.minimum(left, right, out=beside)
    np.greater_equal(beside - np.minimum(centre, beside), STROKE, out=found[1, 2:-2])
    in_eights = np.bitwise_count(found.view(np.uint64)).reshape(2 * height, -1).astype(np.float32)
    sums: Counts = in_eights @ _in_blocks(in_eights.shape[1])  # of whole numbers: exact
    return sums.reshape(2, height, _BLOCKS).transpose(1, 0, 2)


@lru_cache(maxsize=64)
def _in_blocks(words: int) -> npt.NDArray[np.float32]:
    """Which block each eight pixels are in: f32[words, 8] of 0 and 1."""
    block = (np.arange(words) * _BLOCKS + _BLOCKS - 1) // words
    is_in: npt.NDArray[np.bool_] = np.minimum(block, _BLOCKS - 1)[:, None] == np.arange(_BLOCKS)
    return is_in.astype(np.float32)


def overlays(counts: Sequence[Counts], widths: Sequence[int]) -> npt.NDArray[np.float64]:
    """What `strokes` found in each picture, and the views' widths in px -> f64[N], 0 to 1.

    Pictures whose views are of one height are taken together.
    """
    found = np.zeros(len(counts))
    of_height: dict[int, list[int]] = defaultdict(list)
    for place, one in enumerate(counts):
        of_height[len(one)].append(place)
    for height, places in of_height.items():
        if height > 3 * _HEIGHTS[0] + 2 * _GAP:
            block = np.array([(widths[place] & ~7) / _BLOCKS for place in places])
            found[places] = _standing_out(np.stack([counts[place] for place in places])) / block
    return found


def _standing_out(counts_NH2B: Counts) -> npt.NDArray[np.float64]:
    """The most strokes in a line, less those above and below, of any height and place: f64[N], px."""
    total = np.zeros((len(counts_NH2B), counts_NH2B.shape[1] + 1, *counts_NH2B.shape[2:]), dtype=np.float32)
    np.cumsum(counts_NH2B, axis=1, out=total[:, 1:])
    best = np.zeros(len(total))
    for height in _HEIGHTS:
        sums = total[:, height:] - total[:, :-height]
        sums = np.minimum(sums[..., 1:], sums[..., :-1])  # both of two neighbouring blocks
        step = height + _GAP
        if sums.shape[1] <= 2 * step:
            continue
        inside = sums[:, step:-step] - np.maximum(sums[:, : -2 * step], sums[:, 2 * step :])
        first, last = sums[:, 0] - sums[:, step], sums[:, -1] - sums[:, -1 - step]  # at the picture's edge
        most = np.maximum(inside.max(axis=(1, 2, 3)), np.maximum(first, last).max(axis=(1, 2)))
        best = np.maximum(best, most.astype(np.float64) / height)
    return best


def _per_tile(pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many are set in each tile: bool[rows TILE, columns TILE] -> i64[rows, columns]."""
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    lines = np.add.reduce(pixels.view(np.uint8).reshape(rows, TILE, -1), axis=1, dtype=np.uint8)
    counts: npt.NDArray[np.int64] = lines.reshape(rows, columns, TILE).sum(axis=2, dtype=np.int64)
    return counts
