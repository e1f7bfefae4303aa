from __future__ import annotations

import numpy as np
import pytest

from pictus import metrics
from pictus.challenge.answers import Answers, Guesses
from pictus.challenge.leaderboard import rank, score_of


def answers(n: int) -> Answers:
    return Answers("truth", metrics.truth_of(np.zeros(n, int)), {}, is_open=True, are_numbers=True)


def right_on(n: int, right: slice, name: str) -> Guesses:
    guesses = np.ones((n, 1), np.int32)
    guesses[right] = 0
    return Guesses(name, guesses, ())


def test_score_by_hand() -> None:
    # 4 pictures of class 0: first guess right once, among five twice more, never once
    guesses = Guesses("a", np.array([[0, 1], [1, 0], [2, 0], [1, 2]], np.int32), ())
    score = score_of(guesses, answers(4))
    assert (score.top1, score.top5, score.hierarchical_error) == (0.25, 0.75, None)
    assert score.top1_low < 0.25 < score.top1_high


def test_models_that_err_on_the_same_pictures_are_told_apart_by_a_small_difference() -> None:
    # a is right wherever b is and on 6 more: McNemar p = 2 / 2^6 = 0.031 < 0.05 although intervals overlap widely
    scores = rank([right_on(100, slice(0, 80), "b"), right_on(100, slice(0, 86), "a")], answers(100))
    assert [(one.rank, one.name) for one in scores] == [(1, "a"), (2, "b")]
    assert scores[0].top1_low < scores[1].top1_high


def test_five_more_are_a_tie() -> None:
    # p = 2 / 2^5 = 0.0625 >= 0.05
    scores = rank([right_on(100, slice(0, 80), "b"), right_on(100, slice(0, 85), "a")], answers(100))
    assert [(one.rank, one.name) for one in scores] == [(1, "a"), (1, "b")]


def test_a_group_is_told_from_its_best_and_the_next_rank_counts_all_above() -> None:
    # 85 and 80 tie with 85; 76 differs from 85 (9 more, p = 2/2^9) though not from 80 (4 more)
    models = [right_on(100, slice(0, count), str(count)) for count in (76, 85, 80)]
    assert [(one.rank, one.name) for one in rank(models, answers(100))] == [(1, "85"), (1, "80"), (3, "76")]


def test_rank_by_top5() -> None:
    first = Guesses("often second", np.tile(np.array([[1, 0]], np.int32), (50, 1)), ())
    other = right_on(50, slice(0, 25), "half right")
    assert [one.name for one in rank([first, other], answers(50), by="top5")] == ["often second", "half right"]
    assert [one.name for one in rank([first, other], answers(50))] == ["half right", "often second"]


def test_pictures_left_out_change_nothing() -> None:
    truth = metrics.truth_of(np.zeros(10, int), is_counted_N=np.arange(10) < 5)
    left_out = Answers("truth", truth, {}, is_open=True, are_numbers=True)
    guesses = right_on(10, slice(0, 4), "a")
    assert score_of(guesses, left_out).top1 == 0.8


def test_hierarchical_error_is_the_best_of_five() -> None:
    heights = np.array([[0, 1, 2], [1, 0, 2], [2, 2, 0]], np.float32)
    known = Answers(
        "truth", metrics.truth_of([0, 0]), {}, is_open=False, are_numbers=False, heights_KK=heights, greatest_height=2
    )
    # first picture: 2 then 1 -> min(1, 1/2); second: 2 -> 1; mean 0.75
    score = score_of(Guesses("a", np.array([[2, 1], [2, -1]], np.int32), ()), known)
    assert score.hierarchical_error == pytest.approx(0.75)


def test_all_or_nothing_right_on_few_pictures_is_not_certain() -> None:
    # Wilson by hand: z = 1.96, z2 = 3.8415; 3 of 3: low = 1 / (1 + z2 / 3) = 0.4385
    best, worst = (score_of(right_on(3, slice(0, count), "a"), answers(3)) for count in (3, 0))
    assert (best.top1, best.top1_low, best.top1_high) == pytest.approx((1, 0.4385, 1), abs=1e-4)
    assert (worst.top5, worst.top5_low, worst.top5_high) == pytest.approx((0, 0, 0.5615), abs=1e-4)


def test_hierarchical_error_has_an_interval() -> None:
    heights = np.array([[0, 1, 2], [1, 0, 2], [2, 2, 0]], np.float32)
    truth = metrics.truth_of([0] * 5, is_counted_N=[True] * 4 + [False])
    known = Answers("truth", truth, {}, is_open=False, are_numbers=False, heights_KK=heights, greatest_height=2)
    # errors 0, 0, 1/2, 1/2: mean 1/4, deviation sqrt(1/12) = 0.2887, t(3) = 3.1824: half = 0.4593; below 0 is cut
    score = score_of(Guesses("a", np.array([[0], [0], [1], [1], [2]], np.int32), ()), known)
    found = (score.hierarchical_error, score.hierarchical_low, score.hierarchical_high)
    assert found == pytest.approx((0.25, 0, 0.7093), abs=1e-4)
    perfect = score_of(Guesses("b", np.zeros((5, 1), np.int32), ()), known)
    found = (perfect.hierarchical_error, perfect.hierarchical_low, perfect.hierarchical_high)
    assert found == pytest.approx((0, 0, 0.4899), abs=1e-4)  # Wilson, 0 of 4: z2 / (4 + z2)
