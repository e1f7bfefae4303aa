"""The first layer of a network made from patches of the training pictures, so that what it hands on is uncorrelated.

Legend: P patches, D numbers in a patch (colours x height x width), O kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pictus import models
from pictus.extras import need
from pictus.plain_network import whitening_layer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.models import Preprocessing
    from pictus.train.feed.loader import Pictures

MOST_PICTURES = 2000
"""Patches are taken of so many training pictures, evenly spaced over the split."""

LEAST_SPREAD = 5e-4
"""Added to the variances, so that directions without any are not blown up (airbench)."""


def whiten(network: "nn.Module", pictures: "Pictures", preprocessing: "Preprocessing") -> None:
    """Fill the network's whitening layer, where it has one, from the pictures as they are kept for training."""
    layer = whitening_layer(network)
    if layer is None:
        return
    torch = need("torch", "train")
    side, n_numbers = layer.kernel_size[0], layer.weight[0].numel()
    moments_DD, n_patches = torch.zeros(n_numbers, n_numbers, dtype=torch.float64), 0
    for position in np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), MOST_PICTURES)).astype(int)):
        pixels = pictures.get(int(position))
        if pixels is not None and min(pixels.shape[:2]) >= side:
            shown = models.normalised(torch.from_numpy(np.ascontiguousarray(pixels))[None], preprocessing)
            patches_DP = torch.nn.functional.unfold(shown, side)[0].double()
            moments_DD += patches_DP @ patches_DP.T
            n_patches += patches_DP.shape[1]
    if n_patches:
        with torch.no_grad():
            layer.weight.copy_(kernels(moments_DD / n_patches, layer.out_channels).reshape(layer.weight.shape))


def kernels(moments_DD: "torch.Tensor", count: int) -> "torch.Tensor":
    """f64[D, D], mean of patch times patch -> f64[O, D]: its directions by spread, the largest first, each divided by
    the root of it; then all of them with the other sign.
    """
    torch = need("torch", "train")
    spreads_D, directions_DD = torch.linalg.eigh(moments_DD)
    scaled_DD = (directions_DD / (spreads_D + LEAST_SPREAD).sqrt()).T.flip(0)[: count // 2]
    return torch.cat((scaled_DD, -scaled_DD))
