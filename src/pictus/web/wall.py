"""The wall's rows: every picture with its verdict, label, claim and split, filtered and paged.

One joined Arrow table per state of the project's tables (about 240 bytes a picture), rebuilt
when one of them gets a new version; with it, the order of the last filters asked for (4 bytes a picture each).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pictus.concepts import Taxonomy, concept_of
from pictus.errors import UserError
from pictus.project import Project

READ = ("images", "sources", "checks", "labels", "splits", "duplicates", "verdicts")
"""The last is what a review changes again and again: it alone is read anew then."""
PAGE = 120
LITTLE = 76
"""Short side in px under which a picture would be shown at more than twice its size in a cell of 148 px or more."""
CELLS = (16, 24, 32, 48, 64)
"""Short sides with a cell size of their own in pictus.css: twice the side, or a little less."""
ORDERS = 8
"""So many filters keep their order: people scroll through a few walls at a time."""
SORTS = ("added", "sharpness", "brightness", "entropy", "contrast", "posterior", "width")


@dataclass(frozen=True)
class Filter:
    """What the wall shows. Empty means all; `concept` includes what lies below it."""

    concept: str = ""
    verdict: str = ""  # keep | drop | unscreened
    rule: str = ""
    status: str = ""  # accepted | rejected | unsettled | unlabelled
    split: str = ""
    text: str = ""  # in the address or the image_id
    sort: str = "added"
    descending: bool = False

    @classmethod
    def of(cls, query: dict[str, str]) -> "Filter":
        """From query parameters; unknown ones are ignored, a wrong sort is said."""
        names = {field.name for field in fields(cls)} - {"descending"}
        values = {name: value for name, value in query.items() if name in names and value}
        if values.get("sort", "added") not in SORTS:
            raise UserError(f"Pictures cannot be sorted by {values['sort']!r}.", fix="one of: " + ", ".join(SORTS))
        return cls(**values, descending=query.get("descending") in ("1", "true", "on"))

    def query(self, **changes: str) -> str:
        """As a query string, with changes."""
        from urllib.parse import urlencode  # noqa: PLC0415

        values = {field.name: getattr(self, field.name) for field in fields(self)} | changes
        if values["sort"] == "added":
            values.pop("sort")
        return urlencode({name: "1" if value is True else value for name, value in values.items() if value})


Key = tuple[Filter, tuple[str, ...]]
"""A filter and the concepts it means: the taxonomy may change while the filter stays."""


class _Found(NamedTuple):
    """What was made of one state of the tables: u32 row numbers in the order of each filter, the latest last."""

    rows: pa.Table
    orders: dict[Key, npt.NDArray[np.uint32]]
    samples: dict[int, dict[str, list[dict[str, Any]]]]


class Wall:
    """The joined table of one project, kept until something is written."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._versions: tuple[int, ...] = ()
        self._found: _Found | None = None
        self._undecided: pa.Table | None = None  # the rows without their verdicts
        self._lock = threading.Lock()

    def rows(self) -> pa.Table:
        """Every picture, in the order they were added."""
        return self._now().rows

    def _now(self) -> _Found:
        with self._lock:
            versions = tuple(self._project.tables.version(name) for name in READ)
            if self._found is None or versions != self._versions:
                if self._undecided is None or versions[:-1] != self._versions[:-1]:
                    self._undecided = _joined(self._project)
                self._found = _Found(_decided(self._project, self._undecided), {}, {})
                self._versions = versions
            return self._found

    def page(
        self, chosen: Filter, taxonomy: Taxonomy, offset: int, count: int = PAGE
    ) -> tuple[list[dict[str, Any]], int]:
        """`count` pictures from `offset` -> (rows, how many match)."""
        now = self._now()
        concepts = (chosen.concept, *sorted(taxonomy.descendants(chosen.concept))) if chosen.concept else ()
        order = self._order(now, (chosen, concepts))
        return now.rows.take(pa.array(order[offset : offset + count])).to_pylist(), len(order)

    def _order(self, now: _Found, key: Key) -> npt.NDArray[np.uint32]:
        """Filtered and sorted once for all the pages of one wall."""
        with self._lock:
            order = now.orders.pop(key, None)
        if order is None:
            order = _ordered(now.rows, *key)
        with self._lock:
            now.orders[key] = order
            while len(now.orders) > ORDERS:
                del now.orders[next(iter(now.orders))]
        return order

    def samples(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """Concept -> its first `count` pictures not dropped with their sizes, by label, else by claim ("" for none)."""
        now = self._now()
        if count not in now.samples:
            now.samples[count] = _samples(now.rows, count)
        return now.samples[count]

    def counts(self, column: str) -> dict[str, int]:
        """Value -> pictures, most first; for the filter bar."""
        found = pc.value_counts(self.rows().column(column)).to_pylist()
        found.sort(key=lambda entry: -entry["counts"])
        return {str(entry["values"]): int(entry["counts"]) for entry in found}


def cells(rows: Sequence[Mapping[str, Any]]) -> str:
    """The wall's class for what is mostly small pictures: cells in which they show at most at twice their size."""
    shorts = sorted(min(row["width"], row["height"]) for row in rows)
    if not shorts or not 0 < shorts[len(shorts) // 2] < LITTLE:
        return ""
    return f"cells-{max(side for side in CELLS if side <= max(shorts[len(shorts) // 2], CELLS[0]))}"


def little(row: Mapping[str, Any]) -> bool:
    """Whether a picture would be blown up more than twice in a cell of the wall."""
    short: int = min(row["width"], row["height"])
    return 0 < short < LITTLE


def _samples(rows: pa.Table, count: int) -> dict[str, list[dict[str, Any]]]:
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = rows.select(["image_id", "label", "claim", "verdict", "status", "width", "height"])
    for batch in rows.to_batches():
        columns = (batch.column(name).to_pylist() for name in rows.schema.names)
        for image_id, label, claim, verdict, status, width, height in zip(*columns, strict=True):
            own = found[label or claim]
            if len(own) < count and verdict != "drop" and status != "rejected":
                own.append({"image_id": image_id, "width": width, "height": height})
    return dict(found)


def _joined(project: Project) -> pa.Table:
    tables = project.tables
    rows = tables.read("images", ["image_id", "width", "height", "format"])
    rows = rows.append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    sources = tables.read("sources", ["image_id", "address", "concept_id"])
    sources = sources.rename_columns(["image_id", "address", "claim"])
    labels = tables.read("labels", ["image_id", "concept_id", "posterior", "status", "n_votes"])
    labels = labels.rename_columns(["image_id", "label", "posterior", "status", "n_votes"])
    measured = ["image_id", "sharpness", "brightness", "entropy", "contrast"]
    for right in (
        _first(sources, "claim"),
        tables.read("checks", measured),
        _first(labels, "posterior"),
        tables.read("splits", ["image_id", "split"]),
        tables.read("duplicates", ["image_id", "group_id", "is_keeper"]),
    ):
        rows = rows.join(right, "image_id", join_type="left outer")
    own = concept_of(project).rename_columns(["image_id", "own_concept"])
    rows = rows.join(own, "image_id", join_type="left outer").sort_by("row")
    for name in ("label", "status", "split", "claim", "address", "group_id", "own_concept"):
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, name, pc.fill_null(rows.column(name), "unlabelled" if name == "status" else ""))
    return rows.combine_chunks()


def _decided(project: Project, rows: pa.Table) -> pa.Table:
    """The rows with verdict, rule and reason."""
    verdicts = project.tables.read("verdicts", ["image_id", "verdict", "rule", "reason"]).combine_chunks()
    place = pc.index_in(rows.column("image_id"), value_set=verdicts.column("image_id"))
    for name in ("verdict", "rule", "reason"):
        found = pc.fill_null(verdicts.column(name).take(place), "unscreened" if name == "verdict" else "")
        rows = rows.append_column(name, found.combine_chunks())
    return rows


def _first(rows: pa.Table, best: str) -> pa.Table:
    """One row per picture: the one with the greatest `best` (a claim beats none)."""
    if not rows.num_rows:
        return rows
    ordered = rows.take(pc.sort_indices(rows, [("image_id", "ascending"), (best, "descending")]))
    ids = ordered.column("image_id").combine_chunks()
    is_new = pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])])
    return ordered.filter(is_new)


