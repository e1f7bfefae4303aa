"""Sketches of a school bus, a sports car, a mountain bike, a hot-air balloon and a schooner."""

# ruff: noqa: ARG001, PLR2004, RUF005  every sketch gets the view; drawings are numbers; arrays are shifted

from __future__ import annotations

import numpy as np

from pictus.demo.brush import Pairs, Points, box, deep, ellipse, line, rounded, smooth, star, stroke
from pictus.demo.sketch import Colour, Part, Rng, Sketch, View, extruded, lifted, mix, shade, tint

_RUBBER = (38, 38, 42)
_GLASS = (120, 158, 180)


def _wheel(x: float, y: float, r: float, z: float, rim: Colour) -> list[Part]:
    spokes = tuple(
        Part(stroke([(x, y), (x + 0.6 * r * np.cos(a), y + 0.6 * r * np.sin(a))], 0.09 * r), shade(rim, 0.55))
        for a in np.linspace(0, 2 * np.pi, 6)[:-1]
    )
    return [
        Part(deep(ellipse(x, y, r, r), z + 0.14), shade(_RUBBER, 0.7)),
        lifted(Part(ellipse(x, y, r, r), _RUBBER, bulge=0.05), z),
        lifted(Part(ellipse(x, y, 0.62 * r, 0.62 * r), rim, bulge=0.04, gloss=0.8, decals=spokes), z),
        lifted(Part(ellipse(x, y, 0.16 * r, 0.16 * r), shade(rim, 0.7), bulge=0.02), z),
    ]


def school_bus(rng: Rng, view: View) -> Sketch:
    paint = tint(rng, [(0.125, 0.9, 0.97), (0.115, 0.9, 0.95), (0.13, 0.8, 0.98)], natural=0.5)
    top, low, nose = rng.uniform(-0.56, -0.48), 0.4, rng.uniform(0.58, 0.68)
    hood = rng.uniform(-0.08, 0.02)
    depth = rng.uniform(0.75, 0.9)
    cabin = [(-0.99, low), (-1.0, 0.0), (-1.0, top + 0.12), (-0.97, top + 0.03), (-0.88, top), (0.0, top - 0.02)]
    front = [(nose - 0.12, top), (nose - 0.03, top + 0.04), (nose + 0.03, hood - 0.06), (nose + 0.1, hood)]
    bonnet = [(0.93, hood + 0.03), (0.99, hood + 0.1), (1.0, 0.2), (0.99, low), (0.0, low)]
    side = smooth([*cabin, *front, *bonnet], n=2)
    many = int(rng.integers(5, 8))
    left, right = -0.92, nose - 0.3
    wide = (right - left) / many
    panes = [
        Part(rounded(left + k * wide + 0.02, top + 0.12, left + (k + 1) * wide - 0.02, -0.1, 0.03), _GLASS)
        for k in range(many)
    ]
    door = [Part(rounded(nose - 0.25, top + 0.12, nose - 0.03, 0.34, 0.02), shade(_GLASS, 0.85)),
            Part(box(nose - 0.145, top + 0.12, nose - 0.135, 0.34), shade(paint, 0.5))]  # fmt: skip
    gleam = np.array([(0.0, -0.1), (0.05, -0.1), (0.16, top + 0.12), (0.11, top + 0.12)])
    shine = [Part(gleam + (x, 0), (220, 236, 242), alpha=0.5) for x in (-0.8, -0.35, 0.05)]
    bands = [Part(box(-1.0, y, 1.0, y + 0.035), (40, 36, 34)) for y in (0.02, 0.16)]
    arches = [Part(ellipse(x, low, 0.24, 0.24), shade(paint, 0.45)) for x in (-0.58, 0.68)]
    body = Part(side, paint, bulge=0.08, gloss=0.5, decals=(*bands, *panes, *shine, *door, *arches))
    parts = [Part(deep(ellipse(x, low, 0.19, 0.19), depth / 2), _RUBBER) for x in (-0.58, 0.68)]
    parts += extruded(body, depth, view, edge=paint)
    if np.sin(view.yaw) > 0.12:
        parts += _bus_face(paint, nose, top, hood, depth)
    for x in (-0.58, 0.68):
        parts += _wheel(x, low, 0.19, -depth / 2 - 0.01, (188, 190, 194))
    if rng.random() < 0.5:
        parts.append(
            Part(deep(star(0.35, 0.26, 8, 0.09, 0.082, turn=1 / 16), -depth / 2 - 0.12), (206, 34, 38), bulge=0.02)
        )
    return Sketch(tuple(parts), {"front": (1.0, 0.2), "rear": (-1.0, 0.0)})


