"""What a sweep of learning rates tells, on curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.errors import UserError
from pictus.train.tuning import rates


def test_rates_grow_by_equal_factors() -> None:
    assert [rates.lr_at(step, 3, 0.01, 1.0) for step in range(3)] == pytest.approx([0.01, 0.1, 1.0])


def test_an_average_has_no_bias_towards_zero_at_the_start() -> None:
    assert rates.smoothed(np.full(5, 2.0)) == pytest.approx(np.full(5, 2.0))


def test_the_steepest_fall_is_found_and_the_end_bounds_it() -> None:
    lr = np.geomspace(1e-5, 1, 200)
    fall = 3 / (1 + np.exp(3 * (np.log(lr) - np.log(1e-2)))) + 0.5  # falls fastest at 0.01
    found = rates.picked(lr, fall, is_diverged=False)
    assert 0.01 <= found.lr <= 0.02  # the average is some ten steps late: 60 steps are a factor of 30
    bounded = rates.picked(lr[:110], fall[:110], is_diverged=True)  # ends at 0.00054
    assert bounded.lr == pytest.approx(min(bounded.steepest, lr[109] / 10))


def test_a_sweep_that_leaves_at_once_has_no_curve() -> None:
    with pytest.raises(UserError, match="no curve"):
        rates.picked(np.array([0.1]), np.array([2.0]), is_diverged=True)
    assert not rates.has_left(np.array([1.0, 9.0]))
    assert rates.has_left(np.array([1.0] * 30 + [9.0]))


def test_a_loss_that_goes_below_0_has_left_only_above_where_it_began() -> None:
    falling = np.concatenate((np.full(30, 4.0), np.linspace(4, -1, 60)))
    assert not any(rates.has_left(falling[:end]) for end in range(1, len(falling) + 1))
    assert not rates.has_left(np.append(falling, 3.9))
    assert rates.has_left(np.append(falling, 4.1))
    assert not rates.has_left(np.full(40, -2.0))
    assert rates.has_left(np.append(np.full(40, -2.0), -1.9))


def test_a_curve_that_only_shakes_is_not_clear_and_one_that_falls_is() -> None:
    lr = np.geomspace(1e-5, 1, 200)
    shaking = 2 + np.random.default_rng(0).normal(0, 0.2, 200)
    assert sum(rates.picked(lr, 2 + np.random.default_rng(seed).normal(0, 0.2, 200), is_diverged=False).is_clear
               for seed in range(40)) <= 4  # fmt: skip
    assert rates.picked(lr, shaking - np.linspace(0, 1, 200), is_diverged=False).is_clear
