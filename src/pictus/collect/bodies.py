"""Answers of HTTP servers, read without trusting them: capped while they stream, unpacked within the cap."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pictus.errors import PictureError, clipped

DEFAULT_WAIT_S = 60.0
"""For a date to wait for, from a server that does not say what time it is."""

_LENGTH = re.compile("[0-9]{1,18}")  # a longer one says nothing: the body is capped while it comes


async def read_body(
    chunks: AsyncIterable[bytes], headers: Mapping[str, str], max_bytes: int, *, is_cut: bool = False
) -> bytes:
    """The whole body, at most `max_bytes` packed and unpacked; PictureError `too-big`, `truncated` or `protocol`.

    With `is_cut` the first `max_bytes` are enough.
    """
    declared = headers.get("content-length", "")
    if _LENGTH.fullmatch(declared) and int(declared) > max_bytes and not is_cut:
        raise PictureError("too-big", f"{int(declared):,} bytes announced, at most {max_bytes:,} are read")
    decoder = _decoder(headers.get("content-encoding", ""))
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += decoder.decompress(chunk, max_bytes + 1 - len(body)) if decoder else chunk
        except zlib.error as error:
            raise PictureError("protocol", f"Content-Encoding: {error}") from error
        if len(body) > max_bytes or received > max_bytes or (decoder and decoder.unconsumed_tail):
            if is_cut:
                return bytes(body[:max_bytes])
            raise PictureError("too-big", f"more than {max_bytes:,} bytes")
    if decoder and not decoder.eof and received:
        raise PictureError("truncated", "the packed body ends too early")
    return bytes(body)


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


def headers_of(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header name in lower case -> value; those that occur more than once joined by commas."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


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
