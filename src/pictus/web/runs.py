"""Training runs as a page shows them: the recipe, the curve so far, what evaluation found."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from pictus import models, train
from pictus.errors import UserError, clipped
from pictus.models import Run
from pictus.project import Project, is_locked
from pictus.run_files import MOST_BYTES, count, is_number, is_share, own_file, printable, read
from pictus.stats import Interval, wilson
from pictus.web import run_charts
from pictus.web.run_log import read_log

CURVE_NAME = "metrics.jsonl"
REPORT_NAME = "report.html"
FORGETTING = "forgetting"
"""In the address of the page that `train forgetting` left beside a run; an evaluation's is `<version>-<split>`."""
LIVE_NAME, MISTAKES_NAME = "live.json", "mistakes.json"
LIVE_BYTES, RESULTS_BYTES = 1 << 20, 64 << 20
"""At most: live.json is asked for again and again; results.json tells of every class."""
MOST_SHOWN = 1000
"""Points of the pace, and mistakes; a run writes 240 and 24."""
BEST_OF = 5

PARTS = {"card": "run_card.html", "now": "run_now.html", "curves": "run_curves.html", "scores": "run_scores.html",
         "mistakes": "run_mistakes.html", "facts": "run_facts.html"}  # fmt: skip
"""Of the pages of runs, those that change while one trains."""


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
    """One run. Scores are of the validation split at the epoch kept; nan before the first epoch has ended."""

    run: Run
    release: str
    n_epochs: int
    best_epoch: int
    top1: Interval
    top5: Interval
    curve: Markup
    evaluations: tuple[Evaluation, ...]
    is_working: bool  # a process trains it now
    votes: str  # "kNN ", where it learns without labels and its scores are its neighbours' votes; else ""
    left_off: str  # how far it came, of one that has not finished
    mark: str  # another one as soon as any of its files changed
    live: dict[str, Any]  # what the process last told: pace, memory, time left; empty where none ever did
    has_top5: bool  # five guesses do not always hold the right one
    n_val: int  # pictures of the validation split; 0 where the card does not tell
    others: dict[str, float]  # further scores at the best epoch: map, where a picture has several labels


class Broken(NamedTuple):
    """A run that cannot be shown, and why."""

    name: str
    why: str
    fix: str


class Shown(NamedTuple):
    """The runs of a project, the newest first."""

    pages: list[RunPage]
    broken: list[Broken]


def pages(project: Project) -> Shown:
    """Every run of the project; one that is broken takes no other away."""
    found, here = Shown([], []), f"{project.root}/"
    for folder in _folders(project):
        try:
            found.pages.append(page(models.open_run(folder)))
        except UserError as error:
            found.broken.append(Broken(printable(folder.name), printable(error.what).replace(here, ""), error.fix))
    found.pages.sort(key=lambda one: (one.run.card.get("started_at", ""), one.run.name), reverse=True)
    return found


def find(project: Project, name: str) -> Run | None:
    """A run by its name, which is looked up among what there is, never made into a path."""
    folder = next((folder for folder in _folders(project) if folder.resolve().name == name), None)
    try:
        return models.open_run(folder) if folder else None
    except UserError as error:  # whoever reads it need not know where the project lies
        raise UserError(error.what.replace(f"{project.root}/", ""), fix=error.fix) from error


def is_prepared(project: Project, name: str) -> bool:
    """Whether a process holds the lock of a run that has no card yet: pictures are counted, the machine is timed."""
    folders = (path.parent.parent for path in project.models_dir.glob("*/locks/train.lock"))
    return any(folder.name == name and is_locked(folder, "train") for folder in folders)


def names(project: Project) -> set[str]:
    """Of all runs, also of those that cannot be opened."""
    return {folder.name for folder in _folders(project)}


def _folders(project: Project) -> list[Path]:
    return sorted(path.parent for path in project.models_dir.glob(f"*/{models.CARD_NAME}"))


def page(run: Run) -> RunPage:
    """What is known of one run, also of one that is still being trained; a UserError for what cannot be shown."""
    card = run.card
    _check_texts(run)
    lines = read_log(run.root / CURVE_NAME).epochs
    n_val = count(card.get("pictures", {}).get("val"))
    best = next((line for line in reversed(lines) if line["is_best"]), None)

    def score(name: str) -> Interval:
        if best is None or math.isnan(best[name]):
            return wilson(0, 0)
        return wilson(best[name] * n_val, n_val)

    return RunPage(
        run, str(card.get("release", {}).get("version", "")),
        len(lines), int(best["epoch"]) if best else 0, score("val_top1"), score("val_top5"),
        run_charts.small(lines, int(best["epoch"]) if best else 0, is_classifier=run.is_classifier),
        tuple(_evaluations(run)), is_working(run), "" if run.is_classifier else "kNN ",
        _left_off(run, lines), mark(run), live(run), len(run.classes) > BEST_OF,
        n_val, {name: value for name, value in (best or {}).get("val_others", {}).items() if is_share(value)},
    )  # fmt: skip


def _left_off(run: Run, lines: list[dict[str, Any]]) -> str:
    """`epoch 3 of 12`, by its log and what it told last; "" of a finished one."""
    if run.is_finished:
        return ""
    planned = live(run).get("epochs")
    return f"epoch {len(lines):,}" + (f" of {planned:,.0f}" if planned else "")


