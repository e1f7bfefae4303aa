"""Measure, find duplicates, keep or drop with a reason."""

from pictus.clean.privacy_steps import faces, privacy, safety
from pictus.clean.relevance_steps import relevance
from pictus.clean.steps import check, dedupe, restore, screen

__all__ = ["check", "dedupe", "faces", "privacy", "relevance", "restore", "safety", "screen"]
