"""Cut immutable, versioned releases: split, cut, verify, diff, list, export, import."""

from __future__ import annotations

from pictus.release.steps import cut, diff, export, import_, list_, split, verify

__all__ = ["cut", "diff", "export", "import_", "list_", "split", "verify"]
