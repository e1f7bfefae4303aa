"""Networks whose convolutions and linear layers compute with numbers of 8 bits: `resnet18@int8`.

While such a network is trained it computes with real numbers rounded to those 8 bits ("fake quantisation"), and the
gradient passes as if nothing had been rounded, but where a number was cut off (Jacob et al. 2018, "Quantization and
training of neural networks for efficient integer-arithmetic-only inference", section 3). Weights: one scale to each
output channel, symmetric, -127 to 127. What lies between layers: one scale and zero point to each tensor, 0 to 255,
from a moving average of the least and the greatest number seen (section 3.1), held at the end of training (`hold`).
Batch normalisation is folded into the convolution before it at the start, by its running statistics, and does not move
again: what Krishnamoorthi 2018 ("Quantizing deep convolutional networks for efficient inference", section 3.2.2) does
for the last part of training, here for all of it, since a trained network is where it begins.

A convolution rounds what it says, behind a ReLU where one follows; each layer rounds what it hears, unless that was
rounded already. Everything else (sums, other activations, normalisation that cannot be folded, attention's own
products) stays in float: `left_in_float`. The shape is a function of the network's name alone.

Legend: O output channels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

MARK = "@int8"
"""Behind a network's name."""

RATE = 0.01
"""Of the moving averages: how far a range goes towards that of a batch."""

HELD_FROM = 0.8
"""Share of training after which ranges stay as they are, so that weights settle on the numbers they are served with."""

WEAKEST = 2.0**-12
"""Of a layer's greatest scale: no channel has a smaller one, or its bias would not fit into 32 bits."""

LEAST = 2.0**-60
"""Of any scale, so that an empty layer divides by no zero."""


class Role(NamedTuple):
    """What a layer rounds beside its weights; with `is_rectified` what it says is cut off at 0 first."""

    hears: bool
    says: bool
    is_rectified: bool


class Shape(NamedTuple):
    """Of a network: normalisation layers by the convolution they are folded into, and every layer's role."""

    folds: dict[str, str]
    roles: dict[str, Role]


def split(name: str) -> tuple[str, bool]:
    """"resnet18@int8" -> ("resnet18", True)."""
    return name.removesuffix(MARK), name.endswith(MARK)


def quantised(model: "nn.Module") -> "nn.Module":
    """The same network with 8 bits, its ranges not known yet; in place."""
    for convolution, norm in _shape(model, folds=True).folds.items():
        _fold(model, convolution, norm)
    shape = _shape(model)
    for name, layer in _takers(model):
        role = shape.roles.get(name, Role(True, _is_convolution(layer), False))
        layer.__class__ = _kinds()[type(layer)]
        layer.role = role
        layer.is_settled = False
        layer.hears = _range_class()() if role.hears else None
        layer.says = _range_class()() if role.says else None
    return model


def layers(model: "nn.Module") -> "list[tuple[str, Any]]":
    """Name and layer of all that compute with 8 bits."""
    kinds = tuple(_kinds().values())
    return [(name, part) for name, part in model.named_modules() if isinstance(part, kinds)]


def left_in_float(model: "nn.Module") -> tuple[str, ...]:
    """Names of layers with weights that compute with real numbers, and of 8-bit ones that nobody calls."""
    own = dict(layers(model))
    silent = [name for name, layer in own.items() if layer.hears is not None and not layer.hears.is_known()]
    inside = tuple(f"{name}." for name in own)
    others = [
        name for name, part in model.named_modules()
        if name not in own and not name.startswith(inside) and list(part.parameters(recurse=False))
    ]  # fmt: skip
    return (*others, *silent)


def check(model: "nn.Module", path: "Path") -> None:
    """A UserError where a range or a weight of 8 bits cannot be one: network and graph would be wrong alike, and agree.

    path: where they are from
    """
    torch = need("torch", "train")
    ranges = {name: part for name, part in model.named_modules() if isinstance(part, _range_class())}
    wrong = [
        f"{name} reaches from {float(one.low):g} to {float(one.high):g}" for name, one in ranges.items()
        if not (one.low <= 0 <= one.high and torch.isfinite(one.high - one.low))
    ]
    wrong += [f"{name}.weight is not finite" for name, layer in layers(model) if not layer.weight.isfinite().all()]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise UserError(
            f"{path} holds what no network of 8 bits can: {wrong[0]}{more}. A range is finite and 0 is within it.",
            fix="restore it from a copy, or: pictus train quantise RUN    of the run it came from",
        )


