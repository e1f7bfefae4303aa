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
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
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
    low = _low_frequencies(small_NHW, _cosines(_PDQ_SIDE, 1, _PDQ_KEPT)).reshape(len(small_NHW), -1)
    # Meta's median of 256 values (Torben's) is the 128th smallest, not the mean of the middle two.
    median = np.partition(low, 127, axis=1)[:, 127]
    bits = np.packbits((low > median[:, None])[:, ::-1], axis=1)  # bit 255 is written first
    return Pdq(bits, _quality(small_NHW))


def decimate(luma: Luma, width: int = 0, height: int = 0, factor: int = 1) -> F32:
    """Meta's filter: box twice along both axes, then 64 × 64 samples. u8[H, W] of any size -> f32[64, 64].

    Only the samples that are kept are computed: each is a weighted sum of at most 2 w - 1 lines, w the window.
    With `factor`, luma is a picture of width × height px averaged over factor × factor pixels, and each of its
    lines weighs what the lines it stands for weigh: the samples lie where they lie in the whole picture.
    Sides under 5 px are refused by Meta: they give zeros, whose hash is zero and quality 0.
    """
    height, width = height or luma.shape[0], width or luma.shape[1]
    if min(width, height) < _PDQ_LEAST_SIDE:
        return np.zeros((_PDQ_SIDE, _PDQ_SIDE), dtype=np.float32)
    rows, row_weights = _samples(height, factor)
    columns, column_weights = _samples(width, factor)
    half = luma[rows[0]] * row_weights[0]
    for lines, weights in zip(rows[1:], row_weights[1:], strict=True):
        half += luma[lines] * weights
    small: F32 = half[:, columns[0]] * column_weights[0].T
    for lines, weights in zip(columns[1:], column_weights[1:], strict=True):
        small += half[:, lines] * weights.T
    return small


def words_of(pdq: list[bytes]) -> Hashes:
    """256-bit hashes as bytes -> u64[N, 4]."""
    return np.frombuffer(b"".join(pdq), dtype=np.uint64).reshape(-1, 4)


