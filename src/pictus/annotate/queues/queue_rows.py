"""The queue's rows in SQL: put in what is wanted, leave alone what people hold, sum up the heaps.

Everything is written in batches of one transaction each, small ones while somebody holds a page: a desk that works on
the same database waits for one batch at most, and a plan that is killed has put in whole batches that the next plan
finds there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from pictus.annotate.tasks import ACCEPTED, REJECTED
from pictus.clock import now
from pictus.journal import Journal

SCHEMA = pa.schema([
    ("concept_id", pa.string()), ("image_id", pa.string()), ("mark_id", pa.int64()), ("priority", pa.float64()),
    ("reason", pa.string()), ("wanted", pa.int32()), ("posterior", pa.float64()), ("score", pa.float64()),
    ("fold", pa.string()),
])  # fmt: skip
"""Questions to be put in, all of one kind."""

BATCH = 3_000
"""Rows of one transaction while pages are out: a tenth of a second, the longest that a desk waits."""
LARGE = 200_000
"""And while none is: SQLite writes most of the index by picture anew with every transaction."""
CACHE_KB = 131_072
"""SQLite's cache during one, so that this index stays in it; 2 MB else."""

GONE = "its picture was dropped"
ANSWERED = "settled or ruled on elsewhere"
"""Reasons of a question that was parked by a plan; the next plan opens it again where they no longer hold."""

TWIN = "a near-duplicate of it is a known answer"
"""Reason of a question that a plan parked for that; no plan opens it again."""

TAKEN_OUT = "taken out of the queue"
TAKEN_OUT_WHOLE = "taken out of the queue with all of its kind"
"""Reasons of a question that its owner took out: a plan that names its concept puts the first back, any of its kind the
second (`put_back`)."""

CHUNK = 500
"""Heaps, or questions found one by one, of one transaction."""

PAGE = 48
"""A heap's priority is the mean of the best page of its questions."""

_COLUMNS = (
    "kind", "concept_id", "image_id", "mark_id", "state", "priority", "reason", "votes", "leases", "wanted",
    "posterior", "score", "fold", "known",
)  # fmt: skip

# Only open questions are touched, and only where something changed; a fold only while nobody holds the question.
_SET = """priority = {new}.priority, reason = {new}.reason, score = {new}.score, state = 'open',
    fold = CASE WHEN questions.leases > 0 THEN questions.fold ELSE {new}.fold END"""
_WHERE = f"""(questions.state = 'parked' AND questions.reason IN ('{GONE}', '{ANSWERED}'))
    OR (questions.state = 'open' AND (questions.priority <> {{new}}.priority OR questions.reason <> {{new}}.reason
        OR questions.score <> {{new}}.score OR (questions.leases = 0 AND questions.fold <> {{new}}.fold)))"""


class Stored(NamedTuple):
    """What a plan did to the queue."""

    added: int
    changed: int


class Heap(NamedTuple):
    """One heap as it stands after a plan."""

    concept_id: str
    waiting: int
    priority: float
    reason: str


def put(journal: Journal, kind: str, rows: pa.Table, advance: Callable[[int], None]) -> Stored:
    """Add the questions that are not there, adjust those that are open. Columns of SCHEMA; any number of rows."""
    before, touched = count(journal, kind), 0
    insert = _by_copy if journal.engine.dialect.name == "postgresql" else _by_rows
    rows = rows.select(SCHEMA.names).combine_chunks()
    start = 0
    while start < rows.num_rows:
        batch = rows.slice(start, BATCH if _is_busy(journal) else LARGE)
        with journal.transaction() as connection:
            touched += insert(connection, kind, batch)
        advance(batch.num_rows)
        start += batch.num_rows
    added = count(journal, kind) - before
    return Stored(added, max(0, touched - added))


def _is_busy(journal: Journal) -> bool:
    """Whether anybody holds a page now."""
    with journal.reading() as connection:
        query = sa.text("SELECT 1 FROM pages WHERE state = 'leased' AND expires_at > :now LIMIT 1")
        return connection.execute(query, {"now": now()}).scalar() is not None


