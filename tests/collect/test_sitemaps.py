"""Sitemaps, and XML made to do harm."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect import sitemaps
from pictus.collect.searches import Hit
from pictus.collect.sitemaps import MOST_PICTURES, is_sitemap, parse_sitemap, unpacked
from pictus.errors import PictureError

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
SPACES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
    'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1" xmlns:o="http://other.example/"'
)


def urlset(inside: str) -> bytes:
    return f"{HEAD}<urlset {SPACES}>{inside}</urlset>".encode()


def test_pages_and_pictures_are_told_apart() -> None:
    found = parse_sitemap(
        urlset(
            "<url><loc> https://a.example/1 </loc><lastmod>2026-01-01</lastmod></url>"
            "<url><loc>https://a.example/2</loc>"
            "<image:image><image:loc>https://a.example/x.jpg</image:loc><image:title>An &amp; owl</image:title>"
            "<image:license>https://creativecommons.org/licenses/by/4.0/</image:license></image:image>"
            "<image:image><image:loc>https://a.example/y.jpg</image:loc></image:image></url>"
            "<url><o:loc>https://wrong.example/</o:loc></url>"
        )
    )
    assert found.pages == ("https://a.example/1", "https://wrong.example/")
    assert found.hits == (
        Hit("https://a.example/x.jpg", "https://a.example/2", "CC-BY-4.0", "", "An & owl"),
        Hit("https://a.example/y.jpg", "https://a.example/2"),
    )


def test_an_index_names_further_sitemaps() -> None:
    body = f"{HEAD}<sitemapindex {SPACES}><sitemap><loc>https://a.example/1.xml.gz</loc></sitemap></sitemapindex>"
    assert parse_sitemap(body.encode()).maps == ("https://a.example/1.xml.gz",)


def test_what_came_before_a_fault_counts() -> None:
    found = parse_sitemap(urlset("<url><loc>https://a.example/1</loc></url>")[:-9])
    assert found.pages == ("https://a.example/1",)
    assert found.is_cut


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'<?xml version="1.0"?><!DOCTYPE u [<!ENTITY a "aaaa">]><urlset><url><loc>&a;</loc></url></urlset>', "bomb"),
        (b'<!DOCTYPE u SYSTEM "file:///etc/passwd"><urlset/>', "bomb"),
        (b"<urlset>" + b"<a>" * 100, "bomb"),
        (b"<rss/>", "not-a-page"),
        (b"<?xml nonsense", "not-a-page"),
        (b"", "not-a-page"),
    ],
)
def test_xml_that_is_no_sitemap_or_does_harm_is_refused(body: bytes, cause: str) -> None:
    with pytest.raises(PictureError) as caught:
        parse_sitemap(body)
    assert caught.value.cause == cause


def test_a_packed_sitemap_is_unpacked_within_its_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    body = urlset("")
    assert unpacked(gzip.compress(body)) == body
    assert unpacked(body) == body
    monkeypatch.setattr(sitemaps, "MAX_BYTES", 1_000)
    for packed, cause in ((gzip.compress(b" " * 2_000), "bomb"), (gzip.compress(body)[:30], "truncated"),
                          (b"\x1f\x8bnonsense....", "truncated")):  # fmt: skip
        with pytest.raises(PictureError) as caught:
            unpacked(packed)
        assert caught.value.cause == cause


def test_more_entries_than_the_protocol_allows_are_cut_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "MOST_ENTRIES", 3)
    found = parse_sitemap(urlset("".join(f"<url><loc>https://a.example/{n}</loc></url>" for n in range(5))))
    assert len(found.pages) == 3
    assert found.is_cut


def test_one_page_of_endless_pictures_is_cut_and_that_is_said() -> None:
    body = b"<urlset xmlns:i='http://www.google.com/schemas/sitemap-image/1.1'><url><loc>https://a.example/</loc>"
    found = parse_sitemap(body + b"<i:image/>" * (MOST_PICTURES + 1) + b"</url></urlset>")
    assert (len(found.hits), found.is_cut) == (MOST_PICTURES, True)


def test_a_sitemap_is_known_by_its_first_bytes() -> None:
    assert is_sitemap(b"\xef\xbb\xbf \n<?xml version='1.0'?><urlset>")
    assert is_sitemap(b"<sitemapindex>")
    assert not is_sitemap(b"<?xml version='1.0'?><!DOCTYPE html><html>")
    assert not is_sitemap(b"<!doctype html><html>")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(inside: bytes) -> None:
    for body in (inside, b"<urlset>" + inside):
        with suppress(PictureError):  # nothing else comes out of it
            parse_sitemap(body)
