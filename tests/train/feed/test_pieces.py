from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pictus.models import Preprocessing
from pictus.train.feed import augment
from pictus.train.feed.loader import Batch
from pictus.train.feed.pieces import piece_of
from pictus.train.loop.schedule import Plan
from pictus.train.objectives import Piece
from pictus.train.recipes import Recipe

RECIPE = Recipe("small-cnn", size=8, erase=0)
COUNT = 12


def batch(recipe: Recipe) -> Batch:
    generator = np.random.default_rng(0)
    side = 8 * augment.n_looks(recipe)
    rows = augment.draws(0, 0, np.arange(COUNT, dtype=np.uint64))
    pixels = generator.integers(0, 256, (COUNT, side, 8, 3), dtype=np.uint8)
    return Batch((pixels,), (rows,), np.arange(COUNT) % 3, np.arange(100, 100 + COUNT))


def pieces(recipe: Recipe, edges: list[int], position: float = 0.0) -> list[Piece]:
    plan = Plan(0, position, 10)
    weights = np.linspace(0.5, 1.5, 200, dtype=np.float32)
    job: Any = SimpleNamespace(
        recipe=recipe, looks=(recipe,), device="cpu", n_classes=3, train=SimpleNamespace(weights_N=weights),
        preprocessing=Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)),
    )  # fmt: skip
    state: Any = SimpleNamespace(counters=SimpleNamespace(step=0, plan=plan), companions={})
    return [piece_of(job, state, batch(recipe), slice(*both)) for both in pairwise(edges)]


@pytest.mark.parametrize("settings", [{}, {"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
@pytest.mark.parametrize("edges", [[0, 5, 12], [0, 2, 4, 12]])
def test_a_batch_in_pieces_is_mixed_as_the_whole_is(settings: dict[str, float], edges: list[int]) -> None:
    import torch

    recipe = replace(RECIPE, **settings)  # type: ignore[arg-type]
    (whole,), parts = pieces(recipe, [0, COUNT]), pieces(recipe, edges)
    assert torch.equal(torch.cat([part.views[0] for part in parts]), whole.views[0])
    assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)
    weights = [part.weights_B for part in parts if part.weights_B is not None]
    assert whole.weights_B is not None
    assert torch.equal(torch.cat(weights), whole.weights_B)
    assert np.concatenate([part.positions_B for part in parts]).tolist() == list(range(100, 112))
    assert whole.targets.shape == ((COUNT, 3) if settings else (COUNT,))


def test_a_picture_is_mixed_with_the_one_before_it() -> None:
    (plain,), (mixed,) = pieces(RECIPE, [0, COUNT]), pieces(replace(RECIPE, mixup=1.0), [0, COUNT])
    own, other = plain.views[0], plain.views[0].roll(1, 0)
    assert mixed.weights_B is not None
    assert plain.weights_B is not None
    for row in range(COUNT):
        share = float(mixed.targets[row, plain.targets[row]])
        assert mixed.targets[row, plain.targets[row - 1]] == pytest.approx(1 - share)
        assert np.allclose(mixed.views[0][row], share * own[row] + (1 - share) * other[row], atol=1e-5)
        weight = share * plain.weights_B[row] + (1 - share) * plain.weights_B[row - 1]
        assert float(mixed.weights_B[row]) == pytest.approx(float(weight), rel=1e-5)


def test_late_in_training_pictures_are_left_alone() -> None:
    import torch

    (plain,) = pieces(RECIPE, [0, COUNT])
    (late,) = pieces(replace(RECIPE, cutmix=1.0, mix_until=0.5), [0, COUNT], position=0.6)
    assert torch.equal(late.views[0], plain.views[0])
    assert late.targets.tolist() == plain.targets.tolist()


def test_looks_at_the_same_crop_become_views_of_the_same_colour() -> None:
    recipe = replace(RECIPE, objective="augmix")
    (piece,) = pieces(recipe, [0, COUNT])
    assert [view.shape for view in piece.views] == [(COUNT, 3, 8, 8)] * 3
    pixels = batch(recipe).views[0]
    plain = augment.draws(0, 0, np.arange(COUNT, dtype=np.uint64))
    import torch

    second = augment.coloured(
        torch.from_numpy(pixels[:, 8:16]), plain, RECIPE, Preprocessing(8, 8, (0.5,) * 3, (0.2,) * 3)
    )
    assert torch.equal(piece.views[1], second)
