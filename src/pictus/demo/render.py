"""From a sketch to pixels: antialiased parts, rounded surfaces under one light, soft shadows.

Every part's surface is "inflated" from its outline: height grows like a circle's arc with the
distance from the edge. Shading is computed at a quarter of the resolution (it is smooth), edges at
three times (they are not).
"""

from __future__ import annotations

from functools import cache
from itertools import groupby

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pictus.demo.brush import Points
from pictus.demo.sketch import Colour, Light, Part, Pose, Rng, Sketch, project

_FINE = 3  # masks are drawn this many times larger
_COARSE = 4  # shading is computed this many times smaller
Mask = Image.Image
Field = npt.NDArray[np.floating]
Box = tuple[int, int, int, int]


class Layer:
    """One object's colours and its mask on a transparent ground, the size of the picture."""

    def __init__(self, width: int, height: int) -> None:
        self.colours = Image.new("RGB", (width, height))
        self.mask = Image.new("L", (width, height))


def render(sketch: Sketch, pose: Pose, light: Light, size: tuple[int, int], rng: Rng) -> Layer:
    """Paint the parts in order -> a layer of `size` (width, height)."""
    layer = Layer(*size)
    for part in sketch.parts:
        _paint(layer, part, pose, light, rng)
    return layer


def _paint(layer: Layer, part: Part, pose: Pose, light: Light, rng: Rng) -> None:
    outline = project(part.points, pose)
    box = _box(outline, layer.mask.size)
    if box is None:
        return
    mask = _mask([outline], [project(hole, pose) for hole in part.holes], box)
    if part.shadow:
        _throw_shadow(layer, mask, box, part.shadow, pose=pose, light=light)
    tile = _surface(part, outline, box, pose, rng)
    if part.bulge:
        tile = _shaded(tile, mask, part, pose, light)
    else:
        flat = tuple(
            min(255, round(255 * (k * light.direction[2] + s))) for k, s in zip(light.key, light.sky, strict=True)
        )
        tile = ImageChops.multiply(tile, Image.new("RGB", tile.size, flat))
    if part.alpha < 1:
        faint = mask.point(scaled(part.alpha))
        layer.colours.paste(tile, box[:2], ImageChops.lighter(faint, ImageChops.subtract(mask, layer.mask.crop(box))))
    else:
        layer.colours.paste(tile, box[:2], mask)
    layer.mask.paste(ImageChops.lighter(mask, layer.mask.crop(box)), box[:2])


def _box(outline: Points, size: tuple[int, int]) -> Box | None:
    """Pixels around the outline inside the picture, in steps of the coarse grid."""
    low = np.floor(outline.min(axis=0)).astype(int) - 3
    high = np.ceil(outline.max(axis=0)).astype(int) + 3
    x0, y0 = (int(value) for value in np.maximum(low, 0))
    x1, y1 = (int(value) for value in np.minimum(high, size))
    return (x0, y0, x1, y1) if x1 - x0 > 1 and y1 - y0 > 1 else None


def _mask(outlines: list[Points], holes: list[Points], box: Box) -> Mask:
    width, height = box[2] - box[0], box[3] - box[1]
    large = Image.new("L", (width * _FINE, height * _FINE))
    pen = ImageDraw.Draw(large)
    corner = np.array(box[:2], dtype=np.float64)
    for outline in outlines:
        pen.polygon(((outline - corner) * _FINE).ravel().tolist(), fill=255)
    for hole in holes:
        pen.polygon(((hole - corner) * _FINE).ravel().tolist(), fill=0)
    return large.reduce(_FINE)