def calibrate(model: "nn.Module", batches: "Iterable[torch.Tensor]") -> None:
    """Every range becomes the mean over batches f32[N, 3, S, S] of the least and the greatest number seen."""
    torch = need("torch", "train")
    model.eval()
    ranges = _ranges(model)
    for number, batch in enumerate(batches):
        for one in ranges:
            one.train()
            one.rate = 1 / (number + 1)
        with torch.inference_mode():
            model(batch)
    for one in ranges:
        one.eval()
        one.rate = RATE


def hold(model: "nn.Module", position: float) -> None:
    """Let ranges move until HELD_FROM of training, and no more from there on. Nothing for a network without."""
    is_held = position >= HELD_FROM
    for one in _ranges(model):
        one.is_held.fill_(is_held)


def settled(model: "nn.Module") -> "nn.Module":
    """With whole numbers and constants in place of what is rounded anew each time, for an exporter; in place."""
    operators()
    for _, layer in layers(model):
        layer.settle()
    for one in _ranges(model):
        scale, zero = one.grid()
        one.constants = (float(scale), int(zero))
    return model.eval()


@functools.cache
def operators() -> tuple[Any, Any]:
    """What an exporter meets in a settled network: (rounded tensors, stored weights)."""
    torch = need("torch", "train")
    scheme = "(Tensor x, float scale, int zero) -> Tensor"
    rounded = torch.library.custom_op("pictus::rounded", _rounded, mutates_args=(), schema=scheme)
    rounded.register_fake(lambda x, scale, zero: torch.empty_like(x))  # noqa: ARG005  a shape needs no scale
    scheme = "(Tensor whole, Tensor scale, Tensor zero) -> Tensor"
    stored = torch.library.custom_op("pictus::stored", _stored, mutates_args=(), schema=scheme)
    stored.register_fake(lambda whole, scale, zero: torch.empty(whole.shape))  # noqa: ARG005
    return torch.ops.pictus.rounded.default, torch.ops.pictus.stored.default


def _rounded(x: Any, scale: float, zero: int) -> Any:  # noqa: ANN401
    return need("torch", "train").fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)


def _stored(whole: Any, scale: Any, zero: Any) -> Any:  # noqa: ANN401, ARG001  the zero points are 0
    return whole.float() * scale.reshape(-1, *(1,) * (whole.ndim - 1))


def n_bytes(model: "nn.Module") -> int:
    """What the numbers of a network take where it is served: a byte to each weight of 8 bits, 4 to the others."""
    own = [layer for _, layer in layers(model)]
    ranges = 2 * 4 * len(_ranges(model))
    total = sum(one.numel() * one.element_size() for one in (*model.parameters(), *model.buffers()))
    observed = sum(one.numel() * one.element_size() for part in _ranges(model) for one in part.buffers())
    small = sum(layer.weight.numel() for layer in own)
    return int(total - observed - 3 * small + ranges + sum(4 * len(layer.weight) for layer in own))


def _ranges(model: "nn.Module") -> list[Any]:
    return [part for part in model.modules() if isinstance(part, _range_class())]


def _takers(model: "nn.Module") -> "list[tuple[str, nn.Module]]":
    """Layers that can be made so: torch's own and no others, whose `forward` may differ."""
    kinds = tuple(_kinds())
    return [(name, part) for name, part in model.named_modules() if type(part) in kinds]


def _is_convolution(layer: "nn.Module") -> bool:
    return isinstance(layer, need("torch", "train").nn.Conv2d)


