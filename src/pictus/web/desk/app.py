"""`pictus annotate serve`: the application of the desk and the process that serves it."""

from __future__ import annotations

import errno
import sys

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pictus.annotate.desk.desk_steps import Desk, LaterError, is_away, later_error
from pictus.errors import NotThereError, UserError
from pictus.project import Project
from pictus.speech import pieces
from pictus.web.desk import home, people, review, shapes, sign, work
from pictus.web.desk.room import Room, SignedOutError
from pictus.web.layout import TEMPLATES
from pictus.web.security import LOOPBACK, Guard

LATER, RETRY_S = 503, "5"
SIGNED_OUT = "You are not signed in."
MISSING = (errno.EMFILE, errno.ENFILE)
"""No file can be opened just now, by this process or by any."""
TOO_MANY = "too many open files"
"""The same as other languages' libraries tell it."""


def build_desk_app(
    project: Project, desk: Desk, *, hosts: frozenset[str] = LOOPBACK, is_kiosk: bool = False,
    tells_accuracy: bool = False, address: str = "",
) -> Starlette:  # fmt: skip
    """Every page at which people answer. `hosts`: names it answers to; empty for any. `address`: what people type."""
    room = Room(project, desk, is_kiosk=is_kiosk, tells_accuracy=tells_accuracy, address=address)
    static = StaticFiles(packages=[("pictus", "web/static")])
    routes: list[Route | Mount] = [
        *sign.routes(room),
        *work.routes(room),
        *shapes.routes(room),
        *home.routes(room),
        *people.routes(room),
        *review.routes(room),
        Mount("/static", static),
    ]  # fmt: skip
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=hosts, origin=address)],
        exception_handlers={
            UserError: _user_error, HTTPException: _http_error, SignedOutError: _signed_out,
            sa.exc.SQLAlchemyError: _database_error, OSError: _file_error, ClientDisconnect: _left,
            Exception: _broken,
        },
    )  # fmt: skip
    app.state.project_name = project.name
    app.state.root = str(project.root)
    return app


async def _user_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    if _is_short(error):
        error = _busy()
    elif is_away(error) and not isinstance(error, LaterError):  # told in the words of the command line, paths and all
        error = later_error()
    elif request.app.state.root in error.what + error.fix:  # the owner's to mend, and where it lies nobody else's
        sys.stderr.write(f"! {error.what} {error.fix}\n")
        error = LaterError("Something is wrong with the project's files; its owner can read what.", fix="try later")
    status = LATER if isinstance(error, LaterError) else 404 if isinstance(error, NotThereError) else 400
    return _said(request, status, error.what, error.fix)


async def _database_error(request: Request, error: Exception) -> Response:
    if not is_away(error):
        raise error
    return await _user_error(request, later_error())


async def _file_error(request: Request, error: Exception) -> Response:
    if not _is_short(error):
        raise error
    return await _user_error(request, _busy())


def _is_short(error: BaseException | None) -> bool:
    """Whether files could not be opened because so many are."""
    while error is not None:
        if getattr(error, "errno", None) in MISSING or TOO_MANY in str(error).lower():
            return True
        error = error.__cause__
    return False


def _busy() -> LaterError:
    return LaterError("Too much is asked of the desk just now.", fix="wait a little: nothing is lost")


async def _left(_request: Request, _error: Exception) -> Response:
    """Whoever asked is gone before all was said: nobody reads this, and nothing went wrong here."""
    return Response(status_code=400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: f"There is no page {request.url.path[:200]}.", 405: f"{request.method} does nothing here."}
    generic = error.detail in ("Not Found", "Method Not Allowed")
    what = words.get(error.status_code, error.detail) if generic else error.detail
    return _said(request, error.status_code, what, "")


async def _signed_out(request: Request, _error: Exception) -> Response:
    return _said(request, 401, SIGNED_OUT, "open the link you were given, or ask for a new one")


async def _broken(request: Request, _error: Exception) -> Response:
    return _said(request, 500, "Something broke here. It has been noted.", "try again in a moment")


def _said(request: Request, status: int, what: str, fix: str) -> Response:
    """An error as the page's script takes it, or as a page for who typed an address."""
    if request.method not in ("GET", "HEAD") or request.url.path.startswith("/desk/"):
        headers = {"retry-after": RETRY_S} if status == LATER else {}
        return JSONResponse({"error": {"what": what, "fix": fix}}, status_code=status, headers=headers)
    values = {"what": what, "fix": pieces(fix), "person": None, "here": ""}
    values["project_name"] = request.app.state.project_name
    return HTMLResponse(TEMPLATES.get_template("desk/error.html").render(values), status_code=status)
