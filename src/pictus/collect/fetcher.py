"""Fetches many addresses at once: politely, safely, and with a cause for each that fails.

The order of things for one address: robots.txt and tdmrep.json of its origin (once for all its
addresses), its host's turn, the request; a redirect, a retry or a pause puts it back into the
schedule. Nothing here touches the disk; time, randomness and the network come in as arguments.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pictus.collect.addresses import Url, redirected
from pictus.collect.bodies import Body, Look, retry_after_s
from pictus.collect.causes import GOOD, NO_ANSWER, is_final
from pictus.collect.http1 import Head, Patience, Reply
from pictus.collect.memory import Memory, Share
from pictus.collect.network import Connections, PinnedNetwork
from pictus.collect.pace import Pace
from pictus.collect.reservations import MAX_TDM_BYTES, TDM_TARGET, reservations_of
from pictus.collect.robots import LASTS_S, MAX_ROBOTS_BYTES, Rules
from pictus.collect.sayings import ROBOTS, End, Said, Sayings, refusal_of, rules_from
from pictus.collect.schedule import Schedule
from pictus.errors import PictureError
from pictus.pixels import MAX_BYTES


@dataclass(frozen=True)
class Limits:
    """How long, how much, how often. `per_host` requests at once, started `interval_s` apart."""

    per_host: int = 4
    interval_s: float = 0.2
    connections: int = 2_000  # at most; how many there are is found out while fetching
    connect_s: float = 10.0
    read_s: float = 15.0  # of silence
    total_s: float = 60.0
    tries: int = 3
    back_off_s: float = 1.0  # doubles with each failure
    max_wait_s: float = 300.0  # a host that asks for more is given up for this run
    host_failures: int = 10  # in a row, until a host is given up for this run
    redirects: int = 5
    max_bytes: int = MAX_BYTES
    held_bytes: int = 32 * 2**20  # fetched and not yet taken by the caller: beyond it nothing new is started
    memory_bytes: int = 256 * 2**20  # of all pictures that are held or on their way


class Job(NamedTuple):
    """One address on its way. `order` is its place in the list; etag and last_modified make it conditional.

    `about`: the file of its origin that it asks for, and then `address` is that origin; "" for a picture.
    `read_at`: when what allows it was read.
    """

    order: int
    address: str
    url: Url
    etag: str = ""
    last_modified: str = ""
    hops: int = 0
    failures: int = 0
    tries: int = 0
    elapsed_s: float = 0.0
    about: str = ""
    read_at: float = -math.inf


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
    rules: Rules | None = None  # of a robots.txt that was read already


class _GivenUp(NamedTuple):
    """A host that is asked for nothing before `until`, and how its addresses end."""

    until: float
    answer: _Answer


_log = logging.getLogger(__name__)
_ACCEPTED = {ROBOTS: "text/plain", TDM_TARGET: "application/json"}
_DRAINED_BYTES = 64 * 1024
_SLICE = 256
_SLICE_S = 0.01
_LONG_ROBOTS_BYTES = 16 * 1024  # a longer one is read in a thread: 500 KiB may take a second
_FAILING_HOSTS = 100_000  # remembered
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Fetcher:
    """One run. `clock` tells seconds that only grow; `chance` spreads the retries; `look` may refuse by first bytes.

    `own`: the servers that are this run's to ask; addresses led to another one end in `strays`, for whoever has it.
    """

    def __init__(
        self, limits: Limits, network: PinnedNetwork, *, agent: str, tls: ssl.SSLContext,
        clock: Callable[[], float], chance: random.Random, look: Look | None = None,
        own: frozenset[str] | None = None,
    ) -> None:  # fmt: skip
        self._limits = limits
        self.memory = Memory(limits.memory_bytes, limits.max_bytes, limits.held_bytes)
        self._open = Connections(network, tls, connect_s=limits.connect_s, memory=self.memory)
        self._look = look
        self._own = own
        self.strays: list[Job] = []
        self._agent = agent
        self._clock = clock
        self._chance = chance
        self._schedule: Schedule[Job] = Schedule(limits.per_host, limits.interval_s)
        self._sayings = Sayings()
        self._read: dict[str, Rules] = {}  # origin -> its robots.txt, while its tdmrep.json is asked for
        self._parked: dict[str, list[Job]] = {}  # origin -> jobs that wait for these
        self._failed_in_a_row: OrderedDict[str, int] = OrderedDict()
        self._given_up: dict[str, _GivenUp] = {}
        self._ended: list[Fetched] = []  # not yet taken by the caller
        self._pace = Pace(limits.connections)
        self._running = 0
        self._admitting = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._is_done = asyncio.Event()

    async def run(self, jobs: Iterable[Job]) -> AsyncGenerator[Fetched, None]:
        """Every job's end, in the order in which they end. Close it (`aclosing`) to stop early."""
        async with aclosing(self.batches(jobs)) as batches:
            async for batch in batches:
                for result in batch:
                    yield result

    async def batches(self, jobs: Iterable[Job]) -> AsyncGenerator[list[Fetched], None]:
        """As `run`, all that ended meanwhile at once. A batch counts as held until the next is asked for."""
        visits = asyncio.create_task(self._visit_all(jobs))
        visits.add_done_callback(lambda _: self._news.set())
        try:
            while not visits.done() or self._ended:
                await self._news.wait()
                self._news.clear()
                batch, self._ended = self._ended, []
                if batch:
                    yield batch
                    self.memory.give_back(sum(len(result.image_bytes) for result in batch))
                    self._start()
                if visits.done():
                    self._news.set()
            await visits
        finally:
            visits.cancel()
            await asyncio.gather(visits, return_exceptions=True)
            if self._alarm:
                self._alarm.cancel()
            await self._open.close()

    async def _visit_all(self, jobs: Iterable[Job]) -> None:
        self._admitting += 1
        async with asyncio.TaskGroup() as self._visits:
            await self._admit_all(jobs)
            await self._is_done.wait()

    async def _admit_all(self, jobs: Iterable[Job], said: Said | None = None) -> None:
        """In slices: a million addresses, or rules that take long to look through, must not keep those waiting that
        are on their way. Counted by the caller.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number, job in enumerate(jobs, start=1):
            self._admit_safely(job, said)
            if number % _SLICE == 0 or loop.time() - begun > _SLICE_S:
                self._start()
                await asyncio.sleep(0)
                begun = loop.time()
        self._admitting -= 1
        self._start()

    def _start(self) -> None:
        """Start what may start now, and an alarm for what may start later."""
        while self._has_room and (taken := self._schedule.take(self._clock())):
            self._running += 1
            self._visits.create_task(self._visit_many(*taken))
        if not self._schedule.open and not self._admitting:
            self._is_done.set()
        if not self._has_room or (wait_s := self._schedule.wait_s(self._clock())) is None:
            return
        loop = asyncio.get_running_loop()
        if self._alarm and not self._alarm.cancelled() and loop.time() < self._alarm.when() <= loop.time() + wait_s:
            return  # it rings early enough, and then sets the next one
        if self._alarm:
            self._alarm.cancel()
        self._alarm = loop.call_later(wait_s, self._start)

    @property
    def _has_room(self) -> bool:
        return self._running < self._pace.limit and not self.memory.is_used_up

    async def _visit_many(self, host: str, job: Job) -> None:
        """One visit after the other, as long as one may start; a task for each would cost more than its turn."""
        taken: tuple[str, Job] | None = (host, job)
        while taken:
            await self._visit(*taken)
            self._running -= 1
            taken = self._schedule.take(self._clock()) if self._has_room else None
            self._running += taken is not None
            self._start()  # the visit may have brought a retry, or addresses of another host

    def _admit(self, job: Job, said: Said | None = None) -> None:
        """Into the schedule if what its origin says is known and allows it; else wait for that, or end."""
        origin, server = job.url.origin, job.url.server
        if refused := self._refused_by(server):
            self._finish(job, refused)
            return
        said = said or self._sayings.known(origin, self._clock())
        if said is None:
            waiting = self._parked.setdefault(origin, [])
            waiting.append(job)
            if len(waiting) == 1:
                self._ask_about(job.url, ROBOTS)
            return
        cause, detail = said.refusal(job.url)
        if cause:
            self._finish(job, _Answer(cause, detail))
        else:
            self._schedule.add(server, job._replace(read_at=said.read_at), job.order)
            if delay_s := said.rules.crawl_delay_s:
                self._schedule.slow_down(server, delay_s)

    def _ask_about(self, url: Url, target: str) -> None:
        """Ask the origin of `url` for one of its files, before its pictures."""
        asked = url._replace(text=f"{url.origin}{target}", target=target)
        self._ask_later(Job(-1, url.origin, asked, about=target))

    def _ask_later(self, job: Job, not_before: float = 0.0) -> None:
        """Into the schedule, unless its host was given up meanwhile."""
        if refused := self._refused_by(job.url.server):
            self._end(job, refused)
        else:
            self._schedule.add(job.url.server, job, job.order, not_before)

    def _refused_by(self, server: str) -> _Answer | None:
        """How an address ends whose host was given up, None where it was not."""
        given_up = self._given_up.get(server)
        return given_up.answer if given_up and self._clock() < given_up.until else None

    async def _visit(self, host: str, job: Job) -> None:
        """One turn of one job; the schedule and the dispatcher hear of its end whatever happens."""
        share = Share(self.memory)
        try:
            if job.about or self._clock() - job.read_at <= LASTS_S:
                await self._request_once(host, job, share)
            else:
                self._admit(job)  # its robots.txt has grown old while it waited
        except Exception as error:  # noqa: BLE001  one address must not cost what the others brought
            self._break_off(job, error)
        finally:
            share.leave()
            self._schedule.done(host)

    def _admit_safely(self, job: Job, said: Said | None) -> None:
        try:
            self._admit(job, said)
        except Exception as error:  # noqa: BLE001  as in a visit
            self._break_off(job, error)

    def _break_off(self, job: Job, error: Exception) -> None:
        """A bug of ours ends the addresses it concerns, told loudly, and not the thousands of others."""
        _log.error("unexpected, while fetching %s", job.address, exc_info=error)
        answer = _Answer("error", f"{type(error).__name__}: {error}")
        if job.about:
            self._sayings.remember(job.address, Said(self._clock(), Rules(None, answer.cause, answer.detail)))
            for parked in self._parked.pop(job.address, []):
                self._finish(parked, answer)
        else:
            self._finish(job._replace(tries=job.tries + 1), answer)

    async def _request_once(self, host: str, job: Job, share: Share) -> None:
        """One request, and what follows from its answer."""
        started = self._clock()
        answer = await self._ask(job, share)
        now = self._clock()
        if job.about == ROBOTS and len(answer.body) > _LONG_ROBOTS_BYTES:
            answer = answer._replace(rules=await asyncio.to_thread(rules_from, _end_of(job, answer)))
        job = job._replace(tries=job.tries + 1, elapsed_s=job.elapsed_s + now - started)
        self._count_failure(host, answer)
        self._pace.ended(now, is_failure=answer.cause in NO_ANSWER, running=self._running)
        wait_s = self._wait_s(job, answer)
        if answer.location is not None and job.hops < self._limits.redirects:
            self._follow(job._replace(url=answer.location, hops=job.hops + 1))
        elif answer.location is not None:
            self._end(job, _Answer("redirect", f"more than {self._limits.redirects}", answer.status))
        elif wait_s is not None and wait_s <= self._limits.max_wait_s:
            if answer.retry_after_s is not None:
                self._schedule.pause(host, now + wait_s)
            self._ask_later(job._replace(failures=job.failures + 1), now + wait_s)
        else:
            self._end(job, answer)
        if wait_s is not None and wait_s > self._limits.max_wait_s:
            self._give_up(host, answer, f"the host asks to wait {wait_s:,.0f} s", wait_s)
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
        if job.about:
            self._ask_later(job)
        elif self._own is not None and job.url.server not in self._own:
            self.strays.append(job)
        else:
            self._admit(job)

    def _end(self, job: Job, answer: _Answer) -> None:
        if not job.about:
            self._finish(job, answer)
            return
        origin, url = job.address, self._parked[job.address][0].url
        if job.about == TDM_TARGET:
            reservations = reservations_of(answer.status if answer.cause == "ok" else 0, answer.body)
            self._settle(origin, Said(self._clock(), self._read.pop(origin), reservations))
            return
        rules = answer.rules or rules_from(_end_of(job, answer))
        if rules.crawl_delay_s:
            self._schedule.slow_down(url.server, rules.crawl_delay_s)
            self._schedule.pause(url.server, self._clock() + rules.crawl_delay_s)
        if not rules.cause and rules.allow(url._replace(text=f"{origin}{TDM_TARGET}", target=TDM_TARGET)):
            self._read[origin] = rules
            self._ask_about(url, TDM_TARGET)
        else:
            self._settle(origin, Said(self._clock(), rules))

    def _settle(self, origin: str, said: Said) -> None:
        """What an origin says is known: what waited for it goes on."""
        self._sayings.remember(origin, said)
        self._admitting += 1
        self._visits.create_task(self._admit_all(self._parked.pop(origin, []), said))

    def _finish(self, job: Job, answer: _Answer) -> None:
        detail = answer.detail
        if job.hops:
            detail = "; ".join(filter(None, (detail, f"redirected to {job.url.text}")))
        body = answer.body if answer.cause == "ok" else b""
        self.memory.hold(len(body))
        self._news.set()
        self._ended.append(
            Fetched(
                job.order, job.address, answer.cause, detail[:500], body, answer.status, job.tries,
                round(job.elapsed_s, 3), answer.etag, answer.last_modified,
            )
        )  # fmt: skip

    def _count_failure(self, host: str, answer: _Answer) -> None:
        failures = self._failed_in_a_row.pop(host, 0)
        if answer.cause in NO_ANSWER:
            self._failed_in_a_row[host] = failures + 1
            if len(self._failed_in_a_row) > _FAILING_HOSTS:
                self._failed_in_a_row.popitem(last=False)

    def _give_up(self, host: str, answer: _Answer, reason: str, for_s: float = math.inf) -> None:
        """Nothing more is asked of it: neither what waits nor what comes later."""
        refused = _Answer(answer.cause, f"not asked: {reason}", answer.status)
        self._given_up[host] = _GivenUp(self._clock() + for_s, refused)
        for job in self._schedule.drop(host):
            self._end(job, refused)

    async def _ask(self, job: Job, share: Share) -> _Answer:
        """One request -> its answer; every way to fail is an answer too."""
        limits, loop = self._limits, asyncio.get_running_loop()
        patience = Patience(limits.read_s, limits.total_s, loop.time() + limits.total_s)
        try:
            reply = await self._open.ask(job.url, self._fields(job), partial(self._judge, job, share), patience)
            return _answer_of(job, reply)
        except PictureError as error:
            return _Answer(error.cause, error.detail)

    def _fields(self, job: Job) -> dict[str, str]:
        fields = {
            "user-agent": self._agent,
            "accept": _ACCEPTED.get(job.about, "image/*,*/*;q=0.1"),
            "accept-encoding": "identity",
        }
        if job.etag.isprintable() and job.etag:
            fields["if-none-match"] = job.etag
        if job.last_modified.isprintable() and job.last_modified:
            fields["if-modified-since"] = job.last_modified
        return fields

    def _judge(self, job: Job, share: Share, head: Head) -> Body:
        """Where the body of an answer goes, or why it is refused: decided when its header is there."""
        if head.status != 200:  # noqa: PLR2004  OK
            return Body(head.headers, _DRAINED_BYTES, is_cut=True, share=share)
        if job.about:
            most = MAX_ROBOTS_BYTES if job.about == ROBOTS else MAX_TDM_BYTES + 1
            return Body(head.headers, most, is_cut=True, share=share)
        if refusal := refusal_of(head.pairs):
            raise refusal
        return Body(head.headers, self._limits.max_bytes, look=self._look, share=share)


def _answer_of(job: Job, reply: Reply) -> _Answer:
    (status, headers, pairs, _), body, error = reply
    if status in _REDIRECTS and "location" in headers:
        return _Answer("redirect", "", status, location=redirected(job.url, headers["location"]))
    if status == 304 and (job.etag or job.last_modified):  # noqa: PLR2004  not modified
        if refusal := refusal_of(pairs):
            return _Answer(refusal.cause, refusal.detail, status)
        etag, last_modified = headers.get("etag", job.etag), headers.get("last-modified", job.last_modified)
        return _Answer("unchanged", "", status, etag=etag, last_modified=last_modified)
    if status != 200:  # noqa: PLR2004  OK
        return _Answer(f"http-{status}", "", status, retry_after_s=retry_after_s(headers))
    if error is not None:
        return _Answer(error.cause, error.detail, status)
    return _Answer("ok", "", status, body, headers.get("etag", ""), headers.get("last-modified", ""))


def _end_of(job: Job, answer: _Answer) -> End:
    """How a request for robots.txt ended, as what an owner says is told."""
    return End(answer.cause, answer.detail, answer.status, answer.body, job.hops)
