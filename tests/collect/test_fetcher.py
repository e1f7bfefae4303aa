"""The fetcher against a web that stalls, lies, redirects and forbids. No packet leaves the loopback interface."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from pictus.collect import fetcher, sayings
from pictus.collect.addresses import Url, parse_url
from pictus.collect.fetcher import Fetched, Job, Limits
from pictus.collect.robots import Rules, rules_of
from pictus.collect.sayings import Sayings

Fetch = Callable[..., dict[str, Fetched]]


def missing(handler: Any) -> None:
    handler.answer(404)


FAST = Limits(
    interval_s=0.0, connect_s=2.0, read_s=0.3, total_s=2.0, back_off_s=0.01, max_wait_s=2.0, max_bytes=200_000
)
A = "http://a.example"


def ends(found: dict[str, Fetched]) -> dict[str, tuple[str, int, int]]:
    return {address: (one.cause, one.status, one.tries) for address, one in found.items()}


def test_pictures_come_with_their_bytes_and_validators(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"owl", ETag='"1"', Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
    web.put("/jay.jpg", b"jay")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/jay.jpg")
    assert {address: one.image_bytes for address, one in found.items()} == {
        f"{A}/owl.jpg": b"owl", f"{A}/jay.jpg": b"jay",
    }  # fmt: skip
    owl = found[f"{A}/owl.jpg"]
    assert (owl.cause, owl.status, owl.tries, owl.etag) == ("ok", 200, 1, '"1"')
    assert owl.last_modified == "Wed, 21 Oct 2015 07:28:00 GMT"
    assert owl.elapsed_s > 0


def test_we_say_who_we_are_and_ask_for_pictures_unpacked(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"owl")
    fetch_all(f"{A}/owl.jpg")
    robots, reservations, picture = web.requests
    assert (robots.path, reservations.path) == ("/robots.txt", "/.well-known/tdmrep.json")
    headers = {name.lower(): value for name, value in picture.headers.items()}
    assert headers["user-agent"] == robots.headers.get("User-Agent", headers["user-agent"])
    assert headers["user-agent"].startswith("pictus/")
    assert "me@example.org" in headers["user-agent"]
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == "a.example"


def test_a_connection_goes_to_the_address_that_was_judged(web: Any, net: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"owl")
    fetch_all(f"{A}/owl.jpg")
    assert net.connected == [("93.184.216.34", 80)]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "100.64.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
)
def test_a_name_that_leads_into_a_private_network_is_never_connected_to(
    net: Any, fetch_all: Fetch, address: str
) -> None:
    net.names["a.example"] = ("93.184.216.34", address)
    found = fetch_all(f"{A}/owl.jpg", "http://[::1]/x", "http://127.0.0.1:22/", "http://169.254.169.254/latest/meta-data")
    assert {one.cause for one in found.values()} == {"private-address"}
    assert net.connected == []


def test_a_redirect_into_a_private_network_is_never_followed(web: Any, net: Any, fetch_all: Fetch) -> None:
    net.names["inside.example"] = ("192.168.0.1",)
    targets = ["http://127.0.0.1:1/x", "http://169.254.169.254/latest", "http://inside.example/x", "http://[::1]/x"]
    for number, target in enumerate(targets):
        web.redirect(f"/{number}", target)
    found = fetch_all(*[f"{A}/{number}" for number in range(len(targets))])
    assert {one.cause for one in found.values()} == {"private-address"}
    assert {place for place, _ in net.connected} == {"93.184.216.34"}


def test_a_host_whose_address_turns_private_is_refused_on_the_next_connection(
    web: Any, net: Any, fetch_all: Fetch
) -> None:
    """DNS rebinding: the first answer is public, the second is not."""

    def hang_up(handler: Any) -> None:
        net.names["a.example"] = ("127.0.0.1",)
        handler.answer(200, b"owl", Connection="close")

    web.pages["/owl.jpg"] = hang_up
    web.put("/jay.jpg", b"jay")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/jay.jpg", limits=replace(FAST, per_host=1))
    assert [one.cause for one in found.values()] == ["ok", "private-address"]
    assert {place for place, _ in net.connected} == {"93.184.216.34"}


def test_a_named_host_may_be_private(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"owl")
    address = web.url("/owl.jpg")
    assert fetch_all(address)[address].cause == "private-address"
    assert fetch_all(address, allowed=[f"127.0.0.1:{web.port}"])[address].cause == "ok"
    assert fetch_all(address, allowed=["127.0.0.1:1"])[address].cause == "private-address"


def test_http_and_https_of_one_host_are_two_origins_of_one_server(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"owl")
    web.put("/robots.txt", b"User-agent: *\nAllow: /")
    found = fetch_all(f"{A}/owl.jpg", "https://a.example/jay.jpg", f"{A}/owl.jpg?2", limits=replace(FAST, tries=1))
    # The loopback web speaks no TLS: only the http origin's robots.txt and pictures can be had.
    assert [found[address].cause for address in (f"{A}/owl.jpg", "https://a.example/jay.jpg")] == ["ok", "tls"]


def test_a_hostile_wait_ends_one_address_and_not_the_run(web: Any, fetch_all: Fetch) -> None:
    web.put("/bad.jpg", b"", status=503, Retry_After="\xb2")
    web.put("/worse.jpg", b"", status=503, Retry_After="Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
    web.put("/owl.jpg", b"owl")
    found = fetch_all(f"{A}/bad.jpg", f"{A}/worse.jpg", f"{A}/owl.jpg")
    assert [found[f"{A}/{name}.jpg"].cause for name in ("bad", "worse", "owl")] == ["http-503", "http-503", "ok"]


def test_a_bug_ends_the_address_it_concerns_and_is_told(
    web: Any, fetch_all: Fetch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumbles(tags: Sequence[str], words: object) -> bool:
        return bool(1 / len(tags)) and False

    monkeypatch.setattr(sayings, "opts_out", stumbles)
    web.put("/odd.jpg", b"odd")
    web.put("/owl.jpg", b"owl", X_Robots_Tag="all")
    found = fetch_all(f"{A}/odd.jpg", f"{A}/owl.jpg")
    assert ends(found) == {f"{A}/odd.jpg": ("error", 0, 1), f"{A}/owl.jpg": ("ok", 200, 1)}
    assert found[f"{A}/odd.jpg"].detail == "ZeroDivisionError: division by zero"
    (record,) = caplog.records
    assert record.exc_info
    assert f"{A}/odd.jpg" in record.getMessage()


def test_a_bug_in_reading_robots_ends_the_addresses_of_that_host(
    web: Any, fetch_all: Fetch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumbles(status: int, body: bytes) -> Any:
        raise KeyError("odd")

    monkeypatch.setattr(sayings, "rules_of", stumbles)
    found = fetch_all(f"{A}/odd.jpg", f"{A}/owl.jpg")
    assert [(one.cause, one.detail) for one in found.values()] == [("error", "KeyError: 'odd'")] * 2
    assert len(caplog.records) == 1


def test_a_bug_in_judging_one_address_by_robots_leaves_the_others_of_its_host(
    web: Any, fetch_all: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stumbling(Rules):
        def allow(self, url: Url) -> bool:
            return bool(1 / (url.target != "/odd.jpg"))

    monkeypatch.setattr(sayings, "rules_of", lambda *_: Stumbling(None))
    web.put("/owl.jpg", b"owl")
    found = fetch_all(f"{A}/odd.jpg", f"{A}/owl.jpg")
    assert {address: one.cause for address, one in found.items()} == {f"{A}/odd.jpg": "error", f"{A}/owl.jpg": "ok"}


def test_redirects_are_followed_five_times_and_checked_by_the_robots_of_each_host(web: Any, fetch_all: Fetch) -> None:
    for hop in range(5):
        web.redirect(f"/{hop}", f"http://b.example/{hop + 1}", status=(301, 302, 303, 307, 308)[hop])
    web.put("/5", b"there")
    web.redirect("/circle", "/circle")
    web.redirect("/file", "file:///etc/passwd")
    found = fetch_all(f"{A}/0", f"{A}/circle", f"{A}/file")
    assert found[f"{A}/0"].image_bytes == b"there"
    assert found[f"{A}/0"].detail == "redirected to http://b.example/5"
    assert (found[f"{A}/circle"].cause, found[f"{A}/circle"].tries) == ("redirect", 6)
    assert found[f"{A}/file"].cause == "redirect"
    assert [request.headers["host"] for request in web.requests if request.path == "/robots.txt"] == [
        "a.example", "b.example",
    ]  # fmt: skip


def test_robots_txt_is_asked_once_and_obeyed(web: Any, fetch_all: Fetch) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /private")
    for number in range(5):
        web.put(f"/{number}", b"x")
        web.put(f"/private/{number}", b"x")
    found = fetch_all(*[f"{A}/{number}" for number in range(5)], *[f"{A}/private/{number}" for number in range(5)])
    assert Counter(one.cause for one in found.values()) == {"ok": 5, "robots": 5}
    assert Counter(web.asked(robots=True))["/robots.txt"] == 1
    assert not [path for path in web.asked() if "private" in path]


def test_a_redirect_does_not_lead_around_robots_txt(web: Any, fetch_all: Fetch) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /private")
    web.redirect("/open", "http://b.example/private/x")
    found = fetch_all(f"{A}/open")
    assert found[f"{A}/open"].cause == "robots"
    assert web.asked() == ["/open"]


def test_crawlers_for_ai_that_are_shut_out_by_name_speak_for_us(web: Any, fetch_all: Fetch) -> None:
    web.put("/robots.txt", b"User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /private\n")
    web.put("/owl.jpg", b"owl")
    web.put("/private/jay.jpg", b"jay")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/private/jay.jpg")
    assert ends(found) == {f"{A}/owl.jpg": ("ok", 200, 1), f"{A}/private/jay.jpg": ("robots-ai", 0, 0)}
    assert found[f"{A}/private/jay.jpg"].detail == "http://a.example:80/robots.txt shuts out ccbot"
    assert web.asked() == ["/owl.jpg"]


def test_reserved_rights_of_mining_are_respected(web: Any, fetch_all: Fetch) -> None:
    web.put("/.well-known/tdmrep.json", b'[{"location": "/mine/*", "tdm-reservation": 1}]')
    web.put("/owl.jpg", b"owl")
    web.put("/mine/jay.jpg", b"jay")
    web.put("/wren.jpg", b"wren", tdm_reservation="1")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/mine/jay.jpg", f"{A}/wren.jpg")
    assert {address: (one.cause, one.detail) for address, one in found.items()} == {
        f"{A}/owl.jpg": ("ok", ""),
        f"{A}/mine/jay.jpg": ("tdm-reserved", "http://a.example:80/.well-known/tdmrep.json"),
        f"{A}/wren.jpg": ("tdm-reserved", "tdm-reservation: 1"),
    }
    assert sorted(web.asked()) == ["/owl.jpg", "/wren.jpg"]
    assert Counter(web.asked(robots=True))["/.well-known/tdmrep.json"] == 1


def test_a_redirect_does_not_lead_around_a_reservation(web: Any, fetch_all: Fetch) -> None:
    web.put("/.well-known/tdmrep.json", b'[{"location": "/mine/", "tdm-reservation": 1}]')
    web.redirect("/owl.jpg", "/mine/owl.jpg")
    web.put("/mine/owl.jpg", b"owl")
    assert ends(fetch_all(f"{A}/owl.jpg"))[f"{A}/owl.jpg"][0] == "tdm-reserved"


@pytest.mark.parametrize("status", [404, 500])
def test_an_origin_without_reservations_reserves_nothing(web: Any, fetch_all: Fetch, status: int) -> None:
    web.put("/.well-known/tdmrep.json", b'[{"location": "/", "tdm-reservation": 1}]', status=status)
    web.put("/owl.jpg", b"owl")
    assert ends(fetch_all(f"{A}/owl.jpg")) == {f"{A}/owl.jpg": ("ok", 200, 1)}


def test_a_robots_txt_that_shuts_us_out_is_not_followed_by_another_question(web: Any, fetch_all: Fetch) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /")
    fetch_all(f"{A}/owl.jpg")
    assert web.asked(robots=True) == ["/robots.txt"]


def test_an_unreadable_robots_txt_forbids_everything_for_now(web: Any, fetch_all: Fetch) -> None:
    web.put("/robots.txt", b"", status=503)
    web.put("/owl.jpg", b"owl")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/jay.jpg")
    assert {one.cause for one in found.values()} == {"robots-unreachable"}
    assert web.asked(robots=True) == ["/robots.txt"] * 3
    assert web.asked() == []


def test_a_robots_txt_that_leads_to_no_place_to_ask_forbids_everything_for_now(web: Any, fetch_all: Fetch) -> None:
    web.redirect("/robots.txt", "ftp://a.example/robots.txt")
    web.put("/owl.jpg", b"owl")
    assert ends(fetch_all(f"{A}/owl.jpg"))[f"{A}/owl.jpg"][0] == "robots-unreachable"
    assert web.asked() == []


def test_a_robots_txt_that_breaks_off_forbids_everything_for_now(web: Any, fetch_all: Fetch) -> None:
    def break_off(handler: Any) -> None:
        handler.answer(200, b"User-agent: *\n", Content_Length="4000")
        handler.close_connection = True

    web.pages["/robots.txt"] = break_off
    assert fetch_all(f"{A}/owl.jpg")[f"{A}/owl.jpg"].cause == "robots-unreachable"
    assert web.asked() == []


def test_an_endless_robots_txt_is_read_to_its_cap(web: Any, fetch_all: Fetch) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(b"User-agent: *\nDisallow: /private\n")
        while not handler.server.web.over.is_set():
            handler.wfile.write(b"# and so on\n" * 1000)

    web.pages["/robots.txt"] = endless
    web.put("/owl.jpg", b"owl")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/private/x")
    assert {address[-7:]: one.cause for address, one in found.items()} == {"owl.jpg": "ok", "ivate/x": "robots"}


def test_the_pause_that_robots_txt_asks_for_is_kept(web: Any, fetch_all: Fetch) -> None:
    web.put("/robots.txt", b"User-agent: *\nCrawl-delay: 0.2")
    for number in range(3):
        web.put(f"/{number}", b"x")
    fetch_all(*[f"{A}/{number}" for number in range(3)])
    times = [request.at for request in web.requests]
    assert min(after - before for before, after in pairwise(times)) >= 0.19


def test_an_owner_who_opts_out_is_left_in_peace(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"owl", X_Robots_Tag="noindex, noai")
    found = fetch_all(f"{A}/owl.jpg")[f"{A}/owl.jpg"]
    assert (found.cause, found.image_bytes) == ("opt-out", b"")


def test_statuses_are_causes_and_only_passing_ones_are_tried_again(web: Any, fetch_all: Fetch) -> None:
    for status in (204, 401, 403, 404, 410, 418, 500, 502):
        web.put(f"/{status}", b"" if status == 204 else b"<html>", status=status)
    found = ends(fetch_all(*[f"{A}/{status}" for status in (204, 401, 403, 404, 410, 418, 500, 502)]))
    assert found == {
        f"{A}/{status}": (f"http-{status}", status, 3 if status >= 500 or status == 204 else 1)
        for status in (204, 401, 403, 404, 410, 418, 500, 502)
    }


def flaky(failures: int, status: int = 503, **headers: str) -> Callable[[Any], None]:
    left = [failures]

    def page(handler: Any) -> None:
        if left[0]:
            left[0] -= 1
            handler.answer(status, b"busy", **headers)
        else:
            handler.answer(200, b"owl")

    return page


def test_a_server_that_recovers_is_asked_again(web: Any, fetch_all: Fetch) -> None:
    web.pages["/owl.jpg"] = flaky(2)
    found = fetch_all(f"{A}/owl.jpg")[f"{A}/owl.jpg"]
    assert (found.cause, found.tries) == ("ok", 3)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_the_whole_host(web: Any, fetch_all: Fetch, status: int) -> None:
    web.pages["/owl.jpg"] = flaky(1, status, Retry_After="1")
    for number in range(3):
        web.put(f"/{number}", b"x")
    found = fetch_all(f"{A}/owl.jpg", *[f"{A}/{number}" for number in range(3)], limits=replace(FAST, per_host=1))
    assert {one.cause for one in found.values()} == {"ok"}
    assert web.requests[2].path == "/owl.jpg"
    assert web.requests[3].at - web.requests[2].at >= 0.95


def test_a_host_that_asks_for_more_patience_than_we_have_is_given_up(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"", status=429, Retry_After="86400")
    web.put("/jay.jpg", b"jay")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/jay.jpg", limits=replace(FAST, per_host=1))
    assert ends(found) == {f"{A}/owl.jpg": ("http-429", 429, 1), f"{A}/jay.jpg": ("http-429", 429, 0)}
    assert found[f"{A}/jay.jpg"].detail == "not asked: the host asks to wait 86,400 s"
    assert web.asked() == ["/owl.jpg"]


def test_retries_back_off_longer_each_time(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"", status=500)
    fetch_all(f"{A}/owl.jpg", limits=replace(FAST, back_off_s=0.2, tries=3))
    times = [request.at for request in web.requests if request.path == "/owl.jpg"]
    # back_off_s · 2^failures · U(0.5, 1.5): 0.1-0.3 s, then 0.2-0.6 s
    assert 0.1 <= times[1] - times[0] <= 0.45
    assert 0.2 <= times[2] - times[1] <= 0.75


def test_slow_hosts_time_out(web: Any, fetch_all: Fetch) -> None:
    def trickle(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not handler.server.web.over.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    web.pages["/silent"] = lambda handler: handler.stall()
    web.pages["/trickle"] = trickle
    started = time.monotonic()
    found = fetch_all(f"{A}/silent", f"{A}/trickle", limits=replace(FAST, tries=1, total_s=1.0))
    assert [one.cause for one in found.values()] == ["timeout", "timeout"]
    assert time.monotonic() - started < 5
    assert found[f"{A}/silent"].detail == "nothing for 0.3 s"
    assert found[f"{A}/trickle"].detail == "over 1 s"


def test_a_dead_host_is_given_up_and_the_others_go_on(web: Any, fetch_all: Fetch) -> None:
    dead = [f"http://b.example/{number}" for number in range(50)]
    for address in dead:
        web.pages[address.removeprefix("http://b.example")] = lambda handler: handler.stall()
    web.put("/owl.jpg", b"owl")
    limits = replace(FAST, per_host=2, host_failures=4, tries=1, read_s=0.1)
    found = fetch_all(*dead, f"{A}/owl.jpg", limits=limits)
    assert found[f"{A}/owl.jpg"].cause == "ok"
    assert {found[address].cause for address in dead} == {"timeout"}
    assert len(web.asked()) <= 1 + 4 + 1
    assert sum(found[address].tries == 0 for address in dead) >= 44


def test_unknown_and_deaf_hosts_have_their_own_causes(net: Any, fetch_all: Fetch) -> None:
    net.names["deaf.example"] = ("93.184.216.34",)
    net.port = 1  # nothing listens on the loopback's port 1
    found = fetch_all("http://nowhere.example/x", "http://deaf.example/x", limits=replace(FAST, tries=1))
    assert [one.cause for one in sorted(found.values())] == ["dns", "refused"]


def test_bodies_are_capped_whatever_their_length_is_said_to_be(web: Any, fetch_all: Fetch) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        sent = 0
        while not handler.server.web.over.is_set():
            sent += handler.wfile.write(b"x" * 10_000)
            assert sent < 50_000_000, "the client reads on and on"

    web.pages["/endless"] = endless
    web.put("/announced", b"", Content_Length="999999999")
    web.put("/fits", b"x" * 200_000)
    web.put("/over", b"x" * 200_001)
    found = fetch_all(*[f"{A}/{name}" for name in ("endless", "announced", "fits", "over")])
    assert [found[f"{A}/{name}"].cause for name in ("endless", "announced", "fits", "over")] == [
        "too-big", "too-big", "ok", "too-big",
    ]  # fmt: skip


def test_a_packed_bomb_is_not_unpacked_and_an_honest_packing_is(web: Any, fetch_all: Fetch) -> None:
    web.put("/bomb", gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")
    web.put("/honest", gzip.compress(b"owl" * 1000), Content_Encoding="gzip")
    web.put("/strange", b"owl", Content_Encoding="br")
    web.put("/cut", gzip.compress(b"owl" * 1000)[:-12], Content_Encoding="gzip")
    web.put("/lie", b"owl", Content_Encoding="gzip")
    names = ("bomb", "honest", "strange", "cut", "lie")
    found = fetch_all(*[f"{A}/{name}" for name in names], limits=replace(FAST, tries=1))
    assert [found[f"{A}/{name}"].cause for name in names] == ["too-big", "ok", "protocol", "truncated", "protocol"]
    assert found[f"{A}/honest"].image_bytes == b"owl" * 1000


def test_a_body_that_breaks_off_is_truncated_and_tried_again(web: Any, fetch_all: Fetch) -> None:
    def break_off(handler: Any) -> None:
        handler.answer(200, b"half", Content_Length="4000")
        handler.close_connection = True

    web.pages["/half"] = break_off
    assert ends(fetch_all(f"{A}/half")) == {f"{A}/half": ("truncated", 200, 3)}


def raw(answer: bytes) -> Callable[[Any], None]:
    def page(handler: Any) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    return page


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nowlet", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", "protocol"),
        (b"", "disconnected"),
    ],
)
def test_a_server_that_does_not_speak_http_is_an_answer_too(
    web: Any, fetch_all: Fetch, answer: bytes, cause: str
) -> None:
    web.pages["/x"] = raw(answer)
    assert fetch_all(f"{A}/x", limits=replace(FAST, tries=1))[f"{A}/x"].cause == cause


def test_what_was_fetched_is_asked_for_conditionally(web: Any, fetch_all: Fetch) -> None:
    def page(handler: Any) -> None:
        is_same = handler.headers["If-None-Match"] == '"1"'
        handler.answer(304 if is_same else 200, b"" if is_same else b"owl", ETag='"1"')

    web.pages["/owl.jpg"] = page
    url = parse_url(f"{A}/owl.jpg")
    same = fetch_all(jobs=[Job(0, url.text, url, etag='"1"')])[url.text]
    assert (same.cause, same.status, same.etag, same.image_bytes) == ("unchanged", 304, '"1"', b"")
    job = Job(0, url.text, url, etag='"0"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
    changed = fetch_all(jobs=[job])[url.text]
    assert (changed.cause, changed.image_bytes) == ("ok", b"owl")
    assert web.requests[-1].headers["if-modified-since"] == "Wed, 21 Oct 2015 07:28:00 GMT"


def test_an_unasked_304_is_not_believed(web: Any, fetch_all: Fetch) -> None:
    web.put("/owl.jpg", b"", status=304)
    assert fetch_all(f"{A}/owl.jpg")[f"{A}/owl.jpg"].cause == "http-304"


def test_a_host_is_never_asked_more_at_once_than_agreed(web: Any, fetch_all: Fetch) -> None:
    def slow(handler: Any) -> None:
        time.sleep(0.03)
        handler.answer(200, b"x")

    for number in range(20):
        web.pages[f"/{number}"] = slow
    found = fetch_all(*[f"{A}/{number}" for number in range(20)], limits=replace(FAST, per_host=3))
    assert {one.cause for one in found.values()} == {"ok"}
    assert web.busiest == 3


def test_requests_of_one_host_keep_their_distance(web: Any, fetch_all: Fetch) -> None:
    for number in range(5):
        web.put(f"/{number}", b"x")
    fetch_all(*[f"{A}/{number}" for number in range(5)], limits=replace(FAST, interval_s=0.1))
    times = [request.at for request in web.requests]
    assert times[-1] - times[0] >= 0.48


def test_connections_are_used_again(web: Any, net: Any, fetch_all: Fetch) -> None:
    names: Sequence[str] = [f"/{number}" for number in range(30)]
    for name in names:
        web.put(name, b"x")
    fetch_all(*[A + name for name in names], limits=replace(FAST, per_host=2))
    assert len(net.connected) <= 2


def test_closing_early_leaves_nothing_running(web: Any, net: Any) -> None:
    import asyncio
    import random
    import ssl
    from contextlib import aclosing

    from pictus.collect.addresses import AllowedHosts
    from pictus.collect.fetcher import Fetcher
    from pictus.collect.network import PinnedNetwork

    web.put("/owl.jpg", b"owl")
    web.pages["/silent"] = lambda handler: handler.stall()

    async def first() -> tuple[str, int]:
        network = PinnedNetwork(net.resolve, net.connect, AllowedHosts())
        fetcher = Fetcher(
            replace(FAST, read_s=20.0, total_s=20.0), network, agent="pictus/test", tls=ssl.create_default_context(),
            clock=time.monotonic, chance=random.Random(1),
        )  # fmt: skip
        jobs = [Job(order, f"{A}{path}", parse_url(f"{A}{path}")) for order, path in enumerate(("/owl.jpg", "/silent"))]
        async with aclosing(fetcher.run(jobs)) as results:
            result = await anext(results)
        return result.address, len(asyncio.all_tasks())

    started = time.monotonic()
    assert asyncio.run(first()) == (f"{A}/owl.jpg", 1)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ({"X_Robots_Tag": "noai"}, "opt-out"), ({"tdm_reservation": "1"}, "tdm-reserved"),
        ({"X_Robots_Tag": "noindex"}, "unchanged"),
    ],
)  # fmt: skip
def test_an_owner_who_changes_his_mind_is_heard_although_the_picture_is_the_same(
    web: Any, fetch_all: Fetch, headers: dict[str, str], cause: str
) -> None:
    web.put("/owl.jpg", b"", status=304, **headers)
    url = parse_url(f"{A}/owl.jpg")
    assert fetch_all(jobs=[Job(0, url.text, url, etag='"1"')])[url.text].cause == cause


def test_an_owner_is_heard_although_the_body_stalls(web: Any, fetch_all: Fetch) -> None:
    def stalls(status: int, **headers: str) -> Callable[[Any], None]:
        def page(handler: Any) -> None:
            handler.answer(status, b"", Content_Length="1000", **headers)
            handler.stall()

        return page

    web.pages["/owl.jpg"] = stalls(200, X_Robots_Tag="noai")
    web.pages["/jay.jpg"] = stalls(404)
    web.pages["/old.jpg"] = stalls(301, Location="/new.jpg")
    web.put("/new.jpg", b"new")
    web.pages["/busy.jpg"] = stalls(429, Retry_After="3600")
    found = fetch_all(*[f"{A}/{name}.jpg" for name in ("owl", "jay", "old")])
    assert ends(found) == {
        f"{A}/owl.jpg": ("opt-out", 200, 1), f"{A}/jay.jpg": ("http-404", 404, 1), f"{A}/old.jpg": ("ok", 200, 2),
    }  # fmt: skip
    assert ends(fetch_all(f"{A}/busy.jpg")) == {f"{A}/busy.jpg": ("http-429", 429, 1)}


def test_the_pause_that_a_file_of_reservations_asks_for_holds_for_the_pictures(web: Any, fetch_all: Fetch) -> None:
    web.put("/.well-known/tdmrep.json", b"", status=429, Retry_After="3600")
    web.put("/owl.jpg", b"owl")
    web.redirect("/away.jpg", f"{A}/owl.jpg")
    found = fetch_all(f"{A}/owl.jpg", "http://a.example/jay.jpg")
    assert ends(found) == {f"{A}/owl.jpg": ("http-429", 429, 0), f"{A}/jay.jpg": ("http-429", 429, 0)}
    assert {one.detail for one in found.values()} == {"not asked: the host asks to wait 3,600 s"}
    assert web.asked() == []


def test_a_short_pause_of_the_file_of_reservations_is_waited_for_and_the_file_asked_again(
    web: Any, fetch_all: Fetch
) -> None:
    answers = [(429, b"", "1"), (200, b'[{"location": "/mine", "tdm-reservation": 1}]', "")]

    def page(handler: Any) -> None:
        status, body, wait = answers.pop(0)
        handler.answer(status, body, **({"Retry_After": wait} if wait else {}))

    web.pages["/.well-known/tdmrep.json"] = page
    web.put("/owl.jpg", b"owl")
    found = fetch_all(f"{A}/owl.jpg", f"{A}/mine.jpg")
    assert [found[f"{A}/{name}.jpg"].cause for name in ("owl", "mine")] == ["ok", "tdm-reserved"]
    first, second, picture = web.requests[1:]
    assert second.at - first.at >= 0.95
    assert picture.path == "/owl.jpg"


def test_a_redirect_to_a_host_that_was_given_up_ends_there(web: Any, fetch_all: Fetch) -> None:
    web.put("/busy.jpg", b"", status=503, Retry_After="3600")

    def late(handler: Any) -> None:
        time.sleep(0.1)
        handler.answer(302, Location=f"{A}/owl.jpg")

    web.pages["/late.jpg"] = late
    web.put("/owl.jpg", b"owl")
    found = fetch_all(f"{A}/busy.jpg", "http://b.example/late.jpg")
    assert found["http://b.example/late.jpg"].cause == "http-503"
    assert "/owl.jpg" not in web.asked()


def test_what_is_forgotten_of_an_origin_is_asked_anew_and_only_for_what_comes_later(
    web: Any, fetch_all: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "Sayings", lambda: Sayings(1))  # the newest alone is kept
    for path in ("/0", "/1", "/2"):
        web.put(path, b"owl")
    addresses = [f"http://{host}.example/{number}" for number in range(3) for host in "abc"]
    assert {one.cause for one in fetch_all(*addresses).values()} == {"ok"}
    assert Counter(web.asked(robots=True))["/robots.txt"] == 3


def test_a_long_robots_txt_is_read_beside_the_network(
    web: Any, fetch_all: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = []

    def reads(status: int, body: bytes) -> Rules:
        readers.append((len(body) > 1_000, threading.current_thread() is threading.main_thread()))
        return rules_of(status, body)

    monkeypatch.setattr(sayings, "rules_of", reads)
    robots = b"User-agent: *\n" + b"Disallow: /private\n" * 10_000
    web.pages["/robots.txt"] = lambda handler: handler.answer(200, robots if "a." in handler.headers["host"] else b"")
    found = fetch_all(f"{A}/private/owl.jpg", "http://b.example/private/owl.jpg")
    assert [one.cause for one in sorted(found.values())] == ["robots", "http-404"]
    assert sorted(readers) == [(False, True), (True, False)]


def test_rules_that_take_long_to_look_through_keep_nobody_waiting(
    web: Any, fetch_all: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Rules):
        def allow(self, url: Url) -> bool:
            time.sleep(0.02 * (url.host == "a.example"))
            return True

    monkeypatch.setattr(sayings, "rules_of", lambda *_: Slow(None))

    def after(seconds: float, status: int = 200) -> Callable[[Any], None]:
        def page(handler: Any) -> None:
            time.sleep(seconds if "b." in handler.headers["host"] or status == 404 else 0.0)
            handler.answer(status, b"owl")

        return page

    for number in range(50):
        web.pages[f"/{number}"] = after(0.01)
    late = after(0.1, 404)
    web.pages["/robots.txt"] = lambda handler: (late if "a." in handler.headers["host"] else missing)(handler)
    beside = [f"http://b.example/{number}" for number in range(50)]
    found = fetch_all(*[f"{A}/{number}" for number in range(50)], *beside, limits=replace(FAST, per_host=1))
    assert {one.cause for one in found.values()} == {"ok"}
    assert max(found[address].elapsed_s for address in beside) < 0.7  # in one go the rules would take a second
