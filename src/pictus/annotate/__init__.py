"""Labels and votes in; what is true, and how sure."""

from pictus.annotate.steps import import_, settle, skills

__all__ = ["import_", "settle", "skills"]
