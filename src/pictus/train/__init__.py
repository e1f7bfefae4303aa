"""From a release to a recogniser: recipes, a loader, one loop, exact resume."""

from __future__ import annotations

from pictus.train.feed.pack_steps import pack
from pictus.train.steps import list_, resume, run

__all__ = ["list_", "pack", "resume", "run"]
