"""Optimizers by name. Weight decay is for matrices and kernels only: normalisation layers and biases go without, but
for shifts with a rate of their own (`lr_bias`).

Each is a function from groups of weights and a recipe. A group says its share of the learning rate (`lr_scale`), and
whether Muon may have its weights (`is_matrix`). What an optimizer remembers lies in tensors under the weight it is of,
so that a checkpoint holds it by the weight's name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pictus import networks
from pictus.extras import need
from pictus.plain_network import whitening_layer
from pictus.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.recipes import Recipe

Groups = list[dict[str, Any]]

Move = Callable[[Any, dict[str, Any], dict[str, Any]], None]
"""A step of one weight, whose decay is done: (weight, what is remembered of it, its group)."""

OPTIMIZERS: Registry[Callable[[Groups, "Recipe"], "torch.optim.Optimizer"]] = Registry(
    "optimizer", entry_points="pictus.optimizers"
)

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan 2024, "Muon"): five rounds bring singular values to 0.7 .. 1.2."""

LIKE_ADAM = 0.2
"""Muon's steps are scaled by 0.2 sqrt(longer side) (Liu et al. 2025, "Muon is scalable", section 2.2): their root mean
square is AdamW's, so that one learning rate serves both.
"""

LEAST_NORM = 1e-12
"""Of what is divided by, so that a kernel of zeros stays one."""

TURNING_ROUNDS = 3
"""Newton-Schulz rounds of `muon-normed`, as airbench94_muon has it (Jordan 2024): the sizes of its steps are its
learning rate's business, so that they need not be exact.
"""

TURNING_MOMENTUM, OTHERS_MOMENTUM = 0.6, 0.85
"""airbench94_muon's, of kernels and of all else."""


def made(student: "nn.Module", network: "nn.Module", recipe: "Recipe") -> "torch.optim.Optimizer":
    """The recipe's optimizer of all the weights of a student, the network in it (or itself) among them. Frozen ones
    have no gradient and are passed over.
    """
    return OPTIMIZERS.get(recipe.optimizer)(groups(student, network, recipe), recipe)


