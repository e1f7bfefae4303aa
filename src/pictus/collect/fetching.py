"""What `collect fetch` does: which addresses are asked for, and what comes from the network into the intake."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from pictus.clock import now
from pictus.collect import causes, drift
from pictus.collect.addresses import AllowedHosts, parse_url, without_password
from pictus.collect.intake import Claim, Intake
from pictus.collect.lists import Wanted
from pictus.collect.network import KEPT_CONNECTIONS
from pictus.collect.resizing import made_small
from pictus.errors import PictureError, UserError, clipped, counted
from pictus.pixels import refuse_early
from pictus.progress import Meter
from pictus.records import Attempt
from pictus.tables import Tables

if TYPE_CHECKING:
    from pictus.collect.fetcher import Fetched, Fetcher, Job, Limits
    from pictus.collect.network import PinnedNetwork

    OpenNetwork = Callable[[Executor, AllowedHosts], PinnedNetwork]

COMMIT_EVERY_S = 10.0
"""A killed fetch loses at most this much work of the network."""

_SEED = 0
_UNLIMITED_PER_HOST = 16
NAME_THREADS = 256  # most wait for dead names, a few kilobytes each
_OTHER_FILES = 256  # tables, shards, name servers
_FEWEST = 16

_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """What one fetch asks for. `image_ids`: what each address gave when it last gave a picture."""

    jobs: "list[Job]"
    wanted: dict[str, Wanted]
    image_ids: dict[str, str]
    skipped: int
    seen: Counter[str]


class Run:
    """One fetch under way: what comes from the network goes to the intake, which has a thread of its own.

    Hashing and writing let go of Python's lock, so that the network goes on meanwhile. The thread is the only
    one to touch the intake until `fetch` has returned.
    """

    def __init__(self, intake: Intake, meter: Meter, plan: Plan, short_side: int = 0) -> None:
        self._intake = intake
        self._meter = meter
        self._plan = plan
        self._short_side = short_side
        self._committed_at = time.monotonic()
        self.seen = Counter[str]()
        self.drift = Counter[str]()  # kind -> addresses that gave a picture before, by what they say now

    def take(self, batches: "Iterable[Sequence[Fetched]]") -> None:
        """Record what workers elsewhere fetch, as it comes: this process is the only one that writes."""
        for batch in batches:
            self._take_in(batch)

    async def fetch(self, agent: str, allowed: AllowedHosts, limits: "Limits") -> None:
        if not self._plan.jobs:
            return
        names = ThreadPoolExecutor(NAME_THREADS, thread_name_prefix="names")
        fetcher = open_fetcher(agent, limits, open_network(names, allowed))
        recorder = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._resizers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="resize")
        loop = asyncio.get_running_loop()
        gc.freeze()  # what a long list brings stays to the end: the collector need not look through it every second
        try:
            async with aclosing(fetcher.batches(self._plan.jobs)) as batches:
                async for batch in batches:
                    await loop.run_in_executor(recorder, self._take_in, batch)
        finally:
            gc.unfreeze()
            names.shutdown(wait=False, cancel_futures=True)
            recorder.shutdown()  # what it is at ends before the intake is closed
            self._resizers.shutdown(cancel_futures=True)

    def _take_in(self, batch: "Sequence[Fetched]") -> None:
        at = now()
        for fetched in self._made_small(batch):
            self._record(fetched, at)
            if self._intake.is_full or time.monotonic() - self._committed_at > COMMIT_EVERY_S:
                self._intake.commit()
                self._committed_at = time.monotonic()
        self._meter.advance(len(batch))
        if failed := sum(count for cause, count in self.seen.items() if cause not in causes.GOOD):
            self._meter.say(f"{failed:,} failed")

    def _made_small(self, batch: "Sequence[Fetched]") -> "Iterable[Fetched]":
        """The batch with its pictures resized where that is asked for: in threads, taken in order."""
        if not self._short_side:
            return batch
        return self._resizers.map(partial(resized, short_side=self._short_side), batch)

    def _record(self, fetched: "Fetched", at: str) -> None:
        cause, detail, image_id = fetched.cause, fetched.detail, ""
        claim = self._plan.wanted[fetched.address].claim
        if cause == "ok":
            try:
                image_id = self._intake.take(fetched.image_bytes, fetched.address, "url", claim)
            except PictureError as error:
                cause, detail = error.cause, f"{error.detail}; {detail}" if detail else error.detail
            except (OSError, UserError):
                raise  # a full disk concerns them all
            except Exception as error:  # noqa: BLE001  one picture must not cost what the others brought
                cause, detail = _broken_off(fetched.address, error)
        elif cause == "unchanged":
            image_id = self._plan.image_ids[fetched.address]
            self._intake.claim(image_id, fetched.address, "url", claim)
        if before := self._plan.image_ids[fetched.address]:
            self.drift[drift.kind_of(cause, is_same=image_id == before)] += 1
        size = len(fetched.image_bytes)
        self._intake.note(
            Attempt(
                fetched.address, "url", cause, detail, image_id, claim.concept_id, fetched.status, fetched.tries, size,
                fetched.elapsed_s, fetched.etag, fetched.last_modified, at,
            ),
            fetched.order,
        )  # fmt: skip
        self.seen[cause] += 1


def resized(fetched: "Fetched", short_side: int) -> "Fetched":
    """As it is kept when pictures are made small on the way."""
    if fetched.cause != "ok" or not short_side:
        return fetched
    try:
        image_bytes, done = made_small(fetched.image_bytes, short_side)
    except PictureError as error:
        return fetched._replace(cause=error.cause, detail=error.detail, image_bytes=b"")
    except Exception as error:  # noqa: BLE001  as in `_record`
        cause, detail = _broken_off(fetched.address, error)
        return fetched._replace(cause=cause, detail=detail, image_bytes=b"")
    return fetched._replace(image_bytes=image_bytes, detail="; ".join(filter(None, (done, fetched.detail))))


def _broken_off(address: str, error: Exception) -> tuple[str, str]:
    """(cause, detail) of a picture that met a bug of ours, told loudly."""
    _log.error("unexpected, with the picture of %s", address, exc_info=error)
    return "error", f"{type(error).__name__}: {error}"[:500]


def open_fetcher(
    agent: str, limits: "Limits", network: "PinnedNetwork", own: frozenset[str] | None = None
) -> "Fetcher":  # fmt: skip
    """A fetcher with this machine's clock."""
    import httpx  # noqa: PLC0415  0.2 s that --help does not pay

    from pictus.collect.fetcher import Fetcher  # noqa: PLC0415

    return Fetcher(
        limits, network, agent=agent, tls=httpx.create_ssl_context(), clock=time.monotonic, look=refuse_early,
        chance=random.Random(_SEED), own=own,  # noqa: S311  spreads retries, guards nothing
    )  # fmt: skip


