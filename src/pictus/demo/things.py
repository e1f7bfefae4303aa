"""Sketches of a hammer, an umbrella, a guitar, a clock, a soccer ball and a lighthouse."""

# ruff: noqa: ARG001, PLR2004, RUF005  every sketch gets the view; drawings are numbers; arrays are shifted

from __future__ import annotations

import numpy as np

from pictus.demo.animals import turned_part
from pictus.demo.brush import Points, box, ellipse, lathe, rounded, smooth, star, stroke, turned, wobbly
from pictus.demo.sketch import Colour, Part, Rng, Sketch, View, extruded, lifted, mix, shade, tint

_STEEL = ((0.6, 0.05, 0.62), (0.6, 0.08, 0.45), (0.0, 0.0, 0.72))


def hammer(rng: Rng, view: View) -> Sketch:
    steel = tint(rng, _STEEL, natural=0.7)
    grip = tint(rng, [(0.08, 0.55, 0.65), (0.09, 0.5, 0.5), (0.0, 0.8, 0.8), (0.6, 0.7, 0.6)], natural=0.55)
    long = rng.uniform(0.85, 1.0)
    side = [(0.065, -0.55), (0.055, 0.1), (0.085, 0.5), (0.1, long - 0.08), (0.05, long)]
    handle = smooth([*side, *[(-x, y) for x, y in side[::-1]]])
    sleeve = [
        Part(box(-0.2, y, 0.2, 1.1 if y == 0.25 else y + 0.02), shade(grip, 0.55 if y > 0.25 else 0.75))
        for y in (0.25, *np.arange(0.4, 0.95, 0.09))
    ]
    parts = [Part(handle, grip, bulge=0.1, gloss=0.4, grain=0.25, decals=tuple(sleeve) if rng.random() < 0.5 else ())]
    kind = rng.random()
    top = [(0.06, -0.78), (0.3, -0.76), (0.34, -0.82), (0.5, -0.82), (0.52, -0.8)]
    low = [(0.52, -0.5), (0.5, -0.48), (0.34, -0.48), (0.3, -0.54), (0.06, -0.54)]
    face = np.array([*top, *low])
    if kind < 0.6:  # claw
        back = [(-0.06, -0.8), (-0.3, -0.82), (-0.55, -0.72), (-0.72, -0.5)]
        claw = smooth([*back, (-0.6, -0.55), (-0.42, -0.6), (-0.25, -0.58), (-0.06, -0.54)], n=4)
        head = np.concatenate([face, claw[::-1][:1], claw[::-1]])
    elif kind < 0.85:  # a mallet's two faces
        head = np.concatenate([face, (face * (-1, 1))[::-1]])
    else:  # a peen's wedge
        head = np.concatenate([face, [(-0.1, -0.54), (-0.5, -0.62), (-0.54, -0.68), (-0.1, -0.8)]])
    shine = Part(box(0.34, -0.9, 0.36, -0.4), shade(steel, 0.6))
    parts.append(Part(head, steel, bulge=0.12, gloss=0.9, shadow=0.6, grain=0.12, decals=(shine,)))
    parts.append(Part(rounded(-0.1, -0.83, 0.1, -0.49, 0.03), shade(steel, 0.9), bulge=0.08, gloss=0.9))
    turn = rng.uniform(-0.12, 0.12) if rng.random() < 0.35 else rng.random()
    ends = turned(np.array([(0.52, -0.65), (0.0, long)]), turn)
    return Sketch(tuple(turned_part(part, turn) for part in parts), {"face": tuple(ends[0]), "end": tuple(ends[1])})


