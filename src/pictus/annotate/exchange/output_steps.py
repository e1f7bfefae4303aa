"""Where an export may be written: nothing of the project's own is ever replaced, another file only when that is said.

The journal keeps the digest of every file that was written. What is there already and has such a digest is a former
output and may be replaced, whatever its name; what anybody has changed since, or made, may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pictus.errors import UserError
from pictus.project import Project

OWN = (
    "pictus.toml", "journal.sqlite", "pseudonyms.key", "tables", "shards", "releases", "models", "bundles", "cache",
    "locks",
)  # fmt: skip

_MANY = 10_000
"""So many former outputs are looked through."""


def check_free(project: Project, outs: Iterable[Path], *, force: bool) -> None:
    """UserError where one of `outs` is the project's own, or is there and is no former output."""
    root = project.root.resolve()
    for out in outs:
        where = out.resolve()
        inside = where.relative_to(root).parts if where.is_relative_to(root) else ("",)
        if not inside or inside[0].startswith(OWN):
            fix = "name a file beside it, or in a folder of its own"
            raise UserError(f"{out} belongs to the project itself.", fix=fix)
        if force or not out.exists() or (out.is_dir() and not any(out.iterdir())):
            continue
        if digest_of(out) not in _written(project):
            raise UserError(
                f"{out} is there already, and what is in it this project did not write, or somebody changed since.",
                fix="name another, or --force to replace it",
            )


def digest_of(path: Path) -> str:
    """What a file holds; of a folder, which files with their sizes and times, as there may be a million."""
    if path.is_dir():
        files = sorted((one.relative_to(path).as_posix(), one.lstat()) for one in path.rglob("*") if one.is_file())
        listed = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files)
        return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(project: Project) -> set[str]:
    """Digests of everything that was written."""
    events = (one for event in ("exported", "previewed") for one in project.journal.events(limit=_MANY, event=event))
    return {digest for event in events for digest in event.data.get("digests", ())}
