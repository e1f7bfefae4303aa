"""The loss is that of changed pictures, which alone leave their mark on running statistics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pictus.models import Preprocessing
from pictus.tasks import TASKS
from pictus.train.objectives import Piece, adversarial
from pictus.train.recipes import Recipe

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")


def test_running_statistics_are_those_of_one_pass_over_the_changed_pictures() -> None:
    torch.manual_seed(0)
    job: Any = SimpleNamespace(
        recipe=Recipe("small-cnn", precision="fp32", attack=8, attack_steps=3), task=TASKS.get("classification"),
        device="cpu", preprocessing=Preprocessing(8, 8),
    )  # fmt: skip
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(192, 3)).train()
    seen: list[Any] = []
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    views, targets = torch.randn(6, 3, 8, 8), torch.arange(6) % 3
    loss, _ = adversarial.loss(network, Piece((views,), targets, None, np.arange(6), 0, {}), job)
    loss.backward()
    assert len(seen) == 4, "three steps of the attack, then the pass that is learned from"
    assert not torch.equal(seen[-1], views)
    assert int(network[0].num_batches_tracked) == 1
    assert torch.allclose(network[0].running_mean, 0.1 * seen[-1].mean((0, 2, 3)), atol=1e-6)
    plain = torch.nn.functional.cross_entropy(network(views), targets, label_smoothing=job.recipe.smoothing)
    assert float(loss.detach()) > float(plain.detach())
