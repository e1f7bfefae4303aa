"""Pictures on their way out: how many each person may ask for at a time, and originals piece by piece.

Who asks for many and reads none of them would else fill the memory, a whole file for each, or take all connections.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pictus.annotate.desk.desk_steps import LaterError

PENDING = 192
"""Pictures one person may wait for: four pages, as a browser behind a proxy asks for all at once."""
OWN, EVERYBODYS = 6, 48
"""Originals that are given out at a time to one person, and in all. Six: connections of a browser (HTTP/1.1)."""
WAIT_S = 20.0
LOOK_S = 0.05
PIECE = 256 * 1024
"""Bytes that are read ahead of who takes them."""
LONGEST_S, BYTES_S = 30.0, 20_000.0
"""An original may take so long, and longer by its size: the same patience as with what people send."""


class Original(NamedTuple):
    """A file to be given out. `read`: (start, count) -> bytes."""

    size: int
    read: Callable[[int, int], bytes]
    media: str


class Taps:
    """What one server is giving out, by person. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._open: Counter[str] = Counter()

    @contextmanager
    def asked(self, name: str) -> Iterator[None]:
        """While somebody waits for a picture; LaterError where they wait for many."""
        with self._lock:
            if self._asked[name] >= PENDING:
                raise _many()
            self._asked[name] += 1
        try:
            yield
        finally:
            self._less(self._asked, name)

    async def opened(self, name: str) -> Callable[[], None]:
        """Take a place among the originals that are given out -> what gives it back; LaterError after WAIT_S."""
        until = self._clock() + WAIT_S
        while not self._open_one(name):
            if self._clock() >= until:
                raise _many()
            await asyncio.sleep(LOOK_S)
        return lambda: self._less(self._open, name)

    def _open_one(self, name: str) -> bool:
        with self._lock:
            may = self._open[name] < OWN and self._open.total() < EVERYBODYS
            self._open[name] += may
            return may

    def _less(self, counts: Counter[str], name: str) -> None:
        with self._lock:
            counts[name] -= 1
            if counts[name] <= 0:
                del counts[name]


class Poured(StreamingResponse):
    """A file as it is taken, a piece at a time; it is broken off where that lasts too long. `close`: called at last."""

    def __init__(self, found: Original, headers: Mapping[str, str], *, close: Callable[[], None]) -> None:
        told = {**headers, "content-length": str(found.size), "content-type": found.media}
        super().__init__(_pieces(found.size, found.read), headers=told)
        self._may_take_s = LONGEST_S + found.size / BYTES_S
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with suppress(TimeoutError):  # too slow a reader: the connection ends, which says that this is not all
                async with asyncio.timeout(self._may_take_s):
                    await super().__call__(scope, receive, send)
        finally:
            self._close()


async def _pieces(size: int, read: Callable[[int, int], bytes]) -> AsyncIterator[bytes]:
    for start in range(0, size, PIECE):
        yield await run_in_threadpool(read, start, min(PIECE, size - start))


async def poured(
    name: str, taps: Taps, find: Callable[[], Response | Original], headers: Mapping[str, str], pace_s: float
) -> Response:
    """What `find` finds for somebody, an original piece by piece; not sooner than pace_s from now."""
    begun, close = time.monotonic(), await taps.opened(name)
    try:
        found = await run_in_threadpool(find)
        await asyncio.sleep(max(0.0, begun + pace_s - time.monotonic()))
        if not isinstance(found, Response):
            return Poured(found, headers, close=close)
    except BaseException:
        close()
        raise
    close()
    return found


def _many() -> LaterError:
    return LaterError("Many pictures are on their way to you already.", fix="wait a little")
