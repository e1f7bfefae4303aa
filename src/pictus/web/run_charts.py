"""Curves of a run: they grow to the right while it trains. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from pictus.reports import Line
from pictus.reports import curves as drawn
from pictus.run_files import is_number
from pictus.web.run_log import Log

Drawn = list[tuple[str, Markup]]
LIVE_NUMBERS = 4  # of one point of the history


def small(epochs: Sequence[dict[str, Any]], best: int, *, is_classifier: bool) -> Markup:
    """Its scores after each epoch, for a list; the epoch kept (0: none) as a dot."""
    last = max((line["epoch"] for line in epochs), default=0)
    kept = [(line["epoch"], float(line["val_top1"])) for line in epochs if line["epoch"] == best]
    found = [*_scores(epochs, is_classifier=is_classifier), Line("", "val", kept)]
    return drawn(found, end=last, foot=("start", f"epoch {last:,}"), words="scores by epoch", is_share=True)


def curves(log: Log, now: dict[str, Any], *, is_working: bool, is_classifier: bool, has_top5: bool) -> Drawn:
    """Caption and drawing of the loss, the scores, the learning rate and the pace. `now`: its live.json."""
    epochs = log.epochs
    per_epoch = now.get("steps_per_epoch") or max(1.0, *(line["step"] / line["epoch"] for line in epochs), 1.0)
    ends = [line["epoch"] for line in epochs] + [step / per_epoch for step in log.steps[-1:, 0].tolist()]
    last = max(ends, default=0.0)
    end = max(last, float(now.get("epochs", 0)) if is_working else 0.0)
    foot = ("start", f"epoch {end:,.0f}" if end >= 1 else f"{end:.2f} of an epoch")
    others = sorted({name for line in epochs for name in line["val_others"]})
    shares = _scores(epochs, is_classifier=is_classifier)
    if has_top5:
        shares += [Line("val top-5" if is_classifier else "kNN top-5", "more", _of(epochs, "val_top5"))]
    shares += [
        Line(f"val {name}", "more", [(line["epoch"], line["val_others"][name]) for line in epochs
                                     if is_number(line["val_others"].get(name))])
        for name in others
    ]  # fmt: skip
    losses = [Line("val" if is_classifier else "kNN", "val", _of(epochs, "val_loss")),
              Line("train", "train", log.points("loss", per_epoch))]  # fmt: skip
    rate = Line("rate", "val", log.points("lr", per_epoch))
    found = [
        ("Loss", drawn(losses, end=end, foot=foot, words="loss by epoch")),
        ("Scores", drawn(shares, end=end, foot=foot, words="scores by epoch", is_share=True)),
        ("Learning rate", drawn([rate], end=end, foot=foot, words="learning rate")),
        *_pace(now),
    ]
    return [(caption, one) for caption, one in found if one]


def _scores(epochs: Sequence[dict[str, Any]], *, is_classifier: bool) -> list[Line]:
    """One that learns without labels has no score in training, and its neighbours' votes in validation."""
    if not is_classifier:
        return [Line("kNN top-1", "val", _of(epochs, "val_top1"))]
    return [Line("val top-1", "val", _of(epochs, "val_top1")), Line("train", "train", _of(epochs, "train_top1"))]


def _of(epochs: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(line["epoch"], float(line[name])) for line in epochs if is_number(line.get(name))]


def _pace(now: dict[str, Any]) -> Drawn:
    """Pictures a second, and the share of the time waiting, over the minutes of the run."""
    points = [point for point in now.get("history", ()) if isinstance(point, list) and len(point) >= LIVE_NUMBERS
              and all(map(is_number, point))]  # fmt: skip
    end = max((point[0] for point in points), default=0.0)
    foot = ("0 min", f"{end / 60:.1f} min")
    speed = Line("pictures/s", "val", [(point[0], point[1]) for point in points])
    waits = Line("waits", "val", [(point[0], point[2]) for point in points])
    return [
        ("Pictures a second", drawn([speed], end=end, foot=foot, words="pictures a second")),
        ("Share of the time waiting for pictures",
         drawn([waits], end=end, foot=foot, words="share of the time waiting for pictures", is_share=True)),
    ]  # fmt: skip
