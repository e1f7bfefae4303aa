"""Runs side by side as one HTML page that needs nothing else: their curves on each other, and the table. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pictus.errors import counted
from pictus.train.kept.logbook import Epoch
from pictus.train.watching.comparison import ComparedRun
from pictus.train.watching.watch import in_words

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito 2008: told apart by people who see colours otherwise; from the seventh run on lines are dashed."""

WIDTH, TALL, LEFT, APART = 460, 220, 44, 15
DASHES = ("", "6 3", "2 3")
LONGEST = 20
"""Signs of a name beside its line; the table has it whole."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--quiet:#6b6b6b;--paper:#fff;--line:#e2e2de}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--quiet:#a0a0a0;--paper:#151515;--line:#303030}}
body{font:14px/1.4 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1200px;margin:24px auto;
padding:0 16px}h1{font-size:18px}.scroll{overflow-x:auto}table{border-collapse:collapse}td,th{text-align:left;
padding:4px 20px 4px 0;white-space:nowrap;vertical-align:top}th,.quiet,figcaption{color:var(--quiet);font-weight:400}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.set{white-space:normal;min-width:200px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:16px 24px;margin:16px 0}
figure{margin:0}svg{width:100%;height:auto;display:block}svg text{fill:var(--quiet);font:11px system-ui,sans-serif}
svg .grid{stroke:var(--line)}svg polyline{fill:none;stroke-width:2;stroke-linejoin:round}
i{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:8px}
"""


def page(rows: Sequence[ComparedRun], curves: Sequence[Sequence[Epoch]], command: str) -> str:
    """Curves [R] of epochs beside the rows [R]."""
    title = f"{counted(len(rows), 'run')} compared"
    names = [row.run for row in rows]
    drawn = (
        ("Top-1 on validation, by epoch", [[(one.epoch, one.val_top1) for one in curve] for curve in curves], True),
        ("Loss on validation, by epoch", [[(one.epoch, one.val_loss) for one in curve] for curve in curves], False),
        ("Loss in training, by epoch", [[(one.epoch, one.train_loss) for one in curve] for curve in curves], False),
    )
    charts = "".join(
        f"<figure><figcaption>{caption}</figcaption>{_chart(names, lines, caption, is_share=is_share)}</figure>"
        for caption, lines, is_share in drawn
    )
    return (
        '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f"<div class=scroll>{_table(rows)}</div><div class=charts>{charts}</div>"
        f"<p class=quiet>Beside each share its 95 % interval (Wilson). The same: {escape(command)}</p></html>\n"
    )


def share(value: float | None, low: float | None, high: float | None) -> str:
    """`73.1% (70.0 to 76.1)`."""
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def _table(rows: Sequence[ComparedRun]) -> str:
    heads = ("run", "set otherwise", "top-1, validation", "top-1, test", "epochs", "time", "weights", "pictures/s")
    head = "".join(f"<th{' class=n' if at > 1 else ''}>{one}" for at, one in enumerate(heads))
    lines = "".join(
        f'<tr><td><i style="background:{_colour(at)}"></i>{escape(row.run)}'
        f"{'' if row.status == 'finished' else ' <span class=quiet>unfinished</span>'}"
        f"<td class=set>{escape(row.settings) or '–'}"
        f"<td class=n>{share(row.val_top1, row.val_low, row.val_high)}"
        f"<td class=n>{share(row.test_top1, row.test_low, row.test_high)}"
        f"<td class=n>{row.epochs:,}<td class=n>{'–' if row.seconds is None else in_words(row.seconds)}"
        f"<td class=n>{'–' if row.parameters is None else f'{row.parameters:,}'}"
        f"<td class=n>{'–' if row.pictures_per_s is None else f'{row.pictures_per_s:,.0f}'}"
        for at, row in enumerate(rows)
    )
    return f"<table><tr>{head}{lines}</table>"


def _chart(names: Sequence[str], lines: Sequence[Sequence[tuple[float, float]]], words: str, *, is_share: bool) -> str:
    finite = [[(x, y) for x, y in line if math.isfinite(y)] for line in lines]
    end = max((line[-1][0] for line in finite if line), default=0)
    if not end:
        return "<p class=quiet>No epoch has ended yet.</p>"
    top = 1.0 if is_share else max(y for line in finite for _, y in line) or 1.0
    shown = [one if len(one) <= LONGEST else f"{one[:9]}…{one[-10:]}" for one in names]
    room = WIDTH - LEFT - 7 * max(map(len, shown)) - 72

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + room * (x - 1) / max(1, end - 1), TALL * (1 - min(max(y / top, 0), 1))

    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + room}" y1="{TALL * (1 - part):.1f}" y2="{TALL * (1 - part):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{TALL * (1 - part) + 4:.1f}" text-anchor="end">'
        f"{f'{part:.0%}' if is_share else f'{top * part:.3g}'}</text>"
        for part in (0, 0.5, 1)
    ]
    parts.append(f'<text x="{LEFT}" y="{TALL + 18}">epoch 1</text>')
    parts.append(f'<text x="{LEFT + room}" y="{TALL + 18}" text-anchor="end">epoch {end}</text>')
    free = -math.inf
    order = sorted((at for at in range(len(finite)) if finite[at]), key=lambda at: -finite[at][-1][1])
    for at in order:
        points = [place(x, y) for x, y in finite[at]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = DASHES[at // len(COLOURS) % len(DASHES)]
        parts.append(
            f'<polyline stroke="{_colour(at)}" stroke-dasharray="{dash or "none"}" points="{path}"/>'
            f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" fill="{_colour(at)}"/>'
        )
        free = max(points[-1][1] + 4, free + APART)
        last = finite[at][-1][1]
        parts.append(
            f'<circle cx="{LEFT + room + 14}" cy="{free - 4:.1f}" r="4" fill="{_colour(at)}"/>'
            f'<text x="{LEFT + room + 22}" y="{free:.1f}">{escape(shown[at])}'
            f" {f'{last:.1%}' if is_share else f'{last:.3g}'}</text>"
        )
    box = f"0 -8 {WIDTH} {max(TALL + 32, free + 16):.0f}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(words)}">{"".join(parts)}</svg>'


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
