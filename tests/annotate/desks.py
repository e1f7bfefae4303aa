"""A project with a desk, on SQLite and on a PostgreSQL server started for these tests; its fixtures are in conftest."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id

import pictus
from pictus.annotate.desk import session_steps
from pictus.annotate.desk.conduct import Limits
from pictus.annotate.desk.desk_steps import Desk, open_desk
from pictus.annotate.desk.moments import later
from pictus.annotate.desk.people import Invitation
from pictus.annotate.review.said_steps import votes_of_people
from pictus.annotate.stops.stopping import Stops
from pictus.annotate.tasks import Given, Page, Person
from pictus.records import Concept, Picture, Source
from pictus.tables import table_of

START = "2026-01-01T10:00:00Z"
UNHURRIED = Limits(fast_s=0.0)


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> str:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at = later(self.at, seconds)


def put_questions(
    project: pictus.Project, count: int, *, concept: str = "owl", kind: str = "grid", wanted: int = 3, known: str = "",
    first: int = 0, priority: float = 1.0, fold: Callable[[int], str] = lambda _: "",
    score: Callable[[int], float] = lambda _: 0.0,
) -> list[str]:  # fmt: skip
    """Questions of one heap, as `annotate plan` puts them in -> the pictures."""
    names = [image_id(f"{concept}{number}") for number in range(first, first + count)]
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases,"
                " wanted, posterior, score, fold, known) VALUES (:kind, :concept, :image, 0, 'open', :priority, '', 0,"
                " 0, :wanted, 0.5, :score, :fold, :known)"
            ),
            [
                {"kind": kind, "concept": concept, "image": name, "priority": priority, "wanted": wanted,
                 "score": score(number), "fold": fold(number), "known": known}
                for number, name in enumerate(names)
            ],
        )  # fmt: skip
        connection.execute(
            sa.text(
                "INSERT INTO heaps (kind, concept_id, state, priority, reason, waiting) VALUES (:kind, :concept,"
                " 'open', :priority, 'few pictures so far', :count) ON CONFLICT (kind, concept_id)"
                " DO UPDATE SET waiting = heaps.waiting + excluded.waiting"
            ),
            {"kind": kind, "concept": concept, "priority": priority, "count": 0 if known else count},
        )
    return names


@contextmanager
def postgres() -> Iterator[str]:
    """A throw-away cluster on a unix socket; gives the address of its database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    prefix, uid = ([], os.getuid()) if os.getuid() else (["runuser", "-u", "postgres", "--"], _postgres_uid())
    folder = Path(tempfile.mkdtemp(prefix="pictus-pg-"))
    os.chown(folder, uid, -1)
    control = [*prefix, str(found[-1].parent / "pg_ctl"), "-D", str(folder / "data"), "-w", "-t", "50"]
    settings = f"-k {folder} -c listen_addresses= -c fsync=off"
    made = [*prefix, str(found[-1]), "-D", str(folder / "data"), "-A", "trust", "-U", "pictus", "--no-sync",
            "-E", "UTF8", "--locale=C"]  # fmt: skip
    with (folder / "calls.log").open("w") as log:
        for words in (made, [*control, "-l", str(folder / "log"), "-o", settings, "start"]):
            subprocess.run(words, cwd="/", timeout=60, check=True, stdout=log, stderr=log)
        try:
            yield f"postgresql://pictus@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], cwd="/", timeout=60, check=True, stdout=log)
            shutil.rmtree(folder, ignore_errors=True)


def _postgres_uid() -> int:
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        pytest.skip("PostgreSQL cannot run as root, and there is no user postgres")


def emptied(address: str) -> str:
    """The server's database without tables."""
    engine = sa.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return address


def filled(project: pictus.Project) -> pictus.Project:
    concepts = [
        Concept("bird", ("bird",), "a warm-blooded egg-laying vertebrate"),
        Concept("owl", ("owl",), "a nocturnal bird of prey", ("bird",), is_class=True),
        Concept("wren", ("wren",), "a small brown songbird", ("bird",), is_class=True),
        Concept("crow", ("crow",), "", ("bird",), is_class=True),
    ]
    project.tables.replace("concepts", table_of("concepts", concepts))
    pictures = [Picture(image_id(f"owl{number}"), "s", 0, 1, 640, 480, "jpeg", "RGB", "") for number in range(200)]
    project.tables.append("images", table_of("images", pictures))
    return project


def desk_of(project: pictus.Project, clock: Clock | None = None, **more: Any) -> Desk:
    given: dict[str, Any] = {"rule": "fixed", "stops": Stops(most=3), "limits": UNHURRIED, "seed": 7}
    return open_desk(project, clock=clock or Clock(), **(given | more))


def someone(desk: Desk, name: str = "ada", role: str = "annotator") -> Person:
    person = desk.person(desk.kiosk(name, role=role))
    assert person is not None
    return person


def all_of(page: Page | None, answer: str = "yes") -> list[Given]:
    assert page is not None
    return [Given(item.position, answer) for item in page.items]


def rows(project: pictus.Project, query: str, **values: Any) -> list[Any]:
    with project.journal.transaction() as connection:
        return list(connection.execute(sa.text(query), values))


def link(project: pictus.Project, token: str = "t" * 43, *, uses: int = 1, quota: int = 0, days: float = 14) -> str:
    expires = later(START, days * 86400)
    with project.journal.transaction() as connection:
        session_steps.invite(connection, Invitation(token, "annotator", uses, quota, expires, ""), START)
    return token


def pictures_of(desk: Desk, page: Page | None, person: Any) -> list[str]:
    assert page is not None
    return [desk.picture(person, page.page_id, item.position) for item in page.items]


def claimed(project: pictus.Project, count: int = 6, concept: str = "owl") -> list[str]:
    """A folder claims this of so many pictures."""
    ids = [image_id(f"owl{number}") for number in range(count)]
    sources = [Source(one, f"/{concept}/{at}.jpg", "folder", concept, "", "", "", "") for at, one in enumerate(ids)]
    project.tables.append("sources", table_of("sources", sources))
    return ids


def counting_held_back(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Review counts votes only after this event is set."""
    may_go_on = threading.Event()

    def slow(project: pictus.Project) -> object:
        assert may_go_on.wait(60)
        return votes_of_people(project)

    monkeypatch.setattr("pictus.annotate.review.counting.votes_of_people", slow)
    return may_go_on
