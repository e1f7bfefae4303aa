"""Sketches of a fish, insects, a snail and a starfish."""

# ruff: noqa: ARG001, PLR2004, RUF005  every sketch gets the view; drawings are numbers; arrays are shifted

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pictus.demo.brush import Points, ellipse, smooth, stroke, turned
from pictus.demo.sketch import Colour, Part, Rng, Sketch, View, mix, shade, tint

_INK = (26, 24, 30)


def _eye(x: float, y: float, r: float) -> list[Part]:
    return [
        Part(ellipse(x, y, r, r), (250, 246, 232), bulge=1, gloss=0.6),
        Part(ellipse(x + 0.15 * r, y, 0.62 * r, 0.62 * r), (18, 16, 20)),
        Part(ellipse(x - 0.1 * r, y - 0.28 * r, 0.2 * r, 0.2 * r), (255, 255, 255)),
    ]


def goldfish(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.06, 0.9, 0.97), (0.04, 0.9, 0.93), (0.11, 0.8, 0.98)], natural=0.6)
    fin = mix(skin, (255, 236, 214), rng.uniform(0.1, 0.45))
    deep = rng.uniform(0.36, 0.48)
    upper = [(0.88, -0.02), (0.72, -0.2), (0.42, -deep * 0.9), (0.05, -deep), (-0.3, -0.24), (-0.52, -0.1)]
    body = smooth([*upper, *[(x, -y * 0.95) for x, y in upper[::-1]]])
    sway = rng.uniform(-0.12, 0.12)
    fork = np.array(
        [(-0.72, -0.22), (-1.02, -0.46), (-1.08, -0.3), (-0.86, 0.0), (-1.08, 0.34), (-0.98, 0.48), (-0.7, 0.22)]
    )
    tail = smooth(np.concatenate([[(-0.48, 0.0)], fork + (0, sway)]), n=6)
    dorsal = smooth([(0.35, -deep * 0.75), (0.2, -deep - 0.26), (-0.1, -deep - 0.2), (-0.36, -0.3), (-0.2, -0.15)])
    belly = smooth([(0.02, deep * 0.7), (-0.06, deep + 0.24), (-0.26, deep + 0.2), (-0.18, deep * 0.6)])
    scales: list[Part] = []
    for row in range(-4, 5):
        for column in range(9):
            x, y = 0.42 - column * 0.115 - 0.055 * (row % 2), row * 0.085
            scales.append(
                Part(stroke(ellipse(x, y, 0.058, 0.052, start=0.25, end=0.75, n=8), 0.013), shade(skin, 0.76))
            )
    if rng.random() < 0.4:
        patch = ellipse(rng.uniform(-0.2, 0.4), -0.15, rng.uniform(0.15, 0.3), 0.25)
        scales.insert(0, Part(patch, shade(mix(skin, (255, 250, 244), 0.85), 1.1)))
    gill = Part(stroke(ellipse(0.5, 0, 0.16, 0.26, start=0.3, end=0.7, n=14), 0.022), shade(skin, 0.6))
    parts = [
        Part(tail, fin, bulge=0.08, decals=_rays((-0.5, sway * 0.3), (-1.1, sway), 0.48, fin)),
        Part(dorsal, fin, bulge=0.06, decals=_rays((0.1, 0.0), (-0.05, -deep - 0.3), 0.3, fin)),
        Part(belly, fin, bulge=0.05),
        Part(body, skin, bulge=1, gloss=0.6, decals=(*scales, gill), fade=mix(skin, (255, 240, 210), 0.4)),
        Part(
            turned(smooth([(0, 0), (-0.24, -0.1), (-0.34, 0.06), (-0.2, 0.16)]) + (0.34, 0.14), 0.0),
            fin,
            bulge=0.04,
            shadow=0.5,
        ),
        Part(stroke([(0.86, 0.05), (0.78, 0.08)], 0.025), shade(skin, 0.5)),
        *_eye(0.66, -0.1, 0.085),
    ]
    return Sketch(tuple(parts), {"mouth": (0.88, 0.03), "eye": (0.66, -0.1), "tail": (-1.0, sway)})


