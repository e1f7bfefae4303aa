"""ImageNet's dynamic consensus: how often to ask is learned for each concept from a seed subset.

Deng et al. (2009), "ImageNet: a large-scale hierarchical image database", section 3.2: for each synset a random
subset of the pictures is given to at least 10 people each; from it comes a table of confidence, the probability that
a picture is good given its votes so far; every other picture is asked until the table passes a set threshold. Cats
need few votes, Burmese cats more.

The paper leaves open, and here it is so:

    size of the subset   a twentieth of the concept's pictures, at least 4 and at most `Stops.seed_size`; those whose
                         hash is smallest, so that every server draws the same ones in whatever order they come
    truth on the subset  the majority of the 10 votes or more; a tie counts half
    a cell of the table  N(good, y, n) / N(y, n), where a picture with Y yes and N no votes counts in cell (y, n)
                         with the chance to have been there on the way, C(Y, y) C(N, n) / C(Y + N, y + n): the mean
                         over all orders of its votes
    few pictures         a cell begins with 4 pictures of all concepts' table, and that one with 4 of the table of an
                         annotator who is right 4 times in 5: sigmoid((y - n) ln 4). This is what holds until there is
                         a subset
    "no"                 is symmetric: rejected where the table falls to 1 - threshold
    the subset itself    is decided by the second formula, which 6 : 4 does not pass and 7 : 3 does
    never sure           undecided after `Stops.most` votes

    >>> rule = Dynamic(Stops())
    >>> [rule.add(Cast(7, "owl", name, "yes", "")).state for name in ("ada", "bob", "cyd")]
    ['open', 'open', 'open']
"""

from __future__ import annotations

import math
from array import array
from bisect import insort
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.stops.ballots import NO, NOWHERE, YES, Ballots, Count
from pictus.annotate.stops.stopping import RULES, Cast, Decision, Stops, known_decision
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED, UNDECIDED

SEED_VOTES = 10
"""Votes on each picture of the subset: "at least 10", section 3.2."""

SEED_SHARE = 20
SEED_LEAST = 4
"""One picture in so many is in the subset, and at least so many are."""

STRENGTH = 4.0
"""Pictures that a table begins with from the wider one."""

RIGHT = 0.8
"""How often an annotator is right before anything is known of a crowd: `consensus.PERSON`."""


class Cell(NamedTuple):
    """What the table says of pictures with so many votes."""

    yes: int
    no: int
    good: float  # P(good picture | these votes)
    pictures: float  # of this concept's subset it rests on (fractions: the chance to have been in this cell)


class _Table:
    """Two square arrays, good and all pictures, by yes and no votes."""

    __slots__ = ("every", "good")

    def __init__(self, side: int) -> None:
        self.good = np.zeros((side, side))
        self.every = np.zeros((side, side))

    def add(self, count: Count, side: int, sign: int) -> None:
        reached = _reached(count.yes, count.no, side)
        self.every += sign * reached
        self.good += sign * _majority(count) * reached


class _Heap:
    """What is known of one concept."""

    __slots__ = ("concept_id", "first", "number", "questions", "table")

    def __init__(self, number: int, concept_id: str, side: int) -> None:
        self.number = number
        self.concept_id = concept_id
        self.questions = 0
        self.first: list[tuple[bytes, int]] = []  # the smallest hashes, ascending; the subset is a beginning of it
        self.table = _Table(side)


_UNKNOWN, _NO, _YES = range(3)
"""What is known beforehand of a question."""

_WIDE = 1 << 15
"""Yes and no votes as one number: yes * _WIDE + no."""


