from __future__ import annotations

import math
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from pictus.annotate.truth.agreement import agreement
from pictus.stats import fleiss_kappa, krippendorff_alpha


def crowd(
    items: int, each: int, right: float, seed: int, classes: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, items)
    item = np.repeat(np.arange(items), each)
    wrong = (truth[item] + rng.integers(1, classes, item.size)) % classes
    return item, np.where(rng.random(item.size) < right, truth[item], wrong)


def test_the_estimates_are_those_of_the_formulas() -> None:
    item, answer = crowd(200, 4, 0.8, seed=1, classes=3)
    found = agreement(item, answer)
    assert found.alpha.estimate == pytest.approx(krippendorff_alpha(item, answer))
    assert found.kappa.estimate == pytest.approx(fleiss_kappa(item, answer))
    assert (found.n_items, found.n_votes) == (200, 800)


def test_the_interval_is_the_bootstrap_written_out() -> None:
    item, answer = crowd(150, 3, 0.8, seed=2)
    found = agreement(item, answer, rounds=4000)
    rng = np.random.default_rng(5)
    table = answer.reshape(150, 3)
    drawn = [
        krippendorff_alpha(np.repeat(np.arange(150), 3), table[rng.integers(0, 150, 150)].ravel()) for _ in range(4000)
    ]
    assert (found.alpha.low, found.alpha.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)


@pytest.mark.parametrize("classes", [2, 40])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(classes: int) -> None:
    """The truth of alpha: what 100,000 items have."""
    truth = krippendorff_alpha(*crowd(100_000, 3, 0.7, seed=0, classes=classes))
    inside = 0
    for seed in range(60):
        found = agreement(*crowd(300, 3, 0.7, seed=seed + 1, classes=classes), rounds=400).alpha
        inside += found.low <= truth <= found.high
    assert inside >= 53


def test_more_kinds_of_item_than_units_are_drawn_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    item, answer = crowd(3000, 3, 0.7, seed=3, classes=40)
    monkeypatch.setattr("pictus.annotate.truth.agreement.UNITS", 10**6)
    exact = agreement(item, answer).alpha
    monkeypatch.setattr("pictus.annotate.truth.agreement.UNITS", 300)
    grouped = agreement(item, answer).alpha
    assert (grouped.low, grouped.high) == pytest.approx((exact.low, exact.high), abs=0.01)


def test_nothing_to_compare_is_nan() -> None:
    assert math.isnan(agreement([0, 1], [0, 1]).alpha.estimate)
    assert math.isnan(agreement([], []).kappa.low)
    assert math.isnan(agreement([0, 0], [1, 1]).alpha.low)


def test_the_same_seed_gives_the_same_interval_and_a_million_votes_take_a_moment() -> None:
    item, answer = crowd(200_000, 5, 0.8, seed=4, classes=3)
    started = time.process_time()
    first = agreement(item, answer)
    assert time.process_time() - started < 10
    assert first.alpha.high - first.alpha.low < 0.01
    small = crowd(100, 3, 0.8, seed=6)
    assert agreement(*small, seed=1) == agreement(*small, seed=1)
