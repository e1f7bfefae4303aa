"""How one picture lies in another, and whether their pixels bear it out. Pure: features and views in, evidence out.

`fit` pairs the codes of two pictures (nearest both ways), takes the similarity on which most of the points
agree, trying every two of them (no chance, so no seed), and settles it as an affine map by least squares.
`compare` lays the one over the other and correlates them window by window: what was drawn over a copy
spoils the windows it covers and no others; another picture before the same wall spoils all where it differs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.extras import need
from pictus.hashes import F32, F64, Luma

MATCH_BITS = 72
"""Of 256. Corners of one picture after JPEG at quality 30 differ in 20 to 40, unrelated ones in 128 ± 20."""
LEAST_POINTS = 6
LEAST_SHARE = 0.2
"""Of the paired points: of 60 that lie anywhere, 6 agree on some map by chance."""
LEAST_SPAN = 16.0
"""px of the view between two points that fix a map: nearer ones say little about scale and angle."""
MOST_SCALE = 4.0
MOST_SQUEEZE = 1.7
NEAR, CLOSE = 6.0, 3.0
"""px of the view a point may miss its place by, before and after the map is settled."""

WINDOW = 12
"""px of the half view: 24 of 256."""
DETAIL = 3.0
"""Standard deviation, px of the half view, of the blur that is taken away before windows are correlated. Light and
shade of one wall correlate in every two photographs of it; its grain and edges only in copies of one photograph."""
TEXTURE = 2.0
"""Standard deviation of that detail, in levels of luma, from which a window has something to compare."""
AGREE = 0.9
LEAST_WINDOWS = 12
LEAST_AGREEING = 0.55
"""Of 15,123 pairs of hands before one wall that points lay over each other, three in four stay under .1, one in a
thousand comes to .4, four reach .55 (the highest .61); copies under two lines of text about .7, others .9 and more
(benchmarks/duplicates.py)."""

FEW_WINDOWS = 128
LEAST_TONES = 0.9
"""Flat drawings have little to compare: 6 corners of two rectangles lie over each other in many pairs of them. So
where windows are few, light and dark must lie alike as well. Of copies with fewer than 70 windows 2 % stay under
.906; of 30 wrong pairs among 410 random drawings 10 are left."""

_TRIED = 48  # best matches from which maps are made: 1,128 pairs
_CERTAIN, _DOUBTFUL = 0.8, 0.3  # share of agreeing windows: as good as it gets; not worth another look
_WHITE, _BLACK, _LOST = 250, 4, 0.2
_SOFT = 1.5  # px of the half view: the noise of JPEG in a flat area has no order to compare
_HALVED_FROM = 128  # px: smaller views are compared as they are

Map = F64
"""f64[2, 3]: place in the one view, px -> place in the other."""


class Fit(NamedTuple):
    """A map from the first view to the second, and how many of the paired points it takes to their places."""

    map: Map
    agreeing: int
    paired: int


class Comparison(NamedTuple):
    """What is left when one view lies over the other."""

    correlation: float  # mean over the windows with texture in either, negative ones as 0
    agreeing: float  # share of these windows that correlate by at least AGREE
    windows: int
    of_first: float  # share of the first view that lies within the second, 0..1
    of_second: float
    tones: float  # rank correlation of light and dark over what both show, -1..1; 1 from FEW_WINDOWS on: not needed


def fit(
    points_NP: F64, codes_N: npt.NDArray[np.uint8], points_MP: F64, codes_M: npt.NDArray[np.uint8]
) -> Fit | None:
    """f64[N, 2] px, u8[N, 32], f64[M, 2] px, u8[M, 32] -> the map that most pairs agree on; None without enough."""
    if min(len(codes_N), len(codes_M)) < LEAST_POINTS:
        return None
    bits = np.bitwise_count(codes_N.view(np.uint64)[:, None] ^ codes_M.view(np.uint64)[None]).sum(axis=2, dtype=int)
    nearest = bits.argmin(axis=1)
    distance = bits[np.arange(len(nearest)), nearest]
    rows = np.flatnonzero((bits.argmin(axis=0)[nearest] == np.arange(len(nearest))) & (distance <= MATCH_BITS))
    if len(rows) < LEAST_POINTS:
        return None
    rows = rows[np.argsort(distance[rows], kind="stable")]
    first, second = points_NP[rows], points_MP[nearest[rows]]
    found = _most_agreed(first, second)
    for _ in range(3):
        if found is None or not _is_sound(found):
            return None
        agrees = _missed(found, first, second) <= CLOSE
        if int(agrees.sum()) < LEAST_POINTS:
            return None
        found = _settled(first[agrees], second[agrees])
    if found is None or not _is_sound(found):
        return None
    count = int((_missed(found, first, second) <= CLOSE).sum())
    return Fit(found, count, len(rows)) if count >= max(LEAST_POINTS, LEAST_SHARE * len(rows)) else None


def _most_agreed(first: F64, second: F64) -> Map | None:
    """The similarity of the two points that takes most other points to within NEAR of their places."""
    one, other = first @ (1, 1j), second @ (1, 1j)
    start, end = np.triu_indices(min(len(one), _TRIED), 1)
    step = one[end] - one[start]
    is_wide = np.abs(step) >= LEAST_SPAN
    start, end, step = start[is_wide], end[is_wide], step[is_wide]
    turn = (other[end] - other[start]) / step
    is_sound = (np.abs(turn) <= MOST_SCALE) & (np.abs(turn) >= 1 / MOST_SCALE)
    start, turn = start[is_sound], turn[is_sound]
    if not len(turn):
        return None
    shift = other[start] - turn * one[start]
    missed = np.abs(turn[:, None] * one + shift[:, None] - other) / np.maximum(1.0, np.abs(turn))[:, None]
    agreeing = (missed <= NEAR).sum(axis=1)
    best = int(np.argmax(agreeing - np.minimum(missed, NEAR).mean(axis=1) / (2 * NEAR)))
    a, t = turn[best], shift[best]
    return np.array([[a.real, -a.imag, t.real], [a.imag, a.real, t.imag]])


def _settled(first: F64, second: F64) -> Map | None:
    """Least squares: affine where the points spread over a plane, else (too few, or on a line) a similarity."""
    centre = first.mean(axis=0)
    spread = np.linalg.svd(first - centre, compute_uv=False)
    if len(first) >= LEAST_POINTS + 2 and spread[1] >= LEAST_SPAN * 2:
        solved = np.linalg.lstsq(np.column_stack([first, np.ones(len(first))]), second, rcond=None)[0]
        return np.round(solved.T, 9)
    one, other = (first - centre) @ (1, 1j), second @ (1, 1j)
    weight = float((np.abs(one) ** 2).sum())
    if weight < 1.0:
        return None
    turn = (one.conj() * (other - other.mean())).sum() / weight
    shift = other.mean() - turn * complex(*centre)
    return np.round(np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]), 9)


def _missed(found: Map, first: F64, second: F64) -> F64:
    """How far each point falls from its place, px; where the map enlarges, in the smaller view's px."""
    scale = np.sqrt(abs(np.linalg.det(found[:, :2])))
    missed: F64 = np.linalg.norm(first @ found[:, :2].T + found[:, 2] - second, axis=1) / max(1.0, float(scale))
    return missed


