"""The SQL side: what people do at the same time. SQLite (WAL) by default, PostgreSQL by URL.

Votes are only ever added. The current vote of an annotator on a question about a picture is the
latest one; earlier ones stay as history.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.clock import now
from pictus.errors import UserError
from pictus.migrations import migrate
from pictus.records import Event, Vote

_meta = sa.MetaData()

EVENTS = sa.Table(
    "events",
    _meta,
    sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)

VOTES = sa.Table(
    "votes",
    _meta,
    sa.Column("vote_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("image_id", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("voted_at", sa.Text, nullable=False),
)

_log = logging.getLogger(__name__)

KEPT_OPEN = 15
"""Connections to a server that are kept: a new one costs some milliseconds, and a desk's threads come and go."""

_BATCH = 50_000
_VOTE_COLUMNS = tuple(Vote.__dataclass_fields__)


@dataclass(frozen=True)
class Journal:
    """One opened database."""

    engine: sa.Engine
    file: "_File"

    @classmethod
    def open(cls, url: str) -> "Journal":
        """Connect and bring the schema up to date; safe when two processes do it at once."""
        try:
            pool = {} if url.startswith("sqlite") else {"pool_size": KEPT_OPEN}
            engine = sa.create_engine(_driver(url), connect_args=_connect_args(url), **pool)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError) as error:
            what = f"{_hidden(url)} is not a database address: {error}."
            raise UserError(what, fix="postgresql://user@host/name") from error
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _sqlite_settings)
        try:
            with _guarded(engine):
                migrate(engine)
        except UserError:
            engine.dispose()
            raise
        except sa.exc.DBAPIError as error:
            engine.dispose()
            raise UserError(
                f"The database {_where(engine)} cannot be opened: {error.orig}.",
                fix="correct database_url in pictus.toml, or what the database complains of",
            ) from error
        return cls(engine, _File(_where(engine) if engine.dialect.name == "sqlite" else ""))

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All or nothing: statements of a stage about its own tables. SQLite takes its write lock at the beginning."""
        self.file.check()
        with _guarded(self.engine), self.engine.connect() as connection, connection.begin():
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            self.file.check()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """For statements of a stage that only read: on SQLite they wait for nobody."""
        self.file.check()
        with _guarded(self.engine), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _connection(self, *, writes: bool = False) -> Iterator[sa.Connection]:
        """The one way to the database: damage, a full disk and a server that is gone come out as messages."""
        self.file.check()
        with _guarded(self.engine), self.engine.begin() if writes else self.engine.connect() as connection:
            yield connection
            self.file.check()

    def log(self, stage: str, event: str, subject: str = "", **data: Any) -> None:  # noqa: ANN401  JSON values
        """Write one event: past tense, in the stage's words."""
        row = {"at": now(), "stage": stage, "event": event, "subject": subject, "data": json.dumps(data)}
        with self._connection(writes=True) as connection:
            connection.execute(EVENTS.insert(), row)

    def events(self, subject: str = "", limit: int = 100, *, event: str = "") -> list[Event]:
        """The latest events first, of one subject or of all; only those called `event` when it is given."""
        query = sa.select(EVENTS).order_by(EVENTS.c.event_id.desc()).limit(limit)
        if subject:
            query = query.where(EVENTS.c.subject == subject)
        if event:
            query = query.where(EVENTS.c.event == event)
        with self._connection() as connection:
            rows = connection.execute(query).all()
            return [
                Event(row.event_id, row.at, row.stage, row.event, row.subject, json.loads(row.data or ""))
                for row in rows
            ]  # fmt: skip

    def add_votes(self, votes: Iterable[Vote]) -> tuple[int, int]:
        """Add votes in one transaction -> (added, already there). The same row twice is added once."""
        rows = list(votes)
        columns = {name: pa.array([getattr(vote, name) for vote in rows], pa.string()) for name in _VOTE_COLUMNS}
        return self.add_vote_table(pa.table(columns))

    def add_vote_table(self, votes: pa.Table) -> tuple[int, int]:
        """The same for an Arrow table with the columns of Vote, a million rows in seconds."""
        with self._connection(writes=True) as connection:
            insert = _insert_by_copy if self.engine.dialect.name == "postgresql" else _insert_by_rows
            added = insert(connection, votes.select(_VOTE_COLUMNS))
        return added, votes.num_rows - added

    def votes(self, image_id: str = "", *, source: str = "") -> pa.Table:
        """Current votes in vote order: image_id, annotator, question, answer, source, voted_at.

        Of one picture, or read from one source, or all.
        """
        statement = f"SELECT {', '.join(_VOTE_COLUMNS)} FROM votes"  # noqa: S608  our names; values are bound
        if image_id:
            statement += " WHERE image_id = " + ("%s" if self.engine.dialect.name == "postgresql" else "?")
        # A plain cursor, and the latest found here: a million rows in 3 s. SQLAlchemy's row objects take twice
        # that, a subquery for the latest five times on PostgreSQL (it sorts on the disk).
        schema = pa.schema([(name, pa.string()) for name in _VOTE_COLUMNS])
        batches = []
        with self._connection() as connection, _cursor(connection, streams=True) as cursor:
            cursor.execute(statement + " ORDER BY vote_id", [image_id] if image_id else [])
            while rows := cursor.fetchmany(_BATCH):
                columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
                batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
        current = latest_votes(pa.Table.from_batches(batches, schema=schema))
        return current.filter(pc.equal(current.column("source"), source)) if source else current

    def vote_sources(self, beginning: str) -> set[str]:
        """The sources of votes ever cast whose name starts so."""
        query = sa.select(VOTES.c.source).where(VOTES.c.source.startswith(beginning, autoescape=True)).distinct()
        with self._connection() as connection:
            return set(connection.execute(query).scalars())

    def vote_count(self) -> int:
        """Every vote ever cast, superseded ones included."""
        with self._connection() as connection:
            return self._count(connection)

    def history(self, image_id: str) -> list[Vote]:
        """Every vote ever cast on one picture, oldest first."""
        query = sa.select(VOTES).where(VOTES.c.image_id == image_id).order_by(VOTES.c.vote_id)
        with self._connection() as connection:
            rows = connection.execute(query).all()
        return [Vote(row.image_id, row.annotator, row.question, row.answer, row.source, row.voted_at) for row in rows]

    @staticmethod
    def _count(connection: sa.Connection) -> int:
        return int(connection.execute(sa.select(sa.func.count()).select_from(VOTES)).scalar_one())


