"""ImageNet's table: worked out by hand, learned from a simulated crowd, drawn alike on every server."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.stops.dynamic import SEED_VOTES, Dynamic
from pictus.annotate.stops.stopping import Cast, Decision, Stops
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED, UNDECIDED


def say(rule: Dynamic, question: int, answers: str, concept: str = "owl") -> Decision:
    decision = rule.decision(question)
    for number, letter in enumerate(answers):
        decision = rule.add(Cast(question, concept, f"w{number}", {"y": "yes", "n": "no", "u": "unsure"}[letter], ""))
    return decision


def filled(good: str, bad: str, *, pictures: int = 20) -> Dynamic:
    """A rule whose subset is all 20 pictures of one concept, half of them answered like each pattern."""
    rule = Dynamic(Stops(seed_size=20))
    for question in range(400):
        rule.expect(question, "owl", 0.0)
    for number, question in enumerate(rule.subset("owl")[:pictures]):
        say(rule, question, good if number % 2 else bad)
    return rule


def test_before_any_table_three_votes_of_one_kind_are_needed() -> None:
    # sigmoid(m ln 4): m = 1 0.8, m = 2 16/17 = 0.941, m = 3 64/65 = 0.985
    rule = Dynamic(Stops(seed_size=0))
    for answers, state, posterior, wanted in (
        ("y", OPEN, 0.8, 2), ("yy", OPEN, 16 / 17, 1), ("yyy", ACCEPTED, 64 / 65, 0),
    ):  # fmt: skip
        found = say(rule, 1, answers)
        assert (found.state, found.wanted) == (state, wanted)
        assert found.posterior == pytest.approx(posterior)
    assert say(rule, 2, "nnn").state == REJECTED


def test_a_cell_counts_each_picture_with_the_chance_to_have_been_there() -> None:
    # One picture with 8 yes, 2 no, one with 10 no. Of one vote drawn at random from the first, 8/10 are yes, and
    # 2/10 no; so cell (1 yes, 0 no) holds 0.8 good pictures of 0.8, cell (0, 1) 0.2 good of 1.2.
    rule = filled("yyyyyyyynn", "nnnnnnnnnn", pictures=2)
    wider = (0.8 + 4 * 0.8) / (0.8 + 4)
    assert rule.confidence("owl", 1, 0) == pytest.approx((0.8 + 4 * wider) / (0.8 + 4))
    wider = (0.2 + 4 * 0.2) / (1.2 + 4)
    assert rule.confidence("owl", 0, 1) == pytest.approx((0.2 + 4 * wider) / (1.2 + 4))
    cells = {(cell.yes, cell.no): cell.pictures for cell in rule.table("owl")}
    assert cells[1, 0] == pytest.approx(0.8)
    assert cells[0, 1] == pytest.approx(1.2)
    # 8 yes of 10: of two drawn, 8 x 7 of 10 x 9 ordered pairs are yes, yes
    assert cells[2, 0] == pytest.approx(56 / 90)


def test_where_people_agree_fewer_votes_are_needed_than_where_they_do_not() -> None:
    easy, hard = filled("yyyyyyyyyy", "nnnnnnnnnn"), filled("yyyyyynnny", "nnnnnnyyyy")
    other = next(question for question in range(400) if question not in easy.subset("owl"))
    # easy: of 10 pictures with one yes all are good: (10 + 4 x (10 + 4 x 0.8) / 14) / 14 = 0.984
    assert say(easy, other, "y").state == ACCEPTED
    assert say(hard, other, "yy").state == OPEN


def test_the_subset_is_asked_ten_times_however_sure_the_first_are() -> None:
    rule = Dynamic(Stops())
    for question in range(200):
        rule.expect(question, "owl", 0.0)
    first = rule.subset("owl")
    assert len(first) == 10  # a twentieth of 200
    assert say(rule, first[0], "y" * 9)[:1] == (OPEN,)
    assert say(rule, first[0], "y" * SEED_VOTES).state == ACCEPTED
    assert say(rule, first[1], "yyyyyyynnn").state == ACCEPTED  # 7 : 3
    assert say(rule, first[2], "yyyyyynnnn").state == UNDECIDED  # 6 : 4


def test_every_server_draws_the_same_subset_in_whatever_order_questions_come() -> None:
    numbers = np.random.default_rng(1).permutation(500)
    rules = [Dynamic(Stops(seed_size=20)), Dynamic(Stops(seed_size=20)), Dynamic(Stops(seed_size=20, seed=1))]
    for question in range(500):
        rules[0].expect(question, "owl", 0.0)
        rules[2].expect(question, "owl", 0.0)
    for question in numbers:
        rules[1].expect(int(question), "owl", 0.0)
    assert rules[0].subset("owl") == rules[1].subset("owl")
    assert set(rules[0].subset("owl")) != set(rules[2].subset("owl"))


def test_a_concept_of_few_pictures_has_a_small_subset_and_a_large_one_no_more_than_is_said() -> None:
    rule = Dynamic(Stops(seed_size=20))
    sizes = []
    for question in range(1000):
        rule.expect(question, "owl", 0.0)
        sizes.append(len(rule.subset("owl")))
    assert [sizes[n - 1] for n in (1, 3, 50, 100, 200, 1000)] == [1, 3, 4, 5, 10, 20]


def test_a_picture_that_leaves_the_subset_leaves_the_table() -> None:
    rule = Dynamic(Stops(seed_size=4))
    for question in range(4):
        say(rule, question, "y" * 10)
    assert next(rule.table("owl", 1)).pictures == pytest.approx(0)
    before = [cell.pictures for cell in rule.table("owl", 1)][1]
    assert before == pytest.approx(4)
    for question in range(4, 2000):
        rule.expect(question, "owl", 0.0)
    left = len(set(rule.subset("owl")) & {0, 1, 2, 3})
    assert [cell.pictures for cell in rule.table("owl", 1)][1] == pytest.approx(left)


def test_what_one_concept_taught_helps_the_next() -> None:
    rule = filled("yyyyyyyyyy", "nnnnnnnnnn")
    assert rule.confidence("wren", 1, 0) > 0.9
    assert Dynamic(Stops()).confidence("wren", 1, 0) == pytest.approx(0.8)


def test_the_table_is_what_it_claims_to_be_on_a_simulated_crowd() -> None:
    """Of pictures accepted at 0.95 about that many or more are good; far fewer than ten votes are needed."""
    rng = np.random.default_rng(0)
    rule = Dynamic(Stops(threshold=0.95))
    truth = rng.random(2000) < 0.4
    for question in range(2000):
        rule.expect(question, "owl", 0.0)
    order = [*rule.subset("owl"), *(q for q in range(2000) if q not in rule.subset("owl"))]
    votes, right, settled = 0, 0, 0
    for question in order:
        for number in range(10):
            says = truth[question] if rng.random() < 0.9 else not truth[question]
            decision = rule.add(Cast(question, "owl", f"w{number}", "yes" if says else "no", ""))
            votes += 1
            if decision.state != OPEN:
                break
        if decision.state in (ACCEPTED, REJECTED):
            settled += 1
            right += (decision.state == ACCEPTED) == truth[question]
    assert settled > 1950
    assert right / settled > 0.95
    assert votes / 2000 < 3


def test_questions_of_any_number_are_first_until_ten_people_have_looked() -> None:
    rule = Dynamic(Stops(seed_size=20))
    for question in range(1000, 1100):
        rule.expect(question, "owl", 0.0)
    subset = rule.subset("owl")
    assert rule.first("owl") == subset
    say(rule, subset[0], "y" * SEED_VOTES)
    rule.add(Cast(subset[1], "owl", "w0", "yes", "yes"))
    assert rule.first("owl") == subset[2:]
