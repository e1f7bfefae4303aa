"""Two processes on one batch: the loss of one process, one writer, and what happens when one is lost."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.devices import group
from pictus.train.kept import logbook
from pictus.train.loop.state import Counters

TINY = ("size=32", "batch_size=8", "threads=1", "precision=fp32", "lr=0.01")


def test_two_processes_learn_as_one_and_go_on_after_one_was_lost(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(stripes, name="one", epochs=2, set_=(*TINY, "parts=2"))
    started: list[int] = []
    begin, step = group._started, group.Spread.begun

    def noted(*given: object) -> object:
        found = begin(*given)  # type: ignore[arg-type]
        started.append(found.process.pid)
        return found

    def killing(self: group.Spread, n_seen: int, counters: Counters) -> bool:
        if counters.step == 8 and len(started) == 1:  # the third of six steps of epoch 2
            os.kill(started[0], signal.SIGKILL)
        return step(self, n_seen, counters)

    monkeypatch.setattr(group, "_started", noted)
    monkeypatch.setattr(group.Spread, "begun", killing)
    with pytest.raises(UserError, match="Process 2 of 2 ended at step 8 with -9") as told:
        train.run(stripes, name="two", epochs=2, set_=(*TINY, "parts=1", "processes=2"))
    assert told.value.fix == "pictus train resume two"
    train.resume(stripes, "two")
    assert len(started) == 2
    one, two = (_losses(models.find_run(stripes, name).root) for name in ("one", "two"))
    assert len(one) == 12
    assert two == pytest.approx(one, rel=1e-3)  # 6e-8 at the second step; normalising four pictures makes it grow
    assert [path.name for path in sorted((stripes.models_dir / "two").iterdir())] == [
        path.name for path in sorted((stripes.models_dir / "one").iterdir())
    ]


def test_a_process_that_cannot_begin_is_told_with_its_last_words(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="Process 2 of 2 could not begin"):
        train.run(stripes, name="a", epochs=1, set_=(*TINY, "processes=2"))
    assert [run.is_finished for run in models.runs(stripes)] == [False]


def test_a_process_whose_end_is_known_a_little_later_is_told_all_the_same() -> None:
    polls = iter([None] * 5)
    gone: Any = SimpleNamespace(
        process=SimpleNamespace(poll=lambda: next(polls, -9), returncode=-9), errors=io.BytesIO(b"first\nkilled.\n")
    )
    there: Any = SimpleNamespace(process=SimpleNamespace(poll=lambda: None))
    job: Any = SimpleNamespace(root=Path("models/a"))
    found = group._lost(job, SimpleNamespace(counters=Counters(step=8)), [there, gone], RuntimeError("closed"))  # type: ignore[arg-type]
    assert isinstance(found, UserError)
    assert found.what == "Process 3 of 3 ended at step 8 with -9: killed. The last checkpoint is whole."


def _losses(root: Path) -> list[float]:
    lines = [json.loads(line) for line in (root / logbook.NAME).read_text().splitlines()]
    return [float(line["loss"]) for line in lines if line["kind"] == "step"]
