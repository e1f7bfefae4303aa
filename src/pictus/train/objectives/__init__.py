"""What a step of training makes smaller. Importing this registers the objectives."""

from __future__ import annotations

from pictus.train.objectives import augmix, labels
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece, network_of

__all__ = ["OBJECTIVES", "Objective", "Piece", "augmix", "labels", "network_of"]
