"""What stands behind, beside and before the object: scenes, clutter, occluders.

Scenes are computed at half the size and enlarged: they are out of focus, and it is four times faster.
"""

# ruff: noqa: PLR2004  a drawing is made of numbers

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pictus.demo.brush import Points, box, ellipse, rounded, smooth, star, stroke, turned, wobbly
from pictus.demo.plants import leaf
from pictus.demo.render import grain_atlas, render, scaled
from pictus.demo.sketch import Colour, Light, Part, Pose, Rng, Sketch, View, extruded, hsv, shade, tint

Field = npt.NDArray[np.floating]
Size = tuple[int, int]


def scene(name: str, size: Size, rng: Rng) -> Image.Image:
    """One background by name, at full size."""
    small = (size[0] // 2 + 1, size[1] // 2 + 1)
    values = SCENES[name](small, rng)
    image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return image.filter(ImageFilter.BoxBlur(rng.uniform(0.0, 2.5))) if rng.random() < 0.5 else image


def clouds(size: Size, rng: Rng, *cells: tuple[int, int]) -> Field:
    """Smooth noise about 0, one layer for each (columns, rows), each half as strong as the last: f32[H, W]."""
    total = np.zeros((size[1], size[0]), dtype=np.float32)
    for level, (columns, rows) in enumerate(cells):
        sheet = Image.fromarray(rng.random((max(rows, 2), max(columns, 2)), dtype=np.float32))
        total += (np.asarray(sheet.resize(size, Image.Resampling.BICUBIC)) - 0.5) * 2.0**-level
    return total


def _blend(low: Colour, high: Colour, share: Field) -> Field:
    share = np.clip(share, 0, 1)[..., None]
    return np.asarray(
        np.asarray(low, np.float32) * (1 - share) + np.asarray(high, np.float32) * share, dtype=np.float32
    )


def _axes(size: Size) -> tuple[Field, Field]:
    """Coordinates x and y in 0..1, broadcastable to [H, W]."""
    x, y = np.linspace(0, 1, size[0], dtype=np.float32)[None, :], np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    return x, y


def _fine(size: Size, rng: Rng, strength: float) -> Field:
    width, height = size
    x, y = rng.integers(0, 640 - width), rng.integers(0, 640 - height)
    return np.asarray(grain_atlas()[y : y + height, x : x + width] * strength)[..., None]


def _studio(size: Size, rng: Rng) -> Field:
    hue = rng.random()
    light, dark = (
        hsv(hue, rng.uniform(0.05, 0.5), 0.97),
        hsv(hue + rng.normal(0, 0.05), rng.uniform(0.15, 0.65), rng.uniform(0.5, 0.8)),
    )
    x, y = _axes(size)
    cx, cy = rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.7)
    return _blend(light, dark, np.sqrt((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(0.9, 1.4)) + _fine(size, rng, 1.5)


def _air(size: Size, rng: Rng) -> Field:
    hue = rng.choice([0.57, 0.6, 0.55, 0.05, 0.9], p=[0.35, 0.25, 0.2, 0.12, 0.08])
    _, y = _axes(size)
    base = _blend(hsv(hue, rng.uniform(0.45, 0.75), 0.88), hsv(hue + 0.02, 0.18, 0.99), y + 0 * _axes(size)[0])
    cover = np.clip(clouds(size, rng, (4, 4), (9, 9), (22, 22), (50, 50)) * 2.2 + rng.uniform(-0.7, 0.3), 0, 1)[
        ..., None
    ]
    return np.asarray(base * (1 - 0.85 * cover) + np.array([252, 250, 250], np.float32) * 0.85 * cover)


def _ground(
    size: Size, rng: Rng, low: Colour, high: Colour, cells: tuple[tuple[int, int], ...], *, strength: float
) -> Field:
    """A distant sky over a textured ground that starts at a horizon."""
    _, y = _axes(size)
    horizon = rng.uniform(0.18, 0.55)
    ground = _blend(high, low, (y - horizon) / (1 - horizon) + 0 * _axes(size)[0])
    ground = ground * (1 + strength * clouds(size, rng, *cells)[..., None]) + _fine(size, rng, 7)
    edge = np.clip((y - horizon) * size[1] / 2 + clouds(size, rng, (8, 2), (30, 2)) * 3, 0, 1)[..., None]
    return _air(size, rng) * (1 - edge) + ground * edge


def _meadow(size: Size, rng: Rng) -> Field:
    hue = rng.uniform(0.2, 0.34)
    field = _ground(
        size,
        rng,
        hsv(hue, 0.65, 0.5),
        hsv(hue - 0.03, 0.5, 0.75),
        ((size[0] // 3, 5), (size[0], 14), (10, 5)),
        strength=0.55,
    )
    for _ in range(int(rng.integers(0, 45))):
        x, y = rng.integers(0, size[0] - 3), rng.integers(int(size[1] * 0.6), size[1] - 3)
        field[y : y + 2, x : x + 2] = hsv(rng.choice([0.15, 0.0, 0.9, 0.75]), rng.uniform(0, 0.7), 0.97)
    return field


def _sea(size: Size, rng: Rng) -> Field:
    hue = rng.uniform(0.48, 0.62)
    return _ground(
        size,
        rng,
        hsv(hue, 0.75, 0.5),
        hsv(hue, 0.5, 0.75),
        ((4, size[1] // 3), (9, size[1] // 2), (24, size[1])),
        strength=0.5,
    )


def _sand(size: Size, rng: Rng) -> Field:
    hue = rng.uniform(0.08, 0.13)
    return _ground(size, rng, hsv(hue, 0.35, 0.85), hsv(hue, 0.25, 0.95), ((3, 12), (10, 30), (40, 60)), strength=0.25)


def _snow(size: Size, rng: Rng) -> Field:
    return _ground(size, rng, hsv(0.6, 0.06, 0.95), hsv(0.6, 0.12, 0.88), ((3, 6), (8, 20)), strength=0.18)


def _hills(size: Size, rng: Rng) -> Field:
    values = _air(size, rng)
    hue = rng.uniform(0.25, 0.75)
    _, y = _axes(size)
    for level in range(4):
        ridge = 0.42 + 0.15 * level + clouds((size[0], 1), rng, (5, 2), (14, 2), (40, 2))[0] * 0.22
        values[y > ridge[None, :]] = hsv(hue, 0.2 + 0.14 * level, 0.82 - 0.14 * level)
    return values + _fine(size, rng, 3)


def _table(size: Size, rng: Rng) -> Field:
    wall = _wallpaper(size, rng)
    hue, value = rng.uniform(0.05, 0.11), rng.uniform(0.45, 0.9)
    x, y = _axes(size)
    edge = rng.uniform(0.45, 0.75)
    streak = clouds(size, rng, (3, size[1] // 2), (7, size[1]), (30, size[1]))
    planks = 1 - 0.35 * (np.abs(((y - edge) * rng.uniform(5, 9)) % 1 - 0.5) > 0.475)
    wood = (
        _blend(hsv(hue, 0.6, value), hsv(hue + 0.01, 0.45, min(value * 1.25, 1)), streak * 0.8 + 0.5)
        * (planks + 0 * x)[..., None]
    )
    is_table = (y > edge)[..., None]
    shadow = 1 - 0.35 * np.exp(-np.abs(y - edge) * 25)[..., None]
    return np.asarray(np.where(is_table, wood, wall * shadow))


def _wallpaper(size: Size, rng: Rng) -> Field:
    hue = rng.random()
    low, high = (
        hsv(hue, rng.uniform(0.1, 0.45), rng.uniform(0.6, 0.95)),
        hsv(hue + rng.normal(0, 0.08), rng.uniform(0.1, 0.5), rng.uniform(0.6, 0.95)),
    )
    x, y = _axes(size)
    many = rng.uniform(6, 18)
    kind = rng.integers(0, 4)
    ratio = size[1] / size[0]
    if kind == 0:
        share = np.asarray((x * many) % 1 > 0.5, np.float32) + 0 * y
    elif kind == 1:
        share = np.asarray(((x * many) % 1 - 0.5) ** 2 + ((y * many * ratio) % 1 - 0.5) ** 2 < 0.06, np.float32)
    elif kind == 2:
        share = np.asarray(((x + y * ratio) * many) % 1 > 0.5, np.float32) + 0 * y
    else:
        share = np.asarray(clouds(size, rng, (3, 3), (8, 8)) + 0.5, np.float32)
    return _blend(low, high, share) + _fine(size, rng, 4)


def _brick(size: Size, rng: Rng) -> Field:
    x, y = _axes(size)
    rows = rng.uniform(7, 14)
    row = np.floor(y * rows)
    across = x * rows * size[0] / size[1] / 2.2 + 0.5 * (row % 2)
    gap = (((y * rows) % 1) < 0.12) | ((across % 1) < 0.06)
    hue = rng.uniform(0.0, 0.08) if rng.random() < 0.65 else rng.random()
    tone = np.sin(np.floor(across) * 12.99 + row * 78.23) * 0.5 + 0.5
    bricks = _blend(hsv(hue, 0.55, 0.55), hsv(hue + 0.02, 0.45, 0.78), tone.astype(np.float32))
    bricks *= 1 + 0.25 * clouds(size, rng, (20, 20), (60, 60))[..., None]
    return np.where(gap[..., None], np.array([198, 192, 182], np.float32), bricks) + _fine(size, rng, 6)


def _tiles(size: Size, rng: Rng) -> Field:
    x, y = _axes(size)
    many = rng.uniform(3, 8)
    lean = y * rng.uniform(0, 0.4)
    column, row = x * many * size[0] / size[1] + lean, y * many
    gap = ((column % 1) < 0.05) | ((row % 1) < 0.05)
    hue = rng.random()
    check = (np.floor(column) + np.floor(row)) % 2 * rng.uniform(0, 1)
    tiles = _blend(hsv(hue, 0.15, 0.92), hsv(hue, rng.uniform(0.2, 0.6), 0.62), np.asarray(check, np.float32))
    tiles *= 1 + 0.12 * clouds(size, rng, (4, 4), (9, 9))[..., None]
    return np.where(gap[..., None], tiles * 0.72, tiles) + _fine(size, rng, 2)


def _lights(size: Size, rng: Rng) -> Field:
    """Blurred points of light, by night or under trees."""
    hue = rng.choice([0.62, 0.7, 0.33, 0.38, 0.06])
    value = rng.uniform(0.3, 0.6)
    field = _blend(
        hsv(hue, 0.6, value * 0.7), hsv(hue + 0.06, 0.45, value * 1.3), clouds(size, rng, (3, 3), (7, 7)) + 0.5
    )
    x, y = np.arange(size[0], dtype=np.float32)[None, :], np.arange(size[1], dtype=np.float32)[:, None]
    warm = rng.random()
    for _ in range(int(rng.integers(8, 26))):
        cx, cy, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0.02, 0.09) * min(size)
        x0, x1, y0, y1 = int(max(cx - r - 2, 0)), int(cx + r + 3), int(max(cy - r - 2, 0)), int(cy + r + 3)
        distance = np.sqrt((x[:, x0:x1] - cx) ** 2 + (y[y0:y1] - cy) ** 2)
        disc = np.clip(r - distance + 0.5, 0, 1) * (0.65 + 0.35 * distance / r)
        field[y0:y1, x0:x1] += (
            disc[..., None]
            * np.asarray(hsv(warm + rng.normal(0, 0.08), 0.55, 1.0), np.float32)
            * rng.uniform(0.25, 0.6)
        )
    return field


def _cloth(size: Size, rng: Rng) -> Field:
    x, y = _axes(size)
    fold = clouds(size, rng, (3, 3), (6, 6)) * 0.05
    many, hue = rng.uniform(5, 14), rng.random()
    u, v = ((x + fold) * many * size[0] / size[1]) % 1 > 0.5, ((y + fold) * many) % 1 > 0.5
    share = (u.astype(np.float32) + v) / 2
    cloth = _blend(hsv(hue, 0.06, 0.96), hsv(hue, rng.uniform(0.5, 0.8), rng.uniform(0.6, 0.85)), share)
    return cloth * (1 + 1.5 * fold[..., None]) + _fine(size, rng, 3)


def _plaster(size: Size, rng: Rng) -> Field:
    hue, value = rng.random(), rng.uniform(0.5, 0.92)
    base = _blend(hsv(hue, 0.2, value * 0.85), hsv(hue, 0.12, value), clouds(size, rng, (2, 2), (6, 6), (20, 20)) + 0.5)
    return base + _fine(size, rng, 12)


def _shelf(size: Size, rng: Rng) -> Field:
    field = np.zeros((size[1], size[0], 3), np.float32) + np.asarray(hsv(rng.uniform(0.05, 0.1), 0.5, 0.35), np.float32)
    rows = int(rng.integers(2, 4))
    for row in range(rows):
        y0, y1 = int(size[1] * row / rows), int(size[1] * (row + 1) / rows) - 5
        x = int(rng.integers(0, 4))
        while x < size[0]:
            wide = int(rng.integers(4, 14))
            top = y0 + int((y1 - y0) * rng.uniform(0.08, 0.3))
            colour = np.asarray(hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.35, 0.9)), np.float32)
            field[top:y1, x : x + wide] = (
                colour * np.linspace(1.1, 0.8, len(range(x, min(x + wide, size[0]))), dtype=np.float32)[None, :, None]
            )
            x += wide + int(rng.integers(0, 2))
    return field


SCENES: dict[str, Callable[[Size, Rng], Field]] = {
    "studio": _studio, "air": _air, "meadow": _meadow, "sea": _sea, "sand": _sand, "snow": _snow, "hills": _hills,
    "table": _table, "wallpaper": _wallpaper, "brick": _brick, "tiles": _tiles, "lights": _lights, "cloth": _cloth,
    "plaster": _plaster, "shelf": _shelf,
}  # fmt: skip


def _prop(rng: Rng) -> Sketch:  # noqa: PLR0911  one for each kind
    """A small thing that is none of the concepts."""
    colour = hsv(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.35, 0.95))
    kind = rng.integers(0, 7)
    if kind == 0:
        return Sketch(
            (
                Part(
                    wobbly(ellipse(0, 0, 1, rng.uniform(0.55, 0.9)), rng, 0.06),
                    shade(colour, 0.85),
                    bulge=0.6,
                    grain=0.5,
                ),
            )
        )
    if kind == 1:
        view = View(rng.uniform(-0.7, 0.7), rng.uniform(0.1, 0.5))
        face = Part(box(-0.8, -0.8, 0.8, 0.8), colour, bulge=0.04)
        return Sketch(tuple(extruded(face, 1.4, view, edge=colour)))
    if kind == 2:
        return Sketch(
            (
                Part(
                    leaf(-1, 0, 2, 0.9, 0),
                    tint(rng, [(0.28, 0.6, 0.5), (0.08, 0.8, 0.75)], natural=0.8),
                    bulge=0.15,
                    gloss=0.2,
                ),
            )
        )
    if kind == 3:
        tip = Part(stroke([(0.8, 0), (1.0, 0)], [0.16, 0.02]), (226, 190, 140))
        return Sketch((Part(stroke([(-1, 0), (0.8, 0)], 0.17), colour, bulge=0.08, gloss=0.4), tip))
    if kind == 4:
        return Sketch((Part(ellipse(0, 0, 0.7, 0.7), colour, bulge=0.1, gloss=0.8, holes=(ellipse(0, 0, 0.4, 0.4),)),))
    if kind == 5:
        pages = [
            Part(rounded(-0.9, y, 0.9, y + 0.24, 0.04), hsv(rng.random(), 0.6, rng.uniform(0.4, 0.9)), bulge=0.05)
            for y in (0.3, 0.04, -0.22)
        ]
        return Sketch(tuple(pages[: int(rng.integers(1, 4))]))
    return Sketch((Part(star(0, 0, int(rng.integers(3, 5)), 0.9, 0.5), colour, bulge=0.2, gloss=0.5),))


def clutter(image: Image.Image, many: int, light: Light, rng: Rng) -> None:
    """Scatter small things over the picture, in place."""
    short = min(image.size)
    for _ in range(many):
        scale = short * rng.uniform(0.05, 0.13)
        pose = Pose(View(0.0, 0.0, rng.uniform(-0.5, 0.5)), scale, scale * 1.3, scale * 1.3)
        side = round(scale * 2.6)
        layer = render(_prop(rng), pose, light, (side, side), rng)
        x, y = (
            rng.integers(-side // 3, image.width - side // 2),
            rng.integers(int(image.height * 0.25), image.height - side // 2),
        )
        shadow = layer.mask.filter(ImageFilter.BoxBlur(scale * 0.15)).point(scaled(0.33))
        image.paste((10, 10, 20), (int(x), int(y + scale * 0.25)), shadow)
        image.paste(layer.colours, (int(x), int(y)), layer.mask)


def occluder(size: Size, rng: Rng, light: Light) -> tuple[Image.Image, Image.Image]:
    """Something out of focus that reaches in from an edge: its colours and mask, the picture's size."""
    width, height = size
    turn, reach = rng.random(), rng.uniform(0.22, 0.4)
    colour = tint(rng, [(0.3, 0.55, 0.4), (0.27, 0.6, 0.5), (0.08, 0.4, 0.35)], natural=0.7)
    shapes: list[Points] = []
    if rng.random() < 0.6:
        shapes += [
            leaf(0, y, rng.uniform(0.6, 1.0), rng.uniform(0.16, 0.3), rng.normal(0, 0.06))
            for y in rng.normal(0, 0.25, int(rng.integers(1, 4)))
        ]
    else:
        shapes.append(
            stroke(
                smooth([(-0.1, 0), (0.5, rng.normal(0, 0.1)), (1.0, rng.normal(0, 0.2))], is_closed=False), [0.16] * 17
            )
        )
    angle = turn * 2 * np.pi
    start = np.array([0.5 - 0.62 * np.cos(angle), 0.5 - 0.62 * np.sin(angle)]) * (width, height)
    parts = tuple(Part(turned(shape, turn), shade(colour, rng.uniform(0.8, 1.2)), bulge=0.1) for shape in shapes)
    pose = Pose(View(), min(size) * reach * 1.3, float(start[0]), float(start[1]))
    layer = render(Sketch(parts), pose, light, size, rng)
    blur = rng.uniform(0.0, 2.5)
    if blur < 0.8:
        return layer.colours, layer.mask
    spread = ImageFilter.BoxBlur(blur)
    soft = Image.new("RGB", size, colour)
    soft.paste(layer.colours, mask=layer.mask)
    return soft.filter(spread), layer.mask.filter(spread)
