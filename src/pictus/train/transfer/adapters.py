"""Low-rank adapters (Hu et al. 2021, LoRA): a frozen layer W learns as W + scale · up · down, of rank r.

For linear layers, and for convolutions in one group (down: the layer's own kernel with r channels, up: 1 × 1). `up`
begins at 0, so a network with adapters begins as the network without. What a run keeps is the sum, `merged`: evaluating
and serving it needs no adapters; they lie beside it `alone`. Our own lines in place of a package that brings a language
model library along; the layers inside torch's own attention, which reads weights without calling its layers, are passed
over.

Legend: O outputs, I inputs, r rank.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictus import models, networks
from pictus.errors import UserError, clipped
from pictus.extras import need

if TYPE_CHECKING:
    import torch
    from torch import nn

SCALE = 2.0
"""Of the adapters' part: alpha / r with alpha = 2 r, the usual choice since Hu et al.'s own code."""

ALONE = "adapters.safetensors"
"""Adapters and head without the network that they belong to."""

_DOWN, _UP, _BASE = "lora_down", "lora_up", "base"
_ON = "base_sha256"
"""In that file, 32 bytes: the digest of what they were trained on."""


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
        state[f"{name}.weight"] = _sum(state.pop(f"{name}.{_BASE}.weight"), down, up)
        if f"{name}.{_BASE}.bias" in state:
            state[f"{name}.bias"] = state.pop(f"{name}.{_BASE}.bias")
    return state


def alone(network: "nn.Module") -> dict[str, "torch.Tensor"]:
    """Adapters, head, and the digest of all else; empty for a network without adapters."""
    torch = need("torch", "train")
    if not names(network):
        return {}
    head = f"{networks.head_of(network)[0]}."
    own = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()
           if is_adapter(key) or key.startswith(head)}  # fmt: skip
    return own | {_ON: torch.frombuffer(bytearray.fromhex(base_sha256(network)), dtype=torch.uint8)}


def is_alone(path: Path) -> bool:
    """Whether a file of weights holds adapters without their network: its names tell."""
    safetensors = need("safetensors", "train")
    try:
        with safetensors.safe_open(path, "pt") as opened:
            return _ON in opened.keys()  # noqa: SIM118  it is no dict
    except (OSError, safetensors.SafetensorError):
        return _ON in models.read_weights(path)  # which tells what is wrong with it


def laid_on(network: "nn.Module", path: Path) -> "nn.Module":
    """The network with a file's adapters added to its layers, and the file's head; the network must be what they were
    trained on.
    """
    tensors = models.read_weights(path)
    if odd := _odd(network, tensors):
        raise UserError(
            f"{path} holds no adapters of {type(network).__name__}: {odd}.",
            fix="copy the file again from the run that made it",
        )
    if bytes(tensors.pop(_ON).tolist()).hex() != base_sha256(network):
        raise UserError(
            f"The adapters in {path} were trained on other weights than these.",
            fix="name where their run began (pictus train card tells): --set from_run=…, or --pretrained",
        )
    state = network.state_dict()
    for key in [key for key in tensors if key.endswith(f".{_DOWN}")]:
        name = key.removesuffix(f".{_DOWN}")
        down, up = tensors.pop(key), tensors.pop(f"{name}.{_UP}")
        state[f"{name}.weight"] = _sum(state[f"{name}.weight"], down, up)
    models.load_strictly(network, state | tensors, path)
    return network


def _odd(network: "nn.Module", tensors: "dict[str, torch.Tensor]") -> str:
    """What a file of adapters and head has that `alone` writes of no such network; empty for one that it could have
    written.
    """
    torch = need("torch", "train")
    state, head, layers = network.state_dict(), f"{networks.head_of(network)[0]}.", dict(_layers(network))
    wanted = {key: (tuple(value.shape), value.dtype) for key, value in state.items() if key.startswith(head)}
    wanted[_ON] = ((32,), torch.uint8)
    for name in {key.rpartition(".")[0] for key in tensors if is_adapter(key)} & layers.keys():
        weight, down = state[f"{name}.weight"], tensors.get(f"{name}.{_DOWN}", torch.empty(0))
        rank = max(1, len(down)) if down.ndim else 1
        wanted[f"{name}.{_DOWN}"] = (rank, *weight.shape[1:]), weight.dtype
        wanted[f"{name}.{_UP}"] = (len(weight), rank, *(1 for _ in weight.shape[2:])), weight.dtype
    if not any(map(is_adapter, wanted)):
        return "it has no adapter of any of its layers"
    for key, (shape, dtype) in wanted.items():
        if key not in tensors:
            return f"{key} is missing"
        found = tensors[key]
        if (tuple(found.shape), found.dtype) != (shape, dtype):
            return f"{key} is {list(found.shape)} of {found.dtype}, not {list(shape)} of {dtype}"
        if not bool(found.isfinite().all()):
            return f"{key} holds values that are no numbers"
    others = sorted(tensors.keys() - wanted.keys())
    return f"{clipped(others[0])} is neither an adapter nor the head's" if others else ""


def told(root: Path) -> dict[str, str]:
    """For the run card: the digest of the run's adapters, where it has some."""
    path = root / ALONE
    return {"adapters_sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}


def base_sha256(network: "nn.Module") -> str:
    """The digest of every real number that is neither an adapter's nor the head's, by its name in the network without
    adapters.
    """
    head, inner = f"{networks.head_of(network)[0]}.", [f"{name}.{_BASE}." for name in names(network)]
    digest = hashlib.sha256()
    found = {}
    for key, value in network.state_dict().items():
        if not (is_adapter(key) or key.startswith(head)) and value.is_floating_point():
            found[key.replace(f".{_BASE}.", ".") if key.startswith(tuple(inner)) else key] = value
    for key in sorted(found):
        digest.update(f"{key} {tuple(found[key].shape)}".encode())
        digest.update(found[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _sum(weight: "torch.Tensor", down: "torch.Tensor", up: "torch.Tensor") -> "torch.Tensor":
    return weight + (SCALE * up.flatten(1) @ down.flatten(1)).reshape(weight.shape)


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
