from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

import pictus
from pictus import engine
from pictus.progress import Meter
from pictus.records import Split
from pictus.tables import Tables, table_of


def rows(count: int) -> pa.Table:
    return table_of("splits", [Split(f"{index:05d}", "train", "n1", "") for index in range(count)])


def mark(split: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    marked = pa.array([split] * batch.num_rows)
    return pa.RecordBatch.from_arrays(
        [marked if name == "split" else batch.column(name) for name in batch.schema.names], schema=batch.schema
    )


class Counter:
    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextmanager
    def track(self, label: str, total: int | None) -> Iterator[Meter]:
        self.total = total or 0
        yield self

    def advance(self, count: int = 1) -> None:
        self.done += count

    def say(self, note: str) -> None:
        """Nothing to show."""


def test_no_rows_is_no_work(project: pictus.Project) -> None:
    assert engine.run(project, "splits", rows(0), partial(mark, "val")) == 0
    assert not project.tables.exists("splits")


def test_progress_counts_every_row(tmp_path: "os.PathLike[str]") -> None:
    pictus.new(f"{tmp_path}/p")
    counter = Counter()
    project = pictus.open(f"{tmp_path}/p")
    watched = pictus.Project(project.root, project.name, "", counter)
    engine.run(watched, "splits", rows(300), partial(mark, "val"), workers=1)
    assert (counter.total, counter.done) == (300, 300)


def test_an_unknown_engine_is_named(project: pictus.Project) -> None:
    with pytest.raises(pictus.UserError, match="no engine 'rya'") as caught:
        engine.run(project, "splits", rows(1), partial(mark, "val"), engine="rya")
    assert "ray" in caught.value.fix
    with pytest.raises(pictus.UserError, match="no engine 'rya'"):  # also when nothing is to do
        engine.run(project, "splits", rows(0), partial(mark, "val"), engine="rya")


def test_a_failure_keeps_what_was_done_before_it(project: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "COMMIT_ROWS", engine.TASK_ROWS)

    def breaks(batch: pa.RecordBatch) -> pa.RecordBatch:
        if "00300" in batch.column("image_id").to_pylist():
            message = "a bug"
            raise ValueError(message)
        return batch

    with pytest.raises(ValueError, match="a bug"):
        engine.run(project, "splits", rows(600), breaks, workers=1)
    assert project.tables.count("splits") == 2 * engine.TASK_ROWS


@pytest.mark.parametrize("is_written", [True, False])
def test_ctrl_c_in_a_commit_never_writes_its_rows_twice(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    real = Tables.append
    monkeypatch.setattr(engine, "COMMIT_ROWS", engine.TASK_ROWS)

    def interrupted(self: Tables, name: str, batch: pa.Table) -> None:
        if is_written:
            real(self, name, batch)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tables, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.run(project, "splits", rows(300), partial(mark, "val"), workers=1)
    assert project.tables.count("splits") == (engine.TASK_ROWS if is_written else 0)


def add_pictures(project: pictus.Project, folder: "os.PathLike[str]", make: object, count: int) -> None:
    from pictus import collect

    Path(folder).mkdir()
    for seed in range(count):
        (Path(folder) / f"{seed}.jpg").write_bytes(make(seed=seed))  # type: ignore[operator]
    collect.add(project, (Path(folder),))


def test_a_kill_in_the_middle_of_check_loses_nothing_and_the_next_run_resumes(
    project: pictus.Project, tmp_path: "os.PathLike[str]", make_jpeg: object
) -> None:
    from pictus import clean

    add_pictures(project, f"{tmp_path}/in", make_jpeg, 300)  # type: ignore[arg-type]
    program = (
        "import sys, pictus; from pictus import clean, engine\n"
        "engine.TASK_ROWS = engine.COMMIT_ROWS = 16\n"
        "clean.check(pictus.open(sys.argv[1]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(project.root)]) as worker:
        deadline = time.monotonic() + 60
        while project.tables.count("checks") < 32 and worker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
    done = project.tables.count("checks")
    assert 32 <= done <= 300
    clean.check(project)
    ids = project.tables.read("checks", ["image_id"]).column("image_id").to_pylist()
    assert len(ids) == len(set(ids)) == 300


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


ORPHANS = """
import os, sys, time
from functools import partial
from pathlib import Path

import pyarrow as pa
from pictus import engine

def tell(folder, batch):
    Path(folder, str(os.getpid())).touch()
    time.sleep(0.05)
    return batch

if __name__ == "__main__":
    batch = pa.record_batch({"a": [1]})
    for _ in engine.local(partial(tell, sys.argv[1]), iter([batch] * 10_000), 2):
        pass
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_workers_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    script, told = tmp_path / "job.py", tmp_path / "told"
    script.write_text(ORPHANS)
    told.mkdir()
    with subprocess.Popen([sys.executable, str(script), str(told)]) as main:
        deadline = time.monotonic() + 60
        while len(list(told.iterdir())) < 2 and main.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        main.send_signal(signal.SIGKILL)
    workers = [int(path.name) for path in told.iterdir()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in workers if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


STARTING = """
import sys
from pathlib import Path

import pyarrow as pa
from pictus import engine

if __name__ == "__main__":
    import work
    batch = pa.record_batch({"a": [1]})
    try:
        for _ in engine.local(work.wait, iter([batch] * 10_000), 2):
            Path(__file__).with_name("result").touch()
    except KeyboardInterrupt:
        sys.exit(130)
"""

WORK = """
import multiprocessing, time
from pathlib import Path

def wait(batch):
    time.sleep(0.05)
    return batch

if multiprocessing.parent_process():  # a worker that takes its first task
    Path(__file__).with_name("worker").touch()
    for _ in range(20):
        time.sleep(0.05)
"""


@pytest.mark.parametrize("when", ["worker", "result"])
def test_ctrl_c_while_workers_start_or_work_prints_no_traceback(tmp_path: Path, when: str) -> None:
    script = tmp_path / "job.py"
    script.write_text(STARTING)
    (tmp_path / "work.py").write_text(WORK)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as main:
        deadline = time.monotonic() + 60
        while not (tmp_path / when).exists() and main.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(main.pid, signal.SIGINT)  # as a terminal does: to all of them
        said = main.communicate(timeout=60)[1]
    assert (main.returncode, said) == (130, "")


SCRIPT = """
import sys
import pictus
from pictus import clean, engine

engine.TASK_ROWS = 4
open(sys.argv[1] + "/runs", "a").write("run ")
for check in clean.check(pictus.open(sys.argv[1]), workers=int(sys.argv[2])):
    print(check.image_id)
"""


def test_a_script_without_a_guard_is_told_so_before_any_worker_runs_it_again(
    project: pictus.Project, tmp_path: Path, make_jpeg: object
) -> None:
    add_pictures(project, f"{tmp_path}/in", make_jpeg, 12)  # type: ignore[arg-type]
    script = tmp_path / "measure.py"
    guarded = 'if __name__ == "__main__":' + SCRIPT.replace("\n", "\n    ")

    def run(text: str, workers: int) -> subprocess.CompletedProcess[str]:
        script.write_text(text)
        command = [sys.executable, str(script), str(project.root), str(workers)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    refused = run(SCRIPT, 2)
    assert refused.returncode == 1
    assert f"Each worker process would run {script} again" in refused.stderr
    assert 'if __name__ == "__main__":' in refused.stderr
    assert (project.root / "runs").read_text() == "run "
    assert len(run(SCRIPT, 1).stdout.split()) == 12
    project.tables.drop("checks")
    assert len(run(guarded, 2).stdout.split()) == 12


def test_one_process_and_several_measure_the_same_rows_bit_for_bit(
    project: pictus.Project, tmp_path: "os.PathLike[str]", make_jpeg: object
) -> None:
    from pictus import clean

    add_pictures(project, f"{tmp_path}/in", make_jpeg, 160)  # type: ignore[arg-type]
    clean.check(project, engine="local")
    local = project.tables.read("checks")
    project.tables.drop("checks")
    clean.check(project, workers=1)
    assert project.tables.read("checks") == local