@functools.cache
def _kinds() -> dict[type, type]:
    """Kind of layer -> the same with 8 bits."""
    torch = need("torch", "train")
    nn = torch.nn

    class Eight:
        weight: Any
        role: Role
        is_settled: bool
        whole: Any
        scale: Any
        zero: Any
        register_buffer: Any
        hears: Any
        says: Any
        computed: Any

        def scale_of_weights(self) -> Any:  # noqa: ANN401  f32[O]
            scale_O = self.weight.detach().flatten(1).abs().amax(1) / 127
            return scale_O.clamp(min=max(float(scale_O.max()) * WEAKEST, LEAST))

        def settle(self) -> None:
            scale_O = self.scale_of_weights()
            # By the inverse, as torch's own rounding does: the very numbers that were trained.
            whole = (self.weight.detach() * (1 / scale_O).reshape(-1, *(1,) * (self.weight.ndim - 1))).round()
            self.register_buffer("whole", whole.to(torch.int8), persistent=False)
            self.register_buffer("scale", scale_O, persistent=False)
            self.register_buffer("zero", torch.zeros(len(scale_O), dtype=torch.int8), persistent=False)
            self.is_settled = True

        def rounded_weights(self) -> Any:  # noqa: ANN401  as the weights
            if self.is_settled:
                return torch.ops.pictus.stored(self.whole, self.scale, self.zero)
            scale_O = self.scale_of_weights()
            zeros_O = torch.zeros(len(scale_O), dtype=torch.int32, device=scale_O.device)
            return torch.fake_quantize_per_channel_affine(self.weight, scale_O, zeros_O, 0, -128, 127)

        def forward(self, x: Any) -> Any:  # noqa: ANN401  a torch.Tensor
            heard = x if self.hears is None else self.hears(x)
            said = self.computed(heard, self.rounded_weights())
            if self.role.is_rectified:
                said = nn.functional.relu(said)
            return said if self.says is None else self.says(said)

    class Convolution(Eight, nn.Conv2d):  # type: ignore[misc,name-defined]
        def computed(self, x: Any, weight: Any) -> Any:  # noqa: ANN401
            return self._conv_forward(x, weight, self.bias)

    class Linear(Eight, nn.Linear):  # type: ignore[misc,name-defined]
        def computed(self, x: Any, weight: Any) -> Any:  # noqa: ANN401
            return nn.functional.linear(x, weight, self.bias)

    return {nn.Conv2d: Convolution, nn.Linear: Linear}


@functools.cache
def _range_class() -> Any:  # noqa: ANN401  a class that exists only where torch is installed
    torch = need("torch", "train")

    class Range(torch.nn.Module):  # type: ignore[misc,name-defined]
        """Rounds a tensor to 256 numbers between the least and the greatest that are usual, 0 among them."""

        def __init__(self) -> None:
            super().__init__()
            self.rate = RATE
            self.constants: Any = None
            self.register_buffer("low", torch.zeros(()))
            self.register_buffer("high", torch.zeros(()))
            self.register_buffer("is_held", torch.zeros((), dtype=torch.bool))

        def is_known(self) -> bool:
            return bool(self.low < self.high)

        def forward(self, x: Any) -> Any:  # noqa: ANN401  a torch.Tensor
            x = x.float()
            if self.training:
                self.observe(x.detach())
            if self.constants:
                return torch.ops.pictus.rounded(x, *self.constants)
            return torch.fake_quantize_per_tensor_affine(x, *self.grid(), 0, 255)

        def grid(self) -> Any:  # noqa: ANN401  f32[] scale, i32[] zero point
            scale = ((self.high - self.low) / 255).clamp(min=LEAST)
            return scale, (-self.low / scale).round().clamp(0, 255).to(torch.int32)

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def observe(self, x: Any) -> None:  # noqa: ANN401
            low, high = torch.aminmax(x)
            is_new = self.low == self.high  # nothing seen yet: the first batch is all that is known
            rate = torch.where(is_new, 1.0, torch.where(self.is_held, 0.0, self.rate))
            self.low.lerp_(low.clamp(max=0), rate)
            self.high.lerp_(high.clamp(min=0), rate)

    return Range


