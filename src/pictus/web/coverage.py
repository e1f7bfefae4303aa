"""From candidates to labelled pictures, concept by concept: which ones starve, and where the others are lost."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from starlette.requests import Request
from starlette.routing import Route

from pictus import collect, overview
from pictus.collect.causes import advice
from pictus.errors import UserError, clipped
from pictus.journey import first_command
from pictus.project import Project
from pictus.web.layout import Shell, pager, whole

STAGES = ("found", "fetched", "measured", "kept", "labelled")
MEANT = {
    "found": "addresses and files that claim to show it", "fetched": "pictures taken in",
    "measured": "pictures that clean has looked at", "kept": "pictures that no rule drops",
    "labelled": "pictures with this label settled",
}  # fmt: skip
ORDERS = {"": "starving first", "name": "by name", "most": "most found first", "lost": "most lost first"}
PAGE = 100
READ = (
    "concepts", "queries", "left_out", "searches", "candidates", "fetches", "sources", "checks", "verdicts", "labels"
)  # fmt: skip


class Funnel(NamedTuple):
    """One concept's numbers of pictures, in the order of STAGES."""

    concept_id: str
    name: str
    counts: tuple[int, ...]
    is_starving: bool

    @property
    def bars(self) -> tuple[int, ...]:
        """The counts as bars that lie in each other: labels of dropped pictures do not reach past what is kept."""
        return tuple(accumulate(self.counts, min))


class Counts(NamedTuple):
    """Every class. counts i64[N, 5]; folded: name and id for search. `wanted` pictures keep one from starving."""

    concept_ids: list[str]
    names: list[str]
    folded: npt.NDArray[np.str_]
    counts: npt.NDArray[np.int64]
    is_starving: npt.NDArray[np.bool_]
    wanted: int = 0
    totals: tuple[int, ...] = (0,) * len(STAGES)  # each picture once, of however many classes it is
    unclaimed: int = 0  # pictures of no class
    following: tuple[str, ...] = ()  # commands that would feed them


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
            known = tuple(self.project.tables.version(name) for name in READ)
            if self._counts is None or known != self._known:
                self._counts, self._known = count(self.project), known
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
            "totals": counts.totals, "unclaimed": counts.unclaimed, "shown": shown, "thin": counts.wanted,
            "following": counts.following,
            "starving": int(counts.is_starving.sum()), "n_concepts": len(counts.concept_ids),
            "widest": max([max(funnel.counts) for funnel in shown], default=0),
            "pager": pager(offset, len(shown), len(chosen), PAGE),
            "causes": [(cause, number, advice(cause)) for cause, number in causes.most_common()],
            "first": _first(self.project),
        }  # fmt: skip


def count(project: Project) -> Counts:
    """The funnel of every class, with the numbers of `collect coverage`; nothing without a class."""
    try:
        report = collect.coverage(project)
    except UserError:  # no class yet: the page says what to type
        return Counts([], [], np.array([], np.str_), np.zeros((0, len(STAGES)), np.int64), np.zeros(0, np.bool_))
    rows = list(report)
    measured = _measured(project)
    counts = [
        (max(row.candidates, row.fetched + row.failed), row.fetched, measured[row.concept_id], row.kept, row.labelled)
        for row in rows
    ]
    folded = np.array([f"{row.name} {row.concept_id}".casefold() for row in rows], dtype=np.str_)
    table = np.array(counts, np.int64).reshape(len(rows), len(STAGES))
    is_starving = np.array([row.is_starving for row in rows], np.bool_)
    ids, names = [row.concept_id for row in rows], [row.name for row in rows]
    of = report.summary
    totals = (max(of["candidates"], of["fetched"] + of["failed"]), of["fetched"], _looked_at(project, ids), of["kept"],
              of["labelled"])  # fmt: skip
    return Counts(ids, names, folded, table, is_starving, int(of["wanted"]), totals, of["unclaimed"], report.next)


def _looked_at(project: Project, classes: list[str]) -> int:
    """Different pictures of any class that were looked at."""
    pairs = _pairs(project)
    chosen = pairs.filter(pc.is_in(pairs.column("concept_id"), value_set=pa.array(classes, pa.string())))
    return int(pc.count_distinct(chosen.column("image_id")).as_py())


def _measured(project: Project) -> Counter[str]:
    """Concept -> pictures that claim it or have its label, and were looked at."""
    found = pc.value_counts(_pairs(project).column("concept_id")).to_pylist()
    return Counter({entry["values"]: entry["counts"] for entry in found})


def _pairs(project: Project) -> pa.Table:
    """The pictures that were looked at with each of their classes, as `collect coverage` counts them."""
    rows = project.tables.read("sources", ["image_id", "concept_id"])
    labels = project.tables.read("labels", ["image_id", "concept_id", "status"])
    accepted = labels.filter(pc.equal(labels.column("status"), "accepted")).select(["image_id", "concept_id"])
    rows = pa.concat_tables([rows, accepted])
    looked = project.tables.read("checks", ["image_id"]).column("image_id").combine_chunks()
    chosen = rows.filter(pc.is_in(rows.column("image_id"), value_set=looked))
    return chosen.group_by(["image_id", "concept_id"]).aggregate([])


def ordered(counts: Counts, order: str, text: str) -> npt.NDArray[np.int64]:
    """The concepts whose name or id holds `text`, in the order asked for; by name where that is equal."""
    rows = np.arange(len(counts.concept_ids))
    if text:
        rows = rows[np.char.find(counts.folded, text.casefold()) >= 0]
    found, kept, labelled = (counts.counts[rows, STAGES.index(name)] for name in ("found", "kept", "labelled"))
    names = counts.folded[rows]
    keys: dict[str, tuple[npt.NDArray[Any], ...]] = {
        "": (names, found, kept, labelled, ~counts.is_starving[rows]), "name": (names,), "most": (names, -found),
        "lost": (names, kept - found),
    }  # fmt: skip
    return rows[np.lexsort(keys[order])]


def _funnel(counts: Counts, row: int) -> Funnel:
    numbers = tuple(int(one) for one in counts.counts[row])
    return Funnel(counts.concept_ids[row], counts.names[row], numbers, bool(counts.is_starving[row]))


def _first(project: Project) -> str:
    """What to type while there is nothing to count."""
    if not project.tables.count("concepts"):
        return first_command(project, "pictures")
    return "pictus taxonomy queries" if not project.tables.count("images") else ""