def groups(student: "nn.Module", network: "nn.Module", recipe: "Recipe") -> Groups:
    """Weights by what they have in common: decay, share of the learning rate, whether they are matrices in the body.

    The classifier's matrix is none of those: Muon leaves it to AdamW, as its author advises. `lr_head` and `lr_bias`
    are of the rate alone: with them a step's decay is what it is without. Shifts decay where they have a rate of their
    own only, for then they are what grows fastest.
    """
    place = next(name for name, module in student.named_modules() if module is network)
    inside = f"{place}." if place else ""
    shares = {f"{inside}{name}": share for name, share in lr_shares(network, recipe.layer_decay).items()}
    head = f"{inside}{networks.head_of(network)[0]}."
    of_head = [name for name, _ in student.named_parameters() if name.startswith(head)]
    shifts = _shifts(student) if recipe.lr_bias != 1 else []
    own = dict.fromkeys(of_head, recipe.lr_head) | dict.fromkeys(shifts, recipe.lr_bias)
    shares |= {name: shares.get(name, 1.0) * share for name, share in own.items()}
    found: dict[tuple[float, float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        decay = recipe.weight_decay / own.get(name, 1.0) if parameter.ndim > 1 or name in shifts else 0.0
        is_matrix = parameter.ndim > 1 and not name.startswith(head)
        found.setdefault((decay, shares.get(name, 1.0), is_matrix), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr_scale": share, "is_matrix": is_matrix}
        for (decay, share, is_matrix), parameters in found.items()
    ]


def _shifts(student: "nn.Module") -> list[str]:
    """Names of what batch normalisation and a whitening layer add."""
    kind = need("torch", "train").nn.modules.batchnorm._BatchNorm  # noqa: SLF001  of any number of dimensions
    first = whitening_layer(student)
    found = {name: one for name, one in student.named_modules() if isinstance(one, kind) or one is first}
    return [f"{name}.bias" for name, one in found.items() if getattr(one, "bias", None) is not None]


def lr_shares(model: "nn.Module", layer_decay: float) -> dict[str, float]:
    """Name of a weight -> its share of the learning rate: `layer_decay` to the power of the stages above it (Clark et
    al. 2020, ELECTRA, section 3.1: layer-wise decay). Empty where it is 1.
    """
    if layer_decay == 1:
        return {}
    stages = networks.stages_of(model)
    return {name: layer_decay ** (len(stages) - 1 - at) for at, stage in enumerate(stages) for name in stage}


def set_rate(optimizer: "torch.optim.Optimizer", rate: float, momentum: float | None = None) -> None:
    """The learning rate of the next step, each group's share of it; and the momentum, where the schedule moves it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
        if momentum is not None and "momentum" in group:
            group["momentum"] = momentum


def orthogonal(matrix: "torch.Tensor", rounds: int = 5) -> "torch.Tensor":
    """f32[A, B] -> about U V' of its singular value decomposition, by Newton-Schulz rounds of matrix products."""
    a, b, c = NEWTON_SCHULZ
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


@OPTIMIZERS.register("sgd")
def sgd(found: Groups, recipe: "Recipe") -> "torch.optim.Optimizer":
    """Nesterov momentum 0.9."""
    return need("torch", "train").optim.SGD(found, lr=recipe.lr, momentum=0.9, nesterov=True)


@OPTIMIZERS.register("adamw")
def adamw(found: Groups, recipe: "Recipe") -> "torch.optim.Optimizer":
    """Loshchilov & Hutter 2019."""
    return need("torch", "train").optim.AdamW(found, lr=recipe.lr)


@OPTIMIZERS.register("lion")
def lion(found: Groups, recipe: "Recipe") -> "torch.optim.Optimizer":
    """Chen et al. 2023, "Symbolic discovery of optimization algorithms", algorithm 2: the sign of a mean of gradients.

    Its steps are longer than AdamW's: a rate 3 to 10 times smaller, a decay as many times larger (their section 5).
    """
    optimizer: torch.optim.Optimizer = _class_of(_lion_step, _lion_step)(found, {"lr": recipe.lr, "betas": (0.9, 0.99)})
    return optimizer


@OPTIMIZERS.register("muon")
def muon(found: Groups, recipe: "Recipe") -> "torch.optim.Optimizer":
    """Jordan 2024: the momentum of each matrix or kernel of the body, made orthogonal; AdamW for the rest."""
    defaults = {"lr": recipe.lr, "momentum": 0.95, "betas": (0.9, 0.999), "eps": 1e-8}
    optimizer: torch.optim.Optimizer = _class_of(_muon_step, _adam_step)(found, defaults)
    return optimizer


@OPTIMIZERS.register("muon-normed")
def muon_normed(found: Groups, recipe: "Recipe") -> "torch.optim.Optimizer":
    """Kernels and matrices of the body keep the norm they began with and are turned by orthogonal steps, `lr` times
    that norm long, whatever their decay; Nesterov momentum for the rest (Jordan 2024, airbench94_muon).

    For networks that normalise after each of them, where only their direction means anything.
    """
    defaults = {"lr": recipe.lr, "momentum": OTHERS_MOMENTUM}
    optimizer: torch.optim.Optimizer = _class_of(_turn, _momentum_step)(found, defaults)
    for group in optimizer.param_groups:
        group["momentum"] = TURNING_MOMENTUM if group["is_matrix"] else OTHERS_MOMENTUM
    return optimizer


@functools.cache
def _class_of(of_matrices: Move, of_others: Move) -> Any:  # noqa: ANN401  a class that exists only with torch
    torch = need("torch", "train")

    class Moving(torch.optim.Optimizer):  # type: ignore[misc,name-defined]
        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self) -> None:
            for group in self.param_groups:
                move = of_matrices if group["is_matrix"] else of_others
                for weight in group["params"]:
                    if weight.grad is not None:
                        weight.mul_(1 - group["lr"] * group["weight_decay"])
                        move(weight, self.state[weight], group)

    return Moving


def _lion_step(weight: Any, kept: dict[str, Any], group: dict[str, Any]) -> None:  # noqa: ANN401  a torch.Tensor
    """The sign of a mean of gradients, this one's share larger than in the mean that is kept."""
    torch = need("torch", "train")
    fast, slow = group["betas"]
    if not kept:
        kept["mean"] = torch.zeros_like(weight)
    weight.add_(torch.lerp(weight.grad, kept["mean"], fast).sign_(), alpha=-group["lr"])
    kept["mean"].lerp_(weight.grad, 1 - slow)


def _muon_step(weight: Any, kept: dict[str, Any], group: dict[str, Any]) -> None:  # noqa: ANN401  a torch.Tensor
    """Nesterov momentum, then the nearest orthogonal matrix; a kernel is a matrix with a row to each output."""
    rows = _ahead(weight, kept, group["momentum"]).flatten(1)
    scale = LIKE_ADAM * math.sqrt(max(rows.shape))
    weight.add_(orthogonal(rows).reshape(weight.shape), alpha=-group["lr"] * scale)


def _turn(weight: Any, kept: dict[str, Any], group: dict[str, Any]) -> None:  # noqa: ANN401  a torch.Tensor
    """Back to the norm it began with, then a step of Muon's direction whose norm is `lr` times that."""
    rows = _ahead(weight, kept, group["momentum"]).flatten(1)
    if "norm" not in kept:
        kept["norm"] = weight.norm() if weight.any() else weight.new_tensor(math.sqrt(min(rows.shape)))
    weight.mul_(kept["norm"] / weight.norm().clamp(min=LEAST_NORM))
    length = float(kept["norm"]) / math.sqrt(min(rows.shape))
    weight.add_(orthogonal(rows, TURNING_ROUNDS).reshape(weight.shape), alpha=-group["lr"] * length)


def _ahead(weight: Any, kept: dict[str, Any], momentum: float) -> Any:  # noqa: ANN401  torch.Tensor
    """The mean of gradients, looked at from one step further (Nesterov)."""
    torch = need("torch", "train")
    if not kept:
        kept["momentum_buffer"] = torch.zeros_like(weight)
    kept["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
    return torch.lerp(weight.grad, kept["momentum_buffer"], momentum)


def _momentum_step(weight: Any, kept: dict[str, Any], group: dict[str, Any]) -> None:  # noqa: ANN401  a torch.Tensor
    """Nesterov momentum as torch's SGD has it: sums of gradients."""
    if not kept:
        kept["momentum_buffer"] = need("torch", "train").zeros_like(weight)
    kept["momentum_buffer"].mul_(group["momentum"]).add_(weight.grad)
    weight.add_(weight.grad.add(kept["momentum_buffer"], alpha=group["momentum"]), alpha=-group["lr"])


def _adam_step(weight: Any, kept: dict[str, Any], group: dict[str, Any]) -> None:  # noqa: ANN401  a torch.Tensor
    """Kingma & Ba 2015, algorithm 1, with the decay apart."""
    torch = need("torch", "train")
    if not kept:
        kept["mean"], kept["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        kept["count"] = torch.zeros((), dtype=torch.float32)
    first, second = group["betas"]
    kept["count"] += 1
    count = float(kept["count"])
    kept["mean"].lerp_(weight.grad, 1 - first)
    kept["square"].mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
    spread = (kept["square"] / (1 - second**count)).sqrt_().add_(group["eps"])
    weight.addcdiv_(kept["mean"], spread, value=-group["lr"] / (1 - first**count))
