"""Questions that people of one link alone would decide, while people of other links were at work. Pure.

By a link that lets several in somebody may come under many names, and then agree with themselves. So what decides a
yes/no question must come from two such links, or from somebody who came otherwise, where there was anybody else to ask:
at least `LEAST_OTHERS` of the people who worked in the week before its latest answer. Known answers are beyond
doubt and are left alone; so is what a file, a folder or somebody at a kiosk says.

Legend: U questions, V votes, W annotators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.desk.session_steps import LEAST_OTHERS
from pictus.annotate.truth.annotators import NO, YES
from pictus.annotate.truth.consensus import Consensus, Ints, probability_of
from pictus.annotate.truth.questions import Ballots, YesNo

DAYS = 7
"""Who worked so many days before an answer, or on its day, was at work."""


class Held(NamedTuple):
    """Questions that stay undecided. `links`: how many of them each link would have decided alone."""

    is_held_U: NDArray[np.bool_]
    links: Mapping[str, int]


def link_numbers(ballots: Ballots, link_of: Mapping[str, str]) -> tuple[Ints, list[str]]:
    """The number of each annotator's link, -1 for who came by none that lets several in: i64[W]; and the links."""
    links = sorted(set(link_of.values()))
    number = {link: place for place, link in enumerate(links)}
    of = [number[link_of[name]] if name in link_of else -1 for name in ballots.annotators]
    return np.array(of, np.int64), links


def alone(asked: YesNo, said: Consensus, link_W: Ints) -> Ints:
    """The link by which all came who say what is more probable of a question; -1 for several, or none. i64[U]"""
    votes = asked.votes
    side_U = np.where(probability_of(said, YES) >= probability_of(said, NO), YES, NO)
    decides_V = votes.answer_V == side_U[votes.item_V]
    item_V, link_V = votes.item_V[decides_V], link_W[votes.annotator_V[decides_V]]
    many = int(link_W.max(initial=-1)) + 1
    low_U, high_U = np.full(votes.n_items, many), np.full(votes.n_items, -1)
    np.minimum.at(low_U, item_V, link_V)
    np.maximum.at(high_U, item_V, link_V)
    return np.where((low_U == high_U) & (votes.known_I < 0), high_U, -1)


class Shifts:
    """On which days the people of each link worked."""

    def __init__(self, worked: Iterable[tuple[str, str]], link_of: Mapping[str, str]) -> None:
        """worked: the name and the day (YYYY-MM-DD) of every page."""
        self._link_of = link_of
        self._names: dict[int, set[str]] = {}
        self._known: dict[tuple[str, str], bool] = {}
        for name, day in worked:
            if name in link_of:
                self._names.setdefault(date.fromisoformat(day).toordinal(), set()).add(name)

    def had_others(self, link: str, day: str) -> bool:
        """Whether enough people of other links than this were at work by that day."""
        if (link, day) not in self._known:
            last = date.fromisoformat(day).toordinal()
            names = set().union(*(self._names.get(one, ()) for one in range(last - DAYS, last + 1)))
            there = Counter(self._link_of[name] for name in names)
            others = there.total() - there[link]
            self._known[link, day] = others > 0 and others >= LEAST_OTHERS * there.total()
        return self._known[link, day]
