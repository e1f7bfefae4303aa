"""Curves of a run as SVG: the line grows to the right while it trains, named where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, TALL, LEFT, RIGHT, APART = 320, 120, 48, 116, 13
MOST_POINTS = 200
"""Of one line: more would lie on one pixel."""

TICKS = 3

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """One curve: its name, how it is drawn (val, train, more) and its points, x growing. `unit` of what it ends at."""

    name: str
    kind: str
    points: Points
    unit: str = ""


def lines(found: Sequence[Line], *, end: float, foot: tuple[str, str], words: str, is_share: bool = False) -> Markup:
    """Several curves over 0..`end`, from 0 on, or 0 to 100 %. `foot`: words under both ends; `words`: what it shows."""
    drawn = [line._replace(points=thinned(line.points)) for line in found]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        return Markup()
    top = 1.0 if is_share else nice(max(y for line in drawn for _, y in line.points))
    across = WIDTH / max(end, 1e-9)
    parts = [_grid(top * part / (TICKS - 1), top, is_share=is_share) for part in range(TICKS)]
    parts.append(f'<text x="{LEFT}" y="{TALL + 18}">{escape(foot[0])}</text>')
    parts.append(f'<text x="{LEFT + WIDTH}" y="{TALL + 18}" text-anchor="end">{escape(foot[1])}</text>')
    for line in drawn:
        places = [(LEFT + x * across, _down(y, top)) for x, y in line.points]
        if len(places) == 1:
            parts.append(f'<circle class="{line.kind}" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3"/>')
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
    free = -math.inf
    for line in sorted(drawn, key=lambda line: -line.points[-1][1]):
        last = line.points[-1][1]
        free = max(_down(last, top) + 4, free + APART)
        told = f"{last:.1%}" if is_share else f"{short(last)}{line.unit}"
        parts.append(
            f'<text class="{line.kind}" x="{LEFT + WIDTH + 8}" y="{free:.1f}">{escape(line.name)} {told}</text>'
        )
    box = f"0 -8 {LEFT + WIDTH + RIGHT} {TALL + 32}"
    svg = f'<svg class="chart curve" viewBox="{box}" role="img" aria-label="{escape(words)}">{"".join(parts)}</svg>'
    return Markup(svg)  # noqa: S704  numbers, and words that are escaped


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most MOST_POINTS means of neighbours, the last one as it is; what is not a number is left out."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= MOST_POINTS:
        return finite
    size = math.ceil(len(finite) / MOST_POINTS)
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def nice(most: float) -> float:
    """The end of an axis: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten, not below `most`."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next((step * power for step in steps if step * power >= most * (1 - 1e-9)), most)  # 1e-320 has few digits


def short(number: float) -> str:
    """`1,234`, `1.23`, `0.0012`."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004  three digits


def _grid(value: float, top: float, *, is_share: bool) -> str:
    y = _down(value, top)
    words = f"{value:.0%}" if is_share else short(value)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 3:.1f}" text-anchor="end">{words}</text>'
    )


def _down(value: float, top: float) -> float:
    return TALL * (1 - min(max(value / top, 0.0), 1.0))
