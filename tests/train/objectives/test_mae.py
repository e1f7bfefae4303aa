"""What is hidden, and what is asked about it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pictus import networks
from pictus.errors import UserError
from pictus.train.objectives import Piece, mae
from pictus.train.recipes import Recipe

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
KEYS = np.arange(5, dtype=np.uint64) * np.uint64(2**60)


def test_what_is_hidden_is_a_function_of_seed_step_and_picture() -> None:
    found = mae.order(KEYS, 3, 7, 16)
    assert (np.sort(found, axis=1) == np.arange(16)).all()
    assert (mae.order(KEYS[2:], 3, 7, 16) == found[2:]).all(), "whatever else is in the batch"
    assert (mae.order(KEYS, 3, 8, 16) != found).any()
    assert (mae.order(KEYS, 4, 7, 16) != found).any()
    counts = np.bincount(mae.order(np.arange(4000, dtype=np.uint64), 0, 0, 4)[:, 0], minlength=4)
    assert abs(counts - 1000).max() < 120, "4 standard deviations of a fair draw"


def test_patches_lie_row_by_row_and_are_brought_to_mean_0_and_variance_1() -> None:
    views = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    found = mae.patches(views, 2)
    assert found.shape == (2, 4, 12)
    assert found[0, 1].tolist() == views[0, :, 0:2, 2:4].permute(1, 2, 0).flatten().tolist()
    even = mae.normalised(found)
    assert torch.allclose(even.mean(-1), torch.zeros(2, 4), atol=1e-5)
    assert torch.allclose(even.var(-1), torch.ones(2, 4), atol=1e-4)


@pytest.mark.parametrize(("name", "size"), [("resnet-w16", 32), ("vit_tiny_patch16_224", 32)])
def test_the_loss_reaches_the_network_and_sees_only_what_is_hidden(name: str, size: int) -> None:
    torch.manual_seed(0)
    recipe = Recipe(name, size=size, precision="fp32")
    job: Any = SimpleNamespace(recipe=recipe, device="cpu", train=SimpleNamespace(keys_N=KEYS))
    student: Any = mae.student(networks.make(name, 3, size=size), job).eval()
    views = torch.randn(2, 3, size, size)
    piece = Piece((views,), torch.zeros(2), None, np.array([1, 3]), 0, {})
    loss, n_right = mae.loss(student, piece, job)
    loss.backward()
    assert n_right == 0
    assert 0.3 < float(loss.detach()) < 3
    head = networks.head_of(student.network)[0]
    trained = [one.grad for key, one in student.network.named_parameters() if not key.startswith(head)]
    assert any(grad is not None and float(grad.abs().sum()) > 0 for grad in trained)
    assert all(one.grad is None or not one.grad.any() for key, one in student.network.named_parameters()
               if key.startswith(f"{head}."))  # fmt: skip


def test_a_perfect_answer_costs_nothing_and_seen_pixels_do_not_count() -> None:
    """Hidden are 10 of 16 patches of 8 px. With answer 0 the loss is the mean of the
    absolute values where hidden: of a picture that is 1 everywhere, 1; that is 0 where hidden, 0.
    """
    recipe = Recipe("resnet-w16", size=32, precision="fp32", patch=8)
    job: Any = SimpleNamespace(recipe=recipe, device="cpu", train=SimpleNamespace(keys_N=KEYS))
    student: Any = mae.student(networks.make("resnet-w16", 3), job).eval()
    torch.nn.init.zeros_(student.answer.weight)
    torch.nn.init.zeros_(student.answer.bias)
    order = torch.from_numpy(mae.order(KEYS[:1], 0, 0, 16))
    assert float(student(torch.ones(1, 3, 32, 32), order, 6).detach()) == pytest.approx(1)
    views = torch.zeros(1, 3, 32, 32)
    for place in order[0, :6].tolist():
        top, left = 8 * (place // 4), 8 * (place % 4)  # of those that are seen
        views[:, :, top : top + 8, left : left + 8] = 5
    assert float(student(views, order, 6).detach()) == 0


def test_a_network_of_neither_kind_is_told() -> None:
    job: Any = SimpleNamespace(recipe=Recipe("other", size=32))
    with pytest.raises(UserError, match="neither"):
        mae.student(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2)), job)
