"""Settings of a run as its page shows them: first what is other than the recipe's, all others folded, by group."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from pictus import train
from pictus.errors import UserError
from pictus.models import Run
from pictus.project import Project

BASE = "small-cnn"
"""Whose values stand for those of a recipe that is not known here."""

OTHERS = "Others"
FILES = ("weights", "sample_weights")
RUNS = ("from_run", "teacher")


class Setting(NamedTuple):
    """One setting of one run. `usual`: the recipe's value, or what auto chose, as a person types it."""

    name: str
    value: str
    usual: str
    means: str
    run: str  # the run of this project that it names, "" where it names none


class Settings(NamedTuple):
    """`asked`: set otherwise than the recipe says, or auto chose; `chosen`: by the pictures and the machine, when the
    run began.
    """

    recipe: str
    asked: list[Setting]
    chosen: list[Setting]
    groups: dict[str, list[Setting]]


def settings(project: Project, run: Run, runs: set[str]) -> Settings:
    """Of a run's card; `runs`: the names of all there are. Those of which nothing is known come last."""
    known, recipe = _known(project, str(run.card.get("recipe_name", "")))
    asked: dict[str, Any] = run.card.get("asked") or {}
    by_hand = run.card.get("why_settings")  # of an auto run: NAME=VALUE that was typed, some of which auto took over
    by_hand = by_hand if isinstance(by_hand, list) else []
    typed = {str(one).partition("=")[0].strip().replace("-", "_") for one in by_hand}
    by_auto = {name: value for name, value in (run.card.get("chosen") or {}).items()
               if name not in typed or value != asked.get(name)}  # fmt: skip
    found: dict[str, Any] = asked | (run.card.get("recipe") or {})
    shown = Settings(recipe, [], [], {})
    known |= dict.fromkeys(sorted(found.keys() - known.keys()), (OTHERS, "", ""))
    for name, (group, usual, means) in known.items():
        if name not in found:
            continue  # younger than the run
        theirs = _written(by_auto[name]) if name in by_auto else usual
        one = _setting(name, found[name], theirs, means, runs)
        shown.groups.setdefault(group, []).append(one)
        if group == OTHERS:
            continue
        if name in asked and not is_same(asked[name], theirs) and not is_same(found[name], theirs):
            shown.asked.append(one)
        elif not is_same(found[name], usual):
            shown.chosen.append(one)
    return shown


def is_same(value: object, written: str) -> bool:
    """Whether a value of a card is what a person types as `written`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value).lower() == written.lower()
    try:
        return math.isclose(value, float(written), rel_tol=1e-5)  # six digits are written
    except (ValueError, OverflowError):
        return False  # the recipe's is no number, or the card's is beyond all


def _setting(name: str, value: object, usual: str, means: str, runs: set[str]) -> Setting:
    """Files and runs are shown by their names: where they lie is nobody's business."""
    text = _written(value)
    if name in FILES or name in RUNS:
        text = Path(text).name
    return Setting(name, text, usual, means, text if name in RUNS and text in runs else "")


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _known(project: Project, recipe: str) -> tuple[dict[str, tuple[str, str, str]], str]:
    """Name -> (group, the recipe's value, meaning); and whose values they are."""
    name = recipe.partition("@")[0]  # a narrow network is trained as the whole one was
    try:
        found = train.settings(project, recipe=name or BASE)
    except UserError:  # of a plugin that is gone, or of another Pictus
        name, found = BASE, train.settings(project, recipe=BASE)
    return {row.name: (row.group, row.value, row.means) for row in found}, name or BASE
