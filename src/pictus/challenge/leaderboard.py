"""Scores with intervals, and ranks that are groups: models that a paired test cannot tell apart share one.

Ranking goes from the best down. A model joins the group above it unless McNemar's exact test on
the same pictures says that it differs from the group's best (p < 0.05); then it opens the next
group. A rank is 1 + the number of models in better groups: 1, 1, 3.

Intervals are an evaluation's: Wilson's for shares, Student's for the hierarchical error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pictus import metrics, stats
from pictus.challenge.answers import Answers, Guesses

By = Literal["top1", "top5"]
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Score:
    """One submission's result, in 0..1 with 95 % intervals; `hierarchical_error` (ILSVRC 2010-11, best of 5
    guesses) where the taxonomy is known, has levels, and has more classes than a row has guesses.
    """

    rank: int
    name: str
    top1: float
    top1_low: float
    top1_high: float
    top5: float
    top5_low: float
    top5_high: float
    hierarchical_error: float | None
    hierarchical_low: float | None
    hierarchical_high: float | None


def score_of(guesses: Guesses, answers: Answers) -> Score:
    """Score one submission; rank 1 of 1."""
    truth, n = answers.truth, n_counted(answers)
    top1, top5 = (stats.wilson(int(metrics.is_right(guesses.guesses_NG, truth, k).sum()), n) for k in (1, 5))
    return Score(1, guesses.name, *top1, *top5, *(_hierarchical(guesses, answers) or (None, None, None)))


def flat_because(guesses: Guesses, answers: Answers) -> str:
    """Why a hierarchical error would say nothing here, in words; empty where it says something or no tree is known."""
    if answers.heights_KK is None:
        return ""
    n_classes, n_guesses = len(answers.heights_KK), guesses.guesses_NG.shape[1]
    if metrics.tells_more_than_flat(n_classes, answers.greatest_height, n_guesses):
        return ""
    if answers.greatest_height <= 1:
        return "the tree has no levels"
    return f"{n_classes} classes, the guesses name them all"


def n_counted(answers: Answers) -> int:
    """How many pictures count."""
    return int(answers.truth.is_counted_N.sum())


def rank(submissions: Sequence[Guesses], answers: Answers, by: By = "top1") -> list[Score]:
    """Every submission scored, best first, with the rank of its tie group."""
    counted_N = answers.truth.is_counted_N
    k = 1 if by == "top1" else 5
    right = {one.name: metrics.is_right(one.guesses_NG, answers.truth, k)[counted_N] for one in submissions}
    scores = [score_of(one, answers) for one in submissions]
    scores.sort(key=lambda score: (-score.top1, -score.top5) if k == 1 else (-score.top5, -score.top1))
    ranked: list[Score] = []
    for place, score in enumerate(scores, start=1):
        best = next((one for one in ranked if one.rank == ranked[-1].rank), None)
        is_tied = best is not None and differs(right[best.name], right[score.name]) >= SIGNIFICANT
        ranked.append(replace(score, rank=best.rank if best is not None and is_tied else place))
    return ranked


def differs(right_a_N: NDArray[np.bool_], right_b_N: NDArray[np.bool_]) -> float:
    """p-value of "equally good on these pictures"."""
    return stats.paired_test(right_a_N, right_b_N)


def _hierarchical(guesses: Guesses, answers: Answers) -> stats.Interval | None:
    if answers.heights_KK is None or flat_because(guesses, answers):
        return None
    errors_N = metrics.hierarchical_errors(
        guesses.guesses_NG, answers.truth, answers.heights_KK, answers.greatest_height
    )
    return stats.mean01_interval(errors_N[answers.truth.is_counted_N]) if n_counted(answers) else None
