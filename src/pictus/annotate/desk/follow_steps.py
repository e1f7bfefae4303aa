"""What should be asked next because of what was closed; and heaps counted. In the desk's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.lease_steps import locked
from pictus.annotate.desk.tally_steps import Tally
from pictus.annotate.queues import hierarchy
from pictus.annotate.stops.stopping import Decision
from pictus.annotate.tasks import ACCEPTED, KINDS, OPEN, PARKED, REJECTED, UNDECIDED, Closed, Wanted
from pictus.concepts import Taxonomy


def follow(
    connection: sa.Connection, tally: Tally | None, taxonomy: Taxonomy, closed: Sequence[tuple[Closed, str]]
) -> Counter[tuple[str, str]]:
    """Put in what follows from questions that were closed, each with its picture's fold -> what heaps gain.

    tally: None where no desk is open; those that are learn of new questions within a second.
    """
    wanted: dict[tuple[str, str, str, int], tuple[Wanted, str]] = {}
    for one, fold in closed:
        for ask in KINDS.get(one.kind).follow(one, taxonomy):
            same = ask.image_id == one.image_id
            wanted.setdefault((ask.kind, ask.concept_id, ask.image_id, ask.mark_id), (ask, fold if same else ""))
    heaps: Counter[tuple[str, str]] = Counter()
    for key in _untimely([ask for ask, _ in wanted.values()]):
        del wanted[key]
    for key in sorted(wanted):
        heaps[key[:2]] += _put_question(connection, tally, *wanted[key])
    for one, _ in sorted(closed):
        if KINDS.get(one.kind).votes:
            heaps.update(_answer_below(connection, taxonomy, one))
    return heaps


def _untimely(wanted: Sequence[Wanted]) -> set[tuple[str, str, str, int]]:
    """Those that come last, where a page that closed several questions on one picture wants something else there yet;
    and all but one of them: a page of eight boxes that are good asks once whether one is missing.
    """
    loops = {ask.kind: KINDS.get(ask.kind).loop or ask.kind for ask in wanted}
    first = {(loops[ask.kind], ask.concept_id, ask.image_id) for ask in wanted if not ask.is_last}
    gone, kept = set(), set()
    for ask in sorted((one for one in wanted if one.is_last), key=lambda one: -one.mark_id):
        where = (loops[ask.kind], ask.concept_id, ask.image_id)
        if where in first or where in kept:
            gone.add((ask.kind, ask.concept_id, ask.image_id, ask.mark_id))
        kept.add(where)
    return gone


def _answer_below(connection: sa.Connection, taxonomy: Taxonomy, closed: Closed) -> Counter[tuple[str, str]]:
    """A no to a group answers all below it on this picture: those are not asked -> what their heaps lose.

    A yes that comes instead, by undo, lets them be asked again.
    """
    below = sorted(hierarchy.moot(closed.concept_id, taxonomy))
    if not below:
        return Counter()
    reason = f"answered by the no to {taxonomy.name(closed.concept_id)}"
    is_no = closed.state == REJECTED
    query = sa.text(
        "UPDATE questions SET state = :after, reason = :new WHERE image_id = :image AND kind = :kind"
        " AND state = :before AND concept_id IN :below AND known = '' AND (:before = 'open' OR reason = :no)"
        " RETURNING concept_id"
    ).bindparams(sa.bindparam("below", expanding=True))
    given = {"image": closed.image_id, "kind": closed.kind, "below": below, "no": reason}
    states = {"before": OPEN, "after": PARKED, "new": reason} if is_no else {"before": PARKED, "after": OPEN, "new": ""}
    found = connection.execute(query, given | states).scalars()
    return Counter({(closed.kind, concept_id): -1 if is_no else 1 for concept_id in found})


def _put_question(connection: sa.Connection, tally: Tally | None, ask: Wanted, fold: str) -> int:
    """Add one question to the queue -> 1, or 0 when it was there. Its priority is its heap's."""
    kind = KINDS.get(ask.kind)
    heap = {"kind": ask.kind, "concept": ask.concept_id}
    query = "SELECT priority FROM heaps WHERE kind = :kind AND concept_id = :concept"
    priority = connection.execute(sa.text(query), heap).scalar()
    found = connection.execute(
        sa.text(
            "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases,"
            " wanted, posterior, score, fold, known) VALUES (:kind, :concept, :image, :mark, 'open', :priority,"
            " :reason, 0, 0, :wanted, 0.5, 0, :fold, '') ON CONFLICT DO NOTHING RETURNING question_id"
        ),
        {**heap, "image": ask.image_id, "mark": ask.mark_id, "priority": 1.0 if priority is None else priority,
         "reason": ask.reason, "wanted": kind.wanted, "fold": fold},
    ).scalar()  # fmt: skip
    if found is None:
        return 0
    if kind.votes and tally is not None:
        tally.expect([(int(found), ask.concept_id, 0.0)])
        connection.execute(
            sa.text("UPDATE questions SET wanted = :wanted WHERE question_id = :id"),
            {"wanted": tally.wanted(int(found)), "id": found},
        )
    if priority is None:
        connection.execute(
            sa.text(
                "INSERT INTO heaps (kind, concept_id, state, priority, reason, waiting)"
                " VALUES (:kind, :concept, 'open', 1, :reason, 0) ON CONFLICT DO NOTHING"
            ),
            {**heap, "reason": ask.reason},
        )
    return 1


def reopen(connection: sa.Connection, loose: Mapping[int, Decision]) -> Counter[tuple[str, str]]:
    """Ask again what was decided by votes that do not count any more -> what heaps gain."""
    heaps: Counter[tuple[str, str]] = Counter()
    for question_id, row in locked(connection, loose).items():
        if row.known or row.state not in (ACCEPTED, REJECTED, UNDECIDED):
            continue
        decision = loose[question_id]
        connection.execute(
            sa.text("UPDATE questions SET state = 'open', posterior = :posterior, wanted = :wanted"
                    " WHERE question_id = :id"),
            {"posterior": decision.posterior, "wanted": row.votes + decision.wanted, "id": question_id},
        )  # fmt: skip
        heaps[row.kind, row.concept_id] += 1
    count_heaps(connection, heaps)
    return heaps


def count_heaps(connection: sa.Connection, heaps: Mapping[tuple[str, str], int]) -> None:
    """The last thing a transaction does, in the order of keys: heaps are what all of them meet at."""
    for (kind, concept_id), change in sorted(heaps.items()):
        if change:
            told(
                connection,
                "UPDATE heaps SET waiting = CASE WHEN waiting + :change < 0 THEN 0 ELSE waiting + :change END"
                " WHERE kind = :kind AND concept_id = :concept",
                {"change": change, "kind": kind, "concept": concept_id},
            )
