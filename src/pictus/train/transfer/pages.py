"""The report of few-shot learning as an HTML page. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pictus.reports import Axis, Line, chart, page, table, upward
from pictus.train.transfer.probing import FewShotRow

HEADS = ("of each class", "top-1", "95 % interval", "draws")
WILD = 0.5
"""An interval wider than half of all shares says nothing: more draws are needed."""


def few_shot(network: str, version: str, rows: Sequence[FewShotRow]) -> str:
    """The curve with its intervals, and the table."""
    shots = [row.shots for row in rows]
    x = Axis(shots[0], shots[-1], tuple((one, f"{one:,}") for one in shots), is_log=True)
    line = Line(
        "top-1", "val", [(row.shots, row.top1) for row in rows], ranges=[(row.low, row.high) for row in rows]
    )
    told = [
        (f"{row.shots:,}", f"{row.top1:.1%}", f"{row.low:.1%} to {row.high:.1%}", f"{row.draws:,}") for row in rows
    ]
    note = f"Linear probes on kept features; top-1 on {rows[0].split}, mean and 95 % interval over the draws."
    if any(row.high - row.low > WILD for row in rows):
        note += " So wide an interval tells next to nothing: draw more often (--draws)."
    drawn = chart([line], x, upward([], is_share=True), "top-1 by training pictures of each class")
    body = Markup("{}{}<p class=quiet>{}</p>").format(drawn, table(HEADS, told, range(len(HEADS))), note)
    return page(f"{network} on release {version}: few pictures of each class", body, "pictus train few-shot")
