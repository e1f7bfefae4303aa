"""Pages that a step leaves beside its result, and the charts on them and on the pages of `pictus web`. Pure.

A page needs nothing else: no script, no file, no network. Charts are SVG without colours of their own: each line has a
CSS class, here and in the web's style sheet (`val`, `train`, `more`; `one` to `six` for lines of equal rank).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, TALL, LEFT, RIGHT, APART = 320, 120, 48, 128, 13
MOST_POINTS = 200
"""Of one line: more would lie on one pixel."""

RANKS = ("one", "two", "three", "four", "five", "six")
"""Okabe & Ito 2008: colours told apart by people who see colours otherwise."""

TICKS, MOST_TICKS = 3, 5
_SIGN, _FIGURE = 7, 7
"""Width of a sign, signs of a value."""

_WIDEST = 8
"""Width of a sign in a narrow window, where words are larger: room for those before a chart is by this one."""

_STYLE = """
:root{color-scheme:light dark;--paper:#fcfcfa;--ink:#1c1d1f;--quiet:#6b6e73;--line:#e4e4df;--panel:#f3f3ef;
--accent:#0b63c5}
@media(prefers-color-scheme:dark){:root{--paper:#141517;--ink:#e9e9e6;--quiet:#9a9da3;--line:#2b2d31;--panel:#1d1f22;
--accent:#6fb0ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:24px 20px 40px;background:var(--paper);color:var(--ink)}
body{overflow-wrap:anywhere;font:14px/1.5 system-ui,-apple-system,Roboto,sans-serif;-webkit-text-size-adjust:100%}
h1{font-size:20px;line-height:1.3;font-weight:600;margin:0 0 12px}
h2{font-size:13px;font-weight:600;margin:24px 0 4px;color:var(--quiet)}
p{margin:0 0 12px;max-width:76ch}.quiet,figcaption,footer{color:var(--quiet);font-size:12px}footer{margin-top:24px}
code{font:12.5px/1.5 ui-monospace,Menlo,Consolas,monospace;background:var(--panel);padding:1px 5px;border-radius:3px}
table{border-collapse:collapse;margin:16px 0;font-variant-numeric:tabular-nums}
td,th{text-align:left;vertical-align:top;padding:3px 24px 3px 0}th{font-weight:400;color:var(--quiet)}
td.n,th.n{text-align:right}td.n,th{white-space:nowrap}td:first-child:not(.n){min-width:12em}
i{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:8px;background:currentColor}
figure{margin:0;min-width:0}figcaption{padding:4px 0}
.wall{display:grid;grid-template-columns:repeat(auto-fill,minmax(128px,1fr));gap:8px;margin:12px 0}
.wall img{width:100%;aspect-ratio:1;object-fit:cover;display:block;background:var(--panel)}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,392px),1fr));gap:16px 24px;margin:16px 0}
.curve{width:100%;max-width:560px;height:auto;display:block}.curve text{font-size:11px;fill:var(--quiet)}
.curve .grid{stroke:var(--line)}.curve .cut{stroke:var(--quiet);stroke-dasharray:2 3}
.curve polyline{fill:none;stroke-width:2;stroke-linejoin:round}
.val{stroke:var(--accent);color:var(--accent)}.curve text.val{fill:var(--accent)}
.one{stroke:#0072b2;color:#0072b2}.two{stroke:#d55e00;color:#d55e00}.three{stroke:#009e73;color:#009e73}
.four{stroke:#cc79a7;color:#cc79a7}.five{stroke:#e69f00;color:#e69f00}.six{stroke:#56b4e9;color:#56b4e9}
.curve circle{fill:currentColor;stroke:none}.curve text{stroke:none}
.dashed{stroke-dasharray:6 3}.dotted{stroke-dasharray:2 3}
@media(max-width:640px){.curve text{font-size:13px}thead{display:none}table,tbody{display:block}
tr{display:block;border-top:1px solid var(--line);padding:8px 0}
td,td.n,td:first-child:not(.n){min-width:0;display:flex;justify-content:space-between;gap:16px;padding:1px 0;
text-align:right;white-space:normal}
td::before{content:attr(data-head);color:var(--quiet);flex:none;max-width:50%;text-align:left}}
"""
"""Below 640 px the rows of a table are cards, so that no page is wider than its window."""

Points = Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """One side of a chart. With `is_log` equal factors take equal room; `ticks`: (value, words), the grid's."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    is_log: bool = False
    is_share: bool = False


class Line(NamedTuple):
    """One curve: its name ("" is not told), its CSS class and its points, x growing; `unit` of what it ends at.
    `ranges`: the interval (low, high) of each point. Dots are points that are not joined.
    """

    name: str
    kind: str
    points: Points
    unit: str = ""
    ranges: Points = ()
    is_dots: bool = False


def page(title: str, body: Markup, command: str = "") -> str:
    """A whole page. `command`: what to type for the same."""
    foot = Markup("<footer>Same from the shell <code>{}</code></footer>").format(command) if command else Markup()
    head = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,'
        'initial-scale=1"><title>{}</title><style>{}</style></head><body><main><h1>{}</h1>'
    ).format(title, Markup(_STYLE), title)  # noqa: S704  our own words
    return f"{head}{body}{foot}</main></body></html>\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> Markup:
    """`numbers`: the columns that are. A narrow window shows each row as a card, with the heads beside the values."""
    kinds = [Markup(' class="n"') if at in numbers else "" for at in range(len(heads))]
    head = Markup().join(Markup("<th{}>{}</th>").format(kind, one) for kind, one in zip(kinds, heads, strict=True))
    lines = Markup().join(
        Markup("<tr>{}</tr>").format(Markup().join(
            Markup('<td{} data-head="{}"><span>{}</span></td>').format(*cell)
            for cell in zip(kinds, heads, row, strict=True)
        ))
        for row in rows
    )  # fmt: skip
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, lines)


