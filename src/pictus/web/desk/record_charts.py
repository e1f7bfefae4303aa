"""One annotator's work over time as a chart: pages, known answers with intervals, pace; one below the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from pictus.annotate.review.record_steps import Record, Span

WIDE, TALL, GAP, LEFT, RIGHT = 560, 56, 26, 4, 96


def record_chart(record: Record) -> Markup:
    """Three rows over the same time; nothing without pages."""
    if not record.spans:
        return Markup()
    many = len(record.spans)
    step = WIDE / many
    middles = [LEFT + (number + 0.5) * step for number in range(many)]
    most = max(span.pages for span in record.spans)
    slowest = max(span.pace_s for span in record.spans) or 1.0
    first, second, third = (number * (TALL + GAP) + 16 for number in range(3))
    parts = [
        *_bars(record.spans, step, first, lambda span: span.pages / most),
        _axis(first, f"{most}", "pages"),
        *(
            f'<line class="span" x1="{x:.1f}" x2="{x:.1f}" y1="{_down(second, span.known.low):.1f}"'
            f' y2="{_down(second, span.known.high):.1f}"/>'
            f'<circle class="dot" cx="{x:.1f}" cy="{_down(second, span.known.estimate):.1f}" r="3"/>'
            for x, span in zip(middles, record.spans, strict=True) if span.n_known
        ),
        _axis(second, "100 %", "right on known"),
        *_bars(record.spans, step, third, lambda span: span.pace_s / slowest),
        _axis(third, f"{slowest:.1f} s", "seconds a picture"),
        f'<text x="{LEFT}" y="{third + TALL + 16}">{_when(record.spans[0].begins)}</text>',
        f'<text x="{LEFT + WIDE}" y="{third + TALL + 16}" text-anchor="end">{_when(record.spans[-1].ends)}</text>',
    ]  # fmt: skip
    known = "none asked" if math.isnan(record.known.estimate) else f"{100 * record.known.estimate:.0f} %"
    words = f"{record.pages} pages over time; right on known answers: {known}; {record.pace_s:.1f} s a picture"
    box = f"0 0 {LEFT + WIDE + RIGHT} {third + TALL + 24}"
    svg = f'<svg class="chart record" viewBox="{box}" role="img" aria-label="{words}">{"".join(parts)}</svg>'
    return Markup(svg)  # noqa: S704  numbers and our own words only


def _bars(spans: Sequence[Span], step: float, top: float, share: Callable[[Span], float]) -> list[str]:
    wide = max(min(step - 2, 32), 1)
    return [
        f'<rect class="bar-of" x="{LEFT + (number + 0.5) * step - wide / 2:.1f}" y="{_down(top, share(span)):.1f}"'
        f' width="{wide:.1f}" height="{TALL * share(span):.1f}"/>'
        for number, span in enumerate(spans) if span.pages
    ]  # fmt: skip


def _axis(top: float, most: str, words: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDE}" y1="{top + TALL}" y2="{top + TALL}"/>'
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDE}" y1="{top}" y2="{top}"/>'
        f'<text x="{LEFT + WIDE + 6}" y="{top + 4}">{most}</text>'
        f'<text x="{LEFT + WIDE + 6}" y="{top + TALL}">0</text>'
        f'<text class="of" x="{LEFT}" y="{top - 5}">{words}</text>'
    )


def _down(top: float, share: float) -> float:
    return top + TALL * (1 - min(max(share, 0.0), 1.0))


def _when(at: str) -> str:
    return at[:16].replace("T", " ")
