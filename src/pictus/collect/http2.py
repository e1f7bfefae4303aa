"""HTTP/2 where a server chose it (RFC 9113): many requests over one connection that was judged and pinned.

h2 knows the frames, this knows what to do with them. A body that is not wanted is reset, so that nothing more of it
comes; one that must wait for memory is not acknowledged, so that its sender waits and the others go on.
Imported only when a server asks for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from pictus.collect.addresses import Url
from pictus.collect.bodies import Body
from pictus.collect.http1 import Head, Judge, Patience, Reply
from pictus.errors import PictureError

_MOST_STREAMS = 100
_CONNECTION_WINDOW = 2**24  # bytes on their way that were not acknowledged; each body has 64 KiB of it
_MOST_UNSENT = 2**20  # answers to what a server sends: one that does not read them is left
_LINE_END = re.compile("[\0\r\n]")
_ABOUT_CONNECTION = frozenset({"connection", "host", "transfer-encoding", "upgrade", "keep-alive"})


class _Exchange:
    """One request under way."""

    def __init__(self, stream_id: int, judge: Judge, patience: Patience) -> None:
        loop = asyncio.get_running_loop()
        self.stream_id = stream_id
        self.judge = judge
        self.patience = patience
        self.answer: asyncio.Future[Reply | None] = loop.create_future()
        self.heard_at = loop.time()
        self.timer: asyncio.TimerHandle | None = None
        self.head: Head | None = None
        self.body: Body | None = None
        self.unread = 0  # bytes that have come and are not acknowledged
        self.is_over = False  # nothing more comes
        self.is_read = False  # all has come, though it is not yet unpacked

    @property
    def is_waiting(self) -> bool:
        return self.body is not None and self.body.share.is_waiting

    @property
    def silent_at(self) -> float:
        return self.patience.until if self.is_waiting else self.heard_at + self.patience.read_s


class Connection(asyncio.Protocol):
    """One HTTP/2 connection. `gone` is called once it can take no request any more."""

    def __init__(self, transport: asyncio.Transport, keep_s: float, gone: Callable[["Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._keep_s = keep_s
        self._gone = gone
        self._exchanges: dict[int, _Exchange] = {}
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_open = True
        self._talk = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        settings = h2.settings.SettingCodes
        self._talk.local_settings = h2.settings.Settings(
            client=True,
            initial_values={settings.ENABLE_PUSH: 0, settings.MAX_HEADER_LIST_SIZE: 2**16},
        )
        self._talk.initiate_connection()
        self._talk.increment_flow_control_window(_CONNECTION_WINDOW)
        self._send()

    # What the pool calls.

    @property
    def asking(self) -> int:
        """How many requests are under way."""
        return len(self._exchanges)

    @property
    def is_available(self) -> bool:
        """Whether it can take a request now."""
        most = min(_MOST_STREAMS, self._talk.remote_settings.max_concurrent_streams)
        return self._is_open and not self._transport.is_closing() and len(self._exchanges) < most

    async def ask(self, url: Url, fields: Mapping[str, str], judge: Judge, patience: Patience) -> Reply | None:
        """Send one request and wait for its reply; None where it must go over another connection."""
        if not self.is_available:
            return None
        try:
            stream_id = self._talk.get_next_available_stream_id()
            self._talk.send_headers(stream_id, _request(url, fields), end_stream=True)
        except h2.exceptions.NoAvailableStreamIDError:
            self._retire()
            return None
        except h2.exceptions.ProtocolError as error:
            raise PictureError("protocol", f"a header that cannot be sent: {str(error)[:200]}") from error
        if self._idle_timer:
            self._idle_timer.cancel()
        exchange = self._exchanges[stream_id] = _Exchange(stream_id, judge, patience)
        self._ring(exchange)
        self._send()
        try:
            return await exchange.answer
        finally:
            self._leave(exchange)

    def close(self) -> None:
        """Hang up at once."""
        self._retire()
        self._transport.abort()

    # What the loop calls.

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._talk.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    self._end_by_goaway(event.last_stream_id)
                elif exchange := self._exchanges.get(getattr(event, "stream_id", None) or 0):
                    self._hear(exchange, event)
                elif isinstance(event, h2.events.DataReceived):
                    self._acknowledge(event.flow_controlled_length or 0, event.stream_id or 0)
            self._send()
        except Exception as error:  # noqa: BLE001  of h2, hpack and hyperframe, whose errors have no common ancestor
            self._break(PictureError("protocol", str(error)[:200] or type(error).__name__))

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(PictureError("disconnected", f"the server hung up: {exc}" if exc else "the server hung up"))

    # The parts of an answer.

    def _hear(self, exchange: _Exchange, event: h2.events.Event) -> None:
        exchange.heard_at = self._loop.time()
        try:
            if isinstance(event, h2.events.ResponseReceived):
                exchange.head = _head(event)
                exchange.body = exchange.judge(exchange.head)
                exchange.body.share.go_on = partial(self._go_on, exchange)
            elif isinstance(event, h2.events.DataReceived):
                self._take(exchange, event)
            elif isinstance(event, h2.events.StreamEnded):
                exchange.is_over = True
                self._finish(exchange)
            elif isinstance(event, h2.events.StreamReset):
                exchange.is_over = True
                if event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM and exchange.head is None:
                    self._retire()
                    self._set(exchange, None)
                else:
                    self._fail(exchange, PictureError("disconnected", "the server reset the answer"))
        except h2.exceptions.H2Error as error:
            self._fail(exchange, PictureError("protocol", str(error)[:200] or type(error).__name__))
        except Exception as error:  # noqa: BLE001  also a bug of ours ends this exchange only; the fetcher tells it
            self._fail(exchange, error)

    def _take(self, exchange: _Exchange, event: h2.events.DataReceived) -> None:
        exchange.unread += event.flow_controlled_length or 0
        if exchange.body is None:
            raise PictureError("protocol", "a body without a header")
        exchange.body.feed(event.data or b"")
        self._go_on_reading(exchange)

    def _go_on(self, exchange: _Exchange) -> None:
        """There is memory for more of the body."""
        exchange.heard_at = self._loop.time()  # the silence was ours
        if exchange.answer.done() or exchange.body is None:
            return
        try:
            exchange.body.unpack()
            self._go_on_reading(exchange)
        except Exception as error:  # noqa: BLE001  as above
            self._fail(exchange, error)
        self._send()

    def _go_on_reading(self, exchange: _Exchange) -> None:
        assert exchange.body is not None
        if exchange.is_read or exchange.body.is_enough:
            self._finish(exchange)
        elif not exchange.is_waiting:  # else the window of this body stays as small as it has become
            self._acknowledge(exchange.unread, exchange.stream_id)
            exchange.unread = 0

    # Ends.

    def _finish(self, exchange: _Exchange) -> None:
        if exchange.head is None or exchange.body is None:
            raise PictureError("protocol", "an end without a header")
        if exchange.body.is_unpacking:
            exchange.is_read = True
            return
        self._set(exchange, Reply(exchange.head, exchange.body.whole()))

    def _fail(self, exchange: _Exchange, error: Exception) -> None:
        """With a head there is an answer, whatever became of its body."""
        if exchange.answer.done():
            return
        if exchange.head is not None and isinstance(error, PictureError):
            why = PictureError("truncated", error.detail) if error.cause == "disconnected" else error
            self._set(exchange, Reply(exchange.head, b"", why))
        else:
            exchange.answer.set_exception(error)
            self._drop(exchange)

    def _set(self, exchange: _Exchange, reply: Reply | None) -> None:
        if not exchange.answer.done():
            exchange.answer.set_result(reply)
        self._drop(exchange)

    def _drop(self, exchange: _Exchange) -> None:
        """Nothing more of it is wanted: what still comes is acknowledged and thrown away."""
        if self._exchanges.pop(exchange.stream_id, None) is None:
            return
        try:
            self._acknowledge(exchange.unread, exchange.stream_id)
            if not exchange.is_over:
                self._talk.reset_stream(exchange.stream_id, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:
            return  # it has ended already, or all of the connection has

    def _leave(self, exchange: _Exchange) -> None:
        """Who asked has its answer, or does not wait for it any more."""
        if exchange.timer:
            exchange.timer.cancel()
        self._drop(exchange)
        exchange.body = None
        self._send()
        if not self._exchanges:
            if not self._is_open:
                self.close()
            else:
                self._idle_timer = self._loop.call_later(self._keep_s, self.close)

    def _end_by_goaway(self, last_stream_id: int | None) -> None:
        """The server wants to go: what it has not begun may be asked elsewhere (RFC 9113 section 6.8)."""
        for exchange in tuple(self._exchanges.values()):
            if last_stream_id is not None and exchange.stream_id > last_stream_id:
                self._set(exchange, None)
        self._break(PictureError("disconnected", "the server ended the connection"))

    def _break(self, error: PictureError) -> None:
        """The connection is of no more use to anybody."""
        for exchange in tuple(self._exchanges.values()):
            self._fail(exchange, error)
            self._exchanges.pop(exchange.stream_id, None)
        self.close()

    def _retire(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
        if self._is_open:
            self._is_open = False
            self._gone(self)

    def _ring(self, exchange: _Exchange) -> None:
        """The timer: either it is too late, or something came meanwhile and it is set again."""
        read_s, total_s, until = exchange.patience
        at = min(exchange.silent_at, until)
        if self._loop.time() < at:
            exchange.timer = self._loop.call_at(at, self._ring, exchange)
            return
        self._retire()  # it may be dead: nothing new is asked over it
        detail = f"nothing for {read_s:g} s" if exchange.silent_at < until else f"over {total_s:g} s"
        self._fail(exchange, PictureError("timeout", detail))

    # What is sent.

    def _acknowledge(self, size: int, stream_id: int) -> None:
        if size:
            self._talk.acknowledge_received_data(size, stream_id)

    def _send(self) -> None:
        data = self._talk.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _MOST_UNSENT:
                self._break(PictureError("protocol", "the server does not read what it asks for"))


def switched(transport: asyncio.Transport, keep_s: float, gone: Callable[[Connection], None]) -> Connection:
    """Take over a transport whose server chose HTTP/2."""
    connection = Connection(transport, keep_s, gone)
    transport.set_protocol(connection)
    return connection


def _request(url: Url, fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    pseudo = {":method": "GET", ":authority": fields["host"], ":scheme": url.scheme, ":path": url.target}
    named = {name.lower(): value for name, value in fields.items()}
    told = pseudo | {name: value for name, value in named.items() if name not in _ABOUT_CONNECTION}
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in told.items()]


def _head(event: h2.events.ResponseReceived) -> Head:
    said = cast("list[tuple[bytes, bytes]]", event.headers or [])
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in said]
    status = next((value for name, value in pairs if name == ":status"), "")
    if not (len(status) == 3 and status.isascii() and status.isdigit()):  # noqa: PLR2004  RFC 9113 section 8.3.2
        raise PictureError("protocol", f"a status {status[:20]!r}")
    if bad := next((name for name, value in pairs if _LINE_END.search(name + value)), None):
        # RFC 9113 section 8.2.1; not every h2 looks
        raise PictureError("protocol", f"a line end in header value {bad[:60]!r}")
    pairs = [(name, value) for name, value in pairs if not name.startswith(":")]
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(int(status), headers, pairs)