class _File:
    """The file of a SQLite database: what is written into one that was deleted is gone when the program ends."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # noqa: PTH100  as it is called now, links unresolved, should we go elsewhere
        self._opened = self._found() if path else None
        self._is_told = False

    def check(self) -> None:
        """UserError where it is not the one that was opened; some microseconds. One line in the log of each loss."""
        found = self._found() if self._opened else None
        if found == self._opened:
            self._is_told = False
            return
        what = f"Another file was put in the place of {self._path}" if found else f"{self._path} is not there any more"
        if not self._is_told:
            _log.warning("%s: nothing is written.", what)
            self._is_told = True
        cause = sqlite3.OperationalError("the database file is not the one that was opened")
        raise UserError(f"{what}.", fix="put the file back, or start this program again") from cause

    def _found(self) -> tuple[int, int] | None:
        try:
            there = os.stat(self._path)  # noqa: PTH116  half the time of Path.stat
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._opened  # the database tells it better
        return there.st_dev, there.st_ino


def _insert_by_rows(connection: sa.Connection, votes: pa.Table) -> int:
    columns = ", ".join(_VOTE_COLUMNS)
    marks = ", ".join("?" * len(_VOTE_COLUMNS))
    added = 0
    with _cursor(connection) as cursor:
        for batch in votes.to_batches(max_chunksize=_BATCH):
            rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            cursor.executemany(f"INSERT INTO votes ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows)  # noqa: S608
            added += cursor.rowcount
    return added


def _insert_by_copy(connection: sa.Connection, votes: pa.Table) -> int:
    """COPY into a table of this transaction, then insert what is new: 5 times as fast as rows."""
    columns = ", ".join(_VOTE_COLUMNS)
    with _cursor(connection) as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE incoming (row BIGINT GENERATED ALWAYS AS IDENTITY, image_id TEXT, annotator TEXT,"
            " question TEXT, answer TEXT, source TEXT, voted_at TEXT) ON COMMIT DROP"
        )
        with cursor.copy(f"COPY incoming ({columns}) FROM STDIN") as copy:
            for batch in votes.to_batches(max_chunksize=_BATCH):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    copy.write_row(row)
        cursor.execute(
            f"INSERT INTO votes ({columns}) SELECT {columns} FROM incoming ORDER BY row ON CONFLICT DO NOTHING"  # noqa: S608
        )
        added = int(cursor.rowcount)
        cursor.execute("DROP TABLE incoming")
    return added


def latest_votes(votes: pa.Table) -> pa.Table:
    """Of several answers of one annotator to one question about one picture only the last, in the table's order."""
    if not votes.num_rows:
        return votes
    key = np.zeros(votes.num_rows, dtype=np.int64)
    for name in ("image_id", "annotator", "question"):
        code = votes.column(name).combine_chunks().dictionary_encode()
        key = key * len(code.dictionary) + np.asarray(code.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    _, from_end = np.unique(key[::-1], return_index=True)
    if from_end.size == votes.num_rows:
        return votes
    return votes.take(pa.array(np.sort(votes.num_rows - 1 - from_end)))


@contextmanager
def _cursor(connection: sa.Connection, *, streams: bool = False) -> Iterator[Any]:
    """The driver's own cursor; with `streams` PostgreSQL keeps the result and sends what is fetched."""
    named = streams and connection.dialect.name == "postgresql"
    cursor = connection.connection.cursor("pictus") if named else connection.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


@contextmanager
def _guarded(engine: sa.Engine) -> Iterator[None]:
    """What can go wrong with the disk, the file, another writer or the server, as a message; the transaction is undone.

    Anything else stays what it is.
    """
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError, pa.ArrowException) as error:  # what was never written into it
        raise _damaged(engine, error) from error
    except _database_errors() as error:
        found = _explained(engine, getattr(error, "orig", None) or error)
        if found is None:
            raise
        raise found from error


