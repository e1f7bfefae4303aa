"""kill -9 and full disks, for real: in processes of their own. What was committed stays, the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pictus import Project, collect
from pictus.shards import members, verify

MakeJpeg = Callable[..., bytes]

ADD_AND_DIE = """
import os, signal, sys
from pathlib import Path
import pictus
from pictus import collect
from pictus.collect import intake
from pictus.shards import ShardWriter
from pictus.tables import Tables

root, photos, where, nth = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
intake.BATCH_PICTURES = 10
seen = 0

def die_after(owner, name, place):
    real = getattr(owner, name)
    def wrapped(self, *args, **options):
        global seen
        result = real(self, *args, **options)
        if place == where or f"{place} {args[0] if args else ''}" == where:
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapped)

die_after(ShardWriter, "add", "picture")
die_after(ShardWriter, "flush", "flush")
die_after(Tables, "append", "append")
collect.add(pictus.open(root), (Path(photos),))
"""

FETCH = """
import sys
from pathlib import Path
import pictus
from pictus import collect
from pictus.collect import fetching

fetching.COMMIT_EVERY_S = 0.2
collect.fetch(pictus.open(sys.argv[1]), Path(sys.argv[2]), allow_host=("127.0.0.1",), rate=40)
"""

ADD_WITH_LITTLE_ROOM = """
import resource, sys
from pathlib import Path
import pictus
from pictus import collect
from pictus.collect import intake
from pictus.errors import UserError

intake.BATCH_PICTURES = 10
project = pictus.open(sys.argv[1])
project.journal
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # no file may grow beyond: a full disk, for one process
try:
    collect.add(project, (Path(sys.argv[2]),))
except UserError as error:
    print(error.what, "|", error.fix)
    sys.exit(1)
"""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def check_whole(project: Project, count: int) -> None:
    """`count` pictures, each once in rows and in shards, each with its source."""
    images = project.tables.read("images")
    ids = images.column("image_id").to_pylist()
    stored = [member.name.partition(".")[0] for path in project.shards_dir.glob("*.tar") for member in members(path)]
    assert len(ids) == len(set(ids)) == count
    assert sorted(stored) == sorted(ids)
    assert list(verify(project.shards_dir, images)) == []
    assert sorted(project.tables.read("sources").column("image_id").to_pylist()) == sorted(ids)


@pytest.fixture
def photos(tmp_path: Path, make_jpeg: MakeJpeg) -> Path:
    """35 different pictures: three batches of ten and a half."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(35):
        (folder / f"{seed:02}.jpg").write_bytes(make_jpeg(width=48, height=32, seed=seed))
    return folder


@pytest.mark.parametrize(
    ("where", "nth", "committed"),
    [
        ("picture", 5, 0),  # before anything was committed
        ("flush", 1, 0),  # bytes on the disk, no row
        ("append images", 2, 10),  # the first is the empty table's: pictures committed, their sources not
        ("append sources", 1, 10),
        ("picture", 25, 20),
        ("flush", 3, 20),
    ],
)
def test_an_add_killed_anywhere_loses_nothing_and_doubles_nothing(
    project: Project, photos: Path, where: str, nth: int, committed: int
) -> None:
    killed = run(ADD_AND_DIE, project.root, photos, where, nth)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert project.tables.count("images") == committed
    outcome = collect.add(project, (photos,))
    assert outcome.summary["added"] == 35 - committed
    check_whole(project, 35)


