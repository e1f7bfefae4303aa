"""Answers of HTTP servers, read without trusting them: capped while they stream, unpacked within the cap."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pictus.collect.memory import Share, unlimited
from pictus.errors import PictureError, clipped

DEFAULT_WAIT_S = 60.0
"""For a date to wait for, from a server that does not say what time it is."""

_LENGTH = re.compile("[0-9]{1,18}")  # a longer one says nothing: the body is capped while it comes


Look = Callable[[bytes], None]
"""Sees the first bytes of a body as soon as they are there; a PictureError from it ends the reading."""

LOOK_AT_BYTES = (32, 256 * 1024)
"""When a look is taken: a format and most sizes stand in the first 32 bytes, a JPEG's size behind its captions.
A JPEG that ends before the second look has cost less than a look at every one would."""

_FIRST_ROOM = 128 * 1024
_MOST_ROOM = 4 * 2**20
_LEAST_ROOM = 4 * 1024
"""For what has come although there is no memory for it: its connection waits from then on."""


class Body:
    """One body while it arrives: at most `max_bytes` packed and unpacked, else PictureError `too-big`.

    With `is_cut` the first `max_bytes` are enough and no look is taken. Bytes are received where they stay
    (`room`, then `added`) or, where they come packed or in chunks, are brought (`feed`). Room is made as
    bytes come: a length that is only announced takes no memory. Where its `share` must wait (`is_waiting`),
    bring no more until it goes on, and then call `unpack` first.
    """

    def __init__(
        self, headers: Mapping[str, str], max_bytes: int, *, is_cut: bool = False, look: Look | None = None,
        share: Share | None = None,
    ) -> None:  # fmt: skip
        self.share = share or unlimited()
        declared = headers.get("content-length", "")
        self._announced = int(declared) if _LENGTH.fullmatch(declared) else 0
        if self._announced > max_bytes and not is_cut:
            raise PictureError("too-big", f"{self._announced:,} bytes announced, at most {max_bytes:,} are read")
        self._decoder = _decoder(headers.get("content-encoding", ""))
        self._max_bytes = max_bytes
        self._is_cut = is_cut
        self._looks = [] if look is None or is_cut else list(LOOK_AT_BYTES)
        self._look = look
        self._full: list[bytearray] = []  # filled to their ends
        self._part = bytearray()
        self._part_view = memoryview(self._part)
        self._filled = 0  # of the part
        self._made = 0  # bytes of all parts
        self._fed = bytearray()
        self._packed = b""  # come, and not unpacked yet
        self._is_more = False  # to be had from the decoder, whether or not more comes
        self.received = 0  # bytes as they came, still packed
        self.is_enough = False  # no more need be read

    @property
    def is_packed(self) -> bool:
        """Whether bytes must be brought by `feed`."""
        return self._decoder is not None

    @property
    def is_unpacking(self) -> bool:
        """Whether some of it came and waits to be unpacked."""
        return self.share.is_waiting and bool(self._packed or self._is_more)

    def room(self) -> memoryview:
        """Where the next bytes go, never empty. Not for a body that is packed or was fed."""
        if self._filled == len(self._part):
            if self._part:
                self._full.append(self._part)
            left = min(self._announced, self._max_bytes + 1) - self.received
            size = min(max(self.received, _FIRST_ROOM), _MOST_ROOM)
            size = min(size, left) if left > 0 else size
            given = self.share.taken - self._made  # of a step that had to wait
            if given > 0:
                size = min(size, given)
            elif not self._given(size):
                size = min(size, _LEAST_ROOM)
            self._part = bytearray(size)
            self._made += size
            self._part_view, self._filled = memoryview(self._part), 0
        return self._part_view[self._filled :]

    def added(self, count: int) -> None:
        """So many bytes have come into `room`."""
        self._filled += count
        self.received += count
        self._check(self.received)
        if self._looks and self.received >= self._looks[0]:
            self._take_look()

    def feed(self, data: "bytes | memoryview") -> None:
        """Bytes have come, packed or not."""
        self.received += len(data)
        if self._decoder is None:
            self._fed += data
            self._check(self.received)
            if self._looks and len(self._fed) >= self._looks[0]:
                self._take_look()
            self._ask_ahead()
        else:
            self._packed += data
            self.unpack()

    def unpack(self) -> None:
        """What came packed, as far as there is memory for it."""
        while self._decoder is not None and (self._packed or self._is_more) and not self.is_enough:
            if not self._ask_ahead():
                return
            most = min(_FIRST_ROOM, self._max_bytes + 1 - len(self._fed))
            try:
                unpacked = self._decoder.decompress(self._packed, most)
            except zlib.error as error:
                raise PictureError("protocol", f"Content-Encoding: {error}") from error
            self._fed += unpacked
            self._packed, self._is_more = self._decoder.unconsumed_tail, len(unpacked) == most
            self._check(max(self.received, len(self._fed)))
            if self._looks and len(self._fed) >= self._looks[0]:
                self._take_look()

    def _ask_ahead(self) -> bool:
        """Whether the next bytes may be brought; their memory is taken."""
        short = len(self._fed) + len(self._packed) + _FIRST_ROOM - self.share.taken
        left = self._max_bytes + _FIRST_ROOM - self.share.taken
        return short <= 0 or self._given(max(short, min(len(self._fed), _MOST_ROOM, left)))

    def _given(self, size: int) -> bool:
        return not self.share.is_waiting and self.share.take(size)

    def whole(self) -> bytes:
        """All of it, once it has ended."""
        if self._decoder is not None and not self._decoder.eof and self.received and not self.is_enough:
            raise PictureError("truncated", "the packed body ends too early")
        return self._so_far()[: self._max_bytes]

    def _so_far(self) -> bytes:
        if self._fed or not self._part:
            return bytes(self._fed)
        if not self._full:
            return bytes(self._part_view[: self._filled])
        return b"".join((*self._full, self._part_view[: self._filled]))

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            if not self._is_cut:
                raise PictureError("too-big", f"more than {self._max_bytes:,} bytes")
            self.is_enough = True

    def _take_look(self) -> None:
        came = max(self.received, len(self._fed))
        shown = _FIRST_ROOM if came >= LOOK_AT_BYTES[-1] else LOOK_AT_BYTES[0]
        self._looks = [at for at in self._looks if at > came]
        first = self._fed or (self._full[0] if self._full else self._part_view[: self._filled])
        if self._look is not None:
            self._look(bytes(first[:shown]))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 section 10.2.3), None without one that can be read.

    A date is taken relative to the server's own Date, so that clocks need not agree.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():  # "²".isdigit() is true as well
        return float(text[:9])
    until, since = _date(text), _date(headers.get("date", ""))
    if until is None:
        return None
    return max(0.0, (until - since).total_seconds()) if since else DEFAULT_WAIT_S


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, ArithmeticError, LookupError):  # a year or a zone of 20 digits overflows
        return None


def _decoder(encoding: str) -> "zlib._Decompress | None":
    """For servers that pack although we ask them not to."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        case "deflate":
            return zlib.decompressobj()
        case other:
            raise PictureError("protocol", f"Content-Encoding {clipped(other, 40)} was not asked for")
