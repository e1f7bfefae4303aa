"""The endpoint: a picture in, classes out.

    POST /predict   the picture's bytes, or multipart/form-data with one file; ?top=5
    GET  /          a page to drop a picture on
    GET  /health    200 while the process lives
    GET  /ready     200 once the model has answered, 503 before that and while stopping
    GET  /metrics   for Prometheus

Every error is {"error": {"what", "fix"}}. An address in a request is never fetched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pictus.engine import cpu_count
from pictus.errors import PictureError, UserError
from pictus.extras import need
from pictus.serve.admission import Admission, Limits
from pictus.serve.monitor import Monitor
from pictus.serve.recogniser import Recogniser

_ROUTES = frozenset({"/", "/predict", "/health", "/ready", "/metrics"})
_PAGE_POLICY = (
    "default-src 'none'; img-src blob: data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
)
_PICTURE_FIX = "send the bytes of a whole JPEG, PNG, WebP, GIF or TIFF; an address is not fetched"


def make_app(recogniser: Recogniser, limits: Limits | None = None) -> ASGIApp:
    """The ASGI application around one recogniser."""
    fastapi = need("fastapi", "serve")
    bundle, limits = recogniser.bundle, limits or Limits()
    monitor = Monitor(bundle)
    pool = ThreadPoolExecutor(cpu_count(), thread_name_prefix="recognise")
    side = bundle.preprocessing.size
    is_ready = False

    @asynccontextmanager
    async def life(_app: Any) -> AsyncIterator[None]:  # noqa: ANN401  FastAPI has no stubs here
        nonlocal is_ready
        recogniser.probabilities(np.zeros((1, side, side, 3), np.uint8))  # the first call allocates
        is_ready = True
        yield
        is_ready = False
        pool.shutdown(wait=True)

    async def predict(request: Request, top: int = fastapi.Query(5, ge=1, le=1000)) -> dict[str, Any]:
        image_bytes = await _picture_of(request)
        started = time.perf_counter()
        guesses = await asyncio.get_running_loop().run_in_executor(pool, recogniser.classify, image_bytes, top)
        elapsed_s = time.perf_counter() - started
        monitor.predicted(guesses[0], elapsed_s)
        listed = [guess._asdict() for guess in guesses]
        return {"run": bundle.run, "guesses": listed, "elapsed_ms": round(elapsed_s * 1000, 2)}

    async def page() -> Response:
        return HTMLResponse(_page(recogniser, limits.max_bytes), headers={"content-security-policy": _PAGE_POLICY})

    async def health() -> dict[str, str]:
        return {"status": "alive"}

    async def ready() -> Response:
        words = {"run": bundle.run, "graph_sha256": bundle.graph_sha256}
        if is_ready:
            return JSONResponse({"status": "ready", **words})
        return JSONResponse({"status": "not ready", **words}, status_code=503)

    async def metrics() -> Response:
        return Response(monitor.text(), media_type=monitor.media_type)

    app = fastapi.FastAPI(title=f"Pictus: {bundle.run}", lifespan=life, docs_url=None, redoc_url=None)
    app.add_api_route("/predict", predict, methods=["POST"])
    for path, endpoint in (("/", page), ("/health", health), ("/ready", ready), ("/metrics", metrics)):
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"])
    for kind, answer in _ERRORS.items():
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(fastapi.exceptions.RequestValidationError, _invalid)
    admission = Admission(app, limits)
    monitor.watch(lambda: admission.waiting, lambda: admission.held)
    return _observed(admission, monitor)


def _observed(app: ASGIApp, monitor: Monitor) -> ASGIApp:
    """Counts and times every answer, refusals included."""

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, noting)
        finally:
            if scope["type"] == "http":
                route = scope["path"] if scope["path"] in _ROUTES else "other"
                monitor.answered(route, status, time.perf_counter() - started)

    return observed


async def _picture_of(request: Request) -> bytes:
    """The body; or the one file of a form."""
    body = b"".join([chunk async for chunk in request.stream()])
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return body

    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async with Request(request.scope, replay).form(max_files=1, max_fields=8, max_part_size=len(body)) as form:
        for value in form.values():
            if not isinstance(value, str):
                return await value.read()
    raise UserError("The form has no file.", fix="curl -F file=@photo.jpg …/predict")


def _shaped(status: int, what: str, fix: str) -> Response:
    return JSONResponse({"error": {"what": what, "fix": fix}}, status_code=status)


def _sentence(words: object) -> str:
    """With one full stop: some libraries end their messages in one, some do not."""
    return f"{str(words).rstrip('.')}."


async def _bad_picture(_request: Request, error: PictureError) -> Response:
    return _shaped(400, f"The picture cannot be used: {_sentence(error)}", _PICTURE_FIX)


async def _user_error(_request: Request, error: UserError) -> Response:
    return _shaped(400, error.what, error.fix)


async def _http_error(request: Request, error: HTTPException) -> Response:
    where = f"{request.method} {request.url.path}"
    what = f"{where}: {_sentence(error.detail)}"
    return _shaped(error.status_code, what, "POST /predict, GET / /health /ready /metrics")


async def _invalid(_request: Request, error: Any) -> Response:  # noqa: ANN401  FastAPI has no stubs here
    what = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    return _shaped(400, _sentence(what), "/predict?top=5")


async def _bug(_request: Request, error: Exception) -> Response:
    logging.getLogger("pictus.serve").error("a request failed", exc_info=error)
    return _shaped(500, "The server made a mistake.", "its log has the details")


_ERRORS: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    PictureError: _bad_picture,
    UserError: _user_error,
    HTTPException: _http_error,
    Exception: _bug,
}


def _page(recogniser: Recogniser, max_bytes: int) -> str:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415

    text = resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    bundle = recogniser.bundle
    return template.render(run=bundle.run, model=bundle.model, n_classes=len(bundle.classes), max_bytes=max_bytes)
