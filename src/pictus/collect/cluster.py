"""`collect fetch --engine ray`: workers ask the hosts, the driver alone records.

All addresses of one server lie with one task at a time, so that what holds for a host on one machine (rate,
robots.txt, back-off) holds for it on the cluster. A redirect to a server of another task comes back to the driver,
which gives it to whoever has that server next. What ends streams back in small batches, few ahead, so that memory
stays flat; a task that dies is begun again with those of its addresses that had not ended.
"""

from __future__ import annotations

import asyncio
import heapq
import queue
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pictus.clusters import joined
from pictus.collect.addresses import AllowedHosts
from pictus.collect.fetching import NAME_THREADS, files_for, open_fetcher, resized
from pictus.errors import UserError

if TYPE_CHECKING:
    from pictus.collect.fetcher import Fetched, Job, Limits
    from pictus.collect.fetching import OpenNetwork

MAX_DEATHS = 5
"""Of tasks with the same host, then the run ends: something there kills workers."""

BATCH_BYTES = 8 * 2**20
BATCH_RESULTS = 1_000
_AHEAD = 2  # batches of a task that the driver has not taken
_HELD_BYTES = 32 * 2**20  # fetched and not handed over, of a task
_REST_S = 1.0  # between two tasks with the same server: redirects to it gather meanwhile
_WAIT_S = 0.1


@dataclass(frozen=True)
class Way:
    """How a worker asks; travels to it. `network` is called there."""

    agent: str
    allowed: AllowedHosts
    limits: "Limits"
    short_side: int
    network: "OpenNetwork"


class News(NamedTuple):
    """What a task has to tell: addresses that ended, and those led to servers that are not its own."""

    ended: "list[Fetched]"
    strays: "list[Job]"


@dataclass
class _Part:
    stream: Any  # ray.ObjectRefGenerator of News
    left: "dict[int, Job]"  # by order
    servers: frozenset[str]


def fetched(jobs: "Iterable[Job]", way: Way, workers: int) -> "Generator[Sequence[Fetched], None, None]":
    """Every job's end, each once, whatever dies on the way; in batches, in no order."""
    waiting: dict[str, list[Job]] = {}
    for job in jobs:
        waiting.setdefault(job.url.server, []).append(job)
    if waiting:
        with joined(workers) as (ray, cpus), closing(_Driver(ray, cpus, way, waiting).run()) as batches:
            yield from batches


class _Driver:
    def __init__(self, ray: Any, slots: int, way: Way, waiting: "dict[str, list[Job]]") -> None:  # noqa: ANN401  a module
        self._ray = ray
        self._slots = slots
        self._way = ray.put(way)
        self._task = ray.remote(
            num_cpus=1, max_retries=0, num_returns="streaming", _generator_backpressure_num_objects=_AHEAD,
            scheduling_strategy="SPREAD",
        )(ask)  # fmt: skip
        self._waiting = waiting
        self._parts: list[_Part] = []
        self._rests: dict[str, float] = {}  # server -> until when
        self._deaths = Counter[str]()

    def run(self) -> "Generator[Sequence[Fetched], None, None]":
        try:
            while self._waiting or self._parts:
                self._begin()
                if not self._parts:
                    time.sleep(_WAIT_S)  # every server that waits rests
                    continue
                ready, _ = self._ray.wait([part.stream for part in self._parts], num_returns=1, timeout=_WAIT_S)
                for part in [part for part in self._parts if any(part.stream is one for one in ready)]:
                    yield from self._hear(part)
        finally:
            for part in self._parts:
                self._ray.cancel(part.stream, force=False)

    def _begin(self) -> None:
        """Deal the servers that may be asked out to the free slots, the longest list first."""
        free = self._slots - len(self._parts)
        if not free or not self._waiting:
            return
        busy = frozenset[str]().union(*(part.servers for part in self._parts))
        now = time.monotonic()
        ready = [server for server in self._waiting if server not in busy and self._rests.get(server, 0.0) <= now]
        for servers in dealt({server: len(self._waiting[server]) for server in ready}, free):
            jobs = [job for server in servers for job in self._waiting.pop(server)]
            stream = self._task.remote(self._way, frozenset(servers), jobs)
            self._parts.append(_Part(stream, {job.order: job for job in jobs}, frozenset(servers)))

    def _hear(self, part: _Part) -> "Iterator[Sequence[Fetched]]":
        errors = self._ray.exceptions
        try:
            news: News = self._ray.get(next(part.stream))
        except StopIteration:
            self._end(part)
        except errors.RayTaskError:
            raise  # a bug of ours, or words for the user
        except errors.RayError as error:
            self._lose(part, error)
        else:
            for job in news.strays:
                if part.left.pop(job.order, None):
                    self._waiting.setdefault(job.url.server, []).append(job)
            if ended := [one for one in news.ended if part.left.pop(one.order, None)]:
                yield ended

    def _lose(self, part: _Part, error: Exception) -> None:
        """Its worker or node died: the servers it had are asked again, for what had not ended."""
        self._deaths.update(part.servers)
        if any(self._deaths[server] >= MAX_DEATHS for server in part.servers):
            named = ", ".join(sorted(part.servers)[:3])
            raise UserError(
                f"{MAX_DEATHS} workers died while they asked {named} ({type(error).__name__})."
                " What was recorded is safe.",
                fix="run the same command again: it continues where it stopped; if it happens again, without --engine",
            )
        self._end(part)

    def _end(self, part: _Part) -> None:
        self._parts.remove(part)
        until = time.monotonic() + _REST_S
        self._rests |= dict.fromkeys(part.servers, until)
        for job in part.left.values():
            self._waiting.setdefault(job.url.server, []).append(job)


