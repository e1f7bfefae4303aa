"""The outline of a mask as polygons along the edges of its pixels, and the same with fewer corners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_EDGES = 200_000
"""A mask of noise has as many edges as pixels; what anybody would call a shape has far fewer."""

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def rings(mask: NDArray[np.bool_]) -> list[Floats]:
    """Closed outlines, f64[P, 2] x, y px, corners only; holes are rings of their own. [] where there are too many.

    The thing lies to the right of the way: outer rings run clockwise on the screen, holes against it. Pixels that
    touch at a corner are two things.
    """
    padded = np.pad(mask, 1)
    inside = padded[1:, 1:]
    right_of = {  # the edge that starts at corner (y, x) and goes there has the thing on its right, nothing on its left
        _RIGHT: inside & ~padded[:-1, 1:],
        _DOWN: padded[1:, :-1] & ~inside,
        _LEFT: padded[:-1, :-1] & ~padded[1:, :-1],
        _UP: padded[:-1, 1:] & ~padded[:-1, :-1],
    }
    starts = {way: set(zip(*(axis.tolist() for axis in np.nonzero(edges)), strict=True))
              for way, edges in right_of.items()}  # fmt: skip
    if sum(map(len, starts.values())) > MOST_EDGES:
        return []
    found = []
    for first in sorted(starts[_RIGHT]):
        if first not in starts[_RIGHT]:
            continue  # walked already
        found.append(_ring(first, starts))
    return found


def simplified(ring_P2: Floats, tolerance_px: float = 1.0) -> Floats:
    """Fewer corners, none of those left out farther than the tolerance from the line (Douglas & Peucker 1973)."""
    if len(ring_P2) <= 4:  # noqa: PLR2004  a rectangle stays one
        return ring_P2
    far = int(np.argmax(np.sum((ring_P2 - ring_P2[0]) ** 2, axis=1)))
    closed = np.concatenate([ring_P2, ring_P2[:1]])
    is_kept = np.zeros(len(closed), np.bool_)
    is_kept[[0, far, len(ring_P2)]] = True
    spans = [(0, far), (far, len(ring_P2))]
    while spans:
        first, last = spans.pop()
        if last - first < 2:  # noqa: PLR2004  nothing between
            continue
        line = closed[last] - closed[first]
        off = closed[first + 1 : last] - closed[first]
        length = float(np.hypot(*line))
        apart = np.abs(line[0] * off[:, 1] - line[1] * off[:, 0]) / length if length else np.hypot(off[:, 0], off[:, 1])
        worst = int(np.argmax(apart))
        if apart[worst] > tolerance_px:
            middle = first + 1 + worst
            is_kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return closed[:-1][is_kept[:-1]]


def polygons(mask: NDArray[np.bool_], tolerance_px: float = 1.0) -> list[list[float]]:
    """Outlines as [x1, y1, x2, y2, …] px, holes among them; those of fewer than three corners are left out."""
    corners = [simplified(ring, tolerance_px) for ring in rings(mask)]
    return [ring.ravel().tolist() for ring in corners if len(ring) > 2]  # noqa: PLR2004  three corners


def _ring(first: tuple[int, int], starts: dict[int, set[tuple[int, int]]]) -> Floats:
    """Walk from a corner until it is reached again, taking each edge away; a corner is where the way turns."""
    y, x = first
    way, corners = _RIGHT, [(float(x), float(y))]
    while True:
        starts[way].discard((y, x))
        step_x, step_y = _STEPS[way]
        y, x = y + step_y, x + step_x
        # The sharpest turn to the thing's side first: pixels that touch at a corner stay apart.
        turned = next((turn for turn in ((way + 1) % 4, way, (way + 3) % 4) if (y, x) in starts[turn]), None)
        if turned is None:
            return np.array(corners)
        if turned != way:
            corners.append((float(x), float(y)))
        way = turned
