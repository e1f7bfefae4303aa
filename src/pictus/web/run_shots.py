"""Pictures of a run's release that its page shows: those named in its mistakes.json, and no others.

A card is a file that anybody can write. A release outside the project is opened only for a run that the journal says
was begun here, and nothing is fetched from a store because a card names one.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pictus import pixels
from pictus.errors import NotThereError, UserError, clipped
from pictus.models import Run, open_run
from pictus.project import Project, write_bytes
from pictus.releases import PictureReader, open_release, versions
from pictus.web.runs import MISTAKES_NAME, mistakes, stamp

SIDE = 160
STAMPED = ("manifest.json", "pictures.parquet", "concepts.parquet", "shards")
"""Of a release: as long as they are the same, what was found wrong with it is."""

Shown = tuple[dict[str, tuple[str, int, int]], PictureReader]
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def problem(project: Project, run: Run) -> str:
    """Why no picture of its release can be shown, in one line; "" where they can."""
    try:
        _places(project, run)
    except UserError as error:
        return error.what
    return ""


def thumbnail(project: Project, run: Run, image_id: str) -> Path:
    """A JPEG of at most SIDE px in the project's cache, the same that its wall shows; NotThereError for another
    picture, or where the release is gone or other bytes lie in it; PictureError for what cannot be decoded.
    """
    places, reader = _places(project, run)
    if image_id not in places:
        raise NotThereError(f"Run {run.name!r} shows no picture {image_id[:80]!r}.")
    path = project.cache_dir / "thumbnails" / str(SIDE) / image_id[:2] / f"{image_id}.jpg"
    if not path.exists():
        image_bytes = reader.read(*places[image_id])
        if hashlib.sha256(image_bytes).hexdigest() != image_id:  # a manifest may say anything, the wall shows this file
            raise NotThereError(f"The release of run {run.name!r} holds other bytes as picture {image_id[:80]!r}.")
        write_bytes(path, pixels.thumbnail(image_bytes, SIDE))
    return path


def _places(project: Project, run: Run) -> Shown:
    """Where the pictures of a mistakes.json lie, in a release that may be read; NotThereError says in one line why in
    none. Looked for once, as long as the files are the same, also where it does not fit.
    """
    folder = _release(project, run)
    stamps = tuple(map(stamp, (run.root / MISTAKES_NAME, *(folder / name for name in STAMPED))))
    found = _looked_for(run.root, folder, str((run.card.get("release") or {}).get("digest", "")), stamps)
    if isinstance(found, str):
        raise NotThereError(found)
    return found


@lru_cache(maxsize=8)
def _looked_for(root: Path, folder: Path, digest: str, _stamps: tuple[tuple[int, int, int], ...]) -> Shown | str:
    run = open_run(root)
    try:
        release = open_release(folder)
    except UserError as error:
        return f"The release of run {run.name!r} is not here: {error.what}"
    if release.digest != digest:
        return f"Release {release.version} here is not the one that run {run.name!r} was trained on."
    ids = pa.array([row["image_id"] for row in mistakes(run).get("surest", ())], pa.string())
    rows = release.pictures.filter(pc.is_in(release.pictures.column("image_id"), value_set=ids)).to_pylist()
    return {row["image_id"]: (row["shard"], row["offset"], row["size"]) for row in rows}, PictureReader(release)


def _release(project: Project, run: Run) -> Path:
    """The folder of the release that its card names, where it may be read; NotThereError says why it may not."""
    stated = run.card.get("release") or {}
    place, version = str(stated.get("path", "")), str(stated.get("version", ""))
    if _ADDRESS.match(place):
        raise NotThereError(f"The release of run {run.name!r} lies in a store, from which no page fetches pictures.")
    folder = _folder(project, place)
    if folder is None:
        folder = project.releases_dir / version if version in versions(project.releases_dir) else None
    if folder is None:
        raise NotThereError(f"The release of run {run.name!r}, {clipped(version)}, is not in this project any more.")
    if not folder.is_relative_to(project.root.resolve()) and not _was_begun_here(project, run):
        raise NotThereError(f"Run {run.name!r} was not begun in this project, and its release lies elsewhere.")
    return folder


def _folder(project: Project, place: str) -> Path | None:
    """What a card calls the place of its release, where that is a folder."""
    try:
        found = (project.root / place).resolve()
        return found if place and found.is_dir() else None
    except (OSError, ValueError):
        return None  # longer than a name can be, or none


def _was_begun_here(project: Project, run: Run) -> bool:
    return bool(project.journal.events(run.root.name, limit=1, event="run_started"))
