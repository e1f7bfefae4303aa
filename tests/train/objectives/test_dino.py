"""DINO's loss, crops and centre against numbers worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from pictus.train.feed import augment
from pictus.train.objectives import dino
from pictus.train.recipes import Recipe, view_px

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")


def test_the_loss_is_the_cross_entropy_of_all_pairs_of_other_views() -> None:
    """Two outputs; the teacher says (0.04, 0) and (0, 0) of two large crops, centre (0.04, 0): shares (1/2, 1/2) and
    (1, e) / (1 + e). The student's are such that log p is log 1/4, log 3/4 of the first, log 1/2 twice of the second.

    Pairs: teacher 1 with student 2: log 2. Teacher 2 with student 1: -(1 log 1/4 + e log 3/4) / (1 + e).
    """
    said = [torch.tensor([[0.0, 0.1 * math.log(3)]]), torch.zeros(1, 2)]
    wanted = [torch.tensor([[0.04, 0.0]]), torch.zeros(1, 2)]
    loss = dino.cross_entropy(said, wanted, torch.tensor([0.04, 0.0]))
    second = -(math.log(0.25) + math.e * math.log(0.75)) / (1 + math.e)
    assert float(loss) == pytest.approx((math.log(2) + second) / 2, rel=1e-6)


def test_small_crops_show_a_quarter_at_most_and_large_ones_more() -> None:
    large, _, small, _ = dino.looks(Recipe("resnet-w16", size=64, local_crops=2))
    assert (view_px(large), view_px(small)) == (64, 32)
    assert view_px(dino.looks(Recipe("resnet-w16", size=32))[2]) == 32, "never smaller than networks can take"
    rows = augment.draws(0, 0, augment.hashed(torch.arange(200).numpy().astype("uint64"))).tolist()
    for look, low, high in ((large, 0.35, 1.0), (small, 0.05, 0.25)):
        boxes = [augment.resized_crop(100, 100, row[12:], look.min_area, look.max_area) for row in rows]
        areas = [box.height * box.width / 10_000 for box in boxes]
        assert min(areas) >= low - 0.02
        assert max(areas) <= high + 0.02


def test_the_teacher_goes_towards_the_student_ever_more_slowly() -> None:
    def moved(at: float) -> float:
        state: Any = SimpleNamespace(
            model=torch.nn.Linear(1, 1, bias=False), companions={"teacher": torch.nn.Linear(1, 1, bias=False)},
            counters=SimpleNamespace(step=5, plan=SimpleNamespace(at=lambda _: at)),
        )  # fmt: skip
        with torch.no_grad():
            state.model.weight.fill_(1)
            state.companions["teacher"].weight.fill_(0)
        dino.drift(state, SimpleNamespace(recipe=Recipe("resnet-w16", drift=0.9)))  # type: ignore[arg-type]
        return float(state.companions["teacher"].weight.detach())

    assert [moved(at) for at in (0.0, 0.5, 1.0)] == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)
