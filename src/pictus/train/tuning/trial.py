"""One trial in a process of its own: `train run` into the study's folder. What it has learned is read from its curve.

    python -m pictus.train.tuning.trial '{"root": …, "release": …, "recipe": …, "name": …, "settings": […]}'

So a trial that memory ran out for, or that was killed, takes nobody with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pictus import models
from pictus.errors import UserError
from pictus.project import Project
from pictus.train.kept import logbook
from pictus.train.loop.signals import leave_with

REFUSED = 3
"""Exit status of a trial that ended with a message on stderr."""

LOOK_S = 0.2
STOP_S = 60.0
"""A trial that is told to stop finishes its step and leaves."""

PATIENCE_S = 60.0
"""A trial of a study that was killed is gone within a second; on a machine that is busy, later."""

ASKED_TO_LEAVE = (-signal.SIGINT, -signal.SIGTERM)
"""Exit statuses of a trial that somebody stopped before it had begun."""


class Shelf(Project):
    """A study's folder as a place for runs: they lie in it themselves, and are none of the project's."""

    @property
    def models_dir(self) -> Path:
        return self.root

    @property
    def shards_dir(self) -> Path:
        """Of the project in whose models/ the study lies: trials may learn from its pool."""
        return self.root.parent.parent / "shards"


@dataclass(frozen=True)
class Asked:
    """What a trial runs. `cores`: those it may use; empty: all."""

    root: str
    release: str
    recipe: str
    name: str
    settings: tuple[str, ...]
    cores: tuple[int, ...] = ()


class End(NamedTuple):
    """`score`: of the epoch whose weights it keeps, None where it failed, with the cause."""

    score: float | None
    is_pruned: bool
    cause: str = ""


Watcher = Callable[[int, float], bool]
"""(epoch, score) -> whether the trial is given up."""


def ran(asked: Asked, watch: Watcher, wants_stop: Callable[[], bool]) -> End | None:
    """One trial from its start, or from where it was, to its end; None where `wants_stop` ended it before."""
    command = [sys.executable, "-m", "pictus.train.tuning.trial", json.dumps(asked.__dict__), str(os.getpid())]
    Path(asked.root).mkdir(parents=True, exist_ok=True)
    with (Path(asked.root) / f"{asked.name}.err").open("w+", encoding="utf-8") as errors:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)  # noqa: S603  our own module
        try:
            found = _followed(asked, running, watch, wants_stop)
        finally:
            stop(running)
        errors.seek(0)
        said = errors.read()
    if found is not None or wants_stop():
        return found
    return ended(asked, running.returncode, said, watch)


def ended(asked: Asked, status: int, said: str, watch: Watcher) -> End | None:
    """What came of a trial whose process has ended; None where somebody stopped it: it is gone on with later. All its
    epochs are looked at, so that what is given up does not hang on who is quicker.
    """
    if status in ASKED_TO_LEAVE:
        return None
    if status:
        lines = said.strip().splitlines()
        memory = ", as a machine does whose memory ran out" if status == -9 else ""  # noqa: PLR2004  SIGKILL
        told = f"killed by signal {-status}{memory}" if status < 0 else f"ended with {status}: {(lines or ['?'])[-1]}"
        return End(None, is_pruned=False, cause="".join(lines[:2]) if status == REFUSED else told)
    scores = scores_of(asked)
    for epoch, score in scores:
        if watch(epoch, score):
            return End(max(one for _, one in scores[:epoch]), is_pruned=True)
    if not scores:
        return End(None, is_pruned=False, cause="it ended before an epoch did")
    if not models.open_run(Path(asked.root) / asked.name).is_finished:
        return None
    return End(dict(scores)[kept_epoch(asked)], is_pruned=False)


def scores_of(asked: Asked) -> list[tuple[int, float]]:
    """(epoch, score) so far: the task's own figure, mean average precision or top-1."""
    return [
        (one.epoch, one.val_others.get("map", one.val_top1))
        for one in logbook.epochs(Path(asked.root) / asked.name)
    ]  # fmt: skip


def kept_epoch(asked: Asked) -> int:
    """The last that was kept: of `kept=last` the last of all, else the best."""
    return max(one.epoch for one in logbook.epochs(Path(asked.root) / asked.name) if one.is_best)


def stop(running: "subprocess.Popen[bytes]") -> None:
    """Ask a process to leave, and end it if it does not."""
    if running.poll() is None:
        running.terminate()
        try:
            running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def main(text: str, study: int) -> int:
    """In the trial's own process. It ends when the study's has ended: nobody reads the curve then."""
    leave_with(study)
    from pictus.train import steps  # noqa: PLC0415  a second of torch, only here

    asked = Asked(**json.loads(text))
    if asked.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, asked.cores)
    shelf = Shelf(Path(asked.root), "trials")
    await_predecessor(Shelf(shelf.root / asked.name, asked.name))
    try:
        steps.run(shelf, release=asked.release, recipe=asked.recipe, name=asked.name, set_=tuple(asked.settings))
    except UserError as error:
        sys.stderr.seek(0)
        sys.stderr.truncate()
        sys.stderr.write(f"{error.what.splitlines()[0]}\n")
        return REFUSED
    return 0


def await_predecessor(run: Project) -> None:
    """Return once nobody works on the run any more, or after PATIENCE_S: then training says who does."""
    began = time.monotonic()
    while (run.root / "locks").is_dir() and time.monotonic() - began < PATIENCE_S:
        try:
            with run.lock("train"):
                return
        except UserError:
            time.sleep(LOOK_S)  # the trial of before, which is about to notice that its study is gone


def _followed(
    asked: Asked, running: "subprocess.Popen[bytes]", watch: Watcher, wants_stop: Callable[[], bool]
) -> End | None:
    seen: list[float] = []
    while running.poll() is None:
        for epoch, score in scores_of(asked)[len(seen) :]:
            seen.append(score)
            if watch(epoch, score):
                return End(max(seen), is_pruned=True)
        if wants_stop():
            return None
        time.sleep(LOOK_S)
    return None


def causes(ends: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """`trial 3 failed: …`"""
    return tuple(f"trial {number} failed: {cause}" for number, cause in ends)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
