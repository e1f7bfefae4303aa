"""A project that holds given pictures, without the stage that collects them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import pyarrow as pa
import pytest

from pictus import Project
from pictus.shards import ShardWriter, committed_ends
from pictus.tables import SCHEMAS

Fill = Callable[[Iterable[bytes]], list[str]]


@pytest.fixture
def fill(project: Project) -> Fill:
    """fill([bytes, …]) -> ids: puts the pictures into the project's shards and table, in this order."""

    def put(pictures: Iterable[bytes]) -> list[str]:
        held = project.tables.read("images", ["shard", "offset", "size"])
        rows = []
        ids = []
        with ShardWriter(project.shards_dir, ends=committed_ends(held)) as writer:
            for image_bytes in pictures:
                image_id = hashlib.sha256(image_bytes).hexdigest()
                placed = writer.add(image_id, "jpg", image_bytes)
                ids.append(image_id)
                rows.append(
                    {
                        "image_id": image_id, "shard": placed.shard, "offset": placed.offset, "size": placed.size,
                        "width": 0, "height": 0, "format": "jpeg", "mode": "RGB", "added_at": "2026-01-01T00:00:00Z",
                    }
                )  # fmt: skip
        project.tables.append("images", pa.Table.from_pylist(rows, schema=SCHEMAS["images"]))
        return ids

    return put
