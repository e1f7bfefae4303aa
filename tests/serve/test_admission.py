"""The layer before the application, alone and around a real server with clients that dribble."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from pictus.serve.admission import Admission, Limits
from pictus.serve.app import make_app
from pictus.serve.recogniser import Recogniser

SCOPE = {"type": "http", "method": "POST", "path": "/predict", "headers": []}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    assert not message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def sent(*pieces: bytes, pause_s: float = 0.0) -> Callable[[], Any]:
    """A `receive` that gives the pieces and then nothing for ever."""

    async def messages() -> AsyncIterator[dict[str, Any]]:
        for piece in pieces:
            await asyncio.sleep(pause_s)
            yield {"type": "http.request", "body": piece, "more_body": piece != b"end"}
        await asyncio.Event().wait()

    return messages().__anext__


async def answer(admission: Admission, receive: Callable[[], Any]) -> tuple[int, bytes]:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    await asyncio.wait_for(admission(SCOPE, receive, send), 10)
    return told[0]["status"], told[1]["body"]


def asked(limits: Limits, receive: Callable[[], Any]) -> tuple[int, bytes]:
    admission = Admission(echo, limits)
    found = asyncio.run(answer(admission, receive))
    assert (admission.held, admission.waiting) == (0, 0)
    return found


def test_a_body_in_pieces_arrives_whole() -> None:
    assert asked(Limits(), sent(b"a", b"", b"b", b"end")) == (200, b"abend")


def test_a_body_that_stops_coming_is_given_up() -> None:
    status, body = asked(Limits(pause_s=0.05), sent(b"x"))
    error = json.loads(body)["error"]
    assert (status, sorted(error)) == (408, ["fix", "what"])
    assert error["what"] == "The body came slower than 16,000 bytes a second; 1 bytes had come."


def test_a_body_that_keeps_coming_too_slowly_is_given_up() -> None:
    """One byte each 10 ms never pauses for long: only the speed tells it from an honest client."""
    status, body = asked(Limits(pause_s=0.1), sent(*[b"x"] * 400, b"end", pause_s=0.01))
    assert status == 408
    assert b"slower than" in body


def test_a_slow_but_honest_body_comes_through() -> None:
    """4,000 bytes each 20 ms is faster than the floor, though the whole takes longer than a pause may."""
    pieces = [b"x" * 4000] * 30
    assert asked(Limits(pause_s=0.5), sent(*pieces, b"end", pause_s=0.02))[0] == 200


def test_a_body_has_an_end_however_fast_it_is() -> None:
    status, body = asked(Limits(body_s=0.1), sent(*[b"x" * 4000] * 400, pause_s=0.01))
    assert status == 408
    assert b"did not come within 0.1 s" in body


def test_all_bodies_together_have_a_limit() -> None:
    async def both() -> tuple[int, int]:
        admission = Admission(echo, Limits(max_held=100, pause_s=0.2))
        first = asyncio.create_task(answer(admission, sent(b"x" * 80)))
        await asyncio.sleep(0.02)
        assert admission.held == 80
        second, body = await answer(admission, sent(b"x" * 30, b"end"))
        assert b"in memory already" in body
        assert admission.held == 80
        status, _ = await first
        assert admission.held == 0
        return status, second

    assert asyncio.run(both()) == (408, 503)


def test_a_client_that_leaves_takes_its_bytes_along() -> None:
    messages = iter([
        {"type": "http.request", "body": b"x" * 50, "more_body": True}, {"type": "http.disconnect"}
    ])  # fmt: skip

    async def receive() -> Any:
        return next(messages)

    assert asked(Limits(), receive)[0] == 400


@contextmanager
def running(app: Any) -> Iterator[int]:
    """A real server on loopback -> its port."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


def everything(one: socket.socket) -> bytes:
    """What the server said until it hung up; a reset after its answer takes nothing of it away."""
    found = b""
    with suppress(ConnectionResetError):
        while piece := one.recv(4096):
            found += piece
    return found


class Dribblers:
    """Clients that announce a picture and send one byte of it now and then."""

    def __init__(self, port: int, count: int) -> None:
        self.sockets = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
        for one in self.sockets:
            one.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n")
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._dribble)
        self._thread.start()

    def _dribble(self) -> None:
        while not self._has_ended.wait(0.05):
            for one in self.sockets:
                try:
                    one.send(b"x")
                except OSError:
                    continue  # the server has hung up, as it should

    def end(self) -> None:
        self._has_ended.set()
        self._thread.join(10)
        for one in self.sockets:
            one.close()


@pytest.fixture
def dribbled(recogniser: Recogniser) -> Iterator[tuple[int, Dribblers]]:
    limits = Limits(max_waiting=4, pause_s=2.0, body_s=4.0)
    with running(make_app(recogniser, limits)) as port:
        slow = Dribblers(port, 40)
        try:
            yield port, slow
        finally:
            slow.end()


def test_forty_slow_clients_do_not_keep_honest_ones_out(dribbled: tuple[int, Dribblers], make_jpeg: Any) -> None:
    port, slow = dribbled
    data = make_jpeg(60, 40, 1)

    def post(_: int) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", data=data)
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)

    began = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(post, range(12))) == [200] * 12
    took_s = time.monotonic() - began
    refused = [everything(one) for one in slow.sockets]
    assert all(text.startswith(b"HTTP/1.1 408 ") for text in refused), refused[0]
    assert all(sorted(json.loads(text.partition(b"\r\n\r\n")[2])["error"]) == ["fix", "what"] for text in refused)
    assert took_s < 30
