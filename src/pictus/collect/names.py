"""Host names -> addresses: in threads of their own, each name once at a time, remembered for some minutes.

What is remembered is judged anew at each connection, like what was just heard.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress

from pictus.errors import PictureError

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

LOOK_UP_S = 20.0
"""Of one look-up, without the time until a thread is free for it. A resolver asks its servers for 5 s each, twice."""

REMEMBERED_S = 300.0
"""The system's resolver does not tell for how long an answer is valid; five minutes are usual."""

_MOST_REMEMBERED = 100_000


class Names:
    """One run's look-ups by `look_up` (which blocks, and raises PictureError `dns`) in `threads`."""

    def __init__(
        self, threads: Executor, look_up: Callable[[str, int], Sequence[str]], limit_s: float = LOOK_UP_S
    ) -> None:  # fmt: skip
        self._threads = threads
        self._look_up = look_up
        self._limit_s = limit_s
        self._known: OrderedDict[str, tuple[float, Sequence[str]]] = OrderedDict()  # the oldest first
        self._asking: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Its addresses; PictureError `dns` when there are none."""
        loop = asyncio.get_running_loop()
        until, found = self._known.get(host, (0.0, ()))
        if loop.time() < until:
            return found
        if host not in self._asking:
            self._asking[host] = task = loop.create_task(self._ask(host, port))
            task.add_done_callback(lambda done: self._heard(host, done))
        return await asyncio.shield(self._asking[host])  # one who gives up does not take it from the others

    async def _ask(self, host: str, port: int) -> Sequence[str]:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def look_up() -> Sequence[str]:
            with suppress(RuntimeError):  # the run is over: nobody waits any more
                loop.call_soon_threadsafe(begun.set)
            return self._look_up(host, port)

        looking = loop.run_in_executor(self._threads, look_up)
        await begun.wait()
        try:
            async with asyncio.timeout(self._limit_s):
                return await looking
        except TimeoutError as error:
            raise PictureError("dns", f"{host}: no answer for {self._limit_s:g} s") from error

    def _heard(self, host: str, done: "asyncio.Future[Sequence[str]]") -> None:
        del self._asking[host]
        if done.cancelled() or done.exception():
            return  # not remembered: the next try asks anew
        self._known.pop(host, None)
        self._known[host] = done.get_loop().time() + REMEMBERED_S, done.result()
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)


def system_resolver(threads: Executor) -> Resolve:
    """The machine's own resolver: a slow name server must hold up neither commits nor other names."""
    return Names(threads, look_up)


def look_up(host: str, port: int) -> tuple[str, ...]:
    """Every address once, as the system gives them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PictureError("dns", f"{host}: {error}") from error
    return tuple(dict.fromkeys(str(place[4][0]) for place in found))
