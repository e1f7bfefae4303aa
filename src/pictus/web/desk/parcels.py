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
        self._bytes: dict[str, int] = {}  # of each person's large one
        self._worked = 0

    @contextmanager
    def of(self, name: str) -> "Iterator[Parcel]":
        """Room for one body; what it held is free at the end."""
        parcel = Parcel(self, name)
        try:
            yield parcel
        finally:
            with self._lock:
                if parcel.size > SMALL:
                    del self._bytes[name]

    @asynccontextmanager
    async def worked(self, parcel: "Parcel") -> AsyncIterator[None]:
        """While a body is read and stored: large ones wait for each other."""
        if parcel.size <= SMALL:
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
        """So many bytes of it have come; LaterError where that is too much at a time."""
        if size <= SMALL:
            return
        with self._lock:
            is_first = parcel.size <= SMALL
            if is_first and parcel.name in self._bytes:
                raise _later("Another large page of yours is on its way.")
            before = 0 if is_first else parcel.size
            if sum(self._bytes.values()) + size - before > EVERYBODYS:
                raise _later("Many large pages are on their way just now.")
            self._bytes[parcel.name] = parcel.size = size


class Parcel:
    """One body as it comes."""

    def __init__(self, parcels: Parcels, name: str) -> None:
        self._parcels = parcels
        self.name = name
        self.size = 0  # bytes that have come, 0 up to SMALL

    def weigh(self, size: int) -> None:
        """So many bytes have come in all; LaterError where that is too much at a time."""
        self._parcels.weigh(self, size)


def _later(what: str) -> LaterError:
    return LaterError(what, fix="wait a little: it is sent again by itself")
