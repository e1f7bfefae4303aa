"""Learning from pictures changed for the worst within a bound (Madry et al. 2018): robust, and usually less accurate on
pictures as they are. `pictus train robustness` tells both. Running statistics are those of the changed pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus.extras import need
from pictus.train.feed import augment
from pictus.train.loop.precision import precision
from pictus.train.objectives import labels
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece
from pictus.train.transfer.attacks import Bound, attacked

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job


def loss(student: "nn.Module", piece: Piece, job: "Job") -> tuple["torch.Tensor", int]:
    """Of the changed pictures, and how many of those were right."""
    recipe = job.recipe
    before = [(buffer, buffer.clone()) for buffer in student.buffers()]

    def ascended(inputs: "torch.Tensor") -> "torch.Tensor":
        with precision(job):
            logits = student(inputs).float()
        return labels.losses_of(logits, piece, job)

    # A function of the step and of the piece's first picture: parts that run at once share no stream of numbers.
    seed = (augment.hashed_step(recipe.seed, piece.step) + int(piece.positions_B[0])) % 2**63
    bound = Bound(recipe.attack, recipe.attack_steps)
    changed = attacked(ascended, piece.views[0], bound, job.preprocessing, seed)
    with need("torch", "train").no_grad():
        for buffer, value in before:
            buffer.copy_(value)
    with precision(job):
        logits_BK = student(changed).float()
    return labels.mean_and_right(labels.losses_of(logits_BK, piece, job), logits_BK, piece, job)


OBJECTIVES.register("adversarial")(Objective(loss, companions=labels.companions))
