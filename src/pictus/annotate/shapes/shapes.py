"""What may be drawn: boxes, masks and points as plain JSON, checked once where they come in. Kinds `mask` and `points`.

    box     {"box": [x1, y1, x2, y2], "clicks": [[x, y] × 4] where it was made by extreme clicks}
    mask    {"size": [height, width], "counts": COCO run lengths}, or {"polygons": [[x1, y1, x2, y2, …], …]}
    points  {"skeleton": name, "points": [[x, y, v], …]}; v 0: not there, 1: hidden, 2: seen

all in px of the upright picture, from its upper left corner; each may say with which "tool" it was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pictus.annotate.shapes import rle
from pictus.annotate.shapes.skeletons import skeleton_of
from pictus.annotate.tasks import KINDS, Given, Kind
from pictus.errors import UserError, counted

TOOLS = ("drag", "extreme", "brush", "polygon", "proposal", "grabcut", "regions", "points", "nudge", "")
SLACK_PX = 0.5
"""So far outside the picture a coordinate is taken for its edge: rounding of a zoomed view."""

LEAST_PX = 2.0
"""Least side of a box, and of the box around a mask."""

MOST_SHAPES = 100
MOST_POLYGONS = 200
MOST_CORNERS = 20_000
LONGEST_OUTLINE = 20
"""An outline may be so many times as long as the picture is wide and high: filling takes time with its length."""

LONGEST_OUTLINES = 40
"""And so many times those of all shapes of one answer."""

_LEAST_CORNERS = 3
_EXTREMES = 4

Shape = dict[str, Any]
CheckShape = Callable[[object, int, int], Shape]


def check_box(given: object, width: int, height: int) -> Shape:
    """One box, its corners clipped to the picture; UserError for what is none."""
    shape = _shape(given, "box", "box")
    corners = shape["box"]
    if not isinstance(corners, (list, tuple)) or len(corners) != _EXTREMES:
        raise _refused("box", f"{rle.told(corners)} are not four numbers", "[x1, y1, x2, y2]")
    x1, x2 = (_inside(corners[at], width, "x", "box") for at in (0, 2))
    y1, y2 = (_inside(corners[at], height, "y", "box") for at in (1, 3))
    if x1 >= x2 or y1 >= y2:
        raise _refused("box", f"{x1:g}, {y1:g}, {x2:g}, {y2:g}: its left and upper edge are not before the others")
    if min(x2 - x1, y2 - y1) < LEAST_PX:
        raise _refused("box", f"it is {x2 - x1:g} × {y2 - y1:g} px; {LEAST_PX:g} px are the least side")
    found: Shape = {"box": [x1, y1, x2, y2]}
    if shape.get("clicks"):
        found["clicks"] = _clicks(shape["clicks"], (x1, y1, x2, y2), width, height)
    return _with_tool(found, shape, "box")


def check_mask(given: object, width: int, height: int) -> Shape:
    """One mask of the picture's size as compressed run lengths, or polygons clipped to it."""
    shape = _shape(given, "mask", "polygons", "counts")
    if "counts" in shape:
        found = rle.from_json(shape, height=height, width=width)
        cleaned: Shape = rle.to_json(found)
    else:
        polygons = _polygons(shape["polygons"], width, height)
        found, cleaned = rle.from_polygons(polygons, height, width), {"polygons": polygons}
    x1, y1, x2, y2 = rle.box(found)
    if min(x2 - x1, y2 - y1) < LEAST_PX:
        told = f"it covers {x2 - x1:g} × {y2 - y1:g} px" if x2 > x1 else "it covers no pixel"
        raise _refused("mask", f"{told}; {LEAST_PX:g} px are the least side")
    return _with_tool(cleaned, shape, "mask")


