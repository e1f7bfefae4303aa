from __future__ import annotations

import pytest
import torch

from pictus import networks
from pictus.plain_network import DIM, plain_network, whitening_layer


@pytest.mark.parametrize(
    ("name", "side"),
    [("airbench", 16), ("airbench", 32), ("airbench-deep", 16), ("airbench-s2", 32), ("airbench-s2", 64)],
)
def test_the_plain_networks_take_small_pictures(name: str, side: int) -> None:
    assert networks.make(name, 7).eval()(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_a_convolution_begins_by_handing_its_input_on() -> None:
    second = plain_network(3, widths=(32, 32, 32))[2]  # 24 channels in, 32 out
    shown = torch.randn(1, 24, 5, 5)
    assert torch.equal(second(shown)[:, :24], shown)


def test_a_shortcut_adds_what_went_in() -> None:
    beside = plain_network(3, widths=(8, 8, 8), deep=True)[6].eval()
    shown = torch.randn(1, 8, 5, 5)
    around = torch.nn.Sequential(*beside)(shown)
    assert torch.equal(beside(shown), shown + around)
    assert len([one for one in beside if isinstance(one, torch.nn.Conv2d)]) == 2


def test_the_first_layer_and_scales_are_not_trained() -> None:
    network = plain_network(3, widths=(8, 8, 8))
    still = [name for name, one in network.named_parameters() if not one.requires_grad]
    assert whitening_layer(network) is network[0]
    norms = [name for name, one in network.named_children() if isinstance(one, torch.nn.BatchNorm2d)]
    assert len(norms) == 6
    assert still == ["0.weight", *(f"{name}.weight" for name in norms)]


def test_logits_begin_small() -> None:
    torch.manual_seed(0)
    head = plain_network(10, widths=(64, 64, 64))[-1]
    assert float(head.weight.detach().abs().max()) <= DIM / 8 + 1e-6  # torch draws within 1 / sqrt(64)


def test_other_networks_have_no_layer_that_whitens() -> None:
    assert whitening_layer(networks.make("small-cnn", 3)) is None
