"""Perceptual hashes of one picture, each after its published definition.

dHash   64 bits, Krawetz 2013 ("Kind of Like That"): luma at 9 × 8, each pixel against its left neighbour.
pHash   64 bits, Zauner 2010, thresholds as in imagededup: luma at 32 × 32, DCT-II, lowest 8 × 8
        coefficients against the median of the 63 that are not the mean.
PDQ     256 bits, Meta 2017 (github.com/facebook/ThreatExchange, pdq/): luma, two passes of a box filter
        and decimation to 64 × 64, coefficients 1..16 of the DCT-II, against their median; a quality 0..100
        from the gradients of the 64 × 64 picture.

All three take many pictures at once. Coefficients are rounded before they meet the median, so that a
blank picture has one hash and not rounding noise, and the last bits of a sum, which depend on the
processor, change nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
"""u8[..., H, W]: 0.299 R + 0.587 G + 0.114 B, rounded."""

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
"""u64[N, words]: one row per picture, 64 bits per word."""

_PDQ_SIDE, _PDQ_KEPT, _PHASH_SIDE, _PHASH_KEPT = 64, 16, 32, 8
_PDQ_LEAST_SIDE = 5  # MIN_HASHABLE_DIM: below it Meta's hash is zero, its quality 0
_LONGEST_SIDE = 2**17  # a JPEG has at most 2**16; a strip of millions costs seconds and looks like nothing
_DECIMALS = 6


class Pdq(NamedTuple):
    """256 bits as Meta writes them in hexadecimal, and how much they say: under 50 Meta advises to discard."""

    bits: npt.NDArray[np.uint8]  # u8[N, 32]
    quality: npt.NDArray[np.int64]  # i64[N] in 0..100


def dhash64(luma_NHW: Luma) -> npt.NDArray[np.uint64]:
    """u8[N, 8, 9] -> u64[N]: 64 bits row by row, the first highest."""
    return _numbers(luma_NHW[:, :, 1:] > luma_NHW[:, :, :-1])


def phash64(luma_NHW: Luma) -> npt.NDArray[np.uint64]:
    """u8[N, 32, 32] -> u64[N]: 64 bits row by row, the first highest."""
    low = _low_frequencies(luma_NHW, _cosines(_PHASH_SIDE, 0, _PHASH_KEPT))
    without_mean = low.reshape(len(low), -1)[:, 1:]
    median = np.partition(without_mean, 31, axis=1)[:, 31]  # the middle of 63
    return _numbers(low >= median[:, None, None])


def pdq256(small_NHW: F32) -> Pdq:
    """f32[N, 64, 64] from `decimate` -> hashes and qualities."""
    low = _low_frequencies(small_NHW, _cosines(_PDQ_SIDE, 1, _PDQ_KEPT))
    return Pdq(_above_median(low), _quality(small_NHW))


TURNS = ("as it is", "mirrored", "upside down mirrored", "180", "transposed", "90", "270", "across")
"""The eight positions of a picture. Bit 2 of the place: rows and columns exchanged; then bit 0: columns
reversed, bit 1: rows reversed. Numbers are degrees clockwise."""


def pdq_turns(small_NHW: F32) -> Pdq:
    """f32[N, 64, 64] from `decimate` -> hashes u8[N, 8, 32] of the picture in each of TURNS, and qualities.

    Of one transform, as Meta's dihedral hashes: where rows are reversed, the coefficients of odd frequency change
    their sign along them; exchanged rows and columns exchange them. A copy turned before it was hashed differs
    in some bits, because `decimate` does not sample evenly about the middle.
    """
    low = _low_frequencies(small_NHW, _cosines(_PDQ_SIDE, 1, _PDQ_KEPT))
    sign = np.where(np.arange(1, _PDQ_KEPT + 1) % 2, -1.0, 1.0)
    turned = []
    for place in range(len(TURNS)):
        values = low.transpose(0, 2, 1) if place & 4 else low
        values = values * sign if place & 1 else values
        values = values * sign[:, None] if place & 2 else values
        turned.append(_above_median(values + 0.0))  # -0.0 and 0.0 are one value
    return Pdq(np.stack(turned, axis=1), _quality(small_NHW))


def _above_median(low_NKK: F64) -> npt.NDArray[np.uint8]:
    low = low_NKK.reshape(len(low_NKK), -1)
    # Meta's median of 256 values (Torben's) is the 128th smallest, not the mean of the middle two.
    median = np.partition(low, 127, axis=1)[:, 127]
    return np.packbits((low > median[:, None])[:, ::-1], axis=1)  # bit 255 is written first


def decimate(luma: Luma, width: int = 0, height: int = 0, factor: int = 1) -> F32:
    """Meta's filter: box twice along both axes, then 64 × 64 samples. u8[H, W] of any size -> f32[64, 64].

    Only the samples that are kept are computed: each is a weighted sum of at most 2 w - 1 lines, w the window.
    With `factor`, luma is a picture of width × height px averaged over factor × factor pixels, and each of its
    lines weighs what the lines it stands for weigh: the samples lie where they lie in the whole picture.
    Sides under 5 px are refused by Meta, and here those over 131,072: they give zeros, whose hash and quality are 0.
    """
    height, width = height or luma.shape[0], width or luma.shape[1]
    if min(width, height) < _PDQ_LEAST_SIDE or max(width, height) > _LONGEST_SIDE:
        return np.zeros((_PDQ_SIDE, _PDQ_SIDE), dtype=np.float32)
    rows, row_weights = _samples(height, factor)
    columns, column_weights = _samples(width, factor)
    half = np.einsum("tsw,ts->ws", luma.take(rows, axis=0), row_weights[:, :, 0])
    small: F32 = np.einsum("tsh,ts->hs", half.take(columns, axis=0), column_weights[:, :, 0])
    return small


def shrunk(small_NHW: F32, width: int, height: int) -> Luma:
    """f32[N, 64, 64] from `decimate` -> u8[N, height, width] by Lanczos, as Pillow resizes."""
    rows, columns = _lanczos(height), _lanczos(width)
    shrunk = np.round(rows @ small_NHW.astype(np.float64) @ columns.T, _DECIMALS)  # the last bits change no level
    return np.clip(np.rint(shrunk), 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _lanczos(side: int) -> F64:
    """Three lobes, f64[side, 64]: the weights of Pillow's LANCZOS from 64 lines to `side`."""
    scale = _PDQ_SIDE / side
    away = (np.arange(_PDQ_SIDE) + 0.5 - (np.arange(side)[:, None] + 0.5) * scale) / scale
    weights = np.where(np.abs(away) < 3, np.sinc(away) * np.sinc(away / 3), 0.0)  # noqa: PLR2004
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def words_of(pdq: list[bytes]) -> Hashes:
    """256-bit hashes as bytes -> u64[N, 4]."""
    return np.frombuffer(b"".join(pdq), dtype=np.uint64).reshape(-1, 4)


