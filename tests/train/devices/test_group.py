"""Two processes on one batch: the loss of one process, one writer, and what happens when one is lost."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.devices import group, processes
from pictus.train.kept import logbook
from pictus.train.loop.state import Counters

TINY = ("size=32", "batch_size=8", "threads=1", "precision=fp32", "lr=0.01")


def test_two_processes_learn_as_one_and_go_on_after_one_was_lost(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(stripes, name="one", epochs=2, set_=(*TINY, "parts=2"))
    started: list[int] = []
    begin, step = processes._started, group.Spread.begun

    def noted(*given: object) -> object:
        found = begin(*given)  # type: ignore[arg-type]
        started.append(found.process.pid)
        return found

    def killing(self: group.Spread, n_seen: int, counters: Counters) -> bool:
        if counters.step == 8 and len(started) == 1:  # the third of six steps of epoch 2
            os.kill(started[0], signal.SIGKILL)
        return step(self, n_seen, counters)

    monkeypatch.setattr(processes, "_started", noted)
    monkeypatch.setattr(group.Spread, "begun", killing)
    with pytest.raises(UserError, match="Process 2 of 2 ended with -9, at step 8") as told:
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


def test_what_torch_says_of_a_lost_connection_is_told_and_other_errors_are_not() -> None:
    lost = RuntimeError("[gloo] pair.cc:598\nConnection closed by peer.")
    assert group._connection_lost(lost, 2) == "Another of 2 processes is gone (Connection closed by peer)"
    assert group._connection_lost(RuntimeError("shapes differ"), 2) == ""
    assert group._connection_lost(NotImplementedError(), 2) == "", "an error without a word"


def _losses(root: Path) -> list[float]:
    lines = [json.loads(line) for line in (root / logbook.NAME).read_text().splitlines()]
    return [float(line["loss"]) for line in lines if line["kind"] == "step"]
