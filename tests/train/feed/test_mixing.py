from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pictus.train.feed import augment, mixing
from pictus.train.recipes import Recipe

KEYS = np.arange(1, 4001, dtype=np.uint64) * np.uint64(0x123456789)
DRAWS = augment.mixing_draws(augment.draws(0, 0, KEYS))
PLAIN = Recipe("small-cnn", size=32)
CUT = replace(PLAIN, cutmix=1.0)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_shares_of_mixup_are_beta(alpha: float) -> None:
    mix = mixing.drawn(DRAWS, replace(PLAIN, mixup=alpha), 32)
    spread = 1 / np.sqrt(4 * (2 * alpha + 1))  # of Beta(a, a)
    assert mix.own_B.mean() == pytest.approx(0.5, abs=5 * spread / np.sqrt(len(KEYS)))
    assert mix.own_B.std() == pytest.approx(spread, rel=0.05)
    assert not mix.is_cut_B.any()


def test_boxes_of_cutmix_have_torchvision_s_distribution() -> None:
    import torch
    from torchvision.transforms.v2 import CutMix

    torch.manual_seed(0)
    reference = CutMix(alpha=1.0, num_classes=2)
    blank = {"images": torch.zeros(2, 3, 32, 32), "labels": torch.zeros(2, dtype=torch.int64)}
    theirs = [reference.make_params([blank["images"]]) for _ in range(4000)]
    mix = mixing.drawn(DRAWS, CUT, 32)
    assert mix.is_cut_B.all()
    left_top_right_bottom = np.array([one["box"] for one in theirs])
    ours = mix.boxes_B4[:, [1, 0, 3, 2]]
    for column in range(4):
        spread = left_top_right_bottom[:, column].std()
        apart = abs(left_top_right_bottom[:, column].mean() - ours[:, column].mean())
        assert apart < 5 * spread * np.sqrt(2 / 4000) + 0.3  # theirs cuts off where ours rounds: under a third of a px
        assert ours[:, column].std() == pytest.approx(spread, rel=0.07)
    adjusted = np.array([one["lam_adjusted"] for one in theirs])
    assert mix.own_B.mean() == pytest.approx(adjusted.mean(), abs=0.03)


def test_pixels_and_targets_are_mixed_alike() -> None:
    import torch

    own, other = torch.ones(4000, 3, 8, 8), torch.zeros(4000, 3, 8, 8)
    labels = torch.ones(4000, dtype=torch.int64), torch.zeros(4000, dtype=torch.int64)
    mix = mixing.drawn(DRAWS, replace(CUT, mixup=0.4), 8)
    assert mix.is_cut_B.mean() == pytest.approx(0.5, abs=0.04)
    views = mixing.mixed_views(own, other, mix)
    targets = mixing.mixed_targets(*labels, mix, 3)
    assert torch.allclose(views.mean((1, 2, 3)), targets[:, 1], atol=1e-5)
    assert torch.allclose(targets.sum(1), torch.ones(4000))
    cut = views[torch.from_numpy(mix.is_cut_B)]
    assert set(cut.unique().tolist()) == {0.0, 1.0}


def test_views_stay_channels_last() -> None:
    import torch

    views = torch.rand(5, 6, 6, 3).permute(0, 3, 1, 2)
    for recipe in (CUT, replace(PLAIN, mixup=1.0)):
        mixed = mixing.mixed_views(views[1:], views[:-1], mixing.drawn(DRAWS[:4], recipe, 6))
        assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_what_is_unknown_of_either_is_unknown_of_both_but_of_a_picture_left_alone() -> None:
    import torch

    own, other = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[float("nan"), 0.5]] * 2)
    mix = mixing.Mix(np.array([0.25, 1.0], np.float32), np.array([False, False]), np.zeros((2, 4), np.int64))
    found = mixing.mixed_targets(own, other, mix, 2)
    assert torch.isnan(found[0, 0])
    assert found[0, 1] == pytest.approx(0.375)
    assert found[1].tolist() == [1.0, 0.0]


def test_mixing_ends_where_the_recipe_says() -> None:
    recipe = replace(CUT, mix_until=0.9)
    assert mixing.is_mixed(recipe, 0.0)
    assert mixing.is_mixed(recipe, 0.89)
    assert not mixing.is_mixed(recipe, 0.9)
    assert not mixing.is_mixed(PLAIN, 0.0)
