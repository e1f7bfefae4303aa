"""Votes in arrays say what votes in a dict would."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.stops import dynamic, thrifty  # noqa: F401  the rules register themselves
from pictus.annotate.stops.ballots import NO, UNSURE, YES, Ballots, Count
from pictus.annotate.stops.stopping import RULES, Cast, Stops

QUESTIONS, PEOPLE = (-3, 1, 2, 257, 10**12), ("ada", "bob", "cyd", "dan")
ACTS = st.lists(st.tuples(
    st.sampled_from(QUESTIONS), st.sampled_from(PEOPLE), st.sampled_from((YES, NO, UNSURE, "forget"))
), max_size=60)  # fmt: skip


def test_the_latest_answer_counts_once() -> None:
    ballots = Ballots()
    assert ballots.put(1, "ada", "yes") == ""
    assert ballots.put(1, "ada", "no") == "yes"
    assert ballots.of(1) == {"ada": "no"}
    assert ballots.questions_of("ada") == (1,)
    with pytest.raises(ValueError, match="yes, no or unsure"):
        ballots.put(1, "ada", "maybe")
    assert ballots.count(1) == Count(0, 1, 0)


@given(ACTS)
def test_whatever_is_put_and_forgotten_they_say_what_a_dict_would(acts: list[tuple[int, str, str]]) -> None:
    ballots, plain = Ballots(), dict[int, dict[str, str]]()
    for question, name, answer in acts:
        if answer == "forget":
            known = {one for one, votes in plain.items() if votes.pop(name, "")}
            assert set(ballots.forget(name)) == known
        else:
            assert ballots.put(question, name, answer) == plain.setdefault(question, {}).get(name, "")
            plain[question][name] = answer
    for question in QUESTIONS:
        votes = plain.get(question, {})
        assert ballots.of(question) == votes
        said = list(votes.values())
        assert ballots.count(question) == Count(said.count(YES), said.count(NO), said.count(UNSURE))
    for name in PEOPLE:
        assert set(ballots.questions_of(name)) == {one for one, votes in plain.items() if name in votes}
    rows = [ballots.find(question) for question in plain]
    assert sorted(ballots.row(question) for question in plain) == list(range(len(plain)))
    assert rows == [ballots.row(question) for question in plain]


@pytest.mark.parametrize("name", RULES.names())
def test_votes_are_no_objects_that_the_garbage_collector_walks_through(name: str) -> None:
    rule = RULES.get(name)(Stops())
    for number in range(200):  # what comes once: concepts, annotators, caches
        rule.add(Cast(number, f"c{number % 4}", f"w{number % 5}", YES, ""))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(4_000):
        rule.add(Cast(200 + number // 2, f"c{number % 4}", f"w{number % 5}", (YES, NO)[number % 3 == 0], ""))
    gc.collect()
    assert len(gc.get_objects()) - before < 400
