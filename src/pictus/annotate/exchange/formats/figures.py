"""Numbers and shapes of other tools' files, checked: finite, of a sane size, in the form that marks have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from pictus.annotate.exchange.formats.contents import Shape
from pictus.errors import clipped

MAX_SIDE = 10_000_000
"""No coordinate is further out: a picture's side ends at 65,535 px in JPEG, and no file draws a thousand times that."""

MAX_POINTS = 200_000
_PLAIN = {int, float}
MAX_WORDS = 50
MAX_WORD = 500


class WrongFigureError(Exception):
    """What is wrong with one shape, in words for a person."""


def refuse(what: str) -> NoReturn:
    """Where a raise would stand in the very try that takes it in."""
    raise WrongFigureError(what)


def number(value: object, what: str = "a coordinate") -> float:
    """A finite number within MAX_SIDE, from a number or its text (a comma may stand for the point)."""
    if (type(value) is float or type(value) is int) and -MAX_SIDE <= value <= MAX_SIDE:  # a million shapes go this way
        return float(value)
    try:
        found = float(value.strip().replace(",", ".")) if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise WrongFigureError(f"{what} {clipped(value)} is no number") from None
    if isinstance(value, bool) or not math.isfinite(found) or abs(found) > MAX_SIDE:
        raise WrongFigureError(f"{what} {clipped(value)} is no number within {MAX_SIDE:,}")
    return found


def size_of(width: object, height: object) -> tuple[int, int]:
    """Width and height of a picture as a file says; (0, 0) where it does not."""
    if width in (None, "", 0, "0") or height in (None, "", 0, "0"):
        return 0, 0
    found = int(number(width, "the width")), int(number(height, "the height"))
    return found if min(found) > 0 else (0, 0)


def box(x1: object, y1: object, x2: object, y2: object) -> Shape:
    """Two opposite corners as {"box": [x1, y1, x2, y2]} with x1 < x2 and y1 < y2."""
    left, top, right, bottom = (number(value) for value in (x1, y1, x2, y2))
    left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
    if not (left < right and top < bottom):
        raise WrongFigureError(f"a box without area: {right - left:g} × {bottom - top:g}")
    return {"box": [left, top, right, bottom]}


def box_at(x: object, y: object, width: object, height: object) -> Shape:
    """A corner and the size; a negative size is no box."""
    left, top, wide, high = (number(value) for value in (x, y, width, height))
    if not (wide > 0 and high > 0):
        raise WrongFigureError(f"a box without area: {wide:g} × {high:g}")
    return box(left, top, left + wide, top + high)


def polygons(rings: Iterable[Sequence[object]]) -> Shape:
    """Rings of x1, y1, x2, y2, … as {"polygons": …}."""
    found = [_numbers(ring) for ring in rings]
    for ring in found:
        if len(ring) < 6 or len(ring) % 2:  # noqa: PLR2004  three points
            raise WrongFigureError(f"a polygon of {len(ring) / 2:g} points")
    if not found or sum(map(len, found)) > 2 * MAX_POINTS:
        raise WrongFigureError(f"a polygon of more than {MAX_POINTS:,} points" if found else "a mask without a polygon")
    return {"polygons": found}


def _numbers(ring: Sequence[object]) -> list[float]:
    if isinstance(ring, list) and ring and set(map(type, ring)) <= _PLAIN:
        plain = list(map(float, ring)) if max(ring) <= MAX_SIDE and min(ring) >= -MAX_SIDE else []
        if plain:
            return plain
    if not isinstance(ring, (list, tuple)):
        raise WrongFigureError(f"{clipped(ring)} is no ring of a polygon")
    return [number(value) for value in ring]


def pairs(points: Iterable[Sequence[object]]) -> list[float]:
    """[[x, y], …] as x, y, x, y, …"""
    found: list[float] = []
    for point in points:
        if not isinstance(point, (list, tuple)) or len(point) != 2:  # noqa: PLR2004
            raise WrongFigureError(f"{clipped(point)} is no point")
        found += (number(point[0]), number(point[1]))
    return found


def keypoints(skeleton: str, points: Iterable[Sequence[object]], names: Sequence[str] = ()) -> Shape:
    """[x, y, v] each, v 0 not there, 1 hidden, 2 seen. names: what the points are called, "" or as many as points."""
    found = []
    for point in points:
        x, y, seen = (number(value) for value in point)
        if seen not in (0, 1, 2):
            raise WrongFigureError(f"a point's visibility {seen:g} is none of 0, 1, 2")
        found.append([x, y, int(seen)])
    if not any(point[2] for point in found):
        raise WrongFigureError("none of its points is there")
    if len(found) > MAX_POINTS:
        raise WrongFigureError(f"more than {MAX_POINTS:,} points")
    shape: Shape = {"skeleton": skeleton, "points": found}
    return {**shape, "names": list(names)} if names else shape


def worded(shape: Shape, words: Mapping[str, object]) -> Shape:
    """`shape` with what else the tool says of it, as texts; nothing is added where it says nothing."""
    said = {
        str(name)[:MAX_WORD]: str(value)[:MAX_WORD]
        for name, value in list(words.items())[:MAX_WORDS] if value not in (None, "", [], {})
    }  # fmt: skip
    return {**shape, "words": said} if said else shape


def as_rectangle(ring: Sequence[float]) -> Shape | None:
    """The box that a ring of four corners is, if it is one."""
    xs, ys = ring[0::2], ring[1::2]
    if len(ring) not in (8, 10) or (len(ring) == 10 and (ring[0], ring[1]) != (ring[8], ring[9])):  # noqa: PLR2004
        return None
    corners = set(zip(xs, ys, strict=True))
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    is_box = corners == {(left, top), (left, bottom), (right, top), (right, bottom)}
    crosses = ring[0] != ring[2] and ring[1] != ring[3]  # the second corner is the first's neighbour, not its opposite
    return {"box": [left, top, right, bottom]} if is_box and not crosses and left < right and top < bottom else None


def bounds(shape: Mapping[str, object]) -> list[float]:
    """The smallest box around polygons or points that are there; that of a mask with "box" is the box."""
    if isinstance(known := shape.get("box"), list):
        return [float(value) for value in known]
    if isinstance(rings := shape.get("polygons"), list):
        xs = [x for ring in rings for x in ring[0::2]]
        ys = [y for ring in rings for y in ring[1::2]]
    else:
        there = [point for point in shape.get("points", ()) if point[2]]  # type: ignore[attr-defined]
        xs, ys = [point[0] for point in there], [point[1] for point in there]
    return [float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys))]
