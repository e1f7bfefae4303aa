"""The queue's rows in SQL: put in what is wanted, leave alone what people hold, sum up the heaps.

Everything is written in batches of one transaction each: a desk that works on the same database waits for one batch
at most, and a plan that is killed has put in whole batches that the next plan finds there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from pictus.journal import Journal

SCHEMA = pa.schema([
    ("concept_id", pa.string()), ("image_id", pa.string()), ("mark_id", pa.int64()), ("priority", pa.float64()),
    ("reason", pa.string()), ("wanted", pa.int32()), ("posterior", pa.float64()), ("score", pa.float64()),
    ("fold", pa.string()),
])  # fmt: skip
"""Questions to be put in, all of one kind."""

BATCH = 10_000
"""Rows of one transaction: half a second, the longest that a desk waits."""

GONE = "its picture was dropped"
"""The reason of a question that was parked by a plan; the next plan opens it again where the picture is back."""

PAGE = 48
"""A heap's priority is the mean of the best page of its questions."""

_COLUMNS = (
    "kind", "concept_id", "image_id", "mark_id", "state", "priority", "reason", "votes", "leases", "wanted",
    "posterior", "score", "fold", "known",
)  # fmt: skip

# Only open questions are touched, and only where something changed; a fold only while nobody holds the question.
_MERGE = f"""
    ON CONFLICT (kind, concept_id, image_id, mark_id) DO UPDATE SET priority = excluded.priority,
        reason = excluded.reason, score = excluded.score, state = 'open',
        fold = CASE WHEN questions.leases > 0 THEN questions.fold ELSE excluded.fold END
    WHERE (questions.state = 'parked' AND questions.reason = '{GONE}')
       OR (questions.state = 'open' AND (questions.priority <> excluded.priority OR questions.reason <> excluded.reason
           OR questions.score <> excluded.score OR (questions.leases = 0 AND questions.fold <> excluded.fold)))
"""


class Stored(NamedTuple):
    """What a plan did to the queue."""

    added: int
    changed: int


class Heap(NamedTuple):
    """One heap as it stands after a plan."""

    concept_id: str
    waiting: int
    priority: float


def put(journal: Journal, kind: str, rows: pa.Table, advance: Callable[[int], None]) -> Stored:
    """Add the questions that are not there, adjust those that are open. Columns of SCHEMA; any number of rows."""
    before, touched = count(journal, kind), 0
    insert = _by_copy if journal.engine.dialect.name == "postgresql" else _by_rows
    for batch in rows.select(SCHEMA.names).to_batches(max_chunksize=BATCH):
        with journal.transaction() as connection:
            touched += insert(connection, kind, batch)
        advance(batch.num_rows)
    added = count(journal, kind) - before
    return Stored(added, max(0, touched - added))


