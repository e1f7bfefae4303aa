"""`annotate skeleton`: which points are marked on things of a concept, chosen once for all who draw."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pictus.annotate.shapes.skeletons import SKELETONS, Skeleton, skeleton_of
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step

SHOWN = 5
CHOSEN = "skeleton_chosen"
"""The event that says which; the latest one about a concept holds, so every choice can be taken back."""


@dataclass(frozen=True, slots=True)
class Named:
    """One skeleton. `concepts`: those it was chosen for."""

    name: str
    points: tuple[str, ...]
    concepts: tuple[str, ...]


@step("annotate skeleton", changes=True)
def skeleton(project: Project, name: str = "", *, concept: tuple[str, ...] = ()) -> Outcome[Named]:
    """Choose the points that are marked on things of a concept; without a name, show what there is and what is chosen.

    Annotators then cannot pick another. What was drawn with another skeleton stays as it is.

    name: one of the list, or names of points with commas between; `any` lets annotators choose again
    concept: for these, by id or name

    Examples:
        pictus annotate skeleton
        pictus annotate skeleton animal-17 --concept dog --concept wolf
        pictus annotate skeleton "beak,left eye,right eye,tail" --concept owl
    """
    if name:
        _choose(project, name, concept)
    elif concept:
        raise UserError("Which skeleton is meant?", fix=f"pictus annotate skeleton NAME --concept {concept[0]}")
    chosen = _chosen(project)
    known, broken = SKELETONS.usable()
    every = known | {one: skeleton_of(one) for one in sorted(set(chosen.values()) - known.keys()) if "," in one}
    rows = [
        Named(one.name, one.points, tuple(sorted(which for which, its in chosen.items() if its == one.name)))
        for one in every.values()
    ]  # fmt: skip
    return Outcome(
        step="annotate skeleton", summary={"skeletons": len(rows), "chosen": chosen},
        headline=f"{counted(len(rows), 'skeleton')}, chosen for {counted(len(chosen), 'concept')}", problems=broken,
        next=("pictus annotate plan --kind points",) if name else (), source=lambda: iter(rows),
    )  # fmt: skip


def offered(project: Project, concept_id: str) -> dict[str, Any]:
    """For the pages: every skeleton, the one for this concept ("" for none yet), and whether people may pick another.

    Where none was chosen it is that of the latest points; those of a file that names its points by itself are taken
    by these names, and one that nobody knows is passed over.
    """
    known = dict(SKELETONS.usable()[0])
    chosen = _chosen(project).get(concept_id, "")
    name = chosen or _latest(project, concept_id, known)
    if name and name not in known:
        known[name] = skeleton_of(name)
    return {
        "chosen": name, "is_fixed": bool(chosen),
        "skeletons": [
            {"name": called, "points": list(one.points), "lines": [list(line) for line in one.lines]}
            for called, one in known.items()
        ],
    }  # fmt: skip


def unchosen(project: Project, taxonomy: Taxonomy, concept_ids: Sequence[str]) -> tuple[str, ...]:
    """What the owner is told where people would have to choose the points themselves; () where all are known."""
    chosen, known = _chosen(project), SKELETONS.usable()[0]
    names = [taxonomy.name(one) for one in concept_ids if one not in chosen and not _latest(project, one, known)]
    if not names:
        return ()
    some = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    lacking = f"no skeleton is chosen for {counted(len(names), 'concept')} ({some}), so each annotator picks one"
    return (f"{lacking}: pictus annotate skeleton NAME --concept {shlex.quote(names[0])}",)


def _choose(project: Project, name: str, concepts: tuple[str, ...]) -> None:
    if not concepts:
        raise UserError("For which concept?", fix=f"pictus annotate skeleton {json.dumps(name)} --concept NAME")
    taxonomy = load_taxonomy(project)
    ids = [taxonomy.resolve(one) for one in concepts]
    found = "" if name == "any" else skeleton_of(name).name
    for concept_id in dict.fromkeys(ids):
        project.journal.log("annotate", CHOSEN, concept_id, skeleton=found)


def _chosen(project: Project) -> dict[str, str]:
    """concept_id -> name."""
    query = sa.text("SELECT subject, data FROM events WHERE event = :event ORDER BY event_id")
    with project.journal.reading() as connection:
        rows = connection.execute(query, {"event": CHOSEN}).all()
    latest = {row.subject: str(json.loads(row.data)["skeleton"]) for row in rows}
    return {concept_id: name for concept_id, name in latest.items() if name}


def _latest(project: Project, concept_id: str, known: Mapping[str, Skeleton]) -> str:
    query = sa.text(
        "SELECT shape FROM marks WHERE kind = 'points' AND concept_id = :concept ORDER BY mark_id DESC LIMIT 1"
    )
    with project.journal.reading() as connection:
        found = connection.execute(query, {"concept": concept_id}).scalar()
    shape = json.loads(found) if found else {}
    for name in (str(shape.get("skeleton", "")), ",".join(map(str, shape.get("names", ())))):
        if name in known:
            return name
        with suppress(UserError):  # names that are none for us
            if "," in name:
                return skeleton_of(name).name
    return ""
