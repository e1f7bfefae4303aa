"""Many people at once at the desk, with servers killed and the database gone: is any answer lost, doubled, misnamed?

    python benchmarks/annotate_load.py [--database sqlite|postgresql] [--people N] [--seconds 60] [--fault]
                                       [--questions 20000] [--pause 10]

Simulated annotators (50 on SQLite, 200 on PostgreSQL) talk HTTP on loopback to the desk in processes of its own: one
on SQLite, two on PostgreSQL, each killed with -9 once and started again; with --fault the database server is also
stopped for 30 s. Everybody takes a page, waits as long as --pause says on average (people need a minute for 48
pictures; 10 s is six times as much work), hands it in, sometimes twice, sometimes corrected, sometimes never, and
keeps a log of what was sent and what was acknowledged. At the end every acknowledged answer must be in the database
exactly once under the right name, and none that was not sent. Times are those of the whole request as its sender sees
it; "calm" leaves out what overlaps an outage and the 5 s after. The load is made on the same machine. Processor time is
that of the desk's processes from when they listen, without the database's and without the load's.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

import pictus
from pictus import annotate
from pictus.records import Concept
from pictus.tables import SCHEMAS, table_of

SERVER = """
import sys, uvicorn, pictus
from pictus.annotate.desk.desk_steps import Limits, open_desk
from pictus.web.desk.app import build_desk_app

project = pictus.open(sys.argv[1])
desk = open_desk(project, limits=Limits(accuracy=0, fast_s=0, pages=10**9))  # whoever answers by dice would be paused
print("ready", flush=True)
uvicorn.run(build_desk_app(project, desk), port=int(sys.argv[2]), log_level="warning", access_log=False)
"""

PER_HEAP = 2_000
OUTAGE_S = 30
CALM_AFTER_S = 5
DRAIN_S = 90
"""So long those whose answers wait for the connection may go on after the end."""


def image_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def fill(project: pictus.Project, questions: int) -> None:
    """Questions of one picture each, 2,000 a heap, 1 in 50 with a known answer, a third with a score."""
    heaps = -(-questions // PER_HEAP)
    concepts = [Concept(f"c{one}", (f"thing {one}",), f"gloss {one}", is_class=True) for one in range(heaps)]
    project.tables.replace("concepts", table_of("concepts", concepts))
    ids = [image_id(number) for number in range(questions)]
    columns = {"image_id": ids, "shard": ["s"] * questions, "format": ["jpeg"] * questions, "mode": ["RGB"] * questions,
               "added_at": [""] * questions}  # fmt: skip
    whole = {"offset": 0, "size": 1, "width": 640, "height": 480}
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns
        else pa.array(np.full(questions, whole[field.name]), field.type)
        for field in SCHEMAS["images"]
    ]  # fmt: skip
    project.tables.append("images", pa.Table.from_arrays(arrays, schema=SCHEMAS["images"]))
    names = ("kind", "concept_id", "image_id", "mark_id", "state", "priority", "reason", "votes", "leases", "wanted",
             "posterior", "score", "fold", "known")  # fmt: skip

    def rows() -> Iterator[tuple[Any, ...]]:
        for number, one in enumerate(ids):
            known = ("yes", "no")[number % 2] if number % 50 == 0 else ""
            score = (number % 100) / 100 if number % 3 == 0 else 0.0
            yield ("grid", f"c{number // PER_HEAP}", one, 0, "open", 1.0, "", 0, 0, 3, 0.5, score, "", known)

    with project.journal.transaction() as connection:
        cursor = connection.connection.cursor()
        if project.journal.engine.dialect.name == "postgresql":
            with cursor.copy(f"COPY questions ({', '.join(names)}) FROM STDIN") as copy:
                for row in rows():
                    copy.write_row(row)
        else:
            marks = ", ".join("?" * len(names))
            cursor.executemany(f"INSERT INTO questions ({', '.join(names)}) VALUES ({marks})", rows())
        cursor.close()
        for number in range(heaps):
            waiting = sum(place % 50 > 0 for place in range(number * PER_HEAP, min(questions, (number + 1) * PER_HEAP)))
            connection.execute(
                sa.text("INSERT INTO heaps VALUES ('grid', :concept, 'open', :priority, '', :waiting)"),
                {"concept": f"c{number}", "priority": 1 + number / heaps, "waiting": waiting},
            )
    is_postgres = project.journal.engine.dialect.name == "postgresql"
    tidy = "ANALYZE questions" if is_postgres else "PRAGMA wal_checkpoint(TRUNCATE)"
    with project.journal.engine.connect() as connection:  # what filling left to do is not part of the load
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(tidy)


class Postgres:
    """A server of its own, with its usual care for the disk."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        if not found:
            raise SystemExit("no PostgreSQL server is installed (Debian: postgresql)")
        self.prefix = ["runuser", "-u", "postgres", "--"] if not os.getuid() else []
        self.folder = Path(tempfile.mkdtemp(prefix="pictus-load-pg-"))
        if not os.getuid():
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        data = str(self.folder / "data")
        self.control = [*self.prefix, str(found[-1].parent / "pg_ctl"), "-D", data, "-w", "-t", "60"]
        self.call([*self.prefix, str(found[-1]), "-D", data, "-A", "trust", "-U", "pictus", "-E", "UTF8", "--locale=C"])
        self.address = f"postgresql://pictus@/postgres?host={self.folder}"

    def call(self, words: list[str]) -> None:
        with (self.folder / "calls.log").open("a") as log:
            subprocess.run(words, cwd="/", timeout=120, check=True, stdout=log, stderr=log)

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses="
        self.call([*self.control, "-l", str(self.folder / "log"), "-o", options, "start"])

    def stop(self) -> None:
        self.call([*self.control, "-m", "immediate", "stop"])