def _bus_face(paint: Colour, nose: float, top: float, hood: float, depth: float) -> list[Part]:
    def panel(x: float, y0: float, y1: float, half: float, colour: Colour) -> Part:
        return Part(np.array([(x, y0, -half), (x, y0, half), (x, y1, half), (x, y1, -half)]), colour)

    half = depth / 2
    parts = [
        panel(nose + 0.01, top + 0.1, hood - 0.08, half * 0.86, shade(_GLASS, 0.9)),
        panel(1.005, 0.06, 0.26, half * 0.6, (52, 52, 56)),
        panel(1.01, 0.31, 0.38, half * 0.98, (30, 30, 34)),
    ]
    for z in (-half * 0.78, half * 0.78):
        angle = np.linspace(0, 2 * np.pi, 16)
        lamp = np.stack([np.full(16, 1.01), 0.15 + 0.065 * np.sin(angle), z + 0.065 * np.cos(angle)], axis=1)
        parts.append(Part(lamp, (255, 244, 206)))
    return [*parts, *(panel(1.005, y, y + 0.015, half * 0.55, shade(paint, 0.8)) for y in (0.1, 0.15, 0.2))]


def sports_car(rng: Rng, view: View) -> Sketch:
    paint = tint(
        rng, [(0.0, 0.85, 0.85), (0.6, 0.7, 0.7), (0.0, 0.0, 0.75), (0.13, 0.85, 0.95), (0.35, 0.5, 0.45)], natural=0.6
    )
    roof, low, depth = rng.uniform(-0.4, -0.32), 0.26, rng.uniform(0.7, 0.85)
    peak = rng.uniform(-0.25, -0.05)
    upper = [(-0.98, 0.2), (-1.0, 0.0), (-0.96, -0.13), (-0.72, -0.17), (peak - 0.22, roof + 0.03), (peak + 0.08, roof)]
    lower = [(0.32, -0.14), (0.72, -0.06), (0.96, 0.06), (1.0, 0.18), (0.95, low), (0.0, low + 0.01), (-0.9, low)]
    side = smooth([*upper, *lower], n=4)
    window = smooth(
        [(peak - 0.36, -0.13), (peak - 0.18, roof + 0.075), (peak + 0.06, roof + 0.05), (0.22, -0.12), (0.0, -0.105)],
        n=5,
    )
    pillar = Part(stroke([(peak, roof), (peak - 0.06, -0.08)], 0.035), paint)
    door = ([(peak - 0.1, -0.1), (peak - 0.12, 0.08), (peak - 0.02, 0.2)], [(0.27, -0.12), (0.28, 0.06), (0.2, 0.2)])
    seam = [Part(stroke(smooth(points, is_closed=False), 0.012), shade(paint, 0.55)) for points in door]
    lamp = Part(smooth([(0.8, -0.01), (0.95, 0.05), (0.97, 0.1), (0.84, 0.06)]), (255, 248, 220))
    rear = Part(ellipse(-0.97, -0.02, 0.05, 0.05), (206, 30, 34))
    intake = Part(smooth([(-0.5, 0.0), (-0.36, 0.0), (-0.42, 0.13), (-0.5, 0.1)]), (34, 34, 38))
    arches = [Part(ellipse(x, low - 0.01, 0.235, 0.235), (24, 24, 28)) for x in (-0.6, 0.62)]
    stripe = [Part(box(-1, 0.13, 1, 0.17), shade(mix(paint, (255, 255, 255), 0.9), 1.0))] if rng.random() < 0.3 else []
    glass = [Part(window, (52, 64, 78)), Part(window * (0.9, 0.55) + (0.02, -0.1), (150, 178, 194), alpha=0.35)]
    body = Part(
        side, paint, bulge=0.14, gloss=1.0, decals=(*stripe, *glass, pillar, *seam, intake, lamp, rear, *arches)
    )
    parts = [Part(deep(ellipse(x, low, 0.18, 0.18), depth / 2), _RUBBER) for x in (-0.6, 0.62)]
    parts += extruded(body, depth, view, edge=paint)
    for x in (-0.6, 0.62):
        parts += _wheel(x, low - 0.005, 0.195, -depth / 2 - 0.01, (206, 208, 212))
    if rng.random() < 0.45:
        wing = Part(rounded(-1.04, -0.33, -0.72, -0.28, 0.02), shade(paint, 0.8))
        parts += [
            Part(deep(stroke([(-0.86, -0.3), (-0.84, -0.15)], 0.035), -depth * 0.4), shade(paint, 0.6)),
            *extruded(wing, depth * 0.95, view, edge=shade(paint, 0.9)),
        ]
    return Sketch(tuple(parts), {"front": (1.0, 0.18), "rear": (-1.0, 0.0)})


