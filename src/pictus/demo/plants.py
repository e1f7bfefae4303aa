"""Sketches of fruit, a mushroom and a daisy."""

# ruff: noqa: ARG001, PLR2004, RUF005  every sketch gets the view; drawings are numbers; arrays are shifted

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pictus.demo.brush import Points, ellipse, lathe, mirrored, smooth, star, stroke, turned, wobbly
from pictus.demo.sketch import Colour, Part, Rng, Sketch, View, mix, shade, tint

_GREEN = ((0.27, 0.65, 0.55), (0.30, 0.55, 0.45), (0.23, 0.7, 0.6))


def leaf(x: float, y: float, length: float, width: float, turn: float) -> Points:
    """A pointed leaf that starts at (x, y) and grows towards `turn` (0 = right)."""
    shape = smooth([(0, 0), (0.3, -0.5), (0.75, -0.35), (1, 0), (0.75, 0.35), (0.3, 0.5)])
    return turned(shape * (length, width), turn) + (x, y)


def _leaf(x: float, y: float, length: float, turn: float, colour: Colour) -> Part:
    rib = turned(stroke([(0.05, 0), (0.9, 0)], [0.05, 0.015]) * (length, length), turn) + (x, y)
    return Part(leaf(x, y, length, 0.5 * length, turn), colour, bulge=0.06, gloss=0.25, shadow=0.5,
                decals=(Part(rib, shade(colour, 1.35)),))  # fmt: skip


def banana(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.14, 0.8, 0.95), (0.16, 0.75, 0.9), (0.19, 0.7, 0.8)])
    bend = rng.uniform(0.26, 0.36)
    many = int(rng.choice([1, 1, 1, 2, 3]))
    parts: list[Part] = []
    for number in range(many):
        turn = (number - (many - 1) / 2) * 0.075
        parts += _one_banana(rng, shade(skin, rng.uniform(0.92, 1.08)), bend, turn, (-0.8, -0.35))
    ends = [turned(p.reshape(1, 2), turn, (-0.8, -0.35))[0] for p in _arc(bend)[[0, -1]]]
    return Sketch(tuple(parts), {"stem": tuple(ends[0]), "tip": tuple(ends[1])})


def _arc(bend: float) -> Points:
    angle = np.linspace(0.25 + bend * 0.95, 0.25 - bend * 0.8, 26) * 2 * np.pi
    return np.stack([0.85 * np.cos(angle), 0.85 * np.sin(angle) - 0.35], axis=1)


def _one_banana(rng: Rng, skin: Colour, bend: float, turn: float, about: tuple[float, float]) -> list[Part]:
    arc = turned(_arc(bend), turn, about)
    share = np.linspace(0, 1, len(arc))
    width = 0.36 * np.clip(np.minimum((share - 0.02) * 5, (1.02 - share) * 4.2), 0.16, 1) ** 0.7
    ridge = arc + (arc - arc.mean(axis=0)) * 0.02
    decals = [
        Part(stroke(ridge[3:-2], 0.02), shade(skin, 0.8), alpha=0.7),
        Part(stroke(ridge[3:-2] * 1.0 + (0, 0.085), 0.014), shade(skin, 1.3), alpha=0.6),
    ]
    for _ in range(int(rng.integers(0, 14))):
        x, y = arc[rng.integers(4, len(arc) - 3)] + rng.normal(0, 0.05, 2)
        decals.append(Part(ellipse(x, y, rng.uniform(0.006, 0.03), 0.01, n=8), (96, 60, 24), alpha=0.7))
    stem = mix(shade(skin, 0.7), (92, 84, 30), 0.5)
    body = Part(stroke(arc, width), skin, bulge=0.17, gloss=0.25, grain=0.12, shadow=0.5, decals=tuple(decals))
    return [
        body,
        Part(stroke(arc[:4], [0.13, 0.11, 0.1, 0.13]), stem, bulge=0.05),
        Part(stroke(arc[-2:], 0.075), (58, 42, 24), bulge=0.04),
    ]