def _surface(part: Part, outline: Points, box: Box, pose: Pose, rng: Rng) -> Image.Image:
    """The part's own colours, before light: fill or fade, grain, decals."""
    size = (box[2] - box[0], box[3] - box[1])
    tile = Image.new("RGB", size, part.colour)
    if part.fade is not None:
        low, high = outline[:, 1].min() - box[1], outline[:, 1].max() - box[1]
        share = np.clip((np.arange(size[1]) - low) / max(high - low, 1), 0, 1)
        column = Image.fromarray((share * 255).astype(np.uint8)[:, None]).resize(size)
        tile.paste(part.fade, mask=column)
    for look, decals in groupby(part.decals, key=lambda decal: (decal.colour, decal.alpha)):
        _stencil(tile, _projected([decal.points for decal in decals], pose), look, box)
    if part.grain:
        tile = ImageChops.multiply(tile, _grain(size, part.grain, rng))
    return tile


def _projected(shapes: list[Points], pose: Pose) -> list[Points]:
    """Many shapes at once: one call costs less than hundreds."""
    ends = np.cumsum([len(shape) for shape in shapes])[:-1]
    return np.split(project(np.concatenate(shapes), pose), ends)


def _stencil(tile: Image.Image, shapes: list[Points], look: tuple[Colour, float], box: Box) -> None:
    """Decals of one colour, drawn through one mask."""
    low, high = (
        np.min([shape.min(axis=0) for shape in shapes], axis=0),
        np.max([shape.max(axis=0) for shape in shapes], axis=0),
    )
    inner = _box(np.array([low, high]), box[2:])
    if inner is None:
        return
    inner = (max(inner[0], box[0]), max(inner[1], box[1]), inner[2], inner[3])
    if inner[2] - inner[0] < 1 or inner[3] - inner[1] < 1:
        return
    mask = _mask(shapes, [], inner)
    colour, alpha = look
    if alpha < 1:
        mask = mask.point(scaled(alpha))
    tile.paste(colour, (inner[0] - box[0], inner[1] - box[1]), mask)


