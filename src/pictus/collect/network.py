"""Connections that go only where a check allowed: the name is resolved, judged and then connected to by number.

The resolver and the connector come in as arguments, so that tests can watch both and no packet
leaves the machine. Proxies from the environment are not used: behind one, the address that is
really connected to could not be judged.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pictus.collect import http1
from pictus.collect.addresses import AllowedHosts, Url, checked_addresses
from pictus.collect.http1 import Judge, Patience, Reply
from pictus.collect.memory import Memory, without_limit
from pictus.collect.names import Resolve, system_resolver
from pictus.errors import PictureError

if TYPE_CHECKING:
    from pictus.collect import http2

__all__ = ["Connect", "Connections", "PinnedNetwork", "Resolve", "connect", "system_resolver"]

Connect = Callable[[str, int, float | None], Awaitable[socket.socket]]

MAX_ADDRESSES_TRIED = 3
KEEP_ALIVE_S = 15.0
KEPT_CONNECTIONS = 512
"""Open and not in use."""

_SCRATCH_BYTES = 128 * 1024  # holds a header and most pictures: one call for both


class PinnedNetwork:
    """Resolves a host, refuses private addresses, and connects to exactly the addresses it judged."""

    def __init__(self, resolve: Resolve, connect: Connect, allowed: AllowedHosts) -> None:
        self._resolve = resolve
        self._connect = connect
        self._allowed = allowed

    async def connect(self, host: str, port: int, timeout_s: float | None = None) -> socket.socket:
        """A connected socket; PictureError `dns` or `private-address`, OSError or TimeoutError when there is none."""
        return await self.connect_to(await self.judged(host, port), port, timeout_s)

    async def judged(self, host: str, port: int) -> Sequence[str]:
        """Where a connection to this host may go now; PictureError `dns` or `private-address` where nowhere."""
        found = await self._resolve(host, port)
        if not found:
            raise PictureError("dns", f"{host} has no address")
        return checked_addresses(host, port, found, self._allowed)[:MAX_ADDRESSES_TRIED]

    async def connect_to(self, addresses: Sequence[str], port: int, timeout_s: float | None) -> socket.socket:
        """A socket connected to the first of the judged addresses that answers; OSError or TimeoutError when none."""
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, timeout_s)
            except OSError:  # TimeoutError is one
                continue  # the last address says why when none answers
        return await self._connect(addresses[-1], port, timeout_s)


class Connections:
    """Open connections by origin, used again while they live; those longest unused are closed when there are many.

    How many one host may have is the schedule's business.
    """

    def __init__(
        self, network: PinnedNetwork, tls: ssl.SSLContext, *, connect_s: float, keep: int = KEPT_CONNECTIONS,
        memory: Memory | None = None,
    ) -> None:  # fmt: skip
        tls.set_alpn_protocols(["h2", "http/1.1"])
        self._network = network
        self._tls = tls
        self._connect_s = connect_s
        self._keep = keep
        self._memory = memory or without_limit()
        self._scratch = bytearray(_SCRATCH_BYTES)
        self._idle: dict[str, list[http1.Connection]] = {}
        self._idle_order: OrderedDict[http1.Connection, str] = OrderedDict()  # longest unused first -> its origin
        self._shared: dict[str, list[http2.Connection]] = {}

    async def ask(self, url: Url, fields: Mapping[str, str], judge: Judge, patience: Patience) -> Reply:
        """One GET over a connection of its origin; PictureError when no answer came."""
        fields, loop = {"host": _place(url), **fields}, asyncio.get_running_loop()
        while True:
            if shared := self._available(url.origin):
                if answer := await shared.ask(url, fields, judge, patience):
                    return answer
                continue
            is_reused, connection = True, self._taken(url.origin)
            if connection is None:
                asked_at = loop.time()
                addresses = await self._network.judged(url.host, url.port)
                patience = patience._replace(until=patience.until + loop.time() - asked_at)  # it has its own limit
                is_reused, connection = False, await self._opened(url, addresses, patience)
                if connection is None:
                    continue  # it speaks HTTP/2: now one is available
            try:
                reply = await connection.ask(_request(url, fields), judge, patience)
            except PictureError as error:
                if is_reused and error.cause == "disconnected" and not connection.has_answered:
                    continue  # the server hung up while nothing was asked: nobody's failure
                raise
            self._put_back(url.origin, connection)
            return reply

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._idle_order:
            connection.close()
        self._idle.clear()
        self._idle_order.clear()
        for one in [one for shared in self._shared.values() for one in shared]:
            one.close()
        await asyncio.sleep(0)  # transports tell their protocols of the end in the loop's next round

    def _taken(self, origin: str) -> http1.Connection | None:
        """The connection of an origin that was used last, if one is left that lives."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            del self._idle_order[connection]
            if connection.is_open and asyncio.get_running_loop().time() - connection.used_at < KEEP_ALIVE_S:
                return connection
            connection.close()
        self._idle.pop(origin, None)
        return None

    def _put_back(self, origin: str, connection: http1.Connection) -> None:
        if not connection.is_open:
            connection.close()
            return
        self._idle.setdefault(origin, []).append(connection)
        self._idle_order[connection] = origin
        if len(self._idle_order) > self._keep:
            oldest, of = self._idle_order.popitem(last=False)
            self._idle[of].remove(oldest)
            if not self._idle[of]:
                del self._idle[of]
            oldest.close()

    async def _opened(self, url: Url, addresses: Sequence[str], patience: Patience) -> http1.Connection | None:
        """A new connection to judged addresses, for https verified; None when the server chose HTTP/2."""
        loop, limit_s = asyncio.get_running_loop(), self._connect_s
        is_tls = url.scheme == "https"
        try:
            async with asyncio.timeout_at(patience.until):
                opened = await self._network.connect_to(addresses, url.port, limit_s)
                try:
                    _, connection = await loop.create_connection(
                        lambda: http1.Connection(self._scratch, partial(self._share, url), self._memory), sock=opened,
                        ssl=self._tls if is_tls else None, server_hostname=url.host if is_tls else None,
                        ssl_handshake_timeout=limit_s if is_tls else None,
                    )  # fmt: skip
                except BaseException:
                    opened.close()
                    raise
        except (OSError, ssl.CertificateError) as error:
            if isinstance(error, TimeoutError) or "handshake is taking longer" in str(error):
                late_s = limit_s if loop.time() < patience.until else patience.total_s
                raise PictureError("timeout", f"over {late_s:g} s") from error
            raise PictureError(_why_not_connected(error), str(error)[:200]) from error
        return None if connection.is_handed_over else connection

    def _share(self, url: Url, transport: asyncio.Transport) -> None:
        """The server chose HTTP/2: from its first byte on, the connection is one for many requests."""
        from pictus.collect import http2  # noqa: PLC0415  brings h2, which most fetches never need

        shared = self._shared.setdefault(url.origin, [])
        shared.append(http2.switched(transport, KEEP_ALIVE_S, partial(self._forget, url.origin)))

    def _forget(self, origin: str, connection: "http2.Connection") -> None:
        self._shared[origin].remove(connection)
        if not self._shared[origin]:
            del self._shared[origin]

    def _available(self, origin: str) -> "http2.Connection | None":
        """An HTTP/2 connection of this origin that can take a request."""
        return next((one for one in self._shared.get(origin, ()) if one.is_available), None)


async def connect(address: str, port: int, timeout_s: float | None) -> socket.socket:
    """A TCP connection to an address given by number."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


def _place(url: Url) -> str:
    """Host and, where it is not the usual one, port."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port == (443 if url.scheme == "https" else 80) else f"{host}:{url.port}"


def _request(url: Url, fields: Mapping[str, str]) -> bytes:
    lines = [f"GET {url.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace")


def _why_not_connected(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return "tls"
        if isinstance(seen, OSError) and seen.errno == errno.ECONNREFUSED:
            return "refused"
        seen = seen.__cause__ or seen.__context__
    return "unreachable"
