"""Pictures of a run's release that its page shows: those named in its mistakes.json, and no others."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pictus import pixels
from pictus.errors import NotThereError, UserError
from pictus.models import Run, open_run
from pictus.project import Project, write_bytes
from pictus.releases import PictureReader, Release, find_release, open_release
from pictus.web.runs import MISTAKES_NAME, mistakes

SIDE = 160


def thumbnail(project: Project, run: Run, image_id: str) -> Path:
    """A JPEG of at most SIDE px in the project's cache, the same that its wall shows; NotThereError for another
    picture, or where the release is gone or other bytes lie in it; PictureError for what cannot be decoded.
    """
    written_ns = (run.root / MISTAKES_NAME).stat().st_mtime_ns if (run.root / MISTAKES_NAME).is_file() else 0
    places, reader = _places(project, run.root, written_ns)
    if image_id not in places:
        raise NotThereError(f"Run {run.name!r} shows no picture {image_id[:80]!r}.")
    path = project.cache_dir / "thumbnails" / str(SIDE) / image_id[:2] / f"{image_id}.jpg"
    if not path.exists():
        image_bytes = reader.read(*places[image_id])
        if hashlib.sha256(image_bytes).hexdigest() != image_id:  # a card may name any folder, the wall shows this file
            raise NotThereError(f"The release of run {run.name!r} holds other bytes as picture {image_id[:80]!r}.")
        write_bytes(path, pixels.thumbnail(image_bytes, SIDE))
    return path


@lru_cache(maxsize=8)
def _places(
    project: Project, root: Path, _written_ns: int
) -> tuple[dict[str, tuple[str, int, int]], PictureReader]:
    """Where the pictures of a mistakes.json lie; looked for once, as long as the file is the same."""
    run = open_run(root)
    release = _release(project, run)
    ids = pa.array([row["image_id"] for row in mistakes(run).get("surest", ())], pa.string())
    rows = release.pictures.filter(pc.is_in(release.pictures.column("image_id"), value_set=ids)).to_pylist()
    return {row["image_id"]: (row["shard"], row["offset"], row["size"]) for row in rows}, PictureReader(release)


def _release(project: Project, run: Run) -> Release:
    stated = run.card.get("release") or {}
    path = project.root / str(stated.get("path", ""))
    try:
        found = open_release(path) if path.is_dir() else find_release(project, str(stated.get("version", "")))
    except UserError as error:
        raise NotThereError(f"The release of run {run.name!r} is not here: {error.what}") from error
    if found.digest != stated.get("digest"):
        raise NotThereError(f"The release at {found.root} is not the one run {run.name!r} was trained on.")
    return found
