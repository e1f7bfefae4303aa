"""What is trained beside a network that learns without labels: a projection behind its features.

The network's own classifier gets no gradient and stays as it was drawn: a fine-tuned run or a probe brings its own.

Legend: B pictures, D features, H units, P outputs, S side in px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictus import networks
from pictus.extras import need
from pictus.train.loop.precision import precision

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job


def entering(network: "nn.Module", part: "nn.Module", inputs: "torch.Tensor") -> "torch.Tensor":
    """What a part of the network is given when the network sees `inputs`. Not for two threads on one network: it
    listens for a moment.
    """
    caught: list[torch.Tensor] = []
    handle = part.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        network(inputs)
    finally:
        handle.remove()
    return caught[0]


def features(network: "nn.Module", inputs: "torch.Tensor") -> "torch.Tensor":
    """What the classifier sees, f32[B, D]."""
    found = entering(network, networks.head_of(network)[1], inputs)
    return found.mean((2, 3)) if found.ndim == 4 else found  # noqa: PLR2004  a 1 x 1 convolution as the classifier


def projected(student: Any, inputs: "torch.Tensor", job: "Job") -> "torch.Tensor":  # noqa: ANN401  a Projected
    """Through network and projection, f32[B, P]."""
    with precision(job):
        found_BD = features(student.network, inputs)
    answer: torch.Tensor = student.projection(found_BD.float())
    return answer


def with_projection(network: "nn.Module", projection: "nn.Module", **buffers: "torch.Tensor") -> "nn.Module":
    """A student of both. `buffers` change in training as running statistics do: parts of a batch are averaged."""
    nn = need("torch", "train").nn

    class Projected(nn.Module):  # type: ignore[misc,name-defined]
        holds_network = True

        def __init__(self) -> None:
            super().__init__()
            self.network, self.projection = network, projection
            for name, values in buffers.items():
                self.register_buffer(name, values)

    return Projected()
