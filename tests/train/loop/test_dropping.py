from __future__ import annotations

from dataclasses import replace

import pytest

from pictus import networks
from pictus.errors import UserError
from pictus.train.loop import dropping
from pictus.train.loop.parts import draws_random_numbers
from pictus.train.recipes import Recipe

NONE = Recipe("resnet-w16")


@pytest.mark.parametrize("name", ["resnet-w16", "resnet18", "vit_tiny_patch16_224", "resnet18.a1_in1k", "small-cnn"])
@pytest.mark.parametrize("what", ["drop", "drop_path"])
def test_rates_draw_in_training_only_and_leave_names_alone(name: str, what: str) -> None:
    import torch

    torch.manual_seed(0)
    size = networks.fixed_size(name) or 32
    network = networks.make(name, 3, size=size)
    names = set(network.state_dict())
    assert not draws_random_numbers(network, size)
    torch.manual_seed(1)
    pictures = torch.randn(2, 3, size, size)
    before = network.eval()(pictures)
    dropping.applied(network, replace(NONE, model=name, **{what: 0.5}))  # type: ignore[arg-type]
    assert set(network.state_dict()) == names
    assert torch.equal(network.eval()(pictures), before)
    assert draws_random_numbers(network, size)


def test_branches_are_left_out_more_often_the_later_they_come() -> None:
    network = dropping.applied(networks.make("efficientnet_b0", 3), replace(NONE, drop_path=0.4))
    rates = [module.p for module in network.modules() if type(module).__name__ == "StochasticDepth"]
    assert rates[0] == 0.0
    assert rates[-1] == 0.4
    assert rates == sorted(rates)


def test_a_network_s_own_dropout_takes_the_rate() -> None:
    network = dropping.applied(networks.make("alexnet", 3), replace(NONE, drop=0.1))
    assert [module.p for module in network.modules() if type(module).__name__ == "Dropout"] == [0.1, 0.1]
    quiet = dropping.applied(networks.make("mobilenet_v3_small", 3), replace(NONE, drop=0.0))
    assert not draws_random_numbers(quiet, 32)


def test_a_branch_is_whole_or_gone_and_keeps_its_mean() -> None:
    import torch

    torch.manual_seed(0)
    branch = torch.ones(4000, 2, 3, 3)
    found = dropping.branch_left_out(branch, 0.25, is_training=True)
    of = found.flatten(1)
    assert torch.equal(of.amin(1), of.amax(1))
    assert of[:, 0].unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(found.mean()) == pytest.approx(1, abs=0.05)
    assert dropping.branch_left_out(branch, 0.25, is_training=False) is branch


def test_a_network_without_branches_is_told() -> None:
    with pytest.raises(UserError, match="no residual branches"):
        dropping.applied(networks.make("alexnet", 3), replace(NONE, model="alexnet", drop_path=0.1))
