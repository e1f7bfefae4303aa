from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pictus import networks, pixels
from pictus.models import Preprocessing, normalised
from pictus.plain_network import plain_network, whitening_layer
from pictus.releases import open_release
from pictus.tasks import TASKS
from pictus.train.feed.loader import Pictures
from pictus.train.feed.whitening import kernels, whiten

PREPROCESSING = Preprocessing(32, 32, networks.IMAGENET_MEAN, networks.IMAGENET_STD)


@pytest.fixture(scope="module")
def pictures(make_release: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    opened = open_release(make_release(tmp_path_factory.mktemp("whitening"), broken=1))
    return Pictures(opened, "train", pixels.decode, 2**24, TASKS.get("classification").targets(opened, "train"))


def test_directions_come_by_their_spread_with_both_signs() -> None:
    # Patches spread by 4 along the first axis and by 1 along the second: divided by 2 and by 1.
    found = kernels(torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64)), 4)
    assert torch.allclose(found.abs(), torch.tensor([[0.5, 0], [0, 1], [0.5, 0], [0, 1]]).double(), atol=1e-3)
    assert torch.equal(found[:2], -found[2:])


def test_what_the_first_layer_hands_on_is_uncorrelated_and_of_one_spread(pictures: Pictures) -> None:
    network = plain_network(3, widths=(8, 8, 8))
    whiten(network, pictures, PREPROCESSING)
    layer = whitening_layer(network)
    assert layer is not None
    every = [pictures.get(position) for position in range(len(pictures))]
    shown = torch.cat([normalised(torch.from_numpy(one)[None], PREPROCESSING) for one in every if one is not None])
    answers = torch.nn.functional.conv2d(shown, layer.weight.detach())[:, :12]
    flat = answers.permute(1, 0, 2, 3).reshape(12, -1).double()
    moments = (flat @ flat.T / flat.shape[1]).numpy()
    assert np.allclose(np.diag(moments), 1, atol=0.2)  # a little is added to small variances
    assert np.allclose(moments - np.diag(np.diag(moments)), 0, atol=0.01)


def test_the_layer_is_the_same_each_time_and_other_networks_stay_as_they_are(pictures: Pictures) -> None:
    made = [plain_network(3, widths=(8, 8, 8)) for _ in range(2)]
    for network in made:
        whiten(network, pictures, PREPROCESSING)
    assert torch.equal(made[0][0].weight, made[1][0].weight)
    other = networks.make("small-cnn", 3)
    before = other[0].weight.clone()
    whiten(other, pictures, PREPROCESSING)
    assert torch.equal(other[0].weight, before)
