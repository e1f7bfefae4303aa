"""What is missing on the way to a goal, as the command to type: every "do this first" says the step that is next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from pictus.clock import now
from pictus.project import Project

Goal = Literal["pictures", "votes", "labels", "split", "release", "run"]

TAXONOMY = "pictus taxonomy import --folders PICTURES    (or --file, --ilsvrc, --wordnet)"
PICTURES = "pictus collect add PICTURES --by-folder    or    pictus collect fetch urls.csv"
CUT = "pictus release cut 1.0.0"


class Desk(NamedTuple):
    """Questions that wait at the desk, and people who hold a page just now."""

    waiting: int
    at_work: int


def at_desk(project: Project) -> Desk:
    """How much is to be asked, and by how many it is being answered."""
    import sqlalchemy as sa  # noqa: PLC0415  a release is opened without it

    waiting = sa.text("SELECT COALESCE(SUM(waiting), 0) FROM heaps WHERE state = 'open'")
    at_work = sa.text("SELECT COUNT(DISTINCT annotator) FROM pages WHERE state = 'leased' AND expires_at > :now")
    with project.journal.reading() as connection:
        found = connection.execute(waiting).scalar_one(), connection.execute(at_work, {"now": now()}).scalar_one()
    return Desk(*map(int, found))


def first_command(project: Project, goal: Goal) -> str:
    """The first step not done yet on the way to `goal`; where all before it are done, the one that makes it."""
    if goal == "run":
        return _to_a_run(project)
    if not project.exists:  # a bare folder has no tables: only releases can be in it
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
    if at_desk(project).waiting:
        return f"pictus annotate serve    or    {from_file}"
    is_claimed = bool(project.tables.count("sources", "concept_id != ''"))
    if not is_claimed:
        return from_file
    ask = "pictus annotate plan, then pictus annotate serve"
    return f"pictus annotate import --from-folders    or    {ask}    or    {from_file}"


def _to_a_run(project: Project) -> str:
    begun = {path.parent.name: _begun(path) for path in project.models_dir.glob("*/run.json")}
    unfinished = [(at, name) for name, at in begun.items() if at is not None]
    if unfinished:
        return f"pictus train resume {max(unfinished)[1]}"
    releases = list(project.releases_dir.glob("*/manifest.json"))
    if releases:  # of several, training takes the newest version by itself
        return train_command(releases[0].parent.name if len(releases) == 1 else "")
    return first_command(project, "release")


def train_command(version: str = "") -> str:
    """The command for who has chosen no network: pictures and machine choose it."""
    return f"pictus train run{f' --release {version}' if version else ''} --recipe auto"


def _begun(card: Path) -> str | None:
    """When an unfinished run was begun; None for one that cannot be gone on with."""
    try:
        found = json.loads(card.read_text(encoding="utf-8"))
        return None if found.get("status") == "finished" else str(found.get("started_at", ""))
    except (OSError, ValueError, AttributeError):  # a broken card: whoever opens the run says what is wrong
        return None
