"""The client against servers that lie, at the level of bytes: one connection, one answer, cut as the network likes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.bodies import Body
from pictus.collect.http1 import MAX_HEAD_BYTES, Connection, Head, Patience, Reply, body_length, parse_head
from pictus.errors import PictureError

OK = b"HTTP/1.1 200 OK\r\n"
Exchange = Callable[..., Reply]


class Server:
    """Answers every request with the given parts, each its own packet; then hangs up where it is told to."""

    def __init__(self, parts: Sequence[bytes], *, hangs_up: bool) -> None:
        self._parts, self._hangs_up = parts, hangs_up

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET "):
                for part in self._parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self._hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client hung up first
        finally:
            writer.close()


def exchanged(
    *parts: bytes, hangs_up: bool = True, max_bytes: int = 100_000, read_s: float = 2.0, times: int = 1,
    look: Callable[[bytes], None] | None = None,
) -> list[Reply | PictureError]:  # fmt: skip
    """What `times` requests over one connection give; it ends with the first that leaves it unusable."""

    def judge(head: Head) -> Body:
        return Body(head.headers, max_bytes, look=look)

    async def run() -> list[Reply | PictureError]:
        server = await asyncio.start_server(Server(parts, hangs_up=hangs_up), "127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        made = socket.create_connection(server.sockets[0].getsockname())
        made.setblocking(False)
        scratch = bytearray(MAX_HEAD_BYTES)
        transport, connection = await loop.create_connection(lambda: Connection(scratch, lambda _: None), sock=made)
        replies: list[Reply | PictureError] = []
        try:
            while len(replies) < times and connection.is_open:
                patience = Patience(read_s, 5.0, loop.time() + 5.0)
                try:
                    replies.append(await connection.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", judge, patience))
                except PictureError as error:
                    replies.append(error)
                await asyncio.sleep(0)
        finally:
            transport.abort()
            server.close()
            await asyncio.sleep(0.01)  # the server's task sees the end
        return replies

    return asyncio.run(run())


def one(*parts: bytes, **how: object) -> tuple[str, bytes]:
    """(cause, body) of one exchange; "ok" where nothing went wrong."""
    (reply,) = exchanged(*parts, **how)  # type: ignore[arg-type]
    if isinstance(reply, PictureError):
        return reply.cause, b""
    return (reply.error.cause if reply.error else "ok"), reply.body


def split_everywhere(answer: bytes) -> list[bytes]:
    return [answer[place : place + 1] for place in range(len(answer))]


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nowl\r\n2;x=y\r\net\r\n0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK + b"Content-Length: 3\r\n\r\nowl", ("ok", b"owl")),
        (OK + b"Content-Length: 3\r\n\r\nowlet", ("ok", b"owl")),  # and the connection is given up
        (OK + b"Content-Length: 3, 3\r\n\r\nowl", ("ok", b"owl")),
        (OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nowlet", ("protocol", b"")),
        (OK + b"Content-Length: 0x3\r\n\r\nowl", ("protocol", b"")),
        (OK + b"Content-Length: -3\r\n\r\nowl", ("protocol", b"")),
        (OK + b"Content-Length: 9\r\n\r\nowl", ("truncated", b"")),
        (OK + b"\r\nowl", ("ok", b"owl")),  # until the connection ends
        (b"HTTP/1.0 200 OK\r\n\r\nowl", ("ok", b"owl")),
        (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nowl", ("ok", b"owl")),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nowl", ("ok", b"owl")),
        (OK + b"X-Long: one\r\n two\r\n\tthree\r\nContent-Length: 3\r\n\r\nowl", ("ok", b"owl")),
        (OK + b"X\xff: \xfe\r\nContent-Length: 3\r\n\r\nowl", ("protocol", b"")),
        (OK + b"Content-Length : 3\r\n\r\nowl", ("protocol", b"")),
        (OK + b"X: a\0b\r\nContent-Length: 3\r\n\r\nowl", ("protocol", b"")),
        (CHUNKED, ("ok", b"owlet")),
        (CHUNKED.replace(b"chunked", b"gzip, chunked"), ("protocol", b"")),
        (CHUNKED.replace(b"3\r\nowl", b"4\r\nowl"), ("protocol", b"")),
        (CHUNKED.replace(b"\r\n3\r\n", b"\r\n-3\r\n"), ("protocol", b"")),
        (CHUNKED.replace(b"\r\n3\r\n", b"\r\nffffffffffffffffff\r\n"), ("protocol", b"")),
        (CHUNKED.replace(b"\r\n3\r\n", b"\r\nfffffff\r\n"), ("truncated", b"")),
        (CHUNKED[:-2], ("truncated", b"")),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n3\r\nowl\r\n0\r\n\r\n", ("ok", b"owl")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK + b"Content-Length: 3\r\n\r\nowl", ("ok", b"owl")),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 20 + OK + b"\r\n", ("protocol", b"")),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ("protocol", b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\nowl", ("ok", b"")),
        (b"HTTP/2 200\r\n\r\n", ("protocol", b"")),
        (b"HTTP/1.1 99 OK\r\n\r\n", ("protocol", b"")),
        (b"HTTP/1.1 200 OK\r\nContent", ("disconnected", b"")),
        (b"<html>", ("protocol", b"")),
        (b"", ("disconnected", b"")),
    ],
)
def test_every_answer_ends_the_same_way_however_it_is_cut(answer: bytes, expected: tuple[str, bytes]) -> None:
    assert one(answer) == expected
    assert one(*split_everywhere(answer)) == expected


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_the_parser(junk: bytes, is_body: bool) -> None:
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n" if is_body else b"HTTP/1.1 "
    cause, _ = one(head + junk)
    assert cause in {"ok", "protocol", "truncated", "disconnected", "too-big"}


@given(st.binary(max_size=400))
def test_a_head_is_understood_or_refused(junk: bytes) -> None:
    cause, length = "protocol", None
    try:
        length = body_length(parse_head(OK + junk))
    except PictureError as error:
        cause = error.cause
    assert cause == "protocol"
    assert length is None or length >= -1


def test_what_stands_around_a_body_is_capped() -> None:
    endless = b"y" * (MAX_HEAD_BYTES + 1000)
    assert one(OK + b"X: " + endless)[0] == "protocol"
    assert one(*[OK] + [b"X: y\r\n"] * 12_000)[0] == "protocol"
    assert one(OK + b"Transfer-Encoding: chunked\r\n\r\n3;" + endless)[0] == "protocol"
    trailers = b"0\r\n" + b"X: y\r\n" * 12_000
    assert one(OK + b"Transfer-Encoding: chunked\r\n\r\n" + trailers)[0] == "protocol"


def test_a_body_is_capped_in_every_way_to_send_it() -> None:
    assert one(OK + b"Content-Length: 100001\r\n\r\n")[0] == "too-big"
    assert one(OK + b"\r\n" + b"x" * 100_001)[0] == "too-big"
    assert one(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n%s\r\n" % (b"x" * 1000) * 101)[0] == "too-big"
    assert one(OK + b"\r\n" + b"x" * 100_000) == ("ok", b"x" * 100_000)


def test_a_connection_is_used_again_only_after_a_clean_end() -> None:
    clean = OK + b"Content-Length: 3\r\n\r\nowl"
    assert len(exchanged(clean, hangs_up=False, times=3)) == 3
    assert len(exchanged(CHUNKED, hangs_up=False, times=3)) == 3
    for unclean in (
        clean + b"et", CHUNKED + b"HTTP/1.1 200 OK\r\n", clean.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        clean.replace(b"/1.1", b"/1.0"), CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 5\r\n"),
    ):  # fmt: skip
        assert len(exchanged(unclean, hangs_up=False, times=3)) == 1
    kept = clean.replace(b"1.1 200 OK", b"1.0 200 OK\r\nConnection: Keep-Alive")
    assert len(exchanged(kept, hangs_up=False, times=3)) == 3


def test_an_answer_to_no_question_closes_the_connection() -> None:
    first, *rest = exchanged(OK + b"Content-Length: 3\r\n\r\nowl", OK, hangs_up=False, times=3)
    assert isinstance(first, Reply)
    assert first.body == b"owl"
    assert not [reply for reply in rest if isinstance(reply, Reply) and reply.body]


def test_a_body_that_shows_early_what_it_is_is_not_read_on() -> None:
    def refuse(head: bytes) -> None:
        if head.startswith(b"<html>"):
            raise PictureError("not-an-image", "a page")

    page = b"<html>" + b" " * 90_000
    long = OK + b"Content-Length: 90006\r\n\r\n"
    assert one(long + page[:200], hangs_up=False, look=refuse) == ("not-an-image", b"")  # the rest never comes
    short = OK + b"Content-Length: 1006\r\n\r\n" + page[:1006]
    replies = exchanged(short, hangs_up=False, look=refuse, times=3)  # a short rest is read: the connection is kept
    assert [reply.error.cause for reply in replies if isinstance(reply, Reply) and reply.error] == ["not-an-image"] * 3
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + page[:64]
    assert one(chunked, hangs_up=False, look=refuse)[0] == "not-an-image"


def test_silence_ends_an_exchange() -> None:
    assert one(OK + b"Content-Length: 3\r\n\r\now", hangs_up=False, read_s=0.05)[0] == "timeout"
    assert one(b"HTTP", hangs_up=False, read_s=0.05)[0] == "timeout"


@pytest.mark.parametrize("status", [b"200 OK", b"301 Moved", b"404 Not Found", b"429 Too Many Requests"])
def test_a_header_counts_although_the_body_never_comes(status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nRetry-After: 3600\r\nX-Robots-Tag: noai\r\nContent-Length: 1000\r\n\r\n"
    (reply,) = exchanged(head, hangs_up=False, read_s=0.05)
    assert isinstance(reply, Reply)
    assert (reply.head.status, reply.head.headers["x-robots-tag"]) == (int(status[:3]), "noai")
    assert reply.error is not None
    assert reply.error.cause == "timeout"
