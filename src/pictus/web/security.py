"""What every answer of the pages carries and every question must: hosts, origins, headers."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}

JSON_AT = ("/api/", "/desk/")
"""Addresses that answer in JSON, errors included."""

_FOREIGN = frozenset({"cross-site", "same-site"})
"""What a browser says in Sec-Fetch-Site of a question that another page makes, or one behind another port of ours."""

SANDBOX = {
    "content-security-policy": (
        "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
"""For a page that was written elsewhere and holds everything it needs: its own styles and pictures, no script,
no form, no origin of ours."""


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII)
"""A Host header as browsers send it (RFC 9110, 7.2): a name or address, and a port."""

_NOWHERE = ("", "")


class Guard:
    """Refuses foreign Host headers (DNS rebinding) and cross-site writes; adds the safety headers.

    `origin`: what browsers call us where a proxy stands before us, such as https://label.example.org: where it takes
    https off, we are asked in http.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], origin: str = "") -> None:
        self._app = app
        self._hosts = hosts
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope["method"], scope["scheme"], Headers(scope=scope))
        if reason:
            await _refused(scope["path"], reason)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, scheme: str, headers: Headers) -> str:
        host = headers.get("host", "")
        name = _name(host)
        if name is None or (self._hosts and name not in self._hosts):
            return f"This server answers to {', '.join(sorted(self._hosts)) or 'hosts'}, not to {host[:200]!r}."
        if method in ("GET", "HEAD"):
            return ""
        origin, outer = headers.get("origin", ""), _place(self._origin)
        ours = {outer} if name == _name(outer[1]) else {outer, (scheme, host.lower())}
        if headers.get("sec-fetch-site", "") in _FOREIGN:
            return "Another site may not write here."
        if origin and (asking := _place(origin)) not in ours - {_NOWHERE}:
            hint = f": a page at {asking[0]}://{host} is another one, unless --address says so."
            return "Another site may not write here" + (hint if asking[1] == host.lower() else ".")
        return ""


def _refused(path: str, reason: str) -> Response:
    """As who asks there reads it: scripts and programs the one JSON shape of errors, people a line."""
    if path.startswith(JSON_AT):
        return JSONResponse({"error": {"what": reason, "fix": ""}}, status_code=403)
    return PlainTextResponse(reason, status_code=403)


def _place(origin: str) -> tuple[str, str]:
    """Scheme, and host with port, of an origin; _NOWHERE for "null" and for what cannot be read: we are never that."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # "http://["
        return _NOWHERE
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")  # browsers leave it out
    return (parts.scheme, parts.netloc.lower().removesuffix(usual)) if parts.netloc else _NOWHERE


def _name(host: str) -> str | None:
    """A Host header without its port; None where it is none."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else None if host else ""
