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


def test_the_same_seed_gives_the_same_interval() -> None:
    guesses = right_on(200, slice(0, 150), "a")
    assert score_of(guesses, answers(200), seed=3) == score_of(guesses, answers(200), seed=3)
