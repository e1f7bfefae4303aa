"""A project is a folder: config, picture shards, tables, journal, releases, models; and its locks.

    birds/
      pictus.toml      name, format, database URL
      shards/          pictures-00000.tar …
      tables/          *.lance
      journal.sqlite   votes, annotators, events
      releases/<version>/   models/<run>/   bundles/<run>/   cache/ (can always be deleted)
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pictus.clock import now
from pictus.errors import UserError
from pictus.progress import Progress, Silent

if TYPE_CHECKING:
    from pictus.journal import Journal
    from pictus.tables import Tables

FORMAT = 1
CONFIG_NAME = "pictus.toml"


@dataclass(frozen=True)
class Project:
    """One opened project. Steps take it first; it holds paths and doors to storage, no logic."""

    root: Path
    name: str
    database_url: str = ""
    progress: Progress = field(default_factory=Silent, compare=False)

    @property
    def exists(self) -> bool:
        """False for a bare folder: it has no tables and no journal."""
        return (self.root / CONFIG_NAME).is_file()

    @cached_property
    def tables(self) -> "Tables":
        from pictus.tables import Tables  # noqa: PLC0415  pyarrow only where tables are used

        return Tables(self.root / "tables")

    @cached_property
    def journal(self) -> "Journal":
        from pictus.journal import Journal  # noqa: PLC0415  sqlalchemy only where votes are used

        if self.database_url:
            return Journal.open(self.database_url)
        path = self.root / "journal.sqlite"
        _check_journal(path, self.tables)
        return Journal.open(f"sqlite:///{path}")

    @property
    def shards_dir(self) -> Path:
        return self.root / "shards"

    @property
    def releases_dir(self) -> Path:
        return self.root / "releases"

    @property
    def models_dir(self) -> Path:
        return self.root / "models"

    @property
    def bundles_dir(self) -> Path:
        return self.root / "bundles"

    @property
    def cache_dir(self) -> Path:
        return self.root / "cache"

    @contextmanager
    def lock(self, stage: str) -> Iterator[None]:
        """One writer per stage: a second process is told who holds it. Freed by any kind of exit."""
        with _opened_lock(self.root / "locks" / f"{stage}.lock") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _busy(self, stage, os.pread(held, 1000, 0).decode(errors="replace")) from None
            os.ftruncate(held, 0)
            with suppress(OSError):  # on a full disk the lock still holds; only who holds it is not told
                os.pwrite(held, json.dumps({"pid": os.getpid(), "since": now()}).encode(), 0)
            try:
                yield
            finally:
                os.ftruncate(held, 0)
                fcntl.flock(held, fcntl.LOCK_UN)


def is_locked(root: Path, stage: str) -> bool:
    """Whether a process works on a folder: it holds the lock, be it on another machine that shares the folder. A kill
    frees it at once.
    """
    path = root / "locks" / f"{stage}.lock"
    try:
        if not path.stat().st_size:  # whoever ends by itself empties it; a pipe is not waited for
            return False
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True  # somebody holds it
    except OSError:
        return False  # there is none, or it cannot be read
    return False


def new(path: str | Path, *, name: str = "", database_url: str = "") -> Project:
    """Make a project folder. It may exist, but must not hold a project already."""
    root = Path(path).expanduser().resolve()
    if (root / CONFIG_NAME).exists():
        raise UserError(f"{root} is a project already.", fix=f"cd {root} && pictus status")
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file, not a folder.", fix="pictus new ANOTHER-NAME")
    root.mkdir(parents=True, exist_ok=True)
    lines = [f"name = {json.dumps(name or root.name)}", f"format = {FORMAT}"]
    if database_url:
        lines.append(f"database_url = {json.dumps(database_url)}")
    write_text(root / CONFIG_NAME, "\n".join(lines) + "\n")
    return open_project(root)


def open_project(path: str | Path = ".", *, progress: Progress | None = None) -> Project:
    """Open the project at `path`, or the nearest one above it."""
    root = find_root(path)
    if root is None:
        raise UserError(
            f"There is no Pictus project at {Path(path).expanduser().resolve()} or above it ({CONFIG_NAME} not found).",
            fix="pictus new NAME && cd NAME    or add    --project FOLDER",
        )
    return _read(root, progress or Silent())


def find_root(path: str | Path = ".") -> Path | None:
    """The folder of the project at `path` or above it."""
    start = Path(path).expanduser().resolve()
    return next((folder for folder in (start, *start.parents) if (folder / CONFIG_NAME).is_file()), None)


def bare(path: str | Path = ".", *, progress: Progress | None = None) -> Project:
    """A folder without a project, for steps that need only a release: runs are written to models/ in it."""
    root = Path(path).expanduser().resolve()
    return Project(root, root.name, "", progress or Silent())


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: temporary name, fsync, rename."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    try:
        with temporary.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritten(path, error) from error


def safe_name(name: str, kind: str) -> str:
    """`name` if it can be one path component (a version, a run), else a UserError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise UserError(
            f"{name!r} cannot be a {kind}: use letters, digits, '.', '_', '-', '+' and start with a letter or digit."
        )
    return name


_AFTER_JOURNAL = ("labels", "splits", "verdicts")
"""Their steps read the journal before they write: where one of these is, a journal was."""


def _check_journal(path: Path, tables: "Tables") -> None:
    """SQLite takes an empty file for a new database: votes that were lost would go unmentioned."""
    if not path.is_file() or path.stat().st_size:
        return
    made = [name for name in _AFTER_JOURNAL if tables.exists(name)]
    if made:
        raise UserError(
            f"The journal (votes and events) {path} is empty, but the project has {', '.join(made)}: it was lost.",
            fix=f"restore it from a copy; or go on without its votes and events:    rm {shlex.quote(str(path))}",
        )


@contextmanager
def _opened_lock(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(exist_ok=True)
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        yield held
    finally:
        os.close(held)


def _unwritten(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} could not be written: {error.strerror or error}.",
        fix="free some space or mend the folder's permissions, then run the same command again",
    )


def _read(root: Path, progress: Progress) -> Project:
    path = root / CONFIG_NAME
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
        found, name = int(config["format"]), str(config["name"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a project file: {error}.", fix="restore it, or make a new project") from error
    if found > FORMAT:
        raise UserError(
            f"{path} has format {found}; this Pictus reads up to {FORMAT}.", fix="pip install --upgrade pictus"
        )
    return Project(root, name, str(config.get("database_url", "")), progress)


def _busy(project: Project, stage: str, holder: str) -> UserError:
    try:
        who = json.loads(holder)
        by = f"process {who['pid']} since {who['since']}"
    except (ValueError, KeyError):
        by = "another process"
    return UserError(
        f"{by[0].upper()}{by[1:]} is working on {stage!r} in {project.root}.",
        fix="wait for it to end, or stop it; then run the same command again: it continues where that one stopped",
    )
