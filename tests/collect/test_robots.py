from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from pictus.collect.addresses import parse_url
from pictus.collect.robots import MAX_ROBOTS_BYTES, MAX_WILDCARDS, opts_out, rules_of

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
        (["noindex; noai"], True), (["noindex noimageai"], True), (["otherbot: noindex; noai"], False),
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


@pytest.mark.parametrize(
    ("agent", "is_allowed"),
    [
        ("pictus/1.0", False), ("Pictus 2", False), ("pictus/*", False), ("pictus (crawler)", False), ("*", False),
        ("pictus-lite/1.0", True), ("pic", True), ("otherbot/1.0", True), ("", True),
    ],
)  # fmt: skip
def test_an_agent_is_known_with_its_version(agent: str, is_allowed: bool) -> None:
    assert rules_of(200, f"User-agent: {agent}\nDisallow: /".encode()).allow(PICTURE) is is_allowed


@pytest.mark.parametrize("agent", ["GPTBot/1.0", "gptbot/*", "GPTBot 1.2 (+https://a.example)", "img2dataset/1.41"])
def test_a_crawler_for_ai_is_known_with_its_version(agent: str) -> None:
    rules = rules_of(200, f"User-agent: {agent}\nDisallow: /".encode())
    assert rules.shut_out(PICTURE) == agent.partition("/")[0].partition(" ")[0].lower()


def test_those_told_the_same_are_asked_for_once_and_those_told_more_too() -> None:
    text = b"User-agent: CCBot\nUser-agent: GPTBot\nDisallow: /a\n\nUser-agent: GPTBot\nDisallow: /pictures\n"
    rules = rules_of(200, text)
    assert rules.ai_agents == ("ccbot", "gptbot")
    assert rules.shut_out(PICTURE) == "gptbot"
    assert rules_of(200, b"User-agent: CCBot\nUser-agent: GPTBot\nDisallow: /a").ai_agents == ("ccbot",)


def test_what_speaks_to_others_takes_no_memory() -> None:
    others = b"".join(b"User-agent: bot%d\nDisallow: /%d\n" % (number, number) for number in range(5_000))
    assert rules_of(200, others).size == 0
    assert 0 < rules_of(200, others + b"User-agent: *\nDisallow: /x").size < 1_000


def test_a_file_with_too_many_wildcards_forbids_everything_and_costs_little() -> None:
    text = b"User-agent: *\n" + b"".join(b"Disallow: /*%d*x\n" % number for number in range(25_000))
    started = time.process_time()
    rules = rules_of(200, text)
    assert (rules.allow(PICTURE), rules.cause) == (False, "robots-unreachable")
    assert "wildcards" in rules.detail
    assert time.process_time() - started < 2
    most = rules_of(200, b"\n".join(text.splitlines()[: MAX_WILDCARDS + 1]))
    long = parse_url("http://a.example/" + "y" * 7_000)
    assert most.allow(long)
    started = time.process_time()
    for _ in range(20):
        most.allow(long)
    assert time.process_time() - started < 2  # 0.1 s each: measured 0.004 s


_LINES = st.sampled_from(
    [
        "User-agent: *", "User-agent: pictus", "User-agent: other", "Disallow: /", "Disallow: /pictures",
        "Allow: /pict", "Disallow: /*.jpg$", "Allow: /pictures/owl.jpg", "Disallow:", "Allow: /%70ictures/",
        "Crawl-delay: 3",
        "Sitemap: http://a.example/map.xml", "# no rule", "", "disallow : /pictures/*owl  # a comment",
    ]
)  # fmt: skip


@given(st.lists(_LINES, max_size=12))
def test_only_what_others_are_told_is_left_out(lines: list[str]) -> None:
    whole, rules = Protego.parse("\n".join(lines)), rules_of(200, "\n".join(lines).encode())
    for path in ("/", "/pictures/owl.jpg", "/pictures/jay.png", "/pict"):
        url = parse_url(f"http://a.example{path}")
        assert rules.allow(url) is whole.can_fetch(url.text, "pictus")
    assert rules.crawl_delay_s == (whole.crawl_delay("pictus") or 0.0)
