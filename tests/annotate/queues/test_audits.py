"""Random samples of labels, what experts say of them, and the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pictus.annotate.queues.audits import Sample, draw, judged, precision, summed
from pictus.annotate.tasks import KINDS


def test_five_wrong_of_1500_are_imagenets_interval() -> None:
    found = precision([True] * 1495 + [False] * 5, [1.0] * 1500)
    assert found.words() == "99.7 %, 95 % CI 99.2-99.9, n = 1,500"
    assert (found.wrong, found.n_effective) == (5, 1500)
    # Clopper-Pearson for 1495 of 1500: Beta quantiles, R's binom.test gives 0.99224 to 0.99892
    assert found.exact_low == pytest.approx(0.99224, abs=2e-5)
    assert found.exact_high == pytest.approx(0.99892, abs=2e-5)


def test_no_errors_are_no_certainty() -> None:
    found = precision([True] * 20, [1.0] * 20)
    assert found.estimate == 1
    assert found.high == found.exact_high == 1
    assert found.exact_low == pytest.approx(0.025 ** (1 / 20))  # (alpha / 2)^(1 / n)
    assert precision([], []).words() == "nothing answered yet"


def test_weights_move_the_estimate_and_widen_the_interval() -> None:
    # one concept of 900 with 10 of 10 right, one of 100 with 5 of 10: .9 × 1 + .1 × .5
    right, weights = [True] * 15 + [False] * 5, [90.0] * 10 + [10.0] * 10
    found = precision(right, weights)
    assert found.estimate == pytest.approx(0.95)
    assert found.n_effective == pytest.approx(1000**2 / (10 * 90**2 + 10 * 10**2))  # Kish: 12.2 of 20
    assert found.low < precision([True] * 19 + [False], [1.0] * 20).low


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(1, 250), st.integers(0, 9), st.integers(0, 4))
def test_every_sample_has_its_size_no_label_twice_and_weights_that_add_up(
    concepts: list[int], many: int, seed: int, each: int
) -> None:
    sample = draw(concepts, many, seed, each)
    size = np.bincount(concepts)
    least = int(np.minimum(size, each).sum())
    assert sample.row_A.size == min(len(concepts), max(many, least))
    assert len(set(sample.row_A.tolist())) == sample.row_A.size
    assert sample.weight_A.sum() == pytest.approx(len(concepts)) or (each and np.any(drawn_of(concepts, sample) == 0))
    assert np.all(drawn_of(concepts, sample) >= np.minimum(size, each))
    again = draw(concepts, many, seed, each)
    assert again.row_A.tolist() == sample.row_A.tolist()


def drawn_of(concepts: list[int], sample: Sample) -> NDArray[np.int64]:
    return np.bincount(np.asarray(concepts)[sample.row_A], minlength=max(concepts) + 1)


def test_without_each_every_label_is_as_likely_and_every_concept_has_its_share() -> None:
    concepts = np.repeat([0, 1, 2], [500, 300, 200])
    counts = np.zeros(1000)
    for seed in range(400):
        sample = draw(concepts, 100, seed)
        drawn = np.bincount(concepts[sample.row_A], minlength=3)
        assert np.all(np.abs(drawn - [50, 30, 20]) <= 1)
        counts[sample.row_A] += 1
    # 400 draws at P = .1: mean 40, standard deviation 6; none of a thousand beyond 5 of them
    assert counts.min() > 10
    assert counts.max() < 70


def test_the_majority_counts_and_a_split_is_unsure() -> None:
    assert judged(["best"])[:2] == (True, True)
    assert judged(["present"])[:2] == (True, False)
    assert judged(["no"])[:2] == (False, False)
    assert judged(["unsure"])[:2] == (None, None)
    both = judged(["best", "no"])
    assert both[:2] == (None, None)
    assert both.is_disputed
    assert judged(["best", "present", "no"])[:2] == (True, False)
    assert judged(["best", "best", "no", "unsure"])[:2] == (True, True)


def test_presence_and_best_label_are_two_accuracies() -> None:
    outcomes = {at: judged([answer]) for at, answer in enumerate(["best"] * 8 + ["present", "no", "unsure"])}
    weights = dict.fromkeys(outcomes, 1.0)
    assert summed(outcomes, weights, of_best=False).estimate == pytest.approx(0.9)
    assert summed(outcomes, weights, of_best=True).estimate == pytest.approx(0.8)
    assert summed(outcomes, weights, of_best=False, unsure_is_wrong=True).estimate == pytest.approx(9 / 11)


def test_auditors_are_reviewers_who_have_not_answered_on_the_picture() -> None:
    kind = KINDS.get("audit")
    assert (kind.role, kind.is_blind_to_voters, kind.votes) == ("reviewer", True, False)
