"""Pictures as the pages show them: thumbnails made once and kept, and the file itself without where it was taken."""

from __future__ import annotations

from pathlib import Path

from pictus import metadata, pixels, shards
from pictus.errors import NotThereError
from pictus.project import Project, write_bytes
from pictus.records import Picture
from pictus.web.places import Places

THUMBNAIL_SIDES = (160, 320, 640)
SHOWN = ("jpeg", "png", "webp", "gif")
"""Formats every browser shows and none takes for something that runs."""


class Shots:
    """The pictures of one project, by image_id."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.places = Places(project.tables)

    def thumbnail(self, image_id: str, side: int) -> Path:
        """A JPEG of at most side × side px in the project's cache; PictureError for what cannot be decoded."""
        path = self._path(image_id, side)
        if not path.exists():
            write_bytes(path, pixels.thumbnail(self.read(image_id)[0], side))
        return path

    def make(self, image_id: str, largest: int) -> None:
        """All thumbnails that are not there yet; `largest`: the side of one more for a file no browser shows.

        PictureError for what cannot be decoded.
        """
        sides = [side for side in THUMBNAIL_SIDES if not self._path(image_id, side).exists()]
        image_bytes, picture = self.read(image_id)
        if picture.format not in SHOWN and not self._path(image_id, largest).exists():
            sides.append(largest)
        for side in sides:
            write_bytes(self._path(image_id, side), pixels.thumbnail(image_bytes, side))

    def _path(self, image_id: str, side: int) -> Path:
        return self._project.cache_dir / "thumbnails" / str(side) / image_id[:2] / f"{image_id}.jpg"

    def read(self, image_id: str) -> tuple[bytes, Picture]:
        """The picture's own bytes and its row; NotThereError where there is none."""
        picture = self.places.find(image_id)
        if picture is None:
            raise NotThereError(f"There is no picture {image_id[:80]!r}.")
        return shards.read(self._project.shards_dir, picture.shard, picture.offset, picture.size), picture

    def placeless(self, image_id: str) -> tuple[bytes, Picture]:
        """The same without where it was taken; PictureError where that cannot be taken out."""
        image_bytes, picture = self.read(image_id)
        return metadata.without_gps(image_bytes), picture
