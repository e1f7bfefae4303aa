"""Sketches of a teapot, a mug, a wine bottle and a vase: turned bodies seen from a little above."""

# ruff: noqa: ARG001, PLR2004, RUF005  every sketch gets the view; drawings are numbers; arrays are shifted

from __future__ import annotations

import numpy as np

from pictus.demo.brush import Points, ellipse, lathe, rounded, smooth, star, stroke
from pictus.demo.plants import leaf
from pictus.demo.sketch import Colour, Part, Rng, Sketch, View, mix, shade, tint

_GLAZE = ((0.58, 0.45, 0.75), (0.08, 0.35, 0.85), (0.0, 0.65, 0.7), (0.12, 0.1, 0.95), (0.45, 0.4, 0.6))


def _ornament(rng: Rng, x0: float, x1: float, y0: float, y1: float, *, ground: Colour) -> tuple[Part, ...]:
    """Stripes, dots, zigzag, flowers or nothing, painted on a body between two heights."""
    colour = tint(rng, [(0.0, 0.7, 0.8), (0.6, 0.6, 0.6), (0.12, 0.7, 0.95)], natural=0.5)
    colour = colour if abs(sum(colour) - sum(ground)) > 90 else shade(ground, 0.55)
    kind = rng.integers(0, 6)
    high, middle = y1 - y0, (y0 + y1) / 2
    if kind == 0:
        return tuple(
            Part(stroke(_sag(x0, x1, y), high * 0.07), colour)
            for y in np.linspace(y0 + 0.1 * high, y1 - 0.1 * high, int(rng.integers(2, 6)))
        )
    if kind == 1:
        return tuple(
            Part(ellipse(x + (row % 2) * 0.11, y, 0.055, 0.055, n=14), colour)
            for row, y in enumerate(np.arange(y0, y1, 0.19)) for x in np.arange(x0, x1, 0.22)
        )  # fmt: skip
    if kind == 2:
        xs = np.linspace(x0, x1, 17)
        ys = middle + 0.13 * high * np.where(np.arange(17) % 2 == 0, -1, 1)
        return (Part(stroke(np.stack([xs, ys], axis=1), high * 0.08), colour),)
    if kind == 3:
        parts: list[Part] = []
        for x in np.linspace(x0 * 0.7, x1 * 0.7, 3):
            y = middle + rng.normal(0, 0.05)
            parts += [Part(leaf(x, y, 0.17, 0.08, k / 5), colour) for k in range(5)]
            parts.append(Part(ellipse(x, y, 0.05, 0.05, n=12), (246, 206, 84)))
        return tuple(parts)
    if kind == 4:
        return (Part(star((x0 + x1) / 2, middle, 5, 0.26 * high + 0.06, 0.13 * high), colour),)
    return ()


def _sag(x0: float, x1: float, y: float) -> Points:
    x = np.linspace(x0, x1, 12)
    return np.stack([x, y + 0.06 * np.cos((x - x0) / (x1 - x0) * np.pi - np.pi / 2)], axis=1)


def _openness(view: View) -> float:
    """Height / width of a level ring."""
    return float(0.1 + 0.75 * np.sin(abs(view.pitch)))


def teapot(rng: Rng, view: View) -> Sketch:
    glaze = tint(rng, _GLAZE, natural=0.5)
    trim = shade(glaze, 0.6) if rng.random() < 0.5 else glaze
    fat, high, ring = rng.uniform(0.58, 0.66), rng.uniform(0.44, 0.56), _openness(view)
    body = lathe([(0.25, -high), (fat * 0.8, -high * 0.72), (fat, 0.08), (fat * 0.85, 0.44), (0.32, 0.6), (0.3, 0.66)])
    spout = smooth([(0.42, 0.28), (0.72, 0.16), (0.8, -0.15), (1.02, -0.42)], is_closed=False)
    grip = smooth([(-0.42, -0.32), (-0.8, -0.45), (-1.02, -0.1), (-0.85, 0.25), (-0.5, 0.36)], is_closed=False)
    lid_top = -high - rng.uniform(0.1, 0.2)
    rise = (lid_top - high) / 2 - 0.03
    arch = smooth([(-0.33, -high), (-0.22, rise), (0.0, lid_top), (0.22, rise), (0.33, -high)], is_closed=False)
    lid = np.concatenate([arch, ellipse(0, -high, 0.33, 0.33 * ring * 0.6, start=0.0, end=0.5, n=16)])
    parts = (
        Part(stroke(grip, 0.12), trim, bulge=0.06, gloss=0.7),
        Part(stroke(spout, np.linspace(0.34, 0.11, len(spout))), trim, bulge=0.1, gloss=0.7),
        Part(ellipse(1.02, -0.42, 0.05, 0.035, tilt=-0.12), shade(trim, 0.35)),
        Part(ellipse(0, 0.64, 0.33, 0.07), shade(glaze, 0.7), bulge=0.05),
        Part(
            body,
            glaze,
            bulge=1,
            gloss=0.9,
            shadow=0.35,
            is_turned=True,
            decals=_ornament(rng, -fat, fat, -0.2, 0.4, ground=glaze),
        ),
        Part(lid, trim, bulge=0.2, gloss=0.8, shadow=0.5),
        Part(ellipse(0, lid_top - 0.05, 0.085, 0.085), trim, bulge=1, gloss=0.9, shadow=0.4),
    )
    return Sketch(parts, {"spout": (1.02, -0.42), "knob": (0.0, lid_top - 0.05), "handle": (-1.0, -0.1)})