def _shaded(tile: Image.Image, mask: Mask, part: Part, pose: Pose, light: Light) -> Image.Image:
    width, height = tile.size
    small = mask.resize((max(4, width // _COARSE), max(4, height // _COARSE)), Image.Resampling.BOX)
    cover = np.asarray(small, dtype=np.float32) / np.float32(255)
    if part.is_turned:
        normal_x, normal_y, normal_z = _turned_normals(cover, pose.view.roll * (-1 if pose.is_flipped else 1))
    else:
        normal_x, normal_y, normal_z = _normals(cover, part.bulge * pose.scale * small.width / width)
    lx, ly, lz = _unit(light.direction)
    facing = np.maximum(lx * normal_x + ly * normal_y + lz * normal_z, 0)
    above = 0.78 - 0.22 * normal_y  # the sky lights what looks up
    colours = np.stack([k * facing + s * above for k, s in zip(light.key, light.sky, strict=True)], axis=-1)
    result = ImageChops.multiply(tile, _smooth_image(np.minimum(colours, 1), tile.size))
    if part.gloss:
        hx, hy, hz = _unit((lx, ly, lz + 1))
        shine = np.maximum(hx * normal_x + hy * normal_y + hz * normal_z, 0) ** 28 * part.gloss * 0.8
        tone = np.array(light.key, dtype=np.float32) / max(light.key)
        result = ImageChops.screen(result, _smooth_image(np.minimum(shine[..., None] * tone, 1), tile.size))
    return result


def _normals(cover: Field, radius: float) -> tuple[Field, ...]:
    """The inflated surface's unit normals. cover f32[H, W] in 0..1; radius in its pixels."""
    from scipy import ndimage  # noqa: PLC0415  0.1 s that --help does not pay

    inside = np.pad(cover > 0.5, 1)  # noqa: PLR2004  more than half covered
    depth = ndimage.distance_transform_edt(inside)[1:-1, 1:-1].astype(np.float32)
    reach = max(min(radius, float(depth.max())), 0.75)
    share = np.minimum(depth / reach, 1)
    height = reach * np.sqrt(1 - (1 - share) ** 2)
    height = ndimage.gaussian_filter(height, max(0.6, 0.10 * reach), mode="nearest")
    slope_y, slope_x = np.gradient(height)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    return -slope_x / length, -slope_y / length, 1 / length


def _turned_normals(cover: Field, roll: float) -> tuple[Field, ...]:
    """Unit normals of a body turned about an axis that leans by `roll` radians. cover f32[H, W]."""
    from scipy import ndimage  # noqa: PLC0415

    height, width = cover.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    across = columns * np.cos(roll) + rows * np.sin(roll)
    along = rows * np.cos(roll) - columns * np.sin(roll)
    ring = np.round(along - along.min()).astype(np.int64)
    inside = cover > 0.5  # noqa: PLR2004  more than half covered
    low, high = np.full(ring.max() + 1, np.inf), np.full(ring.max() + 1, -np.inf)
    np.minimum.at(low, ring[inside], across[inside])
    np.maximum.at(high, ring[inside], across[inside])
    empty = ~np.isfinite(low)
    low[empty], high[empty] = -1, 1
    centre, half = ndimage.gaussian_filter1d((low + high) / 2, 1.5), np.maximum((high - low) / 2 + 0.5, 1)
    half = ndimage.gaussian_filter1d(half, 1.0)
    slope = np.gradient(ndimage.gaussian_filter1d(half, 4.0, mode="nearest"))
    side = np.clip((across - centre[ring]) / half[ring], -1, 1)
    front = np.sqrt(np.maximum(1 - side**2, 0.0))
    tilt = np.clip(-slope[ring], -1.5, 1.5) * 0.6
    length = np.sqrt(1 + tilt**2)
    normal_x = (side * np.cos(roll) - tilt * np.sin(roll)) / length
    normal_y = (side * np.sin(roll) + tilt * np.cos(roll)) / length
    return normal_x.astype(np.float32), normal_y.astype(np.float32), (front / length).astype(np.float32)


def _throw_shadow(layer: Layer, mask: Mask, box: Box, strength: float, *, pose: Pose, light: Light) -> None:
    """Darken what is already painted, away from the light."""
    reach = 0.05 * pose.scale
    dx, dy = (round(-axis * reach * 1.3) for axis in light.direction[:2])
    pad = round(3 * reach) + 2
    wide = Image.new("L", (mask.width + 2 * pad, mask.height + 2 * pad))
    wide.paste(mask, (pad + dx, pad + dy))
    wide = wide.filter(ImageFilter.BoxBlur(reach)).point(scaled(0.6 * strength))
    layer.colours.paste((12, 10, 24), (box[0] - pad, box[1] - pad), wide)


def _smooth_image(values: Field, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray((values * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def _unit(vector: tuple[float, float, float]) -> tuple[float, float, float]:
    length = sum(axis * axis for axis in vector) ** 0.5
    x, y, z = (axis / length for axis in vector)
    return x, y, z


@cache
def scaled(share: float) -> list[int]:
    """The lookup table that scales a mask."""
    return [round(value * share) for value in range(256)]


_ATLAS = 640


@cache
def grain_atlas() -> Field:
    """One fixed sheet of cloudy noise with mean 0 and deviation 1, f32[640, 640]; textures are cut from it."""
    rng = np.random.default_rng(20_091_231)
    total = np.zeros((_ATLAS, _ATLAS), dtype=np.float32)
    for cells, weight in ((20, 1.0), (64, 0.8), (160, 0.6), (_ATLAS, 0.5)):
        sheet = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        total += weight * (np.asarray(sheet.resize((_ATLAS, _ATLAS), Image.Resampling.BICUBIC)) - 0.5)
    return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)


def _grain(size: tuple[int, int], strength: float, rng: Rng) -> Image.Image:
    width, height = min(size[0], _ATLAS), min(size[1], _ATLAS)
    x, y = rng.integers(0, _ATLAS - width + 1), rng.integers(0, _ATLAS - height + 1)
    cut = grain_atlas()[y : y + height, x : x + width]
    values = np.clip(1 - strength * 0.25 + cut * strength * 0.22, 0, 1)
    grey = Image.fromarray((values * 255).astype(np.uint8))
    if grey.size != size:
        grey = grey.resize(size)
    return Image.merge("RGB", (grey, grey, grey))
