"""Every sign of not looking that `trust` and `rings` find in the answers of one crowd. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pictus.annotate.truth.consensus import Consensus, Ints, Votes
from pictus.annotate.truth.rings import rings
from pictus.annotate.truth.trust import Pages, Sign, alternating, by_place, constant, copied, low_share, quick


class Work(NamedTuple):
    """What is known of people besides their votes. Shares: how many of how many."""

    known: dict[str, tuple[int, int]]
    repeats: dict[str, tuple[int, int]]
    pace_s: dict[str, float]
    pages: dict[str, int]


class Answered(NamedTuple):
    """The votes on one kind of question with what was settled. `words`: what the answers are called."""

    votes: Votes
    consensus: Consensus
    words: Sequence[str]


def signs_of(
    names: Sequence[str], pages: Pages, kinds: Sequence[Answered], work: Work, link_W: Ints
) -> list[Sign]:
    """All of them, in no order. names: of the W annotators; link_W: i64[W], as `rings` takes it.

    Who has a sign that makes answers alike is not compared with others.
    """
    asked = [one for one in kinds if one.votes.n_items]
    found = [*by_place(pages, names), *alternating(pages, names)]
    for one in asked:
        found += constant(one.votes, one.consensus, names, one.words)
    aside = [sign.annotator for sign in found]
    for one in asked:
        found += copied(one.votes, one.consensus, names, aside=aside)
        found += rings(one.votes, names, link_W, aside=aside)
    found += quick(work.pace_s, work.pages)
    found += low_share(work.known, "known")
    found += low_share(work.repeats, "unlike")
    return found