def wall(pictures: Sequence[tuple[bytes, str]]) -> Markup:
    """JPEG bytes with their captions."""
    shown = Markup().join(
        Markup('<figure><img alt="{1}" src="data:image/jpeg;base64,{0}"><figcaption>{1}</figcaption></figure>').format(
            base64.b64encode(jpeg).decode(), caption
        )
        for jpeg, caption in pictures
    )
    return Markup('<div class="wall">{}</div>').format(shown)


def figures(drawn: Sequence[tuple[str, Markup]]) -> Markup:
    """Captions and what is drawn, side by side where there is room."""
    shown = Markup().join(Markup("<figure><figcaption>{}</figcaption>{}</figure>").format(*one) for one in drawn)
    return Markup('<div class="curves">{}</div>').format(shown)


def upward(values: Sequence[float], *, is_share: bool = False) -> Axis:
    """From 0, or a round number below what is less, to a round number above all, or to 100 %."""
    known = [0.0, *(value for value in values if math.isfinite(value))]
    low = -nice(-min(known)) if min(known) < 0 else 0.0
    top = 1.0 if is_share else nice(max(known))
    ticks = [low + (top - low) * part / (TICKS - 1) for part in range(TICKS)]
    return Axis(low, top, tuple((one, f"{one:.0%}" if is_share else short(one)) for one in ticks), is_share=is_share)


