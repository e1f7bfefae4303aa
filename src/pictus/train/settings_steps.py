"""The verb: settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.tasks import TASKS
from pictus.train import recipes
from pictus.train.meanings import MEANINGS
from pictus.train.objectives import OBJECTIVES
from pictus.train.recipes import Recipe
from pictus.train.tuning import automatic

BASE = "small-cnn"
"""Whose values `auto` begins from."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a recipe."""

    group: str
    name: str
    value: str  # the recipe's
    allowed: str  # "" where any text is
    means: str


@step("train settings", changes=False, needs_project=False)
def settings(_project: Project, *, recipe: str = BASE, find: str = "") -> Outcome[Setting]:
    """Every setting of training: the recipe's value, what it means, what is allowed.

    recipe: whose values are shown: auto, small-cnn, resnet-w32, airbench, resnet18, any of torchvision or timm
    find: only those whose name or meaning holds this word

    Examples:
        pictus train settings
        pictus train settings --find mix
        pictus train settings --recipe resnet18
    """
    is_auto = recipe == automatic.NAME
    wanted = find.strip().lower().replace("-", "_")
    begins = replace(recipes.find(BASE), minutes=automatic.MINUTES) if is_auto else recipes.find(recipe)
    every = rows(begins)
    found = [row for row in every if wanted in row.name or find.strip().lower() in row.means.lower()]
    if not found:
        raise UserError(f"No setting is called or means {find!r}.", fix="pictus train settings    lists all")
    problems = (f"auto sets some of them by the pictures and the machine; these are {BASE}'s",) if is_auto else ()
    headline = drawn(found, f"{counted(len(found), 'setting')} of {recipe}")
    summary = {"recipe": recipe, "settings": len(found)}
    by_name = (row for row in found if (wanted in row.name if wanted else row.name == "lr"))
    shown = next(by_name, found[0])
    following = (f"pictus train run --recipe {recipe} --set {shown.name}={_other(shown)}",)
    return Outcome("train settings", summary, headline, problems, following, source=lambda: iter(found))


def rows(recipe: Recipe) -> list[Setting]:
    """In the order of docs/train.md."""
    return [
        Setting(group, name, recipes.written(getattr(recipe, name)), _allowed(name), means)
        for group, meanings in MEANINGS.items()
        for name, means in meanings.items()
    ]


def drawn(found: list[Setting], head: str) -> str:
    """Under headings: name, value, meaning and what is allowed."""
    names = max(len(row.name) for row in found)
    values = max(len(row.value) for row in found)
    lines, group = [head], ""
    for row in found:
        if row.group != group:
            group = row.group
            lines += ["", group]
        allowed = f" ({row.allowed})" if row.allowed else ""
        lines.append(f"  {row.name:<{names}}  {row.value:<{values}}  {row.means}{allowed}")
    return "\n".join(lines)


def _other(row: Setting) -> str:
    """A value that is not the recipe's; … where that is a number or a text."""
    is_list = row.name not in ("freeze", "log") and "," in row.allowed and " to " not in row.allowed
    words = row.allowed.split(", ") if is_list else []
    return next((word for word in words if word != row.value), "…")


def _allowed(name: str) -> str:
    known = {"task": TASKS.names, "objective": OBJECTIVES.names}
    return ", ".join(known[name]()) if name in known else recipes.allowed(name)
