"""Channels that can go without a shortcut noticing, and a shape that the name alone decides."""

from __future__ import annotations

import copy

import pytest
import torch

from pictus import narrow_networks, networks
from pictus.errors import UserError


def test_channels_that_say_nothing_are_the_ones_that_go_and_no_answer_changes() -> None:
    torch.manual_seed(0)
    wide = networks.make("resnet-w16", 3).eval()
    with torch.no_grad():
        for link in narrow_networks.links(wide):
            before = wide.get_submodule(link.before)
            silent = torch.randperm(len(before.weight))[: len(before.weight) // 2]
            before.weight[silent] = 0  # normalisation of nothing with a shift of 0 is nothing
    inputs = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = wide(inputs)
        narrow = narrow_networks.narrowed(copy.deepcopy(wide), 0.5)
        assert torch.allclose(narrow(inputs), wanted, atol=1e-4)
    assert sum(one.numel() for one in narrow.parameters()) < 0.6 * sum(one.numel() for one in wide.parameters())
    networks.make("resnet-w16@0.5", 3).load_state_dict(narrow.state_dict(), strict=True)


@pytest.mark.parametrize("name", ["small-cnn", "alexnet", "vgg16", "googlenet", "resnet50", "densenet121"])
def test_narrow_classics_answer(name: str) -> None:
    with torch.device("meta"):
        assert networks.make(f"{name}@0.5", 3, size=64).eval()(torch.empty(2, 3, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "said"), [("vit_b_16@0.5", "No channel"), ("resnet18@2", "above 0 and up to"), ("resnet18@x", "not 'x'"),
                       ("resnet18@INT8", "resnet18@int8")]
)  # fmt: skip
def test_what_cannot_be_made_narrow_is_told(name: str, said: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=said):
        networks.make(name, 3, size=224)
