"""When a yes/no question has been asked often enough: what a rule takes, and what it says.

A rule keeps the votes and says after each whether the question is settled. Four ship:

    fixed      always the same number of votes, then the majority
    dynamic    ImageNet's: a table of confidence per concept, learned from a seed subset (dynamic.py)
    online     Bayesian: skill, difficulty, and the model as one more annotator (online.py)
    thrifty    the same, asking where a vote saves most errors (thrifty.py)

The order in which questions are expected and votes come changes nothing in `fixed` and `dynamic` once all are in,
so that several servers that take in the same answers agree. A second vote of the same annotator on the same
question replaces the first. "unsure" counts as asked, and tells nothing of yes or no.

    >>> rule = RULES.get("fixed")(Stops(most=3))
    >>> for name in ("ada", "bob", "cyd"):
    ...     decision = rule.add(Cast(7, "owl", name, "yes", ""))
    >>> decision.state, decision.why
    ('accepted', '3 of 3 say yes')
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from pictus.annotate.stops.ballots import YES, Ballots
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED, UNDECIDED
from pictus.registry import Registry


class Cast(NamedTuple):
    """One vote, as the desk hands it to a rule."""

    question: int
    concept_id: str
    annotator: str
    answer: str  # yes | no | unsure
    known: str  # the answer that is known beforehand (gold): yes | no, "" where it is not


class Decision(NamedTuple):
    """What holds of a question with the votes that are there now."""

    state: str  # tasks.OPEN | ACCEPTED | REJECTED | UNDECIDED
    posterior: float  # P(yes)
    wanted: int  # further votes expected, >= 1 while open, else 0
    why: str  # in words


class Rule(Protocol):
    """Decides when to stop. Each call takes less than 5 ms with a million votes behind it; `forget` may take longer."""

    def expect(self, question: int, concept_id: str, score: float) -> None:
        """A question that may be asked. `score`: the model's P(yes) in [0, 1], 0 where there is no model."""

    def add(self, cast: Cast) -> Decision:
        """Take in one vote and say what now holds of its question."""

    def decision(self, question: int) -> Decision:
        """What holds now; of a question never heard of: open."""

    def forget(self, annotator: str) -> tuple[int, ...]:
        """Take back all votes of one annotator; the questions they were on, which may be open again."""


@runtime_checkable
class Learns(Protocol):
    """A rule that learns of a concept from some of its questions, and so wants them asked before the others."""

    people: int  # how many must answer each of them

    def first(self, concept_id: str) -> tuple[int, ...]:
        """Those that have not been asked enough, in the order they are to be asked."""


@dataclass(frozen=True)
class Stops:
    """What a rule is told. Rules leave out what they do not need."""

    threshold: float = 0.95  # in (0.5, 1): stop where P(yes) or P(no) is at least so much
    most: int = 10  # votes on one question, >= 1; then it is undecided
    seed_size: int = 20  # pictures per concept that are asked more often than needed, to learn from
    seed: int = 0  # which ones: a hash of it and the question's number
    worth: float = 0.002  # > 0, `thrifty`: expected errors that a vote must save for asking to go on

    def __post_init__(self) -> None:
        if not (0.5 < self.threshold < 1 and self.most >= 1 and self.seed_size >= 0 and self.worth > 0):  # noqa: PLR2004
            message = f"threshold in (0.5, 1), most >= 1, seed_size >= 0 and worth > 0 expected, found {self}"
            raise ValueError(message)


RULES: Registry[Callable[[Stops], Rule]] = Registry("stopping rule", "pictus.stopping")


def known_decision(known: str) -> Decision:
    """Of a question whose answer is known beforehand."""
    return Decision(*((ACCEPTED, 1.0) if known == YES else (REJECTED, 0.0)), 0, f"known to be {known}")


@RULES.register("fixed")
class Fixed:
    """Ask `most` annotators, then the majority; a tie is undecided. P(yes) = (yes + 1) / (yes + no + 2)."""

    def __init__(self, stops: Stops) -> None:
        self.stops = stops
        self._ballots = Ballots()
        self._known: dict[int, str] = {}

    def expect(self, question: int, concept_id: str, score: float) -> None:
        """Nothing to prepare."""

    def add(self, cast: Cast) -> Decision:
        self._ballots.put(cast.question, cast.annotator, cast.answer)
        if cast.known:
            self._known[cast.question] = cast.known
        return self.decision(cast.question)

    def decision(self, question: int) -> Decision:
        if question in self._known:
            return known_decision(self._known[question])
        count = self._ballots.count(question)
        posterior = (count.yes + 1) / (count.yes + count.no + 2)
        if count.asked < self.stops.most:
            return Decision(OPEN, posterior, self.stops.most - count.asked, f"{count.asked} of {self.stops.most} asked")
        if count.yes == count.no:
            return Decision(UNDECIDED, posterior, 0, f"{count.yes} say yes and as many no")
        return Decision(ACCEPTED if count.yes > count.no else REJECTED, posterior, 0, count.told)

    def forget(self, annotator: str) -> tuple[int, ...]:
        return self._ballots.forget(annotator)