def check_points(given: object, width: int, height: int) -> Shape:
    """The points of a known skeleton; one that is not there is [0, 0, 0]."""
    shape = _shape(given, "points", "points")
    name, points = shape.get("skeleton"), shape["points"]
    if not isinstance(name, str) or len(name) > 10_000:  # noqa: PLR2004  200 points of 40 letters and a comma
        raise _refused("points", f"the skeleton is {rle.told(name)}, no name", '{"skeleton": "coco-person", …}')
    skeleton = skeleton_of(name)
    wanted = len(skeleton.points)
    if not isinstance(points, (list, tuple)) or len(points) != wanted:
        many = len(points) if isinstance(points, (list, tuple)) else 0
        raise _refused("points", f"skeleton {rle.told(name)} has {counted(wanted, 'point')}, here are {many}")
    found = []
    for point, called in zip(points, skeleton.points, strict=True):
        if not isinstance(point, (list, tuple)) or len(point) != 3:  # noqa: PLR2004  x, y, v
            raise _refused("points", f"{called} is {rle.told(point)}, not [x, y, v]")
        seen = point[2]
        if isinstance(seen, bool) or seen not in (0, 1, 2):
            raise _refused("points", f"{called} has v = {rle.told(seen)}", "v: 0 not there, 1 hidden, 2 seen")
        at = [_inside(point[0], width, "x", called), _inside(point[1], height, "y", called)] if seen else [0.0, 0.0]
        found.append([*at, int(seen)])
    if not any(point[2] for point in found):
        raise _refused("points", "none of them is there", "mark one, or answer none")
    return _with_tool({"skeleton": name, "points": found}, shape, "points")


def check_drawn(kind: str, answer: str, check: CheckShape, most: int) -> Callable[[Given, int, int], Given]:
    """The check of a kind that draws: with `answer` 1 to `most` shapes, with any other none."""

    def checked(given: Given, width: int, height: int) -> Given:
        shapes = given.data.get("shapes", ()) if isinstance(given.data, dict) else None
        if not isinstance(shapes, (list, tuple)):
            raise _refused(kind, f"data is {rle.told(given.data)}", '{"shapes": [shape, …]}')
        if given.answer != answer:
            if shapes:
                raise _refused(kind, f"the answer is {rle.told(given.answer)}, and yet {counted(len(shapes), 'shape')}")
            return Given(given.position, given.answer, {})
        if not 1 <= len(shapes) <= most:
            told = "nothing is drawn" if not shapes else f"{len(shapes):,} shapes are drawn, {most:,} may be"
            raise _refused(kind, told, "draw it, or answer none")
        _check_together(shapes, kind, width, height)
        return Given(given.position, given.answer, {"shapes": [check(shape, width, height) for shape in shapes]})

    return checked


def check_bare(given: Given, _width: int, _height: int) -> Given:
    """For kinds that only ask: whatever else was sent is dropped."""
    return Given(given.position, given.answer, {})


def mask_of(shape: Shape, width: int, height: int) -> rle.Rle:
    """The runs of a checked mask, however it is written."""
    if "counts" in shape:
        return rle.from_json(shape, height=height, width=width)
    return rle.from_polygons(shape["polygons"], height, width)


def is_endless(polygons: Sequence[Sequence[float]], width: int, height: int) -> bool:
    """Whether outlines run to and fro so often that filling them would take a computer's memory. Within the picture."""
    most = LONGEST_OUTLINE * (width + height)
    if sum(len(polygon) / 2 * (max(polygon) - min(polygon)) for polygon in polygons) <= most:
        return False  # no edge is longer than that: a million shapes go this way
    return _length(polygons) > most


def _length(polygons: Sequence[Sequence[float]]) -> float:
    """Of all outlines, px along the longer side of each edge."""
    total = 0.0
    for polygon in polygons:
        ends_P2 = np.array(polygon, np.float64).reshape(-1, 2)
        total += float(np.abs(ends_P2 - np.roll(ends_P2, -1, axis=0)).max(axis=1).sum())
    return total


def _check_together(shapes: Sequence[object], kind: str, width: int, height: int) -> None:
    """All that one answer draws, before any of it is filled: people wait for it."""
    given = [one["polygons"] for one in shapes if isinstance(one, dict) and "polygons" in one and "counts" not in one]
    if sum(_length(_polygons(one, width, height)) for one in given) > LONGEST_OUTLINES * (width + height):
        raise _refused(kind, "its outlines together run to and fro over the whole picture", "draw fewer at once")


