"""The verb that takes channels out of a run and trains what is left."""

from __future__ import annotations

from dataclasses import asdict

from pictus import models, narrow_networks, quantised_networks
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.train.feed import remote
from pictus.train.fitting import measured, successor
from pictus.train.fitting.measured import FittedRow
from pictus.train.fitting.successor import Successor
from pictus.train.transfer import features
from pictus.train.watching import beside


@step("train prune", changes=True, needs_project=False, shows_records=True)
def prune(project: Project, run: str = "", *, sparsity: float = 0.5, epochs: int = 0) -> Outcome[FittedRow]:
    """Take a share of the channels out of a run for good, train what is left, and measure both.

    Inner channels of residual blocks and of plain networks go, the weakest first; the new run is truly smaller and
    faster, and is evaluated and served like any other. The same command goes on after a kill, and measures again.

    run: by name or folder; the newest when left out
    sparsity: the share of the channels, above 0 and up to 0.95
    epochs: to train what is left; a quarter of the run's when left out

    Examples:
        pictus train prune small-cnn-1.0.0
        pictus train prune resnet18-1.0.0 --sparsity 0.3 --epochs 10
    """
    if not 0 < sparsity <= narrow_networks.MOST or epochs < 0:
        raise UserError(
            f"A sparsity of {sparsity:g} and {counted(epochs, 'epoch')}: above 0 up to {narrow_networks.MOST}, and 0 or"
            " more epochs, are wanted.",
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
    weights = successor.written(project, found, narrow, name)
    many = epochs or max(1, int(found.card.get("results", {}).get("epochs", 4)) // 4)
    wanted = Successor(f"{found.name}-narrow-{sparsity:g}-{many}", name, weights, many)
    new, problems = successor.trained(project, found, release, wanted)
    split = features.judged_on(release)
    asked = (("before", found.name, wide), ("narrow", found.name, narrow),
             ("after", new.name, models.load_run(new, device="cpu")))  # fmt: skip
    rows = measured.rows(asked, found, release, split)
    beside.keep(new.root, beside.FITTED, split, rows)
    before, _, after = rows
    summary = {"run": new.name, "before": found.name, "split": split, "rows": [asdict(row) for row in rows]}
    headline = (
        f"{new.name}: {after.parameters / before.parameters:.0%} of the weights and"
        f" {after.cpu_ms / before.cpu_ms:.0%} of the processor time of {found.name}; top-1 on {split}"
        f" {after.top1:.1%} ({after.low:.1%} to {after.high:.1%}), before {before.top1:.1%}"
        f" ({before.low:.1%} to {before.high:.1%})"
    )
    following = (f"pictus evaluate run --run {new.name}", f"pictus serve start --run {new.name}")
    return Outcome("train prune", summary, headline, problems, following, lambda: iter(rows))