def _values(kind: str, rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in rows.to_batches(max_chunksize=BATCH):
        columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
        for concept_id, image_id, mark_id, *rest, wanted, posterior, score, fold in zip(*columns, strict=True):
            yield kind, concept_id, image_id, mark_id, "open", *rest, 0, 0, wanted, posterior, score, fold, ""


def _by_rows(connection: sa.Connection, kind: str, batch: pa.Table) -> int:
    marks, new = ", ".join("?" * len(_COLUMNS)), {"new": "excluded"}
    merge = f"ON CONFLICT (kind, concept_id, image_id, mark_id) DO UPDATE SET {_SET} WHERE {_WHERE}".format(**new)
    cursor: Any = connection.connection.cursor()
    kept = cursor.execute("PRAGMA cache_size").fetchone()[0]
    cursor.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    try:
        cursor.executemany(
            f"INSERT INTO questions ({', '.join(_COLUMNS)}) VALUES ({marks}) {merge}",  # noqa: S608  our names
            _values(kind, batch),
        )
        return int(cursor.rowcount)
    finally:
        cursor.execute(f"PRAGMA cache_size = {int(kept)}")
        cursor.close()


def _by_copy(connection: sa.Connection, kind: str, batch: pa.Table) -> int:
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
            f"INSERT INTO questions ({columns}) SELECT {columns} FROM planned"  # noqa: S608
            " ORDER BY concept_id, priority DESC, image_id ON CONFLICT DO NOTHING"
        )
        added = int(raw.rowcount)
        raw.execute("ANALYZE planned")
        # What a desk holds at this moment is passed over: it never waits for a plan, nor a plan for it.
        same = " AND ".join(f"questions.{name} = planned.{name}" for name in _COLUMNS[:4])
        where, put = _WHERE.format(new="planned"), _SET.format(new="changed")
        raw.execute(
            "WITH changed AS (SELECT questions.question_id AS question, planned.* FROM questions JOIN planned"  # noqa: S608
            f" ON {same} WHERE {where} FOR UPDATE OF questions SKIP LOCKED) UPDATE questions SET {put}"
            " FROM changed WHERE questions.question_id = changed.question"
        )
        changed = int(raw.rowcount)
        raw.execute("DROP TABLE planned")
        return added + changed
    finally:
        raw.close()


def count(journal: Journal, kind: str) -> int:
    """Questions of a kind, whatever their state."""
    with journal.reading() as connection:  # not a transaction: SQLite's would wait for the desk's
        query = sa.text("SELECT count(*) FROM questions WHERE kind = :kind")
        return int(connection.execute(query, {"kind": kind}).scalar_one())


def reopen(journal: Journal, kind: str, rows: Sequence[tuple[str, str, float, str]], mark: str) -> int:
    """Ask closed questions again: (concept_id, image_id, priority, reason).

    Once for each `mark`, a word of the reason: what was asked again for it and closed since stays closed. Known
    answers are never reopened.
    """
    statement = sa.text(
        "UPDATE questions SET state = 'open', priority = :priority, reason = :reason, wanted = votes + 1"
        " WHERE kind = :kind AND concept_id = :concept_id AND image_id = :image_id AND mark_id = 0 AND known = ''"
        " AND (state IN ('accepted', 'rejected', 'undecided') OR (state = 'parked' AND reason = :answered))"
        " AND reason NOT LIKE :mark"
    )
    opened = 0
    for start in range(0, len(rows), BATCH):
        with journal.transaction() as connection:
            for concept_id, image_id, priority, reason in rows[start : start + BATCH]:
                values = {"concept_id": concept_id, "image_id": image_id, "priority": priority, "reason": reason}
                told = {"kind": kind, "mark": f"%{mark}%", "answered": ANSWERED}
                opened += connection.execute(statement, values | told).rowcount
    return opened


class Open(NamedTuple):
    """An open question that nobody holds."""

    question_id: int
    concept_id: str
    image_id: str
    votes: int


def park(journal: Journal, kind: str, why: Callable[[Sequence[Open]], Sequence[str]]) -> Counter[str]:
    """Park open questions that nobody holds -> how many for which reason. `why`: the reason, or "" to leave it."""
    query = sa.text(
        "SELECT question_id, concept_id, image_id, votes FROM questions WHERE kind = :kind AND state = 'open'"
        " AND leases = 0 AND question_id > :after ORDER BY question_id LIMIT :many"
    )
    lock = " FOR UPDATE SKIP LOCKED" if journal.engine.dialect.name == "postgresql" else ""
    update = sa.text(
        "UPDATE questions SET state = 'parked', reason = :reason WHERE question_id IN (SELECT question_id FROM"  # noqa: S608
        f" questions WHERE question_id IN :ids AND state = 'open' AND leases = 0 ORDER BY question_id{lock})"
    ).bindparams(sa.bindparam("ids", expanding=True))
    after, parked, many = 0, Counter[str](), 250_000
    while True:
        with journal.reading() as connection:
            found = [Open(*row) for row in connection.execute(query, {"kind": kind, "after": after, "many": many})]
        if not found:
            return parked
        ids_of: dict[str, list[int]] = {}
        for one, reason in zip(found, why(found), strict=True):
            if reason:
                ids_of.setdefault(reason, []).append(one.question_id)
        for reason, ids in ids_of.items():
            for start in range(0, len(ids), CHUNK):
                with journal.transaction() as connection:
                    given = {"ids": ids[start : start + CHUNK], "reason": reason}
                    parked[reason] += connection.execute(update, given).rowcount
        after = found[-1].question_id


