"""Learning from labels: the task's own loss on one view of each picture, or one that bears with wrong labels.

Legend: B pictures of a piece, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictus.extras import need
from pictus.train import targets
from pictus.train.loop.precision import precision
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job

Q = 0.7
"""Of generalised cross-entropy: 0 is cross-entropy, 1 the mean absolute error (Zhang & Sabuncu 2018, section 4)."""

FOCUS_SHOWN, FOCUS_ABSENT, MARGIN = 0.0, 4.0, 0.05
"""Of the asymmetric loss: powers for shown and absent classes, and the probability of an absent class that counts as 0
(Ben-Baruch et al. 2021, section 3)."""

CONFUSION = "fixed confusion"


def loss(student: "nn.Module", piece: Piece, job: "Job") -> tuple["torch.Tensor", int]:
    """Of the one view."""
    with precision(job):
        logits_BK = student(piece.views[0]).float()
    return mean_and_right(losses_of(logits_BK, piece, job), logits_BK, piece, job)


def mean_and_right(
    losses_B: "torch.Tensor", logits_BK: "torch.Tensor", piece: Piece, job: "Job"
) -> tuple["torch.Tensor", int]:
    """The mean over the piece, weighted where pictures have weights; and how many of its pictures were right."""
    if piece.weights_B is not None:
        losses_B = losses_B * piece.weights_B
    return losses_B.mean(), int(job.task.right(logits_BK, piece.targets).sum())


def losses_of(logits_BK: "torch.Tensor", piece: Piece, job: "Job") -> "torch.Tensor":
    """f32[B]: what the recipe asks for (`robust`, `loss`), else the task's own."""
    recipe = job.recipe
    if recipe.robust == "gce":
        return generalised(logits_BK, piece.targets)
    if recipe.robust == "forward":
        return corrected(logits_BK, piece.targets, piece.companions[CONFUSION].given, recipe.smoothing)
    if recipe.loss == "asymmetric":
        return asymmetric(logits_BK, piece.targets)
    return job.task.loss(logits_BK, piece.targets, recipe.smoothing)


def generalised(logits_BK: "torch.Tensor", wanted: "torch.Tensor", q: float = Q) -> "torch.Tensor":
    """(1 - p^q) / q of the label's probability p (Zhang & Sabuncu 2018, eq. 6); of mixed targets of their mean p."""
    log_BK = logits_BK.log_softmax(1)
    if wanted.ndim == 1:
        return (1 - (q * log_BK.gather(1, wanted[:, None])[:, 0]).exp()) / q
    return (1 - (log_BK.exp() * wanted).sum(1).clamp(min=1e-7) ** q) / q


def corrected(
    logits_BK: "torch.Tensor", wanted: "torch.Tensor", confusion_KK: "torch.Tensor", smoothing: float
) -> "torch.Tensor":
    """Cross-entropy of the label a true class would be given, -log (p C)[label] (Patrini et al. 2017, theorem 2)."""
    log_BK = (logits_BK.softmax(1) @ confusion_KK).clamp(min=1e-7).log()
    if wanted.ndim == 1:
        wanted = need("torch", "train").nn.functional.one_hot(wanted, log_BK.shape[1]).to(log_BK.dtype)
    wanted = wanted * (1 - smoothing) + smoothing / log_BK.shape[1]
    return -(wanted * log_BK).sum(1)


def asymmetric(logits_BK: "torch.Tensor", wanted_BK: "torch.Tensor") -> "torch.Tensor":
    """Binary cross-entropy that lets go of absent classes the network is sure about: the mean over the known classes of
    y (1 - p)^0 log p + (1 - y) m^4 log(1 - m), m = max(p - 0.05, 0) (Ben-Baruch et al. 2021, eq. 7).
    """
    is_known_BK = ~wanted_BK.isnan()
    shown_BK = wanted_BK.nan_to_num(0.0)
    p_BK = logits_BK.sigmoid()
    less_BK = (p_BK - MARGIN).clamp(min=0)
    log_shown_BK = need("torch", "train").nn.functional.logsigmoid(logits_BK)
    gain_BK = shown_BK * (1 - p_BK) ** FOCUS_SHOWN * log_shown_BK
    gain_BK = gain_BK + (1 - shown_BK) * less_BK**FOCUS_ABSENT * (1 - less_BK).log()
    return -(gain_BK * is_known_BK).sum(1) / is_known_BK.sum(1).clamp(min=1)


def companions(_: "nn.Module", job: "Job") -> "dict[str, nn.Module]":
    """With robust=forward, how labels are confused: made from the release, so no checkpoint keeps it."""
    if job.recipe.robust != "forward":
        return {}
    torch = need("torch", "train")
    holder: Any = torch.nn.Module()
    holder.register_buffer("given", torch.from_numpy(targets.confusion_of(job.train.release, job.recipe)))
    return {CONFUSION: holder}


OBJECTIVES.register("labels")(Objective(loss, companions=companions))
