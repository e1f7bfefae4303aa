"""Training runs as a page shows them: the recipe, the curve so far, what evaluation found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pictus import models
from pictus.errors import UserError
from pictus.models import Run
from pictus.project import Project
from pictus.stats import Interval, wilson
from pictus.web.charts import curve

CURVE_NAME = "metrics.jsonl"
REPORT_NAME = "report.html"


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one run. `problem`: what keeps its numbers from being read, "" when nothing does."""

    name: str  # the folder's: <version>-<split>
    version: str
    split: str
    n: int
    top1: Interval
    top5: Interval
    report: Path | None
    problem: str


@dataclass(frozen=True)
class RunPage:
    """One run. Scores are of the validation split at the best epoch; nan before the first epoch has ended."""

    run: Run
    recipe: dict[str, Any]
    release: str
    n_epochs: int
    best_epoch: int
    top1: Interval
    top5: Interval
    curve: Markup
    evaluations: tuple[Evaluation, ...]


def pages(project: Project) -> list[RunPage]:
    """Every run of the project, the newest first."""
    return [page(run) for run in reversed(models.runs(project))]


def page(run: Run) -> RunPage:
    """What is known of one run, also of one that is still being trained."""
    card = run.card
    lines = _epochs(run.root / CURVE_NAME)
    n_val = int(card.get("pictures", {}).get("val", 0))
    best = next((line for line in reversed(lines) if line["is_best"]), None)

    def score(name: str) -> Interval:
        return wilson(best[name] * n_val if best else 0.0, n_val if best else 0)

    return RunPage(
        run, card.get("recipe") or card.get("asked", {}), str(card.get("release", {}).get("version", "")),
        len(lines), int(best["epoch"]) if best else 0, score("val_top1"), score("val_top5"),
        curve([line["val_top1"] for line in lines], [line["train_top1"] for line in lines],
              best=int(best["epoch"]) if best else 0),
        tuple(_evaluations(run)),
    )  # fmt: skip


def find_report(project: Project, name: str, evaluation: str) -> Path | None:
    """The report of one evaluation; both names are looked up among what there is, never made into a path."""
    run = next((run for run in models.runs(project) if run.root.name == name), None)
    found = (one for one in _evaluations(run) if one.name == evaluation) if run else ()
    return next((one.report for one in found), None)


def _epochs(path: Path) -> list[dict[str, Any]]:
    """The epochs in a run's log. What follows the last line break is still being written."""
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    try:
        lines = [json.loads(line) for line in whole.splitlines() if '"kind": "epoch"' in line]
        found = [line for line in lines if line["kind"] == "epoch"]
        return _numbered(found)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error!r}.", fix="restore it from a copy, or train again") from error


def _numbered(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with all that is drawn; a run that was resumed may have written an epoch twice: the later one counts."""
    found = {int(line["epoch"]): {"train_top1": line["train_top1"], **line} for line in lines}
    return [found[epoch] for epoch in sorted(found)]


def _evaluations(run: Run) -> list[Evaluation]:
    folders = sorted(path.parent for path in (run.root / "evaluations").glob("*/results.json"))
    return [_evaluation(folder) for folder in folders]


def _evaluation(folder: Path) -> Evaluation:
    report = folder / REPORT_NAME
    shown = report if report.is_file() else None
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        top1, top5 = (Interval(*(found[name][part] for part in Interval._fields)) for name in ("top1", "top5"))
        n, version, split = int(found["n"]), str(found["version"]), str(found["split"])
        return Evaluation(folder.name, version, split, n, top1, top5, shown, "")
    except (ValueError, KeyError, TypeError) as error:
        nothing = wilson(0, 0)
        return Evaluation(folder.name, folder.name, "", 0, nothing, nothing, shown, f"results.json: {error!r}")
