"""The pages of clean: what was dropped and why, a review of every rule's line, the groups of duplicates."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NamedTuple

import pyarrow.compute as pc
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pictus import clean as steps
from pictus.concepts import Taxonomy
from pictus.errors import UserError, clipped
from pictus.journey import first_command
from pictus.web import duplicates, edges, groups
from pictus.web.charts import charts
from pictus.web.layout import MissingError, Shell, form_of, number, pager, whole
from pictus.web.review import FATES, Line, Review, Sheet, histogram, line_of
from pictus.web.tree import by_name
from pictus.web.wall import Filter

PAIRS_SHOWN, DROPPED_SHOWN = 6, 24
GROUPS_PAGE = 20
PAGE, MOST = 120, 600
"""Pictures of a review's wall: sent with the page, and at most with one answer."""
NAMED = 2_000
"""Up to so many concepts are proposed while one is typed."""
BACK = re.compile(
    r"/clean(/(duplicates|relevance|privacy))?(\?[a-z0-9=&_%.+-]{0,200})?|/clean/[a-z-]{1,40}(\?[A-Za-z0-9=&_%.+-]{0,200})?"
    r"|/pictures/[0-9a-f]{64}",
    re.ASCII,
)
"""Where a form may lead back to."""


def routes(shell: Shell) -> list[Route]:
    """The pages of clean; what changes something only where nobody else can reach it."""
    view = _View(shell)
    changing = [
        Route("/clean/restore", view.restore, methods=["POST"]),
        Route("/clean/{rule}/line", view.accept, methods=["POST"]),
        Route("/wall/clean/{rule}/preview", shell.json(view.preview)),  # seconds of work, asked only before a change
    ]
    return [
        Route("/clean", shell.page("clean.html", view.clean)),
        Route("/clean/duplicates", shell.page("duplicates.html", view.duplicates)),
        *([] if shell.is_open else changing),
        Route("/clean/{rule}", shell.page("review.html", view.review)),
        Route("/wall/clean/{rule}", shell.json(view.review_pictures)),
        Route("/wall/clean/{rule}/line", shell.json(view.review_line)),
    ]


class _Asked(NamedTuple):
    """Which rule is looked at, over which pictures, at which line."""

    line: Line
    sheet: Sheet
    at: float
    concept: str
    taxonomy: Taxonomy
    own: dict[str, float | None]  # lines of concepts; None switches the rule off for them


class Screened(NamedTuple):
    """What the last screen wrote of its own lines."""

    lines: list[dict[str, Any]]
    own_lines: tuple[str, ...]  # CONCEPT:RULE=NUMBER


