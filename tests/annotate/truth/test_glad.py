from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pictus.annotate.truth.consensus import votes_of
from pictus.annotate.truth.glad import glad


@pytest.mark.parametrize("classes", [2, 3, 50])
def test_one_vote_is_worth_the_trust_in_its_annotator(classes: int) -> None:
    # a = logit(trust) + log(K - 1), b = 1: exp(a) / (exp(a) + K - 1) = trust; over K equal classes the same.
    found = glad(votes_of(range(30), [0] * 30, [0, 1] * 15, n_classes=classes, trust_W=[0.9]))
    assert found.posterior_I == pytest.approx(np.full(30, 0.9), abs=1e-6)


def test_with_two_classes_it_is_whitehills_model_at_its_optimum() -> None:
    """At the end both slopes of the published posterior are zero: sum (q - sigmoid(a b)) b = firm (a - expected)."""
    rng = np.random.default_rng(0)
    truth_I = rng.integers(0, 2, 60)
    item_V, annotator_V = np.repeat(np.arange(60), 6), np.tile(np.arange(6), 60)
    answer_V = np.where(rng.random(360) < np.linspace(0.6, 0.95, 6)[annotator_V], truth_I[item_V], 1 - truth_I[item_V])
    found = glad(votes_of(item_V, annotator_V, answer_V, n_classes=2))
    # Written out once more, by plain gradient ascent with small steps: the same posterior.
    ability_W, ease_I, start = np.full(6, math.log(4)), np.zeros(60), math.log(4)
    right_V = np.zeros(360)
    for _ in range(3000):
        score_V = ability_W[annotator_V] * np.exp(ease_I)[item_V]
        log_IK = np.stack([np.bincount(item_V, score_V * (answer_V == k), 60) for k in (0, 1)], axis=1)
        q_IK = np.exp(log_IK - log_IK.max(axis=1, keepdims=True))
        q_IK /= q_IK.sum(axis=1, keepdims=True)
        right_V = q_IK[item_V, answer_V] - 1 / (1 + np.exp(-score_V))
        ability_W = ability_W + 0.01 * (
            np.bincount(annotator_V, right_V * np.exp(ease_I)[item_V], 6) - 1.6 * (ability_W - start)
        )
        ease_I = ease_I + 0.01 * (np.bincount(item_V, right_V * score_V, 60) - ease_I / 0.25)
    np.testing.assert_allclose(found.posterior_P.reshape(60, 2), q_IK, atol=0.01)


def test_a_picture_on_which_good_people_differ_is_less_sure_than_its_votes_alone_say(make_crowd: Any) -> None:
    # 300 pictures on which six agree, one on which four say 1 and two say 0: a hard one.
    items = [*np.repeat(range(300), 6), *[300] * 6]
    answers = [*np.repeat(np.arange(300) % 2, 6), 1, 1, 1, 1, 0, 0]
    found = glad(votes_of(items, [*range(6)] * 301, answers, n_classes=2))
    assert found.label_I[300] == 1
    assert found.posterior_I[300] < found.posterior_I[:300].min()
    votes, truth_I, _ = make_crowd(2, 1000, 20, 5, seed=3, low=0.6, spammers=4)
    assert np.mean(glad(votes).label_I == truth_I) > 0.9