def _rays(foot: tuple[float, float], middle: tuple[float, float], spread: float, colour: Colour) -> tuple[Part, ...]:
    (x, y), (mx, my) = foot, middle
    across = np.array([my - y, x - mx]) / max(np.hypot(mx - x, my - y), 1e-6) * spread
    ends = [np.array([mx, my]) + across * k for k in np.linspace(-1, 1, 9)]
    return tuple(Part(stroke([foot, (end[0], end[1])], 0.014), shade(colour, 0.8)) for end in ends)


def ladybug(rng: Rng, view: View) -> Sketch:
    shell = tint(rng, [(0.0, 0.85, 0.88), (0.03, 0.88, 0.9), (0.1, 0.85, 0.93)], natural=0.55)
    parts: list[Part] = []
    for side in (-1, 1):
        for x, reach, lift in ((-0.45, 0.5, 0.2), (0.0, 0.55, 0.0), (0.38, 0.5, -0.25)):
            knee = (x - lift * 0.7, side * (0.6 + 0.35 * reach))
            foot = (x - lift * 1.4, side * (0.6 + 0.75 * reach))
            parts.append(Part(stroke([(x, side * 0.5), knee, foot], [0.09, 0.07, 0.035]), _INK, bulge=0.03))
        antenna = smooth([(0.88, side * 0.12), (1.02, side * 0.2), (1.08, side * 0.34)], is_closed=False)
        parts.append(Part(stroke(antenna, 0.032), _INK))
    cheek = (244, 240, 226)
    parts += [
        Part(ellipse(0.84, 0, 0.2, 0.24), _INK, bulge=1, gloss=0.7),
        Part(ellipse(0.9, -0.15, 0.05, 0.05), cheek), Part(ellipse(0.9, 0.15, 0.05, 0.05), cheek),
        Part(ellipse(0.6, 0, 0.26, 0.5), _INK, bulge=1, gloss=0.8, shadow=0.5,
             decals=(Part(ellipse(0.7, -0.34, 0.13, 0.12), cheek), Part(ellipse(0.7, 0.34, 0.13, 0.12), cheek))),
    ]  # fmt: skip
    spots: list[Part] = []
    many, size = int(rng.integers(3, 6)), rng.uniform(0.1, 0.16)
    angle = rng.uniform(0, 2)
    for k in range(many):
        x = 0.3 - 0.95 * (k + 0.3) / many
        y = 0.22 + 0.2 * ((k + angle) % 2)
        spots += [Part(ellipse(x, s * y, size, size * 0.95), _INK) for s in (-1, 1)]
    spots.append(Part(ellipse(0.42, 0, 0.15, 0.17), _INK))
    open_by = rng.uniform(0.1, 0.2) if rng.random() < 0.2 else 0.0
    seam = Part(stroke([(0.6, 0), (-0.75, 0)], 0.03), _INK)
    dome = ellipse(-0.12, 0, 0.74, 0.68)
    if open_by:
        wing = smooth([(0.4, 0), (-0.5, -0.3), (-1.2, -0.25), (-1.25, 0.0), (-1.2, 0.25), (-0.5, 0.3)])
        parts.append(Part(wing, (212, 206, 196), bulge=0.04, decals=_rays((0.3, 0), (-1.25, 0), 0.3, (212, 206, 196))))
        for side in (-1, 1):
            half = np.concatenate(
                [ellipse(-0.12, 0, 0.74, 0.68, start=0.0, end=0.5, n=30), [[-0.86, 0.0], [0.62, 0.0]]]
            ) * (1, side)
            mine = [turned_part(s, side * open_by, (0.55, 0)) for s in spots if s.points[:, 1].mean() * side > 0]
            parts.append(
                Part(
                    turned(half, side * open_by, (0.55, 0)), shell, bulge=0.5, gloss=0.9, shadow=0.6, decals=tuple(mine)
                )
            )
    else:
        parts.append(Part(dome, shell, bulge=1, gloss=0.9, shadow=0.5, decals=(*spots, seam)))
    turn = rng.uniform(0, 1)
    parts = [turned_part(part, turn) for part in parts]
    head = turned(np.array([[0.9, 0.0]]), turn)[0]
    return Sketch(tuple(parts), {"head": (float(head[0]), float(head[1]))})


