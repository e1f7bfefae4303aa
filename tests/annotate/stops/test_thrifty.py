"""Asking where a vote saves most errors, on a simulated crowd."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pictus.annotate.stops.stopping import RULES, Cast, Stops
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED


class Run(NamedTuple):
    votes: float  # per question
    wrong: float  # share of all questions, the undecided ones taken for the more probable answer
    decided: float
    wrong_of_decided: float


def run(name: str, stops: Stops, size: int = 900) -> Run:
    """One picture in eight is hard: 6 in 10 are right there, else 93 in 100."""
    rng = np.random.default_rng(0)
    rule = RULES.get(name)(stops)
    truth, is_hard = rng.random(size) < 0.4, rng.random(size) < 0.125
    votes, wrong, decided = 0, np.zeros(size), np.zeros(size, bool)
    for question in range(size):
        for who in rng.permutation(40)[: stops.most].tolist():
            is_right = rng.random() < (0.6 if is_hard[question] else 0.93)
            says = "yes" if truth[question] == is_right else "no"
            decision = rule.add(Cast(question, "owl", f"w{who}", says, ""))
            votes += 1
            if decision.state != OPEN:
                break
        wrong[question] = (decision.posterior > 0.5) != truth[question]
        decided[question] = decision.state in (ACCEPTED, REJECTED)
    return Run(votes / size, wrong.mean(), decided.mean(), wrong[decided].mean())


def test_as_few_errors_as_ten_votes_each_for_a_third_of_the_votes() -> None:
    ten, ours = run("fixed", Stops(most=10)), run("thrifty", Stops(worth=0.002))
    assert ten.votes == 10
    assert ours.votes < 10 / 3
    assert ours.wrong <= ten.wrong + 0.01
    assert ours.wrong_of_decided < 0.05
    assert ours.decided > 0.85


def test_the_less_a_vote_must_save_the_more_are_asked() -> None:
    votes = [run("thrifty", Stops(worth=worth), 400).votes for worth in (0.05, 0.01, 0.001)]
    assert votes == sorted(votes)
    assert votes[0] < 1.8


def test_never_more_than_is_allowed_and_a_hopeless_picture_takes_fewer() -> None:
    rule = RULES.get("thrifty")(Stops(most=10, worth=0.02))
    asked = 0
    for who in range(10):
        asked += 1
        if rule.add(Cast(1, "owl", f"w{who}", "yes" if who % 2 else "no", "")).state != OPEN:
            break
    assert asked < 10
