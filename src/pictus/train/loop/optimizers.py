"""Optimizers by name. Weight decay is for matrices and kernels only: normalisation layers and biases go without.

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
from pictus.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.recipes import Recipe

Groups = list[dict[str, Any]]

OPTIMIZERS: Registry[Callable[[Groups, "Recipe"], "torch.optim.Optimizer"]] = Registry(
    "optimizer", entry_points="pictus.optimizers"
)

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan 2024, "Muon"): five rounds bring singular values to 0.7 .. 1.2."""

LIKE_ADAM = 0.2
"""Muon's steps are scaled by 0.2 sqrt(longer side) (Liu et al. 2025, "Muon is scalable", section 2.2): their root mean
square is AdamW's, so that one learning rate serves both.
"""


def made(student: "nn.Module", network: "nn.Module", recipe: "Recipe") -> "torch.optim.Optimizer":
    """The recipe's optimizer of all the weights of a student, the network in it (or itself) among them. Frozen ones
    have no gradient and are passed over.
    """
    return OPTIMIZERS.get(recipe.optimizer)(groups(student, network, recipe), recipe)


def groups(student: "nn.Module", network: "nn.Module", recipe: "Recipe") -> Groups:
    """Weights by what they have in common: decay, share of the learning rate, whether they are matrices in the body.

    The classifier's matrix is none of those: Muon leaves it to AdamW, as its author advises.
    """
    place = next(name for name, module in student.named_modules() if module is network)
    inside = f"{place}." if place else ""
    shares = {f"{inside}{name}": share for name, share in lr_shares(network, recipe.layer_decay).items()}
    head = f"{inside}{networks.head_of(network)[0]}."
    of_head = [name for name, _ in student.named_parameters() if name.startswith(head)]
    shares |= {name: shares.get(name, 1.0) * recipe.lr_head for name in of_head}
    if recipe.lr_bias != 1:
        shares |= {name: shares.get(name, 1.0) * recipe.lr_bias for name in _shifts(student)}
    found: dict[tuple[bool, float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        has_decay = parameter.ndim > 1
        is_matrix = has_decay and not name.startswith(head)
        found.setdefault((has_decay, shares.get(name, 1.0), is_matrix), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": recipe.weight_decay if has_decay else 0.0,
         "lr_scale": share, "is_matrix": is_matrix}
        for (has_decay, share, is_matrix), parameters in found.items()
    ]  # fmt: skip


def _shifts(student: "nn.Module") -> list[str]:
    """Names of what batch normalisation adds."""
    kind = need("torch", "train").nn.modules.batchnorm._BatchNorm  # noqa: SLF001  of any number of dimensions
    return [f"{name}.bias" for name, one in student.named_modules() if isinstance(one, kind) and one.bias is not None]


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
    optimizer: torch.optim.Optimizer = _lion_class()(found, {"lr": recipe.lr, "betas": (0.9, 0.99)})
    return optimizer


@OPTIMIZERS.register("muon")
def muon(found: Groups, recipe: "Recipe") -> "torch.optim.Optimizer":
    """Jordan 2024: the momentum of each matrix or kernel of the body, made orthogonal; AdamW for the rest."""
    defaults = {"lr": recipe.lr, "momentum": 0.95, "betas": (0.9, 0.999), "eps": 1e-8}
    optimizer: torch.optim.Optimizer = _muon_class()(found, defaults)
    return optimizer


@functools.cache
def _lion_class() -> Any:  # noqa: ANN401  a class that exists only where torch is installed
    torch = need("torch", "train")

    class Lion(torch.optim.Optimizer):  # type: ignore[misc,name-defined]
        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self) -> None:
            for group in self.param_groups:
                fast, slow = group["betas"]
                for weight in group["params"]:
                    if weight.grad is None:
                        continue
                    kept = self.state[weight]
                    if not kept:
                        kept["mean"] = torch.zeros_like(weight)
                    mean = kept["mean"]
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(torch.lerp(weight.grad, mean, fast).sign_(), alpha=-group["lr"])
                    mean.lerp_(weight.grad, 1 - slow)

    return Lion


@functools.cache
def _muon_class() -> Any:  # noqa: ANN401  a class that exists only where torch is installed
    torch = need("torch", "train")

    class Muon(torch.optim.Optimizer):  # type: ignore[misc,name-defined]
        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self) -> None:
            for group in self.param_groups:
                move = _muon_step if group["is_matrix"] else _adam_step
                for weight in group["params"]:
                    if weight.grad is not None:
                        weight.mul_(1 - group["lr"] * group["weight_decay"])
                        move(weight, self.state[weight], group)

    return Muon


def _muon_step(weight: Any, kept: dict[str, Any], group: dict[str, Any]) -> None:  # noqa: ANN401  a torch.Tensor
    """Nesterov momentum, then the nearest orthogonal matrix; a kernel is a matrix with a row to each output."""
    torch = need("torch", "train")
    if not kept:
        kept["momentum_buffer"] = torch.zeros_like(weight)
    momentum = group["momentum"]
    kept["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
    ahead = torch.lerp(weight.grad, kept["momentum_buffer"], momentum)
    rows = ahead.reshape(len(ahead), -1)
    scale = LIKE_ADAM * math.sqrt(max(rows.shape))
    weight.add_(orthogonal(rows).reshape(weight.shape), alpha=-group["lr"] * scale)


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
