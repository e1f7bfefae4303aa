"""Distributions as SVG: a threshold is always drawn on what it cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from pictus.reports import short

WIDTH, HEIGHT, FOOT = 320, 88, 18


@dataclass(frozen=True)
class Chart:
    """One rule's distribution, where it cuts and how many pictures fell on the wrong side."""

    rule: str
    measure: str
    side: str  # under | over
    line: str
    origin: str
    dropped: int
    svg: Markup
    is_flag: bool = False


def charts(lines: Sequence[dict[str, Any]]) -> list[Chart]:
    """Charts from what `clean screen` recorded of its own decision, the rules that dropped most first.

    `dropped` of a line: how many pictures the rule keeps out now, which a restore lessens.
    """
    ordered = sorted(lines, key=lambda line: -line["dropped"])
    return [
        Chart(
            line["rule"], line["measure"], "over" if line["is_upper"] else "under", short(line["line"]),
            line["origin"], line["dropped"],
            histogram(line["edges"], line["counts"], line["line"], is_upper=line["is_upper"]),
            line.get("is_flag", False),
        )
        for line in ordered if line["counts"]
    ]  # fmt: skip


def histogram(edges: Sequence[float], counts: Sequence[int], cut: float, *, is_upper: bool) -> Markup:
    """Bars of equal width, zero-based; those beyond the cut in the warning colour, the cut as a line."""
    step = WIDTH / len(counts)
    tallest = max(*counts, 1)
    bars = []
    for index, count in enumerate(counts):
        tall = max(count / tallest * HEIGHT, 1.5 if count else 0)
        middle = (edges[index] + edges[index + 1]) / 2
        kind = ' class="out"' if (middle > cut if is_upper else middle < cut) else ""
        place = f'x="{index * step:.1f}" y="{HEIGHT - tall:.1f}" width="{step - 1:.1f}" height="{tall:.1f}"'
        bars.append(f"<rect{kind} {place}/>")
    at = _position(edges, cut) * step
    line = f'<line class="cut" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{HEIGHT}"/>'
    foot = HEIGHT + FOOT - 4
    labels = (
        f'<text x="0" y="{foot}">{short(edges[0])}</text>'
        f'<text x="{WIDTH}" y="{foot}" text-anchor="end">{short(edges[-1])}</text>'
    )
    box = f"0 0 {WIDTH} {HEIGHT + FOOT}"
    svg = f'<svg class="chart" viewBox="{box}" role="img"><g class="bars">{"".join(bars)}</g>{line}{labels}</svg>'
    return Markup(svg)  # noqa: S704  numbers only


def placeholder(cause: str) -> str:
    """What stands where a picture cannot be drawn: a crossed-out frame and why. Read as an <img>, so it brings
    its own colours for light and dark.
    """
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160" width="160" height="160">'
        "<style>:root { color: #5f6267; background: #f3f3ef } "
        "@media (prefers-color-scheme: dark) { :root { color: #a3a6ab; background: #1d1f22 } }</style>"
        '<g fill="none" stroke="currentColor" stroke-width="2"><rect x="56" y="28" width="48" height="36" rx="3"/>'
        '<path d="M50 72 110 20"/></g>'
        '<text x="80" y="94" fill="currentColor" text-anchor="middle" font-family="system-ui, sans-serif" '
        f'font-size="12">cannot be decoded<tspan x="80" dy="16">{escape(cause)}</tspan></text></svg>'
    )


def _position(edges: Sequence[float], value: float) -> float:
    """Where a value lies among bins drawn with equal width, in bins from the left."""
    if value <= edges[0]:
        return 0.0
    for index in range(len(edges) - 1):
        if value < edges[index + 1]:
            return index + (value - edges[index]) / max(edges[index + 1] - edges[index], 1e-12)
    return float(len(edges) - 1)
