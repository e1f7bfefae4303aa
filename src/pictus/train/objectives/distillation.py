"""Learning from another run's answers (Hinton et al. 2015, section 2), and from labels beside them.

loss = distil T² KL(teacher / T || student / T) + (1 - distil) labels, over the classes that both know: matched by
concept id, the others left out of both softmaxes. The teacher sees the very crops the student sees, in its own
normalisation and size, and is made again from its run when training resumes.

Legend: B pictures of a piece, K classes, C classes both know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictus import models
from pictus.errors import UserError
from pictus.extras import need
from pictus.models import Run
from pictus.train.loop.precision import precision
from pictus.train.objectives import labels
from pictus.train.objectives.objective import OBJECTIVES, Objective, Piece
from pictus.train.transfer.start import shared_places

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Job

TEACHER = "fixed teacher"


def loss(student: "nn.Module", piece: Piece, job: "Job") -> tuple["torch.Tensor", int]:
    """Of the one view, which the teacher sees as well."""
    torch = need("torch", "train")
    recipe, teacher = job.recipe, piece.companions[TEACHER]
    with precision(job):
        logits_BK = student(piece.views[0]).float()
        with torch.no_grad():
            wanted_BC = teacher(piece.views[0]).float() / recipe.temperature
    found_BC = logits_BK[:, teacher.places] / recipe.temperature
    apart_B = torch.nn.functional.kl_div(
        found_BC.log_softmax(1), wanted_BC.log_softmax(1), reduction="none", log_target=True
    ).sum(1) * recipe.temperature**2
    losses_B = recipe.distil * apart_B + (1 - recipe.distil) * labels.losses_of(logits_BK, piece, job)
    return labels.mean_and_right(losses_B, logits_BK, piece, job)


def companions(student: "nn.Module", job: "Job") -> "dict[str, nn.Module]":
    """The teacher, from its run, and what the labels' loss needs; a UserError where the teacher's weights are no longer
    those the run was begun with.
    """
    recipe = job.recipe
    if recipe.task != "classification":
        raise UserError("Only one class to a picture can be learned from a teacher.", fix="--set task=classification")
    if not recipe.teacher:
        raise UserError("Distillation needs a teacher.", fix="--set teacher=RUN")
    run = models.open_run(recipe.teacher)
    if models.weights_sha256(run) != recipe.teacher_sha256:
        raise UserError(
            f"The weights of the teacher {run.name!r} have changed since this run was begun.",
            fix="put them back, or train again under another --name",
        )
    places = shared_places(run.classes, job.train.release.classes)
    if len(places) < 2:  # noqa: PLR2004
        raise UserError(
            f"The teacher {run.name!r} knows {len(places)} of the release's classes: too few to learn from.",
            fix="a run trained on classes of the same concepts",
        )
    return {TEACHER: _teacher(run, job, places)} | labels.companions(student, job)


def _teacher(run: Run, job: "Job", places: list[tuple[int, int]]) -> "nn.Module":
    torch = need("torch", "train")
    seen, given = run.preprocessing, job.preprocessing
    same_size = seen.size == given.size

    class Teacher(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = models.load_run(run, device="cpu")
            self.register_buffer("own", torch.tensor([old for old, _ in places]))
            self.register_buffer("places", torch.tensor([new for _, new in places]))
            own_std, std = torch.tensor(seen.std), torch.tensor(given.std)
            self.register_buffer("scale", (std / own_std)[:, None, None])
            shift = (torch.tensor(given.mean) - torch.tensor(seen.mean)) / own_std
            self.register_buffer("shift", shift[:, None, None])

        def forward(self, views: Any) -> Any:  # noqa: ANN401  f32[B, 3, S, S] -> f32[B, C]
            inputs = views * self.scale + self.shift
            if not same_size:
                side = max(8, round(views.shape[-1] * seen.size / given.size))
                inputs = torch.nn.functional.interpolate(
                    inputs, size=(side, side), mode="bilinear", antialias=True, align_corners=False
                )
            return self.network(inputs)[:, self.own]

    return Teacher().eval()


OBJECTIVES.register("distil")(Objective(loss, companions=companions))
