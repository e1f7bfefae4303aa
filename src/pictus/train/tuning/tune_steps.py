"""The verb that tries settings: tune."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pictus import stores
from pictus.engine import cpu_count
from pictus.errors import UserError
from pictus.extras import need
from pictus.project import Project, safe_name, write_text
from pictus.registry import Outcome, step
from pictus.releases import Release
from pictus.train import recipes
from pictus.train.pretrain import pool
from pictus.train.transfer import start
from pictus.train.tuning import charts, space, study, trial
from pictus.train.tuning.charts import Dot
from pictus.train.tuning.study import Wanted
from pictus.train.tuning.trial import Shelf

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial. `score`: validation, 0..1, of the epoch it keeps, of one given up the best; None where it failed."""

    number: int
    state: str  # whole | given up | failed | unfinished
    score: float | None
    settings: str
    cause: str


_PLACES = ("from_run", "teacher", "pool_sha256")
"""Settings that name what lies in the project."""

_STATES = {"COMPLETE": "whole", "PRUNED": "given up", "FAIL": "failed"}


@step("train tune", changes=True, needs_project=False, shows_records=True)
def tune(
    project: Project, *, release: str = "", recipe: str = "small-cnn", trials: int = 20, minutes: float = 0.0,
    over: str = space.OVER, workers: int = 1, set_: tuple[str, ...] = (),
) -> Outcome[TrialRow]:  # fmt: skip
    """Try settings of a recipe, the promising ones to the end, and say which are best and which matter.

    Each trial is a run in a process of its own. The same command goes on with a study that was stopped or killed, and
    with more --trials on one that has ended.

    release: version, release folder, or address of one in a store (s3://…); the newest when left out
    recipe: small-cnn, resnet-w32, airbench, resnet18, any of torchvision or timm
    trials: in all, those of before counted
    minutes: after which no trial is begun; 0: no end
    over: settings to try, separated by commas: lr, weight_decay, warmup, smoothing, min_area, erase, colour, mixup,
        cutmix, layer_decay, batch_size, optimizer, policy
    workers: trials at the same time, each on its share of the cores
    set: NAME=VALUE, the same for all trials: epochs, seed, size … (repeatable)

    Examples:
        pictus train tune --recipe small-cnn --trials 20
        pictus train tune --recipe resnet-w32 --over lr,weight_decay,mixup --minutes 60 --set epochs=12
        pictus train tune --trials 40 --workers 2
    """
    need("optuna", "tune")
    if not 1 <= trials <= 10_000 or not 0 <= minutes <= 1e6 or not 1 <= workers <= 64:  # noqa: PLR2004
        raise UserError(
            f"{trials:,} trials, {minutes:g} minutes, {workers} workers: 1 to 10,000 trials, no less than 0 minutes and"
            " 1 to 64 workers are wanted.",
            fix="--trials 20 --minutes 30",
        )
    opened = stores.found(project, release)
    chosen = recipes.changed(recipes.find(recipe), set_)
    tried = space.chosen(chosen, over)
    begun = pool.resolved(project, opened, start.resolved(project, chosen))  # a trial would look in the study's folder
    places = tuple(f"{name}={place}" for name in _PLACES if (place := getattr(begun, name)))
    same: dict[str, object] = {"settings": list(set_), "over": over, "digest": opened.digest, "recipe": recipe}
    same |= {"pool": begun.pool_sha256} if begun.pool_sha256 else {}  # more was collected: another study
    folder = _folder(project, recipe, opened, same)
    folder.mkdir(parents=True, exist_ok=True)
    with (shelf := Shelf(folder, folder.name)).lock("tune"):
        pool.lent(project, shelf, begun)
        found = study.opened(folder, same)
        wanted = Wanted(
            folder, str(opened.root.resolve()), recipe, (*set_, *places, "probe=false"), tried, trials, minutes * 60,
            chosen.seed, _shares(workers),
        )  # fmt: skip
        with project.progress.track("tune", None) as meter:

            def said(told: str) -> None:
                meter.say(told)
                study.note(found, folder, recipe, opened.version)

            study.search(found, wanted, trial.ran, said)
        study.note(found, folder, recipe, opened.version)
        typed = partial(space.typed, "run", recipe, release)
        return _outcome(found, folder, f"{recipe} on release {opened.version}", typed, set_)


