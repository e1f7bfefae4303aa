"""The verb that takes channels out of a run and trains what is left."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from pictus import models, narrow_networks, quantised_networks
from pictus.errors import UserError
from pictus.extras import need
from pictus.project import Project, write_bytes
from pictus.registry import Outcome, step
from pictus.train import recipes
from pictus.train.feed import remote
from pictus.train.fitting import measured
from pictus.train.fitting.measured import FittedRow
from pictus.train.recipes import Recipe
from pictus.train.steps import run as train_run
from pictus.train.transfer import features

if TYPE_CHECKING:
    from torch import nn

    from pictus.models import Run

FOLDER = "narrow"
"""Of models/: weights as they are before the narrow network is trained."""

GENTLER = 0.1
"""Of the run's learning rate, for what is left of it (Li et al. 2017, section 4: a small constant rate)."""

_OWN = {"model", "epochs", "minutes", "lr", "size", "weights", "pretrained", "from_run", "from_run_sha256",
        "sample_weights_sha256", "teacher_sha256", "freeze", "unfreeze_every", "lora", "lora_on"}  # fmt: skip
"""Settings that do not go over from the run to its narrow one."""


@step("train prune", changes=True, needs_project=False, shows_records=True)
def prune(project: Project, run: str = "", *, sparsity: float = 0.5, epochs: int = 0) -> Outcome[FittedRow]:
    """Take a share of the channels out of a run for good, train what is left, and measure both.

    Inner channels of residual blocks and of plain networks go, the weakest first; the new run is truly smaller and
    faster, and is evaluated and served like any other. The same command goes on after a kill.

    run: by name or folder; the newest when left out
    sparsity: the share of the channels, above 0 and up to 0.95
    epochs: to train what is left; a quarter of the run's when left out

    Examples:
        pictus train prune small-cnn-1.0.0
        pictus train prune resnet18-1.0.0 --sparsity 0.3 --epochs 10
    """
    if not 0 < sparsity <= narrow_networks.MOST or epochs < 0:
        raise UserError(
            f"--sparsity {sparsity:g}, --epochs {epochs}: a sparsity above 0 up to {narrow_networks.MOST} and 0 or more"
            " epochs are wanted.",
            fix="--sparsity 0.5",
        )
    found = models.find_run(project, run)
    if quantised_networks.split(found.model_name)[1]:
        raise UserError(
            f"{found.name} is of 8 bits already ({found.model_name}).",
            fix="prune the run it came from, then quantise the narrow one",
        )
    if narrow_networks.split(found.model_name)[1]:
        raise UserError(
            f"{found.name} is narrow already ({found.model_name}).",
            fix="prune the run it came from by a greater --sparsity",
        )
    wide = models.load_run(found, device="cpu")
    release = remote.of_run(project, found)
    narrow = narrow_networks.narrowed(models.load_run(found, device="cpu"), sparsity)
    name = f"{found.model_name}{narrow_networks.MARK}{sparsity:g}"
    weights = written(project, found, narrow, name)
    many = epochs or max(1, int(found.card.get("results", {}).get("epochs", 4)) // 4)
    outcome = train_run(
        project, release=remote.address_of(release) or str(release.root), recipe=name,
        name=f"{found.name}-narrow-{sparsity:g}-{many}", epochs=many, set_=settings_of(found, name, weights),
    )  # fmt: skip
    new = models.open_run(outcome.summary["path"])
    split = features.judged_on(release)
    asked = (("before", found.name, wide), ("narrow", found.name, narrow),
             ("after", new.name, models.load_run(new, device="cpu")))  # fmt: skip
    rows = measured.rows(asked, found, release, split)
    before, _, after = rows
    summary = {"run": new.name, "before": found.name, "split": split, "rows": [asdict(row) for row in rows]}
    headline = (
        f"{new.name}: {after.parameters / before.parameters:.0%} of the weights and"
        f" {after.cpu_ms / before.cpu_ms:.0%} of the processor time of {found.name}; top-1 on {split}"
        f" {after.top1:.1%} ({after.low:.1%} to {after.high:.1%}), before {before.top1:.1%}"
        f" ({before.low:.1%} to {before.high:.1%})"
    )
    following = (f"pictus evaluate run --run {new.name}", f"pictus serve start --run {new.name}")
    return Outcome("train prune", summary, headline, outcome.problems, following, lambda: iter(rows))


def settings_of(run: "Run", model: str, weights: Path) -> tuple[str, ...]:
    """NAME=VALUE of all that a narrow run takes over from the run it came from."""
    usual = recipes.find(model)
    known = {field.name for field in fields(Recipe)}
    asked = {key: value for key, value in run.card.get("asked", {}).items() if key in known - _OWN}
    own = [f"{key}={value}" for key, value in asked.items() if value != getattr(usual, key)]
    rate = run.card.get("asked", {}).get("lr", usual.lr) * GENTLER
    return (*own, f"lr={rate:g}", f"size={run.preprocessing.size}", f"weights={weights}")


def written(project: Project, run: "Run", network: "nn.Module", name: str) -> Path:
    """The network's weights in a file named after what they came from: the same command finds the same file."""
    digest = hashlib.sha256(f"{models.weights_sha256(run)} {name}".encode()).hexdigest()[:16]
    path = project.models_dir / FOLDER / f"{run.name}-{digest}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {key: value.detach().contiguous() for key, value in network.state_dict().items()}
        write_bytes(path, need("safetensors.torch", "train").save(tensors))
    return path
