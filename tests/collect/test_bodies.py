from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.bodies import DEFAULT_WAIT_S, Body, retry_after_s


@pytest.mark.parametrize(
    "text",
    [
        "\xb2", "\u0661", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +999999999999999",
        "Mon, 01 Jan 2024 99999999999999999999999:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", ",", "soon",
        "-5", "1e9",
    ],
)  # fmt: skip
def test_a_retry_after_that_makes_no_sense_counts_as_absent(text: str) -> None:
    assert retry_after_s({"retry-after": text, "date": "Mon, 01 Jan 9999 00:00:00 GMT"}) in {None, 0.0}


def test_a_retry_after_in_seconds_or_as_a_date_is_understood() -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    assert retry_after_s({}) is None
    assert retry_after_s({"retry-after": " 120 "}) == 120
    assert retry_after_s({"retry-after": "9" * 400}) == 999_999_999
    assert retry_after_s({"retry-after": "Mon, 01 Jan 2024 00:01:00 GMT", "date": date}) == 60
    for since in ("", "\xb2", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"):
        assert retry_after_s({"retry-after": date, "date": since}) == DEFAULT_WAIT_S


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-1", ""])
def test_a_length_that_makes_no_sense_is_not_believed(length: str) -> None:
    assert received({"content-length": length}, [b"owl"], 10) == b"owl"


def received(headers: dict[str, str], chunks: list[bytes], max_bytes: int) -> bytes:
    """Through `room` as a socket would, or through `feed`; both must give the same."""
    ways = []
    for is_fed in (True, False):
        body = Body(headers, max_bytes)
        for chunk in chunks:
            if is_fed or body.is_packed:
                body.feed(chunk)
                continue
            left = chunk
            while left:
                room = body.room()
                count = min(len(room), len(left))
                room[:count] = left[:count]
                body.added(count)
                left = left[count:]
        ways.append(body.whole())
    assert ways[0] == ways[1]
    return ways[0]


@given(st.lists(st.binary(max_size=50)), st.integers(0, 300_000))
def test_a_body_is_what_came(chunks: list[bytes], filler: int) -> None:
    chunks = [*chunks, bytes(filler)]
    whole = b"".join(chunks)
    assert received({}, chunks, 400_000) == whole
    assert received({"content-length": str(len(whole))}, chunks, 400_000) == whole
    packed = gzip.compress(whole)
    assert received({"content-encoding": "gzip"}, [packed[:9], packed[9:]], 400_000) == whole


def test_room_is_made_as_bytes_come_and_not_as_they_are_announced() -> None:
    body = Body({"content-length": "60000000"}, 64 * 2**20)
    assert len(body.room()) == 128 * 1024
    assert len(Body({"content-length": "5"}, 64 * 2**20).room()) == 5


def test_a_cut_body_is_enough_at_its_cap() -> None:
    body = Body({"content-length": "60000000"}, 10, is_cut=True)
    body.feed(b"x" * 8)
    assert not body.is_enough
    body.feed(b"x" * 8)
    assert (body.is_enough, body.whole()) == (True, b"x" * 10)


def test_a_look_is_taken_once_the_first_bytes_are_there() -> None:
    looked: list[int] = []
    body = Body({}, 10**6, look=lambda head: looked.append(len(head)))
    for _ in range(40):
        body.feed(b"x" * 10)
    assert looked == [32]
    body.feed(bytes(300_000))
    body.feed(bytes(300_000))
    assert looked == [32, 128 * 1024]
