from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import Votes, candidates_of, votes_of
from pictus.annotate.truth.one_coin import accuracies, first_guess, one_coin


def dense(votes: Votes, rounds: int) -> NDArray[np.float64]:
    """The model written out over all K classes, with loops: f64[I, K]."""
    items, classes = votes.n_items, votes.n_classes
    teaches_I = np.bincount(votes.item_V) >= 2
    rows = list(zip(votes.item_V.tolist(), votes.annotator_V.tolist(), votes.answer_V.tolist(), strict=True))
    accuracy_W, share_K = votes.trust_W.copy(), np.full(classes, 1 / classes)
    posterior_IK = np.zeros((items, classes))
    for _ in range(rounds + 1):
        posterior_IK = np.where(teaches_I[:, None], share_K, 1 / classes)
        for item, annotator, answer in rows:
            likelihood_K = np.full(classes, (1 - accuracy_W[annotator]) / (classes - 1))
            likelihood_K[answer] = accuracy_W[annotator]
            posterior_IK[item] *= likelihood_K
        posterior_IK /= posterior_IK.sum(axis=1, keepdims=True)
        right_W, count_W = 10 * votes.trust_W, np.full(votes.n_annotators, 10.0)
        for item, annotator, answer in rows:
            right_W[annotator] += posterior_IK[item, answer] * teaches_I[item]
            count_W[annotator] += teaches_I[item]
        accuracy_W = right_W / count_W
        named_K = np.zeros(classes)
        for item, answer in {(item, answer) for item, _, answer in rows}:
            named_K[answer] += posterior_IK[item, answer] * teaches_I[item]
        # With few classes every class is a candidate; with many those nobody named are not counted.
        share_K = ((posterior_IK * teaches_I[:, None]).sum(axis=0) if classes <= 8 else named_K) + 1
        share_K /= share_K.sum()
    return posterior_IK


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_it_is_the_model_written_out(classes: int, make_crowd: Any) -> None:
    crowd = make_crowd(classes, 40, 6, 3, seed=classes).votes
    stays_V = np.arange(120) % 3 < 1 + (crowd.item_V % 4 > 0) * 2  # every fourth item keeps one vote only
    votes = votes_of(crowd.item_V[stays_V], crowd.annotator_V[stays_V], crowd.answer_V[stays_V], n_classes=classes)
    assert sorted(set(votes.counts.tolist())) == [1, 3]
    found = one_coin(votes)
    expected_IK = dense(votes, rounds=150)
    candidates = found.candidates
    np.testing.assert_allclose(found.posterior_P, expected_IK[candidates.item_P, candidates.class_P], atol=2e-3)


def test_before_any_learning_odds_multiply() -> None:
    # Trust 0.8: each vote is worth odds 4. Yes, yes, no: 4 * 4 / 4 = 4 to 1.
    votes = votes_of([0, 0, 0], [0, 1, 2], [1, 1, 0], n_classes=2)
    assert first_guess(votes, candidates_of(votes)).tolist() == pytest.approx([0.2, 0.8])


def test_one_vote_is_worth_the_trust_in_its_annotator() -> None:
    # Nothing can be learned from single votes, however many: the posterior is the trust, for any number of classes.
    for classes in (2, 3, 1000):
        answers = [1] * 400 + [0] * 100
        votes = votes_of(range(500), [0] * 250 + [1] * 250, answers, n_classes=classes, trust_W=[0.95, 0.7])
        found = one_coin(votes)
        assert found.posterior_I[:250] == pytest.approx(0.95)
        assert found.posterior_I[250:] == pytest.approx(0.7)


def test_accuracy_is_pulled_towards_trust_by_ten_votes() -> None:
    # 0.8 * 10 prior right, 5 of 5 right: (8 + 5) / 15. The item with one vote does not count.
    votes = votes_of([0, 0, 1], [0, 1, 0], [1, 1, 1], n_classes=2, trust_W=[0.8, 0.8])
    candidates = candidates_of(votes)
    found = accuracies(votes, candidates, np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert found.tolist() == pytest.approx([9 / 11, 9 / 11])


def test_a_good_annotator_outvotes_two_guessers(make_crowd: Any) -> None:
    rng = np.random.default_rng(0)
    truth_I = rng.integers(0, 2, 600)
    item_V, annotator_V = np.repeat(np.arange(600), 5), np.tile(np.arange(5), 600)
    right = np.array([0.97, 0.97, 0.97, 0.5, 0.5])[annotator_V]
    answer_V = np.where(rng.random(3000) < right, truth_I[item_V], 1 - truth_I[item_V])
    votes = votes_of(item_V, annotator_V, answer_V, n_classes=2)
    found = one_coin(votes)
    assert np.mean(found.label_I == truth_I) > 0.985
    teaches_P = np.ones(found.posterior_P.size)
    drawn_W = [np.mean((answer_V == truth_I[item_V])[annotator_V == number]) for number in range(5)]
    assert accuracies(votes, found.candidates, found.posterior_P, teaches_P) == pytest.approx(drawn_W, abs=0.02)
