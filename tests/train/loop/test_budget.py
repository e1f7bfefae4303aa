from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pictus
from pictus import train
from pictus.progress import Silent
from pictus.releases import find_release
from pictus.tasks import Scores
from pictus.train import recipes
from pictus.train.kept import checkpoint, logbook
from pictus.train.loop import training
from pictus.train.loop.budget import Budget, fitting, needed
from pictus.train.loop.parts import Result
from pictus.train.loop.schedule import Plan
from pictus.train.loop.state import Counters, fresh

MakeRelease = Callable[..., Path]

PER_EPOCH = 6


@dataclass
class Machine:
    """A clock that goes on by what is done: `step_s` a step, `validation_s` a validation; `slow` times as much from
    step `from_step` on.
    """

    step_s: float
    validation_s: float
    from_step: int = 10**9
    slow: float = 1.0
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def factor(self, step: int) -> float:
        return self.slow if step >= self.from_step else 1.0


def test_steps_that_fit_end_whole_epochs_where_little_is_left_over() -> None:
    # An epoch is 10 x 1 + 2 s. 40 s: three are 36 s, and 4 s are left: 2 steps and a validation.
    assert fitting(40, 1, 2, 0, 10, spare_s=5) == 30
    assert fitting(40, 1, 2, 0, 10, spare_s=3) == 32
    # From the fourth step of an epoch: 6 steps and its validation are 8 s.
    assert fitting(8, 1, 2, 4, 10, spare_s=0) == 6
    assert fitting(7.5, 1, 2, 4, 10, spare_s=5) == 5, "no whole one fits"
    assert fitting(1.5, 1, 2, 4, 10, spare_s=5) == 0
    assert fitting(-3, 1, 2, 0, 10, spare_s=5) == 0


def test_what_steps_need_includes_their_validations() -> None:
    assert needed(6, 1, 2, 4, 10) == 8
    assert needed(7, 1, 2, 4, 10) == 11
    assert needed(0, 1, 2, 4, 10) == 0


@pytest.mark.parametrize("left_s", [3.0, 17.0, 29.5, 61.25, 200.0])
def test_what_fits_is_never_more_than_is_left(left_s: float) -> None:
    for within in range(PER_EPOCH):
        steps = fitting(left_s, 0.7, 1.9, within, PER_EPOCH, spare_s=3)
        assert needed(steps, 0.7, 1.9, within, PER_EPOCH) <= left_s
        assert needed(steps + PER_EPOCH, 0.7, 1.9, within, PER_EPOCH) > left_s - 3


def _run(minutes: float, machine: Machine, *, per_epoch: int = 100, epochs: int = 1000) -> tuple[Counters, list[float]]:
    """The loop's arithmetic without a network -> where it ended, and the position at each step."""
    recipe = SimpleNamespace(minutes=minutes, batch_size=10)
    job: Any = SimpleNamespace(recipe=recipe, steps_per_epoch=per_epoch, most_steps=epochs * per_epoch, val=range(100))
    counters = Counters(plan_end=job.most_steps)
    budget, positions = Budget(job, counters), list[float]()
    while counters.step < counters.plan.end:
        positions.append(counters.plan.at(counters.step + 0.5))
        factor = machine.factor(counters.step)
        counters.elapsed_s += machine.step_s * factor
        counters.step += 1
        budget.stepped(counters)
        if counters.step % per_epoch == 0 or counters.step >= counters.plan.end:
            counters.elapsed_s += machine.validation_s * factor
            budget.validated(counters, machine.validation_s * factor)
            if counters.step % per_epoch == 0:
                budget.epoch_ended(counters)
    return counters, positions


@pytest.mark.parametrize("from_step", [1, 50, 333, 480, 700, 899, 940])
@pytest.mark.parametrize("slow", [1.0, 2.0, 5.0])
def test_minutes_are_kept_on_a_machine_that_becomes_slower(from_step: int, slow: float) -> None:
    # 5 minutes are 300 s; a step of 0.3 s and a validation of 2 s: nine epochs, 937 steps.
    counters, positions = _run(5, Machine(0.3, 2.0, from_step, slow))
    assert counters.elapsed_s <= 300 + 2.0 * slow
    assert counters.elapsed_s >= 0.8 * 300, "and used"
    assert positions == sorted(positions)
    assert positions[-1] > 0.97, "the rate is at its end"


def test_a_machine_that_becomes_faster_goes_on_longer() -> None:
    counters, positions = _run(5, Machine(0.3, 2.0, from_step=200, slow=0.2))
    assert 0.85 * 300 <= counters.elapsed_s <= 300
    assert counters.step > 2500
    assert positions[-1] > 0.97


