from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import Votes, votes_of
from pictus.annotate.truth.dawid_skene import dawid_skene
from pictus.annotate.truth.majority import majority
from pictus.annotate.truth.one_coin import one_coin


def logit(share: Any) -> Any:
    return np.log(share / (1 - share))


def dense(votes: Votes, rounds: int) -> NDArray[np.float64]:
    """The model written out with whole confusion matrices and loops, all classes candidates: f64[I, K]."""
    items, people, classes = votes.n_items, votes.n_annotators, votes.n_classes
    rows = list(zip(votes.item_V.tolist(), votes.annotator_V.tolist(), votes.answer_V.tolist(), strict=True))
    teaches_I = (np.bincount(votes.item_V) >= 2).astype(float)
    posterior_IK = np.full((items, classes), 1 / classes)
    for item, annotator, answer in rows:
        posterior_IK[item] *= np.where(
            np.arange(classes) == answer, votes.trust_W[annotator], (1 - votes.trust_W[annotator]) / (classes - 1)
        )
    posterior_IK /= posterior_IK.sum(axis=1, keepdims=True)
    right = np.eye(classes, dtype=bool)
    for _ in range(rounds):
        count_WKK = np.zeros((people, classes, classes))
        for item, annotator, answer in rows:
            count_WKK[annotator, :, answer] += posterior_IK[item] * teaches_I[item]
        expected = np.mean(votes.trust_W[votes.annotator_V])
        overall = (10 * expected + count_WKK[:, right].sum()) / (10 + count_WKK.sum())
        accuracy_W = (10 * votes.trust_W + count_WKK[:, right].sum(axis=1)) / (10 + count_WKK.sum(axis=(1, 2)))
        pooled_KK = count_WKK.sum(axis=0)
        accuracy_K = (10 * overall + np.diag(pooled_KK)) / (10 + pooled_KK.sum(axis=1))
        wrong_KK = np.where(right, 0, pooled_KK + 5)
        spread_KK = wrong_KK / wrong_KK.sum(axis=1, keepdims=True)
        share_K = (posterior_IK * teaches_I[:, None]).sum(axis=0) + 1
        log_IK = np.log(np.where(teaches_I[:, None] > 0, share_K / share_K.sum(), 1 / classes))
        for item, annotator, answer in rows:
            for k in range(classes):
                diagonal = 1 / (1 + np.exp(-(logit(accuracy_W[annotator]) + logit(accuracy_K[k]) - logit(overall))))
                mean = diagonal if k == answer else (1 - diagonal) * spread_KK[k, answer]
                own = posterior_IK[item, k] * teaches_I[item]
                cell = 2 * classes * mean + count_WKK[annotator, k, answer] - own
                row = 2 * classes + count_WKK[annotator, k].sum() - own
                log_IK[item, k] += np.log(cell / row)
        posterior_IK = np.exp(log_IK - log_IK.max(axis=1, keepdims=True))
        posterior_IK /= posterior_IK.sum(axis=1, keepdims=True)
    return posterior_IK


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_is_the_model_written_out(classes: int, make_crowd: Any) -> None:
    crowd = make_crowd(classes, 60, 6, 4, seed=classes).votes
    stays_V = np.arange(240) % 4 < 1 + (crowd.item_V % 4 > 0) * 3  # every fourth item keeps one vote only
    votes = votes_of(crowd.item_V[stays_V], crowd.annotator_V[stays_V], crowd.answer_V[stays_V], n_classes=classes)
    assert sorted(set(votes.counts.tolist())) == [1, 4]
    found = dawid_skene(votes)
    expected_IK = dense(votes, rounds=60)
    np.testing.assert_allclose(found.posterior_P.reshape(-1, classes), expected_IK, atol=0.02)


def test_one_vote_is_worth_the_trust_in_its_annotator() -> None:
    for classes in (2, 3, 1000):
        answers = [1] * 400 + [0] * 100
        votes = votes_of(range(500), [0] * 250 + [1] * 250, answers, n_classes=classes, trust_W=[0.95, 0.7])
        found = dawid_skene(votes)
        assert found.posterior_I[:250] == pytest.approx(0.95, abs=1e-5)
        assert found.posterior_I[250:] == pytest.approx(0.7, abs=1e-5)


def test_it_learns_who_says_yes_too_often() -> None:
    """Two of three annotators say yes to half of the wrong ones: one coin each cannot see that, a matrix can."""
    rng = np.random.default_rng(3)
    truth_I = (rng.random(2000) < 0.5).astype(int)
    yes_if_true = np.array([0.95, 0.95, 0.98, 0.98, 0.98])
    yes_if_false = np.array([0.05, 0.05, 0.6, 0.6, 0.6])
    item_V, annotator_V = np.repeat(np.arange(2000), 5), np.tile(np.arange(5), 2000)
    chance = np.where(truth_I[item_V] == 1, yes_if_true[annotator_V], yes_if_false[annotator_V])
    votes = votes_of(item_V, annotator_V, (rng.random(item_V.size) < chance).astype(int), n_classes=2)
    right = {method: np.mean(method(votes).label_I == truth_I) for method in (majority, one_coin, dawid_skene)}
    assert right[dawid_skene] > 0.98
    assert right[dawid_skene] > right[majority] + 0.1


def test_it_learns_which_classes_are_confused() -> None:
    """Class 2 is called 1 by everybody six times in ten: votes 1, 1, 2 mean 2."""
    rng = np.random.default_rng(4)
    truth_I = rng.integers(0, 3, 3000)
    confusion_KK = np.array([[0.9, 0.05, 0.05], [0.04, 0.95, 0.01], [0.01, 0.6, 0.39]])
    item_V, annotator_V = np.repeat(np.arange(3000), 5), np.tile(np.arange(5), 3000)
    answer_V = (rng.random(item_V.size)[:, None] > np.cumsum(confusion_KK, axis=1)[truth_I[item_V]]).sum(axis=1)
    votes = votes_of(item_V, annotator_V, answer_V, n_classes=3)
    assert np.mean(dawid_skene(votes).label_I == truth_I) > np.mean(majority(votes).label_I == truth_I) + 0.05


def test_an_answer_can_be_a_state_of_the_item() -> None:
    """Yes, no and "cannot be told" as three classes: items where people waver are not forced to yes or no."""
    rng = np.random.default_rng(5)
    truth_I = rng.choice(3, 1500, p=[0.5, 0.3, 0.2])
    confusion_KK = np.array([[0.92, 0.02, 0.06], [0.02, 0.9, 0.08], [0.35, 0.35, 0.3]])
    item_V, annotator_V = np.repeat(np.arange(1500), 5), np.tile(np.arange(5), 1500)
    answer_V = (rng.random(item_V.size)[:, None] > np.cumsum(confusion_KK, axis=1)[truth_I[item_V]]).sum(axis=1)
    found = dawid_skene(votes_of(item_V, annotator_V, answer_V, n_classes=3))
    sure = found.posterior_I >= 0.9
    assert np.mean(found.label_I[sure] == truth_I[sure]) > 0.95
    assert np.mean(found.label_I[truth_I == 2] == 2) > 0.6
