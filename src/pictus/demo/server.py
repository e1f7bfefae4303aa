"""The servers of the demo's web: `python -m pictus.demo.server FOLDER host=FD …`.

Each host has a listening socket of its own, inherited as a file descriptor. Ends when its
standard input does: with the process that started it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import zlib
from collections import Counter
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pictus.demo.web import where_things_are

_GONE = "<!doctype html><title>{code}</title><h1>{code}</h1><p>Nothing to see here."
_ROBOTS = {"members": "User-agent: *\nDisallow: /members-only/\n", "slowpoke": "User-agent: *\nAllow: /\n"}
_STATUS = {"missing": 404, "gone": 410, "broken-server": 500}
_SLOW_S = 0.25


def app_of(folder: Path, host_of_port: dict[int, str]) -> Starlette:
    """Answers for every host; which one is asked follows from the port."""
    known = where_things_are(folder)
    visits: Counter[str] = Counter()

    async def answer(request: Request) -> Response:
        host = host_of_port[request.scope["server"][1]]
        path = request.url.path
        if path == "/robots.txt":
            return PlainTextResponse(_ROBOTS[host]) if host in _ROBOTS else HTMLResponse(_GONE.format(code=404), 404)
        if host == "slowpoke":
            await asyncio.sleep(_SLOW_S * (zlib.crc32(path.encode()) % 100) / 100)
        was_sent_here = path.startswith("/moved/")
        path = path.removeprefix("/moved")
        if path not in known or known[path][0] != host:
            return HTMLResponse(_GONE.format(code=404), 404)
        _, variant, pack, offset, size = known[path]
        visits[path] += 1
        if variant == "moved" and not was_sent_here:
            return RedirectResponse(f"/moved{path}", 301)
        if variant == "flaky" and visits[path] == 1:
            return PlainTextResponse("try again", 503)
        return _detour(variant, path) or _picture(variant, _read(pack, offset, size))

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "HEAD"])])


def _detour(variant: str, path: str) -> Response | None:
    if variant in _STATUS:
        return HTMLResponse(_GONE.format(code=_STATUS[variant]), _STATUS[variant])
    if variant == "to-private":
        return RedirectResponse("http://192.168.13.37/private/family.jpg", 302)
    if variant == "circle":
        return RedirectResponse(path, 302)
    return None


def _picture(variant: str, body: bytes) -> Response:
    kind = "image/png" if variant == "bomb" else "image/jpeg"
    headers = {"ETag": f'"{zlib.crc32(body):08x}"'}
    if variant == "opt-out":
        headers["X-Robots-Tag"] = "noai, noimageai"
    if variant == "cut-off":  # announces all of it, sends a part and hangs up
        headers["Content-Length"] = str(len(body))
        body = body[: len(body) // 2]
    return Response(body, media_type=kind, headers=headers)


def _read(pack: Path, offset: int, size: int) -> bytes:
    with pack.open("rb") as file:
        return os.pread(file.fileno(), size, offset)


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    folder, *places = arguments
    sockets = {
        host: socket.socket(fileno=int(number)) for host, _, number in (place.partition("=") for place in places)
    }
    hosts = {int(listener.getsockname()[1]): host for host, listener in sockets.items()}
    config = uvicorn.Config(
        app_of(Path(folder), hosts), log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run(sockets=list(sockets.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
