"""Charts as SVG text: zero-based bars, intervals drawn, labels beside the marks. Colours are the page's variables.

Marks take the classes ink, mute, good and bad, which the page's style sheet defines for light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Bar(NamedTuple):
    """One bar: label, length, the text beside it, and whether it stands out."""

    label: str
    value: float
    text: str
    is_marked: bool = False


class Spread(NamedTuple):
    """One estimate with its interval, in the unit of the axis."""

    label: str
    estimate: float
    low: float
    high: float
    is_marked: bool = False


class Point(NamedTuple):
    """One point of a scatter; only marked ones carry their label."""

    label: str
    x: float
    y: float
    is_marked: bool = False


def _svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:{width:g}px">{inner}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" class="{kind}"/>'


def bars(rows: Sequence[Bar], title: str, *, width: int = 440, label_px: int = 132) -> str:
    """Horizontal bars from zero."""
    step, room = 24, width - label_px - 84
    largest = max((row.value for row in rows), default=1) or 1
    parts = []
    for number, row in enumerate(rows):
        y = number * step
        length = max(1.0, row.value / largest * room)
        kind = "bad" if row.is_marked else "ink"
        parts.append(_text(label_px - 8, y + 15, row.label, anchor="end"))
        parts.append(f'<rect x="{label_px}" y="{y + 5}" width="{length:.1f}" height="13" rx="2" class="{kind}"/>')
        parts.append(_text(label_px + length + 8, y + 15, row.text, kind="quiet"))
    return _svg(width, step * len(rows) + 4, parts, title)


def spreads(rows: Sequence[Spread], title: str, *, low: float = 0.0, width: int = 440, label_px: int = 110) -> str:
    """Estimates with their 95 % intervals on one axis from `low` to 1, in per cent."""
    step, room = 20, width - label_px - 62

    def at(value: float) -> float:
        return label_px + (min(max(value, low), 1) - low) / (1 - low) * room

    height = step * len(rows) + 26
    parts = []
    for tick in np.linspace(low, 1, 5):
        parts.append(_line(at(tick), 0, at(tick), height - 22, "grid"))
        parts.append(_text(at(tick), height - 6, f"{tick * 100:.0f} %", anchor="middle", kind="quiet"))
    for number, row in enumerate(rows):
        y = number * step + 12
        kind = "bad" if row.is_marked else "ink"
        parts.append(_text(label_px - 8, y + 4, row.label, anchor="end"))
        parts.append(_line(at(row.low), y, at(row.high), y, f"span {kind}"))
        parts.append(f'<circle cx="{at(row.estimate):.1f}" cy="{y}" r="4" class="{kind}"/>')
        parts.append(_text(width - 48, y + 4, f"{row.estimate * 100:.1f} %", kind="quiet"))
    return _svg(width, height, parts, title)


def curves(series: Sequence[tuple[str, Sequence[float], str]], title: str, *, width: int = 440) -> str:
    """Shares in 0..1 over epochs: (name, values, class of the line), each named at its end."""
    height, left, right, top, low = 220, 40, 138, 12, 28
    many = max(len(values) for _, values, _ in series)

    def at(epoch: int, value: float) -> tuple[float, float]:
        x = left + epoch / max(many - 1, 1) * (width - left - right)
        return x, height - low - value * (height - low - top)

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = at(0, tick)[1]
        parts.append(_line(left, y, width - right, y, "grid"))
        parts.append(_text(left - 8, y + 4, f"{tick * 100:.0f} %", anchor="end", kind="quiet"))
    parts += [
        _text(at(epoch, 0)[0], height - 8, f"epoch {epoch + 1}", anchor="middle", kind="quiet")
        for epoch in sorted({0, many // 2, many - 1})
    ]
    ends = _apart([at(len(values) - 1, values[-1])[1] for _, values, _ in series], 16)
    for (name, values, kind), end in zip(series, ends, strict=True):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(k, value) for k, value in enumerate(values)))
        parts.append(f'<polyline points="{path}" class="curve {kind}"/>')
        parts.append(_text(width - right + 8, end + 4, f"{name} {values[-1] * 100:.1f} %", kind=f"name {kind}"))
    return _svg(width, height, parts, title)


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """The places moved down where they are closer than `gap`, so that labels do not touch."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    return moved


def scatter(points: Sequence[Point], x_title: str, y_title: str, title: str, *, low: float = 0.4) -> str:
    """Shares against shares on equal axes from `low` to 1, with the diagonal on which both agree."""
    side, left, down = 380, 52, 40

    def at(x: float, y: float) -> tuple[float, float]:
        span = 1 - low
        return (left + (min(max(x, low), 1) - low) / span * (side - left - 12),
                side - down - (min(max(y, low), 1) - low) / span * (side - down - 12))  # fmt: skip

    parts = [_line(*at(low, low), *at(1, 1), "grid dashed")]
    for tick in np.arange(np.ceil(low * 4) / 4, 1.01, 0.25):
        (x, y0), (x0, y) = at(tick, low), at(low, tick)
        parts += [
            _line(x, y0, x, y0 + 4, "grid"),
            _text(x, y0 + 17, f"{tick * 100:.0f} %", anchor="middle", kind="quiet"),
        ]
        parts += [
            _line(x0 - 4, y, x0, y, "grid"),
            _text(x0 - 8, y + 4, f"{tick * 100:.0f} %", anchor="end", kind="quiet"),
        ]
    marked = [point for point in points if point.is_marked]
    heights = dict(
        zip((point.label for point in marked), _apart([at(point.x, point.y)[1] for point in marked], 15), strict=True)
    )
    for point in points:
        x, y = at(point.x, point.y)
        kind = "bad" if point.is_marked else "ink"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind} see-through">'
            f"<title>{escape(point.label)}</title></circle>"
        )
        if point.is_marked:
            parts.append(_text(x + 9, heights[point.label] + 4, point.label, kind="bad"))
    parts.append(_text(side - 12, side - 4, x_title, anchor="end", kind="quiet"))
    parts.append(_text(left + 8, 16, y_title, kind="quiet"))
    return _svg(side, side, parts, title)


def histogram(edges: Sequence[float], counts: Sequence[int], line: float, title: str, *, is_upper: bool = False) -> str:
    """A distribution and the line that cuts it; what lies beyond is marked. Heights are square roots."""
    width, height = 260, 64
    heights = np.sqrt(np.asarray(counts, dtype=np.float64))
    heights = heights / max(heights.max(), 1e-9) * (height - 16)
    wide = width / len(counts)
    parts = []
    for k, tall in enumerate(heights):
        if counts[k]:
            middle = (edges[k] + edges[k + 1]) / 2
            is_beyond = middle > line if is_upper else middle < line
            shown = max(tall, 1.5)
            parts.append(
                f'<rect x="{k * wide:.1f}" y="{height - shown:.1f}" width="{max(wide - 1, 1):.1f}" '
                f'height="{shown:.1f}" class="{"bad" if is_beyond else "mute"}"/>'
            )
    place = float(np.interp(line, edges, np.linspace(0, width, len(edges))))
    parts.append(_line(place, 0, place, height, "cut"))
    return _svg(width, height, parts, title)
