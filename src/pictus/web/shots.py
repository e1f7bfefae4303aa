"""Pictures as the pages show them: thumbnails made once and kept, and the file itself without where it was taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pictus import metadata, pixels, shards
from pictus.errors import NotThereError
from pictus.project import Project, write_bytes
from pictus.records import Picture
from pictus.web.places import Places

THUMBNAIL_SIDES = (160, 320, 640)
SHOWN = ("jpeg", "png", "webp", "gif")
"""Formats every browser shows and none takes for something that runs."""
_NEAR = 64


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
        picture = self._there(image_id)
        if picture.format not in SHOWN and not self._path(image_id, largest).exists():
            sides.append(largest)
        if not sides:
            return
        image_bytes = self._bytes(picture)
        for side in sides:
            write_bytes(self._path(image_id, side), pixels.thumbnail(image_bytes, side))

    def _path(self, image_id: str, side: int) -> Path:
        return self._project.cache_dir / "thumbnails" / str(side) / image_id[:2] / f"{image_id}.jpg"

    def read(self, image_id: str) -> tuple[bytes, Picture]:
        """The picture's own bytes and its row; NotThereError where there is none."""
        picture = self._there(image_id)
        return self._bytes(picture), picture

    def _there(self, image_id: str) -> Picture:
        picture = self.places.find(image_id)
        if picture is None:
            raise NotThereError(f"There is no picture {image_id[:80]!r}.")
        return picture

    def _bytes(self, picture: Picture) -> bytes:
        return shards.read(self._project.shards_dir, picture.shard, picture.offset, picture.size)

    def placeless(self, image_id: str) -> tuple[bytes, Picture]:
        """The same without where it was taken; PictureError where that cannot be taken out."""
        image_bytes, picture = self.read(image_id)
        return metadata.without_gps(image_bytes), picture

    def pieces(self, image_id: str) -> tuple[Picture, Callable[[int, int], bytes]]:
        """Its row, and what reads (start, count) bytes of the file without where it was taken, from the shard.

        Only what differs from the file is held in memory. PictureError as for `placeless`.
        """
        image_bytes, picture = self.read(image_id)
        clean = metadata.without_gps(image_bytes)
        patches = [] if clean is image_bytes else _patches(image_bytes, clean)

        def piece(start: int, count: int) -> bytes:
            found = shards.read(self._project.shards_dir, picture.shard, picture.offset + start, count)
            if not any(at < start + count and at + len(new) > start for at, new in patches):
                return found
            changed = bytearray(found)
            for at, new in patches:
                first, last = max(at, start), min(at + len(new), start + count)
                if first < last:
                    changed[first - start : last - start] = new[first - at : last - at]
            return bytes(changed)

        return picture, piece


def _patches(old: bytes, new: bytes) -> list[tuple[int, bytes]]:
    """Where two files of one length differ: first byte, and what stands there. Near ones are one."""
    changed = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    ends = np.flatnonzero(np.diff(changed) > _NEAR)
    firsts, lasts = changed[np.r_[0, ends + 1]], changed[np.r_[ends, changed.size - 1]]
    return [(int(first), new[first : last + 1]) for first, last in zip(firsts, lasts, strict=True)]
