from __future__ import annotations

import pytest

from pictus.collect.addresses import parse_url
from pictus.collect.robots import MAX_ROBOTS_BYTES, opts_out, rules_of

PICTURE = parse_url("http://a.example/pictures/owl.jpg")


@pytest.mark.parametrize(
    ("status", "body", "is_allowed", "cause"),
    [
        (200, b"", True, ""),
        (200, b"User-agent: *\nDisallow: /", False, ""),
        (200, b"User-agent: *\nDisallow: /pictures\nAllow: /pictures/owl", True, ""),  # the longest match decides
        (200, b"User-agent: *\nDisallow: /\n\nUser-agent: Pictus\nDisallow: /private", True, ""),
        (200, b"User-agent: otherbot\nDisallow: /", True, ""),
        (200, b"User-agent: *\nDisallow: /*.jpg$", False, ""),
        (200, b"\xef\xbb\xbfUser-agent: pictus\nDisallow: /", False, ""),
        (200, b"<html>not a robots file \xff\xfe</html>", True, ""),
        (404, b"", True, ""),
        (403, b"User-agent: *\nDisallow: /", True, ""),  # RFC 9309 section 2.3.1.3: unavailable is no rule
        (429, b"", False, "robots-unreachable"),
        (500, b"", False, "robots-unreachable"),
        (503, b"", False, "robots-unreachable"),
    ],
)
def test_rfc_9309(status: int, body: bytes, is_allowed: bool, cause: str) -> None:
    rules = rules_of(status, body)
    assert (rules.allow(PICTURE), rules.cause) == (is_allowed, cause)


def test_what_stands_behind_500_kib_is_not_read() -> None:
    filler = b"#" * 99 + b"\n"
    body = b"User-agent: *\n" + filler * (MAX_ROBOTS_BYTES // 100 + 1) + b"Disallow: /\n"
    assert rules_of(200, body).allow(PICTURE)


def test_the_pause_a_host_asks_for_is_kept_to_a_minute() -> None:
    assert rules_of(200, b"User-agent: *\nCrawl-delay: 2.5").crawl_delay_s == 2.5
    assert rules_of(200, b"User-agent: *\nCrawl-delay: 86400").crawl_delay_s == 60.0
    assert rules_of(200, b"").crawl_delay_s == 0.0


@pytest.mark.parametrize(
    ("tags", "is_out"),
    [
        ([], False), (["noindex, nofollow"], False), (["noai"], True), (["NoImageAI"], True), (["noindex, noai"], True),
        (["pictus: noai"], True), (["otherbot: noai"], False), (["noindex", "Pictus: noimageai"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
        (["otherbot: noindex, noai"], False), (["otherbot: noindex, noai", "noimageai"], True),
        (["otherbot: noai, pictus: noimageai"], True), (["pictus: noindex, noai"], True), (["*: noai"], True),
        (["max-snippet: 50, noai"], True), (["max-image-preview: large, noindex"], False),
        (["unavailable_after: Friday, 25-Jun-30 15:00:00 PST, noai"], True),
    ],
)  # fmt: skip
def test_an_owner_opts_out_by_header(tags: list[str], is_out: bool) -> None:
    assert opts_out(tags) is is_out


@pytest.mark.parametrize(
    ("body", "agent"),
    [
        ("User-agent: GPTBot\nDisallow: /", "gptbot"),
        ("User-agent: gptbot\nUser-agent: CCBot # Common Crawl\nDisallow: /pictures", "ccbot"),
        ("user-agent:img2dataset\nDisallow: /private", ""),  # not this picture
        ("User-agent: GPTBot\nDisallow: /\n\nUser-agent: pictus\nDisallow:", ""),  # it speaks to us: that counts
        ("User-agent: Googlebot\nDisallow: /", ""),
        ("# User-agent: GPTBot\nUser-agent: *\nDisallow: /private", ""),
        ("User-agent: *\nDisallow: /", ""),  # forbidden already, and for that reason
        ("User-agent: ChatGPT-User\nDisallow: /", ""),  # looks things up for a reader
        ("", ""),
    ],
)
def test_crawlers_for_ai_are_shut_out_by_name(body: str, agent: str) -> None:
    assert rules_of(200, body.encode()).shut_out(PICTURE) == agent


def test_a_file_that_is_not_there_shuts_nobody_out() -> None:
    assert rules_of(404, b"User-agent: GPTBot\nDisallow: /").shut_out(PICTURE) == ""
