"""Low-rank adapters (Hu et al. 2021, LoRA): a frozen layer W learns as W + scale · up · down, of rank r.

For linear layers, and for convolutions in one group (down: the layer's own kernel with r channels, up: 1 × 1). `up`
begins at 0, so a network with adapters begins as the network without. What a run keeps is the sum, `merged`: evaluating
and serving it needs no adapters. Our own forty lines in place of a package that brings a language model library along;
the layers inside torch's own attention, which reads weights without calling its layers, are passed over.

Legend: O outputs, I inputs, r rank.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pictus import networks
from pictus.errors import UserError
from pictus.extras import need

if TYPE_CHECKING:
    import torch
    from torch import nn

SCALE = 2.0
"""Of the adapters' part: alpha / r with alpha = 2 r, the usual choice since Hu et al.'s own code."""

_DOWN, _UP, _BASE = "lora_down", "lora_up", "base"


def put_in(network: "nn.Module", rank: int, only: str = "") -> "nn.Module":
    """Adapters of `rank` on every layer that can take them, the head left out; the same network. `only`: words,
    separated by commas, of which a layer's name must hold one.
    """
    if not rank:
        return network
    words = [word.strip() for word in only.split(",") if word.strip()]
    found = [
        (name, layer) for name, layer in _layers(network) if not words or any(word in name for word in words)
    ]
    if not found:
        known = ", ".join(name for name, _ in _layers(network)[:8])
        raise UserError(f"No layer of the network takes an adapter: lora_on is {only!r}.", fix=f"layers: {known}, …")
    for name, layer in found:
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, _adapted(layer, rank))
    return network


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return name.rpartition(".")[2] in (_DOWN, _UP)


def names(network: "nn.Module") -> list[str]:
    """The layers that have adapters."""
    return [name.rpartition(".")[0] for name, _ in network.named_parameters() if name.endswith(f".{_DOWN}")]


def merged(network: "nn.Module") -> dict[str, "torch.Tensor"]:
    """The state of the network as it would be without adapters: each added to the layer it belongs to."""
    state = dict(network.state_dict())
    for name in names(network):
        down, up = state.pop(f"{name}.{_DOWN}"), state.pop(f"{name}.{_UP}")
        weight = state.pop(f"{name}.{_BASE}.weight")
        state[f"{name}.weight"] = weight + (SCALE * up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        if f"{name}.{_BASE}.bias" in state:
            state[f"{name}.bias"] = state.pop(f"{name}.{_BASE}.bias")
    return state


def _layers(network: "nn.Module") -> list[tuple[str, "nn.Module"]]:
    nn = need("torch", "train").nn
    head = networks.head_of(network)[0]
    shut = [f"{name}." for name, part in network.named_modules() if isinstance(part, nn.MultiheadAttention)]
    return [
        (name, part) for name, part in network.named_modules()
        if (isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.groups == 1))
        and name != head and not name.startswith(tuple(shut))
    ]  # fmt: skip


def _adapted(layer: Any, rank: int) -> "nn.Module":  # noqa: ANN401  linear or convolution
    torch = need("torch", "train")
    nn = torch.nn
    is_linear = isinstance(layer, nn.Linear)

    class Adapted(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.base = layer
            shape = layer.weight.shape
            self.lora_down = nn.Parameter(torch.empty(rank, *shape[1:]))
            self.lora_up = nn.Parameter(torch.zeros(shape[0], rank, *(1 for _ in shape[2:])))
            nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

        def forward(self, x: Any) -> Any:  # noqa: ANN401  a torch.Tensor
            if is_linear:
                extra = nn.functional.linear(nn.functional.linear(x, self.lora_down), self.lora_up)
            else:
                # "same" and other paddings included: the layer's own way to convolve, with other weights.
                small = self.base._conv_forward(x, self.lora_down, None)  # noqa: SLF001
                extra = nn.functional.conv2d(small, self.lora_up)
            return self.base(x) + SCALE * extra

    return Adapted()
