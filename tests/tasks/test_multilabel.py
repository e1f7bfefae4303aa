"""Several classes to a picture: figures worked out by hand and against the definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pictus.tasks import TASKS
from pictus.tasks.multilabel import average_precision, f1_score, precisions, ranking

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
TASK = TASKS.get("multilabel")
NAN = math.nan


def by_definition(scores: Any, is_shown: Any) -> float:
    """Sum over thresholds, from the greatest score, of the rise in recall times precision."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        recall = (taken & is_shown).sum() / is_shown.sum()
        total += (recall - before) * (taken & is_shown).sum() / taken.sum()
        before = recall
    return total


def test_average_precision_worked_out() -> None:
    # ranked: shown, not, shown. Recall 1/2 at precision 1, recall 1 at precision 2/3
    found = average_precision(np.array([0.9, 0.1, 0.5], np.float32), np.array([True, True, False]))
    assert found.tolist() == pytest.approx([0.5 + 0.5 * 2 / 3])


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_is_that_of_the_definition_ties_included(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 12, 40).astype(np.float32)
    is_shown = generator.random(40) < 0.3
    is_shown[:2] = True, False
    assert average_precision(scores, is_shown)[0] == pytest.approx(by_definition(scores, is_shown), abs=1e-12)


def test_average_precision_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    generator = np.random.default_rng(0)
    scores, is_shown = generator.integers(0, 30, 200).astype(np.float32), generator.random(200) < 0.2
    wanted = metrics.average_precision_score(is_shown, scores)
    assert average_precision(scores, is_shown)[0] == pytest.approx(wanted, abs=1e-12)


def test_a_picture_drawn_twice_counts_as_two() -> None:
    scores, is_shown = np.array([0.9, 0.7, 0.5, 0.2], np.float32), np.array([False, True, False, True])
    times = np.array([[1, 2, 0, 1], [1, 1, 1, 1]], np.float64)
    repeated = average_precision(scores[[0, 1, 1, 3]], is_shown[[0, 1, 1, 3]])[0]
    assert average_precision(scores, is_shown, times).tolist() == pytest.approx(
        [repeated, average_precision(scores, is_shown)[0]]
    )


def test_what_is_unknown_counts_nowhere() -> None:
    logits = np.array([[2.0, -1.0], [1.0, 3.0], [-2.0, 5.0]], np.float32)
    targets = np.array([[1, NAN], [0, 1], [NAN, NAN]], np.float32)
    found = precisions(logits, targets)[0]
    assert found[0] == 1
    assert math.isnan(found[1]), "shown wherever it is known: no ranking to speak of"
    assert f1_score(logits, targets) == pytest.approx(2 * 2 / (3 + 2))  # guessed: 2, 1, 3; shown: two of them
    loss = TASK.loss(torch.from_numpy(logits), torch.from_numpy(targets), 0.0)
    assert loss[0] == pytest.approx(math.log1p(math.exp(-2)))  # class 0 alone
    assert loss[2] == 0
    logits[0, 1] = 100
    again = TASK.loss(torch.from_numpy(logits), torch.from_numpy(targets), 0.0)
    assert again[0] == pytest.approx(float(loss[0]))


def test_the_loss_of_unknown_classes_leaves_no_gradient() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    TASK.loss(logits, torch.tensor([[1.0, NAN, 0.0]]), 0.1).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0
    assert torch.isfinite(logits.grad).all()


def test_a_tally_adds_up_in_batches() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(40, 6)).astype(np.float32)
    targets = (generator.random((40, 6)) < 0.4).astype(np.float32)
    whole, parts = TASK.tally(), TASK.tally()
    losses = TASK.loss(torch.from_numpy(logits), torch.from_numpy(targets), 0.0).numpy()
    whole.add(logits, losses, targets)
    for start in (20, 0):
        piece = slice(start, start + 20)
        parts.add(logits[piece], losses[piece], targets[piece])
    one, two = whole.scores(40), parts.scores(40)
    assert one.main == pytest.approx(two.main) == one.others["map"]
    assert one.top1 == targets[np.arange(40), logits.argmax(axis=1)].mean()
    assert one.loss == pytest.approx(two.loss)


def test_the_interval_holds_the_mean_and_is_the_same_for_a_seed() -> None:
    generator = np.random.default_rng(0)
    targets = (generator.random((80, 4)) < 0.4).astype(np.float32)
    logits = (targets * 2 - 1 + generator.normal(size=(80, 4)) * 2).astype(np.float32)
    found = ranking(logits, targets, logits, seed=3)
    assert found.mean.low < found.mean.estimate < found.mean.high
    assert found.mean == ranking(logits, targets, logits, seed=3).mean
    assert found.n_shown_K.tolist() == targets.sum(axis=0).tolist()


def test_each_class_has_a_probability_of_its_own() -> None:
    found = TASK.decode(np.array([[0.0, 1000.0, -1000.0]], np.float32))
    assert found.tolist() == [[0.5, 1.0, 0.0]]
