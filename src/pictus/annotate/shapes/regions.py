"""Small regions of like colour, and which of them a few clicks mean: a segmenter that needs no weights and no package.

Regions are SLIC's (Achanta et al. 2012): k-means over colour and place, each pixel choosing among the nine nearest
centres. Two things speak for a region, half each: that the cheapest way to it from a positive click is shorter than
from a negative one, ways costing what colours change (geodesic segmentation, Bai & Sapiro 2007); and that its colour
is nearer to what was clicked positive than negative. The picture's rim, or all that is outside the box, counts as
negative too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.shapes.rle import Rle, encode, placed
from pictus.pixels import Pixels, resize

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

VIEW_PX = 320
"""Long side of the view that is cut into regions."""

MANY = 1200
_ROUNDS = 5
_COMPACT = 12.0
"""How many units of CIELAB weigh as much as one region's width."""

_STEP = 0.3
"""What a step into a region of the very same colour costs, in units of CIELAB: distance counts a little."""

_NOISE = 3.0
"""Colours that differ by less, in units of CIELAB, are alike."""


class Regions(NamedTuple):
    """A picture cut up. `label_HW`: i32, the region of each pixel of the view."""

    height: int  # of the picture, px
    width: int
    label_HW: NDArray[np.int32]
    colour_R3: Floats  # mean CIELAB
    first_E: NDArray[np.int64]  # neighbours, each pair once
    second_E: NDArray[np.int64]
    cost_E: Floats
    rim_R: NDArray[np.bool_]


class Clicks(NamedTuple):
    """What a person says of one thing, in px of the upright picture: f64[P, 2], f64[N, 2] x, y; a box xyxy or none."""

    positive: Floats
    negative: Floats
    box: tuple[float, float, float, float] | None = None


def prepared(pixels: Pixels, *, many: int = MANY) -> Regions:
    """Cut a picture into about `many` regions. u8[H, W, 3]."""
    height, width = pixels.shape[:2]
    scale = min(1.0, VIEW_PX / max(height, width))
    view = resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))
    lab_HW3 = lab(view)
    label_HW = _slic(lab_HW3, many)
    count = int(label_HW.max()) + 1
    flat = label_HW.ravel()
    size_R = np.maximum(np.bincount(flat, minlength=count), 1)
    colour_R3 = np.stack(
        [np.bincount(flat, weights=lab_HW3[:, :, part].ravel(), minlength=count) / size_R for part in range(3)], axis=1
    )
    first_E, second_E = _neighbours(label_HW, count)
    cost_E = np.linalg.norm(colour_R3[first_E] - colour_R3[second_E], axis=1)
    rim_R = np.zeros(count, np.bool_)
    for line in (label_HW[0], label_HW[-1], label_HW[:, 0], label_HW[:, -1]):
        rim_R[line] = True
    return Regions(height, width, label_HW, colour_R3, first_E, second_E, cost_E, rim_R)


def likely(regions: Regions, clicks: Clicks) -> Floats:
    """How much speaks for each region belonging to the thing, f64[R] in [0, 1]; from 0.5 on it does."""
    wanted, refused = _seeds(regions, clicks)
    near_R, far_R = _ways(regions, wanted), _ways(regions, refused)
    like_R, unlike_R = _colours(regions, wanted), _colours(regions, refused)
    share_R = far_R / np.maximum(near_R + far_R, 1e-9) / 2
    share_R += (unlike_R + _NOISE) / (like_R + unlike_R + 2 * _NOISE) / 2
    share_R[refused] = 0.0
    share_R[wanted] = 1.0
    return np.asarray(share_R)


def segmented(regions: Regions, clicks: Clicks) -> Mask:
    """The thing as a mask of the picture's size: what hangs together with a positive click, small holes filled."""
    is_thing = likely(regions, clicks)[regions.label_HW] >= 0.5  # noqa: PLR2004  more for it than against
    rows, columns = is_thing.shape
    scale = np.array([columns / regions.width, rows / regions.height])
    small = Clicks(clicks.positive * scale, clicks.negative * scale, clicks.box)
    return enlarged(held(is_thing, small), regions.height, regions.width)


