"""Fetches many addresses at once: politely, safely, and with a cause for each that fails.

The order of things for one address: robots.txt of its origin (once for all its addresses), its
host's turn, the request; a redirect, a retry or a pause puts it back into the schedule. Nothing
here touches the disk; time, randomness and the network come in as arguments.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import httpcore

from pictus.collect.addresses import Url, redirected
from pictus.collect.bodies import headers_of, read_body, retry_after_s
from pictus.collect.causes import GOOD, is_final
from pictus.collect.network import Connections
from pictus.collect.robots import LASTS_S, MAX_ROBOTS_BYTES, Rules, opts_out, rules_of
from pictus.collect.schedule import Schedule
from pictus.errors import PictureError
from pictus.pixels import MAX_BYTES


@dataclass(frozen=True)
class Limits:
    """How long, how much, how often. `per_host` requests at once, started `interval_s` apart."""

    per_host: int = 4
    interval_s: float = 0.2
    connections: int = 64
    connect_s: float = 10.0
    read_s: float = 15.0  # of silence
    total_s: float = 60.0
    tries: int = 3
    back_off_s: float = 1.0  # doubles with each failure
    max_wait_s: float = 300.0  # a host that asks for more is given up for this run
    host_failures: int = 10  # in a row, until a host is given up for this run
    redirects: int = 5
    max_bytes: int = MAX_BYTES
    held_bytes: int = 128 * 2**20  # fetched and not yet taken by the caller


@dataclass(frozen=True, slots=True)
class Job:
    """One address on its way. `order` is its place in the list; etag and last_modified make it conditional."""

    order: int
    address: str
    url: Url
    etag: str = ""
    last_modified: str = ""
    hops: int = 0
    failures: int = 0
    tries: int = 0
    elapsed_s: float = 0.0
    is_robots: bool = False


class Fetched(NamedTuple):
    """How one address ended. `image_bytes` is empty unless the cause is ok."""

    order: int
    address: str
    cause: str
    detail: str
    image_bytes: bytes
    status: int
    tries: int
    elapsed_s: float
    etag: str
    last_modified: str


class _Answer(NamedTuple):
    cause: str
    detail: str = ""
    status: int = 0
    body: bytes = b""
    etag: str = ""
    last_modified: str = ""
    retry_after_s: float | None = None
    location: Url | None = None


_log = logging.getLogger(__name__)
_NO_ANSWER = frozenset({"dns", "refused", "unreachable", "timeout", "tls", "disconnected", "protocol"})
_DRAINED_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Fetcher:
    """One run. `clock` tells seconds that only grow; `chance` spreads the retries."""

    def __init__(
        self, limits: Limits, network: httpcore.AsyncNetworkBackend, *, agent: str, tls: ssl.SSLContext,
        clock: Callable[[], float], chance: random.Random,
    ) -> None:  # fmt: skip
        self._limits = limits
        self._open = Connections(network, tls)
        self._agent = agent
        self._clock = clock
        self._chance = chance
        self._schedule: Schedule[Job] = Schedule(limits.per_host, limits.interval_s)
        self._rules: dict[str, tuple[float, Rules]] = {}  # origin -> when read, what it says
        self._parked: dict[str, list[Job]] = {}  # origin -> jobs that wait for its robots.txt
        self._failed_in_a_row: dict[str, int] = {}
        self._results: asyncio.Queue[Fetched | None] = asyncio.Queue()
        self._held_bytes = 0
        self._running = 0
        self._wake = asyncio.Event()

    async def run(self, jobs: Iterable[Job]) -> AsyncGenerator[Fetched, None]:
        """Every job's end, in the order in which they end. Close it (`aclosing`) to stop early."""
        dispatcher = asyncio.create_task(self._dispatch(jobs))
        dispatcher.add_done_callback(lambda _: self._results.put_nowait(None))
        try:
            while (result := await self._results.get()) is not None:
                self._held_bytes -= len(result.image_bytes)
                self._wake.set()
                yield result
            await dispatcher
        finally:
            dispatcher.cancel()
            await asyncio.gather(dispatcher, return_exceptions=True)
            await self._open.close()

    async def _dispatch(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._admit(job)
        limits, loop = self._limits, asyncio.get_running_loop()
        async with asyncio.TaskGroup() as visits:
            while self._schedule.open:
                self._wake.clear()
                while has_room := self._running < limits.connections and self._held_bytes < limits.held_bytes:
                    taken = self._schedule.take(self._clock())
                    if taken is None:
                        break
                    self._running += 1
                    visits.create_task(self._visit(*taken))
                wait_s = self._schedule.wait_s(self._clock()) if has_room else None
                alarm = loop.call_later(wait_s, self._wake.set) if wait_s is not None else None
                await self._wake.wait()
                if alarm:
                    alarm.cancel()

    def _admit(self, job: Job) -> None:
        """Into the schedule if its origin's robots.txt is known and allows it; else wait for that, or end."""
        origin = job.url.origin
        rules = self._known_rules(origin)
        if rules is None:
            waiting = self._parked.setdefault(origin, [])
            waiting.append(job)
            if len(waiting) == 1:
                url = job.url._replace(text=f"{origin}/robots.txt", target="/robots.txt")
                self._schedule.add(url.server, Job(-1, origin, url, is_robots=True), -1)
        elif rules.allow(job.url):
            self._schedule.add(job.url.server, job, job.order)
        elif rules.cause:
            self._finish(job, _Answer(rules.cause, rules.detail))
        else:
            self._finish(job, _Answer("robots", f"{origin}/robots.txt"))

    def _known_rules(self, origin: str) -> Rules | None:
        read_at, rules = self._rules.get(origin, (0.0, None))
        return rules if self._clock() - read_at <= LASTS_S else None

    async def _visit(self, host: str, job: Job) -> None:
        """One turn of one job; the schedule and the dispatcher hear of its end whatever happens."""
        try:
            if job.is_robots or self._known_rules(job.url.origin):
                await self._request_once(host, job)
            else:
                self._admit(job)  # its robots.txt has grown old while it waited
        except Exception as error:  # noqa: BLE001  one address must not cost what the others brought
            self._break_off(job, error)
        finally:
            self._schedule.done(host)
            self._running -= 1
            self._wake.set()

    def _break_off(self, job: Job, error: Exception) -> None:
        """A bug of ours ends the addresses it concerns, told loudly, and not the thousands of others."""
        _log.error("unexpected, while fetching %s", job.address, exc_info=error)
        answer = _Answer("error", f"{type(error).__name__}: {error}")
        if job.is_robots:
            self._rules[job.address] = self._clock(), Rules(None, answer.cause, answer.detail)
            for parked in self._parked.pop(job.address, []):
                self._finish(parked, answer)
        else:
            self._finish(replace(job, tries=job.tries + 1), answer)

    async def _request_once(self, host: str, job: Job) -> None:
        """One request, and what follows from its answer."""
        started = self._clock()
        answer = await self._ask(job)
        now = self._clock()
        job = replace(job, tries=job.tries + 1, elapsed_s=job.elapsed_s + now - started)
        self._count_failure(host, answer)
        wait_s = self._wait_s(job, answer)
        if answer.location is not None and job.hops < self._limits.redirects:
            self._follow(replace(job, url=answer.location, hops=job.hops + 1))
        elif answer.location is not None:
            self._end(job, _Answer("redirect", f"more than {self._limits.redirects}", answer.status))
        elif wait_s is not None and wait_s <= self._limits.max_wait_s:
            if answer.retry_after_s is not None:
                self._schedule.pause(host, now + wait_s)
            self._schedule.add(host, replace(job, failures=job.failures + 1), job.order, now + wait_s)
        else:
            self._end(job, answer)
        if wait_s is not None and wait_s > self._limits.max_wait_s:
            self._give_up(host, answer, f"the host asks to wait {wait_s:,.0f} s")
        elif self._failed_in_a_row.get(host, 0) >= self._limits.host_failures:
            self._give_up(host, answer, f"the host failed {self._limits.host_failures} times in a row")

    def _wait_s(self, job: Job, answer: _Answer) -> float | None:
        """How long to wait before the next try, None when there is none."""
        if answer.cause in GOOD or answer.location is not None or is_final(answer.cause):
            return None
        if answer.retry_after_s is not None and answer.retry_after_s > self._limits.max_wait_s:
            return answer.retry_after_s
        if job.failures + 1 >= self._limits.tries:
            return None
        back_off_s = self._limits.back_off_s * 2.0**job.failures * self._chance.uniform(0.5, 1.5)
        return max(back_off_s, answer.retry_after_s or 0.0)

    def _follow(self, job: Job) -> None:
        if job.is_robots:
            self._schedule.add(job.url.server, job, job.order)
        else:
            self._admit(job)

    def _end(self, job: Job, answer: _Answer) -> None:
        if not job.is_robots:
            self._finish(job, answer)
            return
        origin = job.address
        rules = _rules_from(job, answer)
        self._rules[origin] = self._clock(), rules
        if rules.crawl_delay_s:
            server = self._parked[origin][0].url.server
            self._schedule.slow_down(server, rules.crawl_delay_s)
            self._schedule.pause(server, self._clock() + rules.crawl_delay_s)
        for parked in self._parked.pop(origin, []):
            try:
                self._admit(parked)
            except Exception as error:  # noqa: BLE001  the others of its host still wait
                self._break_off(parked, error)

    def _finish(self, job: Job, answer: _Answer) -> None:
        detail = answer.detail
        if job.hops:
            detail = f"{detail}; " * bool(detail) + f"redirected to {job.url.text}"
        body = answer.body if answer.cause == "ok" else b""
        self._held_bytes += len(body)
        self._results.put_nowait(
            Fetched(
                job.order, job.address, answer.cause, detail[:500], body, answer.status, job.tries,
                round(job.elapsed_s, 3), answer.etag, answer.last_modified,
            )
        )  # fmt: skip

    def _count_failure(self, host: str, answer: _Answer) -> None:
        failed = answer.cause in _NO_ANSWER
        self._failed_in_a_row[host] = self._failed_in_a_row.get(host, 0) + 1 if failed else 0

    def _give_up(self, host: str, answer: _Answer, reason: str) -> None:
        for job in self._schedule.drop(host):
            self._end(job, _Answer(answer.cause, f"not asked: {reason}", answer.status))

    async def _ask(self, job: Job) -> _Answer:
        """One request -> its answer; every way to fail is an answer too."""
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._exchange(job)
        except PictureError as error:
            return _Answer(error.cause, error.detail)
        except (TimeoutError, httpcore.TimeoutException) as error:
            stage = type(error).__name__.removesuffix("Timeout").lower()
            limit = {"connect": self._limits.connect_s, "read": self._limits.read_s}.get(stage, self._limits.total_s)
            return _Answer("timeout", f"nothing for {limit:g} s" if stage == "read" else f"over {limit:g} s")
        except httpcore.ConnectError as error:
            return _Answer(_why_not_connected(error), str(error)[:200])
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            is_hung_up = isinstance(error, httpcore.NetworkError) or "disconnected" in str(error)
            return _Answer("disconnected" if is_hung_up else "protocol", str(error)[:200])
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            return _Answer("protocol", str(error)[:200])

    async def _exchange(self, job: Job) -> _Answer:
        try:
            response = await self._open.send(job.url, self._request(job))
            try:
                return await self._read(job, response)
            finally:
                await response.aclose()
        finally:
            await self._open.done(job.url)

    def _request(self, job: Job) -> httpcore.Request:
        url, limits = job.url, self._limits
        place = f"[{url.host}]" if ":" in url.host else url.host
        default_port = {"http": 80, "https": 443}[url.scheme]
        headers = [
            ("host", place if url.port == default_port else f"{place}:{url.port}"),
            ("user-agent", self._agent),
            ("accept", "text/plain" if job.is_robots else "image/*,*/*;q=0.1"),
            ("accept-encoding", "identity"),
        ]
        headers += [("if-none-match", job.etag)] if job.etag else []
        headers += [("if-modified-since", job.last_modified)] if job.last_modified else []
        timeout = {"connect": limits.connect_s, "read": limits.read_s, "write": limits.read_s, "pool": limits.total_s}
        return httpcore.Request(
            "GET",
            httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=[(name, value.encode("latin-1", "replace")) for name, value in headers],
            extensions={"timeout": timeout},
        )

    async def _read(self, job: Job, response: httpcore.Response) -> _Answer:
        headers, status = headers_of(response.headers), response.status
        if status in _REDIRECTS and "location" in headers:
            await _drain(response)
            return _Answer("redirect", "", status, location=redirected(job.url, headers["location"]))
        if status == 304 and (job.etag or job.last_modified):  # noqa: PLR2004  not modified
            etag, last_modified = headers.get("etag", job.etag), headers.get("last-modified", job.last_modified)
            return _Answer("unchanged", "", status, etag=etag, last_modified=last_modified)
        if status != 200:  # noqa: PLR2004  OK
            await _drain(response)
            return _Answer(f"http-{status}", "", status, retry_after_s=retry_after_s(headers))
        tags = [value.decode("latin-1") for name, value in response.headers if name.lower() == b"x-robots-tag"]
        if not job.is_robots and opts_out(tags):
            return _Answer("opt-out", f"X-Robots-Tag: {', '.join(tags)[:200]}", status)
        return await self._read_body(job, response, headers)

    async def _read_body(self, job: Job, response: httpcore.Response, headers: dict[str, str]) -> _Answer:
        status, max_bytes = response.status, MAX_ROBOTS_BYTES if job.is_robots else self._limits.max_bytes
        try:
            body = await read_body(response.aiter_stream(), headers, max_bytes, is_cut=job.is_robots)
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            return _Answer("truncated", str(error)[:200], status)
        except PictureError as error:
            return _Answer(error.cause, error.detail, status)
        return _Answer("ok", "", status, body, headers.get("etag", ""), headers.get("last-modified", ""))


def _rules_from(job: Job, answer: _Answer) -> Rules:
    """What the end of a request for robots.txt means for its origin."""
    if answer.cause == "ok" or answer.cause.startswith("http-"):
        return rules_of(answer.status, answer.body)
    if answer.cause == "redirect":
        return Rules(None)  # RFC 9309 section 2.3.1.2: after five it counts as not there
    if answer.cause in {*_NO_ANSWER, "private-address"} and not job.hops:
        return Rules(None, answer.cause, answer.detail)  # so would every picture of this origin fail
    return Rules(None, "robots-unreachable", f"{answer.cause} {answer.detail}".strip())


async def _drain(response: httpcore.Response) -> None:
    """Read a short error page to its end, so that the connection can be used again."""
    received = 0
    async for chunk in response.aiter_stream():
        received += len(chunk)
        if received > _DRAINED_BYTES:
            return


def _why_not_connected(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return "tls"
        if isinstance(seen, OSError) and seen.errno == errno.ECONNREFUSED:
            return "refused"
        seen = seen.__cause__ or seen.__context__
    return "refused" if "refused" in str(error).lower() else "unreachable"