def _is_sound(found: Map) -> bool:
    """Neither a collapse nor a mirror image (those have codes of their own), and squeezed no more than pictures are."""
    stretch = np.linalg.svd(found[:, :2], compute_uv=False)
    return bool(
        np.linalg.det(found[:, :2]) > 0
        and stretch[0] <= MOST_SCALE
        and stretch[1] >= 1 / MOST_SCALE
        and stretch[0] <= MOST_SQUEEZE * stretch[1]
    )


def turned(luma: Luma, place: int) -> Luma:
    """The view in position TURNS[place]."""
    luma = luma.T if place & 4 else luma
    luma = luma[:, ::-1] if place & 1 else luma
    return np.ascontiguousarray(luma[::-1] if place & 2 else luma)


def turn_map(place: int, width: int, height: int) -> Map:
    """The map of the px of a view of width × height to those of `turned`."""
    swap = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]) if place & 4 else np.eye(2, 3)
    width, height = (height, width) if place & 4 else (width, height)
    if place & 1:
        swap[0] = [0.0, 0.0, width - 1.0] - swap[0]
    if place & 2:
        swap[1] = [0.0, 0.0, height - 1.0] - swap[1]
    return swap


def whole_map(first: Luma, second: Luma) -> Map:
    """The map that lays all of one view over all of the other."""
    across, down = (second.shape[axis] / first.shape[axis] for axis in (1, 0))
    return np.array([[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2]])  # centres of px lie at wholes


