"""Networks of 8 bits: folded, rounded, with the gradient of what is not cut off; the same shape from the name alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from pictus import networks, quantised_networks
from pictus.errors import UserError

torch = pytest.importorskip("torch")


def trained(name: str, side: int = 32) -> Any:
    """A network whose normalisation has seen pictures, and pictures."""
    torch.manual_seed(0)
    network = networks.make(name, 3, size=side).train()
    for parameter in network.parameters():  # scales that begin at 0 would hide what they scale
        if parameter.ndim == 1:
            parameter.detach().add_(0.1)
    pictures = torch.randn(8, 3, side, side)
    with torch.no_grad():
        network(pictures)
    return network.eval(), pictures


@pytest.mark.parametrize("name", ["small-cnn", "resnet-w16", "airbench-deep", "resnet18"])
def test_a_network_of_8_bits_says_nearly_what_the_one_of_32_says(name: str) -> None:
    network, pictures = trained(name)
    with torch.no_grad():
        wanted = network(pictures)
        small = quantised_networks.quantised(network)
        quantised_networks.calibrate(small, [pictures])
        found = small(pictures)
    assert (found - wanted).abs().max() < 0.1 * wanted.abs().max()
    assert not torch.equal(found, wanted)
    assert not [one for one in small.modules() if isinstance(one, torch.nn.BatchNorm2d)], "all are folded"
    assert quantised_networks.left_in_float(small) == ()
    whole = sum(4 * one.numel() for one in small.parameters())
    assert quantised_networks.n_bytes(small) < 0.3 * whole


def test_its_shape_is_a_function_of_its_name(tmp_path: Any) -> None:
    from safetensors.torch import load_file, save_file

    network, pictures = trained("small-cnn")
    small = quantised_networks.quantised(network)
    quantised_networks.calibrate(small, [pictures])
    save_file(small.state_dict(), tmp_path / "w.safetensors")
    again = networks.make("small-cnn@int8", 3)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"), strict=True)
    assert torch.equal(again.eval()(pictures), small(pictures))
    assert networks.family_of("resnet18@0.5@int8") == "torchvision", "a narrow network takes 8 bits as well"
    assert len(quantised_networks.layers(networks.make("small-cnn@0.5@int8", 3))) == 11
    with pytest.raises(UserError):
        networks.make("small-cnn@int7", 3)


def test_weights_are_whole_multiples_of_their_channel_s_scale_as_near_as_can_be() -> None:
    network, _ = trained("small-cnn")
    _, layer = quantised_networks.layers(quantised_networks.quantised(network))[1]
    whole = layer.rounded_weights() / layer.scale_of_weights().reshape(-1, 1, 1, 1)
    assert torch.allclose(whole, whole.round(), atol=1e-4)
    assert whole.abs().amax().round() == 127
    assert (layer.rounded_weights() - layer.weight).abs().amax() <= layer.scale_of_weights().amax() / 2 * 1.001


def test_the_gradient_passes_what_is_rounded_and_not_what_is_cut_off() -> None:
    network, pictures = trained("small-cnn")
    small = quantised_networks.quantised(network)
    quantised_networks.calibrate(small, [pictures])
    first = small[0].hears
    inside, outside = float(first.high) * 0.5, float(first.high) * 1.5
    asked = torch.tensor([inside, outside, 0.0], requires_grad=True)
    said = first(asked)
    said.sum().backward()
    assert asked.grad.tolist() == [1.0, 0.0, 1.0]
    assert said[2] == 0, "0 is one of the 256 numbers"
    assert float(said[1].detach()) == pytest.approx(float(first.high), rel=0.01)


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1), (5, -5), (-1, math.inf), (-3e38, 3e38), (5, 9)])
def test_a_range_that_cannot_be_one_is_told_before_network_and_graph_agree_on_it(low: float, high: float) -> None:
    model, _ = trained("small-cnn@int8")
    quantised_networks.check(model, Path("model.safetensors"))
    part = quantised_networks.layers(model)[0][1].hears
    part.low.fill_(low)
    part.high.fill_(high)
    with pytest.raises(UserError, match=r"holds what no network of 8 bits can: 0\.hears reaches from"):
        quantised_networks.check(model, Path("model.safetensors"))


def test_a_weight_that_is_no_number_is_told() -> None:
    model, _ = trained("small-cnn@int8")
    with torch.no_grad():
        quantised_networks.layers(model)[0][1].weight.fill_(math.nan)
    with pytest.raises(UserError, match=r"0\.weight is not finite"):
        quantised_networks.check(model, Path("model.safetensors"))


def test_ranges_move_while_training_until_they_are_held_and_never_otherwise() -> None:
    network, pictures = trained("small-cnn")
    small = quantised_networks.quantised(network)
    quantised_networks.calibrate(small, [pictures])
    first = small[0].hears
    before = float(first.high)
    small(10 * pictures)
    assert float(first.high) == before
    small.train()
    quantised_networks.hold(small, 0.5)
    small(10 * pictures)
    moved = float(first.high)
    assert moved == pytest.approx(before + quantised_networks.RATE * 9 * before, rel=1e-4)
    quantised_networks.hold(small, quantised_networks.HELD_FROM)
    small(20 * pictures)
    assert float(first.high) == moved


def test_a_network_that_cannot_be_followed_has_its_layers_in_8_bits_all_the_same() -> None:
    class Wilful(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 4, 3)
            self.norm = torch.nn.BatchNorm2d(4)
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            if x.sum() > 0:
                x = -x
            return self.head(self.norm(self.first(x)).mean((2, 3)))

    torch.manual_seed(0)
    small = quantised_networks.quantised(Wilful().eval())
    pictures = torch.randn(4, 3, 8, 8)
    quantised_networks.calibrate(small, [pictures])
    assert [name for name, _ in quantised_networks.layers(small)] == ["first", "head"]
    assert quantised_networks.left_in_float(small) == ("norm",)
    assert small(pictures).isfinite().all()
