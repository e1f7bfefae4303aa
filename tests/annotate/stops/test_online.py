"""Online stopping on simulated crowds whose skill, difficulty and truth are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from pictus.annotate.stops import online
from pictus.annotate.stops.online import Online
from pictus.annotate.stops.stopping import Cast, Decision, Stops
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED


class Run(NamedTuple):
    rule: Online
    truth: NDArray[np.bool_]
    decisions: list[Decision]
    votes: NDArray[np.int64]

    @property
    def posterior(self) -> NDArray[np.float64]:
        return np.array([decision.posterior for decision in self.decisions])

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        return np.asarray((self.posterior > 0.5) != self.truth)


def run(
    stops: Stops, *, size: int = 800, seed: int = 0, accuracy: float = 0.92, guessers: int = 0, hard: float = 0.0,
    score: NDArray[np.float64] | None = None,
) -> Run:  # fmt: skip
    """40 annotators; on a share `hard` of the pictures all are right half the time; 4 in 10 pictures show it."""
    rng = np.random.default_rng(seed)
    rule = Online(stops)
    truth = np.random.default_rng(99).random(size) < 0.4
    is_hard = rng.random(size) < hard
    decisions, votes = [], np.zeros(size, np.int64)
    for question in range(size):
        rule.expect(question, "owl", float(score[question]) if score is not None else 0.0)
        for who in rng.permutation(40)[: stops.most].tolist():
            right = 0.5 if who < guessers or is_hard[question] else accuracy
            says = truth[question] == (rng.random() < right)
            decision = rule.add(Cast(question, "owl", f"w{who}", "yes" if says else "no", ""))
            votes[question] += 1
            if decision.state != OPEN:
                break
        decisions.append(decision)
    return Run(rule, truth, decisions, votes)


@pytest.mark.parametrize("threshold", [0.95, 0.99])
@pytest.mark.parametrize("hard", [0.0, 0.1])
def test_what_is_settled_is_right_as_often_as_its_posterior_says(threshold: float, hard: float) -> None:
    found = run(Stops(threshold=threshold), hard=hard)
    is_settled = np.array([decision.state in (ACCEPTED, REJECTED) for decision in found.decisions])
    risk = np.minimum(found.posterior, 1 - found.posterior)[is_settled]
    assert risk.max() <= 1 - threshold + 1e-9
    error = found.is_wrong[is_settled].mean()
    spread = np.sqrt(risk.mean() / is_settled.sum())
    assert error <= risk.mean() + 3 * spread
    assert error <= 1 - threshold
    assert is_settled.mean() > (0.65 if hard else 0.95)
    assert found.votes.mean() < (7 if hard else 4)


def test_people_who_guess_are_found_out_and_cost_little() -> None:
    found = run(Stops(threshold=0.97), guessers=8)
    skills = [found.rule.skill(f"w{who}") for who in range(40)]
    guess = np.array([skill.right_yes + skill.right_no - 1 for skill in skills])  # 0 for guessing
    assert guess[:8].max() < 0.4
    assert guess[8:].min() > 0.6
    assert found.is_wrong.mean() < 0.03


def test_a_model_that_knows_something_saves_votes_and_one_that_guesses_does_not_harm() -> None:
    rng = np.random.default_rng(4)
    truth = np.random.default_rng(99).random(800) < 0.4
    good = 1 / (1 + np.exp(-rng.normal(np.where(truth, 3, -3), 2)))
    stops = Stops(threshold=0.99)
    alone = run(stops)
    helped, fooled = run(stops, score=good), run(stops, score=rng.uniform(0.001, 0.999, 800))
    assert helped.votes.mean() < 0.85 * alone.votes.mean()
    assert helped.is_wrong.mean() <= 0.01
    assert fooled.votes.mean() < 1.1 * alone.votes.mean()
    assert fooled.is_wrong.mean() <= 0.01


def test_a_model_that_says_the_opposite_is_understood_as_such() -> None:
    rng = np.random.default_rng(4)
    truth = np.random.default_rng(99).random(800) < 0.4
    wrong = 1 / (1 + np.exp(rng.normal(np.where(truth, 3, -3), 2)))
    assert run(Stops(threshold=0.99), score=wrong).is_wrong.mean() <= 0.01


def test_the_model_alone_decides_nothing_and_is_not_heard_before_it_is_proven() -> None:
    rule = Online(Stops(threshold=0.9))
    rule.expect(1, "owl", 0.9999)
    assert rule.decision(1).state == OPEN
    assert rule.decision(1).posterior == pytest.approx(0.5)
    plain = Online(Stops(threshold=0.9))
    vote = Cast(1, "owl", "ada", "no", "")
    assert rule.add(vote).posterior == plain.add(vote).posterior


def test_the_model_counts_at_most_as_one_annotator_who_is_right_19_times_in_20() -> None:
    truth = np.random.default_rng(99).random(800) < 0.4
    perfect = np.where(truth, 0.999, 0.001)
    found = run(Stops(threshold=0.99), score=perfect)
    rule = found.rule
    rule.expect(5000, "owl", 0.999)
    rule.expect(5001, "owl", 0.0)
    vote = Cast(5000, "owl", "new", "no", "")
    told, untold = rule.add(vote), rule.add(vote._replace(question=5001))
    odds = [one.posterior / (1 - one.posterior) for one in (told, untold)]
    assert 1 < odds[0] / odds[1] <= 19.01


def test_known_answers_teach_who_is_good_before_any_question_is_settled() -> None:
    rule = Online(Stops())
    for question in range(40):
        known = "yes" if question % 2 else "no"
        rule.add(Cast(question, "owl", "ada", known, known))
        rule.add(Cast(question, "owl", "bob", "yes", known))
    assert rule.skill("ada").right_yes > 0.9
    assert rule.skill("ada").right_no > 0.8
    assert rule.skill("bob").right_no < 0.4
    good, bad = rule.add(Cast(900, "owl", "ada", "yes", "")), rule.add(Cast(901, "owl", "bob", "yes", ""))
    assert good.posterior > bad.posterior


def test_a_gold_picture_taken_back_is_untaught() -> None:
    rule = Online(Stops())
    before = rule.skill("ada")
    rule.add(Cast(1, "owl", "ada", "no", "yes"))
    rule.add(Cast(1, "owl", "ada", "yes", "yes"))
    assert rule.skill("ada").right_yes > before.right_yes
    rule.forget("ada")
    assert rule.skill("ada").right_yes == pytest.approx(before.right_yes)


def test_a_question_that_turns_out_to_be_known_stops_counting_as_one_of_its_concept() -> None:
    rule = Online(Stops())
    rule.add(Cast(1, "owl", "ada", "yes", ""))
    assert rule.add(Cast(1, "owl", "bob", "no", "no"))[:2] == (REJECTED, 0.0)
    assert rule.skill("ada").right_no < rule.skill("bob").right_no
    assert sum(rule._all.joint) == pytest.approx(0, abs=1e-5)


def test_sums_come_out_as_they_went_in() -> None:
    """After everybody is forgotten nothing is left: what a vote adds is taken out exactly."""
    rng = np.random.default_rng(0)
    rule = Online(Stops())
    for _ in range(2000):
        answer = str(rng.choice(["yes", "no", "unsure"], p=[0.45, 0.45, 0.1]))
        rule.expect(int(rng.integers(200)), f"c{rng.integers(3)}", float(rng.random()))
        rule.add(Cast(int(rng.integers(200)), f"c{rng.integers(3)}", f"w{rng.integers(30)}", answer, ""))
    for who in range(30):
        rule.forget(f"w{who}")
    for sums in (rule._all, *rule._concepts.values()):
        left = [*sums.joint, *sums.bins, *sums.bins_yes]
        assert left == pytest.approx([0.0] * len(left), abs=1e-6)
    assert [*rule._crowd, *rule._unsure] == pytest.approx([0.0] * 8, abs=1e-6)


def test_where_people_are_unsure_a_picture_is_held_to_be_hard() -> None:
    def after(answers: str) -> float:
        rule = Online(Stops())
        for question in range(2, 400):  # a crowd that is right, and a few pictures that it cannot tell
            for who in range(4):
                answer = "yes" if question % 2 else "no"
                if question % 20 == 0:
                    answer = ("yes", "no", "unsure", "unsure")[who]
                rule.add(Cast(question, "owl", f"w{who}", answer, ""))
        for who, letter in enumerate(answers):
            rule.add(Cast(1, "owl", f"w{who}", {"y": "yes", "u": "unsure"}[letter], ""))
        return rule.decision(1).posterior

    assert after("yu") < after("y") - 0.01


def test_some_questions_are_asked_more_often_so_that_newcomers_are_contradicted() -> None:
    found = run(Stops(threshold=0.9), accuracy=0.97, size=800)
    assert (found.votes >= online.CHECKS).sum() >= 800 / online.CHECKED / 2
    assert np.median(found.votes) == 1
