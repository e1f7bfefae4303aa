from __future__ import annotations

import json
import time

import pytest

from pictus.collect.addresses import parse_url
from pictus.collect.reservations import MAX_TDM_BYTES, Reservations, reservations_of

PICTURE = parse_url("https://a.example/pictures/owl.jpg?size=2")
ALL = [{"location": "/", "tdm-reservation": 1}]


def said(*rules: object) -> Reservations:
    return reservations_of(200, json.dumps(list(rules)).encode())


@pytest.mark.parametrize(
    ("rules", "is_reserved"),
    [
        ([], False),
        (ALL, True),
        ([{"location": "/pictures", "tdm-reservation": "1", "tdm-policy": "https://a.example/policy.json"}], True),
        ([{"location": "pictures/*", "tdm-reservation": 1}], True),
        ([{"location": "/texts/", "tdm-reservation": 1}], False),
        ([{"location": "/", "tdm-reservation": 0}], False),
        ([*ALL, {"location": "/pictures/", "tdm-reservation": 0}], False),  # the longer pattern decides
        ([{"location": "/pictures/", "tdm-reservation": 0}, {"location": "/pictures/", "tdm-reservation": 1}], True),
        ([{"location": "/*.jpg$", "tdm-reservation": 1}], False),  # the query belongs to the address
        ([{"location": "*owl.jpg", "tdm-reservation": 1}], True),
        ([{"location": "/pict*owl*jpg*size=2$", "tdm-reservation": 1}], True),
        ([{"location": "/pict*owl*size=2*2$", "tdm-reservation": 1}], False),  # the 2 is there once
        ([{"location": "/pictures/owl.jpg$", "tdm-reservation": 1}], False),
        ([{"location": "*$", "tdm-reservation": 1}], True),
        ([{"location": "/pictures/owl.jpg?size=2$", "tdm-reservation": 1}], True),
    ],
)
def test_the_file_reserves_what_its_patterns_fit(rules: list[object], is_reserved: bool) -> None:
    assert said(*rules).reserve(PICTURE) is is_reserved


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, json.dumps(ALL).encode()), (200, b"<html>nothing here</html>"), (200, b"{}"), (200, b"null"), (200, b""),
        (200, b"[" * 60_000), (200, b"[" + b" " * MAX_TDM_BYTES + b"]"), (200, b"\xff\xfe"),
        (200, b'[1, null, {"location": 5, "tdm-reservation": 1}, {"location": "/", "tdm-reservation": "yes"}]'),
    ],
)  # fmt: skip
def test_what_is_no_such_file_reserves_nothing(status: int, body: bytes) -> None:
    assert reservations_of(status, body) == Reservations()


def test_a_pattern_made_to_be_slow_is_not() -> None:
    rules = said(*[{"location": "/" + "*a" * 50 + "*b", "tdm-reservation": 1}] * 1_000)
    started = time.perf_counter()
    assert not rules.reserve(parse_url("https://a.example/" + "a" * 7_000))
    assert time.perf_counter() - started < 10  # by backtracking it would not end
