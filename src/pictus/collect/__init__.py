"""Pictures in: from folders, archives and lists of addresses, with where each was found."""

from pictus.collect.find_steps import coverage, find
from pictus.collect.steps import add, fetch, status

__all__ = ["add", "coverage", "fetch", "find", "status"]