def coffee_mug(rng: Rng, view: View) -> Sketch:
    glaze = tint(rng, _GLAZE, natural=0.45)
    wide, high, ring = rng.uniform(0.5, 0.62), rng.uniform(0.62, 0.76), _openness(view) * 0.8
    low = wide * rng.uniform(0.8, 1.0)
    bottom = ellipse(0, high, low, low * ring * 0.9, start=0.0, end=0.5, n=20)
    body = np.concatenate(
        [[(wide, -high)], bottom, [(-wide, -high)], ellipse(0, -high, wide, wide * ring, start=0.5, end=1.0, n=20)]
    )
    side = rng.uniform(0.85, 1.05)
    grip = smooth(
        [
            (wide * 0.9, -0.42),
            (wide + 0.36 * side, -0.42),
            (wide + 0.44 * side, 0.05),
            (wide + 0.3 * side, 0.42),
            (wide * 0.85, 0.45),
        ],
        is_closed=False,
    )
    inside = shade(mix(glaze, (250, 246, 240), 0.6), 0.9)
    drink = (72, 44, 26) if rng.random() < 0.7 else (170, 128, 88)
    level = wide * ring * 0.82
    paint = _ornament(rng, -wide, wide, -high * 0.55, high * 0.8, ground=glaze)
    parts = [
        Part(stroke(grip, rng.uniform(0.12, 0.16)), glaze, bulge=0.07, gloss=0.7),
        Part(body, glaze, bulge=1, gloss=0.8, shadow=0.4, is_turned=True, decals=paint),
        Part(ellipse(0, -high, wide, wide * ring), shade(glaze, 1.15), bulge=0.02),
        Part(ellipse(0, -high, wide * 0.91, wide * ring * 0.88), shade(inside, 0.72),
             decals=(Part(ellipse(0, -high + 0.35 * wide * ring, wide * 0.88, level), drink),)),
    ]  # fmt: skip
    if rng.random() < 0.35:
        for x in (-0.12, 0.1):
            steam = smooth(
                [(x, -high - 0.1), (x + 0.08, -high - 0.3), (x - 0.06, -high - 0.48), (x + 0.04, -high - 0.66)],
                is_closed=False,
            )
            parts.append(Part(stroke(steam, np.linspace(0.02, 0.07, len(steam))), (250, 250, 250), alpha=0.4))
    return Sketch(tuple(parts), {"rim": (0.0, -high), "handle": (wide + 0.4, 0.0)})


def wine_bottle(rng: Rng, view: View) -> Sketch:
    glass = tint(rng, [(0.3, 0.6, 0.26), (0.28, 0.5, 0.2), (0.98, 0.7, 0.28), (0.1, 0.6, 0.35)], natural=0.6)
    wide, neck, fall = rng.uniform(0.25, 0.31), rng.uniform(0.085, 0.1), rng.uniform(-0.42, -0.22)
    right = [
        (neck, -1.0),
        (neck, fall - 0.12),
        (neck * 1.15, fall),
        (wide * 0.82, fall + 0.2),
        (wide, fall + 0.36),
        (wide, 0.93),
        (wide * 0.88, 1.0),
    ]
    body = lathe(right, n=6)
    paper = tint(rng, [(0.12, 0.12, 0.96), (0.1, 0.2, 0.9)], natural=0.75)
    ink = shade(paper, 0.35)
    top, low = rng.uniform(0.16, 0.3), rng.uniform(0.66, 0.8)
    label = [Part(rounded(-wide, top, wide, low, 0.02), paper)]
    label += [
        Part(rounded(-wide * 0.7, y, wide * rng.uniform(0.2, 0.7), y + 0.035, 0.01), ink)
        for y in np.arange(top + 0.26, low - 0.06, 0.08)
    ]
    emblem = (
        ellipse(0, top + 0.13, 0.07, 0.07)
        if rng.random() < 0.5
        else star(0, top + 0.13, int(rng.integers(4, 8)), 0.09, 0.045)
    )
    label.append(Part(emblem, tint(rng, [(0.98, 0.7, 0.6), (0.12, 0.7, 0.7)])))
    foil = tint(rng, [(0.98, 0.75, 0.5), (0.12, 0.6, 0.75), (0.0, 0.0, 0.15)], natural=0.7)
    parts = (
        Part(
            body,
            glass,
            bulge=1,
            gloss=1.0,
            is_turned=True,
            decals=(
                Part(stroke([(-wide * 0.6, fall + 0.4), (-wide * 0.6, 0.85)], 0.035), shade(glass, 1.5), alpha=0.7),
                *label,
            ),
        ),
        Part(
            rounded(-neck * 1.12, -1.0, neck * 1.12, -0.72, 0.02),
            foil,
            bulge=0.1,
            gloss=0.8,
            shadow=0.2,
            is_turned=True,
        ),
        Part(rounded(-neck * 1.3, -1.0, neck * 1.3, -0.93, 0.02), shade(foil, 0.9), bulge=0.04, gloss=0.7),
    )
    return Sketch(parts, {"mouth": (0.0, -1.0), "base": (0.0, 1.0)})


