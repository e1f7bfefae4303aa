"""What a step of training makes smaller. Importing this registers the objectives."""

from __future__ import annotations

from pictus.train.objectives import adversarial, augmix, distillation, labels
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece, network_of

__all__ = [
    "OBJECTIVES", "Objective", "Piece", "adversarial", "augmix", "distillation", "labels", "network_of",
]  # fmt: skip
