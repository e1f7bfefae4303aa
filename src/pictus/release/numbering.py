"""Which number a release should have: the next one, the one before, and what the change asks for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pictus.release.differences import changes, expected_version, summed
from pictus.releases import version_key

_TOLD = ("removed", "relabelled", "added", "redacted")


def next_version(known: Sequence[str]) -> str:
    """What to propose after the newest of `known` (sorted): its final form, else the next MINOR."""
    if not known:
        return "1.0.0"
    major, minor, patch, _ = version_key(known[-1])
    return f"{major}.{minor}.{patch}" if "-" in known[-1] else f"{major}.{minor + 1}.0"


def version_before(known: Sequence[str], version: str) -> str:
    """The newest of `known` (sorted) that is older than `version`, "" when there is none."""
    key = version_key(version)
    return next((one for one in reversed(known) if version_key(one) < key), "")


def advice(before: str, old: pa.Table, version: str, new: pa.Table) -> str:
    """What the convention says when `version` changes too little in its number for its pictures, else ""."""
    found = summed(old, new, list(changes(old, new)))
    wanted = expected_version(found["removed"], found["relabelled"], found["added"])
    rank = ("major", "minor", "patch").index(wanted) + 1
    if version_key(before)[:rank] != version_key(version)[:rank]:
        return ""
    counted = ", ".join(f"{found[kind]:,} {kind}" for kind in _TOLD if found[kind])
    return f"since {before}: {counted or 'nothing but splits'}; by convention that is a new {wanted.upper()} version"
