"""When somebody is paused, and why, from what they did on their pages. Pure.

Known answers are judged by a sequential test (Wald 1945, "Sequential tests of statistical hypotheses", Annals of
Mathematical Statistics 16, §3), which may be looked at after every page. With `accuracy` p and `guessing` g, r right
and w wrong answers make a pause where

    r log(g / p) + w log((1 - g) / (1 - p))  >=  log(chance)

Under p or better this ratio of likelihoods is a supermartingale: whoever is right so often is ever paused with
probability at most 1 / chance, however often one looks (Ville 1939). That is exact for a first hundred known answers;
from then on the latest hundred are looked at, so that a good beginning excuses nobody, and what this adds is
counted in `benchmarks/pauses.py`.

"Unsure" says nothing of skill and is left out, as long as there are no more than twice as many as there are other
answers: those beyond count as wrong, else who never answers would never be judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

UNSURES = 2
"""So many "unsure" for each other answer to a known picture are left out."""


@dataclass(frozen=True)
class Limits:
    """Where the desk draws its lines. A line of 0 is not drawn."""

    accuracy: float = 0.75  # on known answers: who is right so often or more is paused by chance alone
    guessing: float = 0.5  # who is right so often should be paused soon
    chance: float = 500.0  # one in so many
    latest: int = 100  # known answers that are looked at; whole pages, the latest first
    fast_s: float = 0.15  # per item: nobody sees a picture and decides in less
    pages: int = 3  # that "too fast" and "always the same" look back on
    items: int = 40  # on these pages together, at least
    longest_s: float = 600.0  # of a page; what is longer was a pause


class Worked(NamedTuple):
    """One page: as it was handed in last, but its known answers as they were given first."""

    items: int
    seconds: float
    only_answer: str  # where all items got the same
    knowns: str  # the known answers on it, each once, with commas
    golds: int = 0  # known answers, without those answered "unsure"
    rights: int = 0
    unsures: int = 0


class Known(NamedTuple):
    """The latest known answers of somebody, summed."""

    golds: int
    rights: int
    unsures: int

    @property
    def wrongs(self) -> int:
        """With those "unsure" that are too many."""
        return self.golds - self.rights + max(0, self.unsures - UNSURES * self.golds)


def latest_known(pages: Sequence[Worked], most: int) -> Known:
    """Sums over the latest pages until `most` known answers are there. pages: the latest first."""
    found = Known(0, 0, 0)
    for page in pages:
        if found.golds + found.unsures >= most:
            break
        found = Known(found.golds + page.golds, found.rights + page.rights, found.unsures + page.unsures)
    return found


def is_guessing(known: Known, limits: Limits) -> bool:
    """Whether Wald's test says so."""
    if not limits.accuracy:
        return False
    right, wrong = limits.guessing / limits.accuracy, (1 - limits.guessing) / (1 - limits.accuracy)
    return known.rights * math.log(right) + known.wrongs * math.log(wrong) >= math.log(limits.chance)


def reason_to_pause(pages: Sequence[Worked], limits: Limits) -> str:
    """Why to pause somebody, in words for them to read; "" for no reason. pages: the latest first."""
    known = latest_known(pages, limits.latest)
    if is_guessing(known, limits):
        unsure = f" ({known.unsures} were left unsure)" if known.unsures else ""
        return (
            f"{known.rights} of {known.golds + known.unsures} pictures whose answer is known were answered right"
            f"{unsure}: of people who are right on {100 * limits.accuracy:.0f} %, one in {limits.chance:.0f} comes to"
            " this by chance"
        )
    last = pages[: limits.pages]
    if not last or len(last) < limits.pages or sum(page.items for page in last) < limits.items:
        return ""
    pace = median(page.seconds / max(1, page.items) for page in last)
    if limits.fast_s and pace < limits.fast_s:
        return f"the last {len(last)} pages took {1000 * pace:.0f} ms a picture: too fast for anybody to look at them"
    answers = {page.only_answer for page in last}
    knowns = {known for page in last for known in page.knowns.split(",") if known}
    if len(answers) == 1 and "" not in answers and len(knowns) > 1:
        return f"everything on the last {len(last)} pages was answered {answers.pop()!r}, whatever was on the pictures"
    return ""
