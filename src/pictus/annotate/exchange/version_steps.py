"""Shapes of a file into `marks`, and those of its earlier versions out of the way. Nothing is ever deleted.

Files of one name are versions of each other on the pictures, and of the people, that both hold: what an earlier one
had there and the newest has not is taken back by a row of the kind `withdrawn` that `replaces` it. Other pictures and
other people of the earlier file stand, so that parts of a large job may all be called `annotations.xml`. An older
version taken in again is a source of its own, "… #2", as with votes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.follow_steps import count_heaps
from pictus.annotate.exchange.intake import Row
from pictus.annotate.shapes.marks import STANDS, WITHDRAWN
from pictus.clock import now
from pictus.project import Project

BATCH = 20_000
"""Shapes of one transaction: a desk that works on the same database waits a second."""

CHUNK = 500
"""Pictures, or marks, of one query: SQLite binds 32,766 values at most."""

GONE = "a newer version of its file has not got it"

_INSERT = sa.text(
    "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
    " VALUES (:kind, :image_id, :concept_id, :annotator, :shape, :source, :place, :replaces, :made_at)"
    " ON CONFLICT (source, place) DO NOTHING"
)
_SAME = sa.text(
    "SELECT m.kind, m.image_id, m.concept_id, m.annotator, m.shape FROM marks m"  # noqa: S608  ours
    f" WHERE m.image_id IN :images AND m.source <> :source AND m.kind <> :withdrawn{STANDS}"
).bindparams(sa.bindparam("images", expanding=True))
_SOURCES = sa.text("SELECT DISTINCT source FROM marks WHERE source LIKE :beginning ESCAPE '!' AND kind <> :withdrawn")
_WITHDRAWN = sa.text(
    "SELECT DISTINCT m.source FROM marks w JOIN marks m ON m.mark_id = w.replaces"
    " WHERE w.kind = :withdrawn AND w.replaces > 0 AND m.source LIKE :beginning ESCAPE '!'"
)
_OLD = sa.text(
    "SELECT m.mark_id, m.kind, m.image_id, m.concept_id, m.annotator, m.shape FROM marks m"  # noqa: S608  ours
    f" WHERE m.source IN :sources AND m.mark_id > :after AND m.kind <> :withdrawn{STANDS}"
    " ORDER BY m.mark_id LIMIT :many"
).bindparams(sa.bindparam("sources", expanding=True))
_PARK = sa.text(
    "UPDATE questions SET state = 'parked', reason = :reason WHERE state = 'open' AND image_id IN :images"
    " AND mark_id IN :marks RETURNING kind, concept_id"
).bindparams(sa.bindparam("images", expanding=True), sa.bindparam("marks", expanding=True))


class Put(NamedTuple):
    """What a file did to the marks."""

    added: int
    there: int  # drawn so by the same one, in another file or on a page
    withdrawn: int  # of earlier versions


class _New(NamedTuple):
    """What the newest version holds, small enough to keep of a million shapes."""

    rows: set[int]  # hashes
    drawn: set[tuple[str, str]]  # image_id, annotator


def put(project: Project, name: str, digest: str, rows: Iterator[Row]) -> Put:
    """Store the rows of one version of the file `name`, batch by batch; taken in again, what was killed goes on."""
    source, earlier = _named(project, name, digest)
    new = _New(set(), set())
    added = total = 0
    made_at = now()
    while batch := [row for _, row in zip(range(BATCH), rows, strict=False)]:
        with project.journal.transaction() as connection:
            is_first = not connection.execute(sa.text("SELECT 1 FROM marks LIMIT 1")).first()
            same: set[tuple[str, ...]] = set() if is_first else _same(connection, source, batch)
            values = [
                {**row._asdict(), "source": source, "replaces": 0, "made_at": made_at}
                for row in batch if row[:-1] not in same
            ]  # fmt: skip
            if values:
                added += connection.execute(_INSERT, values).rowcount
        if earlier:
            new.rows.update(hash(row[:-1]) for row in batch)
            new.drawn.update((row.image_id, row.annotator) for row in batch)
        total += len(batch)
    withdrawn = sum(_withdraw(project, source, batch) for batch in _outdated(project, earlier, new))
    return Put(added, total - added, withdrawn)


def _named(project: Project, name: str, digest: str) -> tuple[str, list[str]]:
    """The source of this version, and those of others of its name."""
    escaped = name.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    given = {"beginning": f"file:{escaped}@%", "withdrawn": WITHDRAWN}
    with project.journal.reading() as connection:
        known = set(connection.execute(_SOURCES, given).scalars())
        gone = set(connection.execute(_WITHDRAWN, given).scalars())
    plain = f"file:{name}@{digest}"
    every = (plain, *(f"{plain} #{number}" for number in range(2, len(gone) + 3)))
    source = next(one for one in every if one not in gone)
    return source, sorted(known - {source})


def _same(connection: sa.Connection, source: str, batch: Sequence[Row]) -> set[tuple[str, ...]]:
    images = sorted({row.image_id for row in batch})
    found: set[tuple[str, ...]] = set()
    for start in range(0, len(images), CHUNK):
        given = {"images": images[start : start + CHUNK], "source": source, "withdrawn": WITHDRAWN}
        found.update(tuple(row) for row in connection.execute(_SAME, given))
    return found


def _outdated(project: Project, earlier: Sequence[str], new: _New) -> Iterator[list[Any]]:
    """Marks of earlier versions that the newest has not, on pictures and by people that it has."""
    after = 0
    while earlier:
        given = {"sources": earlier, "after": after, "many": BATCH, "withdrawn": WITHDRAWN}
        with project.journal.reading() as connection:
            rows = connection.execute(_OLD, given).all()
        if not rows:
            return
        after = rows[-1].mark_id
        yield [
            row for row in rows
            if (row.image_id, row.annotator) in new.drawn and hash(tuple(row[1:])) not in new.rows
        ]  # fmt: skip


def _withdraw(project: Project, source: str, old: Sequence[Any]) -> int:
    """Take marks back, and put aside what is asked about them."""
    done = 0
    for start in range(0, len(old), CHUNK):
        part = old[start : start + CHUNK]
        values = [
            {"kind": WITHDRAWN, "image_id": row.image_id, "concept_id": row.concept_id, "annotator": row.annotator,
             "shape": "{}", "source": f"{source} withdraws", "place": row.mark_id, "replaces": row.mark_id,
             "made_at": now()}
            for row in part
        ]  # fmt: skip
        images = sorted({row.image_id for row in part})
        marks = [sign * row.mark_id for row in part for sign in (1, -1)]
        with project.journal.transaction() as connection:
            done += connection.execute(_INSERT, values).rowcount
            asked = connection.execute(_PARK, {"images": images, "marks": marks, "reason": GONE}).all()
            change: dict[tuple[str, str], int] = {}
            for kind, concept_id in asked:
                change[kind, concept_id] = change.get((kind, concept_id), 0) - 1
            count_heaps(connection, change)
    return done
