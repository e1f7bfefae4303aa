"""The tables of settled boxes, masks and points as shapes in one form, picture by picture."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow.compute as pc

from pictus.tables import Tables

_ACCEPTED = "status = 'accepted'"


class SettledShape(NamedTuple):
    """One accepted shape. by: who drew it, "" where several did."""

    image_id: str
    concept_id: str
    kind: str
    by: str
    shape: dict[str, Any]


def are_there(tables: Tables) -> bool:
    """Whether anything was accepted."""
    return any(tables.count(name, _ACCEPTED) for name in _TABLES)


def summed(tables: Tables) -> tuple[set[str], set[str], int]:
    """Pictures, concepts and number of the accepted shapes."""
    images: set[str] = set()
    concepts: set[str] = set()
    count = 0
    for name in _TABLES:
        rows = tables.read(name, ["image_id", "concept_id"], where=_ACCEPTED)
        images.update(pc.unique(rows.column("image_id")).to_pylist())
        concepts.update(pc.unique(rows.column("concept_id")).to_pylist())
        count += rows.num_rows
    return images, concepts, count


def settled(tables: Tables) -> Iterator[SettledShape]:
    """Every accepted shape, by image_id."""
    return heapq.merge(*(_rows(tables, name) for name in _TABLES), key=lambda one: one.image_id)


def _rows(tables: Tables, name: str) -> Iterator[SettledShape]:
    kind, shaped = _TABLES[name]
    rows = tables.read(name, where=_ACCEPTED).sort_by([("image_id", "ascending"), ("mark_id", "ascending")])
    for batch in rows.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            by = row["drawn_by"][0] if len(row["drawn_by"]) == 1 else ""
            yield SettledShape(row["image_id"], row["concept_id"], kind, by, shaped(row))


def _box(row: dict[str, Any]) -> dict[str, Any]:
    return {"box": _sides(row), "words": {"posterior": f"{row['posterior']:.4g}"}}


def _mask(row: dict[str, Any]) -> dict[str, Any]:
    return {"size": [row["height"], row["width"]], "counts": row["counts"], "box": _sides(row), "words": _agreed(row)}


def _points(row: dict[str, Any]) -> dict[str, Any]:
    flat = row["points"]
    points = [[round(flat[at], 3), round(flat[at + 1], 3), int(flat[at + 2])] for at in range(0, len(flat), 3)]
    return {"skeleton": row["skeleton"], "points": points, "words": _agreed(row)}


def _sides(row: dict[str, Any]) -> list[float]:
    return [round(row[side], 3) for side in ("x1", "y1", "x2", "y2")]


def _agreed(row: dict[str, Any]) -> dict[str, str]:
    return {"agreement": f"{row['agreement']:.4g}"}


_TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "boxes": ("box", _box), "masks": ("mask", _mask), "keypoints": ("points", _points),
}  # fmt: skip
