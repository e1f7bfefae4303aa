"""The run card, run.json: everything needed to repeat a run, and what came of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pictus import models, run_files
from pictus.models import Preprocessing, Run
from pictus.project import is_locked, write_text
from pictus.releases import Release, class_names
from pictus.run_files import count, is_share, number, printable
from pictus.train.kept import logbook
from pictus.train.loop.state import Counters
from pictus.train.recipes import Recipe
from pictus.train.watching import watch

Card = dict[str, Any]

RUNNING, UNFINISHED, FINISHED = "running", "unfinished", "finished"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One line of `train list`. Validation scores in 0..1, None before the first epoch has ended."""

    name: str
    status: str  # running (a process holds it) | unfinished (stopped: `train resume` goes on) | finished
    recipe: str
    release: str
    epochs: int  # done
    planned: int | None  # of one that is not finished
    left_s: float | None  # of a running one, as it told last
    val_top1: float | None
    val_top5: float | None
    val_knn: float | None  # of a run without labels: how often the nearest neighbours vote right
    wall_s: float | None
    started_at: str


@dataclass(frozen=True)
class Asked:
    """What the user asked for, before anything was chosen for them."""

    recipe_name: str
    recipe: Recipe


def new_card(name: str, asked: Asked, release: Release, *, release_path: str, started_at: str) -> Card:
    """A card before anything was measured or chosen."""
    return {
        "format": models.FORMAT,
        "name": name,
        "status": "running",
        "model": asked.recipe.model,
        "recipe_name": asked.recipe_name,
        "asked": asdict(asked.recipe),
        "release": {"name": release.name, "version": release.version, "digest": release.digest, "path": release_path},
        "classes": list(release.classes),
        "class_names": list(class_names(release)),
        "started_at": started_at,
        "finished_at": "",
        "results": {},
    }


def preprocessing_of(recipe: Recipe, mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocessing:
    """Small inputs see the whole centre square; from 160 px on the usual margin of 256 : 224 is cut off."""
    margin = 256 / 224 if recipe.size >= 160 else 1  # noqa: PLR2004
    resize = round(recipe.size * margin)
    return Preprocessing(recipe.size, resize, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def results(counters: Counters, *, n_train: int, steps_per_epoch: int, batch_size: int) -> Card:
    """What came of a run so far. Scores are None before the first epoch has been validated, and where they diverged."""
    scores = {"val_top1": counters.best_top1, "val_top5": counters.best_top5, "val_loss": counters.best_loss}
    scores |= {f"val_{name}": value for name, value in counters.best_others.items()}
    has_scores = counters.best_epoch > 0
    seen = counters.step * min(batch_size, n_train)
    return {
        "best_epoch": counters.best_epoch,
        **{name: score if has_scores and math.isfinite(score) else None for name, score in scores.items()},
        "epochs": (counters.step + (steps_per_epoch - 1) * counters.has_ended) // steps_per_epoch,  # one cut short, too
        "epochs_planned": -(-counters.plan.end // steps_per_epoch),
        "steps": counters.step,
        "steps_per_epoch": steps_per_epoch,
        "wall_s": round(counters.elapsed_s, 1),
        "pictures_per_s": round(seen / max(1e-9, counters.elapsed_s), 1),
        "wait_share": round(min(1.0, counters.waited_s / max(1e-9, counters.elapsed_s)), 4),
        "peak_bytes": counters.peak_bytes,
        "gpu_peak_bytes": counters.gpu_peak_bytes,
    }


def write(root: Path, card: Card) -> None:
    """Write the card whole or not at all."""
    write_text(root / models.CARD_NAME, json.dumps(card, indent=1, allow_nan=False) + "\n")


def rows(runs: list[Run]) -> Iterator[RunRow]:
    """Runs as lines of a list. Of one that runs, or was killed, what its curve tells. What a card says in a form of its
    own is left out: one run takes no other away.
    """
    for run in runs:
        found, release = run.card.get("results") or {}, run.card.get("release") or {}  # another Pictus states less
        done = logbook.readable(run.root) if not run.is_finished else []
        best = next((epoch for epoch in reversed(done) if epoch.is_best), None)
        was_validated = count(found.get("best_epoch")) > 0  # cards of before hold -1 and infinity where nothing was
        top1, top5 = (share(found, name) if was_validated else None for name in ("val_top1", "val_top5"))
        top1, top5 = (best.val_top1, best.val_top5) if best else (top1, top5)
        knn = None if run.is_classifier else top1
        top1, top5 = (top1, top5) if run.is_classifier else (None, None)
        state = status(run)
        live = _live(run) if state == RUNNING else {}
        planned = live.get("epochs", count(found.get("epochs_planned")) or None) if state != FINISHED else None
        yield RunRow(
            printable(run.name), state, printable(run.card.get("recipe_name", "")),
            printable(str(release.get("version", ""))),
            max((epoch.epoch for epoch in done), default=count(found.get("epochs"))), planned, live.get("left_s"),
            top1, top5, knn, number(found, "wall_s"), printable(run.card.get("started_at", "")),
        )  # fmt: skip


def share(values: Card, name: str) -> float | None:
    """A score of a card in 0..1; None where it has none that can be told."""
    found = number(values, name)
    return found if is_share(found) else None


def status(run: Run) -> str:
    """`running` where a process holds the run's lock."""
    if run.is_finished:
        return FINISHED
    return RUNNING if is_locked(run.root, "train") else UNFINISHED


def _live(run: Run) -> Card:
    """The numbers that a running process told last."""
    try:
        found = run_files.read(run.root / watch.NAME)
        return {name: kind(found[name]) for name, kind in (("epochs", int), ("left_s", float))}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {}  # nothing was told yet
