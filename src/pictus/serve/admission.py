"""What is let in before anything looks at it: so many requests at a time, so many bytes each, so long.

An ASGI layer around the whole application. It counts bytes as they come, so that neither a false
Content-Length nor a multipart parser ever sees more than the limit; it refuses compressed bodies,
whose size nobody knows beforehand.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_S = 30.0
"""A body that has not come by then will not: 16 MB in 30 s is 4 Mbit/s."""


class RefusedError(Exception):
    """Comes out of `receive`, so that whoever reads the body stops; the application answers with it."""

    def __init__(self, status: int, what: str, fix: str) -> None:
        super().__init__(what)
        self.status, self.what, self.fix = status, what, fix


@dataclass
class Admission:
    """At most `max_waiting` requests with a body at a time, of at most `max_bytes` each."""

    app: ASGIApp
    max_bytes: int
    max_waiting: int
    waiting: int = field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        if self.waiting >= self.max_waiting:
            fix = "send it again in a second; a client should wait a little longer after each refusal"
            await _answer(send, RefusedError(503, f"{self.waiting} requests are waiting already.", fix))
            return
        self.waiting += 1
        try:
            await self._guarded(scope, receive, send)
        finally:
            self.waiting -= 1

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            _check_headers(dict(scope["headers"]), self.max_bytes)
            await self.app(scope, self._counted(receive), noting)
        except RefusedError as error:
            if not has_begun:
                await _answer(send, error)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0
        until = time.monotonic() + BODY_S
        is_whole = False

        async def counted() -> Message:
            nonlocal seen, is_whole
            if is_whole:  # then the next message is the client's leaving, for which there is no hurry
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0.001))
            except TimeoutError:
                what = f"The body did not come within {BODY_S:.0f} s."
                raise RefusedError(408, what, "send a smaller picture") from None
            seen += len(message.get("body", b""))
            is_whole = message["type"] != "http.request" or not message.get("more_body", False)
            if seen > self.max_bytes:
                raise _too_large(self.max_bytes)
            return message

        return counted


def _check_headers(headers: dict[bytes, bytes], max_bytes: int) -> None:
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding != b"identity":
        what = f"Bodies compressed by {encoding.decode('latin-1')!r} are not read."
        raise RefusedError(415, what, "send the picture's bytes as they are")


def _too_large(max_bytes: int) -> RefusedError:
    return RefusedError(413, f"More than {max_bytes:,} bytes.", "send a smaller picture")


async def _answer(send: Send, error: RefusedError) -> None:
    body = json.dumps({"error": {"what": error.what, "fix": error.fix}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"retry-after", b"1")] if error.status == 503 else [(b"connection", b"close")]  # noqa: PLR2004
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
