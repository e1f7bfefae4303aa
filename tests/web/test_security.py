"""Which hosts are answered, and whose writes are heard."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from pictus.web.security import LOOPBACK, Guard

OUTER = "https://label.example.org"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8605", 200), ("localhost", 200), ("LocalHost:1", 200), ("[::1]:8605", 200),
        ("127.0.0.1:8605@evil", 403), ("evil@127.0.0.1:8605", 403), ("127.0.0.1:evil", 403), ("127.0.0.1:", 403),
        ("127.0.0.1:8605/x", 403), ("evil.example", 403), ("localhost.evil.example", 403), ("[::2]", 403),
    ],
)  # fmt: skip
def test_only_hosts_of_its_own_are_answered(host: str, status: int) -> None:
    client = TestClient(Guard(PlainTextResponse("heard"), LOOPBACK))
    assert client.get("/desk/x", headers={"host": host}).status_code == status


def test_where_any_host_is_answered_it_must_be_one() -> None:
    client = TestClient(Guard(PlainTextResponse("heard"), frozenset()))
    for host, status in (("192.168.1.4:8500", 200), ("192.168.1.4:8500@evil", 403)):
        assert client.get("/desk/x", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("scheme", "origin", "status"),
    [
        ("http", "http://127.0.0.1:8605", 200), ("http", "https://127.0.0.1:8605", 403),
        ("https", "https://127.0.0.1:8605", 200), ("https", "http://127.0.0.1:8605", 403),
        ("http", "ws://127.0.0.1:8605", 403), ("http", "null", 403), ("http", "http://[", 403),
        ("http", "http://127.0.0.1:8606", 403), ("http", "127.0.0.1:8605", 403), ("http", OUTER, 403),
    ],
)  # fmt: skip
def test_a_write_must_come_from_a_page_of_the_same_scheme_host_and_port(
    scheme: str, origin: str, status: int
) -> None:  # fmt: skip
    headers = {"host": "127.0.0.1:8605"}
    app = Guard(PlainTextResponse("heard"), LOOPBACK)
    client = TestClient(app, base_url=f"{scheme}://127.0.0.1:8605")
    assert client.post("/desk/x", headers=headers | {"origin": origin}).status_code == status
    assert client.get("/desk/x", headers=headers | {"origin": origin}).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("label.example.org", OUTER, 200), ("label.example.org", OUTER + ":443", 200),
        ("label.example.org", "http://label.example.org", 403), ("label.example.org", "https://evil.example", 403),
        ("127.0.0.1:8605", OUTER, 200), ("127.0.0.1:8605", "http://127.0.0.1:8605", 200),
        ("label.example.org", "http://127.0.0.1:8605", 403),
    ],
)  # fmt: skip
def test_behind_a_proxy_that_takes_https_off_pages_of_the_address_are_ours(
    host: str, origin: str, status: int
) -> None:  # fmt: skip
    app = Guard(PlainTextResponse("heard"), LOOPBACK | {"label.example.org"}, OUTER)
    answer = TestClient(app).post("/desk/x", headers={"host": host, "origin": origin})
    assert answer.status_code == status
    if origin == "http://label.example.org":
        assert "--address" in answer.json()["error"]["what"]
