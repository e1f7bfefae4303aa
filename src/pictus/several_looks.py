"""A network that answers by the mean over several looks at a picture: its mirror image, and moved a little.

Legend: N pictures, S side in px, K classes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pictus.extras import need

if TYPE_CHECKING:
    import torch
    from torch import nn


def answer_for_all(model: "nn.Module", *, is_mirrored: bool, nudge: int) -> None:
    """Make `model`, f32[N, 3, S, S] -> f32[N, K], answer for all its looks when it is not being trained."""
    if is_mirrored or nudge:
        model.register_forward_hook(partial(_mean, is_mirrored=is_mirrored, nudge=nudge))


def looks(shown: "torch.Tensor", *, is_mirrored: bool, nudge: int) -> "list[tuple[torch.Tensor, float]]":
    """Looks at pictures f32[N, 3, S, S] and their shares of the answer, the pictures themselves first.

    nudge: px; half the answer is that for the pictures moved so far up and left, and down and right (Jordan 2024,
    airbench94's multi-crop); what comes in at the edges is mirrored at them. Of each look its mirror image as well.
    """
    found = [(shown, 1.0)]
    if nudge:
        side = shown.shape[-1]
        padded = need("torch", "train").nn.functional.pad(shown, (nudge,) * 4, mode="reflect")
        moved = [padded[:, :, start : start + side, start : start + side] for start in (0, 2 * nudge)]
        found = [(shown, 0.5), *((one, 0.25) for one in moved)]
    if is_mirrored:
        found = [(one, share / 2) for look, share in found for one in (look, look.flip(3))]
    return found


def _mean(
    model: "nn.Module", given: tuple["torch.Tensor", ...], answer: "torch.Tensor", *, is_mirrored: bool, nudge: int
) -> "torch.Tensor":
    if model.training:
        return answer
    (_, own), *others = looks(given[0], is_mirrored=is_mirrored, nudge=nudge)
    return sum((share * model.forward(look) for look, share in others), own * answer)
