"""A loopback web that behaves as told, and a network that records where it is sent."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pictus import Project
from pictus.collect.addresses import AllowedHosts, parse_url
from pictus.collect.fetcher import Fetched, Fetcher, Job, Limits
from pictus.collect.network import PinnedNetwork, connect
from pictus.errors import PictureError
from pictus.records import Concept
from pictus.tables import table_of

PUBLIC = "93.184.216.34"
"""Stands for the open internet: the recording connector leads it to the loopback web."""

Page = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the page registered for the path."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        web = self.server.web
        with web.lock:
            web.requests.append(Request(time.monotonic(), self.path, dict(self.headers.items())))
            web.busy += 1
            web.busiest = max(web.busiest, web.busy)
        try:
            web.pages.get(self.path, missing)(self)
        finally:
            with web.lock:
                web.busy -= 1

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stall(self) -> None:
        self.wfile.flush()
        self.server.web.over.wait(30)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Tests read web.requests."""


class Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them: no socket is left open
    web: "Web"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what many tests are about."""


def missing(handler: Handler) -> None:
    handler.answer(404, b"<html>no such page</html>")


@dataclass(frozen=True)
class Request:
    at: float
    path: str
    headers: dict[str, str]


@dataclass
class Web:
    """`pages`: path -> what it does. `requests`: what was asked, in order."""

    port: int
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)
    busy: int = 0
    busiest: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        self.pages[path] = lambda handler: handler.answer(status, body, **headers)

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.put(path, b"", status, Location=to)

    def asked(self, *, robots: bool = False) -> list[str]:
        """The paths asked for; with `robots` also what the origin says about itself."""
        about = () if robots else ("/robots.txt", "/.well-known/tdmrep.json")
        return [request.path for request in self.requests if request.path not in about]


@pytest.fixture
def web() -> Iterator[Web]:
    server = Server(("127.0.0.1", 0), Handler)
    server.web = Web(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.web
    server.web.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Net:
    """Names -> addresses, and where connections went. Nothing leaves the loopback interface."""

    port: int
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved.append(host)
        if host in self.names:
            return self.names[host]
        if host.replace(".", "").isdigit() or ":" in host:
            return (host,)
        raise PictureError("dns", f"{host}: unknown")

    async def connect(self, address: str, port: int, timeout_s: float | None) -> socket.socket:
        self.connected.append((address, port))
        return await connect("127.0.0.1", self.port, timeout_s)


FAST = Limits(
    interval_s=0.0, connect_s=2.0, read_s=0.3, total_s=2.0, back_off_s=0.01, max_wait_s=2.0, max_bytes=200_000
)

Fetch = Callable[..., dict[str, Fetched]]


@pytest.fixture
def net(web: Web) -> Net:
    return Net(web.port, dict.fromkeys(("a.example", "b.example", "c.example"), (PUBLIC,)))


@pytest.fixture
def fetch_all(net: Net) -> Fetch:
    """fetch_all(url, …, limits=…, allowed=…, jobs=…) -> address -> how it ended."""

    def fetch(
        *urls: str, limits: Limits = FAST, allowed: Sequence[str] = (), jobs: Sequence[Job] = (),
        clock: Callable[[], float] = time.monotonic, tls: ssl.SSLContext | None = None,
    ) -> dict[str, Fetched]:  # fmt: skip
        network = PinnedNetwork(net.resolve, net.connect, AllowedHosts.of(allowed))
        wanted = [Job(order, url, parse_url(url)) for order, url in enumerate(urls)] + list(jobs)

        async def run() -> dict[str, Fetched]:
            fetcher = Fetcher(
                limits, network, agent="pictus/test (me@example.org)", tls=tls or ssl.create_default_context(),
                clock=clock, chance=random.Random(1),
            )  # fmt: skip
            async with aclosing(fetcher.run(wanted)) as results:
                return {result.address: result async for result in results}

        return asyncio.run(run())

    return fetch


@pytest.fixture
def birds(project: Project) -> Project:
    """A project with the concepts bird > owl, jay and a pair of cranes."""
    project.tables.append(
        "concepts",
        table_of(
            "concepts",
            [
                Concept("n01503061", ("bird",), "", (), is_class=False),
                Concept("n01621127", ("owl", "bird of Minerva"), "", ("n01503061",), is_class=True),
                Concept("n01580077", ("jay",), "", ("n01503061",), is_class=True),
                Concept("n02012849", ("crane",), "a bird", ("n01503061",), is_class=True),
                Concept("n03126707", ("crane",), "a machine", (), is_class=True),
            ],
        ),
    )
    return project


@pytest.fixture
def write_list(tmp_path: Path) -> Callable[..., Path]:
    """write_list("url,concept", "http://…,owl", name="list.csv") -> its path."""

    def write(*lines: str, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
