from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pictus.annotate.truth.annotators import skills_of
from pictus.annotate.truth.consensus import Votes, votes_of
from pictus.annotate.truth.dawid_skene import dawid_skene
from pictus.annotate.truth.majority import majority
from pictus.annotate.truth.one_coin import one_coin

PEOPLE = 8


def yes_no_crowd(share_yes: float, seed: int, many: int = 800) -> tuple[Votes, np.ndarray]:
    """Five who look (95 % right), one who guesses, one who always says yes, one who says the opposite."""
    rng = np.random.default_rng(seed)
    truth_I = (rng.random(many) < share_yes).astype(int)
    item_V, annotator_V = np.repeat(np.arange(many), PEOPLE), np.tile(np.arange(PEOPLE), many)
    right_V = np.array([0.95] * 5 + [0.5, 1, 0.1])[annotator_V]
    answer_V = np.where(rng.random(item_V.size) < right_V, truth_I[item_V], 1 - truth_I[item_V])
    answer_V[annotator_V == 6] = 1
    return votes_of(item_V, annotator_V, answer_V, n_classes=2), truth_I


@pytest.mark.parametrize("share_yes", [0.5, 0.75, 0.95])
def test_spammers_are_found_at_any_share_of_right_pictures(share_yes: float) -> None:
    votes, _ = yes_no_crowd(share_yes, seed=1)
    found = skills_of(votes, dawid_skene(votes), is_yes_no=True)
    assert found.is_low.tolist() == [False] * 5 + [True] * 3
    assert found.skill_W[:5] == pytest.approx([0.9] * 5, abs=0.12)  # 0.95 + 0.95 - 1
    assert found.skill_W[5:7] == pytest.approx([0, 0], abs=0.15)
    assert found.skill_W[7] < -0.6


def test_the_interval_of_the_accuracy_covers_the_truth() -> None:
    inside = 0
    for seed in range(20):
        votes, truth_I = yes_no_crowd(0.5, seed, many=150)
        found = skills_of(votes, dawid_skene(votes), is_yes_no=True)
        is_right_V = votes.answer_V == truth_I[votes.item_V]
        actual_W = [np.mean(is_right_V[votes.annotator_V == one]) for one in range(PEOPLE)]
        inside += int(np.sum((found.low_W <= actual_W) & (actual_W <= found.high_W)))
    assert inside >= 0.93 * 20 * PEOPLE


@pytest.mark.parametrize("method", [one_coin, dawid_skene])
@pytest.mark.parametrize("each", [2, 3])
def test_the_interval_of_the_accuracy_covers_it_with_few_votes_on_each_picture(method: Any, each: int) -> None:
    """Nine annotators, right 85 % of the time, 30 crowds: at least 92 of 100 intervals hold 0.85 (nominal 95).

    Of the skill at least 85: it is made of two rates, each with errors of the model's own.
    """
    inside, skill_inside = [], []
    for seed in range(30):
        classes = (2, 10)[seed % 2]
        rng = np.random.default_rng((seed, each))
        truth_I = rng.integers(0, classes, 400)
        item_V = np.repeat(np.arange(400), each)
        annotator_V = np.argsort(rng.random((400, 9)), axis=1)[:, :each].ravel()
        wrong_V = (truth_I[item_V] + rng.integers(1, classes, item_V.size)) % classes
        answer_V = np.where(rng.random(item_V.size) < 0.85, truth_I[item_V], wrong_V)
        votes = votes_of(item_V, annotator_V, answer_V, n_classes=classes)
        found = skills_of(votes, method(votes), is_yes_no=classes == 2)
        inside += ((found.low_W <= 0.85) & (found.high_W >= 0.85)).tolist()
        skill = 0.85 + 0.85 - 1 if classes == 2 else (0.85 - 0.1) / 0.9
        skill_inside += (np.abs(found.skill_W - skill) <= 1.96 * found.error_W).tolist()
    assert np.mean(inside) >= 0.92
    assert np.mean(skill_inside) >= 0.85


def test_nobody_is_suspected_on_few_votes() -> None:
    votes = votes_of([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 0, 1], n_classes=2)
    assert not skills_of(votes, majority(votes), is_yes_no=True).is_low.any()


def test_single_votes_compare_with_nothing() -> None:
    votes = votes_of([0, 1, 2], [0, 0, 1], [1, 1, 0], n_classes=2, trust_W=[0.95, 0.8])
    found = skills_of(votes, dawid_skene(votes), is_yes_no=False)
    assert found.accuracy_W.tolist() == [0.95, 0.8]
    assert found.n_compared_W.tolist() == [0, 0]
    assert not found.is_low.any()
    assert found.n_votes_W.tolist() == [2, 1]


def test_kappa_of_which_questions_is_worked_out_by_hand() -> None:
    # Majority settles items 0..19: class 0 for even ones, 1 for odd ones, three sure voices each.
    # Annotator 3 always says 0: right on half; its chance is the share of class 0.
    item_V, annotator_V = np.repeat(np.arange(20), 4), np.tile(np.arange(4), 20)
    answer_V = np.where(annotator_V == 3, 0, item_V % 2)
    votes = votes_of(item_V, annotator_V, answer_V, n_classes=2)
    found = skills_of(votes, majority(votes), is_yes_no=False)
    # q(0): 1 on even items, 1/4 on odd ones. Agreed on 10 + 2.5 of 20, and one vote right with the trust of 0.8.
    # Share of class 0: (12.5 + 1) / (20 + 2).
    agreed, chance = 13.3 / 21, 13.5 / 22
    assert found.skill_W[3] == pytest.approx((agreed - chance) / (1 - chance))
    assert found.accuracy_W[3] == pytest.approx((8 + 12.5) / 30)


def test_guessers_among_many_classes_are_found(make_crowd: Any) -> None:
    votes, _, _ = make_crowd(50, 1500, 12, 4, seed=2, low=0.7, spammers=2)
    found = skills_of(votes, dawid_skene(votes), is_yes_no=False)
    assert found.is_low.tolist() == [True] * 2 + [False] * 10
