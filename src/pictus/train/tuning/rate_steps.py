"""The verb that finds a learning rate: find-lr."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path

import numpy as np

from pictus import stores
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.project import Project, safe_name, write_text
from pictus.registry import Outcome, step
from pictus.releases import Release
from pictus.train import recipes
from pictus.train.feed import loader
from pictus.train.loop import environment, training
from pictus.train.loop.parts import parted
from pictus.train.loop.schedule import Plan
from pictus.train.loop.state import Job, fresh
from pictus.train.recipes import Recipe
from pictus.train.steps import prepared
from pictus.train.tuning import charts, rates, space
from pictus.train.tuning.rates import RatePoint


@dataclass(frozen=True)
class _Range:
    low: float
    high: float
    steps: int


@step("train find-lr", changes=True, needs_project=False)
def find_lr(
    project: Project, *, release: str = "", recipe: str = "small-cnn", steps: int = 200, low: float = 1e-5,
    high: float = 10.0, set_: tuple[str, ...] = (),
) -> Outcome[RatePoint]:  # fmt: skip
    """Find a learning rate: train some steps while it grows from low to high, and look where the loss falls fastest.

    release: version, release folder, or address of one in a store (s3://…); the newest when left out
    recipe: small-cnn, resnet-w32, airbench, resnet18, any of torchvision or timm
    steps: 20 to 10,000; 200 are enough in most cases
    low: learning rate of the first step
    high: of the last one; it stops before where the loss leaves
    set: NAME=VALUE, any other setting of the recipe (repeatable)

    Examples:
        pictus train find-lr
        pictus train find-lr --recipe resnet18 --set optimizer=adamw --high 1 --steps 400
    """
    need("torch", "train")
    if not rates.LEAST_STEPS <= steps <= 10_000 or not 1e-12 <= low < high <= 1e3:  # noqa: PLR2004
        raise UserError(
            f"{steps:,} steps from {low:g} to {high:g}: 20 to 10,000 steps from a low to a higher rate, at most 1,000,"
            " are wanted.",
            fix="--steps 200 --low 1e-5 --high 10",
        )
    opened = stores.found(project, release)
    chosen = recipes.changed(recipes.find(recipe), set_)
    with tempfile.TemporaryDirectory() as scratch:
        points, is_diverged = _swept(project, Path(scratch), opened, chosen, _Range(low, high, steps))
    lr_T, losses_T = (np.array([getattr(one, name) for one in points]) for name in ("lr", "loss"))
    found = rates.picked(lr_T, losses_T, is_diverged=is_diverged)
    path = project.models_dir / "rates" / f"{safe_name(f'{recipe}-{opened.version}', 'name')}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, charts.rate_page(f"{recipe} on release {opened.version}", points, found))
    left = f"; it left at {found.diverged:.2g}" if found.diverged else ""
    summary = {"lr": found.lr, "steepest": found.steepest, "diverged": found.diverged, "steps": len(points),
               "path": str(path), "recipe": recipe, "release": opened.version, "is_clear": found.is_clear}  # fmt: skip
    if not found.is_clear:
        wider = f"--steps {max(200, 3 * steps)} --low {low:g} --high {high:g}"
        return Outcome(
            "train find-lr", summary,
            f"no rate can be told: in {counted(len(points), 'step')} the loss falls no more than by chance{left}",
            ("more steps, or a wider range, tell more",),
            (f"{space.typed('find-lr', recipe, release, set_)} {wider}", f"look at {path}"), lambda: iter(points),
        )  # fmt: skip
    return Outcome(
        "train find-lr", summary, f"--set lr={found.lr:.2g}: the loss falls fastest at {found.steepest:.2g}{left}",
        next=(space.typed("run", recipe, release, (*set_, f"lr={found.lr:.2g}")), f"look at {path}"),
        source=lambda: iter(points),
    )  # fmt: skip


def _swept(
    project: Project, scratch: Path, release: Release, recipe: Recipe, asked: _Range
) -> tuple[list[RatePoint], bool]:
    """The points, and whether the loss left. Nothing of what was trained stays."""
    keep = "memory" if recipe.keep == "auto" else recipe.keep  # no pack is made for this
    # The rate is set as the peak of a constant schedule, anew before each step.
    trial = replace(recipe, keep=keep, schedule="constant", warmup=0.0, ema=0.0, probe=False, minutes=0.0)
    job = prepared(project, scratch, release, trial)
    state = fresh(job)
    state.counters.plan = Plan(0, 0.0, asked.steps)
    job_recipe = job.recipe
    portions = loader.portions_of_epochs(
        job_recipe.seed, len(job.train), job_recipe.batch_size, 0, asked.steps, how=job.train.how
    )
    found: list[tuple[float, float]] = []
    is_diverged = False
    with (
        project.progress.track("find-lr", asked.steps) as meter,
        loader.batches(
            job.train, portions, training.training_views(job), seed=job_recipe.seed, threads=job.cores
        ) as stream,
        parted(state.model, job_recipe.parts, job_recipe.threads) as parts,
        environment.torch_threads(job_recipe.threads),
    ):
        for at, batch in enumerate(stream):
            lr = rates.lr_at(at, asked.steps, asked.low, asked.high)
            result = None
            # A loss that is no number is what is looked for, and no trouble.
            with suppress(UserError):
                result = training.advance(_at_rate(job, lr), state, parts, batch)
            if result is None:
                is_diverged = True
                break
            if result.n_seen:
                found.append((lr, result.loss))
            meter.advance()
            if rates.has_left(rates.smoothed(np.array([loss for _, loss in found]))):
                is_diverged = True
                break
    smooth = rates.smoothed(np.array([loss for _, loss in found], np.float64))
    rows = [(lr, loss, mean) for (lr, loss), mean in zip(found, smooth.tolist(), strict=True)]
    return list(starmap(RatePoint, rows)), is_diverged


def _at_rate(job: Job, lr: float) -> Job:
    """Recipes state rates for a batch of 128, and the loop scales them with the batch."""
    return replace(job, recipe=replace(job.recipe, lr=lr))
