"""Which questions people of one link alone would decide, and whether others could have been asked."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.truth.consensus import votes_of
from pictus.annotate.truth.links import Shifts, alone, link_numbers
from pictus.annotate.truth.majority import majority
from pictus.annotate.truth.questions import Ballots, YesNo

LINK_OF = {"a1": "A", "a2": "A", "a3": "A", "a4": "A", "b1": "B"}


def test_only_those_who_say_what_decides_count() -> None:
    # Items: 0 all of A; 1 A and somebody without a link; 2 A, and B says otherwise; 3 known; 4 A, and B is unsure
    item = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]
    who = [0, 1, 2, 0, 3, 0, 1, 4, 0, 1, 0, 1, 4]
    said = [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 2]
    votes = votes_of(item, who, said, n_classes=3, known_I=[-1, -1, -1, 1, -1], trust_W=np.full(5, 0.8))
    asked = YesNo(votes, np.arange(5), np.zeros(5, np.int64))
    nothing = np.zeros(0, np.int64)
    ballots = Ballots(nothing, nothing, nothing, nothing, [], ["a1", "a2", "a3", "kit", "b1"], [])
    link_W, links = link_numbers(ballots, LINK_OF)
    assert (link_W.tolist(), links) == ([0, 0, 0, -1, 1], ["A", "B"])
    assert alone(asked, majority(votes), link_W).tolist() == [0, -1, 0, -1, 0]


@pytest.mark.parametrize(
    ("day", "had"), [("2026-01-04", False), ("2026-01-05", True), ("2026-01-12", True), ("2026-01-13", False)]
)
def test_others_were_at_work_within_a_week_before(day: str, *, had: bool) -> None:
    worked = [("a1", "2026-01-01"), ("a1", "2026-01-12"), ("b1", "2026-01-05"), ("b1", "2026-01-05"), ("kit", day)]
    assert Shifts(worked, LINK_OF).had_others("A", day) is had


def test_others_must_be_a_fifth_of_those_at_work() -> None:
    link_of = {**{f"a{number}": "A" for number in range(9)}, "b1": "B", "b2": "B"}
    everybody = [(name, "2026-01-05") for name in link_of]
    assert not Shifts([pair for pair in everybody if pair[0] != "b2"], link_of).had_others("A", "2026-01-05"), "1 of 10"
    three = {**link_of, "b3": "B"}
    assert Shifts([*everybody, ("b3", "2026-01-05")], three).had_others("A", "2026-01-06"), "3 of 12"
    assert Shifts(everybody, link_of).had_others("B", "2026-01-05")
