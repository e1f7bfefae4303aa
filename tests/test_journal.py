"""The journal on SQLite and on a PostgreSQL server started for these tests."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from pictus.errors import UserError
from pictus.journal import Journal, latest_votes
from pictus.migrations import MIGRATIONS
from pictus.records import Vote

IMAGE_A, IMAGE_B = "a" * 64, "b" * 64


def postgres_bin() -> Path:
    """The newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).parent
    pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")


def as_plain_user() -> tuple[list[str], int]:
    """PostgreSQL refuses to run as root: the words to put before a command, and the user's id."""
    if os.getuid():
        return [], os.getuid()
    for name in ("postgres", "nobody"):
        try:
            return ["runuser", "-u", name, "--"], pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    pytest.skip("PostgreSQL cannot run as root, and there is no user postgres or nobody")


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    """A throw-away cluster on a unix socket; gives the address of its database."""
    programs, (prefix, uid) = postgres_bin(), as_plain_user()
    folder = Path(tempfile.mkdtemp(prefix="pictus-pg-"))
    os.chown(folder, uid, -1)
    data = str(folder / "data")
    log = (folder / "calls.log").open("w", encoding="utf-8")

    def call(*words: str) -> None:
        done = subprocess.run([*prefix, *words], cwd="/", timeout=60, check=False, stdout=log, stderr=subprocess.STDOUT)
        assert done.returncode == 0, Path(log.name).read_text(encoding="utf-8")

    call(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "pictus", "--no-sync", "-E", "UTF8", "--locale=C")
    settings = f"-k {folder} -c listen_addresses= -c fsync=off"
    control = [str(programs / "pg_ctl"), "-D", data, "-w", "-t", "50"]
    call(*control, "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield f"postgresql://pictus@/postgres?host={folder}"
    finally:
        call(*control, "-m", "immediate", "stop")
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.sqlite'}"
    return emptied(request.getfixturevalue("postgres_server"))


def emptied(address: str) -> str:
    engine = sa.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return address


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    opened = Journal.open(url)
    yield opened
    opened.engine.dispose()


def vote(
    image_id: str = IMAGE_A, annotator: str = "ada", answer: str = "yes", *, question: str = "owl", source: str = "one"
) -> Vote:
    return Vote(image_id, annotator, question, answer, source, "2026-01-01T00:00:00Z")


def test_votes_come_back_as_they_were_cast(journal: Journal) -> None:
    cast = [vote(), vote(annotator="b'ob; --"), vote(IMAGE_B, question="", answer='Ürgel 🦉, "x"\t\\N 100%')]
    assert journal.add_votes(cast) == (3, 0)
    assert [Vote(**row) for row in journal.votes().to_pylist()] == cast
    assert journal.history(IMAGE_B) == cast[2:]


def test_the_same_row_twice_is_added_once(journal: Journal) -> None:
    assert journal.add_votes([vote(), vote(annotator="bob"), vote()]) == (2, 1)
    assert journal.add_votes([vote(), vote(annotator="cleo")]) == (1, 1)
    assert journal.vote_count() == 3


def test_a_later_vote_supersedes_and_the_earlier_stays_as_history(journal: Journal) -> None:
    journal.add_votes([vote(answer="yes"), vote(IMAGE_B), vote(answer="no", source="two")])
    current = journal.votes(IMAGE_A).to_pylist()
    assert [row["answer"] for row in current] == ["no"]
    assert [entry.answer for entry in journal.history(IMAGE_A)] == ["yes", "no"]
    assert journal.votes().num_rows == 2
    assert journal.vote_count() == 3


def test_the_last_answer_of_one_annotator_to_one_question_counts() -> None:
    names = ("image_id", "annotator", "question", "answer")
    rows = [("a", "ada", "", "owl"), ("a", "bob", "", "owl"), ("a", "ada", "owl", "no"), ("a", "ada", "", "wren")]
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    assert latest_votes(table).to_pylist() == table.to_pylist()[1:]
    assert latest_votes(table.slice(0, 0)).num_rows == 0


def test_votes_of_one_source_are_found(journal: Journal) -> None:
    journal.add_votes([vote(source="a_b@1"), vote(IMAGE_B, source="aXb@1"), vote(annotator="bob", source="a_b@2")])
    assert journal.votes(source="aXb@1").column("image_id").to_pylist() == [IMAGE_B]
    assert journal.vote_sources("a_b@") == {"a_b@1", "a_b@2"}
    assert journal.vote_sources("nothing") == set()


def test_a_table_of_votes_is_added_in_one_transaction(journal: Journal) -> None:
    many = 120_000  # more than two batches
    table = pa.table({
        "voted_at": ["2026-01-01T00:00:00Z"] * many, "source": ["bulk"] * many, "question": [""] * many,
        "image_id": [f"{row:064x}" for row in range(many)], "annotator": ["ada"] * many, "answer": ["owl"] * many,
    })  # fmt: skip
    assert journal.add_vote_table(table) == (many, 0)
    assert journal.add_vote_table(table.slice(0, 1000)) == (0, 1000)
    found = journal.votes()
    assert found.num_rows == many
    assert found.column("image_id").to_pylist() == table.column("image_id").to_pylist()
    broken = table.slice(0, 2).set_column(0, "voted_at", pa.array(["2026-01-01T00:00:00Z", None])).set_column(
        1, "source", pa.array(["new", "new"])
    )
    with pytest.raises(Exception, match=r"(?i)not.null"):
        journal.add_vote_table(broken)
    assert journal.vote_count() == many


def test_no_votes_is_an_empty_table_with_its_columns(journal: Journal) -> None:
    assert journal.votes().num_rows == 0
    assert journal.votes().column_names == list(Vote.__dataclass_fields__)
    assert journal.add_votes([]) == (0, 0)


def test_events_are_read_latest_first(journal: Journal) -> None:
    journal.log("annotate", "votes_imported", subject="x", added=3)
    journal.log("annotate", "labels_settled", subject="y", accepted=[1, 2], note="ü")
    assert [event.event for event in journal.events()] == ["labels_settled", "votes_imported"]
    assert journal.events("y")[0].data == {"accepted": [1, 2], "note": "ü"}
    assert journal.events(limit=1)[0].subject == "y"


def test_the_latest_event_of_one_name_is_found_however_much_came_after(journal: Journal) -> None:
    for added in (1, 2):
        journal.log("annotate", "votes_imported", subject="x", added=added)
    journal.log("annotate", "labels_settled", subject="x")
    assert [event.data for event in journal.events(event="votes_imported", limit=1)] == [{"added": 2}]
    assert journal.events("y", event="votes_imported") == []


def test_opening_twice_and_at_once_migrates_once(url: str) -> None:
    failed: list[BaseException] = []

    def opened() -> None:
        try:
            Journal.open(url).engine.dispose()
        except BaseException as error:  # noqa: BLE001  handed to the test
            failed.append(error)

    threads = [threading.Thread(target=opened) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    journal = Journal.open(url)
    with journal.engine.connect() as connection:
        numbers = list(connection.execute(sa.text("SELECT number FROM migrations ORDER BY number")).scalars())
    journal.engine.dispose()
    assert numbers == list(range(1, len(MIGRATIONS) + 1))


def test_two_writers_lose_nothing(url: str) -> None:
    journals = [Journal.open(url) for _ in range(2)]

    def cast(writer: int) -> None:
        for row in range(30):
            journals[writer].add_votes([vote(f"{writer}{row:063x}")])

    threads = [threading.Thread(target=cast, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journals[0].vote_count() == 60
    for journal in journals:
        journal.engine.dispose()


def test_a_database_of_a_newer_pictus_is_refused(url: str) -> None:
    journal = Journal.open(url)
    with journal.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO migrations VALUES (999, 'later')"))
    journal.engine.dispose()
    with pytest.raises(UserError, match="migration 999"):
        Journal.open(url)


def test_a_full_disk_is_a_message_and_loses_nothing(tmp_path: Path) -> None:
    journal = Journal.open(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    journal.add_votes([vote()])
    sa.event.listen(journal.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA max_page_count = 20"))
    with pytest.raises(UserError, match="disk is full") as error:
        journal.add_votes([vote(f"{row:064x}") for row in range(5000)])
    assert "run the same command again" in error.value.fix
    assert journal.vote_count() == 1
    journal.engine.dispose()


FULL = """
import os, resource, sys
from pictus.errors import UserError
from pictus.journal import Journal
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    journal = Journal.open(f"sqlite:///{sys.argv[1]}")
    journal.log("clean", "pictures_screened", note="x" * 50_000)
except UserError as error:
    print(error)
"""
"""Files may grow to so many bytes: at 1,000 the database cannot even be opened, at 20,000 an event does not fit."""


@pytest.mark.parametrize("limit", [1_000, 20_000])
def test_a_disk_that_is_full_from_the_start_is_called_full(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(f"sqlite:///{path}")
    journal.add_votes([vote()])
    journal.engine.dispose()
    command = [sys.executable, "-c", FULL, str(path), str(limit)]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
    assert done.stdout.startswith(f"The disk is full: {path} could not be written"), done.stdout + done.stderr
    assert "it continues where it stopped" in done.stdout
    again = Journal.open(f"sqlite:///{path}")
    assert again.vote_count() == 1
    again.log("clean", "pictures_screened")
    again.engine.dispose()


CALLS: dict[str, Callable[[Journal], object]] = {
    "events": lambda journal: journal.events(),
    "events of one": lambda journal: journal.events("s7"),
    "log": lambda journal: journal.log("clean", "pictures_screened", subject="s1"),
    "votes": lambda journal: journal.votes(),
    "votes of one": lambda journal: journal.votes(IMAGE_A),
    "history": lambda journal: journal.history(IMAGE_A),
    "vote count": lambda journal: journal.vote_count(),
    "vote sources": lambda journal: journal.vote_sources("o"),
    "add votes": lambda journal: journal.add_votes([vote(annotator="zoe")]),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SQLite journal of 501 votes and 200 events, as its file."""
    path = tmp_path_factory.mktemp("filled") / "journal.sqlite"
    journal = Journal.open(f"sqlite:///{path}")
    journal.add_votes([vote(f"{row:064x}") for row in range(500)] + [vote()])
    for row in range(200):
        journal.log("clean", "pictures_screened", subject=f"s{row}")
    journal.engine.dispose()
    return path.read_bytes()


@pytest.mark.parametrize("name", CALLS)
def test_damaged_pages_are_a_message_with_the_way_back(tmp_path: Path, filled: bytes, name: str) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(filled)
    journal = Journal.open(f"sqlite:///{path}")
    path.write_bytes(filled[:4096] + b"\xff" * (len(filled) - 4096))  # every page but the first
    with pytest.raises(UserError, match="is damaged") as error:
        CALLS[name](journal)
    journal.engine.dispose()
    assert str(path) in error.value.what
    assert f"sqlite3 {path} .dump" in error.value.fix
    with pytest.raises(UserError, match="is damaged"):
        Journal.open(f"sqlite:///{path}")


@pytest.mark.parametrize("seed", range(8))
def test_no_scattered_damage_ends_in_a_traceback(tmp_path: Path, filled: bytes, seed: int) -> None:
    """200 bytes anywhere: a call answers, or says that the journal is damaged. (Seeds 0 to 7 meet both.)"""
    path = tmp_path / "journal.sqlite"
    generator, broken = random.Random(seed), bytearray(filled)
    for _ in range(200):
        broken[generator.randrange(4096, len(broken))] = generator.randrange(256)
    path.write_bytes(broken)
    told: list[str] = []
    for call in CALLS.values():
        with noted(told):
            journal = Journal.open(f"sqlite:///{path}")
            try:
                call(journal)
            finally:
                journal.engine.dispose()
    assert all("is damaged" in what for what in told)


@contextmanager
def noted(told: list[str]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        told.append(error.what)


def test_an_event_that_is_no_longer_json_is_damage(tmp_path: Path) -> None:
    journal = Journal.open(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    journal.log("clean", "pictures_screened")
    with journal.engine.begin() as connection:
        connection.execute(sa.text("UPDATE events SET data = '{\"kept'"))
    with pytest.raises(UserError, match="is damaged"):
        journal.events()
    journal.engine.dispose()


def test_the_way_back_that_is_told_saves_what_can_be_read(tmp_path: Path, filled: bytes) -> None:
    if not shutil.which("sqlite3"):
        pytest.skip("the program sqlite3 is not installed (Debian: sqlite3)")
    path = tmp_path / "a project" / "journal.sqlite"
    path.parent.mkdir()
    whole = bytearray(filled)
    end = len(whole)
    whole[end - 4096 :] = b"\xff" * 4096
    path.write_bytes(whole)
    error = damage_of(path)
    subprocess.run(["sh", "-c", error.fix.partition(":    ")[2]], check=True, timeout=60, cwd=tmp_path)
    journal = Journal.open(f"sqlite:///{path}")
    assert 400 <= journal.vote_count() <= 501
    assert path.with_name("journal.sqlite.damaged").read_bytes()[-4096:] == b"\xff" * 4096, "nothing is thrown away"
    journal.log("clean", "pictures_screened")
    assert len(journal.events(limit=1000)) > 100
    journal.engine.dispose()


def damage_of(path: Path) -> UserError:
    """What the first call says that meets the damage."""
    for call in CALLS.values():
        journal = Journal.open(f"sqlite:///{path}")
        try:
            call(journal)
        except UserError as error:
            return error
        finally:
            journal.engine.dispose()
    pytest.fail("no call met the damage")


@pytest.mark.postgres
def test_a_server_that_has_gone_is_a_message(postgres_server: str) -> None:
    journal = Journal.open(emptied(postgres_server))
    with journal.engine.connect() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    other = Journal.open(postgres_server)
    with other.engine.begin() as connection:
        connection.execute(sa.text(f"SELECT pg_terminate_backend({pid})"))
    with pytest.raises(UserError, match="cannot be reached"):
        journal.vote_count()
    assert journal.vote_count() >= 0, "the next call connects anew"
    for one in (journal, other):
        one.engine.dispose()


def test_a_killed_import_leaves_no_half(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(f"sqlite:///{path}").engine.dispose()
    program = f"""
import os, signal
import pictus.journal as module
from pictus.records import Vote
module._BATCH = 10
journal = module.Journal.open("sqlite:///{path}")
insert = module._insert_by_rows
def killed(connection, votes):
    insert(connection, votes)
    os.kill(os.getpid(), signal.SIGKILL)
module._insert_by_rows = killed
journal.add_votes([Vote(f"{{row:064x}}", "ada", "", "owl", "s", "t") for row in range(500)])
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM votes").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("address", ["nonsense", "oracle9://x/y", "postgresql://nobody:secret@127.0.0.1:1/none"])
def test_an_address_that_leads_nowhere_is_a_message_without_the_password(address: str) -> None:
    with pytest.raises(UserError) as error:
        Journal.open(address)
    assert "secret" not in str(error.value)
    assert error.value.fix


def test_a_transaction_is_all_or_nothing(url: str) -> None:
    journal = Journal.open(url)
    insert = sa.text("INSERT INTO heaps VALUES ('grid', :concept_id, 'open', 1, '', 0)")
    with journal.transaction() as connection:
        connection.execute(insert, {"concept_id": "kept"})
    with suppress(RuntimeError), journal.transaction() as connection:
        connection.execute(insert, {"concept_id": "undone"})
        raise RuntimeError
    with journal.transaction() as connection:
        assert connection.execute(sa.text("SELECT concept_id FROM heaps")).scalars().all() == ["kept"]
    journal.engine.dispose()


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[tuple[Journal, Path]]:
    """A journal in use, with one heap in it, and its file."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(f"sqlite:///{path}")
    with journal.transaction() as connection:
        connection.execute(sa.text("INSERT INTO heaps VALUES ('grid', 'owl', 'open', 1, '', 0)"))
    yield journal, path
    journal.engine.dispose()


def _used(journal: Journal) -> list[Callable[[], object]]:
    def transact() -> None:
        with journal.transaction() as connection:
            connection.execute(sa.text("UPDATE heaps SET waiting = 5"))

    def read() -> object:
        with journal.reading() as connection:
            return connection.execute(sa.text("SELECT waiting FROM heaps")).scalar_one()

    log, add = partial(journal.log, "annotate", "x"), partial(journal.add_votes, [vote()])
    return [transact, read, log, journal.vote_count, add]


def test_a_file_that_was_deleted_takes_in_nothing_more(
    lost: tuple[Journal, Path], caplog: pytest.LogCaptureFixture
) -> None:
    journal, path = lost
    for side in path.parent.glob("journal.sqlite*"):
        side.unlink()
    for use in _used(journal):
        with pytest.raises(UserError, match="is not there any more") as told:
            use()
        assert isinstance(told.value.__cause__, sqlite3.OperationalError), "for the desk: the database is away"
    assert not path.exists(), "and no empty one is made in its place"
    assert [record.message for record in caplog.records] == [f"{path} is not there any more: nothing is written."]


def test_a_file_in_whose_place_another_was_put_takes_in_nothing_more(
    lost: tuple[Journal, Path], caplog: pytest.LogCaptureFixture
) -> None:
    journal, path = lost
    copy = path.with_name("copy.sqlite")
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    for one in (source, target):
        one.close()
    kept = path.rename(path.with_name("kept.sqlite"))
    copy.rename(path)
    for use in _used(journal):
        with pytest.raises(UserError, match="Another file was put in the place of"):
            use()
    path.unlink()
    kept.rename(path)
    for use in _used(journal):
        use()
    assert len(caplog.records) == 1


def test_a_file_deleted_while_somebody_writes_is_not_acknowledged(lost: tuple[Journal, Path]) -> None:
    journal, path = lost

    def write() -> None:
        with journal.transaction() as connection:
            connection.execute(sa.text("UPDATE heaps SET waiting = 7"))
            path.unlink()

    with pytest.raises(UserError, match="is not there any more"):
        write()


def test_a_folder_that_went_with_the_file_is_told_the_same_way(lost: tuple[Journal, Path]) -> None:
    journal, path = lost
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    with pytest.raises(UserError, match="is not there any more"):
        journal.vote_count()
    moved.rename(path.parent)
    assert journal.vote_count() == 0