def vase(rng: Rng, view: View) -> Sketch:
    glaze = tint(rng, _GLAZE, natural=0.5)
    ring = _openness(view) * 0.8
    lip, neck, belly, foot = (
        rng.uniform(0.22, 0.36),
        rng.uniform(0.13, 0.22),
        rng.uniform(0.42, 0.6),
        rng.uniform(0.2, 0.32),
    )
    swell = rng.uniform(0.1, 0.5)
    top = -0.55 if (has_flowers := rng.random() < 0.4) else -0.95
    body = lathe(
        [(lip, top), (neck, top + 0.24), (neck * 1.25, top + 0.38), (belly, swell), (foot * 1.15, 0.86), (foot, 1.0)],
        n=10,
    )
    parts: list[Part] = []
    if has_flowers:
        parts += _tulips(rng, top)
    if rng.random() < 0.35 and not has_flowers:
        for side in (-1, 1):
            ear = smooth(
                [(side * neck, top + 0.2), (side * (belly + 0.05), top + 0.25), (side * belly * 0.95, swell - 0.12)],
                is_closed=False,
            )
            parts.append(Part(stroke(ear, 0.08), shade(glaze, 0.85), bulge=0.04, gloss=0.6))
    paint = _ornament(rng, -belly, belly, swell - 0.28, swell + 0.3, ground=glaze)
    parts += [
        Part(body, glaze, bulge=1, gloss=0.9, shadow=0.5, is_turned=True, decals=paint),
        Part(ellipse(0, top, lip, lip * ring), shade(glaze, 1.15), bulge=0.02, shadow=0.0 if has_flowers else 0.1),
        Part(ellipse(0, top, lip * 0.84, lip * ring * 0.8), shade(glaze, 0.28)),
    ]  # fmt: skip
    if has_flowers:  # the stalks stand in the mouth, before its back edge
        parts += _tulip_feet(rng, top, lip)
    return Sketch(tuple(parts), {"mouth": (0.0, top), "base": (0.0, 1.0)})


def _tulips(rng: Rng, top: float) -> list[Part]:
    green = tint(rng, [(0.3, 0.55, 0.5)], natural=0.9)
    bloom = tint(rng, [(0.95, 0.7, 0.9), (0.0, 0.75, 0.85), (0.13, 0.75, 0.95)], natural=0.6)
    parts: list[Part] = []
    for x in np.linspace(-0.42, 0.42, int(rng.integers(3, 6))) + rng.normal(0, 0.03):
        y = -0.98 + 0.35 * abs(x) + rng.normal(0, 0.04)
        parts.append(
            Part(
                stroke(smooth([(x * 0.2, top + 0.05), (x * 0.5, (top + y) / 2), (x, y)], is_closed=False), 0.04),
                green,
                bulge=0.02,
            )
        )
        if rng.random() < 0.6:
            parts.append(
                Part(leaf(x * 0.4, (top + y) / 2, 0.34, 0.1, -0.25 + x * 0.25), shade(green, 0.85), bulge=0.03)
            )
        cup = smooth(
            [
                (0, 0.16),
                (-0.13, 0.04),
                (-0.12, -0.14),
                (-0.05, -0.06),
                (0, -0.17),
                (0.05, -0.06),
                (0.12, -0.14),
                (0.13, 0.04),
            ],
            n=5,
        )
        parts.append(Part(cup + (x, y), shade(bloom, rng.uniform(0.85, 1.15)), bulge=0.1, gloss=0.2, shadow=0.4))
    return parts


def _tulip_feet(rng: Rng, top: float, lip: float) -> list[Part]:
    green = tint(rng, [(0.3, 0.5, 0.35)], natural=1.0)
    return [
        Part(stroke([(x, top + 0.02), (x * 1.15, top - 0.12)], 0.035), green, bulge=0.02)
        for x in np.linspace(-0.5, 0.5, 4) * lip
    ]


MOTIFS = {"n04398044": teapot, "n03063599": coffee_mug, "n04591713": wine_bottle, "n04522168": vase}
