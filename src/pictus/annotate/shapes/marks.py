"""Shapes that were drawn, as the desk needs them: what stands on a picture, and how far its loop is.

Reads the tables `marks` and `questions` in a transaction that the caller opened; writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.tasks import ACCEPTED, KINDS, OPEN, REJECTED, Kind

PROPOSERS = ("model:", "source:")
"""Annotators whose name begins so are no persons: "model:<run>", "source:<file>". What they drew is a proposal."""

WITHDRAWN = "withdrawn"
"""The kind of a row that draws nothing: what it `replaces` was left out of a newer version of its file."""

# Not "NOT EXISTS": before its first ANALYZE PostgreSQL joins whole tables for it.
STANDS = (
    " AND (SELECT 1 FROM marks w WHERE w.replaces = m.mark_id AND w.replaces > 0 AND w.kind = 'withdrawn' LIMIT 1)"
    " IS NULL AND (SELECT 1 FROM pages p WHERE m.source LIKE 'page:%' AND p.page_id = substr(m.source, 6, 22)"
    " AND m.source <> 'page:' || p.page_id || '#' || p.revision LIMIT 1) IS NULL"
)
"""Of marks m those that were not taken back: by handing their page in again, or by a newer version of their file. A box
that was found bad and drawn again stands, as a rejected one."""


class Standing(NamedTuple):
    """How far the loop of one concept on one picture is: what `Closed` carries to `Kind.follow`."""

    others: int  # questions of the loop's kinds that are open
    rounds: int  # marks there are, without those taken back


def loop_of(kind: Kind) -> tuple[str, ...]:
    """The names of the kinds that follow each other with this one, itself included."""
    if not kind.loop:
        return (kind.name,)
    return tuple(name for name in KINDS.names() if KINDS.get(name).loop == kind.loop)


def standing(connection: sa.Connection, kind: Kind, concept_id: str, image_id: str) -> Standing:
    """Ask after the question that closes has got its new state, and before what follows from it is put in."""
    kinds = loop_of(kind)
    found = sa.text(
        "SELECT COUNT(*) FROM questions WHERE image_id = :image AND concept_id = :concept AND state = :state"
        " AND kind IN :kinds"
    ).bindparams(sa.bindparam("kinds", expanding=True))
    which = {"image": image_id, "concept": concept_id}
    others = connection.execute(found, {**which, "state": OPEN, "kinds": kinds}).scalar_one()
    drawn = sa.text(
        "SELECT COUNT(*) FROM marks m WHERE m.image_id = :image AND m.concept_id = :concept AND m.kind IN :kinds"  # noqa: S608  ours
        + STANDS
    ).bindparams(sa.bindparam("kinds", expanding=True))
    rounds = connection.execute(drawn, {**which, "kinds": kinds}).scalar_one()
    return Standing(int(others), int(rounds))


def rejected(connection: sa.Connection, kind: Kind, mark_ids: Sequence[int]) -> frozenset[int]:
    """Those of these marks that were found bad by a kind in `Kind.shows`: what is drawn about one replaces it.

    A shape drawn about any other mark stands beside it: one more box, the mask within a box.
    """
    judges = [name for name in kind.shows if name != "mark"]
    asked = sorted({mark for mark in mark_ids if mark})
    if not judges or not asked:
        return frozenset()
    query = sa.text(
        "SELECT mark_id FROM questions WHERE mark_id IN :marks AND kind IN :kinds AND state = :state"
    ).bindparams(sa.bindparam("marks", expanding=True), sa.bindparam("kinds", expanding=True))
    found = connection.execute(query, {"marks": asked, "kinds": judges, "state": REJECTED})
    return frozenset(int(mark) for mark in found.scalars())


def shown(
    connection: sa.Connection, kind: Kind, concept_id: str, asked: Sequence[tuple[str, int]]
) -> list[tuple[Mapping[str, Any], ...]]:
    """The shapes that stand on each picture of a page, by `Kind.shows`. asked: (image_id, mark_id) of each item.

    One mapping each: {"mark_id", "kind", "shape", "by", "state"}; by: person | proposal (names stay with the desk),
    state: accepted | rejected | open. The mark asked about comes first, then the others as they were drawn.
    """
    if not kind.shows or not asked:
        return [() for _ in asked]
    which = {"images": sorted({image for image, _ in asked}), "concept": concept_id}
    rows = connection.execute(
        sa.text(
            "SELECT m.mark_id, m.kind, m.image_id, m.annotator, m.shape FROM marks m"  # noqa: S608  ours
            f" WHERE m.image_id IN :images AND m.concept_id = :concept{STANDS} ORDER BY m.mark_id"
        ).bindparams(sa.bindparam("images", expanding=True)), which,
    ).all()  # fmt: skip
    judged = connection.execute(
        sa.text(
            "SELECT kind, mark_id, state FROM questions"
            " WHERE image_id IN :images AND concept_id = :concept AND mark_id > 0"
        ).bindparams(sa.bindparam("images", expanding=True)), which,
    ).all()  # fmt: skip
    states = {(row.kind, int(row.mark_id)): str(row.state) for row in judged}
    by_image: dict[str, list[tuple[int, dict[str, Any], bool]]] = {}
    judges = [name for name in kind.shows if name != "mark"]
    for row in rows:
        number = int(row.mark_id)
        state = next((states[judge, number] for judge in judges if (judge, number) in states), OPEN)
        by = "proposal" if str(row.annotator).startswith(PROPOSERS) else "person"
        mark = {"mark_id": number, "kind": row.kind, "shape": json.loads(row.shape), "by": by, "state": state}
        is_accepted = any(states.get((name, number)) == ACCEPTED for name in kind.shows)
        by_image.setdefault(row.image_id, []).append((number, mark, is_accepted))
    shapes: list[tuple[Mapping[str, Any], ...]] = []
    for image, about in asked:
        there = by_image.get(image, [])
        first = [mark for number, mark, _ in there if number == about and "mark" in kind.shows]
        is_first = about if first else 0  # where it is not shown for itself, it is one of the accepted
        shapes.append((*first, *(mark for number, mark, accepted in there if accepted and number != is_first)))
    return shapes