@RULES.register("dynamic")
class Dynamic:
    """The confidence score table of Deng et al. (2009)."""

    people = SEED_VOTES

    def __init__(self, stops: Stops) -> None:
        self.stops = stops
        self._side = max(stops.most, SEED_VOTES) + 1
        self._ballots = Ballots()
        self._heap_of: dict[str, _Heap] = {}
        self._heaps: list[_Heap] = []
        self._pooled = _Table(self._side)
        # One for each row of the ballots:
        self._number = array("i")  # of the heap
        self._known = bytearray()
        self._is_seed = bytearray()
        self._counted = array("i")  # how a picture of the subset stands in the tables; 0: not

    def expect(self, question: int, concept_id: str, score: float) -> None:  # noqa: ARG002  the paper had no model
        """Count the question among its concept's; it may now be in the subset."""
        if self._ballots.find(question) != NOWHERE:
            return
        heap = self._heap_of.get(concept_id)
        if heap is None:
            heap = self._heap_of[concept_id] = _Heap(len(self._heaps), concept_id, self._side)
            self._heaps.append(heap)
        self._ballots.row(question)
        self._number.append(heap.number)
        self._known.append(_UNKNOWN)
        self._is_seed.append(0)
        self._counted.append(0)
        size_before = _subset_size(heap.questions, self.stops.seed_size)
        heap.questions += 1
        size = _subset_size(heap.questions, self.stops.seed_size)
        place = _draw(question, self.stops.seed), question
        if len(heap.first) < self.stops.seed_size or (heap.first and place < heap.first[-1]):
            before = heap.first[:size_before]
            insort(heap.first, place)
            del heap.first[self.stops.seed_size :]
        elif size != size_before:
            before = heap.first[:size_before]
        else:
            return
        self._change_subset({one for _, one in before}, {one for _, one in heap.first[:size]})

    def add(self, cast: Cast) -> Decision:
        self.expect(cast.question, cast.concept_id, 0.0)
        row = self._ballots.row(cast.question)
        self._ballots.put(cast.question, cast.annotator, cast.answer)
        if cast.known:
            self._known[row] = _YES if cast.known == YES else _NO
        self._recount(cast.question)
        return self.decision(cast.question)

    def decision(self, question: int) -> Decision:
        row = self._ballots.find(question)
        if row != NOWHERE and self._known[row]:
            return known_decision(YES if self._known[row] == _YES else NO)
        count = self._ballots.count(question)
        if row != NOWHERE and self._is_seed[row]:
            return self._of_subset(count)
        concept_id = "" if row == NOWHERE else self._heaps[self._number[row]].concept_id
        good = self.confidence(concept_id, count.yes, count.no)
        told = f"{count.told}: {100 * good:.0f} % of such pictures show it"
        state = self._state(good) if count.yes + count.no else OPEN
        if state != OPEN:
            return Decision(state, good, 0, told)
        if count.asked >= self.stops.most:
            return Decision(UNDECIDED, good, 0, f"{told}, after as many votes as are allowed")
        return Decision(OPEN, good, self._wanted(concept_id, count), told if count.asked else "not asked yet")

    def forget(self, annotator: str) -> tuple[int, ...]:
        questions = self._ballots.forget(annotator)
        for question in questions:
            self._recount(question)
        return questions

    def confidence(self, concept_id: str, yes: int, no: int) -> float:
        """P(good picture | votes so far), in [0, 1]: one cell of the table."""
        yes, no = min(yes, self._side - 1), min(no, self._side - 1)
        pooled = self._pooled
        wider = (pooled.good[yes, no] + STRENGTH * _beforehand(yes - no)) / (pooled.every[yes, no] + STRENGTH)
        heap = self._heap_of.get(concept_id)
        if heap is None:
            return float(wider)
        return float((heap.table.good[yes, no] + STRENGTH * wider) / (heap.table.every[yes, no] + STRENGTH))

    def table(self, concept_id: str, most: int = 5) -> Iterator[Cell]:
        """The table for people to look at: every cell of up to `most` votes, by votes, then yes."""
        heap = self._heap_of.get(concept_id)
        for votes in range(1, min(most, self._side - 1) + 1):
            for yes in range(votes + 1):
                no = votes - yes
                pictures = float(heap.table.every[yes, no]) if heap else 0.0
                yield Cell(yes, no, self.confidence(concept_id, yes, no), pictures)

    def subset(self, concept_id: str) -> tuple[int, ...]:
        """The questions of a concept's seed subset, in the order of their draw."""
        heap = self._heap_of.get(concept_id)
        size = _subset_size(heap.questions, self.stops.seed_size) if heap else 0
        return tuple(question for _, question in heap.first[:size]) if heap else ()

    def first(self, concept_id: str) -> tuple[int, ...]:
        """Those of the subset that fewer people than it takes have looked at: to be asked before the others."""
        asked = ((question, self._ballots.count(question).asked) for question in self.subset(concept_id))
        open_ones = (question for question, count in asked if count < SEED_VOTES)
        return tuple(question for question in open_ones if not self._known[self._ballots.row(question)])

    def _of_subset(self, count: Count) -> Decision:
        good = _beforehand(count.yes - count.no)
        if count.asked < SEED_VOTES:
            why = f"one of the first pictures, which {SEED_VOTES} people look at: {count.asked} have"
            return Decision(OPEN, good, SEED_VOTES - count.asked, why)
        state = self._state(good)
        return Decision(UNDECIDED if state == OPEN else state, good, 0, f"{count.told}; one of the first pictures")

    def _state(self, good: float) -> str:
        if good >= self.stops.threshold:
            return ACCEPTED
        return REJECTED if good <= 1 - self.stops.threshold else OPEN

    def _wanted(self, concept_id: str, count: Count) -> int:
        """How many more settle it when they say what most have said."""
        for more in range(1, self.stops.most - count.asked):
            yes, no = (count.yes + more, count.no) if count.yes >= count.no else (count.yes, count.no + more)
            if self._state(self.confidence(concept_id, yes, no)) != OPEN:
                return more
        return max(1, self.stops.most - count.asked)

    def _change_subset(self, before: set[int], now: set[int]) -> None:
        for question in before ^ now:
            self._is_seed[self._ballots.row(question)] = question in now
            self._recount(question)

    def _recount(self, question: int) -> None:
        """Let the tables hold what the votes of a picture of the subset are now."""
        row = self._ballots.row(question)
        tables = self._heaps[self._number[row]].table, self._pooled
        if self._counted[row]:
            before = Count(*divmod(self._counted[row], _WIDE), 0)
            self._counted[row] = 0
            for table in tables:
                table.add(before, self._side, -1)
        if not self._is_seed[row] or self._known[row]:
            return
        count = self._ballots.count(question)
        if count.asked >= SEED_VOTES:
            self._counted[row] = count.yes * _WIDE + count.no
            for table in tables:
                table.add(count, self._side, 1)


def _subset_size(questions: int, most: int) -> int:
    return min(most, questions, max(SEED_LEAST, math.ceil(questions / SEED_SHARE)))


def _draw(question: int, seed: int) -> bytes:
    """A random number of a question that is the same on every server."""
    return blake2b(f"{seed} {question}".encode(), digest_size=8).digest()


def _beforehand(margin: int) -> float:
    """P(good) after so many more yes than no of annotators who are right with RIGHT."""
    return 1 / (1 + ((1 - RIGHT) / RIGHT) ** margin)


def _majority(count: Count) -> float:
    return 0.5 if count.yes == count.no else float(count.yes > count.no)


@lru_cache(maxsize=4096)
def _reached(yes: int, no: int, side: int) -> NDArray[np.float64]:
    """The chance that a picture with these votes once had y yes and n no, by y and n. f64[side, side]."""
    reached = np.zeros((side, side))
    for some_yes in range(min(yes, side - 1) + 1):
        for some_no in range(min(no, side - 1) + 1):
            ways = math.comb(yes, some_yes) * math.comb(no, some_no)
            reached[some_yes, some_no] = ways / math.comb(yes + no, some_yes + some_no)
    reached.flags.writeable = False
    return reached