class Server:
    """One desk process; killed and started again it has the same port."""

    def __init__(self, project: pictus.Project) -> None:
        self.project = project
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.cpu_s = 0.0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-c", SERVER, str(self.project.root), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit("the server did not start: run its lines by hand (SERVER in this file)")
        self.cpu_s -= self._used()  # starting is no part of answering

    def kill(self) -> None:
        assert self.process
        self.cpu_s += self._used()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def _used(self) -> float:
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class GoneError(Exception):
    """No answer, or "try again later"."""


class Annotator:
    """Asks, waits, answers, and writes down what was said to whom."""

    def __init__(self, name: str, ports: list[int], seed: int, pause_s: float) -> None:
        self.name, self.ports, self.pause_s = name, ports, pause_s
        self.chance = random.Random(seed)
        self.cookie = ""
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent: dict[tuple[str, int], list[str]] = {}
        self.acknowledged: set[tuple[str, int]] = set()
        self.times: list[tuple[str, float, float]] = []  # what, when it began, how long
        self.told: Counter[str] = Counter()

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request. GoneError where there is no answer, or the desk says that it will do later."""
        try:
            status, found = await asyncio.wait_for(self._ask(method, path, body), 60)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.told["no answer"] += 1
            if self.streams:
                self.streams[1].close()
            self.streams = None
            self.ports.append(self.ports.pop(0))  # the other server, where there is one
            raise GoneError from error
        if status >= 500:
            self.told[f"status {status}"] += 1
            raise GoneError
        return status, found

    async def _ask(self, method: str, path: str, body: object) -> tuple[int, Any]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.ports[0])
        reader, writer = self.streams
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.ports[0]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(data)}\r\nx-pictus: desk\r\ncookie: {self.cookie}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", answer, re.IGNORECASE)
        content = await reader.readexactly(int(length[1])) if length else b"{}"
        if cookie := re.search(r"set-cookie: ([^;]+)", answer, re.IGNORECASE):
            self.cookie = cookie[1]
        return int(answer.split(" ", 2)[1]), json.loads(content)

    async def timed(self, what: str, method: str, path: str, body: object) -> tuple[int, Any]:
        began = time.monotonic()
        answer = await self.ask(method, path, body)
        self.times.append((what, began, time.monotonic() - began))
        return answer

    async def until_told(self, what: str, method: str, path: str, body: object, until: float) -> tuple[int, Any] | None:
        """The same again until there is an answer, as the page's own queue does."""
        while time.monotonic() < until:
            try:
                return await self.timed(what, method, path, body)
            except GoneError:
                self.told["again"] += 1
                await asyncio.sleep(0.5 + self.chance.random())
        return None

    async def work(self, token: str, until: float) -> None:
        await asyncio.sleep(self.chance.random() * min(self.pause_s, 10))
        joined = await self.until_told("join", "POST", "/desk/join", {"token": token, "name": self.name}, until)
        if joined and joined[0] != 200:  # the acknowledgement was lost: a name is joined by once
            self.told["not joined"] += 1
        while time.monotonic() < until and self.cookie:
            ask = {"kind": "grid", "concept": "", "except": []}
            found = await self.until_told("next", "POST", "/desk/next", ask, until)
            if found is None:
                return
            page = found[1].get("page")
            if not page:
                self.told[str(found[1].get("why") or found[1])[:60]] += 1
                await asyncio.sleep(1)
                continue
            looks_s = self.chance.expovariate(1 / self.pause_s) if self.pause_s else 0
            await asyncio.sleep(min(looks_s, max(0.0, until - time.monotonic())))
            if time.monotonic() >= until:
                self.told["in hand at the end"] += 1
                return
            await self.finish(page, until)

    async def finish(self, page: dict[str, Any], until: float) -> None:
        """Hand it in; sometimes twice, corrected, given back, or never."""
        dice = self.chance.random()
        at = f"/desk/pages/{page['page_id']}"
        if dice < 0.02:
            await self.until_told("release", "POST", at + "/release", {}, until)
            return
        if dice < 0.03:
            return  # a closed window: the same page comes again
        if await self.hand_in(page, page["revision"] + 1, until) and dice > 0.9:
            if dice > 0.95:
                await self.hand_in(page, page["revision"] + 1, until, again=True)
            else:
                await self.hand_in(page, page["revision"] + 2, until)

    async def hand_in(self, page: dict[str, Any], revision: int, until: float, *, again: bool = False) -> bool:
        key = (page["page_id"], revision)
        if not again:
            self.sent[key] = self.chance.choices(("yes", "no", "unsure"), (5, 5, 1), k=len(page["items"]))
        body = {"revision": revision, "seconds": self.pause_s,
                "answers": [{"position": n, "answer": one} for n, one in enumerate(self.sent[key])]}  # fmt: skip
        found = await self.until_told("submit", "POST", f"/desk/pages/{key[0]}", body, until + DRAIN_S)
        if found is None:
            self.told["never told"] += 1
            return False
        if found[0] != 200:
            self.told[f"submit {found[0]}: {found[1].get('error', {}).get('what')}"[:90]] += 1
            return False
        self.told["handed in again"] += again
        self.acknowledged.add(key)
        return True


