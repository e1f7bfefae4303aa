"""Pages of this room: curves and dots as SVG, in HTML that needs nothing else. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from pictus.train.transfer.pages import page, table
from pictus.train.tuning.rates import Pick, RatePoint

WIDTH, HEIGHT, LEFT, BELOW = 480, 240, 48, 32


class Dot(NamedTuple):
    """`value`: of a setting, a number or a word; `score` in 0..1."""

    value: float | str
    score: float


def rate_page(subject: str, points: Sequence[RatePoint], found: Pick) -> str:
    """The smoothed loss over the rate, which is drawn by factors of ten, and what was picked."""
    across = _Scale([point.lr for point in points], is_log=True)
    losses = [point.smoothed for point in points]
    up = _Scale(losses, is_log=False)
    line = " ".join(f"{across.x(point.lr):.1f},{up.y(point.smoothed):.1f}" for point in points)
    at = across.x(found.lr)
    mark = "" if not found.is_clear else (
        f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="8" y2="{HEIGHT - BELOW}"/>'
        f'<text x="{at + 4:.1f}" y="20">lr={found.lr:.2g}</text>'
    )
    text = "Loss by learning rate, the average of about the last ten steps."
    text += f" --set lr={found.lr:.2g}" if found.is_clear else " It falls no more than by chance: no rate can be told."
    body = _svg("loss by learning rate", f'{across.axis()}{up.side()}<polyline class="line" points="{line}"/>{mark}')
    note = "Command: pictus train find-lr" if not found.is_clear else (
        f"The loss falls fastest at {found.steepest:.2g}"
        + (f" and left at {found.diverged:.2g}; a tenth of that is the most" if found.diverged else "")
        + " (Smith 2017). Command: pictus train find-lr"
    )
    return page(
        f"Learning rate: {subject}", f"<p>{escape(text)}</p>{body}<p class=quiet>{escape(note)}</p>"
    )  # fmt: skip


def study_page(
    subject: str, dots: Mapping[str, Sequence[Dot]], importance: Mapping[str, float], best: str,
    lines: Sequence[Sequence[str]],
) -> str:  # fmt: skip
    """One chart a setting, value against score, the most important first; and all trials."""
    ordered = sorted(dots, key=lambda name: -importance.get(name, 0.0))
    shown = "".join(
        f"<h2>{escape(name)}</h2><p class=quiet>importance {importance.get(name, 0.0):.0%}</p>{_dots(name, dots[name])}"
        for name in ordered
    )
    note = (
        "Importance: share of the spread of scores that a setting alone explains (PED-ANOVA, Watanabe et al. 2023)."
        " Command: pictus train tune"
    )
    heads = ("trial", "state", "score", "settings")
    body = f"<p><code>{escape(best)}</code></p>{shown}{table(heads, lines)}<p class=quiet>{note}</p>"
    return page(f"Settings tried: {subject}", body)


class _Scale:
    """Numbers to places; equal factors take equal room with `is_log`."""

    def __init__(self, values: Sequence[float], *, is_log: bool) -> None:
        known = [value for value in values if math.isfinite(value) and (value > 0 or not is_log)] or [1.0]
        self._is_log = is_log
        self.low, self.high = min(known), max(known)

    def share(self, value: float) -> float:
        low, high, here = (
            (math.log(self.low), math.log(self.high), math.log(max(value, self.low)))
            if self._is_log else (self.low, self.high, value)
        )  # fmt: skip
        return 0.5 if high == low else min(1.0, max(0.0, (here - low) / (high - low)))

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - 16) * self.share(value)

    def y(self, value: float) -> float:
        return 8 + (HEIGHT - BELOW - 8) * (1 - self.share(value))

    def axis(self) -> str:
        base = HEIGHT - BELOW
        return (
            f'<line class="axis" x1="{LEFT}" x2="{WIDTH - 16}" y1="{base}" y2="{base}"/>'
            f'<text x="{LEFT}" y="{base + 20}">{self.low:.3g}</text>'
            f'<text x="{WIDTH - 16}" y="{base + 20}" text-anchor="end">{self.high:.3g}</text>'
        )

    def side(self) -> str:
        return (
            f'<text x="{LEFT - 4}" y="18" text-anchor="end">{self.high:.3g}</text>'
            f'<text x="{LEFT - 4}" y="{HEIGHT - BELOW}" text-anchor="end">{self.low:.3g}</text>'
        )


def _dots(name: str, dots: Sequence[Dot]) -> str:
    up = _Scale([dot.score for dot in dots], is_log=False)
    words = sorted({str(dot.value) for dot in dots if isinstance(dot.value, str)})
    numbers = [float(dot.value) for dot in dots if not isinstance(dot.value, str)]
    is_log = bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) > 10  # noqa: PLR2004  a power of ten
    across = _Scale(numbers or [0.0, max(1.0, len(words) - 1.0)], is_log=is_log)
    marks = "".join(
        f'<circle class="dot" r="4" cy="{up.y(dot.score):.1f}"'
        f' cx="{across.x(float(words.index(dot.value)) if isinstance(dot.value, str) else float(dot.value)):.1f}">'
        f"<title>{escape(str(dot.value))}: {dot.score:.1%}</title></circle>"
        for dot in dots
    )
    below = across.axis() if not words else "".join(
        f'<text x="{across.x(float(at)):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(word)}</text>'
        for at, word in enumerate(words)
    )  # fmt: skip
    return _svg(f"score by {name}", f"{below}{up.side()}{marks}")


def _svg(label: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escape(label)}">{inside}</svg>'
    )
