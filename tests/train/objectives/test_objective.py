"""An objective with a student and a teacher of its own is trained, stopped and resumed by the same loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import train
from pictus.train.loop import training
from pictus.train.loop.state import Job, State
from pictus.train.objectives import OBJECTIVES, Objective, Piece, network_of

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
SETTINGS = ("objective=agreeing", "batch_size=8", "size=32", "checkpoint_s=0", "parts=1", "threads=1", "precision=fp32")


Module: Any = torch.nn.Module


class Student(Module):  # type: ignore[misc]  # torch has no stubs
    holds_network = True

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.scale = network, torch.nn.Parameter(torch.ones(1))


def agreeing(student: Any, piece: Piece, job: Job) -> tuple[Any, int]:
    """Two views are to get the logits of the teacher's first view, and the label."""
    first, second = (student.network(view).float() * student.scale for view in piece.views)
    with torch.no_grad():
        wanted = piece.companions["teacher"](piece.views[0]).float()
    losses = job.task.loss(second, piece.targets, 0.0) + (first - wanted).square().mean(1)
    return losses.mean(), int(job.task.right(second, piece.targets).sum())


def drift(state: State, _: Job) -> None:
    with torch.no_grad():
        pairs = zip(state.companions["teacher"].parameters(), network_of(state.model).parameters(), strict=True)
        for mean, now in pairs:
            mean.lerp_(now, 0.1)


def teacher(student: Any, _: Job) -> dict[str, Any]:
    import copy

    return {"teacher": copy.deepcopy(network_of(student)).eval(), "fixed": torch.nn.Linear(1, 1)}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Objective(agreeing, 2, student=lambda network, _: Student(network), companions=teacher, after_step=drift)
    monkeypatch.setitem(OBJECTIVES._found, "agreeing", made)


def test_a_run_that_was_stopped_in_the_middle_ends_with_the_same_bytes(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(train.run(stripes, epochs=2, name="whole", set_=SETTINGS).summary["path"])
    advance = training.advance

    def stopping(job: Job, state: State, *rest: Any) -> Any:
        if state.counters.step == 7:
            raise KeyboardInterrupt
        return advance(job, state, *rest)

    monkeypatch.setattr(training, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.run(stripes, epochs=2, name="stopped", set_=SETTINGS)
    monkeypatch.setattr(training, "advance", advance)
    stopped = Path(train.resume(stripes, "stopped").summary["path"])
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name
    from safetensors.torch import load_file

    assert "scale" not in load_file(whole / "model.safetensors"), "the network alone is kept"


def test_an_objective_nobody_has_is_told_before_anything_is_made(stripes: pictus.Project) -> None:
    with pytest.raises(pictus.UserError, match="objective 'labls'") as error:
        train.run(stripes, set_=("objective=labls",))
    assert "labels" in str(error.value)
    assert list(stripes.models_dir.glob("*")) == []