def _polygons(given: object, width: int, height: int) -> list[list[float]]:
    if not isinstance(given, (list, tuple)) or not 1 <= len(given) <= MOST_POLYGONS:
        raise _refused("mask", f"polygons are {rle.told(given)}", f"a list of 1 to {MOST_POLYGONS} polygons")
    found: list[list[float]] = []
    corners = 0
    for polygon in given:
        is_list = isinstance(polygon, (list, tuple))
        if not is_list or len(polygon) < 2 * _LEAST_CORNERS or len(polygon) % 2:
            what = "is not a list of x, y pairs" if not is_list or len(polygon) % 2 else "has fewer than three corners"
            raise _refused("mask", f"polygon {len(found) + 1} {what}", "[x1, y1, x2, y2, x3, y3, …]")
        corners += len(polygon) // 2
        if corners > MOST_CORNERS:
            raise _refused("mask", f"its polygons have more than {MOST_CORNERS:,} corners", "send it as run lengths")
        sides = (width, height)
        found.append([_inside(value, sides[at % 2], "xy"[at % 2], "mask") for at, value in enumerate(polygon)])
    if is_endless(found, width, height):
        raise _refused("mask", "its outline runs to and fro over the whole picture", "send it as run lengths")
    return found


def _clicks(given: object, box: tuple[float, float, float, float], width: int, height: int) -> list[list[float]]:
    """Four extreme clicks whose outermost coordinates are the box (Papadopoulos et al. 2017)."""
    is_four = isinstance(given, (list, tuple)) and len(given) == _EXTREMES
    if not is_four or not isinstance(given, (list, tuple)) or not all(
        isinstance(click, (list, tuple)) and len(click) == 2 for click in given  # noqa: PLR2004  x, y
    ):  # fmt: skip
        raise _refused("box", f"clicks are {rle.told(given)}", "four points, [[x, y], …]")
    clicks = [[_inside(x, width, "x", "click"), _inside(y, height, "y", "click")] for x, y in given]
    xs, ys = [x for x, _ in clicks], [y for _, y in clicks]
    around = (min(xs), min(ys), max(xs), max(ys))
    if max(abs(a - b) for a, b in zip(around, box, strict=True)) > 1:
        raise _refused("box", "its edges are not at its four clicks", "leave the clicks out after moving an edge")
    return clicks


def _shape(given: object, kind: str, *fields: str) -> Shape:
    if not isinstance(given, dict) or not any(field in given for field in fields):
        raise _refused(kind, f"{rle.told(given)} has no {' or '.join(fields)}")
    return given


def _with_tool(found: Shape, shape: Shape, kind: str) -> Shape:
    tool = shape.get("tool", "")
    if not isinstance(tool, str) or tool not in TOOLS:
        raise _refused(kind, f"the tool is {rle.told(tool)}", "one of: " + ", ".join(TOOLS[:-1]))
    return {**found, "tool": tool} if tool else found


def _inside(value: object, side: int, axis: str, what: str) -> float:
    """One coordinate within 0..side, to hundredths of a px."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9 or math.isnan(value):  # noqa: PLR2004  no picture is so large
        raise _refused(what, f"{axis} = {rle.told(value)} is no finite number")
    if not -SLACK_PX <= value <= side + SLACK_PX:
        wide = "wide" if axis == "x" else "high"
        raise _refused(what, f"{axis} = {value:g} lies outside the picture, which is {side:,} px {wide}")
    return round(min(max(float(value), 0.0), float(side)), 2)


def _refused(what: str, why: str, fix: str = "") -> UserError:
    which = "These" if what == "points" else "This"
    return UserError(f"{which} {what} cannot be: {why}.", fix=fix)


HELP = {
    "mask": (
        "Outline every one that you can see, each on its own; where a box is dotted, only the one in it. Inside is"
        " every pixel of it that you can see, and nothing else: no shadow, no mirror image, nothing that stands before"
        " it. What is hidden stays out. Holes that you can look through stay out too."
    ),
    "points": (
        "Set the points of every one that you can see, each on its own; where a box is dotted, only of the one in it."
        " Put each point where it is. Seen: it is visible. Hidden: something covers it, and you can still tell where"
        " it is. Not there: outside the picture, or nobody could tell. Left and right are the thing's own."
    ),
}

MASK = KINDS.register("mask")(
    Kind(
        "mask", ("mask", "none"), per_page=4, lease_s=3600, draws=True, accepts="mask", shows=("mark",),
        loop="mask", help=HELP["mask"], check=check_drawn("mask", "mask", check_mask, MOST_SHAPES),
    )
)  # fmt: skip
POINTS = KINDS.register("points")(
    Kind(
        "points", ("points", "none"), per_page=4, lease_s=3600, draws=True, accepts="points", shows=("mark",),
        loop="points", help=HELP["points"], check=check_drawn("points", "points", check_points, MOST_SHAPES),
    )
)  # fmt: skip
