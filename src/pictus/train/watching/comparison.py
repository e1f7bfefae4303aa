"""Several runs side by side: what was set otherwise, and what came of it. Pure.

Legend: R runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pictus.models import Run
from pictus.run_files import count, is_number, is_share, number, printable, read
from pictus.stats import Interval, wilson
from pictus.train.kept import card as cards
from pictus.train.kept import logbook
from pictus.train.recipes import Recipe

EVALUATIONS = "evaluations"
NEIGHBOURS = "neighbours"
RESULTS, RESULTS_BYTES = "results.json", 64 << 20
PASSED_OVER = ("teacher_sha256", "from_run_sha256", "sample_weights_sha256", "pool_sha256", "parts", "threads", "probe",
               "log", "checkpoint_s")  # fmt: skip
"""Settings that say nothing of what was learned, or follow from others."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run beside others. Shares in 0..1 with their 95 % interval, None where there is none."""

    run: str
    status: str  # running | unfinished | finished
    release: str
    settings: str  # those that not all the runs have alike: `lr 0.1, epochs 20`
    val_top1: float | None
    val_low: float | None
    val_high: float | None
    test_top1: float | None
    test_low: float | None
    test_high: float | None
    epochs: int
    seconds: float | None
    parameters: int | None
    pictures_per_s: float | None
    scored_by: str  # what val_top1 counts: labels | neighbours (kNN votes: a run that learned without labels)


def differing(runs: Sequence[Run]) -> dict[str, tuple[object, ...]]:
    """Setting -> its value in each run [R], where they are not all alike. Settings younger than a run have the meaning
    they always had.
    """
    usual = asdict(Recipe(""))
    recipes = [usual | (run.card.get("recipe") or run.card.get("asked") or {}) for run in runs]
    names = dict.fromkeys(name for recipe in recipes for name in recipe if name not in PASSED_OVER)
    found = {name: tuple(recipe.get(name) for recipe in recipes) for name in names}
    return {name: values for name, values in found.items() if len({json.dumps(value) for value in values}) > 1}


def rows(runs: Sequence[Run]) -> list[ComparedRun]:
    """One row to a run, in the order given."""
    other = differing(runs)
    return [
        _row(run, ", ".join(f"{printable(name)} {told(values[place])}" for name, values in other.items()))
        for place, run in enumerate(runs)
    ]


def told(value: object) -> str:
    """A setting's value for people; of a file or another run, the name."""
    if value is None:
        return "–"
    if isinstance(value, str) and value.startswith("/"):
        value = Path(value).name
    return f"{value:g}" if isinstance(value, float) else printable(str(value)) or "none"


def tested(run: Run) -> Interval | None:
    """Top-1 on the test pictures of its own release, as `pictus evaluate run` found it."""
    version = str((run.card.get("release") or {}).get("version", ""))
    path = run.root / EVALUATIONS / f"{version}-test" / RESULTS
    try:
        found = read(path, RESULTS_BYTES).get("top1")
    except (OSError, ValueError):
        return None  # not evaluated, or damaged, or no name of a file: no figure
    if not isinstance(found, Mapping):
        return None
    values = [found.get(name) for name in Interval._fields]
    return Interval(*map(float, values)) if all(is_number(one) and is_share(one) for one in values) else None  # type: ignore[arg-type]


def _row(run: Run, settings: str) -> ComparedRun:
    card, results = run.card, run.card.get("results") or {}
    epochs = logbook.readable(run.root)
    best = next((epoch for epoch in reversed(epochs) if epoch.is_best), None)
    top1 = best.val_top1 if best else cards.share(results, "val_top1")
    val = _interval(top1, count((card.get("pictures") or {}).get("val")))
    test = tested(run)
    return ComparedRun(
        printable(run.name), cards.status(run),
        printable(str((card.get("release") or {}).get("version", ""))), settings, *_parts(val), *_parts(test),
        max((epoch.epoch for epoch in epochs), default=count(results.get("epochs"))), number(results, "wall_s"),
        count(card.get("parameters")) or None, number(results, "pictures_per_s"),
        "labels" if run.is_classifier else NEIGHBOURS,
    )  # fmt: skip


def _interval(share: float | None, n: int) -> Interval | None:
    return wilson(share * n, n) if share is not None and is_number(share) and n else None


def _parts(found: Interval | None) -> tuple[float | None, float | None, float | None]:
    return tuple(found) if found else (None, None, None)  # type: ignore[return-value]