def put_back(journal: Journal, kind: str, concepts: Sequence[str]) -> int:
    """Open what was taken out of a kind: of these concepts; where none is named, what went with the whole kind."""
    reasons = (TAKEN_OUT, TAKEN_OUT_WHOLE) if concepts else (TAKEN_OUT_WHOLE,)
    given = {"kind": kind, "reasons": reasons} | ({"concepts": list(concepts)} if concepts else {})
    which = " AND concept_id IN :concepts" if concepts else ""
    query = sa.text(
        "SELECT question_id FROM questions WHERE kind = :kind AND state = 'parked' AND reason IN :reasons"  # noqa: S608
        f"{which} ORDER BY question_id"
    ).bindparams(*(sa.bindparam(name, expanding=True) for name in ("reasons", "concepts") if name in given))
    update = sa.text(
        "UPDATE questions SET state = 'open', reason = '' WHERE question_id IN :ids AND state = 'parked'"
    ).bindparams(sa.bindparam("ids", expanding=True))
    with journal.reading() as connection:
        ids = list(connection.execute(query, given).scalars())
    for start in range(0, len(ids), CHUNK):
        with journal.transaction() as connection:
            connection.execute(update, {"ids": ids[start : start + CHUNK]})
    if ids:
        sum_up(journal, kind, {})
    return len(ids)


def sum_up(journal: Journal, kind: str, reasons: Mapping[str, str]) -> list[Heap]:
    """Bring the heaps of one kind up to date, the highest first. A heap's state is the desk's and stays."""
    best = sa.text(
        "SELECT concept_id, count(*) AS waiting, avg(CASE WHEN place <= :page THEN priority END) AS priority FROM"
        " (SELECT concept_id, priority, row_number() OVER (PARTITION BY concept_id ORDER BY priority DESC, question_id)"
        " AS place FROM questions WHERE kind = :kind AND state = 'open' AND known = '') AS ranked GROUP BY concept_id"
    )
    merge = sa.text(
        "INSERT INTO heaps (kind, concept_id, state, priority, reason, waiting)"
        " VALUES (:kind, :concept_id, 'open', :priority, :reason, 0)"
        " ON CONFLICT (kind, concept_id) DO UPDATE SET priority = excluded.priority,"
        " reason = CASE WHEN excluded.reason = '' THEN heaps.reason ELSE excluded.reason END"
    )
    # A statement of its own, after the heap is ours: it sees what others have committed, and they count on from it.
    recount = sa.text(
        "UPDATE heaps SET waiting = (SELECT count(*) FROM questions q WHERE q.kind = heaps.kind"
        " AND q.concept_id = heaps.concept_id AND q.state = 'open' AND q.known = '')"
        " WHERE kind = :kind AND concept_id IN :ids"
    ).bindparams(sa.bindparam("ids", expanding=True))
    with journal.reading() as connection:  # two seconds at a million: not while others wait to write
        found = connection.execute(best, {"kind": kind, "page": PAGE}).all()
        known = connection.execute(sa.text("SELECT concept_id FROM heaps WHERE kind = :kind"), {"kind": kind})
        priority = dict.fromkeys(known.scalars().all(), 0.0) | {row.concept_id: float(row.priority) for row in found}
    ordered = sorted(priority)
    for start in range(0, len(ordered), CHUNK):
        ids = ordered[start : start + CHUNK]
        with journal.transaction() as connection:
            connection.execute(merge, [
                {"kind": kind, "concept_id": one, "priority": round(priority[one], 6), "reason": reasons.get(one, "")}
                for one in ids
            ])  # fmt: skip
            connection.execute(recount, {"kind": kind, "ids": ids})
    return heaps_of(journal, kind)


def heaps_of(journal: Journal, kind: str) -> list[Heap]:
    """The heaps of one kind with something to ask, the highest first."""
    query = sa.text(
        "SELECT concept_id, waiting, priority, reason FROM heaps WHERE kind = :kind AND waiting > 0"
        " ORDER BY priority DESC, concept_id"
    )
    with journal.reading() as connection:
        return [Heap(*row) for row in connection.execute(query, {"kind": kind})]


def mark_known(journal: Journal, answers: Sequence[tuple[str, str, str, str]]) -> int:
    """Set answers of the grid that are known beforehand -> how many that is news of.

    answers: concept_id, image_id, yes | no, why it is known. Questions that somebody holds are left for the next time.
    """
    put = sa.text(
        "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases, wanted,"
        " posterior, score, fold, known) VALUES ('grid', :concept_id, :image_id, 0, :state, 0, :reason, 0, 0, 1,"
        " :posterior, 0, '', :answer) ON CONFLICT (kind, concept_id, image_id, mark_id) DO UPDATE SET"
        " known = excluded.known, state = excluded.state, posterior = excluded.posterior, reason = excluded.reason"
        " WHERE questions.leases = 0 AND questions.known <> excluded.known"
    )
    marked = 0
    # PostgreSQL locks each row: one at a time, so that a plan and a desk never wait for each other in a circle
    chunk = 1 if journal.engine.dialect.name == "postgresql" else CHUNK
    for start in range(0, len(answers), chunk):
        with journal.transaction() as connection:
            for concept_id, image_id, answer, reason in answers[start : start + chunk]:
                state, posterior = (ACCEPTED, 1.0) if answer == "yes" else (REJECTED, 0.0)
                marked += connection.execute(put, {
                    "concept_id": concept_id, "image_id": image_id, "answer": answer, "state": state,
                    "posterior": posterior, "reason": reason[:200],
                }).rowcount  # fmt: skip
    sum_up(journal, "grid", {})
    return marked
