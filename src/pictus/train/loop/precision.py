"""The number type a network computes in, and the scale that keeps small gradients of 16 bits from being zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus.errors import UserError
from pictus.extras import need

if TYPE_CHECKING:
    import torch

    from pictus.train.loop.state import Counters, Job
    from pictus.train.recipes import Recipe

GROWTH_STEPS = 2000
"""After so many good steps the scale doubles (Micikevicius et al. 2018, section 3.2; torch's GradScaler)."""

LEAST_SCALE = 2.0**-10
"""Below it no scale helps: the loss itself has diverged."""


def precision(job: "Job") -> "torch.autocast":
    """Where the recipe says bf16 or fp16, multiplications are done in it; weights stay f32."""
    return autocast(job.device, job.recipe.precision)


def autocast(device: str, name: str) -> "torch.autocast":
    """The same by name."""
    torch = need("torch", "train")
    dtype = torch.float16 if name == "fp16" else torch.bfloat16
    return torch.autocast(device.partition(":")[0], dtype=dtype, enabled=name in ("bf16", "fp16"))


def check(recipe: "Recipe", device: str) -> None:
    """A UserError where the device has no use for the recipe's numbers."""
    if recipe.precision == "fp16" and device == "cpu":
        raise UserError(
            "Precision fp16 is for GPUs: on this machine there is none, and a processor would be slower with it.",
            fix="leave it out, or --set precision=bf16",
        )


def loss_scale(job: "Job", counters: "Counters") -> float:
    """What the loss is multiplied by while gradients are computed."""
    return counters.loss_scale if job.recipe.precision == "fp16" else 1.0


def rescaled(counters: "Counters", *, is_finite: bool) -> None:
    """After a step: half the scale where a gradient ran over, twice after GROWTH_STEPS that did not."""
    if not is_finite:
        counters.loss_scale, counters.good_steps = counters.loss_scale / 2, 0
        return
    counters.good_steps += 1
    if counters.good_steps == GROWTH_STEPS:
        counters.loss_scale, counters.good_steps = counters.loss_scale * 2, 0
