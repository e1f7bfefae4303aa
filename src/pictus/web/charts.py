"""Distributions and curves as SVG: a threshold is always drawn on what it cuts, a line is named where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT, FOOT = 320, 88, 18
LEFT, RIGHT, TALL, APART = 42, 112, 120, 13


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
            line["rule"], line["measure"], "over" if line["is_upper"] else "under", _short(line["line"]),
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
        f'<text x="0" y="{foot}">{_short(edges[0])}</text>'
        f'<text x="{WIDTH}" y="{foot}" text-anchor="end">{_short(edges[-1])}</text>'
    )
    box = f"0 0 {WIDTH} {HEIGHT + FOOT}"
    svg = f'<svg class="chart" viewBox="{box}" role="img"><g class="bars">{"".join(bars)}</g>{line}{labels}</svg>'
    return Markup(svg)  # noqa: S704  numbers only


def curve(validation: Sequence[float], train: Sequence[float], *, best: int) -> Markup:
    """Top-1 after each epoch, 0 to 100 %; both in 0..1, epoch 1 first. `best`: the epoch kept, 0 for none."""
    if not validation:
        return Markup()
    foot = TALL + 4
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{_down(share):.1f}" y2="{_down(share):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{_down(share) + 3:.1f}" text-anchor="end">{words}</text>'
        for share, words in ((0, "0"), (0.5, "50"), (1, "100 %"))
    ]
    last = len(validation)
    parts.append(f'<text x="{LEFT}" y="{foot + 14}">epoch 1</text>' if last > 1 else "")
    parts.append(f'<text x="{_across(last, last):.1f}" y="{foot + 14}" text-anchor="end">epoch {last}</text>')
    ends = [(_last(train), "train", "training pictures"), (_last(validation), "val", "validation pictures")]
    parts += [_line(train, "train"), _line(validation, "val"), *_labels(ends)]
    if best and math.isfinite(validation[best - 1]):
        at = f'cx="{_across(best, last):.1f}" cy="{_down(validation[best - 1]):.1f}"'
        parts.append(f'<circle class="val" {at} r="4"><title>epoch {best}: kept</title></circle>')
    words = f"top-1 after each of {last} epochs"
    box = f"0 -8 {LEFT + WIDTH + RIGHT} {foot + 28}"
    svg = f'<svg class="chart curve" viewBox="{box}" role="img" aria-label="{words}">{"".join(parts)}</svg>'
    return Markup(svg)  # noqa: S704  numbers and our own words only


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


def _line(shares: Sequence[float], kind: str) -> str:
    """A line through the epochs that have a number; one epoch alone is a dot."""
    points = [(_across(n, len(shares)), _down(share)) for n, share in enumerate(shares, 1) if math.isfinite(share)]
    if len(points) == 1:
        return f'<circle class="{kind}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>'
    return f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _labels(ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """A name where each line ends, pushed apart where two would lie on each other; the upper one stays."""
    found, free = [], -math.inf
    for share, kind, words in sorted((end for end in ends if math.isfinite(end[0])), reverse=True):
        free = max(_down(share) + 4, free + APART)
        found.append(f'<text class="{kind}" x="{LEFT + WIDTH + 8}" y="{free:.1f}">{words}</text>')
    return found


def _last(shares: Sequence[float]) -> float:
    return next((share for share in reversed(shares) if math.isfinite(share)), math.nan)


def _across(epoch: int, last: int) -> float:
    return LEFT + WIDTH * ((epoch - 1) / (last - 1) if last > 1 else 1.0)


def _down(share: float) -> float:
    return TALL * (1 - min(max(share, 0.0), 1.0))


def _position(edges: Sequence[float], value: float) -> float:
    """Where a value lies among bins drawn with equal width, in bins from the left."""
    if value <= edges[0]:
        return 0.0
    for index in range(len(edges) - 1):
        if value < edges[index + 1]:
            return index + (value - edges[index]) / max(edges[index + 1] - edges[index], 1e-12)
    return float(len(edges) - 1)


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004  three digits