def _check_texts(run: Run) -> None:
    """A page is UTF-8: names of folders need not be, and JSON can spell half a sign."""
    try:
        told = {name: value for name, value in run.card.items() if name not in ("classes", "class_names")}
        (run.root.name + json.dumps(told, ensure_ascii=False)).encode("utf-8")
    except (ValueError, RecursionError) as error:
        what = f"The name of run {printable(run.root.name)!r}, or its card, cannot be shown: {error}."
        raise UserError(what, fix="rename the folder, or restore its run.json from a copy") from error


def is_working(run: Run) -> bool:
    """Whether a process trains it."""
    return not run.is_finished and is_locked(run.root, "train")


def mark(run: Run) -> str:
    """Changes with the files that its page is made of."""
    names = (models.CARD_NAME, CURVE_NAME, LIVE_NAME, MISTAKES_NAME)
    return "-".join(f"{stamp(run.root / name)[0]}" for name in names) + f"-{is_working(run):d}"


def live(run: Run) -> dict[str, Any]:
    """live.json; empty where there is none, or what it holds is of another form."""
    found = _read(run.root / LIVE_NAME, LIVE_BYTES)
    numbers = ("step", "steps", "epochs", "steps_per_epoch", "lr", "pictures_per_s", "wait_share",
               "memory_bytes", "gpu_bytes", "left_s", "elapsed_s")  # fmt: skip
    is_whole = all(is_number(found.get(name)) for name in numbers) and isinstance(found.get("history"), list)
    if not is_number(found.get("loss")):
        found["loss"] = math.nan  # of weights that have diverged
    return found | {"history": found["history"][:MOST_SHOWN]} if is_whole and found["steps_per_epoch"] >= 1 else {}


def mistakes(run: Run) -> dict[str, Any]:
    """mistakes.json: epoch, pictures, mistakes, and the surest of them; empty where it was never written."""
    found = _read(run.root / MISTAKES_NAME)
    surest = found.get("surest")
    rows = [
        row for row in (surest[:MOST_SHOWN] if isinstance(surest, list) else ())
        if isinstance(row, dict) and is_number(row.get("probability")) and 0 <= row["probability"] <= 1
        and isinstance(row.get("image_id"), str) and isinstance(row.get("guess_name"), str)
        and isinstance(row.get("truth_names"), list)
    ]  # fmt: skip
    if not all(is_number(found.get(name)) for name in ("epoch", "pictures", "mistakes")):
        return {}
    return found | {"surest": rows}


def curves(run: Run) -> list[tuple[str, Markup]]:
    """Caption and drawing of the loss, the scores, the learning rate and the pace."""
    return run_charts.curves(
        read_log(run.root / CURVE_NAME), live(run), is_working=is_working(run), is_classifier=run.is_classifier,
        has_top5=len(run.classes) > BEST_OF,
    )  # fmt: skip


def facts(project: Project, run: Run) -> list[tuple[str, str]]:
    """Its card in words."""
    return [(fact.about, fact.words) for fact in train.card(project, str(run.root))]


def find_report(project: Project, name: str, report: str) -> Path | None:
    """An evaluation's report, or that of what was forgotten; both names are looked up among what there is, never made
    into a path.
    """
    run = find(project, name)
    if run and report == FORGETTING:
        return forgetting(run)
    found = (one for one in _evaluations(run) if one.name == report) if run else ()
    return next((one.report for one in found), None)


def forgetting(run: Run) -> Path | None:
    """What it has forgotten of the run it began from, as a page; None where nobody has asked."""
    return own_file(run.root, f"{FORGETTING}.html")


def _read(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    try:
        return read(path, most_bytes)
    except (OSError, ValueError):
        return {}  # there is none, or it is damaged: the page does without


def stamp(path: Path) -> tuple[int, int, int]:
    """Another one as soon as the file is another."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0  # there is none
    return found.st_mtime_ns, found.st_size, found.st_ino


def _evaluations(run: Run) -> list[Evaluation]:
    folders = sorted(path.parent for path in (run.root / "evaluations").glob("*/results.json"))
    return [_evaluation(folder) for folder in folders if printable(folder.name) == folder.name]


def _evaluation(folder: Path) -> Evaluation:
    report = own_file(folder.parent.parent, f"evaluations/{folder.name}/{REPORT_NAME}")
    return _read_evaluation(folder, report, stamp(folder / "results.json"))


@lru_cache(maxsize=256)
def _read_evaluation(folder: Path, shown: Path | None, _written: tuple[int, int, int]) -> Evaluation:
    """Read once, as long as the file is the same: it tells of every class, and the page of runs has all of them."""
    try:
        found = read(folder / "results.json", RESULTS_BYTES)
        top1, top5 = (Interval(*(float(found[name][part]) for part in Interval._fields)) for name in ("top1", "top5"))
        n, version, split = int(found["n"]), str(found["version"]), str(found["split"])
        return Evaluation(folder.name, version, split, n, top1, top5, shown, "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        nothing, problem = wilson(0, 0), f"results.json: {clipped(repr(error))}"
        return Evaluation(folder.name, folder.name, "", 0, nothing, nothing, shown, problem)
