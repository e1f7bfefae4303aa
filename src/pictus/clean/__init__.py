"""Measure, find duplicates, keep or drop with a reason."""

from pictus.clean.dedupe_steps import dedupe
from pictus.clean.hash_steps import hashes, leaks
from pictus.clean.match_steps import match
from pictus.clean.privacy_steps import faces, privacy, safety
from pictus.clean.relevance_steps import relevance
from pictus.clean.steps import check, preview, restore, screen

__all__ = [
    "check", "dedupe", "faces", "hashes", "leaks", "match", "preview", "privacy",
    "relevance", "restore", "safety", "screen",
]  # fmt: skip