def _ordered(rows: pa.Table, chosen: Filter, concepts: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """The row numbers that a filter shows, in its order."""
    found = _filtered(rows, chosen, concepts)
    numbers: npt.NDArray[np.uint32] = found.column("row").to_numpy().astype(np.uint32)
    if chosen.sort == "added":
        return numbers[::-1] if chosen.descending else numbers
    order = "descending" if chosen.descending else "ascending"
    sorted_rows: npt.NDArray[np.uint64] = pc.sort_indices(
        found, [(chosen.sort, order), ("image_id", "ascending")]
    ).to_numpy()
    return numbers[sorted_rows]


def _filtered(rows: pa.Table, chosen: Filter, concepts: tuple[str, ...]) -> pa.Table:
    if concepts:
        ids = pa.array(concepts)
        labelled = pc.is_in(rows.column("label"), value_set=ids)
        claimed = pc.and_(pc.equal(rows.column("label"), ""), pc.is_in(rows.column("claim"), value_set=ids))
        rows = rows.filter(pc.or_(labelled, claimed))
    for name in ("verdict", "rule", "status", "split"):
        if wanted := getattr(chosen, name):
            rows = rows.filter(pc.equal(rows.column(name), wanted))
    if chosen.text:
        in_address = pc.match_substring(rows.column("address"), chosen.text, ignore_case=True)
        rows = rows.filter(pc.or_(in_address, pc.starts_with(rows.column("image_id"), chosen.text.lower())))
    return rows