def checked(project: pictus.Project, people: list[Annotator]) -> dict[str, int]:
    """What the database holds beside what the senders know."""
    project.journal.engine.dispose()  # connections of before an outage
    with project.journal.engine.connect() as connection:
        stored: dict[tuple[str, str, int], dict[int, str]] = {}
        doubled = 0
        query = "SELECT annotator, page_id, revision, position, answer FROM answers WHERE kind = 'grid'"
        for annotator, page_id, revision, position, answer in connection.execute(sa.text(query)):
            page = stored.setdefault((annotator, page_id, revision), {})
            doubled += position in page
            page[position] = answer
        votes = connection.execute(sa.text("SELECT COUNT(*) FROM votes")).scalar_one()
        voting = connection.execute(
            sa.text("SELECT COUNT(*) FROM answers WHERE kind = 'grid' AND role IN ('ask', 'gold')")
        ).scalar_one()
        wrong_counts = connection.execute(
            sa.text(
                "SELECT COUNT(*) FROM (SELECT q.question_id, q.votes, COUNT(DISTINCT a.annotator) AS found"
                " FROM questions q JOIN answers a ON a.question_id = q.question_id AND a.role = 'ask'"
                " GROUP BY q.question_id, q.votes) AS counted WHERE votes <> found"
            )
        ).scalar_one()
        wrong_leases = connection.execute(
            sa.text(
                "SELECT (SELECT COALESCE(SUM(leases), 0) FROM questions) - (SELECT COUNT(*) FROM page_items i"
                " JOIN pages p ON p.page_id = i.page_id WHERE p.state = 'leased' AND i.role = 'ask')"
            )
        ).scalar_one()
        wrong_heaps = connection.execute(
            sa.text(
                "SELECT COUNT(*) FROM heaps h WHERE waiting <> (SELECT COUNT(*) FROM questions q WHERE q.kind = h.kind"
                " AND q.concept_id = h.concept_id AND q.state = 'open' AND q.known = '')"
            )
        ).scalar_one()
    lost = unsent = 0
    names = {person.name: person for person in people}
    for person in people:
        for page_id, revision in person.acknowledged:
            found = stored.get((person.name, page_id, revision), {})
            lost += sum(found.get(place) != answer for place, answer in enumerate(person.sent[page_id, revision]))
    for (annotator, page_id, revision), found in stored.items():
        known = names[annotator].sent.get((page_id, revision), []) if annotator in names else []
        unsent += sum(place >= len(known) or known[place] != answer for place, answer in found.items())
    return {"answers_stored": sum(map(len, stored.values())), "lost": lost, "doubled": doubled,
            "not_sent_or_misnamed": unsent, "votes_missing_or_extra": int(votes) - int(voting),
            "wrong_vote_counts": int(wrong_counts), "wrong_lease_counts": int(wrong_leases),
            "wrong_heaps": int(wrong_heaps)}  # fmt: skip


