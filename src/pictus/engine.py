"""Runs a pure function `RecordBatch -> RecordBatch` over the rows a table does not have yet.

Two runners behind one call, `local` (forkserver processes) and `ray`, give the same rows bit
for bit. Results are committed in batches, in input order; after a kill the next call computes
only what is missing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa

from pictus.clusters import joined
from pictus.errors import UserError
from pictus.project import Project
from pictus.registry import Registry

Compute = Callable[[pa.RecordBatch], pa.RecordBatch]
Runner = Callable[[Compute, Iterator[pa.RecordBatch], int], Iterator[pa.RecordBatch]]

RUNNERS: Registry[Runner] = Registry("engine")

TASK_ROWS = 128
"""Rows per call of the function: about 0.3 s of decoding, so that progress moves and a kill costs little."""

COMMIT_ROWS = 10_000
"""Rows per commit: few large fragments (many small ones slow every later scan)."""

RETRIES = 5
"""Of a batch, when its worker or node dies: a picture that kills every worker ends the run, lost nodes do not."""


def run(
    project: Project, table: str, rows: pa.Table, compute: Compute, *, engine: str = "local", workers: int = 0,
    label: str = "",
) -> int:  # fmt: skip
    """Apply `compute` to `rows` and append what it returns to `table` -> rows written.

    `compute` must be importable by name (a module-level function or a functools.partial of one)
    and return one row for each row, whatever the picture: a failure is a value, not an exception.
    """
    runner = RUNNERS.get(engine)  # a wrong word is told even when nothing is to do
    if not rows.num_rows:
        return 0
    batches = iter(rows.combine_chunks().to_batches(max_chunksize=TASK_ROWS))
    held: list[pa.RecordBatch] = []
    written = 0
    with project.progress.track(label or table, rows.num_rows) as meter:
        try:
            for result in runner(compute, batches, workers or cpu_count()):
                held.append(result)
                meter.advance(result.num_rows)
                if sum(batch.num_rows for batch in held) >= COMMIT_ROWS:
                    written += _commit(project, table, held)
        finally:
            written += _commit(project, table, held)
    return written


def spread(
    compute: Compute, batches: Iterator[pa.RecordBatch], *, engine: str = "local", workers: int = 0
) -> Iterator[pa.RecordBatch]:
    """What `compute` makes of each batch, in order, on either runner: for joins, whose results are not rows to append.

    A Ray worker that dies loses one batch, which another computes again. A local one ends the run: `compute` keeps
    what must outlive it.
    """
    yield from RUNNERS.get(engine)(compute, batches, workers or cpu_count())


def cpu_count() -> int:
    """CPUs this process may use: the smaller of its affinity and its cgroup quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):  # no cgroup of version 2: no quota
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


@RUNNERS.register("local")
def local(compute: Compute, batches: Iterator[pa.RecordBatch], workers: int) -> Iterator[pa.RecordBatch]:
    """This process for little work or one worker; else forkserver processes, two tasks ahead each."""
    first = list(islice(batches, 2))
    if workers == 1 or len(first) < 2:  # noqa: PLR2004  starting a pool costs more than one task
        for batch in (*first, *batches):
            yield compute(batch)
        return
    if script := _unguarded_script():
        raise UserError(
            f"Each worker process would run {script} again: its lines do not stand under a guard.",
            fix='write `if __name__ == "__main__":` above the lines that do the work and indent them; or workers=1',
        )
    context = multiprocessing.get_context("forkserver")
    _start_deaf_server()
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        waiting: deque[Future[pa.RecordBatch]] = deque(pool.submit(compute, batch) for batch in first)
        try:
            for batch in batches:
                waiting.append(pool.submit(compute, batch))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                "A worker process died (out of memory, or stopped by hand). What was committed before is safe.",
                fix="run the same command again, with --workers 1 if memory is short: it continues where it stopped",
            ) from error
        except KeyboardInterrupt:
            for worker in set(multiprocessing.active_children()) - before:
                worker.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_deaf_server() -> None:
    """Start the process that forks workers with Ctrl-C held back, as they then have it, too.

    A terminal sends Ctrl-C to every process. Workers that hear it while they start each print a traceback; this
    process ends them.
    """
    resource_tracker.ensure_running()  # first: it opens the signal again
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def end_with_parent() -> None:
    """Run in each worker process as it starts: it ends when the process that asked for it does, even by SIGKILL.

    By itself it would wait for ever, and keep its fork server and its memory: all workers hold the queue's other end.
    """
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()  # by a pipe whose other end only the parent holds
    os._exit(1)


def _unguarded_script() -> str:
    """The path of the running script when a worker that imports it would start all over, else ""."""
    main = sys.modules["__main__"]
    path, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if path is None or (spec is not None and spec.name.endswith("__main__")):  # workers import neither
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # no text that a worker could run
        return ""
    return "" if "__main__" in text or "parent_process" in text else str(path)


@RUNNERS.register("ray")
def ray(compute: Compute, batches: Iterator[pa.RecordBatch], workers: int) -> Iterator[pa.RecordBatch]:
    """The Ray cluster that RAY_ADDRESS names, or one started here for this call. Batches go to all nodes alike.

    A batch whose worker or node died is computed again elsewhere, RETRIES times; results come in order.
    """
    with joined(workers) as (cluster, cpus):
        task = cluster.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(compute_one)
        function = cluster.put(compute)
        waiting: deque[Any] = deque()
        try:
            for batch in batches:
                waiting.append(task.remote(function, batch))
                if len(waiting) > 2 * cpus:
                    yield cluster.get(waiting.popleft())
            while waiting:
                yield cluster.get(waiting.popleft())
        finally:
            for result in waiting:
                cluster.cancel(result)


def compute_one(compute: Compute, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What a Ray worker runs: the same function on the same rows."""
    return compute(batch)


def _commit(project: Project, table: str, held: list[pa.RecordBatch]) -> int:
    if not held:
        return 0
    rows = pa.Table.from_batches(held)
    # Before the append: when Ctrl-C ends it, nobody knows whether its rows are in the table. The next run looks.
    held.clear()
    project.tables.append(table, rows)
    return int(rows.num_rows)
