"""Draws one picture of one concept, with exact box, mask and keypoints. Everything follows from the seed."""

# ruff: noqa: PLR2004  shares and sizes of a drawing, each used once

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pictus.demo import animals, plants, things, vehicles, vessels
from pictus.demo.camera import Shot, jpeg, ordinary, take
from pictus.demo.render import Layer, render, scaled
from pictus.demo.scenery import SCENES, clutter, occluder, scene
from pictus.demo.sketch import Draw, Light, Pose, Rng, Sketch, View, project


@dataclass(frozen=True)
class Motif:
    """How a concept is put into a picture. Angles in radians, each way from upright."""

    draw: Draw
    roll: float = 0.3
    yaw: float = 0.5
    pitch: tuple[float, float] = (-0.15, 0.35)
    stance: str = "stands"  # stands | lies | floats
    home: tuple[str, ...] = ("table", "cloth", "tiles")


@dataclass(frozen=True)
class Drawn:
    """One drawn picture and its truth. Pixels u8[H, W, 3]; mask bool[H, W] of what is visible;
    box x0, y0, x1, y1 of the mask in px (x1, y1 outside); keypoints in px, those out of the picture left out.
    """

    concept_id: str
    pixels: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    box: tuple[int, int, int, int]
    keypoints: dict[str, tuple[float, float]]
    scene: str
    jpeg_quality: int

    def jpeg(self) -> bytes:
        """The picture as a file."""
        return jpeg(Image.fromarray(self.pixels), self.jpeg_quality)


_DRAWS: dict[str, Draw] = {**plants.MOTIFS, **animals.MOTIFS, **vessels.MOTIFS, **vehicles.MOTIFS, **things.MOTIFS}
_FRUIT = ("table", "cloth", "studio", "tiles")
_UPRIGHT = {"roll": 0.14, "yaw": 0.0, "pitch": (0.05, 0.42)}
_ANY_WAY = {"roll": 0.5, "yaw": 0.4, "pitch": (-0.3, 0.5), "stance": "lies"}