def chained(first: Map, second: Map) -> Map:
    """First one map, then the other."""
    both: Map = second @ np.vstack([first, [0.0, 0.0, 1.0]])
    return both


def inverse(found: Map) -> Map:
    back: Map = np.linalg.inv(np.vstack([found, [0.0, 0.0, 1.0]]))[:2]
    return back


def compare(first: Luma, second: Luma, found: Map) -> tuple[Map, Comparison]:
    """Lay `first` over `second` and correlate them in windows, at half size, where neither is enlarged.

    A map that leaves a doubt is settled on the pixels (Evangelidis & Psarakis 2008); the better of the two counts.
    """
    cv2 = need("cv2", "vision")
    is_swapped = np.linalg.det(found[:, :2]) > 1
    if is_swapped:
        first, second, found = second, first, inverse(found)
    scale = 0.5 if max(second.shape) >= _HALVED_FROM else 1.0
    frame = np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]])  # centres of px lie at wholes
    size = max(1, round(second.shape[1] * scale)), max(1, round(second.shape[0] * scale))
    shrunk = scale * float(np.sqrt(abs(np.linalg.det(found[:, :2]))))
    soft = cv2.GaussianBlur(first, (0, 0), max(0.3, 0.5 / shrunk))  # what a reduction averages
    under = second
    if scale < 1:
        soft_under = cv2.GaussianBlur(second, (0, 0), 0.5 / scale)
        under = cv2.warpAffine(soft_under, frame, size, borderMode=cv2.BORDER_REPLICATE)
    values = _laid(cv2, soft, under, chained(found, frame))
    if _agreeing(values) < _CERTAIN and _agreeing(values, 0.5) >= _DOUBTFUL:
        settled = _on_pixels(cv2, soft, under, chained(found, frame))
        if settled is not None and _is_sound(whole := chained(settled, inverse(frame))):
            again = _laid(cv2, soft, under, settled)
            if _agreeing(again) > _agreeing(values):
                found, values = whole, again
    tones = _tones(cv2, soft, under, chained(found, frame)) if len(values) < FEW_WINDOWS else 1.0
    shares = _share(found, first, second), _share(inverse(found), second, first)
    if is_swapped:
        found, shares = inverse(found), shares[::-1]
    mean = float(np.maximum(values, 0.0).mean()) if len(values) else 0.0
    return found, Comparison(round(mean, 6), round(_agreeing(values), 6), len(values), *shares, round(tones, 6))


def _agreeing(values: F64, least: float = AGREE) -> float:
    return float((values >= least).mean()) if len(values) else 0.0


def _on_pixels(cv2: Any, over: Luma, under: Luma, found: Map) -> Map | None:  # noqa: ANN401
    """The affine map near `found` that brings the most correlation; None where the search runs away."""
    rule = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
    start = inverse(found).astype(np.float32)
    try:
        back = cv2.findTransformECC(under, over, start, cv2.MOTION_AFFINE, rule, None, 1)[1]
    except cv2.error:
        return None  # no correlation to climb: the map stays what the points say
    if not np.isfinite(back).all() or abs(np.linalg.det(back[:, :2])) < MOST_SCALE**-2:
        return None
    return inverse(np.round(back.astype(np.float64), 6))


