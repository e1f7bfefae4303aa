from __future__ import annotations

import json
import time

import pytest

from pictus.collect.addresses import parse_url
from pictus.collect.reservations import MAX_TDM_BYTES, Reservations, reservations_of
from pictus.collect.sayings import refusal_of

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
        ([{"location": "/", "tdm-reservation": True}], True),
        ([{"location": "/", "tdm-reservation": 1.0}], True),
        ([{"location": "/", "tdm-reservation": "yes"}], True),  # a doubt counts for the owner
        ([{"location": "/", "TDM-Reservation": "1.0"}], True),
        ([{"location": "/", "tdm-reservation": False}], False),
        ([{"location": "/", "tdm-reservation": None}], False),
        ([{"location": "/", "tdm-reservation": "0"}], False),
        ([{"location": "/", "tdm-reservation": 1}, {"location": "/pictures", "tdm-reservation": True}], True),
        ([{"location": ["/texts", "/pictures"], "tdm-reservation": 1}], True),
        ([{"tdm-reservation": 1}], True),
        ([{"location": "https://a.example/pictures/", "tdm-reservation": 1}], True),
        ([{"location": "https://a.example", "tdm-reservation": 1}], True),
        ([{"location": 5, "tdm-reservation": 1}], True),
        ([{"location": "", "tdm-reservation": 0}], False),
        ([{"location": f"/{number}", "tdm-reservation": 0} for number in range(1_001)], True),  # more than are read
    ],
)
def test_the_file_reserves_what_its_patterns_fit(rules: list[object], is_reserved: bool) -> None:
    assert said(*rules).reserve(PICTURE) is is_reserved


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, json.dumps(ALL).encode()), (200, b"<html>nothing here</html>"), (200, b"{}"), (200, b"null"), (200, b""),
        (200, b"[" * 60_000), (200, b"<html>" + b" tdm-reservation" * MAX_TDM_BYTES), (200, b"\xff\xfe"),
        (200, b'[1, null, {"location": 5}, {"location": "/", "tdm-policy": "yes"}]'),
    ],
)  # fmt: skip
def test_what_is_no_such_file_reserves_nothing(status: int, body: bytes) -> None:
    assert reservations_of(status, body) == Reservations()


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"rules": ALL}).encode(), json.dumps(ALL[0]).encode(),
        json.dumps({"tdmrep": {"rules": ALL}}).encode(),
        b"[" + b" " * MAX_TDM_BYTES + b"]", b'[{"location": "/", "tdm-reservation": 1,}]',
        json.dumps(ALL).encode("utf-16"), json.dumps(ALL).encode("utf-8-sig"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_quite_one_is_read_for_the_owner(body: bytes) -> None:
    assert reservations_of(200, body).reserve(PICTURE)


@pytest.mark.parametrize("value", ["1", " 1 ", "1, 1", "0, 1", '"1"', "1;x", "'1'", "true", "1.0", "yes"])
def test_a_header_that_is_not_quite_one_is_read_for_the_owner(value: str) -> None:
    refusal = refusal_of([("tdm-reservation", value)])
    assert refusal is not None
    assert refusal.cause == "tdm-reserved"


@pytest.mark.parametrize("value", ["0", "", '"0"', "0;x", "0, 0", "false"])
def test_a_header_that_reserves_nothing_refuses_nothing(value: str) -> None:
    assert refusal_of([("tdm-reservation", value)]) is None


def test_a_pattern_made_to_be_slow_is_not() -> None:
    rules = said(*[{"location": "/" + "*a" * 50 + "*b", "tdm-reservation": 1}] * 300)
    assert len(rules.rules) == 300
    started = time.perf_counter()
    assert not rules.reserve(parse_url("https://a.example/" + "a" * 7_000))
    assert time.perf_counter() - started < 10  # by backtracking it would not end
