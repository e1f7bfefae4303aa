"""Learning from labels: the task's own loss on one view of each picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus.train.loop.precision import precision
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job


def loss(student: "nn.Module", piece: Piece, job: "Job") -> tuple["torch.Tensor", int]:
    """The task's, weighted where pictures have weights."""
    with precision(job):
        logits_BK = student(piece.views[0]).float()
    losses_B = job.task.loss(logits_BK, piece.targets, job.recipe.smoothing)
    if piece.weights_B is not None:
        losses_B = losses_B * piece.weights_B
    return losses_B.mean(), int(job.task.right(logits_BK, piece.targets).sum())


OBJECTIVES.register("labels")(Objective(loss))