def around(values: Sequence[float], *, is_log: bool = False, is_share: bool = False) -> Axis:
    """From the least to the greatest; where equal factors take equal room, each power of ten is a tick."""
    known = [value for value in values if math.isfinite(value) and (value > 0 or not is_log)] or [1.0]
    low, high = min(known), max(known)
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1) if is_log else range(0)
    found = [10.0**power for power in powers][:: max(1, -(-len(powers) // MOST_TICKS))]
    found = found if len(found) > 1 else list(dict.fromkeys((low, high)))
    return Axis(low, high, tuple((one, f"{one:.1%}" if is_share else short(one)) for one in found), is_log, is_share)


def from_start(end: float, foot: tuple[str, str]) -> Axis:
    """From 0 to `end`, with words under both."""
    return Axis(0.0, max(end, 1e-9), ((0.0, foot[0]), (max(end, 1e-9), foot[1])))


def curves(
    found: Sequence[Line], *, end: float, foot: tuple[str, str], words: str, is_share: bool = False
) -> Markup:
    """Several over 0..`end`, on an axis `upward`. `foot`: words under both ends; `words`: what it shows."""
    thin = [line._replace(points=thinned(line.points)) for line in found]
    values = [value for line in thin for _, value in line.points]
    return chart(thin, from_start(end, foot), upward(values, is_share=is_share), words)


def chart(found: Sequence[Line], x: Axis, y: Axis, words: str, cuts: Sequence[tuple[float, str]] = ()) -> Markup:
    """Curves, each named where it ends; `words`: what it shows; `cuts`: places across, with what they are. Nothing of
    no points.
    """
    drawn = [line for line in map(_known, found) if line.points]
    if not drawn:
        return Markup()
    longest = max(len(line.name) for line in drawn)
    room = max(RIGHT, _SIGN * (longest + _FIGURE) + 20) if longest else LEFT
    parts = [_row(y, *tick) for tick in y.ticks] + [_foot(x, at) for at in range(len(x.ticks))]
    for value, said in cuts:
        at = _across(x, value)
        parts.append(
            f'<line class="cut" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{TALL}"/>'
            f'<text x="{at + 4:.1f}" y="10">{escape(said)}</text>'
        )
    for line in drawn:
        parts += _curve(line, x, y)
    free = -math.inf
    for line in sorted(drawn, key=lambda line: -line.points[-1][1]):
        if not line.name:
            continue
        last = line.points[-1][1]
        free = max(_down(y, last) + 4, free + APART)
        told = f"{last:.1%}" if y.is_share else f"{short(last)}{line.unit}"
        is_rank = line.kind.partition(" ")[0] in RANKS  # whose colours are too pale for words
        if is_rank:
            parts.append(f'<circle class="{line.kind}" cx="{LEFT + WIDTH + 12}" cy="{free - 4:.1f}" r="3"/>')
        at = LEFT + WIDTH + (20 if is_rank else 8)
        parts.append(f'<text class="{line.kind}" x="{at}" y="{free:.1f}">{escape(line.name)} {told}</text>')
    over = max(0, _WIDEST * max((len(said) for _, said in y.ticks), default=0) + 6 - LEFT)
    box = f"{-over} -8 {over + LEFT + WIDTH + room} {max(TALL + 32, free + 16):.0f}"
    svg = f'<svg class="chart curve" viewBox="{box}" role="img" aria-label="{escape(words)}">{"".join(parts)}</svg>'
    return Markup(svg)  # noqa: S704  numbers, and words that are escaped


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most MOST_POINTS means of neighbours, the last one as it is; what is not a number is left out."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= MOST_POINTS:
        return finite
    size = math.ceil(len(finite) / MOST_POINTS)
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [*((group[-1][0], sum(y for _, y in group) / len(group)) for group in groups[:-1]), finite[-1]]


def nice(most: float) -> float:
    """The end of an axis: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten, not below `most`."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next((step * power for step in steps if step * power >= most * (1 - 1e-9)), most)  # 1e-320 has few digits


def short(number: float) -> str:
    """`1,234`, `1.23`, `0.0012`."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004  three digits


def _known(line: Line) -> Line:
    """What is a number of it; as few points as can be told apart where no point has an interval of its own."""
    if not line.ranges:
        return line._replace(points=thinned(line.points))
    kept = [one for one in zip(line.points, line.ranges, strict=True) if all(map(math.isfinite, (*one[0], *one[1])))]
    return line._replace(points=[point for point, _ in kept], ranges=[interval for _, interval in kept])


def _curve(line: Line, x: Axis, y: Axis) -> list[str]:
    places = [(_across(x, one), _down(y, value)) for one, value in line.points]
    ranges = [
        f'<line class="{line.kind}" x1="{place[0]:.1f}" x2="{place[0]:.1f}" y1="{_down(y, low):.1f}"'
        f' y2="{_down(y, high):.1f}"/>'
        for place, (low, high) in zip(places, line.ranges, strict=False)
    ]
    if len(places) > 1 and not line.is_dots:
        path = " ".join(f"{one:.1f},{down:.1f}" for one, down in places)
        ranges.append(f'<polyline class="{line.kind}" points="{path}"/>')
        if not line.ranges:
            return ranges
    return ranges + [f'<circle class="{line.kind}" cx="{one:.1f}" cy="{down:.1f}" r="3"/>' for one, down in places]


def _row(y: Axis, value: float, words: str) -> str:
    down = _down(y, value)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{down:.1f}" y2="{down:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{down + 3:.1f}" text-anchor="end">{escape(words)}</text>'
    )


def _foot(x: Axis, at: int) -> str:
    """Words below; those at the ends stay within."""
    across = _across(x, x.ticks[at][0])
    anchor = {LEFT: "start", LEFT + WIDTH: "end"}.get(round(across), "middle")
    return f'<text x="{across:.1f}" y="{TALL + 18}" text-anchor="{anchor}">{escape(x.ticks[at][1])}</text>'


def _across(x: Axis, value: float) -> float:
    return LEFT + WIDTH * _share(x, value)


def _down(y: Axis, value: float) -> float:
    return TALL * (1 - _share(y, value))


def _share(axis: Axis, value: float) -> float:
    """Where a value lies between the ends of its axis, 0..1."""
    low, high, here = axis.low, axis.high, value
    if axis.is_log:
        low, high, here = math.log(low), math.log(high), math.log(max(value, axis.low))
    return 0.5 if high == low else min(1.0, max(0.0, (here - low) / (high - low)))