def orange(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.075, 0.88, 0.96), (0.09, 0.85, 0.95)], natural=0.6)
    kind = rng.random()
    parts: list[Part] = []
    if kind < 0.55:
        parts += _whole_orange(rng, skin, 0.0, 0.0, 0.8)
    elif kind < 0.85:
        parts += [Part(ellipse(0, 0, 0.8, 0.8), skin, bulge=0.3, gloss=0.2), *_segments(rng, 0, 0, 0.8, skin)]
    else:
        parts += _whole_orange(rng, skin, -0.32, -0.2, 0.62)
        parts += [
            Part(ellipse(0.42, 0.25, 0.52, 0.52), skin, bulge=0.2, shadow=0.7),
            *_segments(rng, 0.42, 0.25, 0.52, skin),
        ]
    return Sketch(tuple(parts), {"navel": (0.0, 0.0)})


def _whole_orange(rng: Rng, skin: Colour, x: float, y: float, r: float) -> list[Part]:
    body = wobbly(ellipse(x, y, r, r * rng.uniform(0.93, 1.0)), rng, 0.008)
    dots = []
    for _ in range(90):
        px, py = rng.normal(0, 0.5 * r, 2) + (x, y)
        dots.append(Part(ellipse(px, py, 0.012, 0.012, n=6), shade(skin, 0.82), alpha=0.6))
    sx, sy = x + rng.uniform(-0.3, 0.3) * r, y - rng.uniform(0.35, 0.75) * r
    parts = [
        Part(body, skin, bulge=2, gloss=0.45, grain=0.25, decals=tuple(dots)),
        Part(star(sx, sy, 5, 0.085, 0.04, turn=rng.random()), (98, 118, 52), bulge=0.02, shadow=0.3),
    ]
    if rng.random() < 0.45:
        parts.append(_leaf(sx, sy, 0.5, rng.uniform(-0.3, 0.05), tint(rng, _GREEN, natural=0.9)))
    return parts


def _segments(rng: Rng, x: float, y: float, r: float, skin: Colour) -> list[Part]:
    flesh, pith = shade(skin, 1.12), shade(mix(skin, (255, 240, 205), 0.75), 1.1)
    many, first = int(rng.integers(8, 11)), rng.random()
    wedges = []
    for number in range(many):
        start = first + (number + 0.1) / many
        rim = ellipse(x, y, r * 0.84, r * 0.84, start=start, end=start + 0.8 / many, n=8)
        tip = ellipse(x, y, r * 0.1, r * 0.1, start=start, end=start + 0.8 / many, n=3)[::-1]
        wedges.append(Part(np.concatenate([rim, tip]), flesh, bulge=0.07, gloss=0.35, grain=0.3))
    return [Part(ellipse(x, y, r * 0.93, r * 0.93), pith), *wedges]


def lemon(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.15, 0.8, 0.97), (0.165, 0.75, 0.95)], natural=0.6)
    fat = rng.uniform(0.5, 0.62)
    upper = [
        (-1.0, -0.05),
        (-0.9, -0.13),
        (-0.68, -0.3),
        (-0.3, -fat * 0.95),
        (0.1, -fat),
        (0.55, -0.42),
        (0.8, -0.16),
        (0.93, -0.09),
    ]
    body = smooth([*upper, (0.99, 0), *[(x, -y) for x, y in upper[::-1]]])
    dots = [
        Part(ellipse(rng.normal(0, 0.45), rng.normal(0, 0.3), 0.014, 0.012, n=6), shade(skin, 0.85), alpha=0.6)
        for _ in range(70)
    ]
    parts = [Part(body, skin, bulge=2, gloss=0.5, grain=0.25, decals=tuple(dots))]
    parts.append(Part(ellipse(-0.98, 0, 0.05, 0.07), (110, 120, 60), bulge=0.03))
    if rng.random() < 0.5:
        parts.append(
            _leaf(-0.95, -0.02, rng.uniform(0.4, 0.6), rng.uniform(-0.3, -0.12), tint(rng, _GREEN, natural=0.9))
        )
    if rng.random() < 0.3:
        parts.append(Part(ellipse(0.5, 0.42, 0.42, 0.42), skin, bulge=0.15, shadow=0.7))
        parts += _segments(rng, 0.5, 0.42, 0.42, skin)
    return Sketch(tuple(parts), {"stem": (-0.98, 0.0), "tip": (0.99, 0.0)})


