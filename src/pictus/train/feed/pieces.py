"""From what the loader made to what the network sees: colours, numbers, device.

Legend: B pictures of a piece, S side in px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus.extras import need
from pictus.train.feed import augment
from pictus.train.objectives import Piece

if TYPE_CHECKING:
    from pictus.train.feed.loader import Batch
    from pictus.train.loop.state import Job, State


def piece_of(job: "Job", state: "State", batch: "Batch", piece: slice) -> Piece:
    """A piece of a training batch on the device; what is random about it comes from the batch's draws alone."""
    torch = need("torch", "train")
    views = tuple(
        augment.coloured(
            torch.from_numpy(pixels[piece]).to(job.device), draws[piece], job.recipe.colour, job.preprocessing
        )
        for pixels, draws in zip(batch.views, batch.draws, strict=True)
    )
    targets = torch.from_numpy(batch.targets[piece]).to(job.device)
    positions_B = batch.positions[piece]
    weights_N = job.train.weights_N
    weights_B = None if weights_N is None else torch.from_numpy(weights_N[positions_B]).to(job.device)
    return Piece(views, targets, weights_B, positions_B, state.counters.step, state.companions)
