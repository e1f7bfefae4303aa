"""What a drawing is before it has pixels: parts in painting order, keypoints, a pose, a light."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pictus.demo.brush import Points, deep

Colour = tuple[int, int, int]
Rng = np.random.Generator


@dataclass(frozen=True)
class Part:
    """One painted shape. Later parts cover earlier ones."""

    points: Points
    colour: Colour
    bulge: float = 0.0  # how far from its edge the surface keeps rising, object units; 0 is flat
    gloss: float = 0.0  # 0 matt .. 1 varnished
    grain: float = 0.0  # strength of the surface texture, 0..1
    shadow: float = 0.0  # how dark a shadow it throws on the parts below, 0..1
    fade: Colour | None = None  # colour at its lower end, blended from `colour`
    decals: tuple["Part", ...] = ()  # painted on its surface, cut at its edge, shaded with it
    holes: tuple[Points, ...] = ()
    alpha: float = 1.0
    is_turned: bool = False  # round about the object's upright axis, as on a lathe or a potter's wheel


@dataclass(frozen=True)
class Sketch:
    """Parts in painting order and named points of the object."""

    parts: tuple[Part, ...]
    keypoints: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """Where the viewer stands: angles in radians. roll turns the picture plane."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


Draw = Callable[[Rng, View], Sketch]


@dataclass(frozen=True)
class Pose:
    """From object units to pixels."""

    view: View
    scale: float
    x: float
    y: float
    is_flipped: bool = False


@dataclass(frozen=True)
class Light:
    """One key light and the sky. direction points to the light; x right, y down, z to the viewer."""

    direction: tuple[float, float, float] = (-0.5, -0.6, 0.62)
    key: tuple[float, float, float] = (0.82, 0.79, 0.74)
    sky: tuple[float, float, float] = (0.56, 0.58, 0.62)


_DISTANCE = 5.0
"""From the viewer to the object, object units: mild perspective."""


def project(points: Points, pose: Pose) -> npt.NDArray[np.float64]:
    """Object units -> pixels, f64[N, 2]."""
    x, y = points[:, 0], points[:, 1]
    z = points[:, 2] if points.shape[1] > 2 else np.zeros(len(points))  # noqa: PLR2004  x, y, z
    view = pose.view
    x, z = x * np.cos(view.yaw) + z * np.sin(view.yaw), z * np.cos(view.yaw) - x * np.sin(view.yaw)
    y, z = y * np.cos(view.pitch) - z * np.sin(view.pitch), z * np.cos(view.pitch) + y * np.sin(view.pitch)
    x, y = x * np.cos(view.roll) - y * np.sin(view.roll), y * np.cos(view.roll) + x * np.sin(view.roll)
    scale = pose.scale * _DISTANCE / (_DISTANCE + z)
    return np.stack([pose.x + (-x if pose.is_flipped else x) * scale, pose.y + y * scale], axis=1)


def extruded(part: Part, depth: float, view: View, *, edge: Colour) -> list[Part]:
    """A flat outline given thickness: the side faces the viewer sees, far ones first, then its front.

    The front lies at z = -depth / 2. Sides are lit by where they look.
    """
    outline = part.points[:, :2]
    ahead = np.roll(outline, -1, axis=0)
    area = float(np.sum(outline[:, 0] * ahead[:, 1] - ahead[:, 0] * outline[:, 1]))
    normals = np.stack([ahead[:, 1] - outline[:, 1], outline[:, 0] - ahead[:, 0]], axis=1) * (1 if area > 0 else -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    towards = normals[:, 0] * np.sin(view.yaw) * np.cos(view.pitch) - normals[:, 1] * np.sin(view.pitch)
    middle = (outline + ahead) / 2
    sides: list[tuple[float, Part]] = []
    for k in np.flatnonzero(towards > 0.03):  # noqa: PLR2004  nearly edge-on faces are not worth painting
        quad = np.array(
            [[*outline[k], -depth / 2], [*ahead[k], -depth / 2], [*ahead[k], depth / 2], [*outline[k], depth / 2]]
        )
        light = 0.88 - 0.22 * float(normals[k, 1]) - 0.12 * float(normals[k, 0])
        nearness = float(-middle[k, 0] * np.sin(view.yaw) + middle[k, 1] * np.sin(view.pitch))
        sides.append((nearness, Part(quad, shade(edge, light))))
    sides.sort(key=lambda side: -side[0])
    return [*(side for _, side in sides), lifted(part, -depth / 2)]


def lifted(part: Part, z: float) -> Part:
    """A flat part and its decals moved to depth z."""
    return replace(part, points=deep(part.points[:, :2], z), decals=tuple(lifted(decal, z) for decal in part.decals),
                   holes=tuple(deep(hole[:, :2], z) for hole in part.holes))  # fmt: skip


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Hue, saturation and value in 0..1 -> RGB in 0..255."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(red * 255), round(green * 255), round(blue * 255)


def tint(
    rng: Rng, hues: Sequence[tuple[float, float, float]], *, natural: float = 0.55, spread: float = 0.03
) -> Colour:
    """One of the natural colours (hue, saturation, value) with some variation, or any colour at all.

    Half of all things are painted in unlikely colours, so that colour alone does not name them.
    """
    if rng.random() < natural:
        hue, saturation, value = hues[int(rng.integers(len(hues)))]
        hue += rng.normal(0, spread)
    else:
        hue, saturation, value = rng.random(), rng.uniform(0.35, 0.9), rng.uniform(0.55, 0.95)
    return hsv(hue, saturation + rng.normal(0, 0.06), value + rng.normal(0, 0.06))


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (< 1) or lighter (> 1, towards white)."""
    if factor <= 1:
        red, green, blue = (round(channel * factor) for channel in colour)
    else:
        red, green, blue = (round(channel + (255 - channel) * min(factor - 1, 1)) for channel in colour)
    return red, green, blue


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of b in a."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue
