"""Studies of settings (`train tune`) as the page of runs shows them: a line each, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pictus.project import Project, is_locked
from pictus.run_files import count, is_share, own_file, printable, read

TABLES, NOTE, REPORT = "study.sqlite", "study.json", "report.html"


class Study(NamedTuple):
    """One study. `best`: the trial of the best score, validation's in 0..1; None before a trial was trained to its end.

    Of one that an older Pictus made only the number of trials is known.
    """

    name: str
    subject: str  # `small-cnn on release 1.0.0`, "" where it is not known
    n_trials: int
    n_given_up: int
    n_failed: int
    best: int
    score: float | None
    is_working: bool
    has_report: bool


def studies(project: Project) -> list[Study]:
    """Of the project, by name."""
    return [_study(folder) for folder in _folders(project)]


def find_study(project: Project, name: str) -> Path | None:
    """The report of a study; its name is looked up among what there is, never made into a path."""
    return next((own_file(folder, REPORT) for folder in _folders(project) if folder.name == name), None)


def _folders(project: Project) -> list[Path]:
    found = sorted(path.parent for path in project.models_dir.glob(f"*/{TABLES}"))
    return [folder for folder in found if printable(folder.name) == folder.name]


def _study(folder: Path) -> Study:
    try:
        told = read(folder / NOTE)
    except (OSError, ValueError):
        told = {"trials": sum(path.is_dir() for path in folder.glob("trial-*"))}
    score, recipe, release = told.get("score"), told.get("recipe"), told.get("release")
    n_trials, n_given_up, n_failed, best = (count(told.get(name)) for name in ("trials", "given_up", "failed", "best"))
    return Study(
        folder.name, f"{recipe} on release {release}" if recipe and release else "",
        n_trials, n_given_up, n_failed, best, score if is_share(score) else None,
        is_locked(folder, "tune"), own_file(folder, REPORT) is not None,
    )  # fmt: skip
