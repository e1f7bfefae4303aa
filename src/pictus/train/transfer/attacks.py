"""The worst change of a picture within a bound: projected gradient ascent (Madry et al. 2018, section 2.1).

Legend: B pictures, S side in px.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pictus.extras import need

if TYPE_CHECKING:
    import torch

    from pictus.models import Preprocessing

STRIDE = 2.5
"""Steps add up to this many times the bound, so that every corner of it can be reached (Madry et al. 2018)."""


class Bound(NamedTuple):
    """How much every colour may change, of 255, and in how many steps of ascent."""

    of_255: float
    steps: int


def attacked(
    losses_of: Callable[["torch.Tensor"], "torch.Tensor"], inputs: "torch.Tensor", bound: Bound,
    seen: "Preprocessing", seed: int,
) -> "torch.Tensor":  # fmt: skip
    """f32[B, 3, S, S] normalised -> the same changed to raise `losses_of` (f32[B]), from a random place of the bound.

    What comes back is a picture still: no colour leaves 0..255. `seed` alone decides where it begins.
    """
    torch = need("torch", "train")
    mean, std = (
        torch.tensor(values, device=inputs.device)[:, None, None] for values in (seen.mean, seen.std)
    )
    low, high, reach = (0 - mean) / std, (1 - mean) / std, bound.of_255 / 255 / std
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(inputs.shape, generator=generator).to(inputs.device) * 2 - 1
    found = torch.clamp(inputs + noise * reach, low, high)
    for _ in range(bound.steps):
        found = found.detach().requires_grad_()
        (slope,) = torch.autograd.grad(losses_of(found).sum(), found)
        moved = found.detach() + STRIDE / bound.steps * reach * slope.sign()
        found = torch.clamp(torch.maximum(torch.minimum(moved, inputs + reach), inputs - reach), low, high)
    return found.detach().to(memory_format=torch.channels_last)
