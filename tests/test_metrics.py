"""Known values are worked out by hand in the comments; properties hold for any input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pictus import metrics

# A tree of four classes: root(2) -> animal(1) -> dog 0, cat 1; root -> tool(1) -> axe 2, saw 3.
HEIGHTS = np.array([[0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 0, 1], [2, 2, 1, 0]], np.float32)


def guesses(*rows: list[int]) -> Any:
    width = max(len(row) for row in rows)
    return np.array([row + [metrics.NO_GUESS] * (width - len(row)) for row in rows], np.int32)


def test_top_k_counts_a_hit_among_the_first_k_guesses() -> None:
    truth = metrics.truth_of([0, 1, 2])
    found = guesses([0, 3], [0, 1], [3, 0])
    assert metrics.is_right(found, truth, 1).tolist() == [True, False, False]
    assert metrics.is_right(found, truth, 2).tolist() == [True, True, False]


def test_a_missing_guess_is_wrong() -> None:
    truth = metrics.truth_of([0, 0])
    assert metrics.is_right(guesses([0], []), truth, 5).tolist() == [True, False]
    assert metrics.flat_errors(guesses([0], []), truth).tolist() == [0, 1]


def test_any_acceptable_label_is_right_and_an_empty_set_does_not_count() -> None:
    truth = metrics.truth_of_sets([[1, 3], [], [2]])
    found = guesses([3], [3], [1])
    assert metrics.is_right(found, truth, 1).tolist() == [True, False, False]
    assert truth.is_counted_N.tolist() == [True, False, True]
    assert np.isnan(metrics.flat_errors(found, truth)[1])


def test_flat_error_with_two_labels_is_the_share_of_labels_missed() -> None:
    # labels {1, 3}: guesses 3, 0 find one of two -> 1/2; guesses 1, 3 find both -> 0
    truth = metrics.truth_of_sets([[1, 3], [1, 3]])
    assert metrics.flat_errors(guesses([3, 0], [1, 3]), truth).tolist() == [0.5, 0]


def test_ignored_pictures_do_not_count() -> None:
    truth = metrics.truth_of([0, 1], is_counted_N=[True, False])
    assert metrics.is_right(guesses([0], [1]), truth, 1).tolist() == [True, False]
    assert np.isnan(metrics.flat_errors(guesses([0], [1]), truth)[1])


def test_hierarchical_error_is_the_height_of_the_common_ancestor_over_the_root_s() -> None:
    # dog for dog 0/2; cat for dog 1/2; axe for dog 2/2; nothing for dog 1; axe then cat for dog min(1, 1/2)
    truth = metrics.truth_of([0, 0, 0, 0, 0])
    found = guesses([0], [1], [2], [], [2, 1])
    assert metrics.hierarchical_errors(found, truth, HEIGHTS, 2).tolist() == [0, 0.5, 1, 1, 0.5]
    assert metrics.hierarchical_errors(found, truth, HEIGHTS, 2, k=1).tolist() == [0, 0.5, 1, 1, 1]


def test_hierarchical_error_averages_over_labels() -> None:
    # labels {dog, axe}; guess cat: dog costs 1/2, axe costs 1 -> 3/4
    assert metrics.hierarchical_errors(guesses([1]), metrics.truth_of_sets([[0, 2]]), HEIGHTS, 2).tolist() == [0.75]


def test_in_a_flat_taxonomy_hierarchical_error_equals_flat_error() -> None:
    flat = (1 - np.eye(4)).astype(np.float32)
    truth, found = metrics.truth_of([0, 1, 2, 3]), guesses([0, 1], [0, 2], [2], [])
    same = metrics.hierarchical_errors(found, truth, flat, 1)
    assert same.tolist() == metrics.flat_errors(found, truth).tolist()


def test_a_single_concept_has_no_hierarchy_to_divide_by() -> None:
    truth = metrics.truth_of([0, 0])
    assert metrics.hierarchical_errors(guesses([0], []), truth, np.zeros((1, 1), np.float32), 0).tolist() == [0, 1]


def test_mistake_severity_is_a_mean_over_mistakes_only() -> None:
    # right; cat for dog 1; axe for dog 2; no guess: stays out -> (1 + 2) / 2
    truth = metrics.truth_of([0, 0, 0, 0])
    assert metrics.mistake_severity(guesses([0], [1], [2], []), truth, HEIGHTS) == 1.5
    assert np.isnan(metrics.mistake_severity(guesses([0]), metrics.truth_of([0]), HEIGHTS))


def test_mistake_severity_takes_the_nearest_of_several_labels() -> None:
    # saw for {dog, axe}: axe is nearer, height 1; the filler of the shorter row does not count as class 0
    truth = metrics.truth_of_sets([[0, 2], [2]])
    assert metrics.mistake_severity(guesses([3], [3]), truth, HEIGHTS) == 1


def test_confusion_has_truth_in_rows() -> None:
    found = metrics.confusion([0, 1, 0, 1, 0], [1, 1, 0, metrics.NO_GUESS, 1], 2)
    assert [values.tolist() for values in found[:3]] == [[0, 0, 1], [0, 1, 1], [1, 2, 1]]


def test_confusion_of_21_841_classes_fits_into_a_page_of_memory() -> None:
    generator = np.random.default_rng(0)
    labels, guesses = generator.integers(0, 21_841, (2, 1_000))
    found = metrics.confusion(labels, guesses, 21_841)
    assert sum(values.nbytes for values in found[:3]) <= 3 * 8 * 1_000
    assert int(metrics.class_metrics(found).n_predicted_K.sum()) == 1_000


def test_precision_recall_f1_by_hand() -> None:
    # class 0: 3 true, 2 of them found, 4 predicted -> P 2/4, R 2/3, F1 = 2*2/(3+4) = 4/7
    # class 1: 2 true, 0 found, 1 predicted -> 0, 0, 0; class 2: never true nor predicted -> nan
    found = metrics.class_metrics(metrics.confusion([0, 0, 0, 1, 1], [0, 0, 1, 0, 0], 3))
    assert found.precision_K[:2].tolist() == [0.5, 0]
    assert found.recall_K[:2] == pytest.approx([2 / 3, 0])
    assert found.f1_K[:2] == pytest.approx([4 / 7, 0])
    assert np.isnan([found.precision_K[2], found.recall_K[2], found.f1_K[2]]).all()


def test_pictures_without_a_guess_count_against_recall() -> None:
    found = metrics.class_metrics(metrics.confusion([0, 0, 1], [0, -1, 1], 2), n_true_K=np.array([2, 1]))
    assert found.recall_K.tolist() == [0.5, 1]
    assert found.precision_K.tolist() == [1, 1]


def test_ece_by_hand() -> None:
    # 15 bins of 1/15. 0.95 and 0.97 lie in (14/15, 1]: confidence .96, accuracy .5, gap .46, weight 2/4.
    # 0.1 lies in (1/15, 2/15]: accuracy 0, gap .1, weight 1/4. 1/15 is the right edge of bin 0: gap 1 - 1/15.
    found = metrics.calibration([0.95, 0.97, 0.1, 1 / 15], [True, False, False, True])
    assert found.n_B.tolist() == [1, 1, *[0] * 12, 2]
    assert found.ece == pytest.approx(0.46 / 2 + 0.1 / 4 + (1 - 1 / 15) / 4)
    assert found.accuracy_B[14] == 0.5
    assert np.isnan(found.accuracy_B[5])


def test_confidence_zero_and_one_lie_in_the_outer_bins() -> None:
    assert metrics.calibration([0.0, 1.0], [False, True]).n_B.tolist() == [1, *[0] * 13, 1]
    assert metrics.calibration([0.0, 1.0], [False, True]).ece == 0


def test_confidence_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        metrics.calibration([1.5], [True])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        metrics.calibration([float("nan")], [True])


def test_tie_goes_to_the_lower_class() -> None:
    assert metrics.top_guesses(np.array([[0.2, 0.4, 0.4], [1, 1, 1]], np.float32), 2).tolist() == [[1, 2], [0, 1]]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="N = 2"):
        metrics.is_right(guesses([0]), metrics.truth_of([0, 1]), 1)
    with pytest.raises(ValueError, match=">= 0"):
        metrics.truth_of([-1])
    with pytest.raises(ValueError, match="as long as"):
        metrics.truth_of([1, 2], is_counted_N=[True])
    with pytest.raises(ValueError, match=">= 0"):
        metrics.truth_of_sets([[-3]])


cases = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.int32, n, elements=st.integers(0, 3)),
        arrays.arrays(np.int32, (n, 5), elements=st.integers(-1, 3)),
    )
)


@given(cases)
def test_flat_error_is_one_minus_top_k_and_never_below_hierarchical(case: Any) -> None:
    labels, found = case
    truth = metrics.truth_of(labels)
    for k in (1, 3, 5):
        flat = metrics.flat_errors(found, truth, k)
        assert np.array_equal(flat, 1 - metrics.is_right(found, truth, k))
        assert np.all(metrics.hierarchical_errors(found, truth, HEIGHTS, 2, k) <= flat)
        assert np.all(flat <= metrics.flat_errors(found, truth, k - 1 or 1))


@given(cases)
def test_sets_of_one_equal_single_labels(case: Any) -> None:
    labels, found = case
    single, sets = metrics.truth_of(labels), metrics.truth_of_sets([[int(label)] for label in labels])
    assert np.array_equal(metrics.flat_errors(found, single), metrics.flat_errors(found, sets))


@given(cases)
def test_confusion_counts_every_guessed_picture_once(case: Any) -> None:
    labels, found = case
    cells = metrics.confusion(labels, found[:, 0], 4)
    assert cells.count_X.sum() == (found[:, 0] >= 0).sum()
    right = metrics.is_right(found, metrics.truth_of(labels), 1)
    assert cells.count_X[cells.true_X == cells.predicted_X].sum() == right.sum()


@given(arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.randoms(use_true_random=False))
def test_ece_lies_between_the_overall_gap_and_one(confidence: Any, random: Any) -> None:
    right = np.array([random.random() < 0.5 for _ in confidence])
    found = metrics.calibration(confidence, right)
    # |mean gap| <= mean |gap| by the triangle inequality; one bin attains it
    assert abs(confidence.mean() - right.mean()) - 1e-9 <= found.ece <= 1
    assert metrics.calibration(confidence, right, bins=1).ece == pytest.approx(abs(confidence.mean() - right.mean()))
