"""How many may be connected, and for how long somebody may take to say what they want.

A browser sends a request within a second. Who holds a connection without doing so is cut off after a while, and makes
place at once where it is needed: so half-sent requests, however many, keep nobody out and leave the process the file
handles that its tables and its database need.
"""

from __future__ import annotations

import json
import logging
import time
from asyncio import AbstractEventLoop, Transport
from collections.abc import Callable
from typing import Any, NamedTuple

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MOST = 1_000
"""Connections at once: a browser opens up to six."""
OWN_HANDLES = 192
"""Files that 40 threads have open at a time: a picture and the database's three each, and the tables'."""
WANTED_HANDLES = 4_096
LEAST = 32
SAID_EVERY_S = 60.0

_FULL = json.dumps({"error": {"what": "Too many are connected just now.", "fix": "wait a little"}}).encode()
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)


class Patience(NamedTuple):
    """How long is waited. A body may take longer: `bytes_s` of it must come each second, over the last `body_s`."""

    most: int = MOST
    head_s: float = 10.0
    body_s: float = 30.0
    bytes_s: float = 20_000.0
    taking_s: float = 60.0  # without taking any of an answer
    look_s: float = 1.0


class Door:
    """The connections of one server. `clock`: seconds that never go back."""

    def __init__(self, patience: Patience | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience = patience or Patience()
        self.clock = clock
        self._all: dict[Connection, None] = {}
        self._is_looking = False
        self._said = -SAID_EVERY_S

    def protocol(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> "Connection":  # fmt: skip
        """One more connection, as uvicorn asks for it."""
        return Connection(self, config, server_state, app_state, _loop)

    def enter(self, one: "Connection") -> bool:
        """Whether it may stay: where all places are taken, whoever has waited longest without asking goes."""
        if len(self._all) >= self.patience.most:
            idle = [other for other in self._all if other.is_idle]
            if not idle:
                self._say()
                return False
            self._cut(min(idle, key=lambda other: other.since))
        self._all[one] = None
        if not self._is_looking:
            self._is_looking = True
            one.loop.call_later(self.patience.look_s, self._look, one.loop)
        return True

    def connected(self) -> "list[Connection]":
        """Those there are, the oldest first."""
        return list(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def leave(self, one: "Connection") -> None:
        """It is gone."""
        self._all.pop(one, None)

    def _look(self, loop: AbstractEventLoop) -> None:
        now = self.clock()
        for one in [one for one in self.connected() if one.is_overdue(now)]:
            self._cut(one)
        self._is_looking = bool(self._all)
        if self._is_looking:
            loop.call_later(self.patience.look_s, self._look, loop)

    def _cut(self, one: "Connection") -> None:
        self.leave(one)  # it says so itself only in the loop's next turn
        one.transport.abort()

    def _say(self) -> None:
        if self.clock() - self._said >= SAID_EVERY_S:
            self._said = self.clock()
            words = "%d connections are in use at once: others are asked to wait a little."
            logging.getLogger("uvicorn.error").warning(words, self.patience.most)


class Connection(H11Protocol):
    """One connection, which knows since when it has waited for the rest of a request, and how much of it came since."""

    def __init__(
        self, door: Door, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self.since = door.clock()
        self._is_reading = True  # a request has begun and is not whole; so has the first one with the connection
        self.heard = 0
        self._untaken = 0
        self._untaken_since = self.since

    @property
    def is_idle(self) -> bool:
        """Nothing is being answered here."""
        return self._is_reading or self.cycle is None or self.cycle.response_complete

    def is_overdue(self, now: float) -> bool:
        """Whether somebody takes too long to ask, or to take an answer."""
        patience = self._door.patience
        left = self.transport.get_write_buffer_size()
        if left == 0 or left != self._untaken:
            self._untaken, self._untaken_since = left, now
        elif now - self._untaken_since > patience.taking_s:
            return True
        waited_s = now - self.since
        if self.conn.their_state is h11.IDLE:
            return self._is_reading and waited_s > patience.head_s
        is_ours = self.flow.read_paused  # nobody has asked for more of it yet
        if not self._is_reading or not (is_ours or waited_s > patience.body_s):
            return False
        is_slow = self.heard < patience.bytes_s * waited_s and not is_ours
        self.since, self.heard = now, 0
        return is_slow

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._door.enter(self):
            transport.write(FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self._is_reading:
            self._is_reading, self.since, self.heard = True, self._door.clock(), 0
        self.heard += len(data)
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._is_reading, self.since = False, self._door.clock()


def most_connections(most: int = MOST) -> int:
    """How many the process has file handles for, after asking for more of them."""
    try:
        import resource  # noqa: PLC0415  not on Windows, where there is no such limit
    except ImportError:
        return most
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_HANDLES if hard == resource.RLIM_INFINITY else min(WANTED_HANDLES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return most if soft == resource.RLIM_INFINITY else max(LEAST, min(most, soft - OWN_HANDLES))