def umbrella(rng: Rng, view: View) -> Sketch:
    first = tint(rng, [(0.0, 0.8, 0.85), (0.6, 0.7, 0.75), (0.13, 0.85, 0.97), (0.8, 0.5, 0.7)], natural=0.4)
    second = first if rng.random() < 0.5 else tint(rng, [(0.0, 0.0, 0.97), (0.13, 0.7, 0.98), (0.55, 0.6, 0.8)])
    high, many = rng.uniform(0.68, 0.86), int(rng.integers(4, 7))
    foot = rng.uniform(0.86, 1.0)
    hook = smooth(
        [(0, -0.2), (0, 0.72), (0.02, foot - 0.1), (0.12, foot), (0.22, foot - 0.06), (0.24, foot - 0.18)],
        is_closed=False,
    )
    metal, wood = tint(rng, _STEEL, natural=0.8), tint(rng, [(0.07, 0.6, 0.45), (0.0, 0.0, 0.2)], natural=0.8)
    bend = np.sin(np.linspace(-1, 1, many + 1) * np.pi / 2)
    rim = [  # from right to left
        (a + (b - a) * s, 0.06 - 0.1 * np.sin(s * np.pi))
        for a, b in zip(bend[:0:-1], bend[-2::-1], strict=True)
        for s in np.linspace(0, 1, 7)[:-1]
    ]
    dome = np.concatenate([ellipse(0, 0.06, 1.0, high, start=0.5, end=1.0, n=36), np.array(rim)])
    gores: list[Part] = []
    arc = np.linspace(0, 1, 14)
    for k in range(0, many, 2):
        left = np.stack([bend[k] * np.sin(arc * np.pi / 2), 0.06 - high * np.cos(arc * np.pi / 2)], axis=1)
        right = np.stack([bend[k + 1] * np.sin(arc * np.pi / 2), 0.06 - high * np.cos(arc * np.pi / 2)], axis=1)
        gores.append(Part(np.concatenate([left, right[::-1]]), second))
    for edge in bend[1:-1]:
        rib = np.stack([edge * np.sin(arc * np.pi / 2), 0.06 - high * np.cos(arc * np.pi / 2)], axis=1)
        gores.append(Part(stroke(rib, 0.014), shade(first, 0.6)))
    under = Part(
        np.concatenate([ellipse(0, 0.03, 0.97, 0.13, start=0.0, end=1.0, n=40)]), shade(mix(first, second, 0.5), 0.4)
    )
    parts = [under] if view.pitch < 0.1 and rng.random() < 0.5 else []
    parts += [
        Part(stroke(hook[:10], 0.04), metal, bulge=0.02, gloss=0.7),
        Part(stroke(hook[8:], 0.075), wood, bulge=0.04, gloss=0.6),
        Part(dome, first, bulge=0.7, gloss=0.3, shadow=0.7, decals=tuple(gores)),
        Part(stroke([(0, 0.06 - high), (0, -high - 0.08)], [0.05, 0.02]), metal, bulge=0.02),
    ]
    return Sketch(tuple(parts), {"top": (0.0, -high - 0.08), "handle": (0.12, foot)})


def acoustic_guitar(rng: Rng, view: View) -> Sketch:
    wood = tint(rng, [(0.08, 0.6, 0.8), (0.07, 0.65, 0.6), (0.1, 0.4, 0.9)], natural=0.6)
    dark = shade(mix(wood, (60, 36, 22), 0.75), 0.8)
    wide, waist = rng.uniform(0.42, 0.48), rng.uniform(0.24, 0.29)
    half = [
        (0.0, -0.1),
        (0.2, -0.1),
        (0.33, 0.05),
        (waist + 0.02, 0.3),
        (waist + 0.03, 0.38),
        (wide, 0.64),
        (wide * 0.88, 0.9),
        (0.22, 1.0),
    ]
    body = smooth([*half, (0.0, 1.01), *[(-x, y) for x, y in half[:0:-1]]], n=7)
    rings = [
        Part(ellipse(0, 0.3, r, r), colour)
        for r, colour in ((0.165, dark), (0.15, shade(wood, 1.3)), (0.13, (22, 14, 12)))
    ]
    guard = Part(smooth([(0.08, 0.36), (0.2, 0.34), (0.3, 0.5), (0.2, 0.56)]), (48, 24, 22))
    bridge = [
        Part(rounded(-0.17, 0.68, 0.17, 0.745, 0.02), dark),
        Part(rounded(-0.11, 0.695, 0.11, 0.71, 0.005), (236, 230, 214)),
    ]
    frets = tuple(
        Part(box(-0.1, y, 0.1, y + 0.008), (208, 204, 190)) for y in 0.28 - 0.98 * 0.93 ** np.arange(1, 20) - 0.02
    )
    neck = np.array([(-0.05, -0.72), (0.05, -0.72), (0.062, 0.16), (-0.062, 0.16)])
    head = smooth(
        [(-0.05, -0.71), (-0.095, -0.78), (-0.085, -0.99), (0.0, -1.03), (0.085, -0.99), (0.095, -0.78), (0.05, -0.71)],
        n=5,
    )
    peg = rounded(-0.035, -0.016, 0.035, 0.016, 0.01)
    places = [(s * 0.11, y) for s in (-1, 1) for y in (-0.93, -0.87, -0.81)]
    pegs = [Part(peg + at, (224, 220, 208), bulge=0.02, gloss=0.8) for at in places]
    edge = Part(body, shade(dark, 1.1), bulge=0.04, gloss=0.5)
    top = Part(
        (body - (0, 0.45)) * 0.965 + (0, 0.45),
        wood,
        bulge=0.05,
        gloss=0.7,
        grain=0.3,
        fade=shade(wood, 0.8),
        decals=(guard, *rings, *bridge),
    )
    parts = [
        edge,
        top,
        *pegs,
        Part(head, dark, bulge=0.03, gloss=0.5, shadow=0.3),
        Part(neck, shade(dark, 0.8), bulge=0.02, shadow=0.5, decals=frets),
    ]
    parts += [
        Part(stroke([(x * 0.7, -0.75), (x, 0.7)], 0.006), (240, 236, 220), alpha=0.9)
        for x in np.linspace(-0.042, 0.042, 6)
    ]
    turn = rng.uniform(-0.06, 0.06) if rng.random() < 0.5 else rng.uniform(-0.25, 0.25)
    ends = turned(np.array([(0.0, -1.0), (0.0, 0.3)]), turn)
    return Sketch(tuple(turned_part(part, turn) for part in parts), {"head": tuple(ends[0]), "hole": tuple(ends[1])})