def test_a_killed_fetch_goes_on_where_it_stopped(
    project: Project, web: Any, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    names = [f"/{number}.jpg" for number in range(60)]
    for number, name in enumerate(names):
        web.put(name, make_jpeg(width=48, height=32, seed=number))
    path = tmp_path / "list.csv"
    path.write_text("url\n" + "".join(f"{web.url(name)}\n" for name in names))
    process = subprocess.Popen([sys.executable, "-c", FETCH, str(project.root), str(path)])
    try:
        deadline = time.monotonic() + 50
        while len(web.asked()) < 35 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode == -signal.SIGKILL
    committed = {attempt["address"] for attempt in project.tables.read("fetches").to_pylist()}
    assert 1 <= len(committed) < 60
    pictures = project.tables.count("images")  # a batch's pictures are committed just before its attempts
    outcome = collect.fetch(project, path, allow_host=("127.0.0.1",), rate=0)
    assert (outcome.summary["skipped"], outcome.summary["added"]) == (len(committed), 60 - pictures)
    asked = Counter(web.asked())
    assert {asked[address.removeprefix(web.url(""))] for address in committed} == {1}
    assert set(asked) == set(names)
    check_whole(project, 60)


FETCH_AND_DIE = """
import os, signal, sys
from pathlib import Path
import pictus
from pictus import collect
from pictus.collect import intake
from pictus.shards import ShardWriter
from pictus.tables import Tables

root, addresses, where, nth = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
intake.BATCH_PICTURES = 7
seen = 0

def die_after(owner, name, place):
    real = getattr(owner, name)
    def wrapped(self, *args, **options):
        global seen
        result = real(self, *args, **options)
        if where in (place, f"{place} {args[0] if args else ''}"):
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapped)

die_after(intake.Intake, "take", "picture")
die_after(ShardWriter, "flush", "flush")
die_after(Tables, "append", "append")
collect.fetch(pictus.open(root), Path(addresses), allow_host=("127.0.0.1",), rate=0)
"""

FETCH_DEATHS = {"picture": (8, 16), "flush": (2, 3), "append images": (2, 3), "append sources": (2, 3)}
"""Where, and after how many of them: each so late that the run has committed at least one batch of seven."""


@pytest.mark.slow
def test_a_fetch_killed_at_random_points_loses_nothing_doubles_nothing_and_lets_nothing_in(
    project: Project, web: Any, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    """Every run is killed after it has committed something, the next goes on; at the end all pictures stand once."""
    points = 20
    count, chance = 30 * points, random.Random(points)
    web.put("/robots.txt", b"User-agent: *\nDisallow: /no/\n")
    good, forbidden = [f"/{number}.jpg" for number in range(count)], [f"/no/{number}.jpg" for number in range(20)]
    unwanted = [f"/out/{number}.jpg" for number in range(20)]
    for seed, name in enumerate((*good, *forbidden, *unwanted)):
        headers = {"X_Robots_Tag": "noai"} if name in unwanted else {}
        web.put(name, make_jpeg(width=48, height=32, seed=seed), **headers)
    names = [*good, *forbidden, *unwanted]
    chance.shuffle(names)
    path = tmp_path / "list.csv"
    path.write_text("url\n" + "".join(f"{web.url(name)}\n" for name in names))
    before = 0
    for point in range(points):
        where = list(FETCH_DEATHS)[point % len(FETCH_DEATHS)]
        killed = run(FETCH_AND_DIE, project.root, path, where, chance.randint(*FETCH_DEATHS[where]))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert 0 < project.tables.count("images") < count
        after = sum(project.tables.count(table) for table in ("images", "sources", "fetches"))
        assert after > before  # of pictures whose places were not committed yet, the places only
        before = after
    left = count - project.tables.count("images")
    outcome = collect.fetch(project, path, allow_host=("127.0.0.1",), rate=0)
    assert outcome.summary["added"] == left
    check_whole(project, count)
    assert set(project.tables.read("sources").column("address").to_pylist()) == {web.url(name) for name in good}
    assert not [name for name in web.asked() if name in forbidden]
    causes = {row["address"]: row["cause"] for row in project.tables.read("fetches").to_pylist()}
    assert Counter(causes.values()) == {"ok": count, "robots": 20, "opt-out": 20}


def test_a_full_disk_is_one_clear_message_and_the_next_run_goes_on(project: Project, photos: Path) -> None:
    # 35 pictures of about 2.5 KB and their headers need about 110 KB: the 60 KB are full in the second or third batch
    full = run(ADD_WITH_LITTLE_ROOM, project.root, photos)
    assert full.returncode == 1, full.stderr
    assert "The disk is full" in full.stdout
    assert "run the same command again: it continues where it stopped" in full.stdout
    before = project.tables.count("images")
    assert before in {10, 20}
    outcome = collect.add(project, (photos,))
    assert outcome.summary["added"] == 35 - before
    check_whole(project, 35)


def test_an_interrupted_add_keeps_what_it_took_in(
    project: Project, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictus.collect import steps

    real, seen = steps._take_file, 0

    def interrupted(*arguments: Any) -> tuple[str, str]:
        nonlocal seen
        seen += 1
        if seen == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(steps, "_take_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        collect.add(project, (photos,))
    monkeypatch.undo()
    assert project.tables.count("images") >= 7
    collect.add(project, (photos,))
    check_whole(project, 35)
