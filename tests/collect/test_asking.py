"""The polite getter: turns, waits, robots, opt-outs, redirects, caps."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pictus.collect import asking
from pictus.collect.addresses import AllowedHosts
from pictus.collect.asking import Asker, ClosedError, Manners
from pictus.collect.network import PinnedNetwork
from pictus.errors import PictureError

Make = Callable[..., Asker]
HERE = "http://a.example/page.html"


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def make(net: Any, time: Time) -> Iterator[Make]:
    made: list[Asker] = []

    def asker(allowed: Sequence[str] = (), **manners: float) -> Asker:
        hosts = AllowedHosts.of(allowed)
        found = Asker(
            PinnedNetwork(net.resolve, net.connect, hosts), ssl.create_default_context(), agent="pictus/test (me@a.b)",
            clock=time.clock, sleep=time.sleep, own=hosts, manners=Manners(read_s=0.5, total_s=3.0, **manners),  # type: ignore[arg-type]
        )  # fmt: skip
        made.append(found)
        return found

    yield asker
    for one in made:
        one.close()


def cause_of(ask: Callable[[str], object], address: str = HERE) -> tuple[str, str]:
    with pytest.raises(PictureError) as caught:
        ask(address)
    return caught.value.cause, caught.value.detail


def test_a_page_comes_with_who_we_are_said(web: Any, make: Make) -> None:
    web.put("/page.html", b"<img src=a.jpg>")
    answer = make().page(HERE)
    assert answer.body == b"<img src=a.jpg>"
    asked = [request.path for request in web.requests]
    assert asked == ["/robots.txt", "/.well-known/tdmrep.json", "/page.html"]
    assert {request.headers["User-Agent"] for request in web.requests} == {"pictus/test (me@a.b)"}


def test_requests_to_one_host_keep_their_distance_and_other_hosts_do_not_wait(web: Any, make: Make, time: Time) -> None:
    web.put("/x", b"{}")
    asker = make()
    for address in ("http://a.example/x", "http://a.example/x", "http://b.example/x", "http://a.example/x"):
        asker.service(address)
    assert time.slept == [1.0, 1.0]
    asker.slow_down("http://b.example/", 4.0)
    asker.service("http://b.example/x")
    asker.service("http://b.example/x")
    assert time.slept[-1] == 4.0


def test_a_host_of_ones_own_is_asked_without_pauses(web: Any, make: Make, time: Time) -> None:
    web.put("/x", b"{}")
    asker = make(["a.example"])
    assert asker.is_own("http://a.example/")
    asker.service("http://a.example/x")
    asker.service("http://a.example/x")
    assert time.slept == []


def test_robots_txt_holds_for_pages_and_not_for_the_service_of_an_engine(web: Any, make: Make) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /w/\nCrawl-delay: 7\n")
    web.put("/w/api.php", b"{}")
    asker = make()
    assert cause_of(asker.page, "http://a.example/w/api.php") == ("robots", "http://a.example:80/robots.txt")
    assert asker.service("http://a.example/w/api.php").body == b"{}"


def test_the_crawl_delay_is_kept(web: Any, make: Make, time: Time) -> None:
    web.put("/robots.txt", b"User-agent: *\nCrawl-delay: 7\n")
    web.put("/page.html", b"<p>")
    asker = make()
    asker.page(HERE)
    asker.page(HERE)
    assert time.slept[-1] == 7.0


def test_an_unreadable_robots_txt_forbids_and_a_missing_one_allows(web: Any, make: Make) -> None:
    web.put("/robots.txt", b"", 503)
    web.put("/page.html", b"<p>")
    assert cause_of(make().page)[0] == "robots-unreachable"
    web.put("/robots.txt", b"", 403)
    assert make().page(HERE).body == b"<p>"


@pytest.mark.parametrize(
    ("path", "said", "cause"),
    [
        ("/page.html", {"X_Robots_Tag": "noai"}, "opt-out"),
        ("/page.html", {"X_Robots_Tag": "noindex, nofollow"}, "opt-out"),
        ("/page.html", {"X_Robots_Tag": "none"}, "opt-out"),
        ("/page.html", {"TDM_Reservation": "1"}, "tdm-reserved"),
        ("/.well-known/tdmrep.json", b'[{"location": "/page*", "tdm-reservation": 1}]', "tdm-reserved"),
        ("/.well-known/tdmrep.json", b"[" + b" " * 99_999 + b"]", "tdm-reserved"),  # too long to be read
        ("/robots.txt", b"User-agent: GPTBot\nDisallow: /\n", "robots-ai"),
    ],
)
def test_an_owner_who_says_no_is_heard(
    web: Any, make: Make, path: str, said: bytes | dict[str, str], cause: str
) -> None:
    web.put("/page.html", b"<p>")
    web.put(path, *((said,) if isinstance(said, bytes) else (b"<p>",)), **(said if isinstance(said, dict) else {}))
    assert cause_of(make().page)[0] == cause


def test_the_stricter_of_two_signs_counts(web: Any, make: Make) -> None:
    web.put("/.well-known/tdmrep.json", b'[{"location": "/page*", "tdm-reservation": 1}]')
    web.put("/page.html", b"<p>", TDM_Reservation="0")
    assert cause_of(make().page)[0] == "tdm-reserved"
    assert "/page.html" not in web.asked()


def test_what_one_header_says_to_another_bot_does_not_hide_the_next_header(web: Any, make: Make) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        for value in ("otherbot: noindex", "noai"):
            handler.send_header("X-Robots-Tag", value)
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"<p>")

    web.pages["/page.html"] = answer
    assert cause_of(make().page)[0] == "opt-out"
    web.put("/page.html", b"<p>", X_Robots_Tag="otherbot: noindex, noai")
    assert make().page(HERE).body == b"<p>"


def test_the_files_of_an_origin_may_be_redirected_but_to_no_place_that_cannot_be_asked(web: Any, make: Make) -> None:
    web.put("/page.html", b"<p>")
    web.redirect("/.well-known/tdmrep.json", "/tdm.json")
    web.put("/tdm.json", b'[{"location": "/page*", "tdm-reservation": 1}]')
    assert cause_of(make().page)[0] == "tdm-reserved"
    web.redirect("/robots.txt", "ftp://a.example/robots.txt")
    assert cause_of(make().page)[0] == "robots-unreachable"


def test_tdmrep_json_is_not_asked_for_where_robots_txt_forbids_it(web: Any, make: Make) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /.well-known/\n")
    web.put("/page.html", b"<p>")
    make().page(HERE)
    assert [request.path for request in web.requests] == ["/robots.txt", "/page.html"]


def test_redirects_are_judged_one_by_one(web: Any, net: Any, make: Make) -> None:
    net.names["inside.example"] = ("10.0.0.7",)
    web.redirect("/page.html", "http://b.example/there")
    web.put("/there", b"<p>")
    assert make().page(HERE).url.text == "http://b.example/there"
    web.redirect("/page.html", "http://inside.example/")
    assert cause_of(make().page) == ("private-address", "inside.example is 10.0.0.7")
    web.redirect("/page.html", "file:///etc/passwd")
    assert cause_of(make().page)[0] == "redirect"
    web.redirect("/page.html", "/page.html")
    assert cause_of(make().page) == ("redirect", "more than 5")
    assert {address for address, _ in net.connected} == {"93.184.216.34"}


def test_what_may_pass_is_tried_again_with_growing_pauses(web: Any, make: Make, time: Time) -> None:
    web.put("/x", b"<b>upstream</b>", 503)
    assert cause_of(make().service, "http://a.example/x") == ("http-503", "a.example: '<b>upstream</b>'")
    assert web.asked() == ["/x"] * 3
    assert time.slept == [2.0, 4.0]


def test_what_is_final_is_asked_once_and_told_in_the_servers_words(web: Any, make: Make) -> None:
    web.put("/x", b'{"detail": "Authentication credentials were not provided."}', 401)
    cause, detail = cause_of(make().service, "http://a.example/x")
    assert cause == "http-401"
    assert "credentials were not provided" in detail
    assert web.asked() == ["/x"]


@pytest.mark.parametrize("seconds", ["1", "3600"])
def test_what_is_final_is_asked_once_also_when_it_says_later(web: Any, make: Make, time: Time, seconds: str) -> None:
    web.put("/x", b"", 404, Retry_After=seconds)
    web.put("/z", b"{}")
    asker = make()
    assert cause_of(asker.service, "http://a.example/x")[0] == "http-404"
    assert web.asked() == ["/x"]
    assert asker.service("http://a.example/z").body == b"{}"


def test_retry_after_is_kept_and_a_long_one_closes_the_host_for_the_run(web: Any, make: Make, time: Time) -> None:
    web.put("/x", b"", 429, Retry_After="30")
    web.put("/y", b"", 429, Retry_After="3600")
    asker = make()
    assert cause_of(asker.service, "http://a.example/x")[0] == "http-429"
    assert time.slept == [30.0, 30.0]
    before = len(web.requests)
    for _ in range(2):
        with pytest.raises(ClosedError, match="asks to wait 3,600 s"):
            asker.service("http://a.example/y")
    assert len(web.requests) == before + 1
    asker.service  # noqa: B018  another host is asked as ever
    web.put("/z", b"{}")
    assert asker.service("http://b.example/z").body == b"{}"


def test_hold_is_a_wait_that_stands_in_the_answer(web: Any, make: Make, time: Time) -> None:
    web.put("/x", b"{}")
    asker = make()
    asker.service("http://a.example/x")
    asker.hold("http://a.example/x", 9.0, "lagging")
    asker.service("http://a.example/x")
    assert time.slept == [9.0]
    with pytest.raises(ClosedError, match="lagging; the host asks to wait 900 s"):
        asker.hold("http://a.example/x", 900.0, "lagging")


def test_bodies_are_capped_while_they_come(web: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_BYTES", 1_000)
    web.put("/x", b"x" * 2_000)
    assert cause_of(make().service, "http://a.example/x")[0] == "too-big"


def test_a_server_that_stalls_or_hangs_up_ends_with_a_cause(web: Any, make: Make) -> None:
    web.pages["/x"] = lambda handler: handler.stall()
    assert cause_of(make(tries=1).service, "http://a.example/x")[0] == "timeout"
    assert cause_of(make().service, "http://unknown.example/")[0] == "dns"
    assert cause_of(make().service, "http://169.254.169.254/")[0] == "private-address"