def strawberry(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.985, 0.85, 0.88), (0.0, 0.88, 0.8)], natural=0.55)
    wide, long = rng.uniform(0.62, 0.74), rng.uniform(0.85, 1.0)
    half = [(0.0, -0.5), (wide * 0.55, -0.56), (wide * 0.97, -0.3), (wide * 0.86, 0.12), (wide * 0.45, long * 0.72)]
    body = smooth([*half, (0.0, long), *[(-x, y) for x, y in half[:0:-1]]])
    seeds: list[Part] = []
    pale = mix((250, 224, 120), shade(skin, 1.5), 0.25)
    for row in range(8):
        y = -0.42 + row * 0.17
        for column in range(-4, 5):
            x = (column + 0.5 * (row % 2)) * 0.165 * (1 - 0.05 * row)
            seeds.append(Part(ellipse(x + 0.008, y + 0.012, 0.03, 0.042, n=10), shade(skin, 0.6)))
            seeds.append(Part(ellipse(x, y, 0.022, 0.036, n=10), pale))
    green = tint(rng, _GREEN, natural=0.8)
    parts = [Part(body, skin, bulge=2, gloss=0.6, decals=tuple(seeds))]
    parts.append(
        Part(
            stroke([(0, -0.55), (0.05, -0.8), (rng.uniform(-0.2, 0.3), -0.98)], [0.1, 0.06, 0.05]),
            shade(green, 0.9),
            bulge=0.03,
        )
    )
    many = int(rng.integers(6, 9))
    parts += [
        Part(leaf(0, -0.52, rng.uniform(0.42, 0.58), 0.2, turn), green, bulge=0.05, shadow=0.6, gloss=0.2)
        for turn in np.linspace(-0.02, 0.52, many) + rng.normal(0, 0.015, many)
    ]
    return Sketch(tuple(parts), {"stem": (0.0, -0.55), "tip": (0.0, long)})


def pineapple(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.1, 0.75, 0.85), (0.12, 0.7, 0.8), (0.08, 0.7, 0.7)], natural=0.6)
    green = tint(rng, [(0.33, 0.45, 0.5), (0.3, 0.5, 0.55)], natural=0.75)
    wide, top, low = rng.uniform(0.42, 0.5), -0.12, 1.0
    half = [(0, top), (wide * 0.7, top + 0.05), (wide, 0.3), (wide * 0.92, 0.72), (wide * 0.5, low - 0.04)]
    body = smooth([*half, (0, low), *[(-x, y) for x, y in half[:0:-1]]])
    decals = [
        Part(stroke([(way * (k - 0.6), -0.3), (way * (k + 0.5), 1.2)], 0.028), shade(skin, 0.5))
        for k in np.arange(-1.6, 1.9, 0.19)
        for way in (1, -1)
    ]
    for row in range(14):
        for column in range(-4, 5):
            x, y = (column + 0.5 * (row % 2)) * 0.139, -0.13 + row * 0.095
            decals.append(Part(ellipse(x, y, 0.02, 0.026, n=8), mix(shade(skin, 0.55), green, 0.4)))
    parts = []
    for level, many in enumerate((7, 6, 5, 4)):
        for tilt in np.linspace(-1, 1, many) + rng.normal(0, 0.06, many):
            length = (0.55 + 0.14 * level) * rng.uniform(0.85, 1.1)
            spread = tilt * (0.62 - 0.13 * level)
            tip = (spread * 0.95 + 0.15 * spread, top - length * (1 - 0.5 * abs(spread)))
            path = smooth([(tilt * 0.1, top + 0.06), (spread * 0.55, top - length * 0.5), tip], is_closed=False, n=5)
            width = np.linspace(0.13, 0.004, len(path))
            parts.append(
                Part(stroke(path, width), shade(green, rng.uniform(0.75, 1.25)), bulge=0.05, gloss=0.25, shadow=0.25)
            )
    parts = parts[::-1] if rng.random() < 0.5 else parts
    parts.append(Part(body, skin, bulge=2, gloss=0.3, grain=0.3, shadow=0.3, decals=tuple(decals)))
    return Sketch(tuple(parts), {"crown": (0.0, -0.9), "base": (0.0, low)})


