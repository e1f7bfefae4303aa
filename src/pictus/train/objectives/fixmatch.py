"""Few labels and many pictures (Sohn et al. 2020, FixMatch): what the network is sure about when it sees a picture
plainly, it is to say as well when it sees it distorted.

loss = cross-entropy of the labelled pictures, plainly seen
     + weight x mean over pictures without a label of 1(max p >= threshold) x H(argmax p, distorted), p = the answer to
       the picture plainly seen, through which no gradient goes (their equations 3 and 4).

Plainly: the recipe's crops and mirrors. Distorted: its policy as well (RandAugment where it has none), its colours, and
a rectangle wiped out. Each batch has about `unlabelled` pictures without a label to one with; each part of the loss is
divided by what its share of the batch should be, so that the gradient is right on the average however they fall.

Legend: B pictures of a piece, K classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need
from pictus.train.loop.precision import precision
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job, State
    from pictus.train.recipes import Recipe

REMEMBERED = 0.98
"""Of the shown share of sure guesses, in a step: about the last 50 steps count."""


class Found(NamedTuple):
    """loss; pictures with a label that are right, and without that are said alike both ways; sure, without a label."""

    loss: "torch.Tensor"
    n_right: int
    n_sure: int
    n_untold: int


def both(
    plain_BK: "torch.Tensor", distorted_BK: "torch.Tensor", labels_B: "torch.Tensor", recipe: "Recipe"
) -> Found:
    """The loss from the logits of both views. labels: -1 for a picture without."""
    nn = need("torch", "train").nn
    is_told_B = labels_B >= 0
    told = nn.functional.cross_entropy(plain_BK[is_told_B], labels_B[is_told_B], reduction="sum",
                                       label_smoothing=recipe.smoothing)  # fmt: skip
    surely_B, guess_B = plain_BK[~is_told_B].detach().softmax(1).max(1)
    is_sure_B = surely_B >= recipe.threshold
    untold_B = nn.functional.cross_entropy(distorted_BK[~is_told_B], guess_B, reduction="none") * is_sure_B
    n_wanted = len(labels_B) / (1 + recipe.unlabelled)
    loss = told / n_wanted + recipe.unlabelled_weight * untold_B.sum() / (n_wanted * recipe.unlabelled)
    n_right = int((plain_BK[is_told_B].argmax(1) == labels_B[is_told_B]).sum())
    n_alike = int((distorted_BK[~is_told_B].argmax(1) == guess_B).sum())
    return Found(loss, n_right + n_alike, int(is_sure_B.sum()), len(guess_B))


def loss(student: Any, piece: Piece, job: "Job") -> "tuple[torch.Tensor, int]":  # noqa: ANN401  a Sure
    """Both views of all pictures go through the network at once (their section 2.5: normalisation sees both)."""
    torch = need("torch", "train")
    with precision(job):
        logits = student.network(torch.cat(piece.views)).float()
    plain_BK, distorted_BK = logits.chunk(2)
    found = both(plain_BK, distorted_BK, piece.targets, job.recipe)
    if found.n_untold:
        with torch.no_grad():
            share = torch.full_like(student.sure, found.n_sure / found.n_untold)
            student.sure.lerp_(share, 1 - REMEMBERED)
    return found.loss, found.n_right


def looks(recipe: "Recipe") -> "tuple[Recipe, ...]":
    """Plain, and distorted."""
    plain = replace(
        recipe, policy="none", colour=0.0, saturation=0.0, hue=0.0, grey=0.0, blur=0.0, solarise=0.0, erase=0.0
    )  # fmt: skip
    return plain, replace(recipe, policy="rand" if recipe.policy == "none" else recipe.policy, erase=1.0)


def student(network: "nn.Module", job: "Job") -> "nn.Module":
    """The network, and the share of guesses it was sure about."""
    torch = need("torch", "train")
    labels_N = job.train.targets_N
    if not (labels_N < 0).any():
        raise UserError(
            "FixMatch learns from pictures without labels beside those with: there are none.",
            fix="--set share=0.1 (labels of a tenth are used), or --set pool=project",
        )

    class Sure(torch.nn.Module):  # type: ignore[misc,name-defined]
        holds_network = True

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("sure", torch.zeros(()))

    return Sure()


def figures(state: "State") -> dict[str, float]:
    """`sure`: share of the pictures without a label whose guess reached the threshold, over about 50 steps."""
    return {"sure": float(state.model.sure)}  # a Sure


OBJECTIVES.register("fixmatch")(
    Objective(loss, student=student, looks=looks, figures=figures, is_open=True)
)  # fmt: skip
