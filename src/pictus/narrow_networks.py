"""Networks with fewer channels: filters removed for good, so that what is left is truly smaller and faster.

A convolution can lose output channels where nothing but normalisation, activations and pooling lie between it and the
one convolution that reads them: the inner layers of residual blocks, and of plain networks all but the last. Those that
meet a shortcut keep their width. Which filters stay is told by the sum of their absolute weights (Li et al. 2017,
"Pruning filters for efficient ConvNets", section 3.1); of every layer the same share, so that the shape of a narrow
network is a function of its name alone: `resnet18@0.5` has half of the inner channels.

Legend: O output channels, I input channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need

if TYPE_CHECKING:
    import torch
    from torch import nn

MARK = "@"
"""Between a network's name and the share of its channels that is gone."""

MOST = 0.95

FEWEST = 4
"""Channels a layer keeps at least."""


class Link(NamedTuple):
    """Names of two convolutions and of the normalisation layers between them."""

    before: str
    norms: tuple[str, ...]
    after: str


def split(name: str) -> tuple[str, float]:
    """"resnet18@0.5" -> ("resnet18", 0.5); 0 of one with all its channels; a UserError where it is no share."""
    plain, mark, text = name.partition(MARK)
    if not mark:
        return name, 0.0
    try:
        sparsity = float(text)
    except ValueError:  # no number: told below, with what was given
        sparsity = 0.0
    if not 0 < sparsity <= MOST:
        raise UserError(
            f"{name!r}: the share of channels that is left out is a number above 0 and up to {MOST}, not {text!r}.",
            fix=f"{plain}{MARK}0.5, or of 8 bits: {plain}{MARK}int8",
        )
    return plain, sparsity


def narrowed(model: "nn.Module", sparsity: float) -> "nn.Module":
    """The same network without its weakest inner filters; in place."""
    found = links(model)
    if not found:
        raise UserError(
            "No channel of this network can be removed: each meets a shortcut, or is read by more than one layer.",
            fix="networks of plain or residual convolutions can be pruned: small-cnn, vgg16, resnet18, resnet50",
        )
    with need("torch", "train").no_grad():
        for link in found:
            before = model.get_submodule(link.before)
            many = len(before.weight)
            fewest = min(many, max(FEWEST, round(many * (1 - sparsity))))
            strength_O = before.weight.detach().abs().flatten(1).sum(1)
            kept = strength_O.argsort(descending=True, stable=True)[:fewest].sort().values
            _shrink(before, kept, "outputs")
            for name in link.norms:
                _shrink(model.get_submodule(name), kept, "norm")
            _shrink(model.get_submodule(link.after), kept, "inputs")
    return model


def links(model: "nn.Module") -> tuple[Link, ...]:
    """All pairs of convolutions between which channels can be removed, in the order of the computation."""
    fx, nn = need("torch.fx", "train"), need("torch", "train").nn
    try:
        graph = fx.symbolic_trace(model).graph
    except Exception as error:  # control flow that depends on the pictures: each kind fails in a way of its own
        raise UserError(
            f"The layers of this network cannot be followed ({type(error).__name__}), so none can be pruned.",
            fix="prune a network of torchvision, or small-cnn or resnet-w32",
        ) from error
    kinds = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.LeakyReLU, nn.MaxPool2d, nn.AvgPool2d,
             nn.AdaptiveAvgPool2d, nn.Dropout, nn.Dropout2d, nn.Identity)  # fmt: skip
    functions = ("relu", "relu_", "max_pool2d", "avg_pool2d", "silu", "gelu", "dropout")
    calls = [node.target for node in graph.nodes if node.op == "call_module"]
    found = []
    for node in graph.nodes:
        layer = _layer(model, node, calls)
        if not isinstance(layer, nn.Conv2d) or layer.groups != 1:
            continue
        norms: list[str] = []
        at = node
        while len(at.users) == 1:
            at = next(iter(at.users))
            part = _layer(model, at, calls)
            if isinstance(part, nn.Conv2d) and part.groups == 1:
                found.append(Link(node.target, tuple(norms), at.target))
                break
            if isinstance(part, nn.BatchNorm2d):
                norms.append(at.target)
            elif not isinstance(part, kinds) and not _is_function(at, functions):
                break
    return tuple(found)


def _layer(model: "nn.Module", node: Any, calls: list[str]) -> Any:  # noqa: ANN401  torch.fx has no stubs
    """The module a node calls; None where it calls none, or one with weights that is called more than once."""
    if node.op != "call_module":
        return None
    layer = model.get_submodule(node.target)
    return layer if calls.count(node.target) == 1 or not list(layer.parameters()) else None


def _is_function(node: Any, names: tuple[str, ...]) -> bool:  # noqa: ANN401
    if node.op == "call_method":
        return node.target in names
    return node.op == "call_function" and getattr(node.target, "__name__", "") in names


def _shrink(layer: Any, kept: "torch.Tensor", side: str) -> None:  # noqa: ANN401  a convolution or a normalisation
    nn = need("torch", "train").nn
    dimension = 1 if side == "inputs" else 0
    for name in ("weight", "bias"):
        value = getattr(layer, name)
        if value is not None and not (side == "inputs" and name == "bias"):
            fewer = value.detach().index_select(dimension, kept).clone()
            setattr(layer, name, nn.Parameter(fewer, requires_grad=value.requires_grad))
    if side == "norm":
        for name in ("running_mean", "running_var"):
            if getattr(layer, name) is not None:
                setattr(layer, name, getattr(layer, name)[kept].clone())
        layer.num_features = len(kept)
    elif side == "inputs":
        layer.in_channels = len(kept)
    else:
        layer.out_channels = len(kept)
