"""Turns: how many requests of one session are worked at, and who goes where somebody else waits for a place.

Who asks for much at once waits in a line of their own, without a thread, and keeps nobody else from theirs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

AT_ONCE = 8
"""Requests of one session that are worked at: a browser has six connections, and the threads of a server are 40."""
GRACE_S = 5.0
"""Nobody has to go before: who is quick is done by then."""


class Who(NamedTuple):
    """Somebody, and the link they came by where it lets several in: by such a one somebody may have many names."""

    name: str
    crowd: str  # their own name where there is no such link


class Turns:
    """The requests one server works at, by session; those of nobody wait for nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worked: Counter[str] = Counter()
        self._lines: dict[str, deque[Future[None]]] = {}

    @asynccontextmanager
    async def of(self, session: str) -> AsyncIterator[None]:
        """While one request of a session is worked at; before that it waits for its turn, without a thread."""
        if not session:
            yield
            return
        turn = self._turn(session)
        try:
            await asyncio.wrap_future(turn)  # not asyncio's own: a server of tests has several loops
        except BaseException:
            if not turn.cancel():  # it had come
                self._over(session)
            raise
        try:
            yield
        finally:
            self._over(session)

    def _turn(self, session: str) -> "Future[None]":
        turn: Future[None] = Future()
        with self._lock:
            if self._worked[session] < AT_ONCE:
                self._worked[session] += 1
                turn.set_result(None)
            else:
                self._lines.setdefault(session, deque()).append(turn)
        return turn

    def _over(self, session: str) -> None:
        """The place goes to the next in the line who is still there."""
        with self._lock:
            line = self._lines.get(session, deque())
            chosen = next((turn for turn in _taken_from(line) if turn.set_running_or_notify_cancel()), None)
            if not line:
                self._lines.pop(session, None)
            if chosen is None:
                self._worked[session] -= 1
                if not self._worked[session]:
                    del self._worked[session]
        if chosen is not None:
            chosen.set_result(None)


def _taken_from(line: "deque[Future[None]]") -> "Iterable[Future[None]]":
    while line:
        yield line.popleft()


class Held:
    """A place that somebody has. `weight`: how much of what there is; `moved`: bytes that have come or gone by it."""

    def __init__(self, who: Who, clock: Callable[[], float] = time.monotonic) -> None:
        self.who = who
        self.weight = 0
        self.moved = 0
        self.is_ended = False
        self._clock = clock
        self._begun = clock()
        self._until: tuple[asyncio.AbstractEventLoop, asyncio.Timeout] | None = None

    @asynccontextmanager
    async def within(self, seconds: float | None) -> AsyncIterator[None]:
        """TimeoutError after so long, and at once when somebody else needs the place."""
        async with asyncio.timeout(seconds) as until:
            self._begun, self._until = self._clock(), (asyncio.get_running_loop(), until)
            try:
                yield
            finally:
                self._until = None

    def wait(self, seconds: float) -> None:
        """From now on so long."""
        if self._until is not None and not self.is_ended and not self._until[1].expired():
            loop, until = self._until
            until.reschedule(loop.time() + seconds)

    def end(self) -> None:
        """Whoever has it goes: somebody else needs it."""
        self.is_ended = True
        if self._until is not None:
            self._until[0].call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._until is not None and not self._until[1].expired():
            self._until[1].reschedule(0.0)

    @property
    def may_go(self) -> bool:
        return self._until is not None and not self.is_ended and self._clock() - self._begun >= GRACE_S

    @property
    def pace(self) -> float:
        """Bytes a second."""
        return self.moved / max(self._clock() - self._begun, 1e-9)


Place = TypeVar("Place", bound=Held)


def yielding(held: Iterable[Place], who: Who, wanted: int) -> Place | None:
    """Who goes where `who` wants so much and nothing is free: the slowest of the largest holder, which is a link that
    lets several in or a person. Where `who` came by that link, the largest is a person among those who did. None where
    it has no more than `who` would have then, and while all are new.
    """
    held = list(held)
    crowds, names = Counter[str](), Counter[str]()
    for one in held:
        crowds[one.who.crowd] += one.weight
        if one.who.crowd == who.crowd:
            names[one.who.name] += one.weight
    crowd = max(crowds, key=crowds.__getitem__, default=who.crowd)
    if crowd != who.crowd:
        is_more = crowds[crowd] > crowds[who.crowd] + wanted
        may_go = [one for one in held if one.who.crowd == crowd]
    else:
        name = max(names, key=names.__getitem__, default=who.name)
        is_more = names[name] > names[who.name] + wanted
        may_go = [one for one in held if one.who == Who(name, crowd)]
    return min((one for one in may_go if is_more and one.may_go), key=lambda one: one.pace, default=None)
