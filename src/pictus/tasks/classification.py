"""One class to a picture: softmax, cross-entropy, top-1 and top-5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pictus.extras import need
from pictus.releases import split_rows
from pictus.tasks.task import TASKS, Floats, Scores, Targets

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.releases import Release

TOP = 5


class Classification:
    """Which of the classes: i64[N]."""

    name = "classification"

    def targets(self, release: "Release", split: str) -> Targets:
        """The position of the one best label of each picture among the classes."""
        labels: Targets = split_rows(release, split).column("label").to_numpy().astype(np.int64)
        return labels

    def head(self, width: int, n_classes: int) -> "nn.Module":
        return need("torch", "train").nn.Linear(width, n_classes)

    def loss(self, logits_BK: "torch.Tensor", targets: "torch.Tensor", smoothing: float) -> "torch.Tensor":
        """Cross-entropy with smoothed labels (Szegedy et al. 2016, section 7); targets i64[B], or mixed f32[B, K]."""
        torch = need("torch", "train")
        return torch.nn.functional.cross_entropy(logits_BK, targets, label_smoothing=smoothing, reduction="none")

    def right(self, logits_BK: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        labels_B = targets if targets.ndim == 1 else targets.argmax(1)
        return logits_BK.argmax(1) == labels_B

    def decode(self, logits_BK: Floats) -> Floats:
        """Softmax."""
        shifted_BK = np.exp(logits_BK - logits_BK.max(axis=1, keepdims=True))
        return np.asarray(shifted_BK / shifted_BK.sum(axis=1, keepdims=True), np.float32)

    def probabilities(self, logits_BK: "torch.Tensor") -> "torch.Tensor":
        return logits_BK.softmax(1)

    def tally(self) -> "Top":
        return Top()


@dataclass
class Top:
    """Counts of one pass: what top-1 and top-5 are made of. Ties go to the lower class."""

    loss_sum: float = 0.0
    n_first: int = 0
    n_within: int = 0
    n_seen: int = 0

    def add(self, logits_BK: Floats, losses_B: Floats, targets_B: Targets) -> None:
        labels_B = targets_B.argmax(axis=1) if targets_B.ndim > 1 else targets_B.astype(np.int64)
        own_B1 = np.take_along_axis(logits_BK, labels_B[:, None], axis=1)
        classes_K = np.arange(logits_BK.shape[1])
        before_BK = (logits_BK > own_B1) | ((logits_BK == own_B1) & (classes_K[None, :] < labels_B[:, None]))
        is_answer_B = ~np.isnan(logits_BK).any(axis=1)  # a NaN is greater than nothing: each would be the first
        place_B = np.where(is_answer_B, before_BK.sum(axis=1), TOP)
        self.loss_sum += float(losses_B.sum(dtype=np.float64))
        self.n_first += int((place_B == 0).sum())
        self.n_within += int((place_B < TOP).sum())
        self.n_seen += len(labels_B)

    def scores(self, count: int) -> Scores:
        top1 = self.n_first / count
        return Scores(self.loss_sum / self.n_seen, top1, self.n_within / count, top1, {})


TASKS.register("classification")(Classification())