def analog_clock(rng: Rng, view: View) -> Sketch:
    frame = tint(
        rng, [(0.08, 0.6, 0.45), (0.0, 0.8, 0.8), (0.6, 0.05, 0.7), (0.12, 0.6, 0.8), (0.0, 0.0, 0.15)], natural=0.45
    )
    dial = tint(rng, [(0.12, 0.06, 0.97), (0.6, 0.04, 0.96), (0.11, 0.15, 0.92)], natural=0.72)
    ink = (30, 28, 32) if sum(dial) > 330 else (244, 240, 230)
    shape = rng.random()
    is_alarm = shape < 0.3
    r = 0.68 if is_alarm else 0.9
    rim = (
        rounded(-r, -r, r, r, 0.16)
        if shape > 0.8
        else star(0, 0, 8, r * 1.04, r * 0.965, turn=1 / 16)
        if shape > 0.7
        else ellipse(0, 0, r, r, n=60)
    )
    inner = rng.uniform(0.8, 0.88) * r
    marks: list[Part] = []
    count = 60 if rng.random() < 0.5 else 12
    for k in range(count):
        a, is_hour = 2 * np.pi * k / count, k % (count // 12) == 0
        d = np.array([np.sin(a), -np.cos(a)])
        inside = 0.8 if is_hour else 0.88
        marks.append(
            Part(stroke(np.stack([d * inner * inside, d * inner * 0.93]), (0.05 if is_hour else 0.016) * r), ink)
        )
    parts: list[Part] = []
    if is_alarm:
        bell = shade(frame, 1.15)
        for s in (-1, 1):
            parts.append(
                Part(stroke([(s * 0.4, 0.5), (s * 0.56, 0.95)], [0.12, 0.07]), shade(frame, 0.7), bulge=0.04, gloss=0.7)
            )
            dome = np.concatenate([ellipse(0, 0, 0.27, 0.24, start=0.5, end=1.0, n=20)])
            parts.append(Part(turned(dome, s * 0.09) + (s * 0.38, -0.66), bell, bulge=0.3, gloss=1.0))
        parts.append(Part(stroke([(0, -0.6), (0, -0.88)], 0.05), shade(frame, 0.6), bulge=0.02))
        parts.append(Part(ellipse(0, -0.88, 0.08, 0.07), bell, bulge=1, gloss=0.9))
    parts += extruded(Part(rim, frame, bulge=0.09, gloss=0.8), 0.16, view, edge=shade(frame, 0.75))
    parts.append(
        Part(
            np.pad(ellipse(0, 0, inner, inner, n=60), ((0, 0), (0, 1)), constant_values=-0.09),
            dial,
            bulge=0.03,
            decals=tuple(_raised(mark) for mark in marks),
        )
    )
    hour = rng.uniform(0, 12)
    hands = ((hour / 12, 0.5, 0.075), (hour % 1, 0.76, 0.05))
    for turn, reach, width in hands:
        hand = turned(stroke([(0, 0.1 * r), (0, -reach * inner)], [width * r * 1.2, width * r * 0.5]), turn)
        parts.append(_raised(Part(hand, ink, bulge=0.015, shadow=0.5)))
    if rng.random() < 0.5:
        parts.append(
            _raised(
                Part(turned(stroke([(0, 0.15 * r), (0, -0.8 * inner)], 0.016), rng.random()), (206, 44, 40), shadow=0.3)
            )
        )
    parts.append(_raised(Part(ellipse(0, 0, 0.05 * r, 0.05 * r), shade(frame, 0.8), bulge=0.02, gloss=0.8)))
    return Sketch(tuple(parts), {"centre": (0.0, 0.0), "twelve": (0.0, -inner)})


def _raised(part: Part) -> Part:
    return lifted(part, -0.09)


def soccer_ball(rng: Rng, view: View) -> Sketch:
    white = tint(rng, [(0.12, 0.02, 0.98), (0.6, 0.03, 0.96)], natural=0.6)
    black = tint(rng, [(0.0, 0.0, 0.12), (0.62, 0.6, 0.3)], natural=0.6)
    if abs(sum(white) - sum(black)) < 220:
        black = shade(white, 0.28)
    golden = (1 + 5**0.5) / 2
    corners = np.array([(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)], dtype=np.float64)
    corners = np.concatenate([corners, np.roll(corners, 1, axis=1), np.roll(corners, 2, axis=1)])
    corners /= np.linalg.norm(corners[0])
    spin, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    corners = corners @ spin
    near = corners @ corners.T
    decals: list[Part] = []
    for k, corner in enumerate(corners):
        mates = np.flatnonzero((near[k] > 0.3) & (near[k] < 0.9))
        vertices = corner + (corners[mates] - corner) / 3
        for mate, vertex in zip(mates, vertices, strict=True):
            if mate > k:
                other = corners[mate] + (corner - corners[mate]) / 3
                decals += _seam(vertex, other, shade(white, 0.45))
        if corner[2] < 0.25:
            side = vertices - corner * (vertices @ corner)[:, None]
            axis = side[0] / np.linalg.norm(side[0])
            order = np.argsort(np.arctan2(side @ np.cross(corner, axis), side @ axis))
            decals.append(Part(_on_ball(vertices[order]), black))
    decals.sort(key=lambda decal: decal.colour != black)
    return Sketch(
        (Part(ellipse(0, 0, 0.9, 0.9, n=64), white, bulge=2, gloss=0.5, grain=0.08, decals=tuple(decals)),),
        {"centre": (0.0, 0.0)},
    )


def _on_ball(vertices: Points) -> Points:
    """The patch's corners joined along the sphere, seen from the front: f64[N, 3] -> f64[M, 2]."""
    ahead = np.roll(vertices, -1, axis=0)
    share = np.linspace(0, 1, 5)[:-1][None, :, None]
    path = (vertices[:, None] + (ahead - vertices)[:, None] * share).reshape(-1, 3)
    path /= np.linalg.norm(path, axis=1, keepdims=True)
    behind = path[:, 2] > 0
    path[behind, :2] /= np.maximum(np.linalg.norm(path[behind, :2], axis=1, keepdims=True), 1e-6) * 0.98
    return np.asarray(path[:, :2] * 0.9)


def _seam(a: Points, b: Points, colour: Colour) -> list[Part]:
    path = np.linspace(a, b, 6)
    path /= np.linalg.norm(path, axis=1, keepdims=True)
    return [Part(stroke(path[:, :2] * 0.9, 0.022), colour)] if np.all(path[:, 2] < 0.1) else []


def beacon(rng: Rng, view: View) -> Sketch:
    first = tint(rng, [(0.12, 0.02, 0.97), (0.0, 0.0, 0.95)], natural=0.6)
    second = tint(rng, [(0.0, 0.8, 0.8), (0.0, 0.0, 0.15), (0.6, 0.7, 0.6)], natural=0.6)
    wide, slim = rng.uniform(0.26, 0.34), rng.uniform(0.15, 0.19)
    top, low = -0.48, 0.86
    bands: list[Part] = []
    style = rng.integers(0, 4)
    edges = np.linspace(top, low, 2 * int(rng.integers(2, 5)) + 1)
    for a, b in zip(edges[::2], edges[1::2], strict=False):
        if style < 2:
            bands.append(
                Part(
                    np.array(
                        [
                            (-1, a),
                            *((x, a + 0.05 * np.cos(x * 4)) for x in np.linspace(-0.4, 0.4, 9)),
                            (1, a),
                            (1, b),
                            *((x, b + 0.05 * np.cos(x * 4)) for x in np.linspace(0.4, -0.4, 9)),
                            (-1, b),
                        ]
                    ),
                    second,
                )
            )
        elif style == 2:
            bands.append(Part(np.array([(-0.5, a + 0.12), (0.5, a - 0.1), (0.5, b - 0.1), (-0.5, b + 0.12)]), second))
    rooms = [Part(rounded(-0.03, y, 0.03, y + 0.1, 0.02), (48, 54, 66)) for y in (-0.25, 0.12)]
    door = [
        Part(
            np.concatenate([ellipse(0, 0.66, 0.07, 0.08, start=0.5, end=1.0, n=10), [(0.07, 0.9), (-0.07, 0.9)]]),
            shade(second, 0.5),
        )
    ]
    roof = tint(rng, [(0.0, 0.8, 0.7), (0.0, 0.0, 0.25), (0.45, 0.5, 0.5)], natural=0.7)
    tower = lathe(
        [(slim, top), (slim * 1.12, 0.0), (wide * 0.85, 0.5), (wide, low), (wide * 0.6, low + 0.05), (0.01, low + 0.06)]
    )
    rock = tint(rng, [(0.08, 0.2, 0.45), (0.3, 0.35, 0.4), (0.6, 0.08, 0.5)], natural=0.9)
    ground = wobbly(
        np.concatenate(
            [ellipse(0, 0.92, rng.uniform(0.5, 0.75), 0.12, start=0.5, end=1.0, n=20), [(0.6, 1.0), (-0.6, 1.0)]]
        ),
        rng,
        0.03,
    )
    posts = np.linspace(-slim - 0.06, slim + 0.06, 7)
    bars = tuple(Part(box(x - 0.006, -0.8, x + 0.006, -0.5), shade(roof, 0.6)) for x in (-0.07, 0.0, 0.07))
    parts = [
        Part(ground, rock, bulge=0.12, grain=0.8),
        Part(tower, first, bulge=1, gloss=0.2, grain=0.15, is_turned=True, decals=(*bands, *rooms, *door)),
        Part(rounded(-0.125, -0.76, 0.125, -0.5, 0.01), (255, 240, 176), decals=bars, bulge=0.3, gloss=0.6),
        Part(rounded(-slim - 0.08, top - 0.06, slim + 0.08, top, 0.02), shade(roof, 0.8), bulge=0.03, shadow=0.6),
        *(Part(stroke([(x, top - 0.15), (x, top - 0.05)], 0.014), shade(roof, 0.7)) for x in posts),
        Part(stroke([(-slim - 0.07, top - 0.15), (slim + 0.07, top - 0.15)], 0.02), shade(roof, 0.7)),
        Part(ellipse(0, -0.75, 0.17, 0.17, start=0.5, end=1.0, n=20), roof, bulge=0.2, gloss=0.7, is_turned=True),
        Part(stroke([(0, -0.9), (0, -1.0)], [0.03, 0.015]), shade(roof, 0.8)),
    ]  # fmt: skip
    return Sketch(tuple(parts), {"light": (0.0, -0.63), "door": (0.0, 0.75)})


MOTIFS = {
    "n03481172": hammer, "n04507155": umbrella, "n02676566": acoustic_guitar, "n02708093": analog_clock,
    "n04254680": soccer_ball, "n02814860": beacon,
}  # fmt: skip