def turned_part(part: Part, turn: float, about: tuple[float, float] = (0.0, 0.0)) -> Part:
    """A part rotated with its decals."""
    decals = tuple(turned_part(decal, turn, about) for decal in part.decals)
    return replace(part, points=turned(part.points, turn, about), decals=decals)


def monarch(rng: Rng, view: View) -> Sketch:
    wing = tint(rng, [(0.07, 0.9, 0.96), (0.06, 0.92, 0.92), (0.09, 0.88, 0.97)], natural=0.6)
    folded = rng.uniform(0.55, 1.0)
    upper = smooth(
        [(0.06, -0.1), (0.35, -0.55), (0.8, -0.92), (1.0, -0.86), (0.98, -0.6), (0.78, -0.25), (0.5, 0.02), (0.1, 0.08)]
    )
    lower = smooth([(0.06, 0.02), (0.45, 0.0), (0.72, 0.15), (0.74, 0.45), (0.55, 0.74), (0.3, 0.72), (0.12, 0.4)])
    parts: list[Part] = []
    for points, root, ends in (
        (lower, (0.08, 0.1), [(0.7, 0.2), (0.72, 0.42), (0.56, 0.7), (0.34, 0.68)]),
        (upper, (0.08, -0.05), [(0.62, -0.78), (0.9, -0.78), (0.92, -0.55), (0.76, -0.26), (0.5, -0.02)]),
    ):
        inner = (points - points.mean(axis=0)) * 0.82 + points.mean(axis=0) * 0.95
        veins = [Part(stroke([root, end], 0.032), _INK) for end in ends]
        dots = [Part(ellipse(x, y, 0.022, 0.022, n=8), (250, 248, 240)) for x, y in _rim(points, 13)]
        half = Part(points, _INK, bulge=0.06, gloss=0.15, shadow=0.35, decals=(Part(inner, wing), *veins, *dots))
        parts += [squeezed(half, folded), squeezed(half, -folded)]
    for side in (-1, 1):
        feeler = smooth([(0.02 * side, -0.38), (0.12 * side, -0.62), (0.26 * side, -0.8)], is_closed=False)
        parts.append(Part(stroke(feeler, 0.02), _INK))
        parts.append(Part(ellipse(0.27 * side, -0.82, 0.03, 0.03), _INK))
    parts += [
        Part(ellipse(0, 0.28, 0.065, 0.36), _INK, bulge=1, shadow=0.4),
        Part(ellipse(0, -0.12, 0.09, 0.2), (40, 36, 40), bulge=1),
        Part(ellipse(0, -0.34, 0.075, 0.08), _INK, bulge=1, gloss=0.5),
    ]  # fmt: skip
    turn = rng.uniform(-0.12, 0.12) if rng.random() < 0.6 else rng.random()
    head = turned(np.array([[0.0, -0.34]]), turn)[0]
    return Sketch(tuple(turned_part(part, turn) for part in parts), {"head": (float(head[0]), float(head[1]))})


def squeezed(part: Part, factor: float) -> Part:
    """A part scaled in x with its decals (negative: mirrored)."""
    decals = tuple(squeezed(decal, factor) for decal in part.decals)
    return replace(part, points=part.points * (factor, 1), decals=decals)


def _rim(points: Points, many: int) -> Points:
    centre = points.mean(axis=0)
    rim = centre + (points - centre) * 0.93
    chosen = rim[np.linspace(len(rim) * 0.22, len(rim) * 0.8, many).astype(int)]
    return np.asarray(chosen)


