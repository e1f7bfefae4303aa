"""From candidates to labelled pictures, concept by concept: which ones starve, and where the others are lost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from starlette.requests import Request
from starlette.routing import Route

from pictus import overview
from pictus.collect.causes import advice
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, clipped
from pictus.journey import first_command
from pictus.project import Project
from pictus.web.layout import Shell, pager, whole

STAGES = ("found", "fetched", "measured", "kept", "labelled")
MEANT = {
    "found": "addresses and files that claim to show it", "fetched": "pictures taken in",
    "measured": "pictures that clean has looked at", "kept": "pictures that no rule drops",
    "labelled": "kept, with this label settled",
}  # fmt: skip
ORDERS = {"": "starving first", "name": "by name", "most": "most found first", "lost": "most lost first"}
PAGE = 100
READ = ("concepts", "candidates", "fetches")


class Funnel(NamedTuple):
    """One concept's numbers of pictures, in the order of STAGES."""

    concept_id: str
    name: str
    counts: tuple[int, ...]
    is_starving: bool


class Counts(NamedTuple):
    """Every class, and every other concept something was found for. counts i64[N, 5]; names are folded for search."""

    concept_ids: list[str]
    names: list[str]
    folded: npt.NDArray[np.str_]
    counts: npt.NDArray[np.int64]
    is_class: npt.NDArray[np.bool_]


def routes(shell: Shell) -> list[Route]:
    """The page of coverage."""
    view = _View(shell)
    return [Route("/coverage", shell.page("coverage.html", view.page))]


class _View:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.project = shell.project
        self._known: tuple[Any, ...] = ()
        self._counts: Counts | None = None
        self._lock = threading.Lock()

    def counts(self) -> Counts:
        """Kept until something is written."""
        with self._lock:
            rows = self.shell.wall.rows()
            known = (id(rows), *(self.project.tables.version(name) for name in READ))
            if self._counts is None or known != self._known:
                self._counts, self._known = count(self.project, rows, load_taxonomy(self.project)), known
            return self._counts

    def page(self, request: Request) -> dict[str, Any]:
        order, text = (request.query_params.get(name, "").strip() for name in ("order", "text"))
        if order not in ORDERS:
            raise UserError(f"Concepts cannot be ordered by {clipped(order)}.", fix="one of: name, most, lost")
        offset, counts = whole(request, "offset"), self.counts()
        chosen = ordered(counts, order, text)
        shown = [_funnel(counts, row) for row in chosen[offset : offset + PAGE].tolist()]
        causes = overview.failed_causes(self.project)
        return {
            "order": order, "orders": ORDERS, "text": text, "stages": STAGES, "meant": MEANT,
            "totals": counts.counts.sum(axis=0).tolist(), "shown": shown, "thin": overview.THIN_CLASS,
            "starving": int(starving(counts).sum()), "n_concepts": len(counts.concept_ids),
            "widest": max([max(funnel.counts) for funnel in shown], default=0),
            "pager": pager(offset, len(shown), len(chosen), PAGE),
            "causes": [(cause, number, advice(cause)) for cause, number in causes.most_common()],
            "first": _first(self.project),
        }  # fmt: skip


def count(project: Project, rows: pa.Table, taxonomy: Taxonomy) -> Counts:
    """The funnel of every class and of whatever else something claims to show. `rows`: the wall's table."""
    asked = _by(project.tables.read("fetches", ["concept_id"]).column("concept_id"))
    candidates = _by(project.tables.read("candidates", ["concept_id"]).column("concept_id"))
    claim = rows.column("claim")
    fetched = _by(claim)
    measured = _by(claim.filter(pc.is_valid(rows.column("sharpness"))))
    kept = _by(claim.filter(pc.equal(rows.column("verdict"), "keep")))
    is_settled = pc.and_(pc.equal(rows.column("status"), "accepted"), pc.not_equal(rows.column("verdict"), "drop"))
    labelled = _by(rows.column("label").filter(is_settled))
    found = {one: max(asked[one], candidates[one], fetched[one]) for one in {*asked, *candidates, *fetched}}
    classes = list(taxonomy.classes)
    others = sorted(({*found, *labelled} - set(classes)) - {""})
    ids = [*classes, *others]
    stages = (found, fetched, measured, kept, labelled)
    table = np.array([[stage.get(one, 0) for stage in stages] for one in ids], np.int64).reshape(len(ids), len(STAGES))
    names = [taxonomy.name(one) if one in taxonomy else one for one in ids]
    is_class = np.arange(len(ids)) < len(classes)
    folded = np.array([f"{name} {one}".casefold() for name, one in zip(names, ids, strict=True)], dtype=np.str_)
    return Counts(ids, names, folded, table, is_class)


def starving(counts: Counts) -> npt.NDArray[np.bool_]:
    """bool[N]: classes with fewer pictures kept than a class needs (once labels are settled: labelled)."""
    decided = counts.counts[:, STAGES.index("labelled" if counts.counts[:, -1].any() else "kept")]
    found: npt.NDArray[np.bool_] = counts.is_class & (decided < overview.THIN_CLASS)
    return found


def ordered(counts: Counts, order: str, text: str) -> npt.NDArray[np.int64]:
    """The concepts whose name or id holds `text`, in the order asked for; by name where that is equal."""
    rows = np.arange(len(counts.concept_ids))
    if text:
        rows = rows[np.char.find(counts.folded, text.casefold()) >= 0]
    found, kept, labelled = (counts.counts[rows, STAGES.index(name)] for name in ("found", "kept", "labelled"))
    names = counts.folded[rows]
    keys: dict[str, tuple[npt.NDArray[Any], ...]] = {
        "": (names, found, kept, labelled, ~starving(counts)[rows]), "name": (names,), "most": (names, -found),
        "lost": (names, kept - found),
    }  # fmt: skip
    return rows[np.lexsort(keys[order])]


def _funnel(counts: Counts, row: int) -> Funnel:
    numbers = tuple(int(one) for one in counts.counts[row])
    return Funnel(counts.concept_ids[row], counts.names[row], numbers, bool(starving(counts)[row]))


def _by(column: pa.ChunkedArray) -> Counter[str]:
    return Counter({entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()})


def _first(project: Project) -> str:
    """What to type while there is nothing to count."""
    if not project.tables.count("concepts"):
        return first_command(project, "pictures")
    return "pictus collect candidates" if not project.tables.count("images") else ""
