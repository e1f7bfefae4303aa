"""What a network is taught: the target of a picture, the layer that answers, the loss, the guess, the figures.

One file to a task. Training, evaluation and serving know tasks by `Task` alone; a third party adds one by the entry
point `pictus.tasks`.

Legend: N pictures of a split, B of a batch, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pictus.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.releases import Release

Floats = npt.NDArray[np.float32]
Targets = npt.NDArray[np.int64] | Floats
"""Of the pictures of a split, a row to each: i64[N], or f32[N, K]. Never changed in place."""


class Scores(NamedTuple):
    """Of one pass over a split. top1, top5: share of all its pictures whose first guess is right, one of whose five
    first is; a picture that cannot be decoded counts as wrong. `loss`: mean of the others. `main`: the figure that
    epochs are compared by, the greater the better; `others`: further figures by name.
    """

    loss: float
    top1: float
    top5: float
    main: float
    others: dict[str, float]


class Tally(Protocol):
    """Adds up a split, batch by batch, in any order."""

    def add(self, logits_BK: Floats, losses_B: Floats, targets_B: Targets) -> None: ...

    def scores(self, count: int) -> Scores:
        """Of `count` pictures, those that could not be decoded included; at least one was added."""
        ...


class Task(Protocol):
    """One thing to learn from a release."""

    name: str

    def targets(self, release: "Release", split: str) -> Targets:
        """In the order of `split_rows`; a UserError where the release does not say."""
        ...

    def head(self, width: int, n_classes: int) -> "nn.Module":
        """From features f32[B, width] to logits f32[B, K]."""
        ...

    def loss(self, logits_BK: "torch.Tensor", targets: "torch.Tensor", smoothing: float) -> "torch.Tensor":
        """f32[B], a picture each, in nats. Targets as above, or mixed: f32[B, K] wherever they were i64[B]."""
        ...

    def right(self, logits_BK: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        """bool[B]: whether the first guess is right; of a mixed target, whether it is the greater part."""
        ...

    def decode(self, logits_BK: Floats) -> Floats:
        """Probabilities f32[B, K]."""
        ...

    def probabilities(self, logits_BK: "torch.Tensor") -> "torch.Tensor":
        """The same within a network, for what is exported."""
        ...

    def tally(self) -> Tally:
        """An empty one."""
        ...


TASKS: Registry["Task"] = Registry("task", entry_points="pictus.tasks")
