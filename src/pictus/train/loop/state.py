"""All that changes while a run trains, and how it goes into a checkpoint and comes back."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictus import models, networks
from pictus.extras import need
from pictus.models import Preprocessing
from pictus.train.feed import loader
from pictus.train.feed.loader import Pictures
from pictus.train.kept.checkpoint import Checkpoint
from pictus.train.loop.schedule import Plan
from pictus.train.recipes import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Job:
    """What is trained on what; nothing in it changes."""

    root: Path
    recipe: Recipe  # resolved
    preprocessing: Preprocessing
    train: Pictures
    val: Pictures
    n_classes: int
    cores: int
    device: str

    @property
    def steps_per_epoch(self) -> int:
        return loader.steps_per_epoch(len(self.train), self.recipe.batch_size)

    @property
    def most_steps(self) -> int:
        return self.recipe.epochs * self.steps_per_epoch


@dataclass
class Counters:
    """The plain numbers of a run in progress."""

    step: int = 0  # steps done
    loss_sum: float = 0.0  # of this epoch, over pictures
    n_right: int = 0
    n_seen: int = 0
    best_top1: float = -1.0
    best_top5: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    plan_start: int = 0
    plan_position: float = 0.0
    plan_end: int = 0
    epoch_began_s: float = 0.0  # of elapsed_s
    metrics_bytes: int = 0
    elapsed_s: float = 0.0
    has_ended: bool = False

    @property
    def plan(self) -> Plan:
        return Plan(self.plan_start, self.plan_position, self.plan_end)

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.plan_start, self.plan_position, self.plan_end = plan


@dataclass
class State:
    """A run in progress. `averaged` is the moving average of the weights, where the recipe wants one."""

    model: "nn.Module"
    averaged: "nn.Module | None"
    optimizer: "torch.optim.Optimizer"
    counters: Counters = field(default_factory=Counters)

    @property
    def kept(self) -> "nn.Module":
        """The network that is validated and kept."""
        return self.model if self.averaged is None else self.averaged


def fresh(job: Job) -> State:
    """A run before its first step: weights from the seed, or from where the recipe says."""
    recipe = job.recipe
    need("torch", "train").manual_seed(recipe.seed)
    weights = Path(recipe.weights).expanduser() if recipe.weights else None
    state = _assembled(
        job, models.build(recipe.model, job.n_classes, size=recipe.size, pretrained=recipe.pretrained, weights=weights)
    )
    state.counters.plan = Plan(0, 0.0, job.most_steps)
    return state


def restored(job: Job, found: Checkpoint) -> State:
    """The run as `found` left it. Strict: a missing, unexpected or wrongly shaped tensor is an error."""
    state = _assembled(job, networks.make(job.recipe.model, job.n_classes, size=job.recipe.size))
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "averaged": {}, "optimizer": {}}
    for key, tensor in found.tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = tensor
    where = job.root / "checkpoints"
    models.load_strictly(state.model, parts["model"], where)
    if state.averaged is not None:
        models.load_strictly(state.averaged, parts["averaged"], where)
    parameters = dict(state.model.named_parameters())
    for key, tensor in parts["optimizer"].items():
        name, _, slot = key.rpartition(".")
        parameter = parameters[name]
        like = tensor if tensor.shape != parameter.shape else _like(parameter)
        state.optimizer.state[parameter][slot] = like if like is tensor else like.copy_(tensor)
    state.counters = Counters(**found.values)
    return state


def snapshot(state: State) -> Checkpoint:
    """The state as tensors and plain numbers."""
    tensors = {f"model.{key}": value for key, value in state.model.state_dict().items()}
    if state.averaged is not None:
        tensors |= {f"averaged.{key}": value for key, value in state.averaged.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        for slot, value in state.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{slot}"] = value
    return Checkpoint(state.counters.step, tensors, asdict(state.counters))


def _assembled(job: Job, model: "nn.Module") -> State:
    torch = need("torch", "train")
    model = model.to(job.device, memory_format=torch.channels_last)
    averaged = copy.deepcopy(model).eval().requires_grad_(requires_grad=False) if job.recipe.ema else None
    return State(model.train(), averaged, _optimizer(model, job.recipe))


def _optimizer(model: "nn.Module", recipe: Recipe) -> "torch.optim.Optimizer":
    """Weight decay for matrices and kernels only: normalisation layers and biases go without."""
    optim = need("torch", "train").optim
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if recipe.optimizer == "adamw":
        return optim.AdamW(groups, lr=recipe.lr)
    return optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)


def _like(parameter: Any) -> Any:  # noqa: ANN401  torch tensors
    """An empty tensor of the parameter's shape and layout in memory: what the optimizer itself would have made."""
    return need("torch", "train").empty_like(parameter, requires_grad=False)
