"""A real Ray cluster of two nodes on the loopback interface: the same rows as alone, and no death costs one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pictus
from pictus import Project, clean, collect, engine, search
from pictus.errors import UserError

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:lance is not fork-safe")  # a second node is a process of Ray's

MakeJpeg = Callable[..., bytes]

PICTURES = 72

@pytest.fixture
def nodes(two_nodes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    two_nodes.complete()
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    monkeypatch.setattr(engine, "TASK_ROWS", 8)
    return two_nodes


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, make_jpeg: MakeJpeg) -> Project:
    """72 pictures, a third of them smaller copies."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PICTURES):
        seed, is_copy = number - number % 3 // 2, number % 3 == 2
        size = (192, 128) if is_copy else (240, 160)
        (folder / f"{number:02}.jpg").write_bytes(make_jpeg(*size, seed=seed, quality=80 if is_copy else 90))
    project = pictus.new(tmp_path_factory.mktemp("pool") / "pool")
    collect.add(project, (folder,))
    clean.check(project, workers=1)
    return project


Noted = Callable[[], list[list[str]]]


@pytest.fixture
def noting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Every batch that a worker computes leaves a note of its node and process; calling this gives them."""
    folder = tmp_path / "notes"
    folder.mkdir()

    def compute_one(compute: engine.Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
        where = ray.get_runtime_context().get_node_id()
        result = compute(batch)
        (folder / f"{where} {os.getpid()} {time.monotonic_ns()}").touch()
        return result

    monkeypatch.setattr(engine, "compute_one", compute_one)
    return lambda: [note.name.split() for note in folder.iterdir()]


def again(project: Project, table: str, step: Callable[..., object], **options: Any) -> tuple[pa.Table, pa.Table]:
    """The table as it is, and as the step makes it on the cluster."""
    before = project.tables.read(table)
    project.tables.drop(table)
    step(project, engine="ray", **options)
    return before, project.tables.read(table)


def test_check_gives_the_rows_it_gives_alone_and_both_nodes_work(nodes: Any, pool: Project, noting: Noted) -> None:
    alone, together = again(pool, "checks", clean.check)
    assert together == alone
    assert together.num_rows == PICTURES
    notes = noting()
    assert len(notes) == PICTURES / engine.TASK_ROWS
    assert len({node for node, *_ in notes}) == 2
    assert str(os.getpid()) not in {process for _, process, _ in notes}


def test_the_descriptor_of_search_is_the_same_bit_for_bit(nodes: Any, pool: Project) -> None:
    search.index(pool, run="classical", workers=1)
    alone, together = again(pool, "embeddings_classical", search.index, run="classical")
    assert together == alone


def test_faces_are_the_same(nodes: Any, pool: Project) -> None:
    pytest.importorskip("cv2", reason="the extra 'vision' is not installed")
    clean.faces(pool, workers=1)
    alone, together = again(pool, "faces", clean.faces)
    assert together == alone


def test_match_and_dedupe_are_the_same(nodes: Any, pool: Project, noting: Noted) -> None:
    pytest.importorskip("cv2", reason="the extra 'vision' is not installed")
    clean.match(pool, workers=1)
    alone = [pool.tables.read(name) for name in ("features", "matched", "likenesses")]
    for name in ("features", "matched"):
        pool.tables.drop(name)
    before, together = again(pool, "likenesses", clean.match)
    assert [pool.tables.read(name) for name in ("features", "matched")] == alone[:2]
    assert together == before
    assert noting()
    dedupe_anew(pool, "local")
    before = pool.tables.read("duplicates")
    done = len(noting())
    dedupe_anew(pool, "ray")
    assert pool.tables.read("duplicates") == before
    assert before.num_rows >= PICTURES / 2
    assert len(noting()) > done


def dedupe_anew(project: Project, where: str) -> None:
    import shutil

    shutil.rmtree(project.cache_dir / "dedupe", ignore_errors=True)
    if project.tables.exists("duplicates"):
        project.tables.drop("duplicates")
    clean.dedupe(project, engine=where)


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The second batch that a worker takes up kills it, once; calling this tells how often."""
    folder = tmp_path / "begun"
    folder.mkdir()

    def compute_one(compute: engine.Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
        (folder / f"{time.monotonic_ns()}").touch()
        if len(list(folder.iterdir())) >= DIES_AT and not (folder / "dead").exists():
            (folder / "dead").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(batch)

    monkeypatch.setattr(engine, "compute_one", compute_one)
    return lambda: int((folder / "dead").exists())


DIES_AT = 2  # dedupe has two parts, one for each hash


def test_a_worker_killed_in_the_middle_of_check_costs_no_row(
    nodes: Any, pool: Project, dying: Callable[[], int]
) -> None:
    alone, together = again(pool, "checks", clean.check)
    assert dying() == 1
    assert together == alone


def test_a_worker_killed_in_the_middle_of_dedupe_costs_no_row(
    nodes: Any, pool: Project, dying: Callable[[], int]
) -> None:
    dedupe_anew(pool, "local")
    alone = pool.tables.read("duplicates")
    dedupe_anew(pool, "ray")
    assert dying() == 1
    assert pool.tables.read("duplicates") == alone


@pytest.fixture
def losing(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """The second node is lost while it computes; calling this tells whether it was."""
    begun, second = tmp_path / "begun", nodes.second_id

    def compute_one(compute: engine.Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
        if ray.get_runtime_context().get_node_id() == second:
            begun.touch()
            for _ in range(600):  # until the node is lost
                time.sleep(0.1)
        return compute(batch)

    def lose() -> None:
        for _ in range(600):
            if begun.exists():
                nodes.lose_second()
                return
            time.sleep(0.05)

    monkeypatch.setattr(engine, "compute_one", compute_one)
    thread = threading.Thread(target=lose)
    thread.start()
    yield begun.exists
    thread.join()


def test_a_node_lost_in_the_middle_of_check_costs_no_row(pool: Project, losing: Callable[[], bool]) -> None:
    alone, together = again(pool, "checks", clean.check)
    assert losing()
    assert together == alone


def test_a_node_lost_in_the_middle_of_dedupe_costs_no_row(pool: Project, losing: Callable[[], bool]) -> None:
    dedupe_anew(pool, "local")
    alone = pool.tables.read("duplicates")
    dedupe_anew(pool, "ray")
    assert losing()
    assert pool.tables.read("duplicates") == alone


def test_a_picture_that_kills_every_worker_ends_the_run_in_words(
    nodes: Any, pool: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute_one(compute: engine.Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.slice(0, 1).column(0)[0].as_py() == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(batch)

    last = pool.tables.read("images", ["image_id"]).column("image_id")[PICTURES - engine.TASK_ROWS].as_py()
    whole = pool.tables.read("checks")
    pool.tables.drop("checks")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "RETRIES", 1)
        patch.setattr(engine, "compute_one", compute_one)
        with pytest.raises(UserError, match="What was committed before is safe") as caught:
            clean.check(pool, engine="ray")
    assert "run the same command again" in caught.value.fix
    assert 0 < pool.tables.count("checks") < PICTURES
    clean.check(pool, engine="ray")
    assert pool.tables.read("checks") == whole


def test_what_a_worker_raises_comes_out_as_itself(nodes: Any) -> None:
    batch = pa.RecordBatch.from_pydict({"a": [1]})

    def run(error: Exception) -> None:
        def breaks(_: pa.RecordBatch) -> pa.RecordBatch:
            raise error

        list(engine.spread(breaks, iter([batch]), engine="ray"))

    with pytest.raises(UserError, match="told") as caught:
        run(UserError("told", fix="do this"))
    assert caught.value.fix == "do this"
    with pytest.raises(ValueError, match="a bug"):
        run(ValueError("a bug"))
    with pytest.raises(UserError, match=r"does not find /there/x.tar") as caught:
        run(FileNotFoundError(2, "no such file", "/there/x.tar"))
    assert "under the same path" in caught.value.fix
    with pytest.raises(UserError, match="no module 'cv9'") as caught:
        run(ModuleNotFoundError("No module named 'cv9'", name="cv9"))
    assert "every node" in caught.value.fix


def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    batch = pa.RecordBatch.from_pydict({"a": [1]})
    started = time.monotonic()
    with pytest.raises(UserError, match=r"Ray cluster at 127\.0\.0\.1:1 cannot be joined") as caught:
        list(engine.spread(len, iter([batch]), engine="ray"))
    assert time.monotonic() - started < 20
    assert "ray start --head" in caught.value.fix


def test_on_the_command_line_ray_is_silent_on_stdout_and_a_cluster_of_its_own_is_told(
    pool: Project, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pictus.cli", "--project", str(pool.root)]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    pool.tables.drop("checks")
    arguments = ["clean", "check", "--engine", "ray", "--workers", "1", "--json"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=80, env=environment, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert done.stdout.count("\n") == done.stdout.rstrip().count("\n") + 1
    assert "RAY_ADDRESS names no cluster: one is started on this machine, with 1 CPUs" in done.stderr
