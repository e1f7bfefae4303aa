"""Runs side by side as one HTML page that needs nothing else: their curves on each other, and the table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pictus import reports
from pictus.errors import counted
from pictus.reports import RANKS, Line
from pictus.train.kept.logbook import Epoch
from pictus.train.watching.comparison import NEIGHBOURS, ComparedRun
from pictus.train.watching.watch import in_words

DASHES = ("", " dashed", " dotted")
"""From the seventh run on lines are dashed."""

LONGEST = 20
"""Signs of a name beside its line; the table has it whole."""

HEADS = ("run", "set otherwise", "top-1, validation", "top-1, test", "epochs", "time", "weights", "pictures/s")


def page(rows: Sequence[ComparedRun], curves: Sequence[Sequence[Epoch]], command: str) -> str:
    """Curves [R] of epochs beside the rows [R]."""
    names = [_short(row.run) + (" kNN" if row.scored_by == NEIGHBOURS else "") for row in rows]
    drawn = (
        ("Top-1 on validation, by epoch", [[(one.epoch, one.val_top1) for one in curve] for curve in curves], True),
        ("Loss on validation, by epoch", [[(one.epoch, one.val_loss) for one in curve] for curve in curves], False),
        ("Loss in training, by epoch", [[(one.epoch, one.train_loss) for one in curve] for curve in curves], False),
    )
    end = max((one.epoch for curve in curves for one in curve), default=0)
    charts = [
        (caption, reports.curves(
            [Line(name, _kind(at), line) for at, (name, line) in enumerate(zip(names, lines, strict=True))],
            end=end, foot=("start", f"epoch {end:,}"), words=caption, is_share=is_share,
        ) or Markup("<p class=quiet>No epoch has ended yet.</p>"))
        for caption, lines, is_share in drawn
    ]  # fmt: skip
    note = "Beside each share its 95 % interval (Wilson)."
    if any(row.scored_by == NEIGHBOURS for row in rows):
        note += " kNN: by the votes of the nearest training pictures, of what learned without labels."
    body = Markup("{}{}<p class=quiet>{}</p>").format(_table(rows), reports.figures(charts), note)
    return reports.page(f"{counted(len(rows), 'run')} compared", body, command)


def share(value: float | None, low: float | None, high: float | None) -> str:
    """`73.1% (70.0 to 76.1)`."""
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def _table(rows: Sequence[ComparedRun]) -> Markup:
    lines = [
        (
            Markup('<i class="{}"></i>{}{}').format(
                _kind(at), row.run,
                "" if row.status == "finished" else Markup(" <span class=quiet>{}</span>").format(row.status),
            ),
            row.settings or "–",
            ("kNN " if row.scored_by == NEIGHBOURS else "") + share(row.val_top1, row.val_low, row.val_high),
            share(row.test_top1, row.test_low, row.test_high),
            f"{row.epochs:,}", "–" if row.seconds is None else in_words(row.seconds),
            "–" if row.parameters is None else f"{row.parameters:,}",
            "–" if row.pictures_per_s is None else f"{row.pictures_per_s:,.0f}",
        )
        for at, row in enumerate(rows)
    ]  # fmt: skip
    return reports.table(HEADS, lines, range(2, len(HEADS)))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[:9]}…{name[-10:]}"


def _kind(place: int) -> str:
    return RANKS[place % len(RANKS)] + DASHES[place // len(RANKS) % len(DASHES)]
