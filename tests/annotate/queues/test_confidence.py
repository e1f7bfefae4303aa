"""Confident learning: which labels a model doubts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.annotate.queues.confidence import BLOCK, NONE, Predictions, dense, find, thresholds

# Five pictures, two classes. Thresholds: class 0 (.9 + .8 + .1) / 3 = .6; class 1 (.7 + .6) / 2 = .65
LABELS = np.array([0, 0, 0, 1, 1])
SHARES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])


def test_thresholds_are_what_the_model_says_of_its_own() -> None:
    assert thresholds(dense(LABELS, SHARES)).tolist() == pytest.approx([0.6, 0.65])


def test_what_is_surely_another_class_is_a_suspect() -> None:
    found = find(dense(LABELS, SHARES))
    assert found.row_S.tolist() == [2]
    assert found.other_S.tolist() == [1]
    assert found.quality_S.tolist() == pytest.approx([(1 + 0.1 - 0.9) / 2])


def test_a_class_the_model_is_never_sure_of_is_not_blamed_on_its_pictures() -> None:
    # labelled 1, the model always says .45 of it and .55 of class 0, whose own pictures have .9: below that threshold
    labels = np.array([0, 0, 1, 1])
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.55, 0.45]])
    assert find(dense(labels, shares)).row_S.size == 0


def test_the_best_guesses_find_the_same_as_all_classes() -> None:
    generator = np.random.default_rng(0)
    n, k = 3 * BLOCK // 2, 12
    truth = generator.integers(0, k, n)
    logits = generator.normal(size=(n, k))
    logits[np.arange(n), truth] += 5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(generator.random(n) < 0.1, generator.integers(0, k, n), truth)
    order = np.argsort(-shares, axis=1)[:, :5]
    few = Predictions(labels, order, np.take_along_axis(shares, order, axis=1), shares[np.arange(n), labels], k)
    all_of_them, of_few = find(dense(labels, shares)), find(few)
    assert all_of_them.row_S.tolist() == of_few.row_S.tolist()
    assert all_of_them.other_S.tolist() == of_few.other_S.tolist()
    assert all_of_them.quality_S == pytest.approx(of_few.quality_S, abs=1e-6)
    wrong = labels != truth
    assert wrong[all_of_them.row_S].mean() > 0.95


def test_pictures_with_fewer_guesses_are_taken_too() -> None:
    few = Predictions(np.array([0, 0, 1]), np.array([[1, NONE], [0, 1], [1, NONE]]),
                      np.array([[0.9, 0.0], [0.9, 0.1], [0.8, 0.0]]), np.array([0.0, 0.9, 0.8]), 2)  # fmt: skip
    assert find(few).row_S.tolist() == [0]
    none = find(dense(np.zeros(0, np.int64), np.zeros((0, 3))))
    assert none.row_S.size == 0


@settings(max_examples=60)
@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 1000))
def test_renaming_the_classes_changes_nothing(k: int, n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(k, 0.3), n)
    labels = generator.integers(0, k, n)
    names = generator.permutation(k)
    renamed = np.empty_like(shares)
    renamed[:, names] = shares
    plain, other = find(dense(labels, shares)), find(dense(names[labels], renamed))
    assert plain.row_S.tolist() == other.row_S.tolist()
    assert names[plain.other_S].tolist() == other.other_S.tolist()
    assert np.all(np.diff(plain.quality_S) >= 0)
