"""From what the loader made to what the network sees: colours, numbers, mixing, device.

Legend: B pictures of a piece, M with their partners, K classes, S side in px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.extras import need
from pictus.train.feed import augment, mixing
from pictus.train.objectives import Piece

if TYPE_CHECKING:
    import torch

    from pictus.train.feed.loader import Batch
    from pictus.train.loop.state import Job, State


class Shown(NamedTuple):
    """Pictures as a network sees them: f32[B, 3, S, S] a view, channels last in memory; targets i64[B] or f32[B, K]."""

    views: "tuple[torch.Tensor, ...]"
    targets: "torch.Tensor"
    weights_B: "torch.Tensor | None"
    positions_B: npt.NDArray[np.int64]


def piece_of(job: "Job", state: "State", batch: "Batch", piece: slice) -> Piece:
    """A piece of a training batch on the device; what is random about it comes from the batch's draws alone."""
    step = state.counters.step
    is_mixed = mixing.is_mixed(job.recipe, state.counters.plan.at(step))
    found = shown(job, batch, piece, is_mixed=is_mixed)
    return Piece(found.views, found.targets, found.weights_B, found.positions_B, step, state.companions)


def shown(job: "Job", batch: "Batch", piece: slice, *, is_mixed: bool) -> Shown:
    """The pictures of a piece; mixed each with the one before it in the batch, which may lie outside the piece."""
    torch = need("torch", "train")
    first, last, _ = piece.indices(len(batch))
    rows_M = np.arange(first - is_mixed, last) % len(batch)  # one picture more has the partners of a whole piece
    views = _views(job, batch, rows_M)
    targets = torch.from_numpy(batch.targets[rows_M]).to(job.device)
    weights_N, positions_M = job.train.weights_N, batch.positions[rows_M]
    weights = None if weights_N is None else torch.from_numpy(weights_N[positions_M]).to(job.device)
    if not is_mixed:
        return Shown(views, targets, weights, positions_M)
    mix = mixing.drawn(augment.mixing_draws(batch.draws[0][rows_M[1:]]), job.recipe, views[0].shape[2])
    views = tuple(mixing.mixed_views(view[1:], view[:-1], mix) for view in views)
    targets = mixing.mixed_targets(targets[1:], targets[:-1], mix, job.n_classes)
    if weights is not None:
        weights = torch.lerp(weights[:-1], weights[1:], torch.from_numpy(mix.own_B).to(job.device))
    return Shown(views, targets, weights, positions_M[1:])


def _views(job: "Job", batch: "Batch", rows_M: npt.NDArray[np.int64]) -> "tuple[torch.Tensor, ...]":
    """f32[M, 3, S, S] each; looks at the same crop that lie under each other become views."""
    torch = need("torch", "train")
    is_run = rows_M[-1] - rows_M[0] == len(rows_M) - 1
    rows = slice(rows_M[0], rows_M[-1] + 1) if is_run else rows_M  # no copy of what lies in a row
    found = []
    for pixels, draws, how in zip(batch.views, batch.draws, job.looks, strict=True):
        for look in np.split(pixels[rows], augment.n_looks(job.recipe), axis=1):
            bytes_M = torch.from_numpy(look).to(job.device)
            found.append(augment.coloured(bytes_M, draws[rows], how, job.preprocessing))
    return tuple(found)
