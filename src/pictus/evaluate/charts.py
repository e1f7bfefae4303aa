"""Charts as SVG text: bars from zero, intervals drawn, labels in place of legends. Pure; colours are CSS classes.

Numbers only go in as numbers; names are escaped. Shares are in 0..1.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from pictus.evaluate.results import Bin
from pictus.metrics import ConfusionCells
from pictus.stats import Interval

LABELLED = 60
"""Up to so many classes the confusion picture has a name at every row; above, it is one pixel per pair."""

PIXELS = 2_000
"""Side of that picture at most: no screen shows more."""


def interval_bar(share: Interval, mark: float | None = None) -> Markup:
    """A share as a bar with its interval, stretched to its box; `mark` is a tick for a second share."""
    value = 0.0 if np.isnan(share.estimate) else share.estimate
    tick = "" if mark is None else f'<line class="tick" x1="{mark * 100:.2f}" x2="{mark * 100:.2f}" y1="0" y2="12"/>'
    return Markup(  # noqa: S704  numbers only
        '<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="12"/>'
        f'<rect class="fill" width="{value * 100:.2f}" height="12"/>{tick}'
        f'<line class="range" x1="{share.low * 100:.2f}" x2="{share.high * 100:.2f}" y1="6" y2="6"/></svg>'
    )


def reliability(bins: Sequence[Bin]) -> Markup:
    """Accuracy against confidence, with intervals, over a histogram of how often each confidence occurs."""
    side, left, top, floor = 320, 60, 12, 64
    most = max((one.n for one in bins), default=0) or 1

    def x(share: float) -> float:
        return left + share * side

    def y(share: float) -> float:
        return top + (1 - share) * side

    base = top + side + 12 + floor
    size = f"0 0 {left + side + 24} {base + 40}"
    parts = [
        f'<svg class="plot" viewBox="{size}" role="img" aria-label="accuracy by confidence">',
        f'<line class="ideal" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>',
        _text("note", x(0.04), y(0.93), "more often right than it says", "start"),
        _text("note", x(0.96), y(0.05), "surer than it should be", "end"),
        _text("axis", x(0.5), base + 34, "what it says"),
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line class="grid" x1="{x(0)}" x2="{x(1)}" y1="{y(share)}" y2="{y(share)}"/>')
        parts.append(_text("axis", left - 8, y(share) + 4, f"{share * 100:.0f} %", "end"))
        parts.append(_text("axis", x(share), base + 16, f"{share * 100:.0f} %"))
    for one in bins:
        if not one.n:
            continue
        height = floor * one.n / most
        parts.append(
            f'<rect class="count" x="{x(one.low) + 1:.1f}" width="{(one.high - one.low) * side - 2:.1f}"'
            f' y="{base - height:.1f}" height="{height:.1f}"><title>{one.n:,} pictures</title></rect>'
        )
        parts.append(
            f'<line class="range" x1="{x(one.confidence):.1f}" x2="{x(one.confidence):.1f}"'
            f' y1="{y(one.accuracy.low):.1f}" y2="{y(one.accuracy.high):.1f}"/>'
            f'<circle class="dot" cx="{x(one.confidence):.1f}" cy="{y(one.accuracy.estimate):.1f}" r="4">'
            f"<title>says {one.confidence:.0%}, right {one.accuracy.estimate:.0%} of {one.n:,}</title></circle>"
        )
    turned = f'<g transform="rotate(-90 10 {y(0.5)})">{_text("axis", 10, y(0.5), "how often it is right")}</g>'
    return Markup("".join([*parts, turned, "</svg>"]))  # noqa: S704  numbers only


def confusion_map(cells: ConfusionCells, names: Sequence[str], order: Sequence[int]) -> Markup:
    """Rows: what pictures are; columns: what they were taken for; darker = a larger share of the row.

    SVG with names up to LABELLED classes, one pixel per pair above, several pairs to a pixel above PIXELS.
    order: the classes that are shown, with every class of `cells` among them.
    """
    place_K = np.zeros(cells.n_classes, np.int64)
    place_K[np.asarray(order, np.int64)] = np.arange(len(order))
    key_X = place_K[cells.true_X] * len(order) + place_K[cells.predicted_X]
    sorted_X = np.argsort(key_X)
    row_X, column_X = np.divmod(key_X[sorted_X], max(1, len(order)))
    shown = ConfusionCells(row_X, column_X, cells.count_X[sorted_X], len(order))
    return _pixel_map(shown) if len(order) > LABELLED else _labelled_map(shown, [names[label] for label in order])


def _text(kind: str, x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _labelled_map(cells: ConfusionCells, names: Sequence[str]) -> Markup:
    cell = int(np.clip(760 / len(names), 12, 36))
    margin = 12 + round(6.4 * min(max(map(len, names)), 22))
    side = cell * len(names)
    width, height = margin + side + round(margin * 0.6), round(margin * 0.75) + side + 4
    top = height - side - 4
    parts = [
        f'<svg class="map" viewBox="0 0 {width} {height}" style="width:{width}px" role="img" aria-label="confusions">',
        f'<rect class="ground" x="{margin}" y="{top}" width="{side}" height="{side}"/>',
    ]
    for place, name in enumerate(names):
        short = escape(name if len(name) <= 22 else name[:21] + "…")  # noqa: PLR2004  the margin's width
        middle = place * cell + cell / 2
        parts.append(f'<text x="{margin - 6}" y="{top + middle + 3.5:.1f}" text-anchor="end">{short}</text>')
        x, y = margin + middle + 3, top - 6
        parts.append(f'<text x="{x:.1f}" y="{y}" transform="rotate(-50 {x:.1f} {y})">{short}</text>')
    total_R = np.bincount(cells.true_X, weights=cells.count_X, minlength=len(names))
    for row, column, count in zip(*(values.tolist() for values in cells[:3]), strict=True):
        kind = "hit" if row == column else "miss"
        what = f"{names[row]}: {count:,} of {total_R[row]:,.0f} "
        what += "found" if row == column else f"taken for {names[column]}"
        parts.append(
            f'<rect class="{kind}" x="{margin + column * cell}" y="{top + row * cell}" width="{cell - 1}"'
            f' height="{cell - 1}" opacity="{_ink(count / total_R[row]):.2f}"><title>{escape(what)}</title></rect>'
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704  names are escaped above


def _pixel_map(cells: ConfusionCells) -> Markup:
    """Two masks, so that the colours stay the page's: what was found, and what was mistaken. Of several pairs in
    one pixel the largest share shows.
    """
    side = min(cells.n_classes, PIXELS)
    total_R = np.bincount(cells.true_X, weights=cells.count_X, minlength=cells.n_classes)
    ink_X = _ink(cells.count_X / total_R[cells.true_X])
    at_X = tuple(values * side // cells.n_classes for values in cells[:2])
    is_hit_X = cells.true_X == cells.predicted_X
    layers = []
    for kind, is_in_X in (("hit", is_hit_X), ("miss", ~is_hit_X)):
        alpha_SS = np.zeros((side, side))
        np.maximum.at(alpha_SS, (at_X[0][is_in_X], at_X[1][is_in_X]), ink_X[is_in_X])
        address = _alpha_png(alpha_SS)
        layers.append(f'<i class="{kind}" style="-webkit-mask-image:url({address});mask-image:url({address})"></i>')
    return Markup(f'<div class="pixels" role="img" aria-label="confusions">{"".join(layers)}</div>')  # noqa: S704


def _ink(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square root: one mistake in a hundred is still seen. Zero stays zero."""
    inked: NDArray[np.float64] = np.where(share > 0, 0.08 + 0.92 * np.sqrt(share), 0)
    return inked


def _alpha_png(alpha_KK: NDArray[np.float64]) -> str:
    from PIL import Image  # noqa: PLC0415

    levels = (alpha_KK * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([np.zeros_like(levels), levels]), "LA").save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
