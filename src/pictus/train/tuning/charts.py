"""Pages of this room: the loss over the rate, and what each setting was worth. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from pictus.reports import Axis, Line, around, chart, page, table
from pictus.train.tuning.rates import Pick, RatePoint
from pictus.train.tuning.study import LEAST_COMPARED

WIDE = 10
"""Values of a setting that are so many times as great as the least are drawn by factors."""


class Dot(NamedTuple):
    """`value`: of a setting, a number or a word; `score` in 0..1."""

    value: float | str
    score: float


def rate_page(subject: str, points: Sequence[RatePoint], found: Pick) -> str:
    """The smoothed loss over the rate, which is drawn by factors of ten, and what was picked."""
    x = around([point.lr for point in points], is_log=True)
    y = around([point.smoothed for point in points])
    line = Line("", "val", [(point.lr, point.smoothed) for point in points])
    cuts = [(found.lr, f"lr={found.lr:.2g}")] if found.is_clear else []
    text, note = "Loss by learning rate, the average of about the last ten steps.", ""
    if found.is_clear:
        text += f" --set lr={found.lr:.2g}"
        left = f" and left at {found.diverged:.2g}; a tenth of that is the most" if found.diverged else ""
        note = f"The loss falls fastest at {found.steepest:.2g}{left} (Smith 2017)."
    else:
        text += " It falls no more than by chance: no rate can be told."
    drawn = chart([line], x, y, "loss by learning rate", cuts)
    body = Markup("<p>{}</p>{}<p class=quiet>{}</p>").format(text, drawn, note)
    return page(f"Learning rate: {subject}", body, "pictus train find-lr")


def study_page(
    subject: str, dots: Mapping[str, Sequence[Dot]], importance: Mapping[str, float], best: str,
    lines: Sequence[Sequence[str]],
) -> str:  # fmt: skip
    """One chart a setting, value against score, the most important first; and all trials."""
    ordered = sorted(dots, key=lambda name: -importance.get(name, 0.0))
    shown = Markup().join(
        Markup("<figure><h2>{}</h2>{}{}</figure>").format(name, _weight(importance.get(name)), _dots(name, dots[name]))
        for name in ordered
    )
    note = (
        "Importance: share of the spread of scores that a setting alone explains (PED-ANOVA, Watanabe et al. 2023)."
        if importance else f"What matters is told from {LEAST_COMPARED} whole trials on."
    )  # fmt: skip
    body = Markup("<p><code>{}</code></p><div class=curves>{}</div>{}<p class=quiet>{}</p>").format(
        best, shown, table(("trial", "state", "score", "settings"), lines), note
    )
    return page(f"Settings tried: {subject}", body, "pictus train tune")


def _weight(share: float | None) -> Markup:
    return Markup() if share is None else Markup("<p class=quiet>importance {:.0%}</p>").format(share)


def _dots(name: str, dots: Sequence[Dot]) -> Markup:
    words = sorted({str(dot.value) for dot in dots if isinstance(dot.value, str)})
    numbers = [float(dot.value) for dot in dots if not isinstance(dot.value, str)]
    is_wide = bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) > WIDE
    x = around(numbers, is_log=is_wide)
    if words:
        x = Axis(0.0, max(1.0, len(words) - 1.0), tuple((float(at), word) for at, word in enumerate(words)))
    places = [(float(words.index(one.value)) if isinstance(one.value, str) else float(one.value), one.score)
              for one in dots]  # fmt: skip
    y = around([dot.score for dot in dots], is_share=True)
    return chart([Line("", "val", sorted(places), is_dots=True)], x, y, f"score by {name}")
