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
from pictus.tasks import TASKS, Task
from pictus.train.feed import loader, whitening
from pictus.train.feed.loader import Pictures
from pictus.train.kept.checkpoint import Checkpoint
from pictus.train.loop import dropping, environment, optimizers
from pictus.train.loop.schedule import Plan
from pictus.train.objectives import OBJECTIVES, Objective, network_of
from pictus.train.recipes import Recipe
from pictus.train.transfer import adapters, freezing, start

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
    def task(self) -> Task:
        return TASKS.get(self.recipe.task)

    @property
    def objective(self) -> Objective:
        return OBJECTIVES.get(self.recipe.objective)

    @property
    def looks(self) -> tuple[Recipe, ...]:
        """How each view of a picture is made: a recipe to each."""
        objective = self.objective
        return objective.looks(self.recipe) if objective.looks else (self.recipe,) * objective.views

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
    best_main: float = -1.0  # the task's figure that epochs are compared by
    best_top1: float = 0.0
    best_top5: float = 0.0
    best_loss: float = math.inf
    best_others: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    plan_start: int = 0
    plan_position: float = 0.0
    plan_end: int = 0
    epoch_began_s: float = 0.0  # of no use any more: checkpoints of before hold it
    validation_steps: float = 0.0  # what a validation takes, in steps; 0: none was timed
    metrics_bytes: int = 0
    elapsed_s: float = 0.0
    has_ended: bool = False
    accumulate: int = 0  # pieces a batch is computed in since memory ran out, 0: as the recipe says
    loss_scale: float = 65_536.0  # of fp16
    good_steps: int = 0  # since the scale last changed
    joules: float = 0.0
    waited_s: float = 0.0  # for batches that were not there yet
    peak_bytes: int = 0  # of memory, the process's
    gpu_peak_bytes: int = 0

    @property
    def plan(self) -> Plan:
        return Plan(self.plan_start, self.plan_position, self.plan_end)

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.plan_start, self.plan_position, self.plan_end = plan


@dataclass
class State:
    """A run in progress. `model` is what gradients train: the network, or the objective's student that holds it;
    `averaged` the moving average of the network, where the recipe wants one; `companions` the objective's.
    """

    model: "nn.Module"
    averaged: "nn.Module | None"
    optimizer: "torch.optim.Optimizer"
    companions: "dict[str, nn.Module]" = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)

    @property
    def kept(self) -> "nn.Module":
        """The network that is validated and kept."""
        return network_of(self.model) if self.averaged is None else self.averaged


def fresh(job: Job) -> State:
    """A run before its first step: weights from the seed, or from where the recipe says."""
    recipe = job.recipe
    need("torch", "train").manual_seed(recipe.seed)
    weights = Path(recipe.weights).expanduser() if recipe.weights else None
    alone = weights if weights and adapters.is_alone(weights) else None
    weights = None if alone else weights
    if recipe.from_run:
        network = start.network_from(recipe, job.train.release.classes)
    else:
        network = models.build(
            recipe.model, job.n_classes, size=recipe.size, pretrained=recipe.pretrained, weights=weights
        )
        if not recipe.pretrained and weights is None:
            whitening.whiten(network, job.train, job.preprocessing)
    if alone:
        network = adapters.laid_on(network, alone)
    state = _assembled(job, network)
    state.counters.plan = Plan(0, 0.0, job.most_steps)
    return state


def restored(job: Job, found: Checkpoint) -> State:
    """The run as `found` left it. Strict: a missing, unexpected or wrongly shaped tensor is an error."""
    state = _assembled(job, networks.make(job.recipe.model, job.n_classes, size=job.recipe.size))
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "averaged": {}, "optimizer": {}, "companions": {}}
    for key, tensor in found.tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = tensor
    where = job.root / "checkpoints"
    models.load_strictly(state.model, parts["model"], where)
    if state.averaged is not None:
        models.load_strictly(state.averaged, parts["averaged"], where)
    for name, companion in _kept(state.companions):
        prefix = f"{name}."
        own = {key.removeprefix(prefix): one for key, one in parts["companions"].items() if key.startswith(prefix)}
        models.load_strictly(companion, own, where)
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
    for name, companion in _kept(state.companions):
        tensors |= {f"companions.{name}.{key}": value for key, value in companion.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        for slot, value in state.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{slot}"] = value
    return Checkpoint(state.counters.step, tensors, asdict(state.counters))


def _assembled(job: Job, network: "nn.Module") -> State:
    objective, order = job.objective, environment.memory_format(job.recipe)
    network = dropping.applied(network, job.recipe)
    network = adapters.put_in(network, job.recipe.lora, job.recipe.lora_on)
    student = objective.student(network, job) if objective.student else network
    student = student.to(job.device, memory_format=order)
    averaged = copy.deepcopy(network_of(student)).eval().requires_grad_(requires_grad=False) if job.recipe.ema else None
    companions = objective.companions(student, job) if objective.companions else {}
    for companion in companions.values():
        companion.to(job.device, memory_format=order).requires_grad_(requires_grad=False)
    freezing.hold(network, job.recipe, 0)
    return State(student.train(), averaged, optimizers.made(student, network_of(student), job.recipe), companions)


def _kept(companions: "dict[str, nn.Module]") -> "list[tuple[str, nn.Module]]":
    return [(name, one) for name, one in companions.items() if not name.startswith("fixed")]


def _like(parameter: Any) -> Any:  # noqa: ANN401  torch tensors
    """An empty tensor of the parameter's shape and layout in memory: what the optimizer itself would have made."""
    return need("torch", "train").empty_like(parameter, requires_grad=False)
