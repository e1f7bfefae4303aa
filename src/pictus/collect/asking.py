"""Asks one address after another, politely: how search engines, web pages and sitemaps are read.

One request at a time, `interval_s` apart at one host; Retry-After is kept, and a host that asks for a long
wait is not asked again in this run. Pages of the web are asked for as robots.txt allows. The API of a search
engine is a service made for programs: its own rules hold, not those for crawlers (Wikimedia's robots.txt
closes /w/ to crawlers, while its API's etiquette opens /w/api.php to programs that say who they are).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pictus.collect.addresses import AllowedHosts, Url, parse_url, redirected
from pictus.collect.bodies import Body, retry_after_s
from pictus.collect.causes import is_final
from pictus.collect.http1 import Head, Patience
from pictus.collect.network import Connections, PinnedNetwork
from pictus.collect.reservations import MAX_TDM_BYTES, TDM_TARGET, Reservations, reservations_of
from pictus.collect.robots import MAX_ROBOTS_BYTES, NO_PAGE
from pictus.collect.sayings import ROBOTS, End, Said, Sayings, refusal_of, rules_from
from pictus.errors import PictureError, clipped

MAX_BYTES = 8 << 20
"""Of an answer of a search engine or a web page."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ERROR_BYTES = 4_096  # enough of an error's page to say what it says
_OK = 200
_PAGE = "text/html,application/xml;q=0.9,*/*;q=0.1"
_ROBOTS = "text/plain"
_TDM = "application/json, */*;q=0.1"


@dataclass(frozen=True)
class Manners:
    """How long, how often. A host that asks for more than `max_wait_s` is left alone for this run."""

    interval_s: float = 1.0
    connect_s: float = 10.0
    read_s: float = 15.0  # of silence
    total_s: float = 60.0
    tries: int = 3
    back_off_s: float = 2.0  # doubles with each failure
    max_wait_s: float = 120.0
    redirects: int = 5


class Answer(NamedTuple):
    """What was read. `url`: where it came from in the end. `headers`: names in lower case."""

    url: Url
    headers: Mapping[str, str]
    body: bytes


class ClosedError(PictureError):
    """A host that wants to be left alone for longer than we wait: nothing more is asked of it in this run."""


