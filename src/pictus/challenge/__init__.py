"""Score and rank predictions, ILSVRC style."""

from pictus.challenge.steps import rank, score

__all__ = ["rank", "score"]