def test_where_not_even_an_epoch_fits_it_ends_inside_it_at_the_end_of_the_schedule() -> None:
    counters, positions = _run(1, Machine(3.0, 4.0))
    assert counters.step < 20
    assert counters.elapsed_s <= 60 + 4
    assert positions[-1] > 0.9


def test_a_limit_that_is_over_at_once_leaves_one_step() -> None:
    assert _run(0.001, Machine(3.0, 4.0))[0].step == 1


def test_a_steady_machine_is_not_planned_anew_inside_epochs() -> None:
    recipe = SimpleNamespace(minutes=5.0, batch_size=10)
    job: Any = SimpleNamespace(recipe=recipe, steps_per_epoch=100, most_steps=100_000, val=range(100))
    counters = Counters(plan_end=job.most_steps)
    budget, plans = Budget(job, counters), list[int]()
    while counters.step < 600:
        counters.elapsed_s, counters.step = counters.elapsed_s + 0.3, counters.step + 1
        if budget.stepped(counters):
            plans.append(counters.step)
        if counters.step % 100 == 0:
            counters.elapsed_s += 2
            budget.validated(counters, 2)
            budget.epoch_ended(counters)
    assert len(plans) == 1, "once in the first epoch, of which nothing was known"


def test_without_minutes_a_plan_stays() -> None:
    recipe = SimpleNamespace(minutes=0.0, batch_size=10)
    job: Any = SimpleNamespace(recipe=recipe, steps_per_epoch=5, most_steps=50, val=range(100))
    counters = Counters(step=5, plan_end=50, elapsed_s=1e9)
    budget = Budget(job, counters)
    counters.step = 6
    assert not budget.stepped(counters)
    budget.epoch_ended(counters)
    assert counters.plan == Plan(0, 0.0, 50)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_release: MakeRelease) -> pictus.Project:
    project = pictus.new(tmp_path_factory.mktemp("minutes") / "birds")
    make_release(project.releases_dir)
    return project


def _fitted(
    place: pictus.Project, monkeypatch: pytest.MonkeyPatch, name: str, machine: Machine, stop_at: int = 0
) -> tuple[Path, Counters]:
    """The loop itself, with steps and validations that only take time."""
    recipe = recipes.changed(recipes.find("small-cnn"), (
        "size=32", "batch_size=8", "precision=fp32", "threads=1", "parts=1", "minutes=2", "epochs=9999", "ema=0",
        "log=none", "checkpoint_s=1e9",
    ))  # fmt: skip
    root = place.models_dir / name
    root.mkdir(parents=True)
    job = train.steps.prepared(place, root, find_release(place), recipe)

    def advance(job: Any, state: Any, *_: object) -> Result:
        counters = state.counters
        machine.now += machine.step_s * machine.factor(counters.step)
        counters.step += 1
        counters.n_seen += 8
        return Result(1.0, 1, 8)

    def validate(_job: object, state: Any, _mistakes: object) -> Scores:
        machine.now += machine.validation_s * machine.factor(state.counters.step)
        return _scores()

    monkeypatch.setattr(training, "advance", advance)
    monkeypatch.setattr(training, "validate", validate)
    state = fresh(job)
    with Silent().track("", None) as meter:
        training.fit(job, state, meter, lambda: 0 < stop_at <= state.counters.step, machine)
    return root, state.counters


def _scores() -> Scores:
    from pictus.tasks import TASKS

    tally = TASKS.get("classification").tally()
    tally.add(np.eye(3, dtype=np.float32), np.ones(3, np.float32), np.arange(3))
    return tally.scores(3)


def test_the_loop_ends_in_time_inside_an_epoch_and_validates_what_it_has(
    place: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two minutes; an epoch of six steps takes 6 s, and 30 s from step 40 on.
    machine = Machine(1.0, 1.0, from_step=40, slow=5.0)
    root, counters = _fitted(place, monkeypatch, "slow", machine)
    assert machine.now - 1000 <= 120 + 5
    assert counters.has_ended
    epochs = list(logbook.epochs(root))
    assert [one.epoch for one in epochs] == list(range(1, len(epochs) + 1))
    assert epochs[-1].step == counters.step
    assert 0 <= epochs[-1].lr < 0.05 * max(one.lr for one in epochs)


def test_a_plan_made_inside_an_epoch_is_in_a_checkpoint_at_once(
    place: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[int, int]] = []
    plain = checkpoint.save

    def save(folder: Path, found: checkpoint.Checkpoint) -> None:
        saved.append((found.step, found.values["plan_start"]))
        plain(folder, found)

    monkeypatch.setattr(checkpoint, "save", save)
    _fitted(place, monkeypatch, "kept", Machine(1.0, 1.0, from_step=40, slow=5.0))
    inside = [(step, start) for step, start in saved if step % PER_EPOCH and step == start]
    assert any(step >= 40 for step, _ in inside), saved
    assert len(saved) < 60