def _fold(model: "nn.Module", convolution: str, norm: str) -> None:
    """Weights become w g / s, the bias (b - m) g / s + shift, s = sqrt(v + eps): Jacob et al. 2018, section 3.2."""
    torch = need("torch", "train")
    layer: Any = model.get_submodule(convolution)
    own: Any = model.get_submodule(norm)
    with torch.no_grad():
        factor_O = (own.running_var + own.eps).rsqrt()
        if own.weight is not None:
            factor_O = factor_O * own.weight
        bias_O = -own.running_mean * factor_O
        if own.bias is not None:
            bias_O = bias_O + own.bias
        if layer.bias is not None:
            bias_O = bias_O + layer.bias * factor_O
        is_trained = layer.weight.requires_grad
        weight = layer.weight * factor_O.reshape(-1, 1, 1, 1)
    layer.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=is_trained)
    layer.bias = torch.nn.Parameter(bias_O.detach().clone())
    parent, _, last = norm.rpartition(".")
    setattr(model.get_submodule(parent), last, torch.nn.Identity())


def _shape(model: "nn.Module", *, folds: bool = False) -> Shape:
    """As far as the layers can be followed; a network that decides its way by the pictures has nothing folded, and
    every layer rounds both what it hears and what it says.
    """
    try:
        graph = need("torch.fx", "train").Tracer().trace(model)
    except Exception:  # noqa: BLE001  control flow that depends on the pictures: each kind fails in a way of its own
        return Shape({}, {})
    calls = [node.target for node in graph.nodes if node.op == "call_module"]
    once = {name for name in calls if calls.count(name) == 1}
    found = [node for node in graph.nodes if node.op == "call_module" and node.target in once
             and type(model.get_submodule(node.target)) in _kinds()]  # fmt: skip
    if folds:
        pairs = {node.target: norm for node in found if (norm := _norm_behind(model, node, once))}
        return Shape(pairs, {})
    speaking = {node for node in found if _is_convolution(model.get_submodule(node.target))}
    return Shape({}, {
        node.target: Role(_source(model, node) not in speaking, node in speaking,
                          node in speaking and _kind(model, _follower(model, node)) == "relu")
        for node in found
    })  # fmt: skip


def _norm_behind(model: "nn.Module", node: Any, once: set[str]) -> str:  # noqa: ANN401  torch.fx has no stubs
    """The normalisation that alone reads a convolution. Behind a maximum only one whose scale is not trained, which
    cannot become negative: the greatest number of a window then is the greatest before and after.
    """
    nn = need("torch", "train").nn
    if not _is_convolution(model.get_submodule(node.target)):
        return ""
    is_pooled, at = False, _follower(model, node)
    while at is not None and _kind(model, at) == "max":
        is_pooled, at = True, _follower(model, at)
    if at is None or at.op != "call_module" or at.target not in once:
        return ""
    norm = model.get_submodule(at.target)
    is_good = type(norm) is nn.BatchNorm2d and norm.running_var is not None
    is_good &= not is_pooled or (norm.weight is not None and not norm.weight.requires_grad)
    return str(at.target) if is_good else ""


def _follower(model: "nn.Module", node: Any) -> Any:  # noqa: ANN401
    """What alone reads a node, layers that do nothing left out; None where several do."""
    while len(node.users) == 1:
        node = next(iter(node.users))
        if _kind(model, node) != "nothing":
            return node
    return None


def _source(model: "nn.Module", node: Any) -> Any:  # noqa: ANN401
    """Where the numbers come from that a node reads, before steps that choose among them and change none."""
    node = node.args[0] if node.args else None
    while _kind(model, node) in ("nothing", "relu", "max", "shape"):
        node = node.args[0]
    return node


_BY_NAME = {"relu": "relu", "relu_": "relu", "max_pool2d": "max", "flatten": "shape", "view": "shape",
            "reshape": "shape"}  # fmt: skip


def _kind(model: "nn.Module", node: Any) -> str:  # noqa: ANN401
    """One of: nothing, relu, max, shape; "" of anything else."""
    nn = need("torch", "train").nn
    op = getattr(node, "op", "")
    if op == "call_module":
        kinds = {nn.Identity: "nothing", nn.ReLU: "relu", nn.MaxPool2d: "max", nn.AdaptiveMaxPool2d: "max",
                 nn.Flatten: "shape"}  # fmt: skip
        return kinds.get(type(model.get_submodule(node.target)), "")
    name = node.target if op == "call_method" else getattr(node.target, "__name__", "") if op == "call_function" else ""
    return _BY_NAME.get(name, "")