def dealt(sizes: dict[str, int], hands: int) -> list[list[str]]:
    """Names dealt out to at most so many hands, the largest first, each to the hand that holds least."""
    heap = [(0, number) for number in range(min(hands, len(sizes)))]
    given: list[list[str]] = [[] for _ in heap]
    for name in sorted(sizes, key=lambda name: -sizes[name]) if heap else ():
        held, number = heap[0]
        given[number].append(name)
        heapq.heapreplace(heap, (held + sizes[name], number))
    return given


def ask(way: Way, servers: frozenset[str], jobs: "list[Job]") -> Iterator[News]:
    """What a worker runs. The network has a thread of its own: it goes on while a batch waits to be taken."""
    handed: queue.Queue[News | BaseException | None] = queue.Queue(1)
    is_over = threading.Event()

    def hand(news: News | BaseException | None) -> None:
        while not is_over.is_set():
            try:
                handed.put(news, timeout=_WAIT_S)
            except queue.Full:
                continue  # the driver takes its time: so does the network
            return

    def fetch() -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # Ray's workers prefer another kind
                runner.run(_fetch(way, servers, jobs, hand))
            hand(None)
        except BaseException as error:  # noqa: BLE001  raised again where it is heard
            hand(error)

    thread = threading.Thread(target=fetch, name="network", daemon=True)
    thread.start()
    try:
        while (news := handed.get()) is not None:
            if isinstance(news, BaseException):
                raise news
            yield from _in_pieces(News([resized(one, way.short_side) for one in news.ended], news.strays))
    finally:
        is_over.set()


async def _fetch(way: Way, servers: frozenset[str], jobs: "list[Job]", hand: Any) -> None:  # noqa: ANN401  a function
    connections = min(way.limits.connections, files_for(way.limits.connections))
    limits = replace(way.limits, connections=connections, held_bytes=min(way.limits.held_bytes, _HELD_BYTES))
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(NAME_THREADS, thread_name_prefix="names") as names:
        fetcher = open_fetcher(way.agent, limits, way.network(names, way.allowed), servers)
        async with aclosing(fetcher.batches(jobs)) as batches:
            async for batch in batches:
                strays, fetcher.strays = fetcher.strays, []
                await loop.run_in_executor(None, hand, News(batch, strays))
        if fetcher.strays:
            await loop.run_in_executor(None, hand, News([], fetcher.strays))


def _in_pieces(news: News) -> Iterator[News]:
    """The same in batches that are small to send."""
    piece: list[Fetched] = []
    size = 0
    for one in news.ended:
        piece.append(one)
        size += len(one.image_bytes)
        if size >= BATCH_BYTES or len(piece) >= BATCH_RESULTS:
            yield News(piece, [])
            piece, size = [], 0
    if piece or news.strays:
        yield News(piece, news.strays)