_NO_ROOM = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE
}  # fmt: skip
_LEAST_FREE = 2**20
"""SQLite says no more than "cannot open" or "disk I/O error" where its side files find no room."""


def _explained(engine: sa.Engine, error: BaseException) -> UserError | None:
    """The message for an error of SQLite (by its code) or PostgreSQL (by its SQLSTATE), if a person can mend it."""
    where, text = _where(engine), str(error).strip().rstrip(".")
    code, state = getattr(error, "sqlite_errorcode", 0), getattr(error, "sqlstate", "") or ""
    kind = code & 0xFF
    has_room = engine.dialect.name != "sqlite" or _free(where) >= _LEAST_FREE
    is_io = kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    is_odd = "no such table" in text or "not decode to UTF-8" in text  # SQLite has no code of its own for these
    if is_odd or kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or state in ("XX001", "XX002"):
        return _damaged(engine, error)
    if code in _NO_ROOM or state == "53100" or (is_io and not has_room):
        return UserError(
            f"The disk is full: {where} could not be written ({text}). What was committed before is safe.",
            fix="free some space, then run the same command again: it continues where it stopped",
        )
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UserError(
            f"Another process has been writing to {where} for half a minute.",
            fix="wait for it to end, then run the same command again",
        )
    if is_io or kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return UserError(
            f"{where} could not be read or written: {text}.",
            fix="see that you may write in its folder and that the disk is well, then run the same command again",
        )
    if _is_lost(error) and (not state or state.startswith(("08", "57P", "3D", "28"))):
        return UserError(
            f"The database {where} cannot be reached: {text}.", fix="start it, or correct database_url in pictus.toml"
        )
    return None


def _damaged(engine: sa.Engine, error: BaseException) -> UserError:
    where = _where(engine)
    what = f"The journal (votes and events) is damaged: {where} ({str(error).strip().rstrip('.')})."
    if engine.dialect.name != "sqlite":
        return UserError(what, fix="restore the database from a backup")
    old, new = shlex.quote(where), shlex.quote(f"{where}.new")
    # .recover would find a little more, but Debian 12's sqlite3 cannot; .dump ends a broken table with ROLLBACK.
    return UserError(
        what,
        fix="restore it from a copy; or keep what can still be read:"
        f"    sqlite3 {old} .dump | sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 {new}"
        f" && rm -f {shlex.quote(where + '-wal')} {shlex.quote(where + '-shm')}"
        f" && mv {old} {shlex.quote(where + '.damaged')} && mv {new} {old}",
    )


def _where(engine: sa.Engine) -> str:
    """The file of a SQLite database, else the address without its password."""
    is_file = engine.dialect.name == "sqlite" and engine.url.database
    return str(engine.url.database) if is_file else engine.url.render_as_string(hide_password=True)


def _free(path: str) -> int:
    try:
        return shutil.disk_usage(Path(path).parent).free
    except OSError:
        return _LEAST_FREE  # no such folder: that is another mistake


def _is_lost(error: BaseException) -> bool:
    import psycopg  # noqa: PLC0415  30 ms that a SQLite project does not pay until something goes wrong

    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def _database_errors() -> tuple[type[Exception], ...]:
    import psycopg  # noqa: PLC0415  as above

    return (sa.exc.DBAPIError, sqlite3.Error, psycopg.Error)


def _driver(url: str) -> str:
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _hidden(url: str) -> str:
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return repr(url)


def _connect_args(url: str) -> dict[str, Any]:
    return {"timeout": 30} if url.startswith("sqlite") else {"connect_timeout": 10}


def _sqlite_settings(connection: Any, _record: object) -> None:  # noqa: ANN401  a DB-API connection
    for setting in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
