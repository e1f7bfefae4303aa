"""The pages: status, concepts, the wall of pictures, one picture's history, search."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pictus import overview, pixels, shards
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import PictureError, UserError
from pictus.project import Project, write_bytes
from pictus.records import Picture
from pictus.tables import equals
from pictus.web.charts import charts
from pictus.web.wall import SORTS, Filter, Wall

THUMBNAIL_SIDES = (160, 320, 640)
MAX_UPLOAD = 20_000_000
MURAL = 60
STRIP = 8
FULL_TREE = 2_000
"""Up to here the tree shows every concept; above, those with pictures and the classes."""
YEAR = "private, max-age=31536000, immutable"

TEMPLATES = Environment(
    loader=PackageLoader("pictus", "web/templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.filters["count"] = lambda number: f"{number:,}"

Page = Callable[[Request], Awaitable[Response]]


def routes(project: Project) -> list[Route]:
    """Every page of one project."""
    view = _View(project)
    return [
        Route("/", view.page("status.html", view.status)),
        Route("/concepts", view.page("concepts.html", view.concepts)),
        Route("/concepts/{concept_id}", view.page("concept.html", view.concept)),
        Route("/pictures", view.page("pictures.html", view.pictures)),
        Route("/pictures/{image_id}", view.page("picture.html", view.picture)),
        Route("/clean", view.page("clean.html", view.clean)),
        Route("/search", view.page("search.html", view.search)),
        Route("/search", view.upload, methods=["POST"]),
        Route("/wall", view.wall_json),
        Route("/thumbnails/{side:int}/{image_id}", view.thumbnail),
        Route("/bytes/{image_id}", view.original),
    ]


async def user_error(request: Request, error: Exception) -> Response:
    """A UserError as a page, or as JSON where JSON was asked for."""
    assert isinstance(error, UserError)
    if request.url.path.startswith(("/api/", "/wall")):
        return JSONResponse({"error": {"what": error.what, "fix": error.fix}}, status_code=400)
    html = TEMPLATES.get_template("error.html").render(what=error.what, fix=error.fix, here="", project_name="")
    return HTMLResponse(html, status_code=400)


async def not_found(request: Request, error: Exception) -> Response:
    """404 in our words."""
    detail = error.detail if isinstance(error, HTTPException) and error.detail != "Not Found" else ""
    what = detail or f"There is no page {request.url.path}."
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": {"what": what, "fix": "GET /api/steps lists what there is"}}, status_code=404)
    html = TEMPLATES.get_template("error.html").render(what=what, fix="", here="", project_name="")
    return HTMLResponse(html, status_code=404)


class _View:
    """One project's pages. Methods named after a page return what its template needs."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.wall = Wall(project)

    def page(self, template: str, values: Callable[[Request], dict[str, Any]]) -> Page:
        """Render `template` with what `values` finds, off the event loop."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._render, template, values, request)

        return endpoint

    def _render(self, template: str, values: Callable[[Request], dict[str, Any]], request: Request) -> Response:
        shared = {"project_name": self.project.name, "here": request.url.path, "sides": THUMBNAIL_SIDES}
        return HTMLResponse(TEMPLATES.get_template(template).render(**shared, **values(request)))

    def status(self, _request: Request) -> dict[str, Any]:
        outcome = overview.status(self.project)
        sample = self.wall.spread(MURAL)
        causes = Counter(self.project.tables.read("fetches", ["cause"]).column("cause").to_pylist())
        causes.pop("ok", None)
        return {
            "stages": list(outcome), "summary": outcome.summary, "next": outcome.next, "sample": sample,
            "causes": causes.most_common(8), "events": self.project.journal.events(limit=12),
        }  # fmt: skip

    def concepts(self, _request: Request) -> dict[str, Any]:
        taxonomy = load_taxonomy(self.project)
        own = self._own_counts()
        inside = {node.concept_id: _inside(taxonomy, node.concept_id, own) for node in taxonomy}
        is_shown = len(taxonomy) < FULL_TREE

        seen: set[str] = set()

        def tree(concept_id: str) -> list[list[str]]:
            """What hangs below a concept ("" for the top), chains of only children in one piece.

            A DAG's node is opened where it is met first (templates ask depth first).
            """
            if concept_id in seen:
                return []
            seen.add(concept_id)
            below = taxonomy.children(concept_id) if concept_id else taxonomy.roots
            wanted = [child for child in below if is_shown or inside[child] or taxonomy.get(child).is_class]
            return [_chain(taxonomy, child) for child in wanted]

        samples = self.wall.samples(STRIP)
        return {"taxonomy": taxonomy, "own": own, "inside": inside, "tree": tree, "samples": samples}

    def concept(self, request: Request) -> dict[str, Any]:
        taxonomy = load_taxonomy(self.project)
        concept = taxonomy.get(request.path_params["concept_id"])
        chosen = Filter(concept=concept.concept_id)
        rows, total = self.wall.page(chosen, taxonomy, 0)
        own = self._own_counts()
        inside = {child: _inside(taxonomy, child, own) for child in taxonomy.children(concept.concept_id)}
        return {
            "concept": concept, "taxonomy": taxonomy, "rows": rows, "total": total, "chosen": chosen, "inside": inside
        }  # fmt: skip

    def pictures(self, request: Request) -> dict[str, Any]:
        chosen, taxonomy = Filter.of(dict(request.query_params)), load_taxonomy(self.project)
        if chosen.concept:
            chosen = Filter(**{**chosen.__dict__, "concept": taxonomy.resolve(chosen.concept)})
        rows, total = self.wall.page(chosen, taxonomy, 0)
        facets = {name: self.wall.counts(name) for name in ("verdict", "rule", "status", "split")}
        return {"chosen": chosen, "rows": rows, "total": total, "facets": facets, "sorts": SORTS, "taxonomy": taxonomy}

    async def wall_json(self, request: Request) -> Response:
        """The next rows of a wall: what the page's script asks for while scrolling."""
        return JSONResponse(await run_in_threadpool(self._wall_rows, request))

    def _wall_rows(self, request: Request) -> dict[str, Any]:
        offset = request.query_params.get("offset", "0")
        if not offset.isdigit():
            raise UserError(f"offset={offset!r} is not a number.")
        taxonomy = load_taxonomy(self.project)
        rows, total = self.wall.page(Filter.of(dict(request.query_params)), taxonomy, int(offset))
        html = TEMPLATES.get_template("tiles.html").render(rows=rows, taxonomy=taxonomy)
        return {"total": total, "html": html, "count": len(rows)}

    def picture(self, request: Request) -> dict[str, Any]:
        image_id = overview.find_image(self.project, request.path_params["image_id"])
        parts = overview.history(self.project, image_id)
        return {"image_id": image_id, "parts": parts, "taxonomy": load_taxonomy(self.project)}

    def clean(self, _request: Request) -> dict[str, Any]:
        verdicts = self.project.tables.read("verdicts", ["rule", "verdict"])
        dropped = Counter(verdicts.filter(pc.equal(verdicts.column("verdict"), "drop")).column("rule").to_pylist())
        walls = {rule: self.wall.page(Filter(rule=rule, verdict="drop"), Taxonomy.of(()), 0, 24)[0] for rule in dropped}
        screened = [event for event in self.project.journal.events(limit=1000) if event.event == "pictures_screened"]
        return {
            "charts": charts(screened[0].data.get("lines", [])) if screened else [],
            "dropped": dropped.most_common(), "walls": walls, "checked": self.project.tables.count("checks"),
            "kept": verdicts.num_rows - sum(dropped.values()),
        }  # fmt: skip

    def search(self, request: Request) -> dict[str, Any]:
        text = request.query_params.get("text", "").strip()
        like = request.query_params.get("like", "").strip()
        return self._found(text=text, like=like)

    async def upload(self, request: Request) -> Response:
        """A picture dropped on the search page."""
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_UPLOAD:
            raise UserError(f"The picture is larger than {MAX_UPLOAD // 10**6} MB.", fix="send a smaller one")
        async with request.form(max_files=1, max_fields=2) as form:
            sent = form.get("image")
            if sent is None or isinstance(sent, str):
                raise UserError("No picture was sent.", fix="choose a file, or drag one onto the page")
            image_bytes = await sent.read()
        return await run_in_threadpool(self._render_upload, image_bytes, request)

    def _render_upload(self, image_bytes: bytes, request: Request) -> Response:
        try:
            pixels.sniff(image_bytes)
        except PictureError as error:
            raise UserError(f"That file cannot be used as a picture: {error}.", fix="send a JPEG or PNG") from error
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "your picture"
            path.write_bytes(image_bytes)
            return self._render("search.html", lambda _request: self._found(image=path), request)

    def _found(self, *, text: str = "", like: str = "", image: Path | None = None) -> dict[str, Any]:
        from pictus import search  # noqa: PLC0415  only where searched

        values: dict[str, Any] = {"text": text, "like": like, "hits": [], "said": "", "problem": None}
        values |= {"taxonomy": load_taxonomy(self.project), "uploaded": image is not None}
        if not (text or like or image):
            return values
        try:
            outcome = search.query(self.project, text=text, image=image, like=like, count=60)
        except UserError as error:
            return values | {"problem": error}
        return values | {"hits": list(outcome), "said": outcome.headline}

    async def thumbnail(self, request: Request) -> Response:
        """One picture at one of three sizes; made once, kept in the project's cache."""
        side = request.path_params["side"]
        if side not in THUMBNAIL_SIDES:
            raise HTTPException(404, f"Thumbnails come in {', '.join(map(str, THUMBNAIL_SIDES))} px.")
        path = await run_in_threadpool(self._thumbnail_path, request.path_params["image_id"], side)
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": YEAR})

    def _thumbnail_path(self, image_id: str, side: int) -> Path:
        path = self.project.cache_dir / "thumbnails" / str(side) / image_id[:2] / f"{image_id}.jpg"
        if not path.exists():
            try:
                write_bytes(path, pixels.thumbnail(self._bytes(image_id)[0], side))
            except PictureError as error:
                raise HTTPException(404, f"This picture cannot be shown: {error}.") from error
        return path

    async def original(self, request: Request) -> Response:
        """The picture's own bytes, never as anything that could run."""
        image_bytes, picture = await run_in_threadpool(self._bytes, request.path_params["image_id"])
        safe = picture.format in ("jpeg", "png", "webp", "gif")
        media = f"image/{picture.format}" if safe else "application/octet-stream"
        return Response(image_bytes, media_type=media, headers={"cache-control": YEAR})

    def _bytes(self, image_id: str) -> tuple[bytes, Picture]:
        picture = next(self.project.tables.records("images", Picture, equals("image_id", image_id)), None)
        if picture is None:
            raise HTTPException(404, f"There is no picture {image_id[:80]!r}.")
        return shards.read(self.project.shards_dir, picture.shard, picture.offset, picture.size), picture

    def _own_counts(self) -> Counter[str]:
        rows = self.wall.rows()
        shown = pc.if_else(pc.equal(rows.column("label"), ""), rows.column("claim"), rows.column("label"))
        return Counter(shown.to_pylist())


def _chain(taxonomy: Taxonomy, concept_id: str) -> list[str]:
    chain = [concept_id]
    while len(below := taxonomy.children(chain[-1])) == 1 and not taxonomy.get(chain[-1]).is_class:
        chain.append(below[0])
    return chain


def _inside(taxonomy: Taxonomy, concept_id: str, own: Counter[str]) -> int:
    return own[concept_id] + sum(own[below] for below in taxonomy.descendants(concept_id))


