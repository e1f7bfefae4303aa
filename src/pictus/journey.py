"""What is missing on the way to a goal, as the command to type: every "do this first" says the step that is next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pictus.project import CONFIG_NAME, Project

Goal = Literal["pictures", "votes", "labels", "split", "release", "run"]

TAXONOMY = "pictus taxonomy import --folders PICTURES    (or --file, --ilsvrc, --wordnet)"
PICTURES = "pictus collect add PICTURES --by-folder    or    pictus collect fetch urls.csv"
CUT = "pictus release cut 1.0.0"


def first_command(project: Project, goal: Goal) -> str:
    """The first step not done yet on the way to `goal`; where all before it are done, the one that makes it."""
    if goal == "run":
        return _to_a_run(project)
    if not (project.root / CONFIG_NAME).is_file():  # a bare folder has no tables: only releases can be in it
        return "name a release folder, or make a project: pictus new NAME"
    tables = project.tables
    steps: tuple[tuple[Goal | None, str, Callable[[], bool]], ...] = (
        (None, TAXONOMY, lambda: bool(tables.count("concepts"))),
        ("pictures", PICTURES, lambda: bool(tables.count("images"))),
        ("votes", _import(project), lambda: bool(project.journal.vote_count())),
        ("labels", "pictus annotate settle", lambda: bool(tables.count("labels"))),
        ("split", "pictus release split --seed 7", lambda: bool(tables.count("splits"))),
        ("release", CUT, lambda: False),
    )
    goals = [makes for makes, _, _ in steps]
    number = goals.index(goal)
    while number and not steps[number - 1][2]():  # back to the last that is done: what came before it is not missed
        number -= 1
    return steps[number][1]


def _import(project: Project) -> str:
    from_file = "pictus annotate import labels.csv"
    is_claimed = bool(project.tables.count("sources", "concept_id != ''"))
    return f"pictus annotate import --from-folders    or    {from_file}" if is_claimed else from_file


def _to_a_run(project: Project) -> str:
    unfinished = [path.parent.name for path in _newest(project.models_dir, "run.json") if not _is_finished(path)]
    if unfinished:
        return f"pictus train resume {unfinished[0]}"
    releases = _newest(project.releases_dir, "manifest.json")
    if releases:
        return f"pictus train run --release {releases[0].parent.name}"
    return first_command(project, "release")


def _newest(folder: Path, marker: str) -> list[Path]:
    return sorted(folder.glob(f"*/{marker}"), key=lambda path: path.stat().st_mtime, reverse=True)


def _is_finished(card: Path) -> bool:
    try:
        return bool(json.loads(card.read_text(encoding="utf-8")).get("status") == "finished")
    except (OSError, ValueError, AttributeError):  # a broken card: whoever opens the run says what is wrong
        return True
