"""What a step of training makes smaller. Importing this registers the objectives."""

from __future__ import annotations

from pictus.train.objectives import adversarial, augmix, dino, distillation, fixmatch, labels, mae, simclr
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece, network_of

__all__ = [
    "OBJECTIVES", "Objective", "Piece", "adversarial", "augmix", "dino", "distillation", "fixmatch", "labels",
    "mae", "network_of", "simclr",
]  # fmt: skip
