"""What the pages share: the templates, how one is rendered off the event loop, and what an address may hold."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from math import isfinite, isnan
from shlex import quote
from typing import Any
from urllib.parse import quote_plus

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from pictus.concepts import LiveTaxonomy, Taxonomy
from pictus.errors import NotThereError, UserError, clipped
from pictus.project import Project
from pictus.web.wall import Wall, cells, little

MAX_FORM = 10_000
MEASURES = {
    "border_frac": "share of border", "text_frac": "share of writing", "grey_frac": "share without colour",
    "jpeg_quality": "JPEG quality", "is_animated": "moves (1) or not (0)", "overlay": "likeness of an overlay",
}  # fmt: skip
"""Columns of `checks` as a person would say them."""

TEMPLATES = Environment(
    loader=PackageLoader("pictus", "web/templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.filters |= {"count": "{:,}".format, "shell": quote, "query": quote_plus}
TEMPLATES.filters |= {"percent": lambda share: "–" if isnan(share) else f"{share * 100:.1f}\N{NO-BREAK SPACE}%"}
TEMPLATES.filters |= {"when": lambda at: at.replace("T", " ").rstrip("Z")}
TEMPLATES.filters |= {"measure": lambda name: MEASURES.get(name, name.replace("_", " "))}
TEMPLATES.globals |= {"cells": cells, "little": little}

Page = Callable[[Request], Awaitable[Response]]
Values = Callable[[Request], dict[str, Any]]


class MissingError(NotThereError):
    """A thing named in the address is not there. `title` names the page that says so."""

    def __init__(self, title: str, what: str, *, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.title = title


class Shell:
    """One project as its pages see it. `is_open`: others can reach them, so that nothing can be changed."""

    def __init__(
        self, project: Project, *, is_open: bool, taxonomy: Callable[[], Taxonomy] | None = None
    ) -> None:  # fmt: skip
        self.project = project
        self.is_open = is_open
        self.wall = Wall(project)
        self.taxonomy = taxonomy or LiveTaxonomy(project)

    def page(self, template: str, values: Values) -> Page:
        """Render `template` with what `values` finds, off the event loop."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self.render, template, values, request)

        return endpoint

    def render(self, template: str, values: Values, request: Request, status: int = 200) -> Response:
        """One page as an answer."""
        shared = {"project_name": self.project.name, "here": request.url.path, "is_open": self.is_open}
        html = TEMPLATES.get_template(template).render(**shared, **values(request))
        # a name of a folder may be no UTF-8: it is shown with its bytes spelled
        return HTMLResponse(html.encode("utf-8", "backslashreplace"), status_code=status)

    def json(self, values: Values) -> Page:
        """What `values` finds as JSON, off the event loop: what a page's script asks for."""

        async def endpoint(request: Request) -> Response:
            return JSONResponse(await run_in_threadpool(values, request))

        return endpoint


async def form_of(request: Request, *names: str) -> dict[str, str]:
    """The named fields of a small form, "" for those not sent."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_FORM:
        raise UserError("The form is too large.")
    async with request.form(max_files=0, max_fields=8) as form:
        return {name: str(form.get(name, "")) for name in names}


def whole(request: Request, name: str, default: int = 0) -> int:
    """A query parameter that counts something."""
    text = request.query_params.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise UserError(f"{name}={text[:80]!r} is not a number.")
    return int(text)


def number(text: str, name: str) -> float:
    """A measured value as a person or a script types it; never NaN and never without end."""
    try:
        found = float(text)
    except ValueError:
        found = float("nan")  # said below with everything else that is no number
    if not isfinite(found):
        raise UserError(f"{name}={clipped(text)} is not a number.")
    return found


def pager(offset: int, count: int, total: int, size: int) -> dict[str, int]:
    """The places of one page of a list: -1 where there is no page before or after."""
    before = max(offset - size, 0) if offset else -1
    after = offset + size if count and offset + count < total else -1
    return {"offset": offset, "shown": count, "total": total, "before": before, "after": after}
