"""A teacher is matched by concept, seen in its own normalisation, made again on resume, and held to its digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.loop.state import Job
from pictus.train.objectives import Piece, distillation
from pictus.train.recipes import Recipe

TrainTwice = Callable[..., tuple[Path, Path]]

SETTINGS = ("epochs=2", "batch_size=12", "size=32", "objective=distil", "teacher=t", "parts=2")


@pytest.fixture
def taught(stripes: pictus.Project) -> pictus.Project:
    train.run(stripes, name="t", recipe="resnet-w16", set_=("epochs=1", "batch_size=12", "size=48"))
    return stripes


def test_a_student_learns_from_a_run_and_ends_with_the_same_bytes_after_a_stop(
    taught: pictus.Project, trained_twice: TrainTwice
) -> None:
    whole, stopped = trained_twice(taught, (*SETTINGS, "robust=gce"))
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes()
    card = models.open_run(whole).card
    assert card["transfer"]["teacher"]["run"] == "t"
    assert card["transfer"]["teacher"]["classes_known"] == 3
    with (taught.models_dir / "t" / models.WEIGHTS_NAME).open("ab") as opened:
        opened.write(b" ")
    with pytest.raises(UserError, match="have changed since"):
        distillation.companions(torch.nn.Identity(), _job(Recipe(**card["recipe"]), ("x00000000", "x00000001")))


def test_the_teacher_answers_for_shared_classes_in_its_own_normalisation(taught: pictus.Project) -> None:
    run = models.find_run(taught, "t")
    recipe = Recipe("small-cnn", teacher=str(run.root), teacher_sha256=models.weights_sha256(run))
    job = _job(recipe, ("x00000002", "y", "x00000000"))
    teacher = distillation.companions(torch.nn.Identity(), job)[distillation.TEACHER]
    pixels = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    given = models.normalised(pixels, job.preprocessing)
    with torch.no_grad():
        wanted = models.load_run(run, device="cpu")(models.normalised(pixels, run.preprocessing))
        assert torch.allclose(teacher(given), wanted[:, [2, 0]], atol=1e-4)
    assert teacher.places.tolist() == [0, 2]


def test_the_loss_is_hintons() -> None:
    student, teacher = torch.tensor([[1.0, 0.0, 5.0]]), torch.tensor([[0.0, 2.0]])

    class Answer(torch.nn.Module):  # type: ignore[misc]  # torch has no stubs
        def __init__(self, logits: torch.Tensor) -> None:
            super().__init__()
            self.logits = logits
            self.register_buffer("places", torch.tensor([0, 1]))

        def forward(self, _: torch.Tensor) -> torch.Tensor:
            return self.logits

    recipe = Recipe("small-cnn", temperature=2.0, distil=1.0, precision="fp32")
    piece = Piece((torch.zeros(1, 3, 8, 8),), torch.tensor([0]), None, torch.zeros(1).numpy(), 0,
                  {distillation.TEACHER: Answer(teacher)})  # fmt: skip
    found, _ = distillation.loss(Answer(student), piece, _job(recipe, ("a", "b", "c")))
    p, q = (teacher / 2).softmax(1), (student[:, :2] / 2).softmax(1)
    assert float(found) == pytest.approx(4 * float((p * (p / q).log()).sum()), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [((), "needs a teacher"), (("teacher=nobody",), "no run 'nobody'")],
)
def test_a_missing_teacher_is_told_before_training(
    stripes: pictus.Project, change: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train.run(stripes, name="b", set_=("objective=distil", *change))
    assert not (stripes.models_dir / "b" / models.CARD_NAME).exists()


def _job(recipe: Recipe, classes: tuple[str, ...]) -> Job:
    """A job of which only classes and preprocessing are asked."""
    from types import SimpleNamespace
    from typing import cast

    from pictus.tasks import TASKS

    seen = models.Preprocessing(48, 48, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    made = SimpleNamespace(recipe=recipe, preprocessing=seen, task=TASKS.get("classification"), device="cpu",
                           train=SimpleNamespace(release=SimpleNamespace(classes=classes)))  # fmt: skip
    return cast("Job", made)
