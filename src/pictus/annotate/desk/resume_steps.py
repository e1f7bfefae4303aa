"""Letting somebody go on: what they answered counts again, and closes what was only waiting for as many answers.

Where a stopping rule decides, the desk's own rule takes their votes in again. In a transaction that the caller opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pictus.annotate.desk import session_steps
from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.follow_steps import count_heaps, follow
from pictus.annotate.shapes import marks
from pictus.annotate.tasks import ACCEPTED, KINDS, REJECTED, Closed
from pictus.concepts import Taxonomy

PART = 500
"""Questions that are looked at together: databases bound how many values a statement has."""


def let_go_on(connection: sa.Connection, taxonomy: Taxonomy, name: str, at: str) -> int:
    """Let somebody who was paused go on -> how many questions their answers close now."""
    heaps: Counter[tuple[str, str]] = Counter()
    closed: list[tuple[Closed, str]] = []
    answered = session_steps.resume(connection, name, at)
    for start in range(0, len(answered), PART):
        for row in _answered(connection, answered[start : start + PART]):
            kind = KINDS.get(row.kind)
            state = ACCEPTED if kind.accepts in ("", row.answer) else REJECTED
            given = {"state": state, "question": row.question_id}
            told(connection, "UPDATE questions SET state = :state WHERE question_id = :question", given)
            heaps[row.kind, row.concept_id] -= 1
            there = marks.standing(connection, kind, row.concept_id, row.image_id) if kind.loop else (0, 0)
            for drawn in _drawn(connection, row) if kind.draws else (0,):
                about = (row.kind, row.concept_id, row.image_id, row.mark_id)
                closed.append((Closed(*about, state, row.answer, drawn, *there), row.fold))
    count = -heaps.total()
    heaps.update(follow(connection, None, taxonomy, closed))
    count_heaps(connection, heaps)
    return count


def _answered(connection: sa.Connection, questions: Sequence[int]) -> list[Any]:
    """Those of these open questions that have as many answers as are wanted, each with the last that counts."""
    query = (
        "SELECT q.question_id, q.kind, q.concept_id, q.image_id, q.mark_id, q.fold, a.answer, a.page_id, a.revision"
        " FROM questions q JOIN answers a ON a.answer_id = (SELECT MAX(l.answer_id) FROM answers l"
        " WHERE l.question_id = q.question_id AND l.role = 'ask'"
        " AND l.annotator NOT IN (SELECT name FROM annotators WHERE state = 'paused'))"
        " WHERE q.question_id IN :ids AND q.kind IN :kinds AND q.known = '' AND q.votes >= q.wanted"
        " ORDER BY q.question_id"
    )
    kinds = [name for name in KINDS.names() if not KINDS.get(name).votes]
    return list(told(connection, query, {"ids": questions, "kinds": kinds}))


def _drawn(connection: sa.Connection, row: Any) -> list[int]:  # noqa: ANN401  as `_answered` gives it
    """The marks that an answer made, 0 alone where it made none."""
    query = (
        "SELECT mark_id FROM marks WHERE source = :source AND image_id = :image AND concept_id = :concept"
        " AND replaces IN (0, :mark) ORDER BY mark_id"
    )
    source = f"page:{row.page_id}#{row.revision}"
    given = {"source": source, "image": row.image_id, "concept": row.concept_id, "mark": row.mark_id}
    return list(connection.execute(sa.text(query), given).scalars()) or [0]
