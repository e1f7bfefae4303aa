"""A run on a real Ray cluster on this machine: the bits of one without it, also where a process was killed."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.devices import cluster, group, helper, meeting, seats
from pictus.train.devices.meeting import Brief
from pictus.train.devices.seats import Equipment, Seat
from pictus.train.loop import environment
from pictus.train.loop.state import Counters

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

TINY = ("size=32", "batch_size=8", "threads=1", "parts=1", "precision=fp32", "lr=0.01", "log=none", "processes=2")
KILLED_AT = 8  # the third of six steps of epoch 2


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, and of its daemons' files
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        yield
        ray.shutdown()


def test_a_process_killed_on_the_cluster_is_begun_again_and_the_bits_are_those_of_a_run_here(
    stripes: pictus.Project, two_cpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    flag = tmp_path / "killed"

    class Dying(cluster.Worker):
        def work(self, brief: Brief, seat: Seat, master: tuple[str, int]) -> cluster.Unreadable | None:
            step = group.Spread.begun

            def killing(spread: group.Spread, n_seen: int, counters: Counters) -> bool:
                if seat.rank and counters.step == KILLED_AT and not flag.exists():
                    flag.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(spread, n_seen, counters)

            group.Spread.begun = killing  # type: ignore[method-assign,assignment]
            return super().work(brief, seat, master)

    monkeypatch.setattr(cluster, "Worker", Dying)
    with caplog.at_level(logging.WARNING):
        outcome = train.run(stripes, name="far", epochs=2, set_=TINY, engine="ray")
    assert flag.exists()
    assert "Process 2 of 2 was lost: all begin again from the last checkpoint" in caplog.text
    assert outcome.summary["steps"] == 12
    assert models.find_run(stripes, "far").is_finished
    train.run(stripes, name="here", epochs=2, set_=TINY)
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        far, here = ((stripes.models_dir / run / name).read_bytes() for run in ("far", "here"))
        assert far == here, name


class _Lost(Exception):  # noqa: N818  stands for Ray's
    pass


class _Raised(_Lost):
    pass


class _Ray:
    """A cluster whose work has ended as it says: a result, or an error."""

    class exceptions:  # noqa: N801  as Ray has it
        RayError, RayActorError, RayTaskError = Exception, _Lost, _Raised

    def wait(self, refs: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        assert timeout > 0
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref: Any) -> Any:
        if isinstance(ref, Exception):
            raise ref
        return None


class _Store:
    """Where rank 0 has said how far it is, or nothing yet."""

    def __init__(self, said: str = "") -> None:
        self._said = said

    def check(self, names: list[str]) -> bool:
        return names == [cluster.STEPS] and self._said != ""

    def get(self, name: str) -> bytes:
        assert name == cluster.STEPS
        return self._said.encode()


class _Meter:
    def __init__(self) -> None:
        self.steps, self.note = 0, ""

    def advance(self, count: int = 1) -> None:
        self.steps += count

    def say(self, note: str) -> None:
        self.note = note


def followed(*ends: Any) -> str:
    crew = cluster._Crew(_Ray(), _Store(), {end: rank for rank, end in enumerate(ends)}, 0)
    return crew.followed(_Meter(), lambda: False)


def test_steps_done_before_are_told_once() -> None:
    meter = _Meter()
    crew = cluster._Crew(_Ray(), _Store("8 loss 1.2"), {"ended": 0}, 5)
    assert crew.followed(meter, lambda: False) == ""
    assert (meter.steps, meter.note, crew.steps) == (3, "loss 1.2", 8)
    again = cluster._Crew(_Ray(), _Store("6 loss 1.3"), {"ended": 0}, crew.steps)  # from the checkpoint of step 5
    again.followed(meter, lambda: False)
    assert (meter.steps, again.steps) == (3, 8)


def test_a_process_that_is_gone_is_why_the_others_failed() -> None:
    assert followed(UserError("Another of 2 processes is gone"), _Lost()) == "Process 2 of 2 was lost"
    assert followed("ended", "ended too") == ""


def test_where_none_is_gone_rank_0_is_asked_what_was_wrong() -> None:
    with pytest.raises(UserError, match="no release"):
        followed(UserError("There is no release"), ValueError("closed"))


def test_what_a_run_computes_on_is_asked_of_the_cluster_and_this_machine_has_no_say(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    class Cluster:
        def is_initialized(self) -> bool:
            return True

        def nodes(self) -> list[dict[str, bool]]:
            return [{"Alive": True}, {"Alive": False}, {"Alive": True}]

        def cluster_resources(self) -> dict[str, int]:
            return {"GPU": 4}

        def remote(self, **given: int) -> Any:
            asked.update(given)
            return lambda _: SimpleNamespace(remote=lambda sharing: asked.update(sharing=sharing))

        def get(self, _: object) -> Equipment:
            return Equipment("cuda", 7, has_fast_bf16=True)

    def fit(job: Any, *_: object) -> None:
        asked["device"] = job.device
        raise KeyboardInterrupt

    def here(*_: object) -> str:
        raise UserError("4 processes on this machine would share 1 GPU")

    monkeypatch.setattr(cluster, "need", lambda *_: Cluster())
    monkeypatch.setattr(cluster, "joined", lambda _: nullcontext((Cluster(), 8)))
    monkeypatch.setattr(cluster, "fit", fit)
    monkeypatch.setattr(seats, "place_here", here)
    monkeypatch.setattr(environment, "has_fast_bf16", lambda: False)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, name="far", epochs=1, set_=("size=224", "batch_size=8", "processes=4"), engine="ray")
    assert asked == {"num_cpus": 1, "num_gpus": 1, "sharing": 2, "device": "cpu"}
    recipe = models.find_run(stripes, "far").card["recipe"]
    assert [recipe[name] for name in ("parts", "threads", "precision")] == [1, 7, "bf16"]


def test_where_rank_0_cannot_begin_nobody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise UserError("The release is gone")

    said: dict[str, str] = {}
    (tmp_path / models.CARD_NAME).write_text("{}")
    monkeypatch.setattr(meeting, "of_torchrun", lambda *_: SimpleNamespace(set=said.__setitem__))
    monkeypatch.setattr(helper, "job_of", gone)
    with pytest.raises(UserError, match="The release is gone"):
        cluster.work(Brief(str(tmp_path), ""), Seat(0, 2, 0, 2))
    assert said == {meeting.OVER: "1"}


def test_seats_are_counted_on_each_machine_and_a_gpu_is_alone_where_it_is() -> None:
    assert cluster.seats_at(["a", "b", "a"], has_gpus=False) == [Seat(0, 3, 0, 2), Seat(1, 3, 0, 1), Seat(2, 3, 1, 2)]
    assert cluster.seats_at(["a", "a"], has_gpus=True) == [Seat(0, 2, 0, 1), Seat(1, 2, 0, 1)]
