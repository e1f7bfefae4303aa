"""A model as an endpoint, or offline over files."""

from pictus.serve.steps import export, predict, start

__all__ = ["export", "predict", "start"]
