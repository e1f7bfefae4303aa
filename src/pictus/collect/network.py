"""Connections that go only where a check allowed: the name is resolved, judged and then connected to by number.

The resolver and the connector come in as arguments, so that tests can watch both and no packet
leaves the machine. Proxies from the environment are not used: behind one, the address that is
really connected to could not be judged.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

import httpcore

from pictus.collect.addresses import AllowedHosts, Url, checked_addresses
from pictus.errors import PictureError

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Connect = Callable[[str, int, float | None], Awaitable[httpcore.AsyncNetworkStream]]

MAX_ADDRESSES_TRIED = 3
KEEP_ALIVE_S = 15.0


class PinnedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a host, refuses private addresses, and connects to exactly the addresses it judged."""

    def __init__(self, resolve: Resolve, connect: Connect, allowed: AllowedHosts) -> None:
        self._resolve = resolve
        self._connect = connect
        self._allowed = allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        found = await self._resolve(host, port)
        if not found:
            raise PictureError("dns", f"{host} has no address")
        addresses = checked_addresses(host, port, found, self._allowed)[:MAX_ADDRESSES_TRIED]
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the last address says why when none answers
        return await self._connect(addresses[-1], port, timeout)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Connections:
    """Open connections by origin, used again while they live; those longest unused are closed when there are many.

    How many one host may have is the schedule's business. (httpcore's own pool looks at every open
    connection twice for each request, which costs more than the request.)
    """

    def __init__(self, network: httpcore.AsyncNetworkBackend, tls: ssl.SSLContext, keep_origins: int = 128) -> None:
        self._network = network
        self._tls = tls
        self._keep_origins = keep_origins
        self._open: OrderedDict[str, list[httpcore.AsyncHTTPConnection]] = OrderedDict()
        self._in_use: dict[str, int] = {}

    async def send(self, url: Url, request: httpcore.Request) -> httpcore.Response:
        """Send over a connection of its origin; `done` must follow once the response is closed, or on failure."""
        origin = url.origin
        self._in_use[origin] = self._in_use.get(origin, 0) + 1
        while True:
            connection = await self._available(origin, request)
            try:
                return await connection.handle_async_request(request)
            except httpcore.ConnectionNotAvailable:
                continue  # another request was faster, or the server allows no more

    async def done(self, url: Url) -> None:
        """A `send` has ended, well or not."""
        self._in_use[url.origin] -= 1
        while len(self._open) > self._keep_origins:
            oldest = next((origin for origin in self._open if not self._in_use[origin]), None)
            if oldest is None:
                return
            del self._in_use[oldest]
            for connection in self._open.pop(oldest):
                await connection.aclose()

    async def close(self) -> None:
        """Close every connection."""
        while self._open:
            _, connections = self._open.popitem()
            for connection in connections:
                await connection.aclose()

    async def _available(self, origin: str, request: httpcore.Request) -> httpcore.AsyncHTTPConnection:
        """A connection of this origin that can take a request now, a new one where there is none."""
        connections = self._open.setdefault(origin, [])
        self._open.move_to_end(origin)
        for connection in tuple(connections):
            if connection.is_closed():
                connections.remove(connection)
            elif connection.is_available():
                if not connection.has_expired():
                    return connection
                connections.remove(connection)
                await connection.aclose()
        made = httpcore.AsyncHTTPConnection(
            request.url.origin,
            ssl_context=self._tls,
            keepalive_expiry=KEEP_ALIVE_S,
            http2=True,
            network_backend=self._network,
        )
        connections.append(made)
        return made


def system_resolver(threads: Executor) -> Resolve:
    """The machine's own resolver, in threads of its own: a slow name server must not hold up commits."""

    def look_up(host: str, port: int) -> tuple[str, ...]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise PictureError("dns", f"{host}: {error}") from error
        return tuple(dict.fromkeys(str(place[4][0]) for place in found))

    async def resolve(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, look_up, host, port)

    return resolve


async def connect(address: str, port: int, timeout_s: float | None) -> httpcore.AsyncNetworkStream:
    """A TCP connection to an address given by number."""
    return await httpcore.AnyIOBackend().connect_tcp(address, port, timeout=timeout_s)
