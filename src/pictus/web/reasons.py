"""The pages of rules without a line: what was dropped as a leak, an opt-out or broken, each with its reason."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from pictus.concepts import Taxonomy
from pictus.journey import first_command
from pictus.web.layout import Shell, pager, whole
from pictus.web.wall import Filter

PAGE = 60
RULES = {
    "leak": "found in a set that models are tested on",
    "opt-out": "whose owner refuses",
    "broken": "that cannot be decoded",
}


def routes(shell: Shell) -> list[Route]:
    """A page for each of these rules."""
    return [Route(f"/clean/{rule}", shell.page("reasons.html", partial(_page, shell, rule))) for rule in RULES]


def _page(shell: Shell, rule: str, request: Request) -> dict[str, Any]:
    offset = whole(request, "offset")
    rows, total = shell.wall.page(Filter(rule=rule, verdict="drop"), Taxonomy.of(()), offset, PAGE)
    tables = shell.project.tables
    events = shell.project.journal.events(event="pictures_screened", limit=1)
    data = events[0].data if events else {}
    return {
        "rule": rule, "words": RULES[rule], "rows": rows, "pager": pager(offset, len(rows), total, PAGE),
        "is_off": f"{rule}=off" in data.get("switched_off", ()),
        "next": _next(shell, rule), "has_screened": bool(events), "n_sets": tables.count("evaluation_hashes"),
        "n_leaks": tables.count("leaks"),
    }  # fmt: skip


def _next(shell: Shell, rule: str) -> str:
    """What to type when there is nothing to see."""
    tables = shell.project.tables
    if not tables.count("images"):
        return first_command(shell.project, "pictures")
    if not tables.count("checks"):
        return "pictus clean"
    if rule != "leak":
        return "pictus clean screen"
    if not tables.count("evaluation_hashes"):
        return "pictus clean hashes add FILE --set NAME"
    return "pictus clean screen" if tables.count("leaks") else "pictus clean leaks"
