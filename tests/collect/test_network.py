"""TLS and HTTP/2 against a small server of our own; the resolver; the connections kept."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from pictus.collect.addresses import AllowedHosts, parse_url
from pictus.collect.bodies import Body
from pictus.collect.fetcher import Fetched, Fetcher, Job, Limits
from pictus.collect.http1 import Patience, Reply
from pictus.collect.http2 import _head as http2_head
from pictus.collect.network import Connections, PinnedNetwork, connect
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


BIG = 5 * 2**20


@dataclass
class Http2Server:
    """Sends as much as the client's windows allow. /no…: 5 MB whose owner says no; /big…: 300 KB; /silent: a header.

    /ends: a header with line ends in it; /flood: more than fits into its window.
    """

    port: int = 0
    connections: int = 0
    paths: list[str] = field(default_factory=list)
    resets: int = 0
    sent: int = 0
    ends_after: int = 0  # requests of a connection, and then it goes away

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        talk.initiate_connection()
        writer.write(talk.data_to_send())
        left: dict[int, bytes] = {}
        asked = 0
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                for event in talk.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        assert event.stream_id is not None
                        path = dict(event.headers or [])[b":path"].decode()
                        self.paths.append(path)
                        asked += 1
                        if asked == self.ends_after:
                            talk.close_connection(last_stream_id=event.stream_id - 2)
                            break
                        self.begin(talk, event.stream_id, path, left)
                    elif isinstance(event, h2.events.StreamReset):
                        self.resets += 1
                        left.pop(event.stream_id or 0, None)
                self.go_on(talk, left)
                writer.write(talk.data_to_send())
                await writer.drain()
        writer.close()

    def begin(self, talk: h2.connection.H2Connection, stream_id: int, path: str, left: dict[int, bytes]) -> None:
        status, extra, body = "200", [], b"owl"
        if path in ("/robots.txt", "/.well-known/tdmrep.json"):
            status = "404"
        elif path.startswith("/no"):
            extra, body = [("x-robots-tag", "noai")], bytes(BIG)
        elif path.startswith("/big"):
            body = b"owl" * 100_000
        elif path == "/ends":
            extra = [("server", "owl\r\nx-other: 1")]
        elif path == "/silent":
            extra = [("x-robots-tag", "noindex"), ("content-length", "9")]
        talk.send_headers(stream_id, [(":status", status), *extra])
        if path == "/flood":
            talk.outbound_flow_control_window = 2**30
            talk.streams[stream_id].outbound_flow_control_window = 2**30
            left[stream_id] = bytes(BIG)
        elif path != "/silent":
            left[stream_id] = body

    def go_on(self, talk: h2.connection.H2Connection, left: dict[int, bytes]) -> None:
        for stream_id, body in tuple(left.items()):
            at = 0
            while at < len(body):
                size = min(talk.local_flow_control_window(stream_id), talk.max_outbound_frame_size, len(body) - at)
                if size <= 0:
                    break
                talk.send_data(stream_id, body[at : at + size])
                at += size
            self.sent += at
            if at == len(body):
                talk.end_stream(stream_id)
                del left[stream_id]
            else:
                left[stream_id] = body[at:]


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


def fetch(port: int, tls: ssl.SSLContext, *urls: str, **how: Any) -> list[Fetched]:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ("93.184.216.34",)

    async def lead(_address: str, _port: int, timeout_s: float | None) -> socket.socket:
        return await connect("127.0.0.1", port, timeout_s)

    async def run() -> list[Fetched]:
        fetcher = Fetcher(
            replace(Limits(interval_s=0.0, tries=1, total_s=5.0), **how), PinnedNetwork(resolve, lead, AllowedHosts()),
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
    assert sorted(http2.paths) == sorted(
        ["/robots.txt", "/.well-known/tdmrep.json", *[f"/{number}" for number in range(20)]]
    )
    assert http2.connections == 1


def test_bodies_that_are_not_wanted_do_not_stall_the_others(http2: Http2Server, certificate: tuple[Path, Path]) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    refused = [f"https://a.example/no{number}" for number in range(12)]
    wanted = [f"https://a.example/big{number}" for number in range(12)]
    found = fetch(http2.port, tls, *refused, *wanted, read_s=3.0)
    assert {one.cause for one in found if one.address in refused} == {"opt-out"}
    assert {(one.cause, len(one.image_bytes)) for one in found if one.address in wanted} == {("ok", 300_000)}
    assert http2.connections == 1
    assert http2.resets == 12
    assert http2.sent < 12 * 300_000 + 12 * 200_000  # of 60 MB that nobody wants; a window is 64 KiB


def test_bodies_that_wait_for_memory_are_not_sent_and_all_come(
    http2: Http2Server, certificate: tuple[Path, Path]
) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    wanted = [f"https://a.example/big{number}" for number in range(12)]
    limits = {"max_bytes": 400_000, "memory_bytes": 1_000_000, "held_bytes": 400_000, "per_host": 12}
    found = fetch(http2.port, tls, *wanted, **limits)
    assert {(one.cause, len(one.image_bytes)) for one in found} == {("ok", 300_000)}


def test_a_header_over_http2_counts_although_its_body_never_comes(
    http2: Http2Server, certificate: tuple[Path, Path]
) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    (found,) = fetch(http2.port, tls, "https://a.example/silent", read_s=0.1)
    assert (found.cause, found.status, found.detail) == ("timeout", 200, "nothing for 0.1 s")


@pytest.mark.parametrize(("path", "said"), [("/flood", "low control"), ("/ends", "in header value")])
def test_a_server_that_breaks_the_rules_of_http2_ends_as_a_cause(
    http2: Http2Server, certificate: tuple[Path, Path], caplog: pytest.LogCaptureFixture, path: str, said: str
) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    (found,) = fetch(http2.port, tls, f"https://a.example{path}")
    assert found.cause == "protocol"
    assert said in found.detail
    assert not caplog.records


@pytest.mark.parametrize("pair", [(b"server", b"owl\r\nx-other: 1"), (b"a\nb", b"1"), (b"server", b"owl\0")])
def test_a_line_end_in_a_header_is_refused_whatever_h2_says(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(PictureError, match="protocol"):
        http2_head(h2.events.ResponseReceived(stream_id=1, headers=[(b":status", b"200"), pair]))


def test_what_a_leaving_server_has_not_begun_is_asked_over_another_connection(
    http2: Http2Server, certificate: tuple[Path, Path]
) -> None:
    http2.ends_after = 5
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    found = fetch(http2.port, tls, *[f"https://a.example/{number}" for number in range(6)], per_host=1)
    assert {(one.cause, one.tries) for one in found} == {("ok", 1)}
    assert http2.connections == 2


def test_a_certificate_nobody_vouches_for_is_refused(http2: Http2Server) -> None:
    (found,) = fetch(http2.port, ssl.create_default_context(), "https://a.example/x")
    assert found.cause == "tls"
    assert http2.paths == []


def test_a_certificate_of_another_host_is_refused(http2: Http2Server, certificate: tuple[Path, Path]) -> None:
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    (found,) = fetch(http2.port, tls, "https://b.example/x")
    assert found.cause == "tls"


def test_the_next_address_is_tried_when_one_is_deaf() -> None:
    tried = []

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ("93.184.216.1", "93.184.216.2", "93.184.216.3", "93.184.216.4")

    async def deaf(address: str, _port: int, _timeout_s: float | None) -> socket.socket:
        tried.append(address)
        raise ConnectionRefusedError(address)

    with pytest.raises(ConnectionRefusedError, match=r"93\.184\.216\.3"):
        asyncio.run(PinnedNetwork(resolve, deaf, AllowedHosts()).connect("a.example", 80))
    assert tried == ["93.184.216.1", "93.184.216.2", "93.184.216.3"]


def ask(held: Connections, address: str) -> Coroutine[Any, Any, Reply]:
    patience = Patience(2.0, 2.0, asyncio.get_running_loop().time() + 2.0)
    return held.ask(parse_url(address), {}, lambda head: Body(head.headers, 9), patience)


def test_connections_longest_unused_are_closed(web: Any, net: Any) -> None:
    web.put("/", b"owl")
    net.names["d.example"] = net.names["a.example"]

    async def run() -> list[int]:
        network = PinnedNetwork(net.resolve, net.connect, AllowedHosts())
        held = Connections(network, ssl.create_default_context(), connect_s=2.0, keep=2)
        opened = []
        for host in ("a", "b", "c", "b", "d", "c", "a"):
            reply = await ask(held, f"http://{host}.example/")
            assert reply.body == b"owl"
            opened.append(len(net.connected))
        await held.close()
        return opened

    # a and b are kept; c takes a's place; b is there; d takes c's; c is opened anew, and so is a
    assert asyncio.run(run()) == [1, 2, 3, 3, 4, 5, 6]


def test_a_connection_that_died_while_nobody_used_it_costs_no_try(web: Any, net: Any) -> None:
    """The server hangs up just when the next request is sent: it is sent again over a new connection."""

    def hang_up_silently(handler: Any) -> None:
        handler.answer(200, b"owl")
        handler.close_connection = True

    web.pages["/"] = hang_up_silently

    async def run() -> list[bytes]:
        network = PinnedNetwork(net.resolve, net.connect, AllowedHosts())
        held = Connections(network, ssl.create_default_context(), connect_s=2.0)
        bodies = [(await ask(held, "http://a.example/")).body for _ in range(5)]
        await held.close()
        return bodies

    assert asyncio.run(run()) == [b"owl"] * 5
    assert len(net.connected) == 5


def test_what_fails_on_the_way_has_its_cause(net: Any) -> None:
    async def cause(error: Exception) -> str:
        async def fail(_address: str, _port: int, _timeout_s: float | None) -> socket.socket:
            raise error

        held = Connections(
            PinnedNetwork(net.resolve, fail, AllowedHosts()), ssl.create_default_context(), connect_s=2.0
        )
        with pytest.raises(PictureError) as raised:
            await ask(held, "http://a.example/")
        return raised.value.cause

    for error, expected in (
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "refused"), (TimeoutError(), "timeout"),
        (OSError(errno.ENETUNREACH, "no"), "unreachable"), (ssl.SSLError("no"), "tls"),
    ):  # fmt: skip
        assert asyncio.run(cause(error)) == expected


def test_looking_a_name_up_does_not_count_into_the_time_of_an_address(web: Any, net: Any) -> None:
    async def slowly(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(0.1)
        return ("93.184.216.34",)

    web.put("/", b"owl")

    async def run() -> bytes:
        network = PinnedNetwork(slowly, net.connect, AllowedHosts())
        held = Connections(network, ssl.create_default_context(), connect_s=2.0)
        patience = Patience(0.5, 0.05, asyncio.get_running_loop().time() + 0.05)
        reply = await held.ask(parse_url("http://a.example/"), {}, lambda head: Body(head.headers, 9), patience)
        await held.close()
        return reply.body

    assert asyncio.run(run()) == b"owl"


def test_what_is_remembered_of_a_name_is_judged_at_each_connection(net: Any) -> None:
    """The same private answer, given again and again, never leads anywhere."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return remembered

    remembered: Sequence[str] = ("127.0.0.1",)

    async def run() -> None:
        network = PinnedNetwork(resolve, net.connect, AllowedHosts())
        held = Connections(network, ssl.create_default_context(), connect_s=2.0)
        for _ in range(3):
            with pytest.raises(PictureError, match="private-address"):
                await ask(held, "http://a.example/")

    asyncio.run(run())
    assert net.connected == []


def test_origins_without_an_open_connection_are_forgotten(web: Any, net: Any) -> None:
    web.put("/", b"owl")

    async def run() -> int:
        network = PinnedNetwork(net.resolve, net.connect, AllowedHosts())
        held = Connections(network, ssl.create_default_context(), connect_s=2.0, keep=1)
        for host in "abc":
            await ask(held, f"http://{host}.example/")
        known = len(held._idle)
        await held.close()
        return known

    assert asyncio.run(run()) == 1
