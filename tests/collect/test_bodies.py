from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pictus.collect.bodies import DEFAULT_WAIT_S, read_body, retry_after_s


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
    async def chunks() -> AsyncIterator[bytes]:
        yield b"owl"

    assert asyncio.run(read_body(chunks(), {"content-length": length}, 10)) == b"owl"