class _View:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.project = shell.project
        self.wall = shell.wall
        self.review_of = Review(shell.project, shell.wall)

    def screened(self) -> Screened:
        """The lines as the last screen drew them, and what it wrote of each."""
        events = self.project.journal.events(event="pictures_screened", limit=1)
        data = events[0].data if events else {}
        return Screened(data.get("lines", []), tuple(data.get("own_lines", ())))

    def clean(self, _request: Request) -> dict[str, Any]:
        verdicts = self.project.tables.read("verdicts", ["rule", "verdict"])
        dropped = Counter(verdicts.filter(pc.equal(verdicts.column("verdict"), "drop")).column("rule").to_pylist())
        walls = {
            rule: self.wall.page(Filter(rule=rule, verdict="drop"), Taxonomy.of(()), 0, DROPPED_SHOWN)[0]
            for rule in dropped
        }
        lines = self.screened().lines
        flagged = Counter(verdicts.filter(pc.equal(verdicts.column("verdict"), "keep")).column("rule").to_pylist())
        pairs, n_pairs = duplicates.pairs(self.project, 0, PAIRS_SHOWN)
        return {
            "charts": charts([
                {**line, "dropped": (flagged if line.get("is_flag") else dropped)[line["rule"]]} for line in lines
            ]),
            "strips": edges.strips(self.project, lines), "dropped": dropped.most_common(),
            "walls": walls, "checked": self.project.tables.count("checks"),
            "kept": verdicts.num_rows - sum(dropped.values()), "pairs": pairs, "n_pairs": n_pairs,
            "rules": [line["rule"] for line in lines],
            "first": "pictus clean" if self.wall.rows().num_rows else first_command(self.project, "pictures"),
        }  # fmt: skip

    def duplicates(self, request: Request) -> dict[str, Any]:
        relation, order = (request.query_params.get(name, "") for name in ("relation", "order"))
        offset = whole(request, "offset")
        found = groups.page(self.project, offset, GROUPS_PAGE, relation=relation, order=order)
        return {
            "found": found, "relation": relation, "order": order,
            "relations": groups.RELATIONS, "orders": groups.ORDERS,
            "pager": pager(offset, len(found.groups), found.total, GROUPS_PAGE),
            "first": first_command(self.project, "pictures") if not self.wall.rows().num_rows else "pictus clean",
        }  # fmt: skip

    def _asked(self, request: Request) -> _Asked:
        rule, screened = request.path_params["rule"], self.screened()
        found = next((line for line in screened.lines if line["rule"] == rule), None)
        if found is None:
            known = ", ".join(str(line["rule"]) for line in screened.lines)
            fix = f"one of: {known}" if known else "pictus clean"
            raise MissingError("No such rule", f"No line of a rule {clipped(rule)} has been drawn.", fix=fix)
        taxonomy = self.shell.taxonomy()
        name = request.query_params.get("concept", "").strip()
        concept = taxonomy.resolve(name) if name else ""
        own = own_lines(screened, rule, taxonomy)
        below = taxonomy.descendants(concept) if concept else frozenset()
        without = {one for narrow in own if narrow in below or not concept for one in _whole(taxonomy, narrow)}
        line = _line_for(line_of(found), concept, own, taxonomy)
        at = request.query_params.get("line", "")
        within = (concept, *sorted(below)) if concept else ()
        sheet = self.review_of.sheet(line, within, sorted(without))
        return _Asked(line, sheet, number(at, "line") if at else line.line, concept, taxonomy, own)

    def review(self, request: Request) -> dict[str, Any]:
        asked = self._asked(request)
        line, sheet = asked.line, asked.sheet
        counts = sheet.counts(asked.at, line.line, is_off=line.origin == "off")
        first = max(counts["beyond"] - PAGE // 2, 0)
        bins, bars = histogram(sheet, line)
        taxonomy = asked.taxonomy
        return {
            "line": line, "at": asked.at, "counts": counts, "edges": bins, "bars": bars, "fates": FATES,
            "shown": self.review_of.pictures(sheet, first, PAGE), "first": first, "concept": asked.concept,
            "own": [(taxonomy.name(one), one, value) for one, value in asked.own.items()],
            "verb": "flagged" if line.is_flag else "dropped",
            "taxonomy": taxonomy, "rules": [found["rule"] for found in self.screened().lines],
            "named": by_name(taxonomy, taxonomy.classes) if len(taxonomy.classes) <= NAMED else [],
        }  # fmt: skip

    def review_pictures(self, request: Request) -> dict[str, Any]:
        """A stretch of the wall, the worst first: what its script asks for while it is scrolled."""
        asked = self._asked(request)
        offset, count = whole(request, "offset"), min(whole(request, "count", PAGE), MOST)
        found = self.review_of.pictures(asked.sheet, offset, count)
        keys = ("image_id", "width", "height", "value", "fate", "rule")
        return {"total": len(asked.sheet.values), "pictures": [[row[key] for key in keys] for row in found]}

    def review_line(self, request: Request) -> dict[str, Any]:
        """What a line drops, moved by some pictures or by a share of them."""
        asked = self._asked(request)
        by = request.query_params.get("by", "0")
        if not re.fullmatch(r"-?\d{1,9}", by, re.ASCII):
            raise UserError(f"by={clipped(by)} is not a whole number of pictures.")
        at = asked.sheet.moved(asked.at, int(by))
        return {"line": at, **asked.sheet.counts(at, asked.line.line, is_off=asked.line.origin == "off")}

    async def accept(self, request: Request) -> Response:
        """Screen with one line moved, or back where the pool has it; every other line stays as it is set."""
        rule = request.path_params["rule"]
        sent = await form_of(request, "line", "concept", "back")
        await run_in_threadpool(self._screen, rule, sent["concept"].strip(), sent["line"])
        where = sent["back"] if BACK.fullmatch(sent["back"]) else f"/clean/{rule}"
        return RedirectResponse(where, status_code=303)

    def preview(self, request: Request) -> dict[str, Any]:
        """What `clean screen` would change with this line and the others as they are set."""
        rule, query = request.path_params["rule"], request.query_params
        lines = self._lines_with(rule, query.get("concept", "").strip(), query.get("line", "") or "0")
        found = steps.preview(self.project, line=lines).summary
        return {name: found[name] for name in ("newly_dropped", "back", "changed", "rules")}

    def _lines_with(self, rule: str, concept: str, given: str) -> tuple[str, ...]:
        """A line as `clean screen --line` takes it, set back where `given` is empty; the others hold as they are."""
        screened, given = self.screened(), given.strip()
        if rule not in [line["rule"] for line in screened.lines]:
            raise MissingError("No such rule", f"No line of a rule {clipped(rule)} has been drawn.", fix="pictus clean")
        text = "pool" if not given else "off" if given == "off" else f"{number(given, 'line'):.12g}"
        name = self.shell.taxonomy().resolve(concept) if concept else ""
        return (f"{name}:{rule}={text}" if name else f"{rule}={text}",)

    def _screen(self, rule: str, concept: str, given: str) -> None:
        steps.screen(self.project, line=self._lines_with(rule, concept, given))

    async def restore(self, request: Request) -> Response:
        """Keep one dropped picture for good, then back to the page it was seen on."""
        sent = await form_of(request, "image", "back")
        if not re.fullmatch(r"[0-9a-f]{64}", sent["image"], re.ASCII):
            raise UserError("No picture was named.", fix="pictus clean restore IMAGE")
        await run_in_threadpool(steps.restore, self.project, (sent["image"],))
        where = sent["back"] if BACK.fullmatch(sent["back"]) else f"/pictures/{sent['image']}"
        return RedirectResponse(f"{where}#p-{sent['image'][:16]}", status_code=303)


def own_lines(screened: Screened, rule: str, taxonomy: Taxonomy) -> dict[str, float | None]:
    """Concept -> its own line of a rule, None where the rule is off for it."""
    parsed = [_parsed(text, taxonomy) for text in screened.own_lines]
    return {concept: value for concept, of_rule, value in parsed if of_rule == rule and concept}


def _parsed(text: str, taxonomy: Taxonomy) -> tuple[str, str, float | None]:
    """`CONCEPT:RULE=NUMBER` -> (concept_id, rule, value); no id for a concept that is gone."""
    left, _, value = text.rpartition("=")
    name, _, rule = left.rpartition(":")
    try:
        concept = taxonomy.resolve(name)
    except UserError:  # taken out of the taxonomy since: its line holds for nothing
        concept = ""
    return concept, rule, None if value == "off" else number(value, "line")


def _whole(taxonomy: Taxonomy, concept: str) -> frozenset[str]:
    return taxonomy.descendants(concept) | {concept}


def _line_for(line: Line, concept: str, own: dict[str, float | None], taxonomy: Taxonomy) -> Line:
    """The line that holds for a concept: its own, else that of the narrowest concept above it, else the pool's."""
    above = [one for one in own if one == concept or (concept and concept in taxonomy.descendants(one))]
    if not above:
        return line
    value = own[min(above, key=lambda one: len(taxonomy.descendants(one)))]
    return line._replace(origin="off") if value is None else line._replace(line=value, origin="option")
