"""Example pictures that an owner chose: the desk shows them with their concept from its first page on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from pictus.annotate.queues import queue_rows
from pictus.annotate.review.review_steps import pictures_meant
from pictus.clock import now
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.tables import one_of

MOST = 16
"""Of one concept. A page shows five; the others stand in for those that the page itself asks about."""

GRID = "grid"
SHOWN = "shown as an example"
"""Reason of a yes/no question that is parked for that; no plan opens it again."""
_ADDED = -1.0
"""Priority of a question put in to be parked, so that no plan adds it: it goes with the example."""


@dataclass(frozen=True, slots=True)
class Example:
    """One picture that was chosen to show a concept."""

    concept_id: str
    name: str
    image_id: str
    chosen_at: str
    hidden: str  # "", or why pages leave it out all the same


@step("annotate examples", changes=True, shows_records=True)
def examples(
    project: Project, concept: str = "", images: tuple[str, ...] = (), *, remove: bool = False
) -> Outcome[Example]:  # fmt: skip
    """Choose pictures that show what is meant by a concept; without pictures, list those that were chosen.

    Annotators see them beside the name and the gloss before anything is settled; after them come settled pictures. A
    chosen example is no vote and no ruling: it is not asked about any more, so say with `annotate rule` what it is.
    Known answers cannot be examples: whoever saw one would know it.

    concept: what they show, by id or name; all concepts for a list
    images: image_ids, their first digits, addresses, or the ends of addresses
    remove: these are examples no longer, and may be asked about again

    Examples:
        pictus annotate examples owl 3f2a91 owl/7.jpg
        pictus annotate examples owl 3f2a91 --remove
        pictus annotate examples
    """
    taxonomy = load_taxonomy(project)
    concept_id = taxonomy.resolve(concept) if concept else ""
    image_ids = pictures_meant(project, images) if images else []
    if remove and not image_ids:
        fix = f"pictus annotate examples {concept or 'CONCEPT'} IMAGE --remove"
        raise UserError("Which examples are to go?", fix=fix)
    changed = 0
    if image_ids and remove:
        changed = _remove(project, concept_id, image_ids)
    elif image_ids:
        _check(project, concept_id, image_ids)
        changed = _add(project, concept_id, image_ids)
    found = [one for one in _listed(project, taxonomy) if concept_id in ("", one.concept_id)]
    about = taxonomy.name(concept_id) if concept_id else counted(len({one.concept_id for one in found}), "concept")
    did = f" ({changed:,} {'removed' if remove else 'new'})" if image_ids else ""
    hidden = [f"{one.image_id[:12]} of {one.name} is not shown: {one.hidden}" for one in found if one.hidden]
    typed = " ".join(one[:12] for one in image_ids[:3]) + (" …" if len(image_ids) > 3 else "")  # noqa: PLR2004  a line
    named = shlex.quote(taxonomy.name(concept_id)) if concept_id else ""
    meant = named if concept_id and taxonomy.find(taxonomy.name(concept_id)) == (concept_id,) else concept_id
    return Outcome(
        "annotate examples", {"concept_id": concept_id, "examples": len(found), "changed": changed},
        f"{counted(len(found), 'example')} of {about}{did}", tuple(hidden[:20]),
        (f"pictus annotate rule {typed} --concept {meant} --reason example",) if changed and not remove else (),
        lambda: iter(found),
    )  # fmt: skip


def chosen_examples(connection: sa.Connection) -> dict[str, list[str]]:
    """Concept -> its examples in the order in which they were chosen."""
    found: dict[str, list[str]] = {}
    for row in connection.execute(sa.text("SELECT concept_id, image_id FROM examples ORDER BY example_id")):
        found.setdefault(row.concept_id, []).append(row.image_id)
    return found


def _check(project: Project, concept_id: str, image_ids: Sequence[str]) -> None:
    """UserError for pictures that must not be shown, all of them at once, and for too many."""
    hidden = _hidden(project, image_ids)
    if hidden:
        bad = [f"{one[:12]} {hidden[one]}" for one in image_ids if one in hidden]
        raise bad_rows("examples", bad, fix="choose other pictures; nothing was changed")
    with project.journal.reading() as connection:
        have = chosen_examples(connection).get(concept_id, [])
    if len(total := {*have, *image_ids}) > MOST:
        raise UserError(
            f"{counted(len(total), 'example')} are more than {MOST} of one concept; a page shows five.",
            fix=f"pictus annotate examples {concept_id} IMAGE --remove",
        )


def _hidden(project: Project, image_ids: Sequence[str]) -> dict[str, str]:
    """Which of these pictures pages leave out, and why."""
    where = f"verdict = 'drop' AND {one_of('image_id', image_ids)}"
    dropped = project.tables.read("verdicts", ["image_id"], where=where).column("image_id").to_pylist()
    query = sa.text("SELECT DISTINCT image_id FROM questions WHERE known <> '' AND image_id IN :images")
    with project.journal.reading() as connection:
        known = connection.execute(
            query.bindparams(sa.bindparam("images", expanding=True)), {"images": list(image_ids) or [""]}
        ).scalars()
        found = dict.fromkeys(known, "is a known answer: who saw it as an example would know it")
    return found | dict.fromkeys(dropped, "was dropped from the project")


def _listed(project: Project, taxonomy: Taxonomy) -> list[Example]:
    query = sa.text("SELECT concept_id, image_id, chosen_at FROM examples ORDER BY concept_id, example_id")
    with project.journal.reading() as connection:
        rows = connection.execute(query).all()
    hidden: Mapping[str, str] = _hidden(project, [row.image_id for row in rows]) if rows else {}
    return [
        Example(
            row.concept_id, taxonomy.name(row.concept_id) if row.concept_id in taxonomy else row.concept_id,
            row.image_id, row.chosen_at, hidden.get(row.image_id, ""),
        )
        for row in rows
    ]  # fmt: skip


def _add(project: Project, concept_id: str, image_ids: Sequence[str]) -> int:
    """Write the examples down and park their questions -> how many are new."""
    add = sa.text(
        "INSERT INTO examples (concept_id, image_id, chosen_at) VALUES (:concept, :image, :at) ON CONFLICT DO NOTHING"
    )
    park = sa.text(
        "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases, wanted,"
        " posterior, score, fold, known) VALUES (:kind, :concept, :image, 0, 'parked', :added, :reason, 0, 0, 1, 0.5,"
        " 0, '', '') ON CONFLICT (kind, concept_id, image_id, mark_id) DO UPDATE SET state = 'parked',"
        " reason = excluded.reason WHERE questions.known = '' AND (questions.state = 'open'"
        " OR (questions.state = 'parked' AND questions.reason IN (:gone, :answered)))"
    )
    at, new = now(), []
    shared = {"kind": GRID, "concept": concept_id, "at": at, "added": _ADDED, "reason": SHOWN}
    shared |= {"gone": queue_rows.GONE, "answered": queue_rows.ANSWERED}
    for image_id in image_ids:  # one question in a transaction: a desk and a plan lock several in their order
        with project.journal.transaction() as connection:
            values = shared | {"image": image_id}
            new += [image_id] * connection.execute(add, values).rowcount
            connection.execute(park, values)
    if new:
        queue_rows.sum_up(project.journal, GRID, {})
        project.journal.log("annotate", "examples_chosen", concept_id, images=new)
    return len(new)


def _remove(project: Project, concept_id: str, image_ids: Sequence[str]) -> int:
    """Take examples away again and ask what was parked for them -> how many there were; UserError for what is none."""
    with project.journal.reading() as connection:
        have = set(chosen_examples(connection).get(concept_id, []))
    if bad := [f"{one[:12]} is no example of {concept_id}" for one in image_ids if one not in have]:
        raise bad_rows("examples", bad, fix=f"pictus annotate examples {concept_id}    lists them")
    which = " WHERE kind = :kind AND concept_id = :concept AND image_id = :image AND mark_id = 0 AND state = 'parked'"
    which += " AND reason = :reason AND known = ''"
    shared = {"kind": GRID, "concept": concept_id, "added": _ADDED, "reason": SHOWN, "again": "was an example"}
    for image_id in image_ids:
        with project.journal.transaction() as connection:
            values = shared | {"image": image_id}
            connection.execute(
                sa.text("DELETE FROM examples WHERE concept_id = :concept AND image_id = :image"), values
            )
            connection.execute(sa.text(f"DELETE FROM questions{which} AND priority = :added"), values)  # noqa: S608  ours
            connection.execute(sa.text(f"UPDATE questions SET state = 'open', reason = :again{which}"), values)  # noqa: S608
    queue_rows.sum_up(project.journal, GRID, {})
    project.journal.log("annotate", "examples_removed", concept_id, images=list(image_ids))
    return len(image_ids)