def mountain_bike(rng: Rng, view: View) -> Sketch:
    paint = tint(rng, [(0.0, 0.85, 0.8), (0.6, 0.8, 0.8), (0.33, 0.7, 0.55), (0.1, 0.9, 0.95)], natural=0.5)
    r, thick = rng.uniform(0.41, 0.45), rng.uniform(0.07, 0.1)
    rear, front, crank = (-0.58, 0.3), (0.6, 0.3), (-0.1, 0.32)
    saddle, head = (-0.3, -0.28), (0.38, -0.26)
    rim = tint(rng, [(0.0, 0.0, 0.75), (0.0, 0.0, 0.3)], natural=0.8)
    parts: list[Part] = []
    for x, y in (rear, front):
        for a in np.linspace(0, np.pi, 8, endpoint=False) + rng.random():
            d = np.array([np.cos(a), np.sin(a)]) * r * 0.9
            parts.append(Part(stroke([(x - d[0], y - d[1]), (x + d[0], y + d[1])], 0.012), (150, 152, 158)))
        knobs = star(x, y, 28, r + 0.025, r - 0.01)
        parts.append(Part(knobs, _RUBBER, bulge=0.04, holes=(ellipse(x, y, r - thick, r - thick),)))
        inner, hole = (ellipse(x, y, r - thick + rest, r - thick + rest) for rest in (0.01, -0.03))
        parts.append(Part(inner, rim, bulge=0.015, gloss=0.6, holes=(hole,)))
        parts.append(Part(ellipse(x, y, 0.055, 0.055), (84, 86, 92), bulge=0.03, gloss=0.6))
    tube = rng.uniform(0.055, 0.075)
    for a, b, share in (
        (rear, crank, 0.7),
        (rear, saddle, 0.6),
        (crank, saddle, 0.9),
        (saddle, head, 1.0),
        (crank, (0.42, -0.16), 1.15),
    ):
        parts.append(Part(stroke(line(a, b, 4), tube * share), paint, bulge=0.03, gloss=0.8, shadow=0.3))
    parts.append(
        Part(
            stroke([(0.35, -0.36), (0.43, -0.1), front], [tube, tube * 1.2, 0.05]),
            shade(paint, 0.7),
            bulge=0.03,
            gloss=0.7,
        )
    )
    parts.append(Part(stroke([saddle, (-0.34, -0.44)], 0.045), (92, 94, 98), bulge=0.02))
    parts.append(
        Part(
            smooth([(-0.56, -0.5), (-0.38, -0.52), (-0.12, -0.475), (-0.14, -0.44), (-0.36, -0.43), (-0.54, -0.44)]),
            (40, 38, 40),
            bulge=0.05,
            gloss=0.3,
        )
    )
    bars = smooth([(0.35, -0.34), (0.33, -0.5), (0.42, -0.56), (0.54, -0.55)], is_closed=False)
    parts.append(Part(stroke(bars, 0.045), (60, 60, 66), bulge=0.02, gloss=0.5))
    parts.append(Part(stroke([(0.42, -0.56), (0.56, -0.55)], 0.075), (30, 30, 32), bulge=0.03))
    parts.append(Part(star(*crank, 16, 0.13, 0.115), (72, 74, 80), bulge=0.02, gloss=0.5, shadow=0.4))
    parts.append(Part(stroke([(-0.1, 0.2), rear], 0.014), (40, 40, 44)))
    a = rng.uniform(0, 2 * np.pi)
    pedal = (crank[0] + 0.22 * np.cos(a), crank[1] + 0.22 * np.sin(a))
    parts.append(Part(stroke([crank, pedal], 0.045), (120, 122, 128), bulge=0.02))
    parts.append(
        Part(
            rounded(pedal[0] - 0.09, pedal[1] - 0.025, pedal[0] + 0.09, pedal[1] + 0.025, 0.02),
            (34, 34, 38),
            bulge=0.02,
        )
    )
    return Sketch(tuple(parts), {"rear_hub": rear, "front_hub": front, "saddle": (-0.35, -0.5)})


