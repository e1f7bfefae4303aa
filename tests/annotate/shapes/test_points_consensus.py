"""Points of several people: against mean and median on simulated people, and who is there at all."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.shapes.points_consensus import likeness_of_pairs, sizes_of, weigh_points


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """40 things of 17 points, five people with spreads 1 to 15 % of the thing, one click in 20 gone astray."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 200, (40, 17, 2))
    things, people = np.repeat(np.arange(40), 5), np.tile(np.arange(5), 40)
    spread = np.array([0.01, 0.015, 0.02, 0.08, 0.15])[people] * 200
    drawn = truth[things] + rng.normal(0, 1, (200, 17, 2)) * spread[:, None, None]
    astray = rng.random((200, 17)) < 0.05
    drawn[astray] += rng.uniform(-100, 100, (int(astray.sum()), 2))
    return things, people, np.concatenate([drawn, np.full((200, 17, 1), 2.0)], axis=2), truth


@pytest.mark.parametrize("seed", range(3))
def test_weighing_by_skill_beats_mean_and_median(seed: int) -> None:
    things, people, drawn, truth = scene(seed)
    found = weigh_points(things, people, drawn)
    by_thing = drawn[:, :, :2].reshape(40, 5, 17, 2)
    ours, mean, median = (
        np.mean(np.hypot(*np.moveaxis(places - truth, 2, 0)))
        for places in (found.points_TK3[:, :, :2], by_thing.mean(axis=1), np.median(by_thing, axis=1))
    )
    assert ours < 0.35 * mean
    assert ours < 0.75 * median
    assert found.spread_W[:3].max() < found.spread_W[3:].min()
    names = np.array([4, 2, 0, 1, 3])
    assert np.array_equal(weigh_points(things, names[people], drawn).points_TK3, found.points_TK3)


def test_a_point_that_most_do_not_see_is_not_there() -> None:
    one = [[10.0, 10, 2], [50, 60, 1]]
    without = [[11.0, 11, 2], [0, 0, 0]]
    found = weigh_points([0, 0, 0], [0, 1, 2], np.array([one, without, without]))
    assert found.points_TK3[0, :, 2].tolist() == [2, 0]
    assert found.points_TK3[0, 1].tolist() == [0, 0, 0]
    assert found.points_TK3[0, 0, 0] == pytest.approx(10.7, abs=0.4)


def test_likeness_is_half_at_a_fifth_of_the_size() -> None:
    one = np.array([[0, 0, 2], [100, 100, 2.0]])
    drawn = np.stack([one, one + np.array([20.0, 0, 0]), np.zeros((2, 3))])
    sizes = sizes_of(drawn)
    assert sizes.tolist() == [100, 100, 20]
    # Both points moved by 20 px = FAR × 100: half.
    first, second = np.array([0, 0]), np.array([1, 2])
    assert likeness_of_pairs(drawn, sizes, first, second).tolist() == pytest.approx([0.5, 0])


def test_no_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="one drawing"):
        weigh_points([], [], np.zeros((0, 2, 3)))
