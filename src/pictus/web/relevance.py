"""What may not belong: the least typical pictures of each concept, suspects of another one, twins. Scores only.

Nothing is dropped here; every picture leads to its own page, and the commands that act on it stand beside it.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from starlette.requests import Request
from starlette.routing import Route

from pictus.errors import UserError, clipped
from pictus.journey import first_command
from pictus.project import Project
from pictus.web.duplicates import Side, sides
from pictus.web.layout import Shell, pager, whole

VIEWS = {"outliers": "Least typical", "suspects": "Of another concept?", "twins": "Twins"}
PAGE = {"outliers": 120, "suspects": 24, "twins": 24}
CONCEPTS_PAGE, STRIP = 24, 12


class Ranks(NamedTuple):
    """The table's numbers, one row each; rows of a view are found from these and read one by one."""

    concepts: list[str]  # names of the codes
    concept_N: npt.NDArray[np.int32]
    outlier_N: npt.NDArray[np.float64]
    margin_N: npt.NDArray[np.float64]  # -2 where there is no suspect
    likeness_N: npt.NDArray[np.float64]  # -2 where there is no twin
    models: tuple[str, ...]


class Suspicion(NamedTuple):
    """One picture beside what speaks against it: the typical picture of another concept, or its twin."""

    side: Side
    concept_id: str
    outlier: float
    other: Side | None
    other_concept: str
    score: float  # margin, or likeness


Strip = tuple[str, int, list[tuple[Side, float]]]
"""A concept, how many suspects it has, and its least typical pictures with their scores."""


def routes(shell: Shell) -> list[Route]:
    """The page of relevance."""
    view = _View(shell)
    return [Route("/clean/relevance", shell.page("relevance.html", view.page))]