def open_network(names: Executor, allowed: AllowedHosts) -> "PinnedNetwork":
    """The real one: the machine's resolver (in the threads `names`), the guard, TCP."""
    from pictus.collect.network import PinnedNetwork, connect, system_resolver  # noqa: PLC0415

    return PinnedNetwork(system_resolver(names), connect, allowed)


def planned(
    tables: Tables, wanted: Sequence[Wanted], intake: Intake, asks_again: Callable[[str, bool], bool]
) -> Plan:  # fmt: skip
    """Which addresses to ask: new ones, and those that `asks_again(latest cause, whether it ever gave a picture)`."""
    from pictus.collect.fetcher import Job  # noqa: PLC0415  0.1 s that --help does not pay

    history = _history(tables)
    plan = Plan([], {}, {}, 0, Counter())
    skipped = 0
    for order, one in enumerate(wanted):
        address = without_password(one.address)
        before = history.get(address, _Past("", "", "", ""))
        plan.wanted[address] = one
        plan.image_ids[address] = before.image_id
        if before.cause and not asks_again(before.cause, bool(before.image_id)):
            skipped += 1
            if before.cause in causes.GOOD:
                intake.claim(before.image_id, address, "url", one.claim)
            continue
        try:
            url = parse_url(one.address)
        except PictureError as error:
            plan.seen[error.cause] += 1
            concept_id = one.claim.concept_id
            intake.note(
                Attempt(address, "url", error.cause, error.detail, "", concept_id, 0, 0, 0, 0.0, "", "", now()), order
            )
            continue
        validators = (before.etag, before.last_modified) if before.image_id else ("", "")
        plan.jobs.append(Job(order, address, url, *validators))
    return plan._replace(skipped=skipped)