def _laid(cv2: Any, over: Luma, under: Luma, found: Map) -> F64:  # noqa: ANN401
    """Pearson's correlation of the detail of each window, f64[windows].

    Left out: windows without texture on either side, not whole within both pictures, or in which a fifth is burnt out
    or black in one alone (a brightened copy has lost it). One flat side against texture counts as 0.
    """
    size = under.shape[1], under.shape[0]
    top = cv2.warpAffine(over, found, size, borderMode=cv2.BORDER_REPLICATE)
    within = cv2.warpAffine(np.full_like(over, 255), found, size) >= 128  # noqa: PLR2004  a px covered by half
    reach = 2 * round(DETAIL) + 1  # the blur brings in what lies so far outside
    within = cv2.erode(within.astype(np.uint8), np.ones((reach, reach), np.uint8))
    lost = _clipped(top) != _clipped(under)
    one, other = (_detail(cv2, side) for side in (top, under))
    half = WINDOW // 2
    mean_1, mean_2, square_1, square_2, product, covered, gone = (
        cv2.boxFilter(values, cv2.CV_64F, (WINDOW, WINDOW), borderType=cv2.BORDER_CONSTANT)[
            half : size[1] - half + 1 : half, half : size[0] - half + 1 : half
        ].ravel()
        for values in (one, other, one * one, other * other, one * other, within.astype("f4"), lost.astype("f4"))
    )
    variance = np.maximum(square_1 - mean_1**2, 0), np.maximum(square_2 - mean_2**2, 0)
    counts = (covered > 1 - 1e-6) & (gone < _LOST) & (np.maximum(*variance) >= TEXTURE**2)
    least = (TEXTURE / 4) ** 2
    spread = np.sqrt(np.maximum(variance[0], least) * np.maximum(variance[1], least))
    values: F64 = ((product - mean_1 * mean_2) / spread)[counts]
    return values


def _tones(cv2: Any, over: Luma, under: Luma, found: Map) -> float:  # noqa: ANN401
    """Spearman's correlation of the softened lumas over all that both show; 0 where either is one tone."""
    size = under.shape[1], under.shape[0]
    top = cv2.warpAffine(over, found, size, borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.warpAffine(np.full_like(over, 255), found, size) >= 128  # noqa: PLR2004  a px covered by half
    within = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
    one, other = (_ranks(cv2.GaussianBlur(side, (0, 0), _SOFT)[within > 0]) for side in (top, under))
    spread = float(np.sqrt((one @ one) * (other @ other))) if one.size else 0.0
    return float(one @ other) / spread if spread > 0 else 0.0


def _ranks(luma_N: npt.NDArray[np.uint8]) -> F64:
    """Ranks about their mean; equal values share the middle of their places."""
    counts = np.bincount(luma_N, minlength=256)
    middles = np.cumsum(counts) - (counts - 1) / 2
    ranks: F64 = middles[luma_N] - (luma_N.size + 1) / 2
    return ranks


def _clipped(luma: Luma) -> npt.NDArray[np.bool_]:
    return (luma >= _WHITE) | (luma <= _BLACK)


def _detail(cv2: Any, luma: Luma) -> F32:  # noqa: ANN401
    values = luma.astype(np.float32)
    detail: F32 = values - cv2.GaussianBlur(values, (0, 0), DETAIL)
    return detail


def _share(found: Map, first: Luma, second: Luma) -> float:
    """How much of the first view falls within the second, counted on a grid of 32 × 32."""
    (rows, columns), (height, width) = first.shape, second.shape
    across, down = (np.arange(32) + 0.5) / 32 * columns - 0.5, (np.arange(32) + 0.5) / 32 * rows - 0.5
    inside = np.ones((32, 32), dtype=np.bool_)
    for (a, b, c), side in zip(found, (width, height), strict=True):
        place = a * across + b * down[:, None] + (c + 0.5)
        inside &= (place >= 0) & (place <= side)
    return float(inside.mean())
