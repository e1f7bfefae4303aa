"""TLS and HTTP/2 against a small server of our own; the resolver; the connections kept."""

from __future__ import annotations

import asyncio
import random
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpcore
import pytest

from pictus.collect.addresses import AllowedHosts, parse_url
from pictus.collect.fetcher import Fetched, Fetcher, Job, Limits
from pictus.collect.network import Connections, PinnedNetwork, connect, system_resolver
from pictus.errors import PictureError


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key) for a.example, signed by itself."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", paths[1], "-out", paths[0], "-days", "2", "-subj", "/CN=a.example",
            "-addext", "subjectAltName=DNS:a.example",
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return paths


@dataclass
class Http2Server:
    port: int = 0
    connections: int = 0
    paths: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        talk.initiate_connection()
        writer.write(talk.data_to_send())
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                for event in talk.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        assert event.stream_id is not None
                        path = dict(event.headers or [])[b":path"].decode()
                        self.paths.append(path)
                        status = "404" if path == "/robots.txt" else "200"
                        talk.send_headers(event.stream_id, [(":status", status)])
                        talk.send_data(event.stream_id, b"owl", end_stream=True)
                writer.write(talk.data_to_send())
        writer.close()


@pytest.fixture
def http2(certificate: tuple[Path, Path]) -> Iterator[Http2Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])
    served, over = Http2Server(), asyncio.Event()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def main() -> None:
        server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=context)
        served.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait(10)
    yield served
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    loop.close()


def fetch(port: int, tls: ssl.SSLContext, *urls: str) -> list[Fetched]:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ("93.184.216.34",)

    async def lead(_address: str, _port: int, timeout_s: float | None) -> httpcore.AsyncNetworkStream:
        return await connect("127.0.0.1", port, timeout_s)

    async def run() -> list[Fetched]:
        fetcher = Fetcher(
            Limits(interval_s=0.0, tries=1, total_s=5.0), PinnedNetwork(resolve, lead, AllowedHosts()),
            agent="pictus/test", tls=tls, clock=time.monotonic, chance=random.Random(1),
        )  # fmt: skip
        jobs = [Job(order, url, parse_url(url)) for order, url in enumerate(urls)]
        async with aclosing(fetcher.run(jobs)) as results:
            return [result async for result in results]

    return asyncio.run(run())


def test_http2_is_spoken_where_the_server_offers_it(http2: Http2Server, certificate: tuple[Path, Path]) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    found = fetch(http2.port, tls, *[f"https://a.example/{number}" for number in range(20)])
    assert {(one.cause, one.image_bytes) for one in found} == {("ok", b"owl")}
    assert sorted(http2.paths) == sorted(["/robots.txt", *[f"/{number}" for number in range(20)]])
    assert http2.connections == 1


def test_a_certificate_nobody_vouches_for_is_refused(http2: Http2Server) -> None:
    (found,) = fetch(http2.port, ssl.create_default_context(), "https://a.example/x")
    assert found.cause == "tls"
    assert http2.paths == []


def test_a_certificate_of_another_host_is_refused(http2: Http2Server, certificate: tuple[Path, Path]) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    (found,) = fetch(http2.port, tls, "https://b.example/x")
    assert found.cause == "tls"


def test_the_system_resolver_tells_every_address_once() -> None:
    with ThreadPoolExecutor(1) as threads:
        resolve = system_resolver(threads)
        assert "127.0.0.1" in asyncio.run(_await(resolve, "localhost"))
        assert tuple(asyncio.run(_await(resolve, "93.184.216.34"))) == ("93.184.216.34",)
        with pytest.raises(PictureError, match="dns"):
            asyncio.run(_await(resolve, "a..example"))


async def _await(resolve: Callable[..., object], host: str) -> Sequence[str]:
    return await resolve(host, 80)  # type: ignore[misc,no-any-return]


def test_the_next_address_is_tried_when_one_is_deaf() -> None:
    tried = []

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ("93.184.216.1", "93.184.216.2", "93.184.216.3", "93.184.216.4")

    async def deaf(address: str, _port: int, _timeout_s: float | None) -> httpcore.AsyncNetworkStream:
        tried.append(address)
        raise httpcore.ConnectError(address)

    with pytest.raises(httpcore.ConnectError, match=r"93\.184\.216\.3"):
        asyncio.run(PinnedNetwork(resolve, deaf, AllowedHosts()).connect_tcp("a.example", 80))
    assert tried == ["93.184.216.1", "93.184.216.2", "93.184.216.3"]


def test_connections_of_origins_long_unused_are_closed() -> None:
    closed: list[str] = []

    class Stream(httpcore.AsyncMockStream):
        def __init__(self, address: str) -> None:
            super().__init__([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"] * 2)
            self._address = address

        async def aclose(self) -> None:
            closed.append(self._address)

    class Network(httpcore.AsyncNetworkBackend):
        async def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
            return Stream(host)

    async def run() -> None:
        held = Connections(Network(), ssl.create_default_context(), keep_origins=2)
        for host in ("a", "b", "c", "b", "d"):
            url = parse_url(f"http://{host}.example/")
            response = await held.send(url, httpcore.Request("GET", url.text, headers=[("host", host)]))
            await response.aread()
            await response.aclose()
            await held.done(url)
        assert closed == ["a.example", "c.example"]
        await held.close()

    asyncio.run(run())
    assert sorted(closed) == ["a.example", "b.example", "c.example", "d.example"]