class _Past(NamedTuple):
    cause: str
    image_id: str
    etag: str
    last_modified: str


def _history(tables: Tables) -> dict[str, _Past]:
    """Address -> its latest attempt over the network; what came with its picture, from when it last gave one."""
    found: dict[str, _Past] = {}
    for batch in tables.batches("fetches", ["address", "kind", *_Past._fields]):
        for row in batch.to_pylist():
            address, kind = row.pop("address"), row.pop("kind")
            if kind == "url":
                past, before = _Past(**row), found.get(address)
                found[address] = past if past.image_id or not before else before._replace(cause=past.cause)
    return found


def candidates(tables: Tables) -> tuple[list[Wanted], tuple[str, ...]]:
    """What was found by searching, each address once (its first row) -> (wanted, what to tell of the other rows)."""
    wanted: dict[str, Wanted] = {}
    repeats = Counter[str]()  # class -> its candidates that another class found first
    for batch in tables.batches("candidates", ["address", *Claim._fields]):
        for row in batch.select(["address", *Claim._fields]).to_pylist():
            address = row.pop("address")
            claim = Claim(**row)
            if wanted.setdefault(address, Wanted(address, claim)).claim.concept_id != claim.concept_id:
                repeats[claim.concept_id] += 1
    if not wanted:
        raise UserError(
            "There is no list of addresses, and no candidate has been found yet.",
            fix="pictus collect fetch LIST.csv    or    pictus collect find",
        )
    told = (
        f"{counted(repeats.total(), 'candidate')} of {counted(len(repeats), 'class', 'classes')} had been found for"
        " another class: a picture claims the class that found its address first"
    )
    return list(wanted.values()), (told,) if repeats else ()


def limits_of(rate: float) -> "Limits":
    from pictus.collect.fetcher import Limits  # noqa: PLC0415  0.1 s that --help does not pay

    most = min(Limits.connections, files_for(Limits.connections))
    if rate:
        return Limits(interval_s=1 / rate, connections=most)
    return Limits(per_host=_UNLIMITED_PER_HOST, interval_s=0.0, connections=most)


def files_for(wanted: int) -> int:
    """Raise the number of files this process may open, if it must be -> how many connections there may be."""
    try:
        import resource  # noqa: PLC0415  not on Windows, where there is no such limit
    except ImportError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + KEPT_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft in (resource.RLIM_INFINITY, needed) or soft > needed:
        return wanted
    most = max(_FEWEST, soft - KEPT_CONNECTIONS - _OTHER_FILES)
    _log.warning("at most %d connections at once: this system allows %d open files (ulimit -n)", most, soft)
    return most


_REACHED = re.compile(r"[^\s@]{1,100}@[^\s@]|https?://[^\s/]|\w\.\w")
"""A mail address, a web address, or the latter without its scheme."""


def agent_of(contact: str) -> str:
    """Who we say we are: the name that robots.txt files know us by, and whom to write to."""
    if not contact.isascii() or not contact.isprintable():
        raise UserError(f"--contact {clipped(contact)} cannot be sent in a header.", fix="--contact me@example.org")
    if contact and not _REACHED.search(contact):
        raise UserError(
            f"--contact {clipped(contact)} is no mail and no web address: nobody could write to it.",
            fix="--contact me@example.org    or    --contact https://example.org/crawler",
        )
    version = metadata.version("pictus")
    return f"pictus/{version} ({contact})" if contact else f"pictus/{version}"
