"""What every answer of the pages carries and every question must: hosts, origins, headers."""

from __future__ import annotations

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


class Guard:
    """Refuses foreign Host headers (DNS rebinding) and cross-site writes; adds the safety headers."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope["method"], Headers(scope=scope))
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

    def _refusal(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return f"This server answers to {', '.join(sorted(self._hosts))}, not to {host!r}."
        origin = headers.get("origin", "")
        is_foreign = (origin and _place(origin) != host) or headers.get("sec-fetch-site", "") in _FOREIGN
        if method not in ("GET", "HEAD") and is_foreign:
            return "Another site may not write here."
        return ""


def _refused(path: str, reason: str) -> Response:
    """As who asks there reads it: scripts and programs the one JSON shape of errors, people a line."""
    if path.startswith(JSON_AT):
        return JSONResponse({"error": {"what": reason, "fix": ""}}, status_code=403)
    return PlainTextResponse(reason, status_code=403)


def _place(origin: str) -> str | None:
    """Host and port of an origin; None for "null" and for what cannot be read."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:  # "http://[": no host is equal to None, so it is refused
        return None


def _name(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