def balloon(rng: Rng, view: View) -> Sketch:
    first = tint(rng, [(0.0, 0.8, 0.9), (0.12, 0.85, 0.97), (0.58, 0.75, 0.8), (0.8, 0.5, 0.7)], natural=0.5)
    second = tint(rng, [(0.13, 0.75, 0.98), (0.0, 0.0, 0.96), (0.55, 0.6, 0.85), (0.35, 0.6, 0.6)], natural=0.5)
    wide = rng.uniform(0.62, 0.7)
    profile: Pairs = [
        (0.0, -1.0),
        (wide * 0.6, -0.92),
        (wide * 0.97, -0.58),
        (wide * 0.95, -0.22),
        (wide * 0.62, 0.2),
        (0.2, 0.5),
        (0.15, 0.56),
    ]
    right = smooth(profile, n=6, is_closed=False)
    body = np.concatenate([right, right[::-1] * (-1.0, 1.0)])
    many, shift = int(rng.integers(5, 8)), rng.random()
    decals: list[Part] = []
    edges = np.sin(np.clip((np.arange(2 * many + 2) - shift * 2) / (2 * many) - 0.5, -0.5, 0.5) * np.pi)
    for k in range(0, len(edges) - 1, 2):
        strip = np.concatenate([right * (edges[k], 1.0), (right * (edges[k + 1], 1.0))[::-1]])
        decals.append(Part(strip, second))
    if rng.random() < 0.4:
        y = rng.uniform(-0.5, -0.2)
        decals.append(
            Part(np.concatenate([_level(y, wide), _level(y + 0.16, wide)[::-1]]), shade(mix(first, second, 0.5), 0.6))
        )
    basket = tint(rng, [(0.08, 0.55, 0.5)], natural=0.85)
    weave = tuple(Part(box(-0.2, y, 0.2, y + 0.012), shade(basket, 0.6)) for y in np.arange(0.78, 1.0, 0.045))
    parts = [Part(stroke([(s * 0.15, 0.54), (s * 0.12, 0.78)], 0.012), (70, 60, 50)) for s in (-1, -0.35, 0.35, 1)]
    if rng.random() < 0.5:
        parts.append(Part(smooth([(-0.04, 0.68), (0.0, 0.52), (0.04, 0.68)], n=4), (255, 190, 70)))
    parts += [
        Part(ellipse(0, 0.555, 0.15, 0.035), shade(first, 0.4)),
        Part(body, first, bulge=1, gloss=0.35, decals=tuple(decals), is_turned=True),
        Part(rounded(-0.14, 0.77, 0.14, 1.0, 0.03), basket, bulge=0.08, grain=0.3, decals=weave),
        Part(rounded(-0.155, 0.76, 0.155, 0.8, 0.02), shade(basket, 0.7), bulge=0.02),
    ]
    return Sketch(tuple(parts), {"crown": (0.0, -1.0), "basket": (0.0, 0.9)})


def _level(y: float, wide: float) -> Points:
    x = np.linspace(-wide * 1.05, wide * 1.05, 14)
    return np.stack([x, y + 0.07 * np.cos(x / wide * np.pi / 2)], axis=1)


