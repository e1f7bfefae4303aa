"""How good is a model: numbers with intervals, and a page with its mistakes as pictures."""

from pictus.evaluate.steps import run

__all__ = ["run"]