MOTIFS: dict[str, Motif] = {
    "n07753592": Motif(_DRAWS["n07753592"], roll=0.7, stance="lies", home=_FRUIT),
    "n07747607": Motif(_DRAWS["n07747607"], yaw=0.2, home=_FRUIT),
    "n07749582": Motif(_DRAWS["n07749582"], roll=0.6, yaw=0.3, home=_FRUIT),
    "n07745940": Motif(_DRAWS["n07745940"], roll=0.6, yaw=0.3, home=_FRUIT),
    "n07753275": Motif(_DRAWS["n07753275"], roll=0.35, yaw=0.2, home=_FRUIT),
    "n07742313": Motif(_DRAWS["n07742313"], roll=0.3, yaw=0.3, home=_FRUIT),
    "n07734744": Motif(_DRAWS["n07734744"], roll=0.25, yaw=0.2, home=("meadow", "hills")),
    "n11939491": Motif(
        _DRAWS["n11939491"], roll=0.3, yaw=0.5, pitch=(-0.5, 0.5), stance="floats", home=("meadow", "air")
    ),
    "n01443537": Motif(_DRAWS["n01443537"], roll=0.35, stance="floats", home=("sea", "lights", "studio")),
    "n02165456": Motif(_DRAWS["n02165456"], **_ANY_WAY, home=("plaster", "meadow")),  # type: ignore[arg-type]
    "n02279972": Motif(_DRAWS["n02279972"], roll=0.4, stance="floats", home=("air", "meadow", "lights")),
    "n01944390": Motif(_DRAWS["n01944390"], roll=0.25, yaw=0.4, home=("meadow", "brick")),
    "n02317335": Motif(_DRAWS["n02317335"], **_ANY_WAY, home=("sand", "sea")),  # type: ignore[arg-type]
    "n04398044": Motif(_DRAWS["n04398044"], **_UPRIGHT, home=("table", "shelf")),  # type: ignore[arg-type]
    "n03063599": Motif(_DRAWS["n03063599"], **_UPRIGHT, home=("table", "shelf")),  # type: ignore[arg-type]
    "n04591713": Motif(_DRAWS["n04591713"], **_UPRIGHT, home=("table", "shelf")),  # type: ignore[arg-type]
    "n04522168": Motif(_DRAWS["n04522168"], **_UPRIGHT, home=("table", "wallpaper")),  # type: ignore[arg-type]
    "n04146614": Motif(_DRAWS["n04146614"], roll=0.1, yaw=0.6, pitch=(0.02, 0.35), home=("hills", "brick", "air")),
    "n04285008": Motif(_DRAWS["n04285008"], roll=0.12, yaw=0.6, pitch=(0.02, 0.35), home=("hills", "sand", "tiles")),
    "n03792782": Motif(_DRAWS["n03792782"], roll=0.15, yaw=0.6, pitch=(-0.05, 0.2), home=("meadow", "hills", "brick")),
    "n02782093": Motif(
        _DRAWS["n02782093"], roll=0.15, yaw=0.0, pitch=(-0.1, 0.1), stance="floats", home=("air", "hills")
    ),
    "n04147183": Motif(_DRAWS["n04147183"], roll=0.15, yaw=0.5, pitch=(-0.1, 0.15), home=("sea",)),
    "n03481172": Motif(_DRAWS["n03481172"], **_ANY_WAY, home=("plaster", "table")),  # type: ignore[arg-type]
    "n04507155": Motif(_DRAWS["n04507155"], roll=0.4, yaw=0.3, stance="floats", home=("air", "sand", "brick")),
    "n02676566": Motif(_DRAWS["n02676566"], roll=0.45, yaw=0.4, home=("wallpaper", "brick", "shelf")),
    "n02708093": Motif(_DRAWS["n02708093"], roll=0.15, yaw=0.5, home=("wallpaper", "shelf", "brick")),
    "n04254680": Motif(_DRAWS["n04254680"], roll=0.5, yaw=0.0, home=("meadow", "sand")),
    "n02814860": Motif(_DRAWS["n02814860"], roll=0.1, yaw=0.0, pitch=(-0.1, 0.1), home=("sea", "air", "hills")),
}
"""Every class of the tree; its order is not used."""

_SIZES = np.array([256, 272, 288, 320, 352, 384])
_SIZE_SHARES = np.array([0.38, 0.2, 0.18, 0.14, 0.06, 0.04])
_ASPECTS = np.array([1.0, 1.15, 4 / 3])
_AT_HOME = 0.3
"""Share of pictures in a place one would expect; the others are anywhere."""


def draw(concept_id: str, seed: tuple[int, ...], shot: Shot | None = None) -> Drawn:
    """The picture of `concept_id` that belongs to this seed. `shot` replaces the camera's own settings."""
    rng = np.random.default_rng(seed)
    motif = MOTIFS[concept_id]
    size = _size(rng)
    light = _light(rng)
    place = str(rng.choice(motif.home)) if rng.random() < _AT_HOME else str(rng.choice(list(SCENES)))
    image = scene(place, size, rng)
    if rng.random() < 0.6:
        clutter(image, int(rng.integers(1, 6)), light, rng)
    view = View(rng.uniform(-motif.yaw, motif.yaw), rng.uniform(*motif.pitch), rng.normal(0, motif.roll / 2))
    sketch = motif.draw(rng, view)
    pose = _placed(sketch, view, size, rng)
    layer = render(sketch, pose, light, size, rng)
    _throw_shadow(image, layer, motif.stance, light)
    image.paste(layer.colours, mask=layer.mask)
    visible = np.asarray(layer.mask) > 127
    if rng.random() < 0.25:
        image, visible = _covered(image, visible, light, rng)
    settings = shot or ordinary(rng)
    pixels = np.asarray(take(image, settings, rng))
    return Drawn(concept_id, pixels, visible, _box(visible), _keypoints(sketch, pose, size), place, settings.quality)


