"""Duplicate pairs as a page shows them: the kept picture, the dropped one, and how much they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import pyarrow.compute as pc

from pictus.project import Project
from pictus.records import Duplicate
from pictus.tables import one_of


class Side(TypedDict):
    """One of the two pictures. `fate`: dropped | restored | kept | unscreened; `rule`: what dropped it."""

    image_id: str
    width: int
    height: int
    fate: str
    rule: str


@dataclass(frozen=True)
class Pair:
    """One member of a duplicate group beside the keeper of its group.

    The keeper is the better of the two; another rule may have dropped it all the same.
    """

    keeper: Side
    other: Side
    evidence_id: str
    relation: str  # pixels | near
    distance: int  # bits, to the evidence
    reason: str


def pairs(project: Project, offset: int, count: int) -> tuple[list[Pair], int]:
    """`count` pairs from `offset` -> (pairs, how many there are). The widest distance first: there the doubt is."""
    rows = project.tables.read("duplicates", where="NOT is_keeper")
    if not rows.num_rows:
        return [], 0
    order = [("distance", "descending"), ("relation", "ascending"), ("image_id", "ascending")]
    chosen = rows.take(pc.sort_indices(rows, order).slice(offset, count))
    found = [Duplicate(**row) for row in chosen.to_pylist()]
    seen = sides(project, {row.image_id for row in found} | {row.group_id for row in found})
    shown = [
        Pair(seen[row.group_id], seen[row.image_id], row.evidence_id, row.relation, row.distance, _reason(row))
        for row in found
    ]
    return shown, rows.num_rows


def _reason(row: Duplicate) -> str:
    """Why the other one is kept, without what stands beside it anyway: the distance, and which one is meant."""
    better = row.reason.partition(", which ")[2]
    return f"the left one {better}" if better and row.evidence_id == row.group_id else row.reason


def sides(project: Project, image_ids: set[str]) -> dict[str, Side]:
    """Size and fate of each picture; 0 × 0 for one that is in no table any more."""
    if not image_ids:
        return {}
    where = one_of("image_id", sorted(image_ids))
    verdicts = project.tables.read("verdicts", ["image_id", "verdict", "rule"], where=where).to_pylist()
    fate = {row["image_id"]: (_fate(row["verdict"], row["rule"]), row["rule"]) for row in verdicts}
    size: dict[str, tuple[int, int]] = {}
    for table, which in (("images", where), ("checks", f"cause = '' AND {where}")):  # the latter are upright
        rows = project.tables.read(table, ["image_id", "width", "height"], where=which).to_pylist()
        size |= {row["image_id"]: (row["width"], row["height"]) for row in rows}
    found: dict[str, Side] = {}
    for image_id in image_ids:
        width, height = size.get(image_id, (0, 0))
        now, rule = fate.get(image_id, ("unscreened", ""))
        found[image_id] = {"image_id": image_id, "width": width, "height": height, "fate": now, "rule": rule}
    return found


def _fate(verdict: str, rule: str) -> str:
    if verdict == "drop":
        return "dropped"
    return "restored" if rule == "restored" else "kept"  # the rule's name in records.Verdict