def held(mask: Mask, clicks: Clicks) -> Mask:
    """The parts of a mask that hold a positive click (the largest where none does), without their holes.

    Holes stay where somebody clicked a negative point in one. Clicks in px of the mask.
    """
    from scipy import ndimage  # noqa: PLC0415  0.2 s that --help does not pay

    parts, count = ndimage.label(mask)
    if count > 1:
        x, y = places(clicks.positive, mask.shape)
        kept = set(parts[y, x].tolist()) - {0}
        if not kept:
            kept = {int(np.bincount(parts.ravel())[1:].argmax()) + 1}
        mask = np.isin(parts, list(kept))
    filled = np.asarray(ndimage.binary_fill_holes(mask), np.bool_)
    x, y = places(clicks.negative, mask.shape)
    return mask if np.any(filled[y, x] & ~mask[y, x]) else filled


def enlarged(mask_HW: Mask, height: int, width: int) -> Mask:
    """A mask of a view at the picture's size, its edge smooth."""
    if mask_HW.shape == (height, width):
        return mask_HW
    from PIL import Image  # noqa: PLC0415  as above

    shades = Image.fromarray(mask_HW.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(shades) >= 128  # noqa: PLR2004  half of 255


def whole(mask_HW: Mask, height: int, width: int) -> Rle:
    """The runs of `enlarged`, which costs by the size of the thing and not by that of the picture."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not rows.size or mask_HW.shape == (height, width):
        return encode(enlarged(mask_HW, height, width))
    from PIL import Image  # noqa: PLC0415  as above

    down, across = height / mask_HW.shape[0], width / mask_HW.shape[1]
    y1, y2 = max(0, int((rows[0] - 2) * down)), min(height, int((rows[-1] + 3) * down))
    x1, x2 = max(0, int((columns[0] - 2) * across)), min(width, int((columns[-1] + 3) * across))
    shades = Image.fromarray(mask_HW.astype(np.uint8) * 255).resize(
        (x2 - x1, y2 - y1), Image.Resampling.BICUBIC, (x1 / across, y1 / down, x2 / across, y2 / down)
    )
    return placed(np.asarray(shades) >= 128, x1, y1, height, width)  # noqa: PLR2004  half of 255


def places(points_P2: Floats, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Column and row of the pixels that points lie in; those on or beyond the edge in the last."""
    x = np.clip(points_P2[:, 0], 0, shape[1] - 1).astype(np.int64)
    return x, np.clip(points_P2[:, 1], 0, shape[0] - 1).astype(np.int64)


def _on_view(points_P2: Floats, regions: Regions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = regions.label_HW.shape
    return places(points_P2 * np.array([columns / regions.width, rows / regions.height]), (rows, columns))


def lab(pixels: Pixels) -> Floats:
    """CIELAB of sRGB, D65. u8[H, W, 3] -> f64[H, W, 3] (IEC 61966-2-1, CIE 15)."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)[pixels]  # noqa: PLR2004  sRGB's knee
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ (to_xyz / np.array([[0.9505], [1.0], [1.089]])).T
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)  # noqa: PLR2004  CIE's knee
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=2)


def _slic(lab_HW3: Floats, many: int) -> NDArray[np.int32]:
    rows, columns = lab_HW3.shape[:2]
    side = max(2.0, np.sqrt(rows * columns / many))
    down, across = max(1, round(rows / side)), max(1, round(columns / side))
    y_H, x_W = np.arange(rows), np.arange(columns)
    home_H, home_W = y_H * down // rows, x_W * across // columns
    value_HW5 = np.concatenate(
        [
            lab_HW3 / _COMPACT,
            np.broadcast_to((x_W / side)[None, :, None], (rows, columns, 1)),
            np.broadcast_to((y_H / side)[:, None, None], (rows, columns, 1)),
        ],
        axis=2,
    ).astype(np.float32)  # fmt: skip
    label = (home_H[:, None] * across + home_W[None, :]).astype(np.int32)
    for number in range(_ROUNDS + 1):
        centre = _means(value_HW5, label, down * across)
        if number == _ROUNDS:
            break
        best = np.full((rows, columns), np.inf, np.float32)
        found = label
        for step_y in (-1, 0, 1):
            for step_x in (-1, 0, 1):
                near_H, near_W = np.clip(home_H + step_y, 0, down - 1), np.clip(home_W + step_x, 0, across - 1)
                other = (near_H[:, None] * across + near_W[None, :]).astype(np.int32)
                apart = np.square(value_HW5 - centre[other]).sum(axis=2)
                is_nearer = apart < best
                best = np.where(is_nearer, apart, best)
                found = np.where(is_nearer, other, found)
        label = found
    return _connected(label)


def _means(value_HW5: NDArray[np.float32], label: NDArray[np.int32], count: int) -> NDArray[np.float32]:
    flat = label.ravel()
    size = np.maximum(np.bincount(flat, minlength=count), 1)
    return np.stack(
        [np.bincount(flat, weights=value_HW5[:, :, part].ravel(), minlength=count) / size for part in range(5)], axis=1
    ).astype(np.float32)


def _connected(label: NDArray[np.int32]) -> NDArray[np.int32]:
    """Regions that hang together: parts that lie apart are regions of their own, numbered from 0."""
    from scipy.sparse import coo_array  # noqa: PLC0415  as above
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    numbers = np.arange(label.size).reshape(label.shape)
    right, below = label[:, 1:] == label[:, :-1], label[1:] == label[:-1]
    first = np.concatenate([numbers[:, :-1][right], numbers[:-1][below]])
    second = np.concatenate([numbers[:, 1:][right], numbers[1:][below]])
    graph = coo_array((np.ones(first.size, np.int8), (first, second)), shape=(label.size, label.size))
    _, part = connected_components(graph, directed=False)
    return np.asarray(part, np.int32).reshape(label.shape)


def _neighbours(label_HW: NDArray[np.int32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = np.concatenate([label_HW[:, :-1].ravel(), label_HW[:-1].ravel()]).astype(np.int64)
    second = np.concatenate([label_HW[:, 1:].ravel(), label_HW[1:].ravel()]).astype(np.int64)
    differ = first != second
    pairs = np.unique(np.minimum(first, second)[differ] * count + np.maximum(first, second)[differ])
    return pairs // count, pairs % count


def _seeds(regions: Regions, clicks: Clicks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Regions that surely are the thing, and that surely are not."""
    x, y = _on_view(clicks.positive, regions)
    wanted = np.unique(regions.label_HW[y, x]).astype(np.int64)
    x, y = _on_view(clicks.negative, regions)
    refused = regions.label_HW[y, x].astype(np.int64)
    if clicks.box:
        corners = np.array(clicks.box).reshape(2, 2)
        (left, right), (top, bottom) = _on_view(corners, regions)
        outside = np.ones(regions.label_HW.shape, np.bool_)
        outside[top : bottom + 1, left : right + 1] = False
        inside_R = np.zeros(regions.colour_R3.shape[0], np.bool_)
        inside_R[regions.label_HW[~outside]] = True
        refused = np.concatenate([refused, np.flatnonzero(~inside_R)])
        if not wanted.size:
            middle = corners.mean(axis=0, keepdims=True)
            x, y = _on_view(middle, regions)
            wanted = regions.label_HW[y, x].astype(np.int64)
    else:
        refused = np.concatenate([refused, np.flatnonzero(regions.rim_R)])
    refused = np.setdiff1d(refused, wanted)
    return wanted, refused


def _ways(regions: Regions, seeds: NDArray[np.int64]) -> Floats:
    """The cost of the cheapest way from any seed to each region, f64[R]."""
    from scipy.sparse import coo_array  # noqa: PLC0415  as above
    from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415

    count = regions.colour_R3.shape[0]
    if not seeds.size:
        return np.full(count, 1e6)
    graph = coo_array((regions.cost_E + _STEP, (regions.first_E, regions.second_E)), shape=(count, count)).tocsr()
    found = dijkstra(graph, directed=False, indices=seeds, min_only=True)
    return np.asarray(np.minimum(found, 1e6))


def _colours(regions: Regions, seeds: NDArray[np.int64]) -> Floats:
    """How far each region's colour is from the nearest of the seeds', f64[R]."""
    from scipy.spatial import KDTree  # noqa: PLC0415  as above

    if not seeds.size:
        return np.full(regions.colour_R3.shape[0], 100.0)
    found, _ = KDTree(regions.colour_R3[seeds]).query(regions.colour_R3)
    return np.asarray(found)
