"""A project that holds given pictures, without the stage that collects them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
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


@pytest.fixture(scope="session")
def near_hashes() -> Callable[..., np.ndarray]:
    """near_hashes(count, seed=0) -> u64[count, 6]: two of three are up to 60 bits off the one before."""

    def make(count: int, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        bits = random.integers(0, 2, (count, 384), dtype=np.uint8)
        for row in range(count):
            if row % 3:
                bits[row] = bits[row - 1]
                bits[row, random.permutation(384)[: random.integers(0, 60)]] ^= 1
        return np.packbits(bits, axis=1).view(np.uint64)

    return make


@pytest.fixture(scope="session")
def add_hashes() -> Callable[..., list[str]]:
    """add_hashes(project, words, first=0, **columns of checks) -> ids: as if measured and matched."""

    def put(project: Project, words: np.ndarray, first: int = 0, **columns: Any) -> list[str]:
        count = len(words)
        ids = [f"{first + row:064x}" for row in range(count)]
        images = {"image_id": ids, "shard": ["s"] * count, "offset": range(count), "size": [1000] * count,
                  "width": [100] * count, "height": [80] * count, "format": ["jpeg"] * count, "mode": ["RGB"] * count,
                  "added_at": [f"2026-01-01T00:00:{row % 60:02}Z" for row in range(count)]}  # fmt: skip
        project.tables.append("images", pa.table(images, schema=SCHEMAS["images"]))
        usual: dict[str, Any] = {field.name: [0] * count for field in SCHEMAS["checks"] if field.name != "image_id"}
        usual |= {
            "image_id": ids, "cause": [""] * count, "width": [100] * count, "height": [80] * count,
            "is_animated": [False] * count, "pixel_sha256": ids, "phash": words[:, 0], "dhash": words[:, 1],
            "pdq": [row.tobytes() for row in words[:, 2:]], "pdq_quality": [100] * count, "entropy": [7.0] * count,
            "brightness": [120.0] * count,
            "contrast": [60.0] * count, "sharpness": [900.0] * count, "aspect": [1.25] * count,
            "metadata": [[]] * count, "creator": [""] * count, "rights": [""] * count, "data_mining": [""] * count,
        }  # fmt: skip
        schema = SCHEMAS["checks"]
        columns = {**usual, **columns}
        rows = {field.name: pa.array(list(columns[field.name]), field.type) for field in schema}
        project.tables.append("checks", pa.table(rows, schema=schema))
        project.tables.append("matched", pa.table({"image_id": ids}, schema=SCHEMAS["matched"]))
        return ids

    return put
