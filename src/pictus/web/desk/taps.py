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
from functools import partial
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pictus.annotate.desk.desk_steps import LaterError
from pictus.web.desk.turns import Held, Who, yielding

PENDING = 192
"""Pictures one person may wait for: four pages, as a browser behind a proxy asks for all at once."""
OWN, EVERYBODYS = 6, 48
"""Originals that are given out at a time to one person, and in all. Six: connections of a browser (HTTP/1.1)."""
WAIT_S = 20.0
LOOK_S = 0.05
PIECE = 256 * 1024
"""Bytes that are read ahead of who takes them."""
LONGEST_S, BYTES_S = 30.0, 20_000.0
"""An original may take so long, and longer by its size, and each piece so long: the same patience as with what people
send."""


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
        self._open: list[Held] = []

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
            with self._lock:
                self._asked[name] -= 1
                if not self._asked[name]:
                    del self._asked[name]

    async def opened(self, who: Who) -> Held:
        """Take a place among the originals that are given out, for `close`; LaterError after WAIT_S. Where none is
        free, the slowest of whoever has most goes.
        """
        until = self._clock() + WAIT_S
        while (place := self._open_one(who)) is None:
            if self._clock() >= until:
                raise _many()
            await asyncio.sleep(LOOK_S)
        return place

    def close(self, place: Held) -> None:
        """Give it back."""
        with self._lock:
            if place in self._open:  # else somebody else has it
                self._open.remove(place)

    def _open_one(self, who: Who) -> Held | None:
        with self._lock:
            if sum(one.who.name == who.name for one in self._open) >= OWN:
                return None
            if len(self._open) >= EVERYBODYS:
                slowest = yielding(self._open, who, 1)
                if slowest is None:
                    return None
                slowest.end()
                self._open.remove(slowest)
            place = Held(who, self._clock)
            place.weight = 1
            self._open.append(place)
            return place


class Poured(StreamingResponse):
    """A file as it is taken, a piece at a time; it is broken off where that lasts too long, or a piece does, and where
    somebody else needs the place. `close`: called at last.
    """

    def __init__(
        self, found: Original, headers: Mapping[str, str], place: Held, *, close: Callable[[], None]
    ) -> None:  # fmt: skip
        told = {**headers, "content-length": str(found.size), "content-type": found.media}
        super().__init__(_pieces(found, place), headers=told)
        self._place = place
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with suppress(TimeoutError):  # too slow a reader: the connection ends, which says that this is not all
                async with self._place.within(LONGEST_S):
                    await super().__call__(scope, receive, send)
        finally:
            self._close()


async def _pieces(found: Original, place: Held) -> AsyncIterator[bytes]:
    until = time.monotonic() + LONGEST_S + found.size / BYTES_S
    for start in range(0, found.size, PIECE):
        place.wait(min(LONGEST_S, until - time.monotonic()))
        piece = await run_in_threadpool(found.read, start, min(PIECE, found.size - start))
        yield piece
        place.moved += len(piece)


async def poured(
    who: Who, taps: Taps, find: Callable[[], Response | Original], headers: Mapping[str, str], pace_s: float
) -> Response:
    """What `find` finds for somebody, an original piece by piece; not sooner than pace_s from now."""
    begun, place = time.monotonic(), await taps.opened(who)
    try:
        found = await run_in_threadpool(find)
        await asyncio.sleep(max(0.0, begun + pace_s - time.monotonic()))
        if not isinstance(found, Response):
            return Poured(found, headers, place, close=partial(taps.close, place))
    except BaseException:
        taps.close(place)
        raise
    taps.close(place)
    return found


def _many() -> LaterError:
    return LaterError("Many pictures are on their way to you already.", fix="wait a little")
