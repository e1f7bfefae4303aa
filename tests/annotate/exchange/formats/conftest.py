"""A project whose pictures have sizes and names but no bytes, and what lies in its tables afterwards."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

import pictus
from pictus.records import Concept, Picture, Source
from pictus.tables import table_of


class Kept(NamedTuple):
    """One row of `marks`, its shape read."""

    kind: str
    image_id: str
    concept_id: str
    annotator: str
    shape: dict[str, Any]
    source: str


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def shelve() -> Callable[..., dict[str, str]]:
    """shelve(project, {"a/1.jpg": (640, 480)}, ("owl", "wren")) -> name: image_id."""

    def put(
        project: pictus.Project, pictures: Mapping[str, tuple[int, int]], concepts: Iterable[str] = ("owl", "wren"),
        start: str = "/home/ada/",
    ) -> dict[str, str]:  # fmt: skip
        rows = [Concept(f"c{name}", (name,), is_class=True) for name in concepts]
        project.tables.replace("concepts", table_of("concepts", rows))
        ids = {name: id_of(name) for name in pictures}
        images = [
            Picture(ids[name], "pictures-00000.tar", 0, 1, *size, "jpeg", "RGB", "") for name, size in pictures.items()
        ]
        project.tables.append("images", table_of("images", images))
        sources = [Source(ids[name], start + name, "folder", "", "", "", "", "") for name in pictures]
        project.tables.append("sources", table_of("sources", sources))
        return ids

    return put


@pytest.fixture
def kept() -> Callable[[pictus.Project], list[Kept]]:
    """Every mark of a project, in order."""

    def read(project: pictus.Project) -> list[Kept]:
        query = "SELECT kind, image_id, concept_id, annotator, shape, source FROM marks ORDER BY mark_id"
        with project.journal.transaction() as connection:
            rows = connection.execute(sa.text(query)).all()
        return [Kept(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5]) for row in rows]

    return read


@pytest.fixture
def known() -> Callable[[pictus.Project], set[tuple[str, str, str, str]]]:
    """The queue: concept_id, image_id, state, known."""

    def read(project: pictus.Project) -> set[tuple[str, str, str, str]]:
        query = "SELECT concept_id, image_id, state, known FROM questions"
        with project.journal.transaction() as connection:
            return {(row[0], row[1], row[2], row[3]) for row in connection.execute(sa.text(query))}

    return read


@pytest.fixture
def said() -> Callable[[pictus.Project], set[tuple[str, str, str, str]]]:
    """Current votes: image_id, annotator, question, answer."""

    def read(project: pictus.Project) -> set[tuple[str, str, str, str]]:
        columns = ("image_id", "annotator", "question", "answer")
        return {tuple(row[name] for name in columns) for row in project.journal.votes().to_pylist()}

    return read


@pytest.fixture(scope="session")
def detection_formats(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `gts` of nine formats with the same boxes of 100 photos."""
    folder = tmp_path_factory.mktemp("formats")
    with tarfile.open(real_data("detection_formats") / "detection_formats.tar.xz") as archive:
        members = [one for one in archive.getmembers() if "/gts/" in f"/{one.name}"]
        archive.extractall(folder, members, filter="data")
    return next(folder.rglob("gts"))


@pytest.fixture(scope="session")
def blood_cells(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 364 VOC files with 4,888 boxes, two of them without area."""
    folder = tmp_path_factory.mktemp("bccd")
    with tarfile.open(fileobj=io.BytesIO((real_data("bccd_detection") / "bccd.tar.xz").read_bytes())) as archive:
        members = [one for one in archive.getmembers() if one.name.endswith(".xml")]
        archive.extractall(folder, members, filter="data")
    return next(folder.rglob("Annotations"))