def granny_smith(rng: Rng, view: View) -> Sketch:
    skin = tint(rng, [(0.24, 0.65, 0.78), (0.22, 0.6, 0.82), (0.26, 0.6, 0.7)], natural=0.6)
    wide = rng.uniform(0.76, 0.86)
    half = [(0.0, -0.5), (0.26, -0.66), (wide * 0.85, -0.5), (wide, -0.05), (wide * 0.8, 0.5), (wide * 0.4, 0.78)]
    body = smooth([*half, (0.0, 0.7), *[(-x, y) for x, y in half[:0:-1]]])
    dots = [
        Part(ellipse(rng.normal(0, 0.4), rng.normal(0, 0.35), 0.01, 0.01, n=6), shade(skin, 1.5), alpha=0.7)
        for _ in range(45)
    ]
    blush = Part(ellipse(rng.uniform(-0.5, 0.5), 0.1, 0.32, 0.4), mix(skin, (226, 108, 60), 0.5), alpha=0.3)
    dimple = Part(ellipse(0, -0.52, 0.24, 0.085), shade(skin, 0.62), alpha=0.85)
    tip = (rng.uniform(-0.15, 0.2), -0.98)
    parts = [
        Part(body, skin, bulge=2, gloss=0.7, grain=0.1, decals=(*dots, blush, dimple)),
        Part(
            stroke(smooth([(0, -0.5), (0.03, -0.75), tip], is_closed=False), 0.06), (92, 62, 34), bulge=0.03, shadow=0.4
        ),
    ]
    if rng.random() < 0.6:
        side = 1 if rng.random() < 0.5 else -1
        piece = _leaf(0.02, -0.66, rng.uniform(0.42, 0.6), rng.uniform(-0.12, -0.02), tint(rng, _GREEN, natural=0.9))
        parts.append(piece if side > 0 else _mirrored_part(piece))
    return Sketch(tuple(parts), {"stem": (0.0, -0.5), "base": (0.0, 0.72)})


def _mirrored_part(part: Part) -> Part:
    return replace(part, points=mirrored(part.points), decals=tuple(_mirrored_part(decal) for decal in part.decals))