class _View:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.project = shell.project
        self._version = 0
        self._ranks: Ranks | None = None
        self._lock = threading.Lock()

    def ranks(self) -> Ranks:
        """Kept until the table changes: 28 bytes a picture."""
        with self._lock:
            version = self.project.tables.version("relevance")
            if self._ranks is None or version != self._version:
                self._ranks, self._version = _ranks(self.project), version
            return self._ranks

    def page(self, request: Request) -> dict[str, Any]:
        view = request.query_params.get("view", "outliers") or "outliers"
        if view not in VIEWS:
            raise UserError(f"There is no view {clipped(view)}.", fix="one of: " + ", ".join(VIEWS))
        taxonomy, ranks = self.shell.taxonomy(), self.ranks()
        name = request.query_params.get("concept", "").strip()
        concept = name if name in ranks.concepts else taxonomy.resolve(name) if name else ""
        offset = whole(request, "offset")
        is_overview = view == "outliers" and not concept
        order = _order(ranks, view, concept)
        strips: list[Strip] = []
        rows: list[Suspicion] = []
        total = len(order)
        size = CONCEPTS_PAGE if is_overview else PAGE[view]
        if is_overview:
            strips, total = self._strips(ranks, offset)
        else:
            rows = self._suspicions(ranks, order[offset : offset + size], view)
        return {
            "view": view, "views": VIEWS, "concept": concept, "taxonomy": taxonomy, "strips": strips, "rows": rows,
            "scored": len(ranks.outlier_N), "models": ranks.models, "total": total,
            "counts": {one: len(_order(ranks, one, concept)) for one in VIEWS},
            "pager": pager(offset, len(strips) if is_overview else len(rows), total, size),
            "what": "concepts" if is_overview else "pictures",
            "first": first_command(self.project, "pictures") if not self.project.tables.count("images") else "",
        }  # fmt: skip

    def _rows(self, places: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        tables = self.project.tables
        return [row for place in places for row in tables.read("relevance", offset=int(place), limit=1).to_pylist()]

    def _strips(self, ranks: Ranks, offset: int) -> tuple[list[Strip], int]:
        """For each concept, the one with the most suspects first: (concept, suspects, its least typical pictures)."""
        suspects = np.bincount(ranks.concept_N[ranks.margin_N > 0], minlength=len(ranks.concepts))
        order = sorted(range(len(ranks.concepts)), key=lambda code: (-int(suspects[code]), ranks.concepts[code]))
        found = []
        for code in order[offset : offset + CONCEPTS_PAGE]:
            places = np.flatnonzero(ranks.concept_N == code)
            worst = places[np.argsort(-ranks.outlier_N[places], kind="stable")[:STRIP]]
            rows = self._rows(worst)
            seen = sides(self.project, {row["image_id"] for row in rows})
            strip = [(seen[row["image_id"]], float(row["outlier"])) for row in rows]
            found.append((ranks.concepts[code], int(suspects[code]), strip))
        return found, len(order)

    def _suspicions(self, ranks: Ranks, places: npt.NDArray[np.int64], view: str) -> list[Suspicion]:
        rows = self._rows(places)
        typical = self._typical(ranks, {row["suspect_id"] for row in rows}) if view == "suspects" else {}

        def other_of(row: dict[str, Any]) -> str:
            found = {"suspects": typical.get(row["suspect_id"], ""), "twins": row["twin_id"]}.get(view, "")
            return str(found)

        ids = {row["image_id"] for row in rows} | {other_of(row) for row in rows} - {""}
        seen = sides(self.project, ids)
        return [
            Suspicion(
                seen[row["image_id"]], row["concept_id"], row["outlier"], seen.get(other_of(row)),
                row["suspect_id"] if view == "suspects" else "",
                row["margin"] if view == "suspects" else row["similarity"] if view == "twins" else row["outlier"],
            )
            for row in rows
        ]  # fmt: skip

    def _typical(self, ranks: Ranks, concept_ids: set[str]) -> dict[str, str]:
        """The picture that a concept's own score calls its most typical."""
        places = {}
        for concept_id in concept_ids & set(ranks.concepts):
            own = np.flatnonzero(ranks.concept_N == ranks.concepts.index(concept_id))
            places[concept_id] = own[np.argmin(ranks.outlier_N[own])]
        rows = self._rows(np.array(list(places.values()), np.int64))
        return {concept_id: row["image_id"] for concept_id, row in zip(places, rows, strict=True)}


def _ranks(project: Project) -> Ranks:
    columns = ["concept_id", "outlier", "suspect_id", "margin", "twin_id", "similarity", "model"]
    rows = project.tables.read("relevance", columns).combine_chunks()
    coded = pc.dictionary_encode(rows.column("concept_id")).combine_chunks()
    coded = coded if isinstance(coded, pa.DictionaryArray) else coded.chunk(0)

    def scores(name: str, needs: str) -> npt.NDArray[np.float64]:
        is_there = pc.not_equal(rows.column(needs), "").to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.float64] = np.where(is_there, rows.column(name).to_numpy(), -2.0)
        return found

    return Ranks(
        coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        rows.column("outlier").to_numpy().astype(np.float64), scores("margin", "suspect_id"),
        scores("similarity", "twin_id"), tuple(sorted(pc.unique(rows.column("model")).to_pylist())),
    )  # fmt: skip


def _order(ranks: Ranks, view: str, concept: str) -> npt.NDArray[np.int64]:
    """The rows of a view, the strongest suspicion first."""
    scores = {"outliers": ranks.outlier_N, "suspects": ranks.margin_N, "twins": ranks.likeness_N}[view]
    chosen = scores > 0 if view != "outliers" else np.ones(len(scores), np.bool_)
    if concept:
        code = ranks.concepts.index(concept) if concept in ranks.concepts else -1
        chosen = chosen & (ranks.concept_N == code)
    places = np.flatnonzero(chosen)
    found: npt.NDArray[np.int64] = places[np.argsort(-scores[places], kind="stable")]
    return found
