"""The report as one HTML page that needs nothing else: pictures, charts and numbers in it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from markupsafe import Markup

from pictus import pixels
from pictus.concepts import Taxonomy
from pictus.evaluate import charts
from pictus.evaluate.gallery import Gallery, Shot
from pictus.evaluate.results import ClassScore, Results, in_tree_order
from pictus.stats import Interval

THUMBNAIL_PX = 224
LEAST_SHAPE, GREATEST_SHAPE = 0.75, 1.8
"""Width / height in a wall: more extreme pictures show their middle, so that a caption fits under each."""

WORST, BEST = 30, 10
"""Above their sum, the bars show the worst and the best classes; the table has all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated on what, and when."""

    run: str
    model: str
    release: str
    version: str
    split: str
    at: str


def page(
    subject: Subject, results: Results, gallery: Gallery, thumbnails: Mapping[int, bytes], taxonomy: Taxonomy
) -> str:
    """The report. thumbnails: JPEG bytes of every row the gallery shows."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  0.1 s that --help does not pay

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "span": span, "whole": whole, "number": "{:,}".format}
    environment.globals |= {"bar": charts.interval_bar, "interval": recall_interval}
    template = environment.from_string(resources.files(__package__).joinpath("report.html.j2").read_text("utf-8"))

    def picture(shot: Shot) -> Markup:
        said = f"is {shot.true_name}" if shot.is_right else f"is {shot.true_name}, taken for {shot.guess_name}"
        address = "data:image/jpeg;base64," + base64.b64encode(thumbnails[shot.row]).decode()
        return Markup('<img src="{}" alt="{}" title="{} · {}">').format(address, said, said, shot.image_id[:12])

    def shape(shot: Shot) -> str:
        header = pixels.sniff(thumbnails[shot.row])
        return f"{min(max(header.width / header.height, LEAST_SHAPE), GREATEST_SHAPE):.3f}"

    classes = [one for one in results.classes if one.n]
    names = [one.name for one in results.classes]
    order = shown_order(results, taxonomy)
    occurring = {*results.confusion.true_X.tolist(), *results.confusion.predicted_X.tolist()}
    seen = [label for label in order if label in occurring]
    return template.render(
        subject=subject, results=results, gallery=gallery, picture=picture, shape=shape, classes=classes,
        bars=class_bars(classes), reliability=charts.reliability(results.bins), leaning=leaning(results),
        confusions=charts.confusion_map(results.confusion, names, seen), is_labelled=len(seen) <= charts.LABELLED,
    )  # fmt: skip


def shown_order(results: Results, taxonomy: Taxonomy) -> list[int]:
    """Labels as the confusions show them: kin side by side; by name where the tree has no levels."""
    if results.greatest_height > 1:
        return in_tree_order(taxonomy, [one.concept_id for one in results.classes])
    return sorted(range(len(results.classes)), key=lambda label: (results.classes[label].name.casefold(), label))


def class_bars(classes: list[ClassScore]) -> tuple[list[ClassScore], list[ClassScore]]:
    """Classes from worst to best; when there are many, the worst and the best of them."""
    ordered = sorted(classes, key=lambda one: (one.recall or 0.0, one.name))
    return (ordered, []) if len(ordered) <= WORST + BEST else (ordered[:WORST], ordered[-BEST:])


def recall_interval(one: ClassScore) -> Interval:
    """Recall and its bounds."""
    return Interval(one.recall or 0.0, one.recall_low, one.recall_high)


def leaning(results: Results) -> str:
    """Whether confidence lies above or below accuracy on the whole, in words."""
    n = sum(one.n for one in results.bins)
    if not n:
        return "no picture could be read"
    gap = sum(one.n * (one.confidence - one.accuracy.estimate) for one in results.bins if one.n) / n
    if abs(gap) < 0.01:  # noqa: PLR2004  a point: nobody acts on less
        return "confidence and accuracy agree on average"
    return f"confidence is on average {abs(gap) * 100:.0f} points {'above' if gap > 0 else 'below'} accuracy"


def percent(share: float | None) -> str:
    """0.912 -> 91.2 %."""
    return "–" if share is None or share != share else f"{share * 100:.1f}\N{NO-BREAK SPACE}%"  # noqa: PLR0124  nan


def span(interval: Interval) -> str:
    """The bounds in percent: 88.0–93.7."""
    return f"{interval.low * 100:.1f}–{interval.high * 100:.1f}"


def whole(interval: Interval) -> str:
    """The bounds in whole percents: 16–40."""
    return f"{interval.low * 100:.0f}–{interval.high * 100:.0f}"
