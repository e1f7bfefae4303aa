"""What a step of training makes smaller. One loop serves them all: an objective says how many views of a picture it
wants, what is trained beside the network, and the loss of a piece of a batch.

Legend: B pictures of a piece, K classes, S side in px.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.tasks import Scores
    from pictus.train.loop.state import Job, State
    from pictus.train.recipes import Recipe


class Piece(NamedTuple):
    """Some pictures of a batch, ready for the network and on its device."""

    views: tuple["torch.Tensor", ...]  # f32[B, 3, S, S] each, channels last in memory; at least one
    targets: "torch.Tensor"  # the task's, i64[B] or f32[B, K]; f32[B, K] where pictures were mixed
    weights_B: "torch.Tensor | None"  # of each picture in the loss, mean 1 over the split
    positions_B: npt.NDArray[np.int64]  # of the pictures in the split
    step: int
    companions: "dict[str, nn.Module]"  # the objective's, see there


@dataclass(frozen=True)
class Objective:
    """One way to teach. It holds no state of its own: what changes lies in the student and its companions, which
    checkpoints keep.

    loss(student, piece, job): mean loss of the piece, and how many of its pictures were right (0 where nothing can be).
    views: of each picture that the loader makes.
    student(network, job): what gradients train, where that is more than the network: a module that holds it as
    `network` and says so by `holds_network = True`.
    companions(student, job): modules no gradient trains, by name: a teacher. Those whose name begins with `fixed` are
    not kept in checkpoints, but made again.
    after_step(state, job): what follows the optimizer's step: a teacher drifts towards its student.
    looks(recipe): how each view is made where they differ, a recipe to each; with it `views` counts nothing.
    scores(job, state): what stands for validation where the head learns nothing: neighbours' votes.
    figures(state): further figures of training, by name, for the logbook; each in 0..1.
    is_open: whether pictures whose label is unknown (target -1) may come.
    """

    loss: "Callable[[nn.Module, Piece, Job], tuple[torch.Tensor, int]]"
    views: int = 1
    student: "Callable[[nn.Module, Job], nn.Module] | None" = None
    companions: "Callable[[nn.Module, Job], dict[str, nn.Module]] | None" = None
    after_step: "Callable[[State, Job], None] | None" = None
    looks: "Callable[[Recipe], tuple[Recipe, ...]] | None" = None
    scores: "Callable[[Job, State], Scores] | None" = None
    figures: "Callable[[State], dict[str, float]] | None" = None
    is_open: bool = False


OBJECTIVES: Registry[Objective] = Registry("objective", entry_points="pictus.objectives")


def network_of(student: Any) -> "nn.Module":  # noqa: ANN401  a module's attributes have no narrower type
    """The network in a student: what is validated, written and served."""
    found: nn.Module = student.network if getattr(student, "holds_network", False) is True else student
    return found
