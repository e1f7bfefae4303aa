"""The records release's verbs give: one line per release, one per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pictus.release.contents import counts_by_class, totals
from pictus.releases import SPLITS


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """One release of the project, as its manifest tells it."""

    version: str
    created: str
    pictures: int
    classes: int
    train: int
    val: int
    test: int
    size: int  # bytes of pictures
    digest: str


@dataclass(frozen=True, slots=True)
class ClassSplits:
    """One class and how many of its pictures each split has."""

    concept_id: str
    name: str
    train: int
    val: int
    test: int


def release_line(manifest: Mapping[str, Any]) -> ReleaseLine:
    """A manifest in one line."""
    found = totals(manifest["counts"])
    return ReleaseLine(
        manifest["version"], manifest["created"], found["pictures"], found["classes"], found["train"], found["val"],
        found["test"], found["size"], manifest["digest"],
    )  # fmt: skip


def class_lines(rows: pa.Table, names: Mapping[str, str]) -> list[ClassSplits]:
    """The classes of `rows` (columns concept_id, split), sorted by id."""
    return [
        ClassSplits(concept_id, names.get(concept_id, concept_id), *(found.get(split, 0) for split in SPLITS))
        for concept_id, found in sorted(counts_by_class(rows).items())
    ]