async def faults(servers: list[Server], database: Postgres | None, seconds: float) -> list[tuple[float, float]]:
    """Each server killed once and started again, then the database gone -> when something was away."""
    away = []
    for number, server in enumerate(servers):
        await asyncio.sleep(seconds * 0.2 if number else seconds * 0.25)
        began = time.monotonic()
        server.kill()
        await asyncio.to_thread(server.start)
        away.append((began, time.monotonic()))
    if database:
        await asyncio.sleep(seconds * 0.15)
        began = time.monotonic()
        await asyncio.to_thread(database.stop)
        await asyncio.sleep(OUTAGE_S)
        await asyncio.to_thread(database.start)
        away.append((began, time.monotonic()))
    return away


@contextmanager
def stage(kind: str, questions: int) -> Iterator[tuple[pictus.Project, list[Server], Postgres | None]]:
    """Everything started; and ended whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="pictus-load-"))
    database = Postgres() if kind == "postgresql" else None
    servers: list[Server] = []
    try:
        if database:
            database.start()
        project = pictus.new(folder / "project", database_url=database.address if database else "")
        fill(project, questions)
        servers = [Server(project) for _ in range(2 if database else 1)]
        for server in servers:
            server.start()
        yield project, servers, database
        project.journal.engine.dispose()
    finally:
        for server in servers:
            if server.process and server.process.poll() is None:
                server.kill()
        if database:
            with suppress(subprocess.SubprocessError):  # it may be stopped already
                database.stop()
            shutil.rmtree(database.folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


async def run(
    project: pictus.Project, servers: list[Server], database: Postgres | None, asked: argparse.Namespace
) -> tuple[list[Annotator], list[tuple[float, float]]]:
    token = next(iter(annotate.invite(project, uses=asked.people + 20))).token
    ports = [server.port for server in servers]
    people = [
        Annotator(f"person {number}", ports[number % len(ports) :] + ports[: number % len(ports)], number, asked.pause)
        for number in range(asked.people)
    ]
    until = time.monotonic() + asked.seconds
    breaking = asyncio.create_task(faults(servers, database if asked.fault else None, asked.seconds))
    await asyncio.gather(*(person.work(token, until) for person in people))
    return people, await breaking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--people", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=10)
    parser.add_argument("--fault", action="store_true", help="also stop PostgreSQL for 30 s")
    asked = parser.parse_args()
    asked.people = min(asked.people or {"sqlite": 50, "postgresql": 200}[asked.database], 2_000)
    with stage(asked.database, asked.questions) as (project, servers, database):
        began = time.monotonic()
        people, away = asyncio.run(run(project, servers, database, asked))
        took_s = time.monotonic() - began
        checks = checked(project, people)
        for server in servers:
            server.kill()
    pages = sum(len(person.acknowledged) for person in people)
    table: dict[str, dict[str, float]] = {}
    for what in ("next", "submit"):
        times = [(began, took) for person in people for name, began, took in person.times if name == what]
        calm = [took for began, took in times
                if not any(start - took < began < end + CALM_AFTER_S for start, end in away)]  # fmt: skip
        quiet = {f"calm_{name}": value for name, value in _quantiles(calm).items()}
        table[what] = {"n": len(times), **_quantiles([took for _, took in times]), **quiet}
    print(f"{asked.database}: {asked.people} people, {asked.seconds:.0f} s, {asked.questions:,} questions,"
          f" {asked.pause:g} s for a page, {len(servers)} server(s)")  # fmt: skip
    print(f"{pages:,} pages acknowledged, {checks['answers_stored']:,} answers stored; away: "
          + ", ".join(f"{end - start:.1f} s" for start, end in away))  # fmt: skip
    requests, cpu_s = sum(len(person.times) for person in people), sum(server.cpu_s for server in servers)
    pace = {"pages_a_second": round(pages / took_s, 1), "answers_a_second": round(checks["answers_stored"] / took_s),
            "cpu_s": round(cpu_s, 1), "cpu_ms_a_request": round(1000 * cpu_s / max(1, requests), 1)}  # fmt: skip
    print(f"  {pace['pages_a_second']} pages and {pace['answers_a_second']} answers a second over {took_s:.0f} s;"
          f" the servers used {cpu_s:.1f} s of processor time, {pace['cpu_ms_a_request']} ms a request")  # fmt: skip
    for what, row in table.items():
        print(f"  {what}, n {row['n']:,.0f}: calm p50 {row['calm_p50_ms']:.1f} ms, p99 {row['calm_p99_ms']:.1f} ms;"
              f" in all p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms")  # fmt: skip
    for name, value in checks.items():
        print(f"  {name.replace('_', ' ')}: {value:,}")
    told: Counter[str] = sum((person.told for person in people), Counter())
    print(f"  told: {dict(told)}")
    is_right = not any(value for name, value in checks.items() if name != "answers_stored")
    print(json.dumps({
        "name": "annotate_load", "ours": round(table["next"]["calm_p99_ms"], 1), "peer": {}, "unit": "ms (p99 of next)",
        "ratio": {}, "n": pages, "checks": {**checks, "database": asked.database, "people": asked.people,
        "seconds": asked.seconds, "questions": asked.questions, "pause": asked.pause, "fault": asked.fault, **pace,
        **table},
    }))  # fmt: skip
    sys.exit(0 if is_right and pages else 1)


def _quantiles(times: list[float]) -> dict[str, float]:
    found = np.quantile(times, [0.5, 0.99]) * 1000 if times else (float("nan"), float("nan"))
    return {"p50_ms": round(float(found[0]), 1), "p99_ms": round(float(found[1]), 1)}


if __name__ == "__main__":
    main()
