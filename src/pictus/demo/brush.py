"""Points of the shapes that sketches are made of. All in object units: x right, y down, about -1..1.

A shape is a closed polygon, f64[N, 2] or f64[N, 3] (z towards the viewer is negative).
"""

# ruff: noqa: RUF005  arrays are shifted by (x, y)

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Pairs = Sequence[tuple[float, float]]

_TURN = 2.0 * np.pi


def ellipse(
    x: float, y: float, rx: float, ry: float, *, start: float = 0.0, end: float = 1.0, tilt: float = 0.0, n: int = 40
) -> Points:
    """An ellipse, or the part of it between two shares of a turn (0 = right, .25 = down)."""
    angle = np.linspace(start, end, n, endpoint=(end - start) < 1.0) * _TURN
    points = np.stack([rx * np.cos(angle), ry * np.sin(angle)], axis=1)
    return turned(points, tilt) + (x, y)


def smooth(points: Pairs | Points, *, n: int = 8, is_closed: bool = True) -> Points:
    """A Catmull-Rom curve through the points, n steps between neighbours."""
    knots = np.asarray(points, dtype=np.float64)
    if is_closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, 1, n, endpoint=False)[None, :, None]
    a, b, c, d = (knots[i : len(knots) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = curve.reshape(-1, knots.shape[1])
    return flat if is_closed else np.concatenate([flat, knots[-2:-1]])


def stroke(path: Pairs | Points, width: float | Sequence[float] | Points) -> Points:
    """The outline of a line of this full width (one number, or one for each point), with round ends."""
    line = np.asarray(path, dtype=np.float64)
    half = np.broadcast_to(np.asarray(width, dtype=np.float64) / 2, (len(line),))
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * half[:, None]
    return np.concatenate([line + side, _cap(line[-1], side[-1]), (line - side)[::-1], _cap(line[0], -side[0])])


def _cap(end: Points, side: Points) -> Points:
    angle = np.linspace(0, -np.pi, 7)[1:-1]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.asarray(end + cos * side + sin * np.array([-side[1], side[0]]))


def line(a: tuple[float, float], b: tuple[float, float], n: int = 2) -> Points:
    """From a to b in n points."""
    return np.linspace(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64), n)


def rounded(x0: float, y0: float, x1: float, y1: float, r: float) -> Points:
    """A rectangle with round corners."""
    corners = ((x1 - r, y1 - r, 0.0), (x0 + r, y1 - r, 0.25), (x0 + r, y0 + r, 0.5), (x1 - r, y0 + r, 0.75))
    return np.concatenate([ellipse(x, y, r, r, start=s, end=s + 0.25, n=6) for x, y, s in corners])


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    """A rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)


def lathe(profile: Pairs, *, n: int = 8) -> Points:
    """The outline of a turned body: (radius, y) pairs from the top down, mirrored about x = 0."""
    right = smooth(profile, n=n, is_closed=False)
    return np.concatenate([right, right[::-1] * (-1.0, 1.0)])


def star(x: float, y: float, tips: int, outer: float, inner: float, *, turn: float = 0.0) -> Points:
    """A star's corners: tip, notch, tip …"""
    angle = (np.arange(2 * tips) / (2 * tips) + turn) * _TURN - np.pi / 2
    radius = np.where(np.arange(2 * tips) % 2 == 0, outer, inner)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def turned(points: Points, turn: float, about: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Rotated clockwise (on the screen) by a share of a turn."""
    cos, sin = np.cos(turn * _TURN), np.sin(turn * _TURN)
    return np.asarray((points - about) @ np.array([[cos, sin], [-sin, cos]]) + about)


def mirrored(points: Points) -> Points:
    """Left and right exchanged."""
    return points * (-1.0, 1.0)


def deep(points: Points, z: float) -> Points:
    """The flat shape at depth z: f64[N, 2] -> f64[N, 3]."""
    return np.concatenate([points, np.full((len(points), 1), z)], axis=1)


def wobbly(points: Points, rng: np.random.Generator, amount: float) -> Points:
    """The outline made a little uneven, smoothly (three waves around it)."""
    centre = points.mean(axis=0)
    angle = np.linspace(0, _TURN, len(points), endpoint=False)
    waves = np.sum([rng.normal(0, 1 / k) * np.cos(k * angle + rng.uniform(0, _TURN)) for k in (2, 3, 5)], axis=0)
    return np.asarray(centre + (points - centre) * (1 + amount * waves)[:, None])
