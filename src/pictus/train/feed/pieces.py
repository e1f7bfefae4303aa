"""From what the loader made to what the network sees: colours, numbers, mixing, device.

Legend: B pictures of a piece, M with their partners, S side in px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pictus.extras import need
from pictus.train.feed import augment, mixing
from pictus.train.objectives import Piece

if TYPE_CHECKING:
    import torch

    from pictus.train.feed.loader import Batch
    from pictus.train.loop.state import Job, State


def piece_of(job: "Job", state: "State", batch: "Batch", piece: slice) -> Piece:
    """A piece of a training batch on the device; what is random about it comes from the batch's draws alone."""
    torch = need("torch", "train")
    step, recipe = state.counters.step, job.recipe
    is_mixed = mixing.is_mixed(recipe, state.counters.plan.at(step))
    first, last, _ = piece.indices(len(batch))
    # Each picture's partner is the one before it: one more picture is enough for a whole piece.
    rows_M = np.arange(first - is_mixed, last) % len(batch)
    views = _views(job, batch, rows_M)
    targets = torch.from_numpy(batch.targets[rows_M]).to(job.device)
    weights_N, positions_M = job.train.weights_N, batch.positions[rows_M]
    weights = None if weights_N is None else torch.from_numpy(weights_N[positions_M]).to(job.device)
    if is_mixed:
        mix = mixing.drawn(augment.mixing_draws(batch.draws[0][rows_M[1:]]), recipe, views[0].shape[2])
        views = tuple(mixing.mixed_views(view[1:], view[:-1], mix) for view in views)
        targets = mixing.mixed_targets(targets[1:], targets[:-1], mix, job.n_classes)
        if weights is not None:
            own_B = torch.from_numpy(mix.own_B).to(job.device)
            weights = torch.lerp(weights[:-1], weights[1:], own_B)
    return Piece(views, targets, weights, positions_M[len(rows_M) - (last - first) :], step, state.companions)


def _views(job: "Job", batch: "Batch", rows_M: npt.NDArray[np.int64]) -> "tuple[torch.Tensor, ...]":
    """f32[M, 3, S, S] each; looks at the same crop that lie under each other become views."""
    torch = need("torch", "train")
    is_run = rows_M[-1] - rows_M[0] == len(rows_M) - 1
    rows = slice(rows_M[0], rows_M[-1] + 1) if is_run else rows_M  # no copy of what lies in a row
    found = []
    for pixels, draws in zip(batch.views, batch.draws, strict=True):
        for look in np.split(pixels[rows], augment.n_looks(job.recipe), axis=1):
            bytes_M = torch.from_numpy(look).to(job.device)
            found.append(augment.coloured(bytes_M, draws[rows], job.recipe.colour, job.preprocessing))
    return tuple(found)
