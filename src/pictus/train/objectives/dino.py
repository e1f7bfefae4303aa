"""A student says of any crop what its teacher, the mean of its own past, says of large ones (Caron et al. 2021, DINO).

Of two large crops and some small ones: the mean over pairs of a large crop x the teacher sees and another crop x' the
student sees of the cross-entropy -sum p_t(x) log p_s(x'), p_s = softmax(student / 0.1),
p_t = softmax((teacher - centre) / 0.04) (their equations 2 and 3). The centre is the running mean of what the teacher
says (equation 4); it and the teacher's low temperature keep answers from becoming all alike.

Ours and short, because the package that has it brings a training framework with it; tests hold it to numbers worked out
from the formulas. As published: the last layer's rows have length 1, and it rests for the first epoch. Not so: the
teacher's normalisation layers use running statistics, which follow the student's as its weights do, so that what it
says of a picture hangs on no other picture.

Legend: B pictures of a piece, V views, P outputs.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pictus import networks
from pictus.extras import need
from pictus.train.loop import schedule
from pictus.train.loop.precision import precision
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece
from pictus.train.pretrain import neighbours, students

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job, State
    from pictus.train.recipes import Recipe

OUTPUTS = 1024
"""Published: 65,536, for 1.3 million pictures."""

STUDENT, TEACHER = 0.1, 0.04
"""Temperatures, as published (section 3.1)."""

CENTRE = 0.9
"""How much of the centre stays in a step, as published."""

LARGE, SMALL = 0.25, 0.05
"""Least part of the picture that crops show; the small ones show no more than LARGE (published: 0.4 and 0.05)."""

LEAST_PX = 32
"""Small crops are half as wide as large ones, but no smaller than this: networks halve their input up to five times."""


def cross_entropy(
    said: "list[torch.Tensor]", wanted: "list[torch.Tensor]", centre_P: "torch.Tensor"
) -> "torch.Tensor":
    """said: the student's outputs of every view, f32[B, P] each; wanted: the teacher's of the first ones."""
    torch = need("torch", "train")
    logs = [(one / STUDENT).log_softmax(1) for one in said]
    shares = [((one - centre_P) / TEACHER).softmax(1) for one in wanted]
    losses = [
        -(share * log).sum(1).mean()
        for place, share in enumerate(shares) for other, log in enumerate(logs) if place != other
    ]  # fmt: skip
    return torch.stack(losses).mean()


def loss(student: Any, piece: Piece, job: "Job") -> "tuple[torch.Tensor, int]":  # noqa: ANN401  a Projected
    """Views of one size go through the network at once. The count: pictures of which both say the same."""
    torch = need("torch", "train")
    teacher, count = piece.companions["teacher"], len(piece.views[0])
    large, small = piece.views[:2], piece.views[2:]
    student.projection[-1].is_resting = piece.step < job.steps_per_epoch
    said = list(students.projected(student, torch.cat(large), job).chunk(2))
    if small:
        said += students.projected(student, torch.cat(small), job).split(count)
    with torch.no_grad():
        wanted = list(teacher(torch.cat(large), job).chunk(2))
        centre_P = student.centre.clone()
        student.centre.lerp_(torch.cat(wanted).mean(0), 1 - CENTRE)
    n_same = int((said[1].argmax(1) == (wanted[0] - centre_P).argmax(1)).sum())
    return cross_entropy(said, wanted, centre_P), n_same


def looks(recipe: "Recipe") -> "tuple[Recipe, ...]":
    """Two large crops, and the recipe's number of small ones."""
    large = replace(recipe, crop="resized", min_area=max(LARGE, recipe.min_area))
    view = 1.0 if networks.fixed_size(recipe.model) else min(1.0, max(0.5, LEAST_PX / recipe.size)) * recipe.view
    small = replace(recipe, crop="resized", min_area=SMALL, max_area=LARGE, view=view)
    return (large, large, *[small] * recipe.local_crops)


def student(network: "nn.Module", job: "Job") -> "nn.Module":
    """Three layers with GELU, length 1, then a linear layer whose rows have length 1 (their appendix C)."""
    torch = need("torch", "train")
    nn = torch.nn
    width, hidden, outputs = networks.width_of(network), job.recipe.hidden, job.recipe.outputs or OUTPUTS

    class Prototypes(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(outputs, hidden // 2) * 0.02)
            self.is_resting = False

        def forward(self, values: Any) -> Any:  # noqa: ANN401  f32[B, H / 2] -> f32[B, P]
            weight = self.weight.detach() if self.is_resting else self.weight
            return nn.functional.normalize(values, dim=1) @ nn.functional.normalize(weight, dim=1).T

    projection = nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden // 2),
        Prototypes(),
    )  # fmt: skip
    return students.with_projection(network, projection, centre=torch.zeros(outputs))


def companions(student: Any, _: "Job") -> "dict[str, nn.Module]":  # noqa: ANN401  a Projected
    """The teacher: a copy of network and projection, which `drift` moves. Parts of a batch ask it at the same time."""
    nn = need("torch", "train").nn

    class Teacher(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network, self.projection = copy.deepcopy(student.network), copy.deepcopy(student.projection)
            parent, _, last = networks.head_of(self.network)[0].rpartition(".")
            setattr(self.network.get_submodule(parent), last, nn.Identity())

        def forward(self, views: Any, job: "Job") -> Any:  # noqa: ANN401  f32[B, 3, S, S] -> f32[B, P]
            with precision(job):
                found_BD = self.network(views)
            return self.projection(found_BD.float())

    return {"teacher": Teacher().eval()}


def drift(state: "State", job: "Job") -> None:
    """The teacher's weights go towards the student's: of the old ones `drift` stays, ever more, all at the end (their
    section 3.1). Running statistics follow, quicker at first.
    """
    step = state.counters.step
    stays = 1 - (1 - job.recipe.drift) * (1 + math.cos(math.pi * state.counters.plan.at(step + 0.5))) / 2
    teacher, found = state.companions["teacher"], state.model
    with need("torch", "train").no_grad():
        own = dict(found.named_parameters())
        for name, mean in teacher.named_parameters():
            mean.lerp_(own[name], 1 - stays)
        now = dict(found.named_buffers())
        for name, mean in teacher.named_buffers():
            if mean.is_floating_point():
                mean.lerp_(now[name], 1 - schedule.averaging(step, stays))


OBJECTIVES.register("dino")(
    Objective(
        loss, student=student, companions=companions, after_step=drift, looks=looks, scores=neighbours.scores,
        is_open=True,
    )
)  # fmt: skip
