"""What a step of training makes smaller. Importing this registers the objectives."""

from __future__ import annotations

from pictus.train.objectives import labels
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece, network_of

__all__ = ["OBJECTIVES", "Objective", "Piece", "labels", "network_of"]
