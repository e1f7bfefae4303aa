"""`pictus web`: the application and the process that serves it."""

from __future__ import annotations

import socket
import sys

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from pictus import api
from pictus.errors import UserError
from pictus.project import Project
from pictus.web import pages
from pictus.web.security import LOOPBACK, Guard

QUIET_S = 3
"""Seconds an open connection may take to finish when the server is stopped."""

OPEN = (
    "! everyone who can reach this address sees the project's pictures and labels: without GPS, but with all faces as\n"
    "  they were found and whatever else the files say; the page of faces and places is shown on this machine only\n"
)


def build_app(project: Project, hosts: frozenset[str] = LOOPBACK) -> Starlette:
    """Every page and API route of one project. `hosts`: names it answers to; empty for any.

    Open to others, pages and API only read: steps that change something or take a path on this machine
    stay away, and so does the page of faces and places; pictures lose their GPS on the way, and keep their faces.
    """
    static = StaticFiles(packages=[("pictus", "web/static")])
    is_open = not hosts
    routes = [*pages.routes(project, is_open=is_open), *api.routes(project, is_open=is_open), Mount("/static", static)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={UserError: pages.user_error, HTTPException: pages.http_error},
    )
    app.state.project_name = project.name
    return app


def serve(project: Project, host: str, port: int) -> None:
    """Serve until interrupted. A port in use is said before anything starts."""
    import uvicorn  # noqa: PLC0415  0.2 s that --help does not pay

    listener = listen(host, port)
    found = listener.getsockname()[1]
    hosts = LOOPBACK if host in LOOPBACK else frozenset()
    shown = host if host not in ("0.0.0.0", "::") else "localhost"  # noqa: S104  compared, not bound
    sys.stderr.write(f"{project.name}: http://{shown}:{found}    (Ctrl-C stops it)\n")
    if not hosts:
        sys.stderr.write(OPEN)
    config = uvicorn.Config(build_app(project, hosts), log_level="warning", timeout_graceful_shutdown=QUIET_S)
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, or a UserError that proposes another port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: asyncio then sends at once
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        what = f"Port {port} on {host} cannot be used: {str(getattr(error, 'strerror', None) or error).rstrip('.')}."
        raise UserError(what, fix=f"--port {min(max(port, 0) + 1, 65535)}, or --port 0 for any free one") from error
    return listener
