"""The pages: status, concepts, the wall of pictures, one picture's history, clean, releases, runs, search."""

from __future__ import annotations

from collections import Counter
from shlex import quote
from typing import Any

import pyarrow.compute as pc
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pictus import models, overview
from pictus.errors import NotThereError, PictureError, UserError
from pictus.journey import train_command
from pictus.project import Project
from pictus.speech import pieces
from pictus.web import clean, coverage, privacy, reasons, releases, relevance, run_settings, run_shots, runs, search
from pictus.web.charts import placeholder
from pictus.web.layout import TEMPLATES, MissingError, Shell, whole
from pictus.web.security import SANDBOX
from pictus.web.shots import SHOWN, THUMBNAIL_SIDES, Shots
from pictus.web.studies import find_study, studies
from pictus.web.tree import by_name, chain, counts_inside, in_order
from pictus.web.wall import SORTS, Filter

KINDS, STRIP = 20, 8
FULL_TREE = 2_000
"""Up to here the tree shows every concept; above, those with pictures and the classes."""
YEAR = "private, max-age=31536000, immutable"


def routes(project: Project, *, is_open: bool = False) -> list[Route]:
    """Every page of one project. `is_open`: others can reach them, so that nothing can be changed through them."""
    shell = Shell(project, is_open=is_open)
    view = _View(shell)
    return [
        Route("/", shell.page("status.html", view.status)),
        Route("/concepts", shell.page("concepts.html", view.concepts)),
        Route("/concepts/{concept_id}", shell.page("concept.html", view.concept)),
        Route("/pictures", shell.page("pictures.html", view.pictures)),
        Route("/pictures/{image_id}", shell.page("picture.html", view.picture)),
        *relevance.routes(shell),
        *reasons.routes(shell),
        *([] if is_open else privacy.routes(shell)),  # a list of who is to be seen, and where it was taken
        *clean.routes(shell),
        *coverage.routes(shell),
        Route("/releases", shell.page("releases.html", view.releases)),
        Route("/releases/{version}/{name}", view.release_file),
        Route("/runs", shell.page("runs.html", view.runs)),
        Route("/runs/{run}", shell.page("run.html", view.run)),
        Route("/runs/{run}/live", shell.json(view.run_live)),
        Route("/runs/{run}/pictures/{image_id}", view.run_picture),
        Route("/runs/{run}/{evaluation}", view.report),
        Route("/studies/{study}", view.study),
        Route("/search", shell.page("search.html", view.search)),
        Route("/search", view.upload, methods=["POST"]),
        Route("/wall", shell.json(view.wall_rows)),
        Route("/thumbnails/{side:int}/{image_id}", view.thumbnail),
        Route("/bytes/{image_id}", view.original),
    ]


async def user_error(request: Request, error: Exception) -> Response:
    """A UserError as a page, or as JSON where JSON was asked for: 404 for what is not there, else 400."""
    assert isinstance(error, UserError)
    status = 404 if isinstance(error, NotThereError) else 400
    title = "That cannot be shown" if request.method == "GET" else "That cannot be done"
    title = error.title if isinstance(error, MissingError) else title
    return _error_page(request, status, title, error.what, error.fix)


