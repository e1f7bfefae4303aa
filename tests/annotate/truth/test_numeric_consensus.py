"""Numbers of several people: by hand, and against the plain mean on simulated people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.annotate.truth.numeric_consensus import Floats, medians, numbers_of, weigh


def crowd(seed: int, bias: Floats | None = None) -> tuple[np.ndarray, np.ndarray, Floats, Floats]:
    """200 items, five people with spreads 1, 1, 2, 8, 10."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, 200)
    items, people = np.repeat(np.arange(200), 5), np.tile(np.arange(5), 200)
    spread = np.array([1, 1, 2, 8, 10.0])
    values = truth[items] + rng.normal(0, 1, 1000) * spread[people]
    return items, people, values + (0 if bias is None else bias[people]), truth


def rmse(found: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def test_two_who_agree_outweigh_one_who_slips() -> None:
    # Nine items on which all three agree, one on which eve is 40 off: the mean would be 13.3 off.
    items, people = np.repeat(np.arange(10), 3), np.tile(np.arange(3), 10)
    rng = np.random.default_rng(0)
    values = 50 + rng.normal(0, 1, 30)
    values[-3:] = [50, 50, 90]
    found = weigh(numbers_of(items, people, values))
    assert found.value_I[-1] == pytest.approx(50, abs=1)


def test_one_answer_is_the_truth_and_teaches_nothing() -> None:
    found = weigh(numbers_of([0, 1], [0, 1], [7.0, 9.0]))
    assert found.value_I.tolist() == [7.0, 9.0]
    assert found.spread_W[0] == found.spread_W[1]


def test_equal_people_give_the_mean_and_its_deviation() -> None:
    # Both spreads are equal by symmetry, the weights too: 4.
    found = weigh(numbers_of([0, 0], [0, 1], [3.0, 5.0]))
    assert found.value_I[0] == pytest.approx(4)
    low, high = found.interval()
    assert low[0] < 3
    assert high[0] > 5


@pytest.mark.parametrize("seed", range(3))
def test_weighing_by_skill_beats_mean_and_median(seed: int) -> None:
    items, people, values, truth = crowd(seed)
    found = weigh(numbers_of(items, people, values), has_bias=False)
    by_item = values.reshape(200, 5)
    assert rmse(found.value_I, truth) < 0.4 * rmse(by_item.mean(axis=1), truth)
    assert rmse(found.value_I, truth) < 0.7 * rmse(np.median(by_item, axis=1), truth)
    low, high = found.interval()
    assert 0.88 < np.mean((low <= truth) & (truth <= high)) < 0.99
    assert np.argsort(found.spread_W).tolist()[2:] == [2, 3, 4]


def test_who_always_gives_too_much_is_corrected() -> None:
    items, people, values, truth = crowd(5, np.array([-3.0, 3.0, 0, 0, 0]))
    plain, corrected = (weigh(numbers_of(items, people, values), has_bias=has_bias) for has_bias in (False, True))
    assert corrected.bias_W[1] - corrected.bias_W[0] == pytest.approx(6, abs=0.6)
    assert rmse(corrected.value_I, truth) < 0.8 * rmse(plain.value_I, truth)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(5)))
def test_renaming_people_changes_nothing(names: list[int]) -> None:
    items, people, values, _ = crowd(1)
    first, second = (weigh(numbers_of(items, who, values)) for who in (people, np.array(names)[people]))
    assert np.array_equal(first.value_I, second.value_I)
    assert np.array_equal(first.spread_W, second.spread_W[names])


def test_medians_of_each_item() -> None:
    assert medians(np.array([0, 0, 0, 2, 2]), np.array([1.0, 9, 4, 5, 7]), 4).tolist() == [4, 0, 6, 0]


def test_columns_that_do_not_fit_are_refused() -> None:
    for columns in (([0], [0, 1], [1.0]), ([-1], [0], [1.0]), ([0], [0], [float("nan")])):
        with pytest.raises(ValueError, match=r"columns of one length|finite"):
            numbers_of(*columns)


def test_nothing_to_weigh_is_nothing() -> None:
    assert weigh(numbers_of([], [], [])).value_I.size == 0
