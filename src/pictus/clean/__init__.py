"""Measure, find duplicates, keep or drop with a reason."""

from pictus.clean.steps import check, dedupe, restore, screen

__all__ = ["check", "dedupe", "restore", "screen"]