def snail(rng: Rng, view: View) -> Sketch:
    shell = tint(rng, [(0.08, 0.5, 0.7), (0.1, 0.45, 0.8), (0.06, 0.6, 0.6)], natural=0.55)
    flesh = tint(rng, [(0.1, 0.25, 0.75), (0.09, 0.3, 0.6)], natural=0.75)
    x, y, r = -0.15, -0.15, rng.uniform(0.56, 0.64)
    foot = smooth([(-1.0, 0.55), (-0.6, 0.4), (0.2, 0.28), (0.52, -0.1), (0.66, -0.28), (0.86, -0.24), (0.9, 0.0),
                   (0.82, 0.3), (0.72, 0.52), (0.4, 0.6), (-0.5, 0.6)])  # fmt: skip
    parts: list[Part] = []
    for dx, dy in ((0.0, -0.42), (0.2, -0.36)):
        stalk = smooth(
            [(0.72 + dx * 0.3, -0.2), (0.78 + dx * 0.6, -0.2 + dy * 0.6), (0.8 + dx, -0.2 + dy)], is_closed=False
        )
        parts.append(Part(stroke(stalk, np.linspace(0.07, 0.045, len(stalk))), flesh, bulge=0.03))
        parts.append(Part(ellipse(0.8 + dx, -0.22 + dy, 0.05, 0.05), _INK, bulge=1, gloss=0.6))
    parts.append(Part(stroke([(0.86, 0.02), (0.99, 0.1)], 0.05), flesh, bulge=0.03))
    parts.append(Part(foot, flesh, bulge=0.22, gloss=0.45, grain=0.3, fade=shade(flesh, 0.82)))
    parts.append(
        Part(
            ellipse(x, y, r, r * 0.96), shell, bulge=1, gloss=0.5, shadow=0.8, grain=0.15, decals=_bands(x, y, r, shell)
        )
    )
    turns = rng.uniform(2.3, 3.2)
    share = np.linspace(0, 1, 90)
    angle = 2 * np.pi * (turns * share + 0.1)
    radius = r * (1 - share) ** 0.85
    spiral = np.stack([x + radius * np.cos(angle), y + 0.96 * radius * np.sin(angle)], axis=1)
    parts.append(Part(stroke(spiral, np.linspace(0.055, 0.02, 90)), shade(shell, 0.42), bulge=0.02))
    return Sketch(tuple(parts), {"shell": (x, y), "head": (0.82, -0.1)})


def _bands(x: float, y: float, r: float, shell: Colour) -> tuple[Part, ...]:
    rays: list[Part] = []
    for k in range(18):
        a = 2 * np.pi * k / 18
        rays.append(
            Part(stroke([(x, y), (x + r * np.cos(a), y + r * np.sin(a))], [0.0, 0.05]), shade(shell, 0.8), alpha=0.6)
        )
    return tuple(rays)


def starfish(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.05, 0.75, 0.9), (0.02, 0.7, 0.85), (0.09, 0.55, 0.85)], natural=0.55)
    arms: Sequence[int] = (5, 5, 5, 5, 6)
    many = arms[int(rng.integers(len(arms)))]
    first, inner = rng.random(), rng.uniform(0.3, 0.4)
    outline: list[tuple[float, float]] = []
    dots: list[Part] = []
    for k in range(many):
        a = 2 * np.pi * (k / many + first) + rng.normal(0, 0.05)
        reach, b = rng.uniform(0.92, 1.04), np.pi / many
        bend = rng.normal(0, 0.07)
        for da, dist in (
            (-b, inner),
            (-0.42 * b, 0.52),
            (bend - 0.13, reach * 0.93),
            (bend, reach),
            (bend + 0.13, reach * 0.93),
            (0.42 * b, 0.52),
        ):
            outline.append((dist * np.cos(a + da), dist * np.sin(a + da)))
        for dist in np.linspace(0.12, 0.88, 9):
            at = a + bend * dist
            for side in (-1, 0, 1):
                off = side * 0.1 * (1.05 - dist)
                px, py = dist * np.cos(at) - off * np.sin(at), dist * np.sin(at) + off * np.cos(at)
                dots.append(Part(ellipse(px, py, 0.024, 0.024, n=8), shade(skin, 1.45 if side == 0 else 1.3)))
    body = Part(smooth(outline, n=6), skin, bulge=0.3, gloss=0.2, grain=0.55, decals=tuple(dots))
    return Sketch((body,), {"centre": (0.0, 0.0)})


MOTIFS = {
    "n01443537": goldfish, "n02165456": ladybug, "n02279972": monarch, "n01944390": snail, "n02317335": starfish,
}  # fmt: skip
