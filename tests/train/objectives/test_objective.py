"""An objective with a student and a teacher of its own is trained, stopped and resumed by the same loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pictus
from pictus import train
from pictus.models import Preprocessing
from pictus.tasks import TASKS
from pictus.train.loop.state import Job, State
from pictus.train.objectives import OBJECTIVES, Objective, Piece, adversarial, augmix, distillation, labels, network_of
from pictus.train.recipes import Recipe

torch = pytest.importorskip("torch", reason="pip install 'pictus[train]'")
SETTINGS = ("objective=agreeing", "batch_size=8", "size=32", "checkpoint_s=0", "parts=1", "threads=1", "precision=fp32")


TrainTwice = Callable[..., tuple[Path, Path]]
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


OF_OURS = {
    "augmix": ("objective=augmix", "robust=gce"),
    "adversarial": ("objective=adversarial", "attack_steps=1", "robust=gce"),
    "mixing": ("policy=rand", "mixup=0.4", "cutmix=1", "mix_until=0.7", "hue=0.1"),
}


@pytest.mark.parametrize("settings", OF_OURS.values(), ids=OF_OURS)
def test_each_of_ours_ends_with_the_same_bytes_after_a_stop(
    stripes: pictus.Project, trained_twice: TrainTwice, settings: tuple[str, ...]
) -> None:
    plain = ("epochs=2", "batch_size=12", "size=32", "parts=2", "threads=1", "precision=fp32", "probe=false")
    whole, stopped = trained_twice(stripes, (*plain, *settings))
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize("module", [augmix, adversarial, distillation], ids=lambda module: module.__name__)
def test_every_objective_asks_the_loss_that_the_recipe_names(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    named = labels.losses_of

    def losses_of(logits: Any, piece: Piece, job: Job) -> Any:
        asked.append(len(logits))
        return named(logits, piece, job)

    monkeypatch.setattr(labels, "losses_of", losses_of)
    recipe = Recipe("small-cnn", robust="gce", precision="fp32", attack_steps=1)
    job: Any = SimpleNamespace(
        recipe=recipe, task=TASKS.get("classification"), device="cpu", preprocessing=Preprocessing(8, 8)
    )
    network, known = (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3)) for _ in range(2))
    known.places = torch.arange(3)
    wanted, companions = torch.tensor([0, 1, 2, 0]), {distillation.TEACHER: known}
    piece = Piece((torch.zeros(4, 3, 8, 8),) * 3, wanted, None, torch.arange(4).numpy(), 0, companions)
    found, _ = module.loss(network, piece, job)
    assert torch.isfinite(found)
    assert set(asked) == {4}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Objective(agreeing, 2, student=lambda network, _: Student(network), companions=teacher, after_step=drift)
    monkeypatch.setitem(OBJECTIVES._found, "agreeing", made)


def test_a_run_that_was_stopped_in_the_middle_ends_with_the_same_bytes(
    stripes: pictus.Project, trained_twice: TrainTwice
) -> None:
    whole, stopped = trained_twice(stripes, (*SETTINGS, "epochs=2"))
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name
    from safetensors.torch import load_file

    assert "scale" not in load_file(whole / "model.safetensors"), "the network alone is kept"


def test_an_objective_nobody_has_is_told_before_anything_is_made(stripes: pictus.Project) -> None:
    with pytest.raises(pictus.UserError, match="objective 'labls'") as error:
        train.run(stripes, set_=("objective=labls",))
    assert "labels" in str(error.value)
    assert list(stripes.models_dir.glob("*")) == []