def _values(kind: str, batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
    for concept_id, image_id, mark_id, priority, reason, wanted, posterior, score, fold in zip(*columns, strict=True):
        yield kind, concept_id, image_id, mark_id, "open", priority, reason, 0, 0, wanted, posterior, score, fold, ""


def _by_rows(connection: sa.Connection, kind: str, batch: pa.RecordBatch) -> int:
    marks = ", ".join("?" * len(_COLUMNS))
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(
            f"INSERT INTO questions ({', '.join(_COLUMNS)}) VALUES ({marks}) {_MERGE}",  # noqa: S608  our names
            _values(kind, batch),
        )
        return int(cursor.rowcount)
    finally:
        cursor.close()


def _by_copy(connection: sa.Connection, kind: str, batch: pa.RecordBatch) -> int:
    """COPY into a table of this transaction, then merge: several times as fast as rows."""
    columns = ", ".join(_COLUMNS)
    raw: Any = connection.connection.cursor()
    try:
        raw.execute(
            f"CREATE TEMPORARY TABLE planned ON COMMIT DROP AS SELECT {columns} FROM questions LIMIT 0"  # noqa: S608
        )
        with raw.copy(f"COPY planned ({columns}) FROM STDIN") as copy:
            for row in _values(kind, batch):
                copy.write_row(row)
        raw.execute(
            # In one order everywhere: two plans at once must not wait for each other in a circle.
            f"INSERT INTO questions ({columns}) SELECT {columns} FROM planned"  # noqa: S608
            f" ORDER BY concept_id, image_id, mark_id {_MERGE}"
        )
        return int(raw.rowcount)
    finally:
        raw.close()


def count(journal: Journal, kind: str) -> int:
    """Questions of a kind, whatever their state."""
    with journal.engine.connect() as connection:  # not a transaction: SQLite's would wait for the desk's
        query = sa.text("SELECT count(*) FROM questions WHERE kind = :kind")
        return int(connection.execute(query, {"kind": kind}).scalar_one())


def reopen(journal: Journal, kind: str, rows: Sequence[tuple[str, str, float, str]], mark: str) -> int:
    """Ask closed questions again: (concept_id, image_id, priority, reason).

    Once for each `mark`, a word of the reason: what was asked again for it and closed since stays closed. Known
    answers are never reopened.
    """
    statement = sa.text(
        "UPDATE questions SET state = 'open', priority = :priority, reason = :reason, wanted = 1"
        " WHERE kind = :kind AND concept_id = :concept_id AND image_id = :image_id AND mark_id = 0 AND known = ''"
        " AND state IN ('accepted', 'rejected', 'undecided') AND reason NOT LIKE :mark"
    )
    opened = 0
    for start in range(0, len(rows), BATCH):
        with journal.transaction() as connection:
            for concept_id, image_id, priority, reason in rows[start : start + BATCH]:
                values = {"concept_id": concept_id, "image_id": image_id, "priority": priority, "reason": reason}
                opened += connection.execute(statement, {**values, "kind": kind, "mark": f"%{mark}%"}).rowcount
    return opened


def park(journal: Journal, kind: str, is_gone: Callable[[Sequence[str]], Sequence[bool]]) -> int:
    """Park the open questions whose picture is gone, unless somebody holds them or has answered them."""
    query = sa.text(
        "SELECT question_id, image_id FROM questions WHERE kind = :kind AND state = 'open' AND leases = 0"
        " AND question_id > :after ORDER BY question_id LIMIT :many"
    )
    update = sa.text(
        "UPDATE questions SET state = 'parked', reason = :gone WHERE question_id = :question_id AND state = 'open'"
        " AND leases = 0"
    )
    after, parked, many = 0, 0, 100_000
    while True:
        with journal.transaction() as connection:
            found = connection.execute(query, {"kind": kind, "after": after, "many": many}).all()
            if not found:
                return parked
            gone = [
                {"question_id": row.question_id, "gone": GONE}
                for row, is_one in zip(found, is_gone([row.image_id for row in found]), strict=True) if is_one
            ]  # fmt: skip
            if gone:
                connection.execute(update, gone)
        parked += len(gone)
        after = int(found[-1].question_id)


def sum_up(journal: Journal, kind: str, reasons: Mapping[str, str]) -> list[Heap]:
    """Bring the heaps of one kind up to date, the highest first. A heap's state is the desk's and stays."""
    best = sa.text(
        "SELECT concept_id, count(*) AS waiting, avg(CASE WHEN place <= :page THEN priority END) AS priority FROM"
        " (SELECT concept_id, priority, row_number() OVER (PARTITION BY concept_id ORDER BY priority DESC, question_id)"
        " AS place FROM questions WHERE kind = :kind AND state = 'open') AS ranked GROUP BY concept_id"
    )
    merge = sa.text(
        "INSERT INTO heaps (kind, concept_id, state, priority, reason, waiting)"
        " VALUES (:kind, :concept_id, 'open', :priority, :reason, :waiting)"
        " ON CONFLICT (kind, concept_id) DO UPDATE SET priority = excluded.priority, waiting = excluded.waiting,"
        " reason = CASE WHEN excluded.reason = '' THEN heaps.reason ELSE excluded.reason END"
    )
    with journal.engine.connect() as connection:  # two seconds at a million: not while others wait to write
        rows = connection.execute(best, {"kind": kind, "page": PAGE}).all()
    with journal.transaction() as connection:
        heaps = [Heap(row.concept_id, int(row.waiting), round(float(row.priority), 6)) for row in rows]
        there = {heap.concept_id for heap in heaps}
        known = connection.execute(sa.text("SELECT concept_id FROM heaps WHERE kind = :kind"), {"kind": kind})
        done = [Heap(concept_id, 0, 0.0) for concept_id in known.scalars().all() if concept_id not in there]
        values = [
            {"kind": kind, "concept_id": heap.concept_id, "priority": heap.priority, "waiting": heap.waiting,
             "reason": reasons.get(heap.concept_id, "")}
            for heap in (*heaps, *done)
        ]  # fmt: skip
        if values:
            connection.execute(merge, values)
    return sorted(heaps, key=lambda heap: (-heap.priority, heap.concept_id))
