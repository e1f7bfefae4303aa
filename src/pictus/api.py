"""The HTTP side of the steps: GET for those that read, POST with a JSON body for those that change.

    GET  /api/steps                      what there is
    GET  /api/status?records=10          a reading step; query parameters are its parameters
    POST /api/clean/check {"engine": …}  a changing step

Answers have the shape of the command line's --json; errors are {"error": {"what", "fix"}}.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pictus import models
from pictus.errors import NotThereError, UserError
from pictus.forms import Form, all_forms, values_from
from pictus.output import outcome_json, record_json
from pictus.project import Project
from pictus.registry import unknown
from pictus.releases import versions

MAX_BODY = 1_000_000
MAX_RECORDS = 1_000

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(project: Project, *, is_open: bool = False) -> list[Route]:
    """One route for each step that can run while someone waits for the answer.

    `is_open`: others can reach it, so only steps that read, no file of this machine, and releases only
    by their version, where one's own machine may name a folder as well.
    """
    forms = [form for form in all_forms() if form.step.name != "serve start"]  # that one is a server itself
    if is_open:
        forms = [form for form in forms if not form.step.changes and not _takes_paths(form)]
        forms = [form for form in forms if form.step.name not in OF_PEOPLE]
    found = [Route("/api/steps", _listing(forms), methods=["GET"])]
    for form in forms:
        method = "POST" if form.step.changes else "GET"
        found.append(Route(path_of(form), _endpoint(project, form, is_open=is_open), methods=[method]))
    return found


OF_PEOPLE = frozenset({
    "annotate people", "annotate links", "annotate skills", "annotate trust", "annotate history",
})  # fmt: skip
"""Who works how well is for those who run the project: it stays away where others can reach it."""

NAMES_OF_RELEASES = frozenset({"version", "before", "after", "release"})
NAME_OF_RUN = "run"


def _check_names(project: Project, given: dict[str, Any]) -> None:
    """A release or a run that is named must be one of the project's: a folder would be read, or told to exist."""
    known = versions(project.releases_dir)
    for name in NAMES_OF_RELEASES & given.keys():
        if given[name] and given[name] not in known:
            raise unknown("release", str(given[name]), known)
    if given.get(NAME_OF_RUN):
        trained = [run.root.name for run in models.runs(project, skip_broken=True)]
        if given[NAME_OF_RUN] not in trained:
            raise unknown("run", str(given[NAME_OF_RUN]), trained)


def _takes_paths(form: Form) -> bool:
    return any(field.kind is Path for field in form.fields)


def path_of(form: Form) -> str:
    """"clean check" -> /api/clean/check."""
    return "/api/" + form.step.name.replace(" ", "/")


def error_response(error: UserError) -> Response:
    """The one error shape of every JSON answer: 404 for what is not there, 400 for every other mistake."""
    status = 404 if isinstance(error, NotThereError) else 400
    body = json.dumps({"error": {"what": error.what, "fix": error.fix}})  # a name of a folder may be no UTF-8
    return Response(body, status_code=status, media_type="application/json")


def _listing(forms: list[Form]) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        steps = [
            {
                "step": form.step.name,
                "method": "POST" if form.step.changes else "GET",
                "path": path_of(form),
                "summary": form.summary,
                "parameters": {field.name.rstrip("_"): field.text for field in form.fields},
            }
            for form in forms
        ]
        return JSONResponse({"steps": steps})

    return endpoint


def _endpoint(project: Project, form: Form, *, is_open: bool) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            given, wanted = await _given(form, request)
            if is_open:
                await run_in_threadpool(_check_names, project, given)
            body = await run_in_threadpool(_answer, project, form, given, wanted)
        except UserError as error:
            return error_response(error)
        return Response(json.dumps(body, default=str, allow_nan=False), media_type="application/json")

    return endpoint


async def _given(form: Form, request: Request) -> tuple[dict[str, Any], int]:
    """Parameters and how many records to send along."""
    query = request.query_params
    if form.step.changes:
        given = await _body(request)
        wanted = given.pop("records", 0)
    else:
        many = {field.name.rstrip("_") for field in form.fields if field.many}
        given = {name: query.getlist(name) if name in many else query[name] for name in query if name != "records"}
        wanted = query.get("records", "100")
    try:
        return given, min(max(int(wanted), 0), MAX_RECORDS)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"records={wanted!r} is not a number.", fix=f"0 to {MAX_RECORDS}") from None


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise UserError("A changing step takes a JSON body.", fix="send Content-Type: application/json")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise UserError(f"The body is larger than {MAX_BODY:,} bytes.")
    try:
        given = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"The body is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise UserError(f"The body is a JSON {type(given).__name__}, not an object.", fix='{"name": value, …}')
    return given


def _answer(project: Project, form: Form, given: dict[str, Any], wanted: int) -> dict[str, Any]:
    outcome = form.step.function(project, **values_from(form, given))
    return outcome_json(outcome) | {"records": [record_json(record) for record in islice(iter(outcome), wanted)]}