def _folder(project: Project, recipe: str, release: Release, same: dict[str, object]) -> Path:
    """Of this very study, or a new one: tune-small-cnn-1.0.0, …-2."""
    base, number = safe_name(f"tune-{recipe}-{release.version}", "name"), 1
    while True:
        folder = project.models_dir / (base if number == 1 else f"{base}-{number}")
        if not (folder / study.NAME).exists() or study.begun(folder) in ({}, same):
            return folder
        number += 1


def _shares(workers: int) -> tuple[tuple[int, ...], ...]:
    """The cores of each worker; empty, which is all, where there are fewer than one each."""
    if workers == 1 or cpu_count() < workers or not hasattr(os, "sched_getaffinity"):
        return ((),) * workers
    cores = sorted(os.sched_getaffinity(0))
    return tuple(tuple(cores[at::workers]) for at in range(workers))


def _outcome(
    found: "Study", folder: Path, subject: str, typed: Callable[[Sequence[str]], str], set_: tuple[str, ...]
) -> Outcome[TrialRow]:
    """`typed`: settings -> the command of a run with them; `set_`: those that all trials had."""
    trials = found.get_trials(deepcopy=False)
    rows = [_row(one) for one in trials]
    whole = [one for one in trials if study.is_whole(one)]
    best = study.best(found)
    failed = [(row.number, row.cause) for row in rows if row.state == "failed"]
    if best is None:
        raise UserError(
            f"No trial of {folder} was trained to its end. " + "; ".join(trial.causes(failed)[:3]),
            fix=f"try one by hand: {typed(set_)}",
        )
    line = typed((*set_, *space.settings(best.params)))
    weights = study.importance(found)
    path = folder / REPORT
    dots = {
        name: [Dot(one.params[name], one.value) for one in whole if name in one.params and one.value is not None]
        for name in best.params
    }
    lines = [
        (str(row.number), row.state, "" if row.score is None else f"{row.score:.1%}", row.settings) for row in rows
    ]
    write_text(path, charts.study_page(subject, dots, weights, line, lines))
    counts = {name: sum(row.state == name for row in rows) for name in ("whole", "given up", "failed")}
    told = ", ".join(f"{name} {share:.0%}" for name, share in sorted(weights.items(), key=lambda item: -item[1]))
    summary = {
        "study": str(folder), "report": str(path), "trials": len(rows), "whole": counts["whole"],
        "given_up": counts["given up"], "failed": counts["failed"], "best": best.number, "score": best.value,
        "settings": list(space.settings(best.params)), "importance": weights,
    }  # fmt: skip
    level = [str(one.number) for one in whole if one.value == best.value and one is not best]
    headline = (
        f"trial {best.number} of {len(rows)} is best: validation {best.value:.1%}"
        + (f", as {'trial' if len(level) == 1 else 'trials'} {', '.join(level)}: the first is told" if level else "") +
        f" ({counts['given up']} given up, {counts['failed']} failed)" + (f"; what matters: {told}" if told else "")
    )
    return Outcome(
        "train tune", summary, headline, trial.causes(failed), (line, f"look at {path}"), source=lambda: iter(rows)
    )  # fmt: skip


def _row(one: "FrozenTrial") -> TrialRow:
    reported = list(one.intermediate_values.values())
    score = one.value if one.value is not None else max(reported, default=None)
    state = _STATES.get(one.state.name, "unfinished")
    return TrialRow(
        one.number, state, None if state == "failed" else score, " ".join(space.settings(one.params)),
        str(one.user_attrs.get("cause", "")),
    )  # fmt: skip
