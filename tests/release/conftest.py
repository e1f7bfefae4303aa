"""A project that the earlier stages have worked on, made directly from bytes and rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import pytest

import pictus
from pictus.records import Concept, Duplicate, Label, Picture, Source, Verdict
from pictus.shards import ShardWriter
from pictus.tables import table_of

AT = "2026-01-01T00:00:00Z"
CONCEPTS = (
    Concept("n01", ("animal",), is_class=False, source="test"),
    Concept("n02", ("dog",), "it barks", ("n01",), is_class=True, source="test"),
    Concept("n03", ("cat",), "it does not", ("n01",), is_class=True, source="test"),
    Concept("n04", ("empty class",), parents=("n01",), is_class=True, source="test"),
    Concept("n09", ("unrelated",), is_class=False, source="test"),
)

Fill = Callable[..., list[str]]


@pytest.fixture
def fill(project: pictus.Project, make_jpeg: Callable[..., bytes]) -> Fill:
    """fill([(concept_id, folder), …]) -> image_ids of drawn pictures, added and labelled in that order.

    `broken`: numbers of those whose bytes end too early.
    """

    def work(
        pictures: Sequence[tuple[str, str]], *, groups: Mapping[int, int] | None = None, first: int = 0,
        broken: Sequence[int] = (),
    ) -> list[str]:  # fmt: skip
        images, sources, labels = [], [], []
        ends = None
        if project.tables.exists("images"):
            from pictus.shards import committed_ends

            ends = committed_ends(project.tables.read("images", ["shard", "offset", "size"]))
        with ShardWriter(project.shards_dir, ends=ends) as writer:
            for number, (concept_id, folder) in enumerate(pictures, start=first):
                data = make_jpeg(24, 16, seed=number)
                data = data[: len(data) * 3 // 4] if number in broken else data
                image_id = hashlib.sha256(data).hexdigest()
                shard, offset, size = writer.add(image_id, "jpg", data)
                images.append(Picture(image_id, shard, offset, size, 24, 16, "jpeg", "RGB", AT))
                address = f"/secret/place/{folder}/{number}.jpg"
                licence = "CC0-1.0" if number % 2 else ""
                sources.append(Source(image_id, address, "folder", concept_id, "", licence, f"author {number % 3}", AT))
                labels.append(Label(image_id, concept_id, 0.9, 3, "accepted", "one-coin", AT))
        tables = project.tables
        if not tables.exists("concepts"):
            tables.append("concepts", table_of("concepts", CONCEPTS))
        for name, records in (("images", images), ("sources", sources), ("labels", labels)):
            tables.append(name, table_of(name, records))
        image_ids = [image.image_id for image in images]
        members = [
            Duplicate(image_ids[one], image_ids[keeper], one == keeper, "near", 2, "", "test")
            for one, keeper in (groups or {}).items()
        ]
        if members:
            tables.append("duplicates", table_of("duplicates", members))
        return image_ids

    return work


@pytest.fixture
def drop(project: pictus.Project) -> Callable[[str], None]:
    """drop(image_id): screened out by a rule."""

    def work(image_id: str) -> None:
        verdict = Verdict(image_id, "drop", "tiny", "short side 16 < 32 px", 16, 32, AT)
        project.tables.upsert("verdicts", table_of("verdicts", [verdict]))

    return work


@pytest.fixture
def two_classes() -> list[tuple[str, str]]:
    """30 dogs and 20 cats, for `fill`."""
    return [("n02", "dog")] * 30 + [("n03", "cat")] * 20
