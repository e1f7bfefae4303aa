"""HTTP/2 where a server chose it: httpcore's framing over a connection of ours that was judged and pinned.

Imported only when a server asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpcore

from pictus.collect.addresses import Url
from pictus.collect.bodies import Body
from pictus.collect.http1 import Head, Judge, Patience, Reply
from pictus.errors import PictureError


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """What httpcore reads from and writes to."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._received = bytearray()
        self._news = asyncio.Event()
        self.is_over = False

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._transport.pause_reading()  # until it is read: the sender waits, not our memory
        self._news.set()

    def eof_received(self) -> None:
        self.is_over = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self.is_over = True
        self._news.set()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's signature
        while not self._received and not self.is_over:
            self._news.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError as error:
                raise httpcore.ReadTimeout from error
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self._received and not self.is_over:
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        if self.is_over:
            raise httpcore.WriteError("the connection has ended")
        self._transport.write(buffer)  # requests only: a few hundred bytes

    async def aclose(self) -> None:
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  httpcore's signature
        if info == "is_readable":
            return self.is_over
        return self._transport.get_extra_info(info)


class Connection:
    """One HTTP/2 connection; many requests at once."""

    def __init__(self, url: Url, stream: Stream, keep_s: float) -> None:
        self._origin = httpcore.Origin(url.scheme.encode(), url.host.encode(), url.port)
        self._stream = stream
        self._inner = httpcore.AsyncHTTP2Connection(self._origin, stream, keepalive_expiry=keep_s)
        self.asking = 0

    @property
    def is_available(self) -> bool:
        """Whether it can take a request now."""
        return self._inner.is_available() and not self._inner.has_expired() and not self._stream.is_over

    async def ask(self, url: Url, fields: Mapping[str, str], judge: Judge, patience: Patience) -> Reply | None:
        """Send one request and read its reply; None where it must go over another connection."""
        timeout = dict.fromkeys(("read", "write", "pool"), patience.read_s)
        request = httpcore.Request(
            "GET", httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=[(name, value.encode("latin-1", "replace")) for name, value in fields.items()],
            extensions={"timeout": timeout},
        )  # fmt: skip
        self.asking += 1
        try:
            async with asyncio.timeout_at(patience.until):
                response = await self._inner.handle_async_request(request)
                try:
                    return await _read(response, judge)
                finally:
                    await response.aclose()
        except httpcore.ConnectionNotAvailable:
            return None  # the server closes it, or its streams are used up: the pool opens another
        except httpcore.TimeoutException as error:
            raise PictureError("timeout", f"nothing for {patience.read_s:g} s") from error
        except TimeoutError as error:
            raise PictureError("timeout", f"over {patience.total_s:g} s") from error
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            is_hung_up = isinstance(error, httpcore.NetworkError) or "disconnected" in str(error)
            raise PictureError("disconnected" if is_hung_up else "protocol", str(error)[:200]) from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise PictureError("protocol", str(error)[:200]) from error
        finally:
            self.asking -= 1

    async def aclose(self) -> None:
        await self._inner.aclose()


def switched(url: Url, transport: asyncio.Transport, keep_s: float) -> Connection:
    """Take over a transport whose server chose HTTP/2."""
    stream = Stream(transport)
    transport.set_protocol(stream)
    return Connection(url, stream, keep_s)


async def _read(response: httpcore.Response, judge: Judge) -> Reply:
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    head = Head(response.status, headers, pairs)
    try:
        body = judge(head)
        await _fill(body, response)
        return Reply(head, body.whole())
    except PictureError as error:
        return Reply(head, b"", error)
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        return Reply(head, b"", PictureError("truncated", str(error)[:200]))


async def _fill(body: Body, response: httpcore.Response) -> None:
    given = asyncio.Event()
    body.share.go_on = given.set
    async for chunk in response.aiter_stream():
        body.feed(chunk)
        while body.share.is_waiting:  # unread, the stream's window stays closed: the sender waits, not our memory
            given.clear()
            await given.wait()
            body.unpack()
        if body.is_enough:
            return
