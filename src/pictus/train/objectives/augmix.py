"""AugMix's loss (Hendrycks et al. 2020, section 3): a network should say the same of a picture and of two mixtures of
distorted copies of it.

loss = cross-entropy of the plain picture + 12 x the Jensen-Shannon divergence of the three answers.

Legend: B pictures, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus.errors import UserError
from pictus.extras import need
from pictus.train.loop.precision import precision
from pictus.train.objectives import labels
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job

WEIGHT = 12.0
"""Of the divergence beside the cross-entropy, as published."""


def loss(student: "nn.Module", piece: Piece, job: "Job") -> tuple["torch.Tensor", int]:
    """views[0] plain, views[1] and views[2] mixed; all three go through the network at once, as one batch."""
    torch = need("torch", "train")
    with precision(job):
        logits = student(torch.cat(piece.views)).float()
    plain_BK, *others = logits.chunk(3)
    losses_B = labels.losses_of(plain_BK, piece, job) + WEIGHT * divergence(plain_BK, *others)
    return labels.mean_and_right(losses_B, plain_BK, piece, job)


def divergence(*logits_BK: "torch.Tensor") -> "torch.Tensor":
    """Jensen-Shannon, in nats: the mean Kullback-Leibler divergence of each answer from their mean. f32[B]"""
    torch = need("torch", "train")
    logs = torch.stack([torch.log_softmax(one, 1) for one in logits_BK])
    shares = logs.exp()
    mean_BK = shares.mean(0).clamp(min=1e-7).log()
    return (shares * (logs - mean_BK)).sum(2).mean(0)


def checked(student: "nn.Module", job: "Job") -> "dict[str, nn.Module]":
    """Those of the labels' loss; a word before training begins where a task has no softmax."""
    if job.recipe.task != "classification":
        raise UserError(
            f"Objective 'augmix' compares softmax answers, task {job.recipe.task!r} gives others.",
            fix="train with --set policy=augmix instead, or --set task=classification",
        )
    return labels.companions(student, job)


OBJECTIVES.register("augmix")(Objective(loss, companions=checked))
