"""Losses that bear with wrong labels: their limits and values worked out by hand."""

from __future__ import annotations

import math

import pytest

from pictus.tasks import TASKS

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
from pictus.train.objectives.labels import asymmetric, corrected, generalised  # noqa: E402  torch first

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
LABELS = torch.tensor([0, 1])
PLAIN = TASKS.get("classification").loss(LOGITS, LABELS, 0.0)


def test_generalised_cross_entropy_lies_between_cross_entropy_and_the_absolute_error() -> None:
    p = LOGITS.softmax(1)[[0, 1], LABELS]
    assert torch.allclose(generalised(LOGITS, LABELS, 1e-4), PLAIN, atol=1e-3)
    assert torch.allclose(generalised(LOGITS, LABELS, 1.0), 1 - p)
    assert torch.allclose(generalised(LOGITS, LABELS), (1 - p**0.7) / 0.7)
    hot = torch.nn.functional.one_hot(LABELS, 3).float()
    assert torch.allclose(generalised(LOGITS, hot), generalised(LOGITS, LABELS))


def test_generalised_cross_entropy_has_a_gradient_however_wrong_the_guess() -> None:
    logits = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    generalised(logits, torch.tensor([0])).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_labels_that_are_never_confused_are_not_corrected() -> None:
    assert torch.allclose(corrected(LOGITS, LABELS, torch.eye(3), 0.0), PLAIN)
    smoothed = TASKS.get("classification").loss(LOGITS, LABELS, 0.1)
    assert torch.allclose(corrected(LOGITS, LABELS, torch.eye(3), 0.1), smoothed)


def test_a_label_is_expected_as_often_as_it_is_given() -> None:
    confusion = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    p = LOGITS.softmax(1)
    wanted = -torch.log(p[0, 0] * 0.9 + p[0, 1] * 0.2)
    assert corrected(LOGITS, LABELS, confusion, 0.0)[0] == pytest.approx(float(wanted))


def test_the_asymmetric_loss_lets_go_of_what_is_surely_absent() -> None:
    logits = torch.tensor([[0.0, -4.0, 2.0]])
    found = asymmetric(logits, torch.tensor([[1.0, 0.0, math.nan]]))
    assert float(found) == pytest.approx(math.log(2) / 2)  # class 1: p = 0.018 is below the margin of 0.05
    absent = asymmetric(logits, torch.tensor([[math.nan, math.nan, 0.0]]))
    less = 1 / (1 + math.exp(-2)) - 0.05
    assert float(absent) == pytest.approx(-(less**4) * math.log(1 - less))