def _samples(side: int, factor: int) -> tuple[Rows, F32]:
    """Which source lines each of the 64 samples reads and how much of each: i64[taps, 64], f32[taps, 64, 1]."""
    return _known_samples(side, factor) if side <= _KNOWN_SIDE else _tent_samples(side, factor)


_KNOWN_SIDE = 20_000  # px; the weights of longer sides are larger than what remembering them saves


@lru_cache(maxsize=512)
def _known_samples(side: int, factor: int) -> tuple[Rows, F32]:
    return _tent_samples(side, factor)


def _tent_samples(side: int, factor: int) -> tuple[Rows, F32]:
    """One box of Meta's filter averages lines i - left .. i + right, cut at the borders; two in a row weigh line k
    by the sum over the lines j of the outer box, whose inner box holds k, of 1 / (outer size * inner size at j).
    """
    window = (side + 2 * _PDQ_SIDE - 1) // (2 * _PDQ_SIDE)
    right = (window + 2) // 2 - 1
    left = window - 1 - right
    centre = ((np.arange(_PDQ_SIDE) + 0.5) * side / _PDQ_SIDE).astype(np.int64)[:, None]
    outer = centre + np.arange(-left, right + 1)
    is_outer = (outer >= 0) & (outer < side)
    inner_size = np.minimum(side - 1, outer + right) - np.maximum(0, outer - left) + 1
    upto = np.zeros((_PDQ_SIDE, window + 1))
    np.cumsum(np.where(is_outer, 1 / np.where(is_outer, inner_size, 1), 0.0), axis=1, out=upto[:, 1:])
    line = centre + np.arange(-2 * left, 2 * right + 1)
    low = np.clip(line - right - centre + left, 0, window)  # of the outer box's lines, those with k in their box
    high = np.clip(line + left - centre + left + 1, 0, window)
    weights = np.take_along_axis(upto, high, axis=1) - np.take_along_axis(upto, low, axis=1)
    weights = np.where((line >= 0) & (line < side), weights, 0.0) / is_outer.sum(axis=1, keepdims=True)
    first = line[:, :1] // factor
    place = line // factor - first
    taps = int(place.max()) + 1
    flat = (np.arange(_PDQ_SIDE)[:, None] * taps + place).ravel()
    summed = np.bincount(flat, weights.ravel(), _PDQ_SIDE * taps).reshape(_PDQ_SIDE, taps)
    lines = np.clip(first + np.arange(taps), 0, (side - 1) // factor)
    return lines.T.copy(), summed.T[:, :, None].astype(np.float32)


@lru_cache(maxsize=4)
def _cosines(side: int, first: int, count: int) -> F64:
    """Rows first .. first + count of the orthonormal DCT-II matrix (up to row 0's factor): f64[count, side]."""
    scale = math.sqrt(2 / side)
    return np.array(
        [
            [scale * math.cos(math.pi / 2 / side * row * (2 * column + 1)) for column in range(side)]
            for row in range(first, first + count)
        ]
    )


def _low_frequencies(values_NSS: npt.NDArray[Any], cosines_KS: F64) -> F64:
    """C V Ct of each picture. [N, S, S], f64[K, S] -> f64[N, K, K]."""
    low: F64 = cosines_KS @ values_NSS.astype(np.float64) @ cosines_KS.T
    return np.round(low, _DECIMALS) + 0.0  # -0.0 and 0.0 are one value


def _quality(small_NSS: F32) -> npt.NDArray[np.int64]:
    """Meta's: gradients in whole hundredths of the range, their sum / 90, at most 100."""
    total = np.zeros(len(small_NSS), dtype=np.int64)
    for axis in (1, 2):
        steps = np.diff(small_NSS, axis=axis)
        steps *= 100
        steps /= 255
        total += np.abs(steps, out=steps).astype(np.int8).sum(axis=(1, 2), dtype=np.int64)  # cut towards 0, at most 100
    return np.minimum(total // 90, 100)


def _numbers(bits_NHW: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    packed = np.packbits(bits_NHW.reshape(len(bits_NHW), -1), axis=1)
    return packed.view(">u8").ravel().astype(np.uint64)
