"""What people hand in that is large: how much of it is in hand at a time, of one person and of all.

Who draws sends up to 8 MB with a page, which is five times that while it is read: from many connections at once
it would fill the memory and keep everybody waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pictus.annotate.desk.desk_steps import LaterError
from pictus.web.desk.turns import Held, Who, yielding

SMALL = 20_000
"""Bytes that are never counted: 48 answers without drawings have a tenth of that."""
EVERYBODYS = 200_000_000
"""Bytes that have come and are not dealt with yet."""
AT_ONCE = 4
"""Large ones that are read and stored at a time."""
LOOK_S = 0.02


class Parcels:
    """The bodies one server holds. People by name: several windows of one are one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._large: dict[str, Parcel] = {}  # each person's
        self._worked = 0

    @contextmanager
    def of(self, who: Who) -> "Iterator[Parcel]":
        """Room for one body; what it held is free at the end."""
        parcel = Parcel(self, who)
        try:
            yield parcel
        finally:
            with self._lock:
                if self._large.get(who.name) is parcel:
                    del self._large[who.name]

    @asynccontextmanager
    async def worked(self, parcel: "Parcel") -> AsyncIterator[None]:
        """While a body is read and stored: large ones wait for each other."""
        if not parcel.weight:
            yield
            return
        while not self._begin():  # noqa: ASYNC110  an event belongs to one loop, and a server of tests has several
            await asyncio.sleep(LOOK_S)
        try:
            yield
        finally:
            with self._lock:
                self._worked -= 1

    def _begin(self) -> bool:
        with self._lock:
            may = self._worked < AT_ONCE
            self._worked += may
            return may

    def weigh(self, parcel: "Parcel", size: int) -> None:
        """So many bytes of it have come; LaterError where that is too much at a time. Where it is, the slowest of
        whoever has most goes before.
        """
        parcel.moved = size
        if size <= SMALL or parcel.is_ended:
            return
        with self._lock:
            if self._large.get(parcel.who.name, parcel) is not parcel:
                raise _later("Another large page of yours is on its way.")
            while sum(one.weight for one in self._large.values()) + size - parcel.weight > EVERYBODYS:
                slowest = yielding(self._large.values(), parcel.who, size - parcel.weight)
                if slowest is None or slowest is parcel:
                    raise _later("Many large pages are on their way just now.")
                slowest.end()
                del self._large[slowest.who.name]
            self._large[parcel.who.name] = parcel
            parcel.weight = size


class Parcel(Held):
    """One body as it comes. `weight`: bytes that have come, 0 up to SMALL."""

    def __init__(self, parcels: Parcels, who: Who) -> None:
        super().__init__(who)
        self._parcels = parcels

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """While it comes; LaterError where it has to go for somebody else."""
        try:
            async with self.within(None):
                yield
        except TimeoutError:
            raise _later("Many large pages are on their way just now.") from None

    def weigh(self, size: int) -> None:
        """So many bytes have come in all; LaterError where that is too much at a time."""
        self._parcels.weigh(self, size)


def _later(what: str) -> LaterError:
    return LaterError(what, fix="wait a little: it is sent again by itself")
