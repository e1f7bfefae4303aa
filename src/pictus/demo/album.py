"""Thumbnails for the report: small WebP files inside the page, cut square or shown whole."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import cached_property

from PIL import Image, ImageOps

from pictus.errors import PictureError
from pictus.pixels import decode
from pictus.project import Project
from pictus.shards import ShardReader

_QUALITY = 74


class Album:
    """The project's pictures as data addresses, by image_id."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._reader = ShardReader(project.shards_dir)

    @cached_property
    def _places(self) -> Mapping[str, tuple[str, int, int]]:
        rows = self._project.tables.read("images", ["image_id", "shard", "offset", "size"]).to_pylist()
        return {row["image_id"]: (row["shard"], row["offset"], row["size"]) for row in rows}

    def image_bytes(self, image_id: str) -> bytes:
        """The picture as it was collected."""
        return self._reader.read(*self._places[image_id])

    def tile(self, image_id: str, side: int = 160) -> str:
        """Cut square about its middle."""
        return tile_of(self.image_bytes(image_id), side)

    def whole(self, image_id: str, side: int = 240) -> str:
        """All of it, its long side at most `side` px. What cannot be decoded gives ""."""
        return whole_of(self.image_bytes(image_id), side)


def tile_of(image_bytes: bytes, side: int = 160) -> str:
    """Encoded picture -> a square WebP as a data address, "" if it cannot be decoded."""
    image = _opened(image_bytes)
    return _data(ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)) if image else ""


def whole_of(image_bytes: bytes, side: int = 240) -> str:
    """Encoded picture -> a WebP at most `side` px long as a data address, "" if it cannot be decoded."""
    image = _opened(image_bytes)
    if image is None:
        return ""
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    return _data(image)


def _opened(image_bytes: bytes) -> Image.Image | None:
    try:
        return Image.fromarray(decode(image_bytes))
    except PictureError:
        return None


def _data(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
