"""One class to a picture: figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pictus.tasks import TASKS

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
TASK = TASKS.get("classification")


def test_a_tie_goes_to_the_lower_class_and_what_could_not_be_read_counts_as_wrong() -> None:
    logits = np.array([[1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0], [9, 8, 7, 6, 5, 4, 3]], np.float32)
    tally = TASK.tally()
    tally.add(logits[:2], np.array([0.5, 1.5], np.float32), np.array([0, 1]))  # first right; second is place 2
    tally.add(logits[2:], np.array([4.0], np.float32), np.array([5]))  # sixth place: not within five
    scores = tally.scores(count=4)
    assert (scores.top1, scores.top5, scores.loss) == (1 / 4, 2 / 4, 2.0)
    assert scores.main == scores.top1


def test_the_loss_of_a_smoothed_label_is_that_of_the_mixed_one() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    smoothed = TASK.loss(logits, torch.tensor([0]), 0.3)
    mixed = TASK.loss(logits, torch.tensor([[0.8, 0.1, 0.1]]), 0.0)
    assert float(smoothed) == pytest.approx(float(mixed))
    whole = sum(math.exp(one) for one in (2.0, 0.0, -1.0))
    assert float(TASK.loss(logits, torch.tensor([0]), 0.0)) == pytest.approx(math.log(whole) - 2)


def test_of_a_mixed_target_the_greater_part_is_right() -> None:
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    assert TASK.right(logits, torch.tensor([[0.6, 0.4], [0.4, 0.6]])).tolist() == [True, False]
    assert TASK.right(logits, torch.tensor([0, 1])).tolist() == [True, False]


def test_guesses_are_probabilities_of_logits_of_any_size() -> None:
    found = TASK.decode(np.array([[1000.0, 999.0], [-2000.0, -2000.0]], np.float32))
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, 0] == pytest.approx(1 / (1 + math.exp(-1)))


def test_an_answer_that_is_no_number_is_neither_the_first_nor_within_five() -> None:
    tally, nan = TASK.tally(), math.nan
    tally.add(np.array([[nan, nan], [1, nan], [nan, 1], [1, 0]], np.float32), np.zeros(4, np.float32), np.zeros(4, int))
    scores = tally.scores(count=4)
    assert (scores.top1, scores.top5) == (1 / 4, 1 / 4)
