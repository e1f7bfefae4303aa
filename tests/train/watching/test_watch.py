from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pictus.train.loop.schedule import Plan
from pictus.train.loop.state import Counters
from pictus.train.watching import watch
from pictus.train.watching.watch import Watch


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Slow:
    """An endless stream of batches, each of which takes `wait_s`."""

    clock: Clock
    wait_s: float = field(default=0.0)

    def __next__(self) -> int:
        self.clock.now += self.wait_s
        return 1

    def __iter__(self) -> "Slow":
        return self


def _watched(root: Path, counters: Counters, clock: Clock) -> Watch:
    job: Any = SimpleNamespace(
        root=root, device="cpu", steps_per_epoch=10, recipe=SimpleNamespace(batch_size=32, kept="best")
    )
    counters.plan = Plan(0, 0.0, 100)
    return Watch(job, counters, clock)


def _run(watched: Watch, counters: Counters, stream: Slow, steps: int, work_s: float) -> str:
    note = ""
    for _ in range(steps):
        watched.next(stream)
        stream.clock.now += work_s
        counters.step += 1
        counters.elapsed_s = stream.clock.now
        note = watched.step(1.25, 0.1)
    return note


def test_the_note_tells_pace_waiting_memory_and_time_left_within_80_columns(tmp_path: Path) -> None:
    clock, counters = Clock(), Counters(best_epoch=1, best_top1=0.731)
    watched = _watched(tmp_path, counters, clock)
    note = _run(watched, counters, Slow(clock, 0.1), 20, 0.4)  # 2 steps of 32 a second; a fifth is waiting
    assert note.startswith("epoch 3/10 · loss 1.25 · best top-1 73.1% · 64 pictures/s · ")
    assert note.endswith(" GB · waits 20% · 40 s left")  # 80 steps at half a second
    assert counters.waited_s == pytest.approx(2.0)


def test_pace_is_that_of_the_last_seconds(tmp_path: Path) -> None:
    clock, counters = Clock(), Counters()
    watched = _watched(tmp_path, counters, clock)
    _run(watched, counters, Slow(clock), 40, 1.0)
    _run(watched, counters, Slow(clock), 41, 0.25)
    assert watched.pace().pictures_per_s == pytest.approx(4 * 32, rel=0.05)


def test_live_json_is_written_once_a_second_and_goes_on_after_a_resume(tmp_path: Path) -> None:
    clock, counters = Clock(), Counters()
    _run(_watched(tmp_path, counters, clock), counters, Slow(clock), 8, 0.5)
    first = json.loads((tmp_path / watch.NAME).read_text())
    assert (first["step"], first["steps"], first["epochs"]) == (8, 100, 10)
    assert [point[0] for point in first["history"]] == [1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == [tmp_path / watch.NAME], "nothing half written is left"
    again = Counters(step=6, elapsed_s=3.0)  # the checkpoint is older than the file
    later = Clock(1000.0)
    _run(_watched(tmp_path, again, later), again, Slow(later), 2, 0.5)
    assert [point[0] for point in json.loads((tmp_path / watch.NAME).read_text())["history"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", "[]", '{"history": 3}', '{"history": [[]]}'])
def test_a_damaged_live_json_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / watch.NAME).write_text(text)
    clock, counters = Clock(), Counters()
    _run(_watched(tmp_path, counters, clock), counters, Slow(clock), 2, 1.0)
    assert len(json.loads((tmp_path / watch.NAME).read_text())["history"]) == 2


def test_the_history_of_a_long_run_stays_short_and_reaches_from_its_start_to_its_end(tmp_path: Path) -> None:
    clock, counters = Clock(), Counters()
    _run(_watched(tmp_path, counters, clock), counters, Slow(clock), 600, 1.0)
    times = [point[0] for point in json.loads((tmp_path / watch.NAME).read_text())["history"]]
    assert len(times) <= watch.MOST_POINTS
    assert times[0] < 50
    assert times[-1] > 590


def test_a_full_disk_is_not_told_here(tmp_path: Path) -> None:
    clock, counters = Clock(), Counters()
    watched = _watched(tmp_path / "gone", counters, clock)
    assert _run(watched, counters, Slow(clock), 2, 1.0)


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (192, "3.2 min"), (18_360, "5.1 h")])
def test_times_are_told_in_their_unit(seconds: float, words: str) -> None:
    assert watch.in_words(seconds) == words


def test_a_clock_that_stands_still_is_no_harm(tmp_path: Path) -> None:
    clock, counters = Clock(), Counters()
    assert "left" in _run(_watched(tmp_path, counters, clock), counters, Slow(clock), 1, 0.0)