async def http_error(request: Request, error: Exception) -> Response:
    """What has no page, a wrong method, a body that cannot be read: in our words."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:  # noqa: PLR2004
        what = error.detail if error.detail != "Not Found" else f"There is no page {request.url.path}."
        return _error_page(request, 404, "Not found", what, "")
    what = error.detail if error.status_code != 405 else f"{request.method} does nothing at {request.url.path}."  # noqa: PLR2004
    return _error_page(request, error.status_code, "That cannot be done", what, "")


def _error_page(request: Request, status: int, title: str, what: str, fix: str) -> Response:
    if request.url.path.startswith(("/api/", "/wall")):
        fix = fix or ("GET /api/steps lists what there is" if status == 404 else "")  # noqa: PLR2004
        return JSONResponse({"error": {"what": what, "fix": fix}}, status_code=status)
    values = {"title": title, "what": what, "fix": pieces(fix), "here": ""}
    values["project_name"] = request.app.state.project_name
    return HTMLResponse(TEMPLATES.get_template("error.html").render(values), status_code=status)


class _View:
    """One project's pages. Methods named after a page return what its template needs."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.project = shell.project
        self.wall = shell.wall
        self.shots = Shots(shell.project)

    def status(self, _request: Request) -> dict[str, Any]:
        outcome = overview.status(self.project)
        taxonomy, own = self.shell.taxonomy(), self._own_counts()
        order = in_order(taxonomy)
        most = {concept_id for concept_id, _ in own.most_common(KINDS)}
        shown = [concept_id for concept_id in order if concept_id in most] + sorted(most - set(order))
        samples = self.wall.samples(STRIP)
        causes = overview.failed_causes(self.project)
        return {
            "stages": list(outcome), "summary": outcome.summary, "next": outcome.next, "taxonomy": taxonomy,
            "problems": outcome.problems,
            "kinds": [(concept_id, own[concept_id], samples.get(concept_id, [])) for concept_id in shown],
            "n_kinds": len(own), "causes": causes.most_common(), "events": self.project.journal.events(limit=12),
        }  # fmt: skip

    def concepts(self, _request: Request) -> dict[str, Any]:
        taxonomy = self.shell.taxonomy()
        own = self._own_counts()
        inside = counts_inside(taxonomy, own)
        is_shown = len(taxonomy) < FULL_TREE

        seen: set[str] = set()

        def tree(concept_id: str) -> list[list[str]]:
            """What hangs below a concept ("" for the top) by name, chains of only children in one piece.

            A DAG's node is opened where it is met first (templates ask depth first).
            """
            if concept_id in seen:
                return []
            seen.add(concept_id)
            below = by_name(taxonomy, taxonomy.children(concept_id) if concept_id else taxonomy.roots)
            wanted = [child for child in below if is_shown or inside[child] or taxonomy.get(child).is_class]
            return [chain(taxonomy, child) for child in wanted]

        samples = self.wall.samples(STRIP)
        return {"taxonomy": taxonomy, "own": own, "inside": inside, "tree": tree, "samples": samples}

    def concept(self, request: Request) -> dict[str, Any]:
        taxonomy = self.shell.taxonomy()
        concept_id = request.path_params["concept_id"]
        if concept_id not in taxonomy:
            fix = "pictus taxonomy show    lists them"
            raise MissingError("No such concept", f"There is no concept {concept_id[:80]!r}.", fix=fix)
        concept = taxonomy.get(concept_id)
        chosen = Filter(concept=concept.concept_id)
        rows, total = self.wall.page(chosen, taxonomy, 0)
        _, n_dropped = self.wall.page(Filter(concept=concept.concept_id, verdict="drop"), taxonomy, 0, 0)
        own = self._own_counts()
        below = by_name(taxonomy, taxonomy.children(concept_id))
        inside = {child: own[child] + sum(own[one] for one in taxonomy.descendants(child)) for child in below}
        return {
            "concept": concept, "taxonomy": taxonomy, "rows": rows, "total": total, "n_dropped": n_dropped,
            "chosen": chosen, "inside": inside,
        }  # fmt: skip

    def pictures(self, request: Request) -> dict[str, Any]:
        chosen, taxonomy = Filter.of(dict(request.query_params)), self.shell.taxonomy()
        if chosen.concept:
            chosen = Filter(**{**chosen.__dict__, "concept": taxonomy.resolve(chosen.concept)})
        rows, total = self.wall.page(chosen, taxonomy, 0)
        facets = {name: self.wall.counts(name) for name in ("verdict", "rule", "status", "split")}
        return {
            "chosen": chosen, "rows": rows, "total": total, "facets": facets, "sorts": SORTS, "taxonomy": taxonomy,
            "classes": by_name(taxonomy, taxonomy.classes),
        }  # fmt: skip

    def wall_rows(self, request: Request) -> dict[str, Any]:
        """The next rows of a wall: what the page's script asks for while scrolling."""
        offset = whole(request, "offset")
        taxonomy = self.shell.taxonomy()
        rows, total = self.wall.page(Filter.of(dict(request.query_params)), taxonomy, offset)
        html = TEMPLATES.get_template("tiles.html").render(rows=rows, taxonomy=taxonomy)
        return {"total": total, "html": html, "count": len(rows)}

    def picture(self, request: Request) -> dict[str, Any]:
        asked = request.path_params["image_id"]
        image_id = asked if self.shots.places.find(asked) else self._found(asked)
        parts = overview.history(self.project, image_id)
        return {"image_id": image_id, "parts": parts, "taxonomy": self.shell.taxonomy()}

    def _found(self, asked: str) -> str:
        """The whole image_id of what stands in an address."""
        try:
            return overview.find_image(self.project, asked)
        except UserError as error:
            raise MissingError("No such picture", error.what) from error  # who reads this sees the pictures already

    def releases(self, _request: Request) -> dict[str, Any]:
        return {"releases": releases.pages(self.project), "shown_licences": releases.SHOWN_LICENCES}

    async def release_file(self, request: Request) -> Response:
        """The datasheet, the licences, the manifest: as text."""
        version, name = (request.path_params[part] for part in ("version", "name"))
        path = await run_in_threadpool(releases.find_file, self.project, version, name)
        if path is None:
            raise MissingError("No such file", f"Release {version[:80]!r} has no file {name[:80]!r} to read here.")
        return FileResponse(path, media_type=releases.READABLE[name])

    def runs(self, _request: Request) -> dict[str, Any]:
        found = runs.pages(self.project)
        releases_here = overview.names_in(self.project, "releases")
        groups = [
            ("training", [page for page in found.pages if page.is_working]),
            ("unfinished", [page for page in found.pages if not page.is_working and not page.run.is_finished]),
            ("finished", [page for page in found.pages if page.run.is_finished]),
        ]
        return {"groups": groups, "n_runs": len(found.pages), "broken": found.broken, "releases": releases_here,
                "first": train_command(*releases_here[-1:]), "studies": studies(self.project)}  # fmt: skip

    def run(self, request: Request) -> dict[str, Any]:
        run = self._run(request)
        shown = run_settings.settings(self.project, run, runs.names(self.project))
        return self._run_parts(run) | {"settings": shown}

    def _run(self, request: Request) -> models.Run:
        name = request.path_params["run"]
        found = runs.find(self.project, name)
        if found is None and runs.is_prepared(self.project, name):
            what = f"Run {name[:80]!r} looks at its pictures and times the machine: its page is here in a moment."
            raise MissingError("Being prepared", what, fix="load this page again")
        if found is None:
            raise MissingError("No such run", f"There is no run {name[:80]!r}.", fix="pictus train list")
        return found

    def _run_parts(self, run: models.Run) -> dict[str, Any]:
        mistakes = runs.mistakes(run)
        ids = [row["image_id"] for row in mistakes.get("surest", ())]
        known = {image_id for image_id in ids if self.shots.places.find(image_id)}
        return {
            "page": runs.page(run), "curves": runs.curves(run), "mistakes": mistakes,
            "known": known, "unseen": run_shots.problem(self.project, run) if set(ids) - known else "",
            "facts": runs.facts(self.project, run), "forgetting": runs.forgetting(run) is not None,
        }  # fmt: skip

    def run_live(self, request: Request) -> dict[str, Any]:
        """What of a run's page is new since `mark`: the page's script asks for it while the run trains."""
        run = self._run(request)
        now = {"mark": runs.mark(run), "is_working": runs.is_working(run), "parts": {}}
        if request.query_params.get("mark", "") == now["mark"]:
            return now
        values = self._run_parts(run)
        return now | {
            "parts": {name: TEMPLATES.get_template(file).render(**values) for name, file in runs.PARTS.items()}
        }

    async def run_picture(self, request: Request) -> Response:
        """A small picture of those that a run is most surely wrong about."""
        run = await run_in_threadpool(self._run, request)
        try:
            path = await run_in_threadpool(
                run_shots.thumbnail, self.project, run, request.path_params["image_id"]
            )
        except PictureError as error:
            return Response(placeholder(error.cause), media_type="image/svg+xml", headers=SANDBOX)
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": YEAR})

    async def report(self, request: Request) -> Response:
        """An evaluation's page. It was written by another step, so it may show what it holds and do nothing."""
        name, evaluation = (request.path_params[part] for part in ("run", "evaluation"))
        path = await run_in_threadpool(runs.find_report, self.project, name, evaluation)
        if path is None:
            what = f"Run {name[:80]!r} has no report of an evaluation {evaluation[:80]!r}."
            raise MissingError("No such report", what, fix=f"pictus evaluate run --run {quote(name[:80])}")
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=SANDBOX)

    async def study(self, request: Request) -> Response:
        """The report of a study of settings; it may show what it holds and do nothing."""
        name = request.path_params["study"]
        path = await run_in_threadpool(find_study, self.project, name)
        if path is None:
            raise MissingError("No such report", f"No study {name[:80]!r} has one.", fix="pictus train tune")
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=SANDBOX)

    def search(self, request: Request) -> dict[str, Any]:
        text = request.query_params.get("text", "").strip()
        like = request.query_params.get("like", "").strip()
        return self._searched(search.answer(self.project, text=text, like=like))

    async def upload(self, request: Request) -> Response:
        """A picture dropped on the search page; what is wrong with it is said there."""
        try:
            image_bytes = await search.uploaded(request)
        except UserError as error:
            values = search.nothing(error)
        else:
            values = await run_in_threadpool(search.answer, self.project, image_bytes=image_bytes)
        status = 400 if values["problem"] else 200
        return await run_in_threadpool(
            self.shell.render, "search.html", lambda _request: self._searched(values), request, status
        )

    def _searched(self, values: dict[str, Any]) -> dict[str, Any]:
        taxonomy, own = self.shell.taxonomy(), self._own_counts()
        known = [concept_id for concept_id, _ in own.most_common(KINDS) if concept_id in taxonomy]
        has_index, n_pictures = search.has_index(self.project), self.wall.rows().num_rows
        names = [taxonomy.name(concept_id) for concept_id in by_name(taxonomy, known)]
        return values | {
            "names": names, "has_index": has_index, "n_pictures": n_pictures, "max_upload": search.MAX_UPLOAD
        }  # fmt: skip

    async def thumbnail(self, request: Request) -> Response:
        """One picture at one of three sizes, made once and kept in the project's cache; a drawing with the cause
        for one that cannot be decoded.
        """
        side = request.path_params["side"]
        if side not in THUMBNAIL_SIDES:
            raise HTTPException(404, f"Thumbnails come in {', '.join(map(str, THUMBNAIL_SIDES))} px.")
        try:
            path = await run_in_threadpool(self.shots.thumbnail, request.path_params["image_id"], side)
        except PictureError as error:
            return Response(placeholder(error.cause), media_type="image/svg+xml", headers=SANDBOX)
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": YEAR})

    async def original(self, request: Request) -> Response:
        """The picture's own bytes, to others without where it was taken, never as anything that could run."""
        read = self.shots.placeless if self.shell.is_open else self.shots.read
        try:
            image_bytes, picture = await run_in_threadpool(read, request.path_params["image_id"])
        except PictureError as error:
            raise HTTPException(404, "Where this picture was taken cannot be taken out of it.") from error
        safe = picture.format in SHOWN
        media = f"image/{picture.format}" if safe else "application/octet-stream"
        return Response(image_bytes, media_type=media, headers={"cache-control": YEAR})

    def _own_counts(self) -> Counter[str]:
        """Concept -> pictures not dropped, by label, else by claim ("" for none)."""
        rows = self.wall.rows()
        rows = rows.filter(pc.not_equal(rows.column("verdict"), "drop"))
        return Counter(rows.column("own_concept").to_pylist())
