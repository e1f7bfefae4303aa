"""Releases as a page shows them: counts, digest, licences, and the files that people read. No picture is opened."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictus import releases
from pictus.project import Project
from pictus.run_files import own_file

READABLE = {
    "datasheet.md": "text/plain; charset=utf-8",
    "licences.csv": "text/plain; charset=utf-8",
    "manifest.json": "application/json",
    "croissant.json": "application/json",
}
"""What may be opened through the pages; text, so that nothing in it can run."""

SHOWN_LICENCES = 12


@dataclass(frozen=True)
class Licence:
    licence: str
    pictures: int
    authors: int


@dataclass(frozen=True)
class ReleasePage:
    """One release. `splits`: pictures in each that has some, in the usual order."""

    version: str
    digest: str
    created: str
    description: str
    previous: str
    pictures: int
    classes: int
    size: int  # bytes of all pictures
    splits: dict[str, int]
    licences: tuple[Licence, ...]
    files: tuple[str, ...]


def pages(project: Project) -> list[ReleasePage]:
    """Every release of the project, the newest version first."""
    return [_page(project.releases_dir / version) for version in reversed(releases.versions(project.releases_dir))]


def find_file(project: Project, version: str, name: str) -> Path | None:
    """A readable file of a release; both names are looked up, never made into a path."""
    if name not in READABLE or version not in releases.versions(project.releases_dir):
        return None
    return own_file(project.releases_dir / version, name)


def _page(root: Path) -> ReleasePage:
    manifest = releases.read_manifest(root)
    counts: dict[str, Any] = manifest["counts"]
    found: dict[str, int] = counts.get("splits", {})
    splits = {name: found[name] for name in (*releases.SPLITS, *sorted(found)) if found.get(name)}
    return ReleasePage(
        manifest["version"], manifest["digest"], manifest.get("created", ""), manifest.get("description", ""),
        manifest.get("previous", ""), counts.get("pictures", sum(splits.values())), counts.get("classes", 0),
        counts.get("bytes", 0), splits, _licences(root / "licences.csv"),
        tuple(name for name in READABLE if (root / name).is_file()),
    )  # fmt: skip


def _licences(path: Path) -> tuple[Licence, ...]:
    """Most pictures first; a file of other columns shows none rather than wrong ones."""
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    if not all(row.get("licence") and (row.get("pictures") or "").isdigit() for row in rows):
        return ()
    found = [Licence(row["licence"], int(row["pictures"]), int(row.get("authors") or 0)) for row in rows]
    return tuple(sorted(found, key=lambda one: (-one.pictures, one.licence)))
