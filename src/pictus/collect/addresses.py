"""URLs and the addresses behind them: what may be asked for, decided without touching the network.

A list of addresses comes from strangers. Without this check, an entry such as
http://169.254.169.254/ or a host name that resolves to 127.0.0.1 would make the fetcher read
services that only the machine it runs on can reach.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from pictus.errors import PictureError, UserError, clipped

MAX_URL_CHARS = 8_000

_PORTS = {"http": 80, "https": 443}
_KEPT = "/:?#[]@!$&'()*+,;=%-._~"  # RFC 3986 reserved and unreserved marks, and % itself

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")  # RFC 1035, and _ which is in use

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NOT_PUBLIC_V6 = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # RFC 8215, local translation
    ipaddress.IPv6Network("2001::/32"),  # Teredo
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible, withdrawn
    ipaddress.IPv6Network("::ffff:0:0:0/96"),  # RFC 2765, IPv4-translated
    ipaddress.IPv6Network("fec0::/10"),  # site-local, withdrawn
    ipaddress.IPv6Network("3fff::/20"),  # RFC 9637, documentation
    ipaddress.IPv6Network("5f00::/16"),  # RFC 9602, SRv6 segments
)
_METADATA = frozenset(  # cloud metadata services outside the link-local networks: AWS, Google, Alibaba, Azure, Oracle
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
"""IANA's special-purpose registry, written out: `is_global` differs between Python's patch releases."""


class Url(NamedTuple):
    """One http(s) address, ready to be asked for. `text` is its one spelling, without fragment."""

    text: str
    scheme: str
    host: str  # ASCII, lower case, without brackets or a dot at its end; IPv6 in its short form
    port: int
    target: str  # path and query

    @property
    def origin(self) -> str:
        """scheme://host:port: what a robots.txt is valid for."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def server(self) -> str:
        """What politeness goes by: the host, with its port when that is not the usual one."""
        return self.host if self.port in _PORTS.values() else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts named with --allow-host, as (host, port); port 0 stands for any."""

    names: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> "AllowedHosts":
        """From "localhost", "intranet:8080", "127.0.0.1", "[::1]:80"."""
        return cls(frozenset(_host_and_port(text) for text in texts))

    def __contains__(self, place: tuple[str, int]) -> bool:
        host, port = place
        return (host, port) in self.names or (host, 0) in self.names


def parse_url(text: str) -> Url:
    """Take an address apart; a PictureError `bad-url` that says why it cannot be asked for."""
    text = text.strip()
    if len(text) > MAX_URL_CHARS or any(character < " " or character == "\x7f" for character in text):
        raise PictureError("bad-url", "too long, or with control characters in it")
    try:
        parts = urlsplit(text)
        host, port, user = parts.hostname or "", parts.port, parts.username
    except ValueError as error:
        raise PictureError("bad-url", str(error)) from error
    if parts.scheme not in _PORTS:
        raise PictureError("bad-url", f"scheme {clipped(parts.scheme)}: only http and https are fetched")
    if user is not None or "@" in parts.netloc:
        raise PictureError("bad-url", "a user name or password in the address")
    host = _ascii_host(host)
    port = _PORTS[parts.scheme] if port is None else port
    if port == 0:
        raise PictureError("bad-url", "port 0")
    try:
        target = quote(parts.path or "/", safe=_KEPT) + ("?" + quote(parts.query, safe=_KEPT) if parts.query else "")
    except UnicodeEncodeError as error:
        raise PictureError("bad-url", "half a sign in it, which is no text") from error
    shown = f"[{host}]" if ":" in host else host
    place = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
    return Url(f"{parts.scheme}://{place}{target}", parts.scheme, host, port, target)


def redirected(url: Url, location: str) -> Url:
    """Where a Location header leads, seen from `url`; PictureError `redirect` when nowhere we go."""
    try:
        return parse_url(urljoin(url.text, location))
    except (PictureError, ValueError) as error:
        raise PictureError("redirect", f"to {clipped(location, 200)}") from error


def without_password(text: str) -> str:
    """The address with any user name and password taken out, for records and messages."""
    head, mark, rest = text.partition("//")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]  # RFC 3986 section 3.2: the authority ends at any of these
    return f"{head}{mark}{place.rpartition('@')[2]}{rest[len(place):]}"


def checked_addresses(host: str, port: int, found: Sequence[str], allowed: AllowedHosts) -> tuple[str, ...]:
    """The resolved addresses a connection may go to, all of them or a PictureError `private-address`.

    One private address among public ones refuses the host: it is what a rebinding attack looks
    like. A named host may be private; link-local (where cloud metadata lives), multicast and
    unspecified addresses need to be named themselves.
    """
    is_named = (host, port) in allowed
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if is_public(address):
            continue
        if is_named and (_is_ordinary_private(address) or host == str(address)):
            continue
        shown = host if host == str(address) else f"{host} is {address}"
        raise PictureError("private-address", shown)
    return tuple(found)


def is_public(address: _Address) -> bool:
    """Whether an address belongs to the open internet, seen through every way to write IPv4 in IPv6."""
    if address in _METADATA:  # Azure's is of the public range
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    hidden = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        hidden = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if hidden is not None:
        return is_public(hidden)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC_V6)


def _is_ordinary_private(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        hidden = (address.sixtofour, *(address.teredo or ()))
        if any(inner is not None and not _is_ordinary_private(inner) for inner in hidden):
            return False
        address = address.ipv4_mapped or address
    if address in _METADATA:
        return False
    if address.is_loopback:
        return True  # ::1 also counts as reserved
    return not (address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved)


def _ascii_host(host: str) -> str:
    try:
        name = (host if host.isascii() else host.encode("idna").decode("ascii")).lower()
        name = str(ipaddress.IPv6Address(name)) if ":" in name else name.removesuffix(".")
        is_host = ":" in name or _HOST.fullmatch(name) is not None
    except ValueError as error:  # UnicodeError is one
        raise PictureError("bad-url", f"host {clipped(host)}: {str(error)[:200]}") from error
    if not is_host or "%" in name:
        raise PictureError("bad-url", f"host {clipped(host)}")
    return name


def _host_and_port(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, port = parts.hostname or "", parts.port or 0
        host = _ascii_host(host) if host else ""
    except (PictureError, ValueError) as error:
        what = f"{clipped(text)} is not a host name: {error}."
        raise UserError(what, fix="--allow-host NAME or NAME:PORT") from error
    if not host or parts.path or parts.query:
        raise UserError(f"{clipped(text)} is not a host name.", fix="--allow-host NAME or NAME:PORT")
    return host, port