def _size(rng: Rng) -> tuple[int, int]:
    short = int(rng.choice(_SIZES, p=_SIZE_SHARES))
    long = min(512, int(short * rng.choice(_ASPECTS)))
    return (long, short) if rng.random() < 0.68 else (short, long)


def _light(rng: Rng) -> Light:
    angle, height = rng.uniform(-2.6, -0.5), rng.uniform(0.5, 0.8)
    side = (1 - height**2) ** 0.5
    power, warm = rng.uniform(0.72, 0.98), rng.uniform(-0.08, 0.08)
    key = (power * (1 + warm), power, power * (1 - warm))
    sky = rng.uniform(0.45, 0.62)
    return Light(
        (side * float(np.cos(angle)), side * float(np.sin(angle)), height),
        key,
        (sky * (1 - warm), sky, sky * (1 + warm)),
    )


def _placed(sketch: Sketch, view: View, size: tuple[int, int], rng: Rng) -> Pose:
    """Scale and position: the object fills 45 to 95 % of the picture, now and then cut a little by its edge."""
    is_flipped = bool(rng.random() < 0.5)
    unit = Pose(view, 1.0, 0.0, 0.0, is_flipped)
    outline = np.concatenate([project(part.points, unit) for part in sketch.parts])
    low, high = outline.min(axis=0), outline.max(axis=0)
    extent = high - low
    share = rng.uniform(0.5, 0.94)
    scale = float(share * min(size[0] / extent[0], size[1] / extent[1]))
    scale = min(scale, 0.95 * min(size) / float(np.sqrt(extent[0] * extent[1])))
    room = np.asarray(size) - extent * scale
    corner = room * (0.04 + 0.92 * rng.beta(1.6, 1.6, 2)) + np.where(
        rng.random(2) < 0.12, rng.normal(0, 0.05, 2) * min(size), 0
    )
    x, y = corner - low * scale
    return Pose(view, scale, float(x), float(y), is_flipped)


def _throw_shadow(image: Image.Image, layer: Layer, stance: str, light: Light) -> None:
    """A soft shadow on the ground: squashed behind what stands, beside what lies."""
    bounds = layer.mask.getbbox()
    if bounds is None or stance == "floats":
        return
    x0, y0, x1, y1 = bounds
    wide, high = x1 - x0, y1 - y0
    lean, spread = -light.direction[0], max(2.0, 0.02 * max(wide, high))
    if stance == "lies":
        shift = 0.035 * max(wide, high)
        shadow = layer.mask.transform(
            image.size, Image.Transform.AFFINE, (1, 0, -lean * shift * 1.4, 0, 1, light.direction[1] * shift * 1.4)
        )
    else:  # picture (x, y) -> mask: rows squashed onto the foot, columns sheared away from the light
        flat, foot = 0.28, y1 - 0.02 * high
        shear = -lean * 0.9 / flat * 0.5
        shadow = layer.mask.transform(
            image.size,
            Image.Transform.AFFINE,
            (1, -shear, shear * foot, 0, 1 / flat, foot - foot / flat),
            Image.Resampling.BILINEAR,
        )
    shadow = shadow.filter(ImageFilter.BoxBlur(spread)).point(scaled(0.41))
    image.paste((14, 12, 22), mask=shadow)


def _covered(
    image: Image.Image, visible: npt.NDArray[np.bool_], light: Light, rng: Rng
) -> tuple[Image.Image, npt.NDArray[np.bool_]]:
    """Put something before the object, unless it would hide more than a fifth of it."""
    colours, mask = occluder(image.size, rng, light)
    hidden = np.asarray(mask) > 127
    if (hidden & visible).sum() > 0.2 * visible.sum():
        return image, visible
    image.paste(colours, mask=mask)
    return image, visible & ~hidden


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _keypoints(sketch: Sketch, pose: Pose, size: tuple[int, int]) -> dict[str, tuple[float, float]]:
    points = {name: project(np.array([at], dtype=np.float64), pose)[0] for name, at in sketch.keypoints.items()}
    return {name: (float(x), float(y)) for name, (x, y) in points.items() if 0 <= x < size[0] and 0 <= y < size[1]}