def schooner(rng: Rng, view: View) -> Sketch:
    paint = tint(
        rng, [(0.07, 0.6, 0.4), (0.6, 0.6, 0.35), (0.0, 0.0, 0.95), (0.0, 0.75, 0.55), (0.35, 0.5, 0.35)], natural=0.6
    )
    cloth = tint(rng, [(0.12, 0.06, 0.97), (0.1, 0.12, 0.95), (0.02, 0.6, 0.65)], natural=0.6)
    wood, belly = (120, 84, 50), rng.uniform(0.03, 0.09)
    hull = smooth(
        [
            (-0.86, 0.5),
            (-0.6, 0.545),
            (0.0, 0.565),
            (0.55, 0.52),
            (0.92, 0.42),
            (0.74, 0.66),
            (0.5, 0.8),
            (-0.1, 0.83),
            (-0.62, 0.78),
        ],
        n=6,
    )
    trim = Part(stroke(smooth([(-0.88, 0.57), (0.0, 0.63), (0.9, 0.48)], is_closed=False), 0.025), shade(paint, 1.6))
    planks = tuple(
        Part(stroke(smooth([(-0.8, y), (0.0, y + 0.045), (0.8, y - 0.06)], is_closed=False), 0.008), shade(paint, 0.7))
        for y in (0.64, 0.7, 0.76)
    )
    ports = tuple(Part(ellipse(x, 0.68, 0.022, 0.022, n=10), (250, 226, 150)) for x in (-0.45, -0.2, 0.05, 0.3))
    parts = [Part(stroke([(0.7, 0.46), (1.12, 0.3)], [0.05, 0.02]), wood, bulge=0.02)]
    for x, top in ((-0.3, -0.98), (0.28, -0.86)):
        parts.append(Part(stroke([(x, top), (x, 0.55)], [0.022, 0.045]), wood, bulge=0.02))
    sails: list[list[tuple[float, float]]] = [
        [(-0.32, -0.42), (-0.32, 0.4), (-0.96, 0.42), (-0.86, 0.0), (-0.74, -0.62)],
        [(0.26, -0.34), (0.26, 0.4), (-0.24, 0.42), (-0.2, 0.05), (-0.1, -0.52)],
        [(-0.31, -0.92), (-0.32, -0.5), (-0.72, -0.68)],
        [(0.27, -0.8), (0.26, -0.42), (-0.08, -0.57)],
        [(0.31, -0.78), (0.34, 0.32), (0.72, 0.32)],
        [(0.4, -0.5), (0.7, 0.3), (1.06, 0.3)],
    ]
    chosen = sails if rng.random() < 0.75 else [sails[0], sails[1], sails[4]]
    for sail in chosen:
        outline = _filled(np.array(sail), belly)
        seams = tuple(
            Part(stroke([(-1, y), (1, y + 0.05)], 0.007), shade(cloth, 0.84)) for y in np.arange(-0.9, 0.5, 0.14)
        )
        parts.append(Part(outline, shade(cloth, rng.uniform(0.92, 1.05)), bulge=0.09, shadow=0.4, decals=seams))
    flag = smooth([(-0.3, -0.98), (-0.42, -1.02), (-0.52, -0.96), (-0.52, -0.88), (-0.42, -0.93), (-0.3, -0.9)], n=4)
    parts.append(Part(flag, tint(rng, [(0.0, 0.8, 0.85), (0.6, 0.7, 0.7)], natural=0.7)))
    parts.append(
        Part(hull, paint, bulge=0.12, gloss=0.5, shadow=0.4, fade=shade(paint, 0.6), decals=(trim, *planks, *ports))
    )
    return Sketch(tuple(parts), {"bow": (0.92, 0.42), "stern": (-0.86, 0.5), "mast": (-0.3, -0.98)})


def _filled(corners: Points, belly: float) -> Points:
    """A sail's edges bent as if the wind blew from the left."""
    ahead = np.roll(corners, -1, axis=0)
    share = np.linspace(0, 1, 7)[:-1]
    bow = belly * np.sin(share * np.pi)
    edges = [
        a + (b - a) * share[:, None] + np.stack([bow, 0 * bow], axis=1) for a, b in zip(corners, ahead, strict=True)
    ]
    return np.concatenate(edges)


MOTIFS = {
    "n04146614": school_bus, "n04285008": sports_car, "n03792782": mountain_bike, "n02782093": balloon,
    "n04147183": schooner,
}  # fmt: skip
