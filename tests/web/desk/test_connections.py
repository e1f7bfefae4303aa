"""Half-sent requests, however many and however slow, keep nobody out."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from pictus.web.desk.connections import LEAST, Door, Patience, most_connections
from pictus.web.server import listen

HEAD = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2000\r\n\r\n{"
PARTS = [b"", b"GET / HTTP/1.1\r\nhost: 12", HEAD]


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


class Place:
    """A server that answers with what it was sent, once `goes_on` is set."""

    def __init__(self, most: int) -> None:
        self.seconds = Seconds()
        self.door = Door(Patience(most=most, look_s=0.02), self.seconds)
        self.goes_on = threading.Event()
        self.begun = threading.Event()
        self.goes_on.set()
        self.port = 0
        self._opened: list[socket.socket] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.begun.set()
        await asyncio.to_thread(self.goes_on.wait, 30)
        await PlainTextResponse(f"{len(body)}")(scope, receive, send)

    def opened(self, data: bytes) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self._opened.append(one)
        one.sendall(data)
        return one

    def close(self) -> None:
        for one in self._opened:
            one.close()

    def asked(self) -> str:
        with httpx.Client(timeout=30) as client:
            return client.post(f"http://127.0.0.1:{self.port}/", content=b"x" * 7).text

    def heard(self, data: bytes) -> None:
        """Wait until somebody is connected and has been heard so far."""
        deadline = time.monotonic() + 30
        while [one.heard for one in self.door.connected()] != [len(data)] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [one.heard for one in self.door.connected()] == [len(data)]


@contextmanager
def served(most: int, kind: type[Place] = Place) -> Iterator[Place]:
    import uvicorn

    place, listener = kind(most), listen("127.0.0.1", 0)
    place.port = listener.getsockname()[1]
    made: Any = place.door.protocol
    config = uvicorn.Config(
        place.app, http=made, ws="none", lifespan="off", interface="asgi3", log_level="critical",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        place.goes_on.set()
        place.close()
        server.should_exit = True
        thread.join(30)


def is_closed(one: socket.socket) -> bool:
    """Whether the other side ends it within 30 s."""
    one.settimeout(30)
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(("data", "short_s", "long_s"), [(PARTS[0], 9, 11), (PARTS[1], 9, 11), (PARTS[2], 29, 32)])
def test_a_request_that_is_never_whole_is_cut_off(data: bytes, short_s: float, long_s: float) -> None:
    with served(8) as place:
        one = place.opened(data)
        place.heard(data)
        place.seconds.at = short_s
        assert place.asked() == "7", "others go on"
        place.heard(data)
        place.seconds.at = long_s
        assert is_closed(one)


def test_a_large_body_may_take_longer_while_it_comes() -> None:
    with served(8) as place:
        data = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 900000\r\n\r\n" + b"x" * 899_999
        one = place.opened(data)
        place.heard(data)
        place.seconds.at = 40
        one.sendall(b"x")
        assert one.recv(15) == b"HTTP/1.1 200 OK"


def test_a_large_body_that_stops_coming_is_cut_off_however_much_came_before() -> None:
    asked = threading.Event()

    class Eager(Place):
        async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
            asked.set()
            await super().app(scope, receive, send)

    with served(8, Eager) as place:
        data = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 3_000_000
        one = place.opened(data)
        place.heard(data)
        assert asked.wait(30)
        place.seconds.at = 31
        place.heard(b"")
        place.seconds.at = 62
        assert is_closed(one)


def test_many_half_sent_requests_keep_nobody_out() -> None:
    with served(8) as place:
        held = []
        for number in range(40):
            place.seconds.at += 0.01
            held.append(place.opened(PARTS[number % len(PARTS)]))
        assert [place.asked() for _ in range(5)] == ["7"] * 5
        assert is_closed(held[0]), "the oldest made place"
        assert len(place.door) <= 8


def test_who_is_being_answered_is_not_cut_off_and_the_next_is_told_to_wait() -> None:
    with served(1) as place:
        place.goes_on.clear()
        first = place.opened(HEAD + b"x" * 1_999)
        assert place.begun.wait(30)
        second = place.opened(b"")
        told = second.recv(4_000)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b'"what": "Too many are connected just now."' in told
        place.seconds.at = 1_000
        place.goes_on.set()
        assert first.recv(15) == b"HTTP/1.1 200 OK"


def test_who_takes_nothing_of_an_answer_is_cut_off() -> None:
    one = type("Stuck", (), {"get_write_buffer_size": staticmethod(lambda: 5_000)})()
    with served(2) as place:
        place.goes_on.clear()
        place.opened(HEAD + b"x" * 1_999)
        assert place.begun.wait(30)
        (connection,) = place.door.connected()
        real, connection.transport = connection.transport, one
        assert not connection.is_overdue(1.0)
        assert not connection.is_overdue(60.0)
        assert connection.is_overdue(61.5)
        connection.transport = real


def test_the_process_keeps_handles_for_its_own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: asked.append(limits))
    for limits, expected in (((256, 256), 64), ((100, 100), LEAST), ((1_024, 524_288), 1_000), ((8_192, 8_192), 1_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _what, limits=limits: limits)
        assert most_connections() == expected
    assert asked == [(4_096, 524_288)]
