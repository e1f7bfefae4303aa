"""What is let in before anything looks at it: so many bytes each and in all, so fast, and so many in line.

An ASGI layer around the whole application. It reads each body itself, counts the bytes as they come
and hands on only whole bodies: neither a false Content-Length nor a multipart parser ever sees more
than the limit, and whoever sends slowly holds no place in the line. Compressed bodies, whose size
nobody knows beforehand, are refused.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pictus.engine import cpu_count

WAITING_PER_CPU = 16
"""With more in line than this the last would wait longer than a person does: better to be told at once."""


@dataclass(frozen=True)
class Limits:
    """What one server takes. The defaults are for photos of a phone, 2 to 10 MB."""

    max_bytes: int = 16 * 2**20
    max_held: int = 256 * 2**20
    """Bytes of all bodies together that are being read or worked on: 16 of the greatest."""
    max_waiting: int = field(default_factory=lambda: WAITING_PER_CPU * cpu_count())
    body_s: float = 30.0
    """A body that has not come by then will not: 16 MB in 30 s is 4 Mbit/s."""
    pause_s: float = 5.0
    min_bytes_s: float = 16_000.0
    """A sender may fall behind this speed by `pause_s`: a slow mobile line is three times as fast."""


class RefusedError(Exception):
    """A request that does not reach the application."""

    def __init__(self, status: int, what: str, fix: str) -> None:
        super().__init__(what)
        self.status, self.what, self.fix = status, what, fix


@dataclass
class Admission:
    """`waiting` requests have come whole and are being answered; `held` bytes of bodies are in memory."""

    app: ASGIApp
    limits: Limits
    waiting: int = field(default=0, init=False)
    held: int = field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        try:
            _check_headers(dict(scope["headers"]), self.limits.max_bytes)
            body = await self._read(receive)
        except RefusedError as error:
            await _answer(send, error)
            return
        try:
            await self._work(scope, _replayed(body, receive), send)
        finally:
            self.held -= len(body)

    async def _read(self, receive: Receive) -> bytes:
        """The whole body within the limits; it counts in `held` until the caller is done with it."""
        body = bytearray()  # a list of pieces would cost fifty bytes for each byte sent alone
        try:
            await self._fill(body, receive)
        except BaseException:
            self.held -= len(body)
            raise
        return bytes(body)

    async def _fill(self, body: bytearray, receive: Receive) -> None:
        limits, now = self.limits, asyncio.get_running_loop().time
        end, patience = now() + limits.body_s, now() + limits.pause_s
        while True:
            try:
                async with asyncio.timeout_at(min(patience, end)):
                    message = await receive()
            except TimeoutError:
                raise _too_slow(limits, len(body), has_ended=end <= patience) from None
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "The client left before its picture had come.", "send it again")
            piece = message.get("body", b"")
            if len(body) + len(piece) > limits.max_bytes:
                raise _too_large(limits.max_bytes)
            if self.held + len(piece) > limits.max_held:
                raise _busy(f"{limits.max_held:,} bytes of pictures are in memory already.")
            self.held += len(piece)
            body += piece
            if not message.get("more_body", False):
                return
            patience = min(now() + limits.pause_s, patience + len(piece) / limits.min_bytes_s)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.waiting >= self.limits.max_waiting:
            requests = "request is" if self.waiting == 1 else "requests are"
            await _answer(send, _busy(f"{self.waiting} {requests} waiting already."))
            return
        self.waiting += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.waiting -= 1


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` of a request whose body has been read: the body in one piece, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


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


def _too_slow(limits: Limits, size: int, *, has_ended: bool) -> RefusedError:
    if has_ended:
        what = f"The body did not come within {limits.body_s:g} s; {size:,} bytes of it had."
        return RefusedError(408, what, "send a smaller picture")
    what = f"The body came slower than {limits.min_bytes_s:,.0f} bytes a second; {size:,} bytes had come."
    return RefusedError(408, what, "send it again over a faster line, or a smaller picture")


def _busy(what: str) -> RefusedError:
    fix = "send it again in a second; a client should wait a little longer after each refusal"
    return RefusedError(503, what, fix)


async def _answer(send: Send, error: RefusedError) -> None:
    body = json.dumps({"error": {"what": error.what, "fix": error.fix}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))  # the rest of the body may still be coming
    if error.status == 503:  # noqa: PLR2004
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
