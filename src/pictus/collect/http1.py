"""HTTP/1.1 as a client that trusts no server (RFC 9112): one connection, one request at a time.

Written for this one use: the bytes of a picture go from the socket to where they stay without passing
through anything else. Whatever a server sends, an exchange ends in a Reply or a PictureError
(`timeout`, `disconnected`, `protocol`, or what the judge or the body raise).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import NamedTuple, cast

from pictus.collect.bodies import Body
from pictus.collect.memory import Memory, without_limit
from pictus.errors import PictureError, clipped

MAX_HEAD_BYTES = 64 * 1024
"""Of a status line with its header fields, and of what stands around chunks. Apache sends at most 8 KiB of each."""

_MAX_INTERIM = 16
_LITTLE = 4 * 1024  # read at once for a body that nothing was given for yet
_MOST_DRAINED = 64 * 1024
"""A refused body with no more than this left is read to its end: cheaper than a new connection."""

_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*)")
_FOLD = re.compile(r"\r?\n[ \t]+")  # RFC 9112 section 5.2: a value that goes on in the next line
_LENGTH = re.compile(r"[0-9]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Head(NamedTuple):
    """What comes before a body. `headers`: name in lower case -> value, repeated ones joined by commas."""

    status: int
    headers: dict[str, str]
    pairs: list[tuple[str, str]]  # as they came, for fields that must not be joined
    is_1_0: bool = False


class Reply(NamedTuple):
    """One answer. `error` says why its body is not whole or not wanted."""

    head: Head
    body: bytes
    error: PictureError | None = None


class Patience(NamedTuple):
    """How long an exchange may take: `read_s` of silence, `total_s` in all, which is over at `until` (loop time)."""

    read_s: float
    total_s: float
    until: float


Judge = Callable[[Head], Body]
"""Sees the head as soon as it is there -> where its body goes; a PictureError refuses the body."""


def parse_head(raw: bytes) -> Head:
    """Status line and header fields; PictureError `protocol` for what no HTTP server says."""
    text = raw.decode("latin-1")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    first, *lines = [line.removesuffix("\r") for line in text.split("\n")]
    status = _STATUS.fullmatch(first)
    if not status:
        raise PictureError("protocol", f"the answer begins with {clipped(first, 60)!r}")
    headers: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for line in lines:
        if not line:
            continue
        field = _FIELD.fullmatch(line)
        if not field:
            raise PictureError("protocol", f"a header field {clipped(line, 60)!r}")
        name, value = field[1].lower(), field[2].rstrip(" \t")
        pairs.append((name, value))
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(int(status[2]), headers, pairs, is_1_0=status[1] == "0")


def body_length(head: Head) -> int | None:
    """Bytes of the body: a number, -1 for chunks, None for all until the connection ends (RFC 9112 section 6.3)."""
    coding = head.headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise PictureError("protocol", f"Transfer-Encoding {clipped(coding, 40)}")
        return -1
    if head.status in (204, 304):
        return 0
    text = head.headers.get("content-length")
    if text is None:
        return None
    lengths = {part.strip() for part in text.split(",")}
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise PictureError("protocol", f"Content-Length {clipped(text, 40)}")
    return int(length[:18]) if len(length) > 18 else int(length)  # noqa: PLR2004  an absurd one is capped as it comes


def _is_kept(head: Head) -> bool:
    """Whether the server says that the connection may be used again."""
    options = {option.strip() for option in head.headers.get("connection", "").lower().split(",")}
    if "transfer-encoding" in head.headers and (head.is_1_0 or "content-length" in head.headers):
        return False  # RFC 9112 section 6.3: where one body ends is then a matter of opinion
    return "keep-alive" in options if head.is_1_0 else "close" not in options


class Connection(asyncio.BufferedProtocol):
    """One connection to one origin. `scratch` receives heads; all connections of a loop may share one.

    Where the server chose HTTP/2 while TLS was agreed on, `hand_over` gets the transport and this one is done.
    """

    def __init__(
        self, scratch: bytearray, hand_over: Callable[[asyncio.Transport], None], memory: Memory | None = None
    ) -> None:  # fmt: skip
        self._memory = memory or without_limit()
        self._hand_over = hand_over
        self._loop = asyncio.get_running_loop()
        self._scratch = scratch
        self._scratch_view = memoryview(scratch)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience = Patience(0.0, 0.0, 0.0)
        self._heard_at = self.used_at = 0.0
        self._head: Head | None = None
        self._started = bytearray()  # of a head, or of a line between chunks
        self._body: Body | None = None
        self._left: int | None = None  # bytes of the body or of the chunk that are still to come
        self._chunks: str = ""  # "" for a body without them | size | data | end | trailer
        self._around = 0  # bytes that stood around chunks
        self._interim = 0
        self._judge: Judge | None = None
        self._refusal: PictureError | None = None
        self._is_paused = False  # nothing is read until the body's share goes on
        self._is_read = False  # all of the body has come, though it is not yet unpacked
        self.has_answered = False  # anything came since the last request
        self.is_open = False

    # What the pool calls.

    @property
    def is_handed_over(self) -> bool:
        """Whether this connection speaks HTTP/2 now, and no longer through here."""
        return self._transport is None

    async def ask(self, request: bytes, judge: Judge, patience: Patience) -> Reply:
        """Send one request and wait for its reply."""
        assert self._transport is not None
        assert self._waiter is None
        self._waiter = self._loop.create_future()
        self._judge, self._head, self._body, self._refusal = judge, None, None, None
        self._chunks, self._around, self._interim, self.has_answered = "", 0, 0, False
        self._is_paused = self._is_read = False
        self._started.clear()
        self._heard_at = self._loop.time()
        self._patience = patience
        self._timer = self._loop.call_at(min(self._heard_at + patience.read_s, patience.until), self._ring)
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None
            if self._timer:
                self._timer.cancel()
            self.used_at = self._heard_at

    def close(self) -> None:
        """Hang up at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # other loops have classes of their own for it
        tls = stream.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._hand_over(stream)
        else:
            self._transport = stream
            self.is_open = True

    def get_buffer(self, _: int) -> memoryview:
        if self._body is None or self._refusal or self._chunks or self._body.is_packed:
            is_little = self._memory.is_used_up and not (self._body and self._body.share.taken)
            return self._scratch_view[:_LITTLE] if is_little else self._scratch_view
        room = self._body.room()
        return room if self._left is None else room[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        self.has_answered = True
        self._heard_at = self._loop.time()
        if self._waiter is None or self._waiter.done():
            self.close()  # an answer to a question nobody asked
            return
        try:
            if self._head is None:
                self._read_head(nbytes)
            elif self._chunks:
                self._read_chunks(self._scratch_view[:nbytes])
            elif self._body is None or self._refusal or self._body.is_packed:
                self._read_plain(self._scratch_view[:nbytes])
            else:
                self._body.added(nbytes)
                self._count(nbytes)
            self._pause_if_needed()
        except Exception as error:  # noqa: BLE001  also a bug of ours ends this exchange only; the fetcher tells it
            self._fail(error)

    def _pause_if_needed(self) -> None:
        is_needed = self._body is not None and not self._refusal and self._body.share.is_waiting
        if is_needed and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()  # the sender waits, not our memory

    def _go_on(self) -> None:
        """There is memory for more of the body."""
        self._heard_at = self._loop.time()  # the silence was ours
        if self._transport is None or self._body is None:
            return
        try:
            self._body.unpack()
            if self._is_read or self._body.is_enough:
                self._finish()
            elif not self._body.share.is_waiting:
                self._resume()
        except Exception as error:  # noqa: BLE001  as above
            self._fail(error)

    def eof_received(self) -> bool:
        self.is_open = False
        if self._head is not None and self._left is None and not self._chunks:
            self._finish()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._waiter is None or self._waiter.done() or self._is_read:
            return
        why = f": {exc}" if exc and str(exc) else ""
        if self._head is None:
            begun = "in the middle of its header" if self.has_answered else "without an answer"
            self._fail(PictureError("disconnected", f"the server hung up {begun}{why}"))
        else:
            self._fail(PictureError("truncated", f"the connection ended before the body did{why}"))

    # The parts of an answer, in the order in which they come.

    def _read_head(self, nbytes: int) -> None:
        raw: bytearray = self._scratch
        begin, end = 0, nbytes
        if self._started:
            begin = max(0, len(self._started) - 3)
            self._started += self._scratch_view[:nbytes]
            raw, end = self._started, len(self._started)
        if not raw[:min(7, end)] == b"HTTP/1."[:min(7, end)]:
            raise PictureError("protocol", f"the answer begins with {bytes(raw[: min(end, 20)])!r}")
        found = _HEAD_END.search(raw, begin, end)
        if found is None:
            if end >= MAX_HEAD_BYTES:
                raise PictureError("protocol", f"a header of more than {MAX_HEAD_BYTES:,} bytes")
            if raw is self._scratch:
                self._started += self._scratch_view[:nbytes]
            return
        if found.end() > MAX_HEAD_BYTES:
            raise PictureError("protocol", f"a header of more than {MAX_HEAD_BYTES:,} bytes")
        head = parse_head(bytes(raw[: found.end()]))
        rest = memoryview(raw)[found.end() : end]
        self._started = bytearray()
        if 100 <= head.status < 200:  # noqa: PLR2004  RFC 9110 section 15.2
            self._interim += 1
            if head.status == 101 or self._interim > _MAX_INTERIM:  # noqa: PLR2004  we asked for no other protocol
                raise PictureError("protocol", f"an answer {head.status}")
            if rest:
                self._scratch_view[: len(rest)] = bytes(rest)
                self._read_head(len(rest))
            return
        self._begin_body(head, rest)

    def _begin_body(self, head: Head, rest: memoryview) -> None:
        assert self._judge is not None
        length = body_length(head)
        self._head = head
        self._left = None if length == -1 else length
        self._chunks = "size" if length == -1 else ""
        try:
            self._body = self._judge(head)
            self._body.share.go_on = self._go_on
        except PictureError as error:
            self._refuse(error)
        if self._waiter is None or self._waiter.done():
            return
        if self._chunks:
            self._read_chunks(rest)
        else:
            self._read_plain(rest)

    def _read_plain(self, data: memoryview) -> None:
        if self._left is not None and len(data) > self._left:
            self.is_open = False  # more than was announced: nothing after it can be trusted
            data = data[: self._left]
        self._take(data)
        self._count(len(data))

    def _count(self, count: int) -> None:
        if self._left is not None:
            self._left -= count
        if self._left == 0:
            self._finish()
        elif self._body is not None and self._body.is_enough:
            self.is_open = False
            self._finish()

    def _take(self, data: memoryview) -> None:
        """Bytes of the body that came into the scratch."""
        if self._body is None or self._refusal:
            return
        try:
            if self._chunks or self._body.is_packed:
                self._body.feed(data)
                return
            while data:
                room = self._body.room()
                count = min(len(room), len(data))
                room[:count] = data[:count]
                self._body.added(count)
                data = data[count:]
        except PictureError as error:
            self._refuse(error)

    def _read_chunks(self, data: memoryview) -> None:
        """RFC 9112 section 7.1: size line, that many bytes, line end, and so on; then trailers."""
        while data and self._waiter is not None and not self._waiter.done():
            if self._chunks == "data":
                assert self._left is not None
                part, data = data[: self._left], data[self._left :]
                self._take(part)
                self._left -= len(part)
                if not self._left:
                    self._chunks, self._left = "end", None
                if self._body is not None and self._body.is_enough:
                    self.is_open = False
                    self._finish()
                continue
            line, data = self._line(data)
            if line:
                self._read_line(line)
        if data:
            self.is_open = False

    def _line(self, data: memoryview) -> tuple[bytes, memoryview]:
        """The next whole line around the chunks, b"" where its end has not come yet, and what follows it."""
        window = bytes(data[:MAX_HEAD_BYTES])
        end = window.find(b"\n") + 1
        self._started += window[: end or len(window)]
        self._around += end or len(window)
        if len(self._started) > MAX_HEAD_BYTES:
            raise PictureError("protocol", f"over {MAX_HEAD_BYTES:,} bytes around the chunks of the body")
        if not end:
            return b"", data[len(window) :]
        line = bytes(self._started)
        self._started.clear()
        return line, data[end:]

    def _read_line(self, line: bytes) -> None:
        if self._chunks == "size":
            found = _CHUNK.fullmatch(line)
            if not found:
                raise PictureError("protocol", f"a chunk that begins with {line[:20]!r}")
            size = int(found[1], 16)
            self._chunks, self._left = ("data", size) if size else ("trailer", None)
        elif self._chunks == "end":
            if line != b"\r\n":
                raise PictureError("protocol", "a chunk of another length than it said")
            self._chunks = "size"
        elif not line.strip(b"\r\n"):
            self._finish()
        elif self._around > MAX_HEAD_BYTES + (self._body.received if self._body else 0):
            raise PictureError("protocol", f"over {MAX_HEAD_BYTES:,} bytes behind the last chunk")

    # Ends.

    def _refuse(self, error: PictureError) -> None:
        """The body is not wanted: read what is left of it where that is short, else hang up."""
        self._refusal = error
        if self._left is None or self._left > _MOST_DRAINED or self._chunks:
            self.is_open = False
            self._finish()

    def _finish(self) -> None:
        """The body has ended, or as much of it as is wanted."""
        if self._waiter is None or self._waiter.done() or self._head is None:
            return
        error, whole = self._refusal, b""
        if error is None and self._body is not None and self._body.is_unpacking:
            self._is_read = True
            return
        if error is None and self._body is not None:
            try:
                whole = self._body.whole()
            except PictureError as why:
                error = why
        self._body = None
        self._resume()
        self.is_open = self.is_open and _is_kept(self._head) and self._left in (0, None)
        if not self.is_open:
            self.close()
        self._waiter.set_result(Reply(self._head, whole, error))

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def _fail(self, error: Exception) -> None:
        """The exchange has failed; the connection is of no more use."""
        self.close()
        self._body = None
        if self._waiter is None or self._waiter.done():
            return
        if self._head is not None and isinstance(error, PictureError):
            self._waiter.set_result(Reply(self._head, b"", self._refusal or error))
        else:
            self._waiter.set_exception(error)

    def _ring(self) -> None:
        """The timer: either it is too late, or something came meanwhile and it is set again."""
        read_s, total_s, until = self._patience
        silent_at = until if self._is_paused else self._heard_at + read_s
        if self._loop.time() < min(silent_at, until):
            self._timer = self._loop.call_at(min(silent_at, until), self._ring)
            return
        self._fail(PictureError("timeout", f"nothing for {read_s:g} s" if silent_at < until else f"over {total_s:g} s"))
