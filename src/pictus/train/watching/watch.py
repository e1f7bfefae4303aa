"""A run in progress for who looks at it: the note beside the bar, and live.json, which a page reads.

live.json depends on the clock, so nothing that a run is made of is in it: it may be lost at any time.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pictus.train.watching import vitals

if TYPE_CHECKING:
    from pictus.train.loop.state import Counters, Job

NAME = "live.json"
FORMAT = 1

EVERY_S = 1.0
"""Between two writings of live.json."""

WINDOW_S = 10.0
"""Pictures a second and time spent waiting are told of so many last seconds."""

MOST_POINTS = 240
"""Of the history: beyond, every second one goes and the next come half as often."""

Item = TypeVar("Item")


class Tick(NamedTuple):
    """Where a run stood at one moment of this process."""

    at_s: float
    steps: int
    waited_s: float


class Pace(NamedTuple):
    """Of the last seconds: pictures a second, and the share of the time in which the next batch was not there yet."""

    pictures_per_s: float
    wait_share: float


class Watch:
    """One process's part of a run. What belongs on the card is counted in the run's counters."""

    def __init__(self, job: "Job", counters: "Counters", clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._counters, self._clock = job, counters, clock
        self._ticks = deque([Tick(clock(), counters.step, counters.waited_s)])
        self._written_s = self._kept_s = clock()
        self._before_s = counters.elapsed_s - clock()
        self._history = _kept(job.root / NAME, counters.elapsed_s)
        self._apart_s = EVERY_S
        self._memory_bytes = vitals.memory_bytes()

    def next(self, stream: Iterator[Item]) -> Item:
        """The next batch; how long it was waited for is counted."""
        before = self._clock()
        found = next(stream)
        self._counters.waited_s += self._clock() - before
        return found

    def pace(self) -> Pace:
        """Of about the last WINDOW_S seconds."""
        first, last = self._ticks[0], self._ticks[-1]
        passed_s = max(1e-9, last.at_s - first.at_s)
        pictures = (last.steps - first.steps) * self._job.recipe.batch_size
        return Pace(pictures / passed_s, min(1.0, max(0.0, (last.waited_s - first.waited_s) / passed_s)))

    def step(self, loss: float, lr: float) -> str:
        """After a step: live.json where it is time -> the note beside the bar."""
        now = self._clock()
        self._ticks.append(Tick(now, self._counters.step, self._counters.waited_s))
        while len(self._ticks) > 2 and now - self._ticks[1].at_s >= WINDOW_S:  # noqa: PLR2004  an interval has two ends
            self._ticks.popleft()
        if now - self._written_s >= EVERY_S:
            self.write(loss, lr)
        return self.note(loss)

    def note(self, loss: float) -> str:
        """`epoch 5/18 · loss 1.23 · best top-1 73.1% · 1,234 pictures/s · 1.2 GB · waits 3% · 3.2 min left`."""
        job, counters, pace = self._job, self._counters, self.pace()
        epochs = -(-counters.plan.end // job.steps_per_epoch)
        epoch = min(epochs, counters.step // job.steps_per_epoch + 1)
        parts = [f"epoch {epoch}/{epochs}", f"loss {loss:.2f}"]
        parts += [f"{job.recipe.kept} {self.best()}"] if counters.best_epoch else []
        parts += [f"{pace.pictures_per_s:,.0f} pictures/s", f"{self._memory_bytes / vitals.GB:.1f} GB"]
        if gpu := vitals.gpu_bytes(job.device):
            parts += [f"GPU {gpu / vitals.GB:.1f} GB"]
        return " · ".join((*parts, f"waits {pace.wait_share:.0%}", f"{in_words(self.left_s())} left"))

    def best(self) -> str:
        """`top-1 73.1%`; of several labels to a picture `mAP 61.0%`."""
        counters = self._counters
        if "map" in counters.best_others:
            return f"mAP {counters.best_others['map']:.1%}"
        return f"top-1 {counters.best_top1:.1%}"

    def left_s(self) -> float:
        """Seconds to the planned end, at the pace of this process so far, validation included."""
        counters = self._counters
        if counters.plan.end <= counters.step:
            return 0.0
        share = counters.step / counters.plan.end
        elapsed_s = self._before_s + self._clock()
        if share and counters.best_epoch:
            return elapsed_s * (1 - share) / share
        pictures = (counters.plan.end - counters.step) * self._job.recipe.batch_size
        return pictures / max(1e-9, self.pace().pictures_per_s)  # before the first validation its cost is not known

    def write(self, loss: float, lr: float) -> None:
        """live.json, whole or as it was."""
        self._written_s = now = self._clock()
        counters, pace = self._counters, self.pace()
        self._memory_bytes = vitals.memory_bytes()
        self.peak()
        elapsed_s = self._before_s + now
        if now - self._kept_s >= self._apart_s or not self._history:
            self._kept_s = now
            self._history.append([round(elapsed_s, 1), round(pace.pictures_per_s, 1), round(pace.wait_share, 4),
                                  self._memory_bytes])  # fmt: skip
            if len(self._history) > MOST_POINTS:
                self._history, self._apart_s = self._history[1::2], 2 * self._apart_s
        per_epoch = self._job.steps_per_epoch
        _replace(self._job.root / NAME, {
            "format": FORMAT, "step": counters.step, "steps": counters.plan.end, "steps_per_epoch": per_epoch,
            "epochs": -(-counters.plan.end // per_epoch), "loss": loss, "lr": lr, "best_epoch": counters.best_epoch,
            "best_top1": counters.best_top1, "pictures_per_s": round(pace.pictures_per_s, 1),
            "wait_share": round(pace.wait_share, 4), "memory_bytes": self._memory_bytes,
            "gpu_bytes": vitals.gpu_bytes(self._job.device), "elapsed_s": round(elapsed_s, 1),
            "left_s": round(self.left_s(), 1), "history": self._history,
        })  # fmt: skip

    def peak(self) -> None:
        """The greatest memory so far, into the counters: a resumed run knows that of the processes before."""
        counters, device = self._counters, self._job.device
        counters.peak_bytes = max(counters.peak_bytes, vitals.peak_bytes())
        counters.gpu_peak_bytes = max(counters.gpu_peak_bytes, vitals.gpu_peak_bytes(device))


def in_words(seconds: float) -> str:
    """`40 s`, `3.2 min`, `5.1 h`."""
    if seconds < 100:  # noqa: PLR2004  as many as are read at a glance
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _kept(path: Path, elapsed_s: float) -> list[list[float]]:
    """The history of the processes before, up to the checkpoint that the run goes on from."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["history"]
        return [[float(part) for part in point] for point in found if float(point[0]) <= elapsed_s][-MOST_POINTS:]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return []  # there is none, or it is damaged: what it told is lost, the run is not


def _replace(path: Path, values: dict[str, Any]) -> None:
    """Not forced to the disk, and a disk that is full is the checkpoint's to tell: nothing hangs on this file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(values), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # the next second tries again
