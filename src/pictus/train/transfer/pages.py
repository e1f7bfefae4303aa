"""Reports of this room as HTML pages that need nothing else. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from pictus.train.transfer.probing import FewShotRow

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--quiet:#6b6b6b;--paper:#fff;--accent:#0b62d6}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--quiet:#a0a0a0;--paper:#151515;--accent:#6aa9ff}}
body{font:14px/1.4 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:960px;margin:24px auto;
padding:0 16px}h1{font-size:18px}table{border-collapse:collapse}td,th{text-align:left;padding:4px 16px 4px 0}
td.n{text-align:right;font-variant-numeric:tabular-nums}.quiet,figcaption{color:var(--quiet);font-size:12px}
.wall{display:flex;flex-wrap:wrap;gap:8px}figure{margin:0;width:128px}img{width:128px;height:128px;object-fit:cover}
svg{max-width:100%;height:auto}
svg text{fill:currentColor;font:12px system-ui,sans-serif}svg .line{stroke:var(--accent);fill:none;stroke-width:2}
svg .dot{fill:var(--accent)}svg .axis{stroke:var(--quiet)}
"""


def few_shot(network: str, version: str, rows: Sequence[FewShotRow]) -> str:
    """The curve with its intervals, and the table."""
    title = f"{network} on release {version}: few pictures of each class"
    lines = "".join(
        f"<tr><td class=n>{row.shots}<td class=n>{row.top1:.1%}<td class=n>{row.low:.1%} to {row.high:.1%}"
        f"<td class=n>{row.draws}</tr>"
        for row in rows
    )
    note = (
        f"Linear probes on kept features; top-1 on {rows[0].split}, mean and 95 % interval over the draws of training"
        " pictures. Command: pictus train few-shot"
    )
    body = (
        f"{_curve(rows)}<table><tr><th>of each class<th>top-1<th>95 % interval<th>draws</tr>{lines}</table>"
        f"<p class=quiet>{note}</p>"
    )
    return page(title, body)


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML already."""
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>\n"
    )


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{escape(one)}" for one in heads)
    rows = "".join("<tr>" + "".join(f"<td>{escape(one)}" for one in line) for line in lines)
    return f"<table><tr>{head}{rows}</table>"


def wall(pictures: Sequence[tuple[bytes, str]]) -> str:
    """JPEG bytes with their captions."""
    shown = "".join(
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for jpeg, caption in pictures
    )
    return f"<div class=wall>{shown}</div>"


def _curve(rows: Sequence[FewShotRow]) -> str:
    width, height, left = 480, 240, 48
    step = (width - 2 * left) / max(1, len(rows) - 1)
    places = [left + step * at for at in range(len(rows))]

    def y(share: float) -> float:
        return 16 + (height - 48) * (1 - share)

    path = " ".join(f"{x:.1f},{y(row.top1):.1f}" for x, row in zip(places, rows, strict=True))
    marks = "".join(
        f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{y(row.low):.1f}" y2="{y(row.high):.1f}"/>'
        f'<circle class="dot" cx="{x:.1f}" cy="{y(row.top1):.1f}" r="4"/>'
        f'<text x="{x + 8:.1f}" y="{y(row.top1) - 6:.1f}">{row.top1:.0%}</text>'
        f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{row.shots}</text>'
        for x, row in zip(places, rows, strict=True)
    )
    axis = f'<line class="axis" x1="{left}" x2="{width - left}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="top-1 by pictures of each class">'
        f'{axis}<polyline class="line" points="{path}"/>{marks}</svg>'
    )
