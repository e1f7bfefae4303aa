"""How far each class is: from queries asked over candidates, pictures and kept ones to labels; and which starve.

All counting is Arrow's, no loop goes over rows: 21,841 classes and a million rows take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus.collect.causes import GOOD
from pictus.collect.searches import DONE
from pictus.records import Coverage

FEWEST = 20
"""Without a number of one's own, a class with fewer than this always starves."""

Basis = Literal["kept", "fetched", "candidates"]


class Rows(NamedTuple):
    """What the other stages say, only the columns that count."""

    searches: pa.Table  # concept_id, cause
    candidates: pa.Table  # address, concept_id
    sources: pa.Table  # image_id, concept_id
    fetches: pa.Table  # address, concept_id, cause, in the order of the attempts
    verdicts: pa.Table  # image_id, verdict
    labels: pa.Table  # image_id, concept_id, status


class Report(NamedTuple):
    """Starving classes first, the emptiest first. A class starves with fewer than `wanted` on the stage `basis`."""

    classes: list[Coverage]
    basis: Basis
    wanted: int
    unasked: Mapping[str, int]  # class -> its candidates that no fetch has asked for yet
    totals: Mapping[str, int]  # each picture and each address once, of however many classes it is
    unclaimed: int  # pictures of no class


def coverage_of(names: Mapping[str, str], rows: Rows, wanted: int, exempt: frozenset[str]) -> Report:
    """One row per class. `names`: class -> name. A picture is of the classes that it claims and of its label's.

    Once anything was screened, only labels of kept pictures count: no stage has more than the one before it.

    Starving is judged on the furthest stage that anything has reached; a `wanted` of 0 stands for half the median
    of the classes that have any. `exempt` classes are left out of the search: they starve only if they have some.
    """
    labelled = rows.labels.filter(pc.equal(rows.labels["status"], "accepted")).select(["image_id", "concept_id"])
    pairs = pa.concat_tables([rows.sources, labelled]).group_by(["image_id", "concept_id"]).aggregate([])
    judged = pairs.join(rows.verdicts, "image_id", join_type="inner")
    kept = judged.filter(pc.equal(judged["verdict"], "keep"))
    if rows.verdicts.num_rows:
        labelled = labelled.filter(pc.is_in(labelled["image_id"], kept["image_id"].combine_chunks()))
    stages = {
        "queries": rows.searches.filter(pc.is_in(rows.searches["cause"], pa.array(list(DONE)))),
        "candidates": rows.candidates,
        "fetched": pairs,
        "failed": _last_failures(rows.fetches),
        "kept": kept,
        "dropped": judged.filter(pc.equal(judged["verdict"], "drop")),
        "labelled": labelled,
    }
    counts = {stage: _count(of) for stage, of in stages.items()}
    basis: Basis = "kept" if rows.verdicts.num_rows else "fetched" if rows.sources.num_rows else "candidates"
    present = [counts[basis][concept_id] for concept_id in names if counts[basis].get(concept_id)]
    least = wanted or max(FEWEST, round(median(present) / 2) if present else 0)
    found = []
    for concept_id, name in names.items():
        row = {column: of.get(concept_id, 0) for column, of in counts.items()}
        is_starving = row[basis] < least and not (concept_id in exempt and not row["candidates"] + row["fetched"])
        found.append(Coverage(concept_id, name, **row, is_starving=is_starving))
    found.sort(key=lambda one: (not one.is_starving, getattr(one, basis), one.candidates, one.concept_id))
    unasked = rows.candidates.filter(pc.invert(pc.is_in(rows.candidates["address"], rows.fetches["address"])))
    classes = pa.array(list(names), pa.string())
    own = {stage: of.filter(pc.is_in(of["concept_id"], classes)) for stage, of in stages.items()}
    totals = {stage: _different(of) for stage, of in own.items()}
    unclaimed = pc.count_distinct(pairs["image_id"]).as_py() - totals["fetched"]
    return Report(found, basis, least, _count(unasked), totals, unclaimed)


class Means(NamedTuple):
    """What there is to feed a class with. `asked`: engines that were asked."""

    planned: Mapping[str, int]  # queries of each class
    unasked: Mapping[str, int]  # candidates of each class that no fetch has asked for yet
    engines: Sequence[str]
    asked: Sequence[str]
    has_languages: bool
    limit: int  # candidates of a class that one engine is asked for


class Help(NamedTuple):
    """A command that feeds a class. `concept_id`: "" where it feeds all classes at once."""

    command: str
    concept_id: str = ""
    says_who: bool = False  # it asks others, who want to know whom to write to

    @property
    def typed(self) -> str:
        """As it is typed for this class."""
        return f"{self.command} --concept {self.concept_id}" if self.concept_id else self.command


def help_for(one: Coverage, means: Means) -> Help:
    """What would feed a starving class; the nearest thing first."""
    planned = means.planned.get(one.concept_id, 0)
    fresh = [name for name in means.engines if name not in means.asked]
    of, asked = one.concept_id, " ".join(means.asked)
    is_full = one.candidates >= means.limit * len(means.asked)
    ways = (
        (means.unasked.get(of, 0) > 0, Help("pictus collect fetch", says_who=True)),
        (not means.planned, Help("pictus taxonomy queries")),
        (not planned, Help(f"pictus taxonomy queries --include {of}")),
        (one.queries < planned * len(means.asked) and not is_full, Help(f"pictus collect find {asked}", of, True)),
        (bool(fresh), Help(f"pictus collect find {' '.join(fresh[:1])}", of, True)),
        (is_full, Help(f"pictus collect find {asked} --limit {means.limit * 10}", of, True)),
        (not means.has_languages, Help("pictus taxonomy queries --languages FILE")),
    )
    return next((help_ for holds, help_ in ways if holds), Help("pictus collect find ADDRESS", of, True))


def _different(rows: pa.Table) -> int:
    """Different pictures or addresses; of queries, all."""
    name = next((name for name in ("image_id", "address") if name in rows.column_names), "")
    return int(pc.count_distinct(rows[name]).as_py()) if name else rows.num_rows


def _count(rows: pa.Table) -> dict[str, int]:
    """concept_id -> rows."""
    counted = rows.group_by("concept_id").aggregate([([], "count_all")])
    return dict(zip(counted["concept_id"].to_pylist(), counted["count_all"].to_pylist(), strict=True))


def _last_failures(fetches: pa.Table) -> pa.Table:
    """The latest attempt of each address, where that failed."""
    numbered = fetches.append_column("row", pa.array(np.arange(fetches.num_rows)))
    last = numbered.group_by("address").aggregate([("row", "max")])["row_max"]
    latest = fetches.take(last)
    return latest.filter(pc.invert(pc.is_in(latest["cause"], pa.array(sorted(GOOD)))))