@lru_cache(maxsize=512)
def _samples(side: int, factor: int) -> tuple[Rows, F32]:
    """Which source lines each of the 64 samples reads and how much of each: i64[taps, 64], f32[taps, 64, 1].

    One box of Meta's filter averages lines i - left .. i + right, cut at the borders; two in a row
    weigh line k by the sum over the lines j of the outer box of 1 / (outer size * inner size at j).
    """
    window = (side + 2 * _PDQ_SIDE - 1) // (2 * _PDQ_SIDE)
    right = (window + 2) // 2 - 1
    box = np.arange(-(window - 1 - right), right + 1)
    centre = ((np.arange(_PDQ_SIDE) + 0.5) * side / _PDQ_SIDE).astype(np.int64)
    outer = centre[:, None] + box
    is_outer = (outer >= 0) & (outer < side)
    inner = outer[:, :, None] + box
    is_inner = (inner >= 0) & (inner < side) & is_outer[:, :, None]
    weights = is_inner / np.maximum(is_inner.sum(axis=2, keepdims=True), 1)
    weights /= is_outer.sum(axis=1)[:, None, None]
    first = (centre + 2 * box[0]) // factor
    taps = int(((centre + 2 * box[-1]) // factor - first).max()) + 1
    summed = np.zeros((_PDQ_SIDE, taps))
    np.add.at(summed, (np.arange(_PDQ_SIDE)[:, None, None], inner // factor - first[:, None, None]), weights)
    lines = np.clip(first[:, None] + np.arange(taps), 0, (side - 1) // factor)
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
    down = (np.diff(small_NSS, axis=1) * 100 / 255).astype(np.int64)
    across = (np.diff(small_NSS, axis=2) * 100 / 255).astype(np.int64)
    total: Rows = np.abs(down).sum(axis=(1, 2)) + np.abs(across).sum(axis=(1, 2))
    return np.minimum(total // 90, 100)


def _numbers(bits_NHW: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    packed = np.packbits(bits_NHW.reshape(len(bits_NHW), -1), axis=1)
    return packed.view(">u8").ravel().astype(np.uint64)


# The near-duplicate join: every pair within a radius, exactly (multi-index hashing, Norouzi et al. 2012).
# Bits are cut into bands. Two hashes that differ in r of them differ in at most r // m bits of one of m
# bands (and in at most one less in the later bands), so each band is looked up with every such difference.


class Pairs(NamedTuple):
    """Rows that are near each other: first < second, each pair once, in order, and the bits that differ."""

    first: Rows
    second: Rows
    distance: npt.NDArray[np.int32]


class Band(NamedTuple):
    """`width` bits from bit `start` on, of which `radius` may differ."""

    start: int
    width: int
    radius: int

    @property
    def mask_count(self) -> int:
        return sum(math.comb(self.width, bits) for bits in range(self.radius + 1))


_CANDIDATES = 2**21  # looked at together: about 100 MB
_JOINED = 2**18  # pairs joined together: each time costs a pass over all labels
_WIDEST_BAND = 24  # a table of 2**24 counts, 128 MB; the bits left over are not needed to find a pair
_LOOKUP_S, _CANDIDATE_S, _PAIR_S, _MASK_S = 5e-9, 25e-9, 5e-9, 1e-4  # measured on one core; only their ratio matters


def near_pairs(hashes: Hashes, radius: int, *, key_radius: int | None = None) -> Pairs:
    """Every pair of rows of u64[N, words] that differ in at most `radius` bits; none is missed.

    With `key_radius` the first word must also differ in at most so many bits; it alone is indexed,
    and a wide hash is joined at the cost of a 64-bit one.
    """
    key_bits, key_limit = _key(hashes, radius, key_radius)
    kept = [
        _without_earlier(hashes, _compared(hashes, rows, key_limit, radius), earlier)
        for rows, earlier in _candidates(hashes, plan(len(hashes), key_bits, key_limit))
    ]
    if not kept:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32))
    first, second, distance = (np.concatenate(column) for column in zip(*kept, strict=True))
    first, second = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], distance[order])


def linked(hashes: Hashes, radius: int, *, key_radius: int | None = None, before: Rows | None = None) -> Rows:
    """A label for each row, i64[N]: rows that a chain of near pairs (as `near_pairs` finds) joins have one label.

    No list of pairs is held: 20,000 look-alikes have 200,000,000. `before`: labels to start from.
    """
    key_bits, key_limit = _key(hashes, radius, key_radius)
    label = np.arange(len(hashes)) if before is None else before
    waiting: list[Pairs] = []
    count = 0
    for (first, second), _ in _candidates(hashes, plan(len(hashes), key_bits, key_limit)):
        is_open = label[first] != label[second]
        pairs = _compared(hashes, (first[is_open], second[is_open]), key_limit, radius)
        if len(pairs.first):
            waiting.append(pairs)
            count += len(pairs.first)
        if count >= _JOINED:
            label, waiting, count = _joined(label, waiting), [], 0
    return _joined(label, waiting) if waiting else label


def plan(count: int, bits: int, radius: int) -> tuple[Band, ...]:
    """The bands that should cost least for `count` hashes; none when comparing all pairs costs less."""
    best: tuple[Band, ...] = ()
    least_s = count * count / 2 * _PAIR_S * bits / 64
    for number in range(1, min(bits, radius + 1) + 1):
        each, more = divmod(radius, number)
        edges = [bits * band // number for band in range(number + 1)]
        bands = tuple(
            Band(edges[band], min(edges[band + 1] - edges[band], _WIDEST_BAND), each if band <= more else each - 1)
            for band in range(number)
            if band <= more or each > 0
        )
        cost_s = sum(
            band.mask_count * (_MASK_S + count / 2 * (_LOOKUP_S + count / 2**band.width * _CANDIDATE_S))
            for band in bands
        )
        if cost_s < least_s:
            best, least_s = bands, cost_s
    return best


def _key(hashes: Hashes, radius: int, key_radius: int | None) -> tuple[int, int]:
    """How many bits are indexed, and how many of them may differ."""
    return (64 * hashes.shape[1], radius) if key_radius is None else (64, min(key_radius, radius))


def _candidates(hashes: Hashes, bands: tuple[Band, ...]) -> Iterator[tuple[tuple[Rows, Rows], tuple[Band, ...]]]:
    """Pairs of rows worth a look, in chunks, and the bands that were looked through before; all pairs without bands."""
    if not bands:
        for rows in _all_candidates(len(hashes)):
            yield rows, ()
    for number, band in enumerate(bands):
        for rows in _band_candidates(_band_of(hashes, band), band):
            yield rows, bands[:number]


def _joined(label: Rows, pairs: list[Pairs]) -> Rows:
    """The labels once the rows of each pair have one."""
    from scipy.sparse import coo_array  # noqa: PLC0415  0.1 s that --help does not pay
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    first, second = (label[np.concatenate([getattr(one, end) for one in pairs])] for end in ("first", "second"))
    graph = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(len(label), len(label)))
    joined: Rows = connected_components(graph, directed=False)[1].astype(np.int64)[label]
    return joined


def _all_candidates(count: int) -> Iterator[tuple[Rows, Rows]]:
    height = max(1, _CANDIDATES // max(count, 1))
    for start in range(0, count, height):
        first, second = np.nonzero(np.arange(start, min(start + height, count))[:, None] < np.arange(count))
        yield first + start, second


def _band_candidates(keys: npt.NDArray[np.int64], band: Band) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of rows whose band differs in at most its radius, each pair once; in chunks."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    counts = np.bincount(keys, minlength=2**band.width)
    starts = np.cumsum(counts) - counts
    after = np.arange(1, len(keys) + 1)
    yield from _expanded(order, after - 1, after, starts[keys] + counts[keys] - after)
    # A pair is found from the row that has a 0 where the difference has its highest bit.
    lower = [np.flatnonzero(keys >> bit & 1 == 0) for bit in range(band.width)]
    for bits in range(1, band.radius + 1):
        for positions in combinations(range(band.width), bits):
            rows = lower[positions[-1]]
            partners = keys[rows] ^ sum(1 << position for position in positions)
            found = counts[partners]
            hits = np.flatnonzero(found)
            yield from _expanded(order, rows[hits], starts[partners[hits]], found[hits])


def _expanded(order: Rows, rows: Rows, starts: Rows, counts: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Sorted position rows[i] against starts[i] .. starts[i] + counts[i], as pairs of original rows."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    at = 0
    for edge in range(_CANDIDATES, total + _CANDIDATES, _CANDIDATES):
        until = len(ends) if edge >= total else int(np.searchsorted(ends, edge, side="right")) + 1
        count = counts[at:until]
        if until > at:
            within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
            yield order[np.repeat(rows[at:until], count)], order[np.repeat(starts[at:until], count) + within]
        at = until


def _compared(hashes: Hashes, rows: tuple[Rows, Rows], key_limit: int, radius: int) -> Pairs:
    """The candidates that are near enough. Word by word: most are given up after the first two."""
    first, second = rows
    distance = np.zeros(len(first), dtype=np.int32)
    for word in range(hashes.shape[1]):
        distance += np.bitwise_count(hashes[first, word] ^ hashes[second, word])
        is_near = distance <= (key_limit if word == 0 else radius)
        first, second, distance = first[is_near], second[is_near], distance[is_near]
    return Pairs(first, second, distance)


def _without_earlier(hashes: Hashes, pairs: Pairs, earlier: tuple[Band, ...]) -> Pairs:
    """Pairs that no earlier band has found, so that each is reported once."""
    is_new = np.ones(len(pairs.first), dtype=np.bool_)
    different = hashes[pairs.first] ^ hashes[pairs.second]
    for band in earlier:
        is_new &= np.bitwise_count(_band_of(different, band)) > band.radius
    return Pairs(pairs.first[is_new], pairs.second[is_new], pairs.distance[is_new])


def _band_of(hashes: Hashes, band: Band) -> npt.NDArray[np.int64]:
    word, shift = divmod(band.start, 64)
    bits = hashes[:, word] >> np.uint64(shift)
    if shift + band.width > 64:  # noqa: PLR2004  the rest stands in the next word
        bits = bits | hashes[:, word + 1] << np.uint64(64 - shift)
    return (bits & np.uint64(2**band.width - 1)).astype(np.int64)
