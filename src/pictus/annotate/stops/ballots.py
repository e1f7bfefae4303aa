"""Who said what on which question, for the rules: a million votes in a few arrays.

Nothing here is an object of its own, neither a question nor a vote: a million of them would take hundreds of MB, and
every full garbage collection would walk through them while an annotator waits.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import NamedTuple

YES, NO, UNSURE = "yes", "no", "unsure"

_SAID = (YES, NO, UNSURE)
_CODE = {answer: code for code, answer in enumerate(_SAID)}

SHARDS = 256
"""A dict of 350,000 numbers takes 20 ms when it grows; one of so many parts of it less than 0.1."""

NOWHERE = -1


class Count(NamedTuple):
    """Votes on one question."""

    yes: int
    no: int
    unsure: int

    @property
    def asked(self) -> int:
        return self.yes + self.no + self.unsure

    @property
    def told(self) -> str:
        """In words: "4 of 5 say yes"."""
        most, word = (self.yes, YES) if self.yes >= self.no else (self.no, NO)
        return f"{most} of {self.asked} say {word}"


class Ballots:
    """Votes by question, the latest of each annotator. The cost of a call grows with the votes on its question.

    Questions are numbered 0, 1, 2 … as they come (`row`), so that a rule can keep columns of its own beside.
    """

    def __init__(self) -> None:
        self._rows: list[dict[int, int]] = [{} for _ in range(SHARDS)]
        self._newest = array("i")  # by row: its latest new vote
        self._older = array("i")  # by vote: the one before it on the same question
        self._by = array("i")  # by vote: the annotator's number
        self._said = array("b")  # by vote: position in _SAID
        self._names: list[str] = []
        self._number: dict[str, int] = {}
        self._questions_of: list[array[int]] = []  # by annotator

    def find(self, question: int) -> int:
        """The row of a question, NOWHERE for one never heard of."""
        return self._rows[question % SHARDS].get(question, NOWHERE)

    def row(self, question: int) -> int:
        """The row of a question; a new one for one never heard of."""
        rows = self._rows[question % SHARDS]
        row = rows.get(question, NOWHERE)
        if row == NOWHERE:
            row = rows[question] = len(self._newest)
            self._newest.append(NOWHERE)
        return row

    def put(self, question: int, annotator: str, answer: str) -> str:
        """Take in a vote; what the same annotator said before, "" for nothing."""
        code = _CODE.get(answer)
        if code is None:
            message = f"yes, no or unsure expected, found {answer!r}"
            raise ValueError(message)
        row = self.row(question)
        who = self._number.get(annotator, NOWHERE)
        if who == NOWHERE:
            who = self._number[annotator] = len(self._names)
            self._names.append(annotator)
            self._questions_of.append(array("q"))
        vote = self._newest[row]
        while vote != NOWHERE:
            if self._by[vote] == who:
                before = _SAID[self._said[vote]]
                self._said[vote] = code
                return before
            vote = self._older[vote]
        self._older.append(self._newest[row])
        self._by.append(who)
        self._said.append(code)
        self._newest[row] = len(self._by) - 1
        self._questions_of[who].append(question)
        return ""

    def of(self, question: int) -> Mapping[str, str]:
        """Annotator -> answer."""
        row, found = self.find(question), {}
        vote = NOWHERE if row == NOWHERE else self._newest[row]
        while vote != NOWHERE:
            found[self._names[self._by[vote]]] = _SAID[self._said[vote]]
            vote = self._older[vote]
        return found

    def count(self, question: int) -> Count:
        """How many say what."""
        row, counts = self.find(question), [0, 0, 0]
        vote = NOWHERE if row == NOWHERE else self._newest[row]
        while vote != NOWHERE:
            counts[self._said[vote]] += 1
            vote = self._older[vote]
        return Count(*counts)

    def questions_of(self, annotator: str) -> tuple[int, ...]:
        """Where this annotator has voted."""
        who = self._number.get(annotator, NOWHERE)
        return () if who == NOWHERE else tuple(self._questions_of[who])

    def forget(self, annotator: str) -> tuple[int, ...]:
        """Drop all votes of one annotator; the questions they were on. Their place in the arrays is not used again."""
        questions = self.questions_of(annotator)
        if questions:
            who = self._number[annotator]
            self._questions_of[who] = array("q")
            for question in questions:
                self._drop(self.find(question), who)
        return questions

    def _drop(self, row: int, who: int) -> None:
        newer, vote = NOWHERE, self._newest[row]
        while self._by[vote] != who:
            newer, vote = vote, self._older[vote]
        if newer == NOWHERE:
            self._newest[row] = self._older[vote]
        else:
            self._older[newer] = self._older[vote]
