"""Two processes on one batch: the loss of one process, one writer, and what happens when one is lost."""

from __future__ import annotations

import json
import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest
import torch

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.devices import group, processes
from pictus.train.devices.seats import Seat
from pictus.train.kept import logbook
from pictus.train.loop.parts import Parts
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


@pytest.mark.parametrize("who", ["this one", "another"])
def test_memory_that_ran_out_in_one_process_ran_out_in_all_and_nothing_is_left_of_the_attempt(
    monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    spread = group.Spread(Parts([network], None), Seat(0, 2, 0, 2))
    short = [True]

    def other_joins(ours: torch.Tensor) -> None:
        """Another process with as many pictures of loss 3; it fails as often as `short` says."""
        if ours.dtype == torch.float64:
            is_short = bool(short) and who == "another"
            ours += torch.tensor([0, 0, 0, 1] if is_short else [4, 12, 1, 0])

    def compute(model: torch.nn.Module, piece: slice) -> tuple[torch.Tensor, int]:
        loss = model(torch.arange(16.0).view(4, 4)[piece]).square().mean()
        if short and who == "this one":
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return loss, 2

    monkeypatch.setattr(torch.distributed, "all_reduce", other_joins)
    with pytest.raises(MemoryError):
        spread.gradients(4, compute)
    assert not network[1].running_mean.any(), "as before"
    assert all(parameter.grad is None for parameter in network.parameters())
    short.clear()
    found = spread.gradients(4, compute)
    assert (found.n_right, found.n_seen) == (3, 8)
    assert network[1].running_mean.any()
    assert all(parameter.grad is not None for parameter in spread.model.parameters())


def test_a_process_that_ends_between_its_last_word_and_the_group_is_noticed() -> None:
    over = threading.Event()
    with pytest.raises(UserError, match=r"Process 2 of 2 ended with -9\. Nothing was trained"):
        group._watched(over.wait, lambda: "Process 2 of 2 ended with -9")
    over.set()
    with pytest.raises(ValueError, match="its own"):
        group._watched(partial(int, "its own"), lambda: "")


def test_what_torch_says_of_a_lost_connection_is_told_and_other_errors_are_not() -> None:
    lost = RuntimeError("[gloo] pair.cc:598\nConnection closed by peer.")
    assert group._connection_lost(lost, 2) == "Another of 2 processes is gone (Connection closed by peer)"
    assert group._connection_lost(RuntimeError("shapes differ"), 2) == ""
    assert group._connection_lost(NotImplementedError(), 2) == "", "an error without a word"


def _losses(root: Path) -> list[float]:
    lines = [json.loads(line) for line in (root / logbook.NAME).read_text().splitlines()]
    return [float(line["loss"]) for line in lines if line["kind"] == "step"]
