"""Find pictures by picture or by word."""

from __future__ import annotations

from pictus.search.steps import Hit, index, query

__all__ = ["Hit", "index", "query"]
