from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.addresses import (
    AllowedHosts,
    checked_addresses,
    is_public,
    parse_url,
    redirected,
    without_password,
)
from pictus.errors import PictureError, UserError

NOBODY = AllowedHosts()


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("http://Example.ORG", "http://example.org/"),
        ("  https://example.org:443/a b.jpg#top ", "https://example.org/a%20b.jpg"),
        ("http://example.org:8080/a%20b.jpg?x=1&y=ü", "http://example.org:8080/a%20b.jpg?x=1&y=%C3%BC"),
        ("http://bücher.example/ü.jpg", "http://xn--bcher-kva.example/%C3%BC.jpg"),
        ("http://[2001:DB8::1]:81/x", "http://[2001:db8::1]:81/x"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
        ("http://a.example./x", "http://a.example/x"),
    ],
)
def test_an_address_has_one_spelling(text: str, spelling: str) -> None:
    url = parse_url(text)
    assert url.text == spelling
    assert parse_url(url.text) == url


@pytest.mark.parametrize(
    "text",
    [
        "", "example.org/x.jpg", "ftp://example.org/x", "file:///etc/passwd", "javascript:alert(1)", "http://", "http:///x",
        "http://user:secret@example.org/x", "http://user@example.org/x", "http://example.org:99999/x",
        "http://example.org:x/", "http://exa mple.org/", "http://example.org\\@evil.example/x", "http://a/\r\nX: y",
        "http://a.example/\ud800", "http://a\ud800.example/", "http://a.example/?\udfff", "http://a.example:0/",
        "http://a.example../", "http://./", "http://[::1/x",
        "http://[fe80::1%25eth0]/", f"http://{'a' * 64}.example/", f"http://a.example/{'x' * 9000}",
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_a_bad_url(text: str) -> None:
    with pytest.raises(PictureError) as caught:
        parse_url(text)
    assert caught.value.cause == "bad-url"


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for candidate in (text, f"http://{text}", f"http://a.example/{text}"):
        with contextlib.suppress(PictureError):
            url = parse_url(candidate)
            assert url.scheme in {"http", "https"}
            assert url.text.isascii()
            assert parse_url(url.text) == url


def test_politeness_goes_by_host_and_robots_by_origin() -> None:
    plain, tls, other = (parse_url(f"{text}/x") for text in ("http://a.example", "https://a.example", "http://a.example:81"))
    assert plain.server == tls.server == "a.example"
    assert other.server == "a.example:81"
    assert len({plain.origin, tls.origin, other.origin}) == 3


def test_passwords_do_not_reach_the_records() -> None:
    assert without_password("http://me:secret@a.example/x@y") == "http://a.example/x@y"
    assert without_password("http://a.example/x@y") == "http://a.example/x@y"
    for text in ("http://a.example?u=x@b.example", "http://a.example#x@b.example", "http://a.example/?u=x@b"):
        assert without_password(text) == text
    assert without_password("http://me:secret@a.example?u=x@b.example") == "http://a.example?u=x@b.example"


def test_redirects_are_read_relative_to_where_they_stand() -> None:
    here = parse_url("http://a.example/one/two.jpg")
    assert redirected(here, "three.jpg").text == "http://a.example/one/three.jpg"
    assert redirected(here, "//b.example/x").text == "http://b.example/x"
    for nowhere in ("file:///etc/passwd", "gopher://x", "http://me:pw@b.example/"):
        with pytest.raises(PictureError, match="redirect"):
            redirected(here, nowhere)


PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.9", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.8", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378::1", "2001:db8::1",
    "::ffff:0:127.0.0.1", "3fff::1", "5f00::1", "fd00:ec2::254", "168.63.129.16", "::ffff:168.63.129.16",
    "64:ff9b::a83f:8110", "2002:a83f:8110::1", "192.0.0.192",
]  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_refused_in_every_spelling(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    with pytest.raises(PictureError) as caught:
        checked_addresses("a.example", 80, [text], NOBODY)
    assert caught.value.cause == "private-address"


@pytest.mark.parametrize("text", ["93.184.216.34", "1.1.1.1", "2606:4700::1", "64:ff9b::5db8:d822", "2002:101:101::1"])
def test_public_addresses_pass(text: str) -> None:
    assert checked_addresses("a.example", 80, [text], NOBODY) == (text,)


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(PictureError, match=r"a\.example is 10\.0\.0\.1"):
        checked_addresses("a.example", 80, ["93.184.216.34", "10.0.0.1"], NOBODY)


def test_a_named_host_may_be_private_but_not_the_cloud_metadata_service() -> None:
    named = AllowedHosts.of(["pictures.local:8080", "LOCALHOST", "169.254.169.254"])
    assert checked_addresses("localhost", 5000, ["::1", "127.0.0.1"], named)
    assert checked_addresses("pictures.local", 8080, ["10.0.0.7"], named)
    assert checked_addresses("169.254.169.254", 80, ["169.254.169.254"], named)
    for host, port, address in [
        ("pictures.local", 80, "10.0.0.7"), ("other.local", 8080, "10.0.0.7"), ("localhost", 80, "169.254.169.254"),
        ("localhost", 80, "0.0.0.0"), ("localhost", 80, "224.0.0.1"),
    ]:  # fmt: skip
        with pytest.raises(PictureError):
            checked_addresses(host, port, [address], named)


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254", "::ffff:169.254.169.254", "::ffff:0:169.254.169.254", "::169.254.169.254",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1",
        "2001:0:808:808:0:0:5601:5601",  # Teredo: the client's address stands inverted in the last 32 bits
        "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "2002:6464:64c8::1", "168.63.129.16",
        "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "2002:a83f:8110::1", "192.0.0.192",
    ],
)  # fmt: skip
def test_a_named_host_never_leads_to_the_metadata_service_however_it_is_written(text: str) -> None:
    named = AllowedHosts.of(["pictures.local"])
    with pytest.raises(PictureError, match=r"pictures\.local is "):
        checked_addresses("pictures.local", 80, [text], named)


def test_a_host_may_be_named_as_it_is_written() -> None:
    named = AllowedHosts.of(["Bücher.example", "intranet.:8080", "[0:0:0:0:0:0:0:1]"])
    for text in ("http://bücher.example/", "http://intranet:8080/", "http://intranet.:8080/", "http://[::1]/"):
        url = parse_url(text)
        assert (url.host, url.port) in named
    with pytest.raises(UserError, match="is not a host name"):
        AllowedHosts.of(["a b.example"])


def test_a_named_host_may_be_a_tunnel_to_a_private_network() -> None:
    named = AllowedHosts.of(["pictures.local"])
    for text in ("2002:a00:1::1", "fd12::1", "::ffff:10.0.0.1"):
        assert checked_addresses("pictures.local", 80, [text], named) == (text,)


@pytest.mark.parametrize("text", ["", "http://a.example", "a.example/x", "a.example:port"])
def test_a_host_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UserError, match="is not a host name"):
        AllowedHosts.of([text])
