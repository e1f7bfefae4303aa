"""A project that holds given pictures, labels and verdicts, without the stages that make them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import pyarrow as pa
import pytest

from pictus import Project
from pictus.records import Concept, Label, Verdict
from pictus.shards import ShardWriter, committed_ends
from pictus.tables import SCHEMAS, table_of

AT = "2026-01-01T00:00:00Z"

Fill = Callable[[Iterable[bytes]], list[str]]
Judge = Callable[[str, Iterable[str]], None]


@pytest.fixture
def fill(project: Project) -> Fill:
    """fill([bytes, …]) -> ids: puts the pictures into the project, each from the address drawn/<number>."""

    def put(pictures: Iterable[bytes]) -> list[str]:
        held = project.tables.read("images", ["shard", "offset", "size"])
        rows, sources, ids = [], [], []
        with ShardWriter(project.shards_dir, ends=committed_ends(held)) as writer:
            for number, image_bytes in enumerate(pictures, start=held.num_rows):
                image_id = hashlib.sha256(image_bytes).hexdigest()
                placed = writer.add(image_id, "jpg", image_bytes)
                ids.append(image_id)
                rows.append(
                    {
                        "image_id": image_id, "shard": placed.shard, "offset": placed.offset, "size": placed.size,
                        "width": 0, "height": 0, "format": "jpeg", "mode": "RGB", "added_at": AT,
                    }
                )  # fmt: skip
                sources.append(
                    {
                        "image_id": image_id, "address": f"drawn/{number}", "kind": "folder", "concept_id": "",
                        "query": "", "licence": "", "author": "", "found_at": AT,
                    }
                )  # fmt: skip
        project.tables.append("images", pa.Table.from_pylist(rows, schema=SCHEMAS["images"]))
        project.tables.append("sources", pa.Table.from_pylist(sources, schema=SCHEMAS["sources"]))
        return ids

    return put


@pytest.fixture
def drop(project: Project) -> Judge:
    """drop("duplicate", ids): verdicts as `clean screen` writes them; rule "" keeps."""

    def put(rule: str, ids: Iterable[str]) -> None:
        rows = [Verdict(image_id, "drop" if rule else "keep", rule, rule, 0.0, 0.0, AT) for image_id in ids]
        project.tables.upsert("verdicts", table_of("verdicts", rows))

    return put


@pytest.fixture
def label(project: Project) -> Callable[[dict[str, tuple[str, float]]], None]:
    """label({image_id: (concept_id, posterior)}): a small tree of birds, and accepted labels in it."""

    def put(given: dict[str, tuple[str, float]]) -> None:
        concepts = [
            Concept("n1", ("bird",)), Concept("n2", ("barn owl", "Tyto alba"), parents=("n1",), is_class=True),
            Concept("n3", ("gull",), parents=("n1",), is_class=True),
            Concept("n4", ("crane", "wading bird"), parents=("n1",), is_class=True),
            Concept("n5", ("bowl",), is_class=True), Concept("n6", ("crane",), is_class=True),
        ]  # fmt: skip
        project.tables.replace("concepts", table_of("concepts", concepts))
        rows = [
            Label(image_id, concept, posterior, 3, "accepted", "majority", AT)
            for image_id, (concept, posterior) in given.items()
        ]
        project.tables.replace("labels", table_of("labels", rows))

    return put
