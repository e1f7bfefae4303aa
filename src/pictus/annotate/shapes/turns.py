"""Whose turn it is where each piece of work takes a processor and much memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from pictus.errors import UserError

AT_ONCE = 2
"""Pictures cut up or answered at a time: each takes a processor."""

MOST_WAITING = 16
WAIT_S = 5.0
"""So many clicks wait for their turn, so long; the others are asked to try again, and the desk's pages go on."""

OWN_TIMES = 4
"""So many times as long somebody waits for what they asked themselves: nobody else is kept by it."""


class BusyError(UserError):
    """Too many people click at once, or one person does."""


@dataclass
class _Mine:
    """What one person has in work. `latest`: who waits, by number; whoever waited before gives way."""

    is_busy: bool = False
    latest: int = 0
    waiting: int = 0


class Turns:
    """`at_once` work, one of each person; `most` more wait for `wait_s`, and whoever may not is told to try again.

    Of one person the latest click waits, not those before it. What is done ahead, before anybody waits for it, takes
    at most half of the room for waiting, and none while the same person has something in work.
    """

    def __init__(self, at_once: int = AT_ONCE, most: int = MOST_WAITING, wait_s: float = WAIT_S) -> None:
        self._places = threading.Semaphore(at_once)
        self._clicks = threading.Semaphore(at_once + most)
        self._ahead = threading.Semaphore(at_once + most // 2)
        self._changed = threading.Condition()
        self._people: dict[str, _Mine] = {}
        self._wait_s = wait_s

    @contextmanager
    def turn(self, person: str = "", *, is_ahead: bool) -> Iterator[None]:
        """One's turn; BusyError where there is none. `person`: "" for nobody in particular."""
        alone = self._alone(person, is_ahead=is_ahead) if person else nullcontext()
        with _held(self._ahead if is_ahead else self._clicks, 0), alone, _held(self._places, self._wait_s):
            yield

    @contextmanager
    def _alone(self, person: str, *, is_ahead: bool) -> Iterator[None]:
        with self._changed:
            mine = self._people.setdefault(person, _Mine())
            if mine.is_busy:
                self._wait(mine, is_ahead=is_ahead)
            mine.is_busy = True
        try:
            yield
        finally:
            with self._changed:
                mine.is_busy = False
                if not mine.waiting:
                    del self._people[person]
                self._changed.notify_all()

    def _wait(self, mine: _Mine, *, is_ahead: bool) -> None:
        if is_ahead:
            raise BusyError("Something else is being found.", fix="nothing: the first click does it")
        mine.latest += 1
        number = mine.latest
        self._changed.notify_all()
        mine.waiting += 1
        self._changed.wait_for(lambda: not mine.is_busy or mine.latest != number, OWN_TIMES * self._wait_s)
        mine.waiting -= 1
        if mine.is_busy or mine.latest != number:
            raise BusyError("Your click before is still being looked at.", fix="try again in a moment, or draw it")


@contextmanager
def _held(places: threading.Semaphore, wait_s: float) -> Iterator[None]:
    if not places.acquire(timeout=wait_s):
        raise BusyError("Many people are finding things at once.", fix="try again in a moment, or draw it")
    try:
        yield
    finally:
        places.release()
