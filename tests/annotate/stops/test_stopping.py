"""What every stopping rule promises, and the fixed number of votes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.stops import dynamic, online, thrifty  # noqa: F401  the rules register themselves
from pictus.annotate.stops.stopping import RULES, Cast, Decision, Rule, Stops
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED, UNDECIDED
from pictus.errors import UserError

EVERY = RULES.names()


def say(rule: Rule, question: int, answers: str, *, concept: str = "owl", known: str = "") -> Decision:
    """One vote per letter: y, n, u; annotators are numbered."""
    words = {"y": "yes", "n": "no", "u": "unsure"}
    decision = rule.decision(question)
    for number, letter in enumerate(answers):
        decision = rule.add(Cast(question, concept, f"w{number}", words[letter], known))
    return decision


def test_fixed_asks_so_many_and_takes_the_majority() -> None:
    rule = RULES.get("fixed")(Stops(most=3))
    assert say(rule, 1, "yy") == Decision(OPEN, 0.75, 1, "2 of 3 asked")
    assert say(rule, 1, "yyn").state == ACCEPTED
    assert say(rule, 2, "nny").state == REJECTED
    assert say(rule, 3, "ynu") == Decision(UNDECIDED, 0.5, 0, "1 say yes and as many no")


@pytest.mark.parametrize("name", EVERY)
def test_a_question_nobody_heard_of_is_open(name: str) -> None:
    decision = RULES.get(name)(Stops()).decision(99)
    assert (decision.state, decision.posterior) == (OPEN, 0.5)
    assert decision.wanted >= 1


@pytest.mark.parametrize("name", EVERY)
def test_a_second_vote_of_the_same_annotator_replaces_the_first(name: str) -> None:
    changed, plain = (RULES.get(name)(Stops()) for _ in range(2))
    for vote in (Cast(1, "owl", "ada", "yes", ""), Cast(1, "owl", "bob", "no", ""), Cast(1, "owl", "ada", "no", "")):
        found = changed.add(vote)
    plain.add(Cast(1, "owl", "ada", "no", ""))
    wanted = plain.add(Cast(1, "owl", "bob", "no", ""))
    assert found.posterior == pytest.approx(wanted.posterior, abs=1e-5)
    assert (found.state, found.wanted) == (wanted.state, wanted.wanted)


@pytest.mark.parametrize("name", EVERY)
def test_what_a_forgotten_annotator_said_counts_no_more(name: str) -> None:
    with_spam, without = (RULES.get(name)(Stops()) for _ in range(2))
    for question in range(5):
        for rule in (with_spam, without):
            say(rule, question, "yy")
        with_spam.add(Cast(question, "owl", "spam", "no", ""))
    assert sorted(with_spam.forget("spam")) == [0, 1, 2, 3, 4]
    for question in range(5):
        mended, wanted = with_spam.decision(question), without.decision(question)
        # The Bayesian rules weigh older questions anew in turn: how often by now differs between the two.
        assert mended.posterior == pytest.approx(wanted.posterior, abs=1e-9 if name in ("fixed", "dynamic") else 0.005)
        assert mended.state == wanted.state
    assert with_spam.forget("spam") == ()


@pytest.mark.parametrize("name", EVERY)
def test_a_forgotten_annotator_may_vote_again(name: str) -> None:
    rule = RULES.get(name)(Stops())
    rule.add(Cast(1, "owl", "ada", "yes", ""))
    rule.forget("ada")
    rule.add(Cast(1, "owl", "ada", "no", ""))
    assert rule.forget("ada") == (1,)


@pytest.mark.parametrize("name", EVERY)
def test_never_more_votes_than_are_allowed_and_unsure_decides_nothing(name: str) -> None:
    rule = RULES.get(name)(Stops(seed_size=0))
    decision = say(rule, 1, "u" * 10)
    assert decision.state == UNDECIDED
    assert decision.wanted == 0


@pytest.mark.parametrize("name", EVERY)
def test_a_question_whose_answer_is_known_is_decided_by_it(name: str) -> None:
    rule = RULES.get(name)(Stops())
    assert say(rule, 1, "nn", known="yes")[:3] == (ACCEPTED, 1.0, 0)
    assert say(rule, 2, "n", known="no")[:3] == (REJECTED, 0.0, 0)


@pytest.mark.parametrize("name", EVERY)
@given(answers=st.text(alphabet="ynu", min_size=1, max_size=12))
def test_an_open_question_wants_at_least_one_vote_and_a_closed_one_none(name: str, answers: str) -> None:
    decision = say(RULES.get(name)(Stops()), 1, answers)
    assert (decision.wanted >= 1) == (decision.state == OPEN)
    assert 0 <= decision.posterior <= 1
    assert decision.why


@pytest.mark.parametrize("name", ["fixed", "dynamic"])
def test_the_order_of_votes_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(3)
    votes = [Cast(q, "owl", f"w{w}", str(rng.choice(["yes", "no"])), "") for q in range(30) for w in range(10)]
    rules = [RULES.get(name)(Stops(seed_size=5)) for _ in range(2)]
    for rule in rules:
        for number in rng.permutation(len(votes)):
            rule.add(votes[number])
    for question in range(30):
        one, other = (rule.decision(question) for rule in rules)
        assert one.posterior == pytest.approx(other.posterior)
        assert one.state == other.state


def test_a_rule_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UserError, match="no stopping rule 'dynamik'") as error:
        RULES.get("dynamik")
    assert "dynamic" in str(error.value.fix)


@pytest.mark.parametrize(
    "bad", [{"threshold": 0.5}, {"threshold": 1.0}, {"most": 0}, {"seed_size": -1}, {"worth": 0.0}]
)
def test_limits_that_cannot_be_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Stops(**bad)  # type: ignore[arg-type]
