"""Two pictures in one, on the device: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Each picture is mixed with the one before it in the batch (the first with the last), whatever piece of the batch either
is computed in; the order of a batch is random already. How, is drawn for each picture by itself from its own row of
numbers, so it is the same after any resume and in any number of parts.

Legend: B pictures, K classes, S side in px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.extras import need
from pictus.train.feed.augment import Draws
from pictus.train.recipes import Recipe

if TYPE_CHECKING:
    import torch


class Mix(NamedTuple):
    """`own_B`: share of the picture itself in the target, f32 in 0..1. `is_cut_B`: whether a box of the other picture
    covers it (boxes_B4: top, left, bottom, right in px, i64) or both shine through.
    """

    own_B: npt.NDArray[np.float32]
    is_cut_B: npt.NDArray[np.bool_]
    boxes_B4: npt.NDArray[np.int64]


def is_mixed(recipe: Recipe, position: float) -> bool:
    """Whether pictures are mixed at this position of training, 0 to 1."""
    return (recipe.mixup > 0 or recipe.cutmix > 0) and position < recipe.mix_until


def drawn(draws_B4: Draws, recipe: Recipe, side: int) -> Mix:
    """How each picture is mixed. draws: which of the two, the share, the middle of the box (y, x), uniform in 0..1.

    A box takes 1 - share of the square where it lies inside; what its edge cuts off goes back to the picture's share.
    """
    which_B, share_B, y_B, x_B = draws_B4.T
    chance = 0.5 if recipe.mixup > 0 and recipe.cutmix > 0 else float(recipe.cutmix > 0)
    is_cut_B = which_B < chance
    alpha_B = np.where(is_cut_B, recipe.cutmix, recipe.mixup)
    own_B = _beta(share_B, alpha_B)
    cut_B = side * np.sqrt(1 - own_B)
    tops_B, lefts_B = (np.floor(middle_B * side - cut_B / 2 + 0.5) for middle_B in (y_B, x_B))
    ends = (tops_B, lefts_B, tops_B + np.round(cut_B), lefts_B + np.round(cut_B))
    boxes_B4 = np.stack(ends, 1).clip(0, side).astype(np.int64)
    areas_B = (boxes_B4[:, 2] - boxes_B4[:, 0]) * (boxes_B4[:, 3] - boxes_B4[:, 1])
    own_B = np.where(is_cut_B, 1 - areas_B / side**2, own_B)
    return Mix(own_B.astype(np.float32), is_cut_B, boxes_B4)


def mixed_views(own: "torch.Tensor", other: "torch.Tensor", mix: Mix) -> "torch.Tensor":
    """f32[B, 3, S, S] each, the layout in memory stays."""
    torch = need("torch", "train")
    if mix.is_cut_B.all():
        mixed = own.clone()
    else:
        weights_B = torch.from_numpy(np.where(mix.is_cut_B, np.float32(1), mix.own_B)).to(own.device)
        mixed = torch.lerp(other, own, weights_B[:, None, None, None])
    for row in np.flatnonzero(mix.is_cut_B).tolist():  # a box each is a third of the time of a mask of the batch
        top, left, bottom, right = mix.boxes_B4[row].tolist()
        mixed[row, :, top:bottom, left:right] = other[row, :, top:bottom, left:right]
    return mixed


def mixed_targets(own: "torch.Tensor", other: "torch.Tensor", mix: Mix, n_classes: int) -> "torch.Tensor":
    """i64[B] or f32[B, K] each -> f32[B, K]. What is unknown (NaN) of either is unknown of both mixed."""
    torch = need("torch", "train")
    if own.ndim == 1:
        own, other = (torch.nn.functional.one_hot(one, n_classes).float() for one in (own, other))
    share_B1 = torch.from_numpy(mix.own_B).to(own.device)[:, None]
    return torch.where(share_B1 < 1, share_B1 * own + (1 - share_B1) * other, own)


def _beta(uniform_B: npt.NDArray[np.float64], alpha_B: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Beta(alpha, alpha) by its inverse distribution function: one uniform number makes one share."""
    from scipy.special import betaincinv  # noqa: PLC0415  0.1 s that --help does not pay

    found: npt.NDArray[np.float64] = betaincinv(alpha_B, alpha_B, uniform_B)
    return found
