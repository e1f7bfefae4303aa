"""The schema of the SQL side, as numbered migrations: an entry that was released is never edited, the next is added.

What people do lives here: events and votes (of files and of pages), annotators and their tokens, the queue
of questions (`heaps` sums them up per kind and concept), pages handed out and what was answered on them, shapes
drawn, rulings of reviewers, audits. Times are UTC, ISO 8601; an empty text or 0 stands for "none".
"""

from __future__ import annotations

import sqlalchemy as sa

from pictus.clock import now
from pictus.errors import UserError

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # 1
        """CREATE TABLE events (event_id {id}, at TEXT NOT NULL, stage TEXT NOT NULL, event TEXT NOT NULL,
           subject TEXT NOT NULL, data TEXT NOT NULL)""",
        "CREATE INDEX events_by_subject ON events (subject)",
        """CREATE TABLE votes (vote_id {id}, image_id TEXT NOT NULL, annotator TEXT NOT NULL,
           question TEXT NOT NULL, answer TEXT NOT NULL, source TEXT NOT NULL, voted_at TEXT NOT NULL)""",
        "CREATE UNIQUE INDEX votes_once ON votes (image_id, annotator, question, source)",
    ),
    (  # 2: people, the queue of questions, pages, what was answered, shapes, rulings, audits
        """CREATE TABLE annotators (annotator_id {id}, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL,
           state TEXT NOT NULL, reason TEXT NOT NULL, quota INTEGER NOT NULL, invitation TEXT NOT NULL,
           made_at TEXT NOT NULL, resumed_at TEXT NOT NULL DEFAULT '', alike TEXT NOT NULL DEFAULT '',
           waits TEXT NOT NULL DEFAULT '')""",
        "CREATE UNIQUE INDEX annotators_alike ON annotators (alike) WHERE alike <> ''",
        "CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        """CREATE TABLE tokens (token_hash TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
           uses_left INTEGER NOT NULL, quota INTEGER NOT NULL, note TEXT NOT NULL, made_at TEXT NOT NULL,
           expires_at TEXT NOT NULL)""",
        """CREATE TABLE questions (question_id {id}, kind TEXT NOT NULL, concept_id TEXT NOT NULL,
           image_id TEXT NOT NULL, mark_id BIGINT NOT NULL, state TEXT NOT NULL, priority DOUBLE PRECISION NOT NULL,
           reason TEXT NOT NULL, votes INTEGER NOT NULL, leases INTEGER NOT NULL, wanted INTEGER NOT NULL,
           posterior DOUBLE PRECISION NOT NULL, score DOUBLE PRECISION NOT NULL, fold TEXT NOT NULL,
           known TEXT NOT NULL, UNIQUE (kind, concept_id, image_id, mark_id))""",
        "CREATE INDEX questions_next ON questions (kind, concept_id, state, priority DESC, question_id)",
        "CREATE INDEX questions_known ON questions (kind, concept_id, question_id) WHERE known <> ''",
        "CREATE INDEX questions_by_image ON questions (image_id)",
        "CREATE INDEX questions_by_fold ON questions (kind, concept_id, fold) WHERE fold <> ''",
        """CREATE TABLE heaps (kind TEXT NOT NULL, concept_id TEXT NOT NULL, state TEXT NOT NULL,
           priority DOUBLE PRECISION NOT NULL, reason TEXT NOT NULL, waiting INTEGER NOT NULL,
           PRIMARY KEY (kind, concept_id))""",
        "CREATE INDEX heaps_next ON heaps (state, priority DESC, kind, concept_id)",
        """CREATE TABLE pages (page_id TEXT PRIMARY KEY, kind TEXT NOT NULL, concept_id TEXT NOT NULL,
           annotator TEXT NOT NULL, state TEXT NOT NULL, revision INTEGER NOT NULL, leased_at TEXT NOT NULL,
           expires_at TEXT NOT NULL, submitted_at TEXT NOT NULL, seconds DOUBLE PRECISION NOT NULL,
           items INTEGER NOT NULL DEFAULT 0, golds INTEGER NOT NULL DEFAULT 0, rights INTEGER NOT NULL DEFAULT 0,
           unsures INTEGER NOT NULL DEFAULT 0, fresh INTEGER NOT NULL DEFAULT 0,
           repeats INTEGER NOT NULL DEFAULT 0, sames INTEGER NOT NULL DEFAULT 0,
           only_answer TEXT NOT NULL DEFAULT '', knowns TEXT NOT NULL DEFAULT '')""",
        "CREATE INDEX pages_by_annotator ON pages (annotator, state, leased_at)",
        "CREATE INDEX pages_leased ON pages (expires_at) WHERE state = 'leased'",
        """CREATE TABLE page_items (page_id TEXT NOT NULL, position INTEGER NOT NULL, question_id BIGINT NOT NULL,
           image_id TEXT NOT NULL, mark_id BIGINT NOT NULL, role TEXT NOT NULL, known TEXT NOT NULL,
           PRIMARY KEY (page_id, position))""",
        """CREATE TABLE answers (answer_id {id}, page_id TEXT NOT NULL, revision INTEGER NOT NULL,
           position INTEGER NOT NULL, question_id BIGINT NOT NULL, kind TEXT NOT NULL, concept_id TEXT NOT NULL,
           image_id TEXT NOT NULL, mark_id BIGINT NOT NULL, role TEXT NOT NULL, known TEXT NOT NULL,
           annotator TEXT NOT NULL, answer TEXT NOT NULL, data TEXT NOT NULL, seconds DOUBLE PRECISION NOT NULL,
           answered_at TEXT NOT NULL, UNIQUE (page_id, revision, position))""",
        "CREATE INDEX answers_by_annotator ON answers (annotator, kind, concept_id, answer_id)",
        "CREATE INDEX answers_by_question ON answers (question_id, annotator, answer_id)",
        """CREATE TABLE marks (mark_id {id}, kind TEXT NOT NULL, image_id TEXT NOT NULL, concept_id TEXT NOT NULL,
           annotator TEXT NOT NULL, shape TEXT NOT NULL, source TEXT NOT NULL, place INTEGER NOT NULL,
           replaces BIGINT NOT NULL, made_at TEXT NOT NULL, UNIQUE (source, place))""",
        "CREATE INDEX marks_by_image ON marks (image_id, concept_id)",
        "CREATE INDEX marks_replaced ON marks (replaces) WHERE replaces > 0",
        """CREATE TABLE rulings (ruling_id {id}, image_id TEXT NOT NULL, concept_id TEXT NOT NULL,
           ruling TEXT NOT NULL, reviewer TEXT NOT NULL, reason TEXT NOT NULL, batch TEXT NOT NULL,
           ruled_at TEXT NOT NULL)""",
        "CREATE INDEX rulings_by_image ON rulings (image_id, ruling_id)",
        """CREATE TABLE audits (audit_id TEXT PRIMARY KEY, subject TEXT NOT NULL, seed BIGINT NOT NULL,
           design TEXT NOT NULL, made_at TEXT NOT NULL)""",
        """CREATE TABLE audit_items (audit_id TEXT NOT NULL, position INTEGER NOT NULL, image_id TEXT NOT NULL,
           concept_id TEXT NOT NULL, stratum TEXT NOT NULL, weight DOUBLE PRECISION NOT NULL,
           PRIMARY KEY (audit_id, position))""",
        """CREATE TABLE examples (example_id {id}, concept_id TEXT NOT NULL, image_id TEXT NOT NULL,
           chosen_at TEXT NOT NULL, UNIQUE (concept_id, image_id))""",
        """CREATE TABLE shown_examples (concept_id TEXT NOT NULL, image_id TEXT NOT NULL,
           PRIMARY KEY (concept_id, image_id))""",
    ),
)

_ID = {"sqlite": "INTEGER PRIMARY KEY", "postgresql": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}


def migrate(engine: sa.Engine) -> None:
    """Bring the schema up to date; safe when two processes do it at once."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(71092658)"))  # one migrator at a time
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.execute(
            sa.text("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, at TEXT NOT NULL)")
        )
        done = set(connection.execute(sa.text("SELECT number FROM migrations")).scalars())
        newest = len(MIGRATIONS)
        if done and max(done) > newest:
            what = f"The database is at migration {max(done)}; this Pictus knows {newest}."
            raise UserError(what, fix="pip install --upgrade pictus")
        for number, statements in enumerate(MIGRATIONS, start=1):
            if number in done:
                continue
            for statement in statements:
                connection.execute(sa.text(statement.format(id=_ID[engine.dialect.name])))
            connection.execute(sa.text("INSERT INTO migrations VALUES (:number, :at)"), {"number": number, "at": now()})