class Asker:
    """Reads addresses for one run; close it. `clock` tells seconds that only grow; `sleep` waits.

    Hosts of one's `own` are asked without a pause between requests, unless they ask for one.
    """

    def __init__(
        self, network: PinnedNetwork, tls: ssl.SSLContext, *, agent: str, clock: Callable[[], float],
        sleep: Callable[[float], None], own: AllowedHosts, manners: Manners | None = None,
    ) -> None:  # fmt: skip
        self._manners = manners or Manners()
        self._own = own
        self._connections = Connections(network, tls, connect_s=self._manners.connect_s)
        self._agent = agent
        self._clock = clock
        self._sleep = sleep
        self._runner = asyncio.Runner()
        self._next_at: dict[str, float] = {}  # server -> not before
        self._interval_s: dict[str, float] = {}
        self._closed: dict[str, ClosedError] = {}
        self._sayings = Sayings()

    def close(self) -> None:
        """Close every connection."""
        with self._runner as runner:
            runner.run(self._connections.close())

    def service(self, address: str) -> Answer:
        """Ask a search engine's API. PictureError with the cause when it gives no answer."""
        return self._followed(parse_url(address), MAX_BYTES, "application/json", is_page=False)

    def page(self, address: str, max_bytes: int = MAX_BYTES) -> Answer:
        """Ask for a page of the web.

        PictureError `robots`, `robots-ai`, `tdm-reserved` or `opt-out` where its owner does not want that.
        """
        return self._followed(parse_url(address), max_bytes, _PAGE, is_page=True)

    def slow_down(self, address: str, interval_s: float) -> None:
        """Leave this much time between two requests of this address's host."""
        server = parse_url(address).server
        self._interval_s[server] = max(self._interval_s.get(server, 0.0), interval_s)

    def is_own(self, address: str) -> bool:
        """Whether the address's host is one of one's own."""
        url = parse_url(address)
        return (url.host, url.port) in self._own

    def hold(self, address: str, wait_s: float, why: str) -> None:
        """The host of this address asked in its answer to wait; ClosedError when that is too long."""
        self._hold(parse_url(address).server, wait_s, PictureError("busy", why))

    def _followed(self, url: Url, max_bytes: int, accept: str, *, is_page: bool) -> Answer:
        for _ in range(self._manners.redirects + 1):
            cause, detail = self._said_of(url).refusal(url) if is_page else ("", "")
            if cause:
                raise PictureError(cause, detail)
            head, body = self._tried(url, max_bytes, accept)
            if head.status == _OK:
                return Answer(url, head.headers, body)
            url = redirected(url, head.headers["location"])
        raise PictureError("redirect", f"more than {self._manners.redirects}")

    def _tried(self, url: Url, max_bytes: int, accept: str) -> tuple[Head, bytes]:
        """The answer 200 or a redirect, after as many tries as may help."""
        failures = 0
        while True:
            asked_to_wait_s: float | None = None
            self._wait_for_turn(url)
            try:
                head, body = self._exchanged(url, max_bytes, accept)
                if head.status == _OK or (head.status in _REDIRECTS and "location" in head.headers):
                    return head, body
                said = f": {clipped(body, 200)}" if body.strip() else ""
                failure = PictureError(f"http-{head.status}", f"{url.host}{said}")
                asked_to_wait_s = retry_after_s(head.headers)
            except PictureError as error:
                failure = error
            failures += 1
            if is_final(failure.cause) or (asked_to_wait_s is None and failures == self._manners.tries):
                raise failure
            wait_s = max(asked_to_wait_s or 0.0, self._manners.back_off_s * 2.0 ** (failures - 1))
            self._hold(url.server, wait_s, failure)
            if failures == self._manners.tries:
                raise failure

    def _exchanged(self, url: Url, max_bytes: int, accept: str) -> tuple[Head, bytes]:
        fields = {"User-Agent": self._agent, "Accept": accept, "Accept-Encoding": "identity"}
        heads: list[Head] = []

        def judged(head: Head) -> Body:
            heads.append(head)
            is_ok = head.status == _OK
            if is_ok and accept == _PAGE and (refusal := refusal_of(head.pairs, NO_PAGE)):
                raise refusal
            is_cut = not is_ok or accept in (_ROBOTS, _TDM)
            return Body(head.headers, max_bytes if is_ok else _ERROR_BYTES, is_cut=is_cut)

        async def asked() -> tuple[Head, bytes]:
            until = asyncio.get_running_loop().time() + self._manners.total_s
            patience = Patience(self._manners.read_s, self._manners.total_s, until)
            reply = await self._connections.ask(url, fields, judged, patience)
            if reply.error is not None and reply.head.status == _OK:
                raise reply.error
            return reply.head, reply.body

        return self._runner.run(asked())

    def _said_of(self, url: Url) -> Said:
        """What the owner of its origin says: robots.txt, and tdmrep.json where that may be asked for."""
        if said := self._sayings.known(url.origin, self._clock()):
            return said
        rules = rules_from(self._file(url, ROBOTS, MAX_ROBOTS_BYTES, _ROBOTS))
        if rules.crawl_delay_s:
            self.slow_down(url.text, rules.crawl_delay_s)
        reservations = Reservations()  # what cannot be had reserves nothing
        if not rules.cause and rules.allow(_at(url, TDM_TARGET)):
            end = self._file(url, TDM_TARGET, MAX_TDM_BYTES + 1, _TDM)
            reservations = reservations_of(end.status, end.body)
        said = Said(self._clock(), rules, reservations)
        self._sayings.remember(url.origin, said)
        return said

    def _file(self, url: Url, target: str, max_bytes: int, accept: str) -> End:
        """Ask for a file of the origin of `url`; every way to fail is an end too."""
        where, hops, status = _at(url, target), 0, 0
        try:
            for hops in range(self._manners.redirects + 1):
                head, body = self._tried(where, max_bytes, accept)
                if head.status == _OK:
                    return End("ok", "", _OK, body, hops)
                where, status = redirected(where, head.headers["location"]), head.status
        except PictureError as error:
            said = error.cause.removeprefix("http-")
            return End(error.cause, error.detail, int(said) if said.isdigit() else 0, b"", hops)
        return End("redirect", f"more than {self._manners.redirects}", status, b"", hops)

    def _wait_for_turn(self, url: Url) -> None:
        server = url.server
        if server in self._closed:
            raise self._closed[server]
        now = self._clock()
        if (wait_s := self._next_at.get(server, now) - now) > 0:
            self._sleep(wait_s)
        usual_s = 0.0 if (url.host, url.port) in self._own else self._manners.interval_s
        interval_s = max(usual_s, self._interval_s.get(server, 0.0))
        self._next_at[server] = max(now, self._next_at.get(server, now)) + interval_s

    def _hold(self, server: str, wait_s: float, why: PictureError) -> None:
        if wait_s > self._manners.max_wait_s:
            detail = f"{why.detail}; the host asks to wait {wait_s:,.0f} s".removeprefix("; ")
            self._closed[server] = ClosedError(why.cause, detail)
            raise self._closed[server]
        self._next_at[server] = max(self._next_at.get(server, 0.0), self._clock() + wait_s)


def _at(url: Url, target: str) -> Url:
    """Another address of the same origin."""
    return url._replace(text=f"{url.origin}{target}", target=target)
