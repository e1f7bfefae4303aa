"""Which weights are trained: all, the last stages, one stage more every so many epochs, or adapters and the head.

A function of (recipe, epoch), so there is nothing to restore. A batch normalisation whose scale and shift are frozen
computes with the statistics it has and leaves them: what follows it sees in training what it will see later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictus import networks
from pictus.extras import need
from pictus.train.transfer import adapters

if TYPE_CHECKING:
    from torch import nn

    from pictus.train.recipes import Recipe


def n_trained(recipe: "Recipe", n_stages: int, epoch: int) -> int:
    """Stages trained in an epoch (from 0), counted from the head; gradual unfreezing as Howard & Ruder 2018, 3.3."""
    if recipe.freeze == "none":
        return n_stages
    first = 1 if recipe.freeze == "backbone" else int(recipe.freeze)
    return min(n_stages, first + (epoch // recipe.unfreeze_every if recipe.unfreeze_every else 0))


def hold(network: "nn.Module", recipe: "Recipe", epoch: int) -> None:
    """Let gradients reach what is trained in this epoch (from 0), and nothing else."""
    if recipe.freeze == "none" and not recipe.lora:
        return
    stages = networks.stages_of(network)
    trained = {name for stage in stages[len(stages) - n_trained(recipe, len(stages), epoch) :] for name in stage}
    if recipe.lora:
        head = set(stages[-1])
        trained = {name for stage in stages for name in stage if adapters.is_adapter(name) or name in head}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad != (name in trained):
            parameter.requires_grad_(name in trained)
            parameter.grad = None


def train_mode(model: "nn.Module") -> None:
    """`model.train()`, but for batch normalisation that is frozen."""
    model.train()
    if all(parameter.requires_grad for parameter in model.parameters()):
        return
    normalising = need("torch", "train").nn.modules.batchnorm._NormBase  # noqa: SLF001  all that keep statistics
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, normalising) and own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def told(network: "nn.Module", recipe: "Recipe") -> dict[str, Any]:
    """What the run card says about it; empty where everything is trained from the start."""
    if recipe.freeze == "none" and not recipe.lora:
        return {}
    hold(network, recipe, 0)
    stages = networks.stages_of(network)
    facts: dict[str, Any] = {
        "stages": len(stages),
        "trained_parameters": sum(one.numel() for one in network.parameters() if one.requires_grad),
        "batch_norm": "frozen layers keep and use the running statistics they began with",
    }
    if recipe.lora:
        return facts | {"adapters": {"rank": recipe.lora, "layers": adapters.names(network)}}
    return facts | {"trained_stages": n_trained(recipe, len(stages), 0), "one_more_every_epochs": recipe.unfreeze_every}
