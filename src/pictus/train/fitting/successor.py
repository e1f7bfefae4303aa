"""The run that follows a run: what it takes over, the weights it begins from, and how it is trained."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pictus import models, stores
from pictus.errors import UserError
from pictus.extras import need
from pictus.project import Project, write_bytes
from pictus.train import recipes
from pictus.train.recipes import Recipe
from pictus.train.steps import run as train_run

if TYPE_CHECKING:
    from torch import nn

    from pictus.models import Run
    from pictus.releases import Release

FOLDER = "narrow"
"""Of models/: weights as they are before the run that begins from them is trained."""

GENTLER = 0.1
"""Of the run's learning rate, for what is left of it (Li et al. 2017, section 4: a small constant rate)."""

_OWN = {"model", "epochs", "minutes", "lr", "size", "weights", "pretrained", "from_run", "from_run_sha256",
        "sample_weights_sha256", "teacher_sha256", "freeze", "unfreeze_every", "lora", "lora_on"}  # fmt: skip
"""Settings that do not go over from the run."""


class Successor(NamedTuple):
    """What follows a run: its name, its network's, the file it begins from, and for how many epochs it is trained."""

    name: str
    model: str
    weights: Path
    epochs: int


def trained(
    project: Project, run: "Run", release: "Release", wanted: Successor, *settings: str
) -> tuple["Run", tuple[str, ...]]:
    """Trained, or gone on with, or as it is where it was finished already; and what people should know of it.

    settings: NAME=VALUE beside those of the run.
    """
    root = project.models_dir / wanted.name
    if (root / models.CARD_NAME).is_file():
        found = models.open_run(root)
        began = Path(str((found.card.get("asked") or {}).get("weights", ""))).name
        if began != wanted.weights.name:  # which is named after all that it came from
            raise UserError(
                f"There is a run {wanted.name!r} already, which began from other weights, or on another release.",
                fix=f"--epochs {wanted.epochs + 1}    makes one of another name; or move {root} away",
            )
        if found.is_finished:
            return found, models.unfinished(found)
    outcome = train_run(
        project, release=stores.address_of(release) or str(release.root), recipe=wanted.model, name=wanted.name,
        epochs=wanted.epochs, set_=(*settings_of(run, wanted.model, wanted.weights), *settings),
    )  # fmt: skip
    return models.open_run(outcome.summary["path"]), outcome.problems


def settings_of(run: "Run", model: str, weights: Path) -> tuple[str, ...]:
    """NAME=VALUE of all that a run takes over from the one it came from."""
    usual = recipes.find(model)
    known = {field.name for field in fields(Recipe)}
    asked = {key: value for key, value in run.card.get("asked", {}).items() if key in known - _OWN}
    own = [f"{key}={value}" for key, value in asked.items() if value != getattr(usual, key)]
    rate = run.card.get("asked", {}).get("lr", usual.lr) * GENTLER
    return (*own, f"lr={rate:g}", f"size={run.preprocessing.size}", f"weights={weights}")


def written(project: Project, run: "Run", network: "nn.Module", what: str) -> Path:
    """The network's weights in a file named after the run's weights and `what` was done to them: the same command finds
    the same file.
    """
    digest = hashlib.sha256(f"{models.weights_sha256(run)} {what}".encode()).hexdigest()[:16]
    path = project.models_dir / FOLDER / f"{run.name}-{digest}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {key: value.detach().contiguous() for key, value in network.state_dict().items()}
        write_bytes(path, need("safetensors.torch", "train").save(tensors))
    return path
