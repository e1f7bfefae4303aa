"""When somebody is paused, and why, from what they did on their pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from pictus.stats import wilson


@dataclass(frozen=True)
class Limits:
    """Where the desk draws its lines. A line of 0 is not drawn."""

    accuracy: float = 0.6  # on known answers: the upper end of its 95 % interval must reach this
    golds: int = 20  # so many known answers before it is looked at
    fast_s: float = 0.15  # per item: nobody sees a picture and decides in less
    pages: int = 3  # that "too fast" and "always the same" look back on
    items: int = 40  # on these pages together, at least
    longest_s: float = 600.0  # of a page; what is longer was a pause


class Worked(NamedTuple):
    """One page as it was handed in."""

    items: int
    seconds: float
    only_answer: str  # where all items got the same
    knowns: str  # the known answers on it, each once, with commas


def reason_to_pause(golds: int, rights: int, last: Sequence[Worked], limits: Limits) -> str:
    """Why to pause somebody, in words for them to read; "" for no reason.

    golds, rights: known answers so far, and how many were given right; last: the latest `limits.pages` pages.
    """
    if golds and golds >= limits.golds and (sure := wilson(rights, golds)).high < limits.accuracy:
        return (
            f"{rights} of {golds} pictures whose answer is known were answered right: at most"
            f" {100 * sure.high:.0f} % (95 % interval), and {100 * limits.accuracy:.0f} % are needed"
        )
    if len(last) < limits.pages or sum(page.items for page in last) < limits.items:
        return ""
    pace = median(page.seconds / max(1, page.items) for page in last)
    if limits.fast_s and pace < limits.fast_s:
        return f"the last {len(last)} pages took {1000 * pace:.0f} ms a picture: too fast for anybody to look at them"
    answers = {page.only_answer for page in last}
    knowns = {known for page in last for known in page.knowns.split(",") if known}
    if len(answers) == 1 and "" not in answers and len(knowns) > 1:
        return f"everything on the last {len(last)} pages was answered {answers.pop()!r}, whatever was on the pictures"
    return ""