def mushroom(rng: Rng, view: View) -> Sketch:
    cap = tint(rng, [(0.0, 0.8, 0.8), (0.08, 0.55, 0.65), (0.1, 0.3, 0.85), (0.06, 0.6, 0.5)], natural=0.6)
    stalk = shade(mix(cap, (246, 236, 214), 0.85), 1.05)
    wide, high, low = rng.uniform(0.78, 0.95), rng.uniform(0.62, 0.9), rng.uniform(0.12, 0.2)
    dome = np.concatenate(
        [ellipse(0, 0, wide, high, start=0.5, end=1.0, n=30), ellipse(0, 0, wide, low, start=0.0, end=0.5, n=24)]
    )
    spots = []
    if rng.random() < 0.65:
        pale = shade(mix(cap, (255, 250, 240), 0.9), 1.2)
        for _ in range(int(rng.integers(6, 14))):
            x, y = rng.uniform(-0.8, 0.8) * wide, -rng.uniform(0.05, 0.85) * high
            r = rng.uniform(0.04, 0.11)
            spots.append(Part(wobbly(ellipse(x, y, r, r * 0.8, n=16), rng, 0.05), pale))
    foot = rng.uniform(0.17, 0.26)
    body = lathe([(foot * 0.85, -0.1), (foot * 0.8, 0.35), (foot * 1.1, 0.8), (foot * 0.9, 0.95), (0.02, 1.0)])
    gills = [
        Part(
            stroke([(0, -0.02), (wide * 1.1 * np.cos(a), low * 1.3 * np.sin(a))], 0.012), shade(stalk, 0.72), alpha=0.7
        )
        for a in np.linspace(0, np.pi, 24)
    ]
    parts = [
        Part(body, stalk, bulge=1, grain=0.3, fade=shade(stalk, 0.82)),
        Part(ellipse(0, 0.02, wide * 0.97, low), shade(stalk, 0.88), bulge=0.02, shadow=0.9, decals=tuple(gills)),
        Part(ellipse(0, 0.05, foot * 0.85, low * 0.5), shade(stalk, 0.95)),
        Part(dome - (0, 0.04), cap, bulge=1.2, gloss=0.5, grain=0.12, shadow=0.2, decals=tuple(spots)),
    ]  # fmt: skip
    return Sketch(tuple(parts), {"top": (0.0, -high), "foot": (0.0, 1.0)})


def daisy(rng: Rng, view: View) -> Sketch:
    petal = tint(rng, [(0.12, 0.03, 0.98), (0.9, 0.15, 0.97), (0.75, 0.2, 0.95)], natural=0.6)
    heart = tint(rng, [(0.13, 0.85, 0.95), (0.11, 0.85, 0.9)], natural=0.8)
    green = tint(rng, _GREEN, natural=0.85)
    parts: list[Part] = []
    has_stalk = rng.random() < 0.55
    x, y, r = (0.0, -0.35, 0.62) if has_stalk else (0.0, 0.0, 0.95)
    if has_stalk:
        path = smooth([(x, y), (rng.uniform(-0.12, 0.12), 0.4), (rng.uniform(-0.2, 0.2), 1.0)], is_closed=False)
        parts.append(Part(stroke(path, 0.075), green, bulge=0.04))
        parts.append(_leaf(0.0, 0.72, 0.5, rng.uniform(-0.12, -0.04), green))
        if rng.random() < 0.6:
            parts.append(_leaf(0.0, 0.6, 0.45, rng.uniform(0.54, 0.62), shade(green, 0.9)))
    many = int(rng.integers(10, 17))
    width = 2.0 / many
    for ring, reach in ((0.5, 0.97), (0.0, 1.0)):
        for number in range(many):
            turn = (number + ring) / many + rng.normal(0, 0.004)
            length = r * reach * rng.uniform(0.93, 1.03)
            shape = smooth(
                [(0.15, -0.3), (0.7, -0.5), (0.97, -0.25), (1.0, 0), (0.97, 0.25), (0.7, 0.5), (0.15, 0.3)], n=4
            )
            points = turned(shape * (length, width * r * 1.25), turn) + (x, y)
            parts.append(Part(points, shade(petal, 0.9 if ring else 1.0), bulge=0.05, shadow=0.25))
    core = r * rng.uniform(0.24, 0.32)
    dots = []
    for k in range(60):
        angle, rad = k * 2.39996, core * np.sqrt(k / 60)
        dots.append(
            Part(ellipse(x + rad * np.cos(angle), y + rad * np.sin(angle), 0.018, 0.018, n=6), shade(heart, 0.68))
        )
    parts.append(Part(ellipse(x, y, core, core), heart, bulge=1, shadow=0.8, grain=0.3, decals=tuple(dots)))
    return Sketch(tuple(parts), {"heart": (x, y)})


MOTIFS = {
    "n07753592": banana, "n07747607": orange, "n07749582": lemon, "n07745940": strawberry, "n07753275": pineapple,
    "n07742313": granny_smith, "n07734744": mushroom, "n11939491": daisy,
}  # fmt: skip
