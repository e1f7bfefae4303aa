"""The number type a network computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictus.extras import need

if TYPE_CHECKING:
    import torch

    from pictus.train.loop.state import Job


def precision(job: "Job") -> "torch.autocast":
    """Where the recipe says bf16, multiplications are done in it; weights stay f32."""
    torch = need("torch", "train")
    return torch.autocast(job.device, dtype=torch.bfloat16, enabled=job.recipe.precision == "bf16")
