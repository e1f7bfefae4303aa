"""What people drew and said of it, read to be settled: all of it, or what some pictures need; and what is new of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.session_steps import paused_names
from pictus.annotate.shapes.box_loop import BOX, LOOP, QUALITY
from pictus.annotate.shapes.marks import STANDS
from pictus.annotate.shapes.settled_boxes import Key, Mark, Said, right_of
from pictus.project import Project

DRAWING = (*LOOP, "mask", "points")
LONGEST_S = 600.0
"""What a single answer may count in seconds per box: who takes longer was elsewhere."""

_AT_ONCE = 20_000
"""Values bound in one statement: SQLite takes 32,766, PostgreSQL 65,535."""

_TABLES = ("marks", "answers", "rulings")
_REPLACED = "SELECT replaces FROM marks WHERE mark_id > :at AND replaces > 0"


class Drawn(NamedTuple):
    """All that counts: marks that stand, and answers of the latest revisions in the order given."""

    marks: list[Mark]
    said: list[Said]
    ruled_out: frozenset[Key]


class LeftOut(NamedTuple):
    """What people who are paused did: answers, and what they drew where nobody verifies it."""

    answers: int
    drawings: int


@dataclass(frozen=True)
class Upto:
    """How far a settling had read; it is kept with its event. Of each table: highest number, and how many rows."""

    highest: Mapping[str, int]
    many: Mapping[str, int]
    paused: Sequence[str]
    seconds: Mapping[str, float]  # of people's time, by kind

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def drawn(project: Project, keys: Collection[Key] | None = None) -> Drawn:
    """keys: only on these pictures of these concepts; all without."""
    images = None if keys is None else sorted({image_id for image_id, _ in keys})
    chosen = None if keys is None else frozenset(keys)
    with project.journal.reading() as connection:
        paused = paused_names(connection)
        answers = list(_rows(
            connection, "SELECT image_id, concept_id, page_id, revision, annotator, kind, mark_id, answer, role, known"
            " FROM answers WHERE kind IN :kinds", "answer_id", images,
        ))  # fmt: skip
        marks = list(_rows(
            connection, "SELECT m.image_id, m.concept_id, m.mark_id, m.kind, m.annotator, m.shape, m.source"  # noqa: S608  ours
            f" FROM marks m WHERE m.kind IN :kinds{STANDS}", "mark_id", images,
        ))  # fmt: skip
        rulings = connection.execute(
            sa.text("SELECT image_id, concept_id, ruling FROM rulings ORDER BY ruling_id")
        ).all()
    latest: dict[str, int] = {}
    for _, _, page, revision, *_ in answers:
        if revision != 1:
            latest[page] = max(latest.get(page, 1), revision)
    ruled = {(row.image_id, row.concept_id): row.ruling for row in rulings}
    return Drawn(
        [
            Mark(number, kind, image, concept, who, shape, source.startswith("page:"))
            for image, concept, number, kind, who, shape, source in marks
            if (chosen is None or (image, concept) in chosen)
            and (who not in paused or _is_for_others(kind, source))
        ],
        [
            Said(kind, image, concept, mark, who, answer, role, known)
            for image, concept, page, revision, who, kind, mark, answer, role, known in answers
            if revision == latest.get(page, 1) and who not in paused
            and (chosen is None or (image, concept) in chosen)
        ],
        frozenset(key for key, ruling in ruled.items() if ruling == "is-not"),
    )  # fmt: skip


def upto(project: Project, earlier: Upto | None = None) -> Upto:
    """How far there is to read now. earlier: seconds up to there are known."""
    with project.journal.reading() as connection:
        since = earlier.highest["answers"] if earlier else 0
        rows = connection.execute(
            sa.text(
                "SELECT kind, SUM(CASE WHEN seconds < 0 THEN 0 WHEN seconds > :longest THEN :longest ELSE seconds END)"
                " AS spent FROM answers WHERE answer_id > :since AND kind IN :kinds GROUP BY kind"
            ).bindparams(sa.bindparam("kinds", expanding=True)),
            {"longest": LONGEST_S, "since": since, "kinds": DRAWING},
        ).all()  # fmt: skip
        seconds: dict[str, float] = defaultdict(float, earlier.seconds if earlier else {})
        for row in rows:
            seconds[row.kind] += float(row.spent)
        highest = {name: _number(connection, f"SELECT MAX({name[:-1]}_id) FROM {name}") for name in _TABLES}  # noqa: S608  ours
        many = {name: _number(connection, f"SELECT COUNT(*) FROM {name}") for name in _TABLES}  # noqa: S608  ours
        return Upto(highest, many, sorted(paused_names(connection)), dict(seconds))


def changed(project: Project, earlier: Upto) -> set[Key] | None:
    """Pictures and concepts about which anything is new since; None where that cannot be told, and all may be."""
    since = {name: {"at": earlier.highest[name]} for name in _TABLES}
    with project.journal.reading() as connection:
        for name in _TABLES:
            new = connection.execute(
                sa.text(f"SELECT COUNT(*) FROM {name} WHERE {name[:-1]}_id > :at"), since[name]  # noqa: S608  ours
            ).scalar_one()
            # Another server's rows may be committed late, under lower numbers; and rows may be gone.
            if _number(connection, f"SELECT COUNT(*) FROM {name}") - new != earlier.many[name]:  # noqa: S608  ours
                return None
        found: set[Key] = set()
        for query, which in (
            ("SELECT image_id, concept_id FROM marks WHERE mark_id > :at", since["marks"]),
            (f"SELECT image_id, concept_id FROM marks WHERE mark_id IN ({_REPLACED})", since["marks"]),  # noqa: S608  ours
            ("SELECT image_id, concept_id FROM answers WHERE answer_id > :at", since["answers"]),
            ("SELECT image_id, concept_id FROM rulings WHERE ruling_id > :at", since["rulings"]),
        ):  # fmt: skip
            found.update((row.image_id, row.concept_id) for row in connection.execute(sa.text(query), which))
        turned = sorted({*earlier.paused} ^ paused_names(connection))
        for table in ("marks", "answers") if turned else ():
            query = f"SELECT DISTINCT image_id, concept_id FROM {table} WHERE annotator IN :who"  # noqa: S608  ours
            people = sa.text(query).bindparams(sa.bindparam("who", expanding=True))
            found.update((row.image_id, row.concept_id) for row in connection.execute(people, {"who": turned}))
    return found


def skills(project: Project) -> dict[str, float]:
    """How often each verifier of boxes is right on known answers, of those who had any."""
    query = (
        "SELECT a.annotator, COUNT(*) AS many, SUM(CASE WHEN a.answer = a.known THEN 1 ELSE 0 END) AS rights"
        " FROM answers a WHERE a.kind = :kind AND a.role = 'gold'"
        " AND a.revision = (SELECT MAX(b.revision) FROM answers b WHERE b.page_id = a.page_id) GROUP BY a.annotator"
    )
    with project.journal.reading() as connection:
        rows = connection.execute(sa.text(query), {"kind": QUALITY}).all()
    return {row.annotator: right_of(int(row.rights), int(row.many)) for row in rows}


def left_out(project: Project) -> LeftOut:
    """Told beside what is settled."""
    kinds: Any = sa.bindparam("kinds", expanding=True)
    who: Any = sa.bindparam("who", expanding=True)
    with project.journal.reading() as connection:
        paused = sorted(paused_names(connection))
        if not paused:
            return LeftOut(0, 0)
        given = {"kinds": DRAWING, "who": paused}
        answers = connection.execute(
            sa.text("SELECT COUNT(*) FROM answers WHERE annotator IN :who AND kind IN :kinds").bindparams(kinds, who),
            given,
        ).scalar_one()  # fmt: skip
        theirs = connection.execute(
            sa.text(
                f"SELECT m.kind, m.source FROM marks m WHERE m.annotator IN :who AND m.kind IN :kinds{STANDS}"  # noqa: S608  ours
            ).bindparams(kinds, who), given,
        ).all()  # fmt: skip
    return LeftOut(int(answers), sum(not _is_for_others(row.kind, row.source) for row in theirs))


def _rows(
    connection: sa.Connection, query: str, order: str, images: Sequence[str] | None
) -> Iterator[tuple[Any, ...]]:
    """Rows as the driver gives them, in half the time of SQLAlchemy's; of these pictures only."""
    kinds: Any = sa.bindparam("kinds", expanding=True)
    which: Any = sa.bindparam("images", expanding=True)
    if images is None:
        yield from _fetched(connection, sa.text(f"{query} ORDER BY {order}").bindparams(kinds), {})
        return
    for start in range(0, len(images), _AT_ONCE):
        chosen = sa.text(f"{query} AND image_id IN :images ORDER BY {order}").bindparams(kinds, which)
        yield from _fetched(connection, chosen, {"images": images[start : start + _AT_ONCE]})


def _fetched(connection: sa.Connection, query: sa.TextClause, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    result = connection.execute(query, {"kinds": DRAWING, **given})
    cursor: Any = result.cursor
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    result.close()
    return rows


def _is_for_others(kind: str, source: str) -> bool:
    """Whether a drawing counts only once another has verified it, so that it may stay when its author is paused."""
    return kind == BOX and source.startswith("page:")


def _number(connection: sa.Connection, query: str) -> int:
    return int(connection.execute(sa.text(query)).scalar() or 0)
