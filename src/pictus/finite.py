"""Whether what a network says are numbers, and which of its tensors is to blame where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pictus.errors import UserError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn


def check(values: "npt.NDArray[np.floating]", name: str, network: "nn.Module") -> None:
    """A UserError where one of the answers or features is NaN or infinite. `name`: what people call the network."""
    if not np.isfinite(values).all():
        raise UserError(
            f"What {name} says of some pictures is no number: {cause(network)}.",
            fix="train again with a smaller learning rate, or from other weights; another run of the project will do",
        )


def cause(network: "nn.Module") -> str:
    """The first tensor that no network can answer with, in words."""
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            return f"its {key} holds values that are no numbers"
        if key.endswith("running_var") and bool((value < 0).any()):
            return f"its {key} holds values below 0"
    return "its tensors are numbers, but grow too large where they meet"
