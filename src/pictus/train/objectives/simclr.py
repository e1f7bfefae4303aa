"""Two views of a picture are to be more alike than views of different pictures (Chen et al. 2020, SimCLR).

NT-Xent, their equation 1: with z the projections of both views of B pictures, brought to length 1, and s(i, j) their
products divided by the temperature,

    loss = mean over the 2B views i, j the other view of the same picture, of
           -log( exp s(i, j) / sum over k != i of exp s(i, k) ).

Decoupled (Yeh et al. 2022, "Decoupled contrastive learning", objective `dcl`): the same without the other view j in the
sum under the line. In NT-Xent a pair that is found already takes away the gradient of all it is compared with, the more
so the fewer others there are; without it small batches lose little.

"Different pictures" are those of the same piece of the batch: with parts=2, half of it. Ours and short, because the
package that has it brings a training framework with it; tests hold it to numbers worked out from the formulas.

Legend: B pictures of a piece, P outputs of the projection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus import networks
from pictus.extras import need
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece
from pictus.train.pretrain import neighbours, students

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job

OUTPUTS = 128
"""As published (their section 2.1)."""


def nt_xent(
    first_BP: "torch.Tensor", second_BP: "torch.Tensor", temperature: float, *, is_decoupled: bool = False
) -> "tuple[torch.Tensor, int]":
    """The loss of two views, f32[B, P] each, and how many pictures are found by their second view: i.e. of whose first
    view the second is the nearest of all. 0 of one picture alone, which has nothing to be told from.
    """
    torch = need("torch", "train")
    both = torch.nn.functional.normalize(torch.cat((first_BP, second_BP)), dim=1)
    count = len(first_BP)
    if count == 1:
        return (0 * both).sum(), 1
    alike = (both @ both.T / temperature).fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * count, device=both.device).roll(count)
    n_right = int((alike[:count].argmax(1) == partner[:count]).sum())
    if not is_decoupled:
        return torch.nn.functional.cross_entropy(alike, partner), n_right
    others = alike.scatter(1, partner[:, None], float("-inf"))
    return (others.logsumexp(1) - alike.gather(1, partner[:, None])[:, 0]).mean(), n_right


def loss(student: "nn.Module", piece: Piece, job: "Job") -> "tuple[torch.Tensor, int]":
    """Both views go through the network at once, as one batch."""
    torch = need("torch", "train")
    first_BP, second_BP = students.projected(student, torch.cat(piece.views), job).chunk(2)
    return nt_xent(first_BP, second_BP, job.recipe.sharpness, is_decoupled=job.recipe.objective == "dcl")


def student(network: "nn.Module", job: "Job") -> "nn.Module":
    """Linear, normalisation, ReLU, linear (their section 4.2: better than a linear one, and than none)."""
    nn = need("torch", "train").nn
    width, hidden, outputs = networks.width_of(network), job.recipe.hidden, job.recipe.outputs or OUTPUTS
    projection = nn.Sequential(
        nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )
    return students.with_projection(network, projection)


for name in ("simclr", "dcl"):
    OBJECTIVES.register(name)(Objective(loss, views=2, student=student, scores=neighbours.scores, is_open=True))
