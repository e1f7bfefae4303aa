"""Many fat bodies at once: what they take together is bounded, and all of them end."""

from __future__ import annotations

import asyncio
import gzip
import random
import ssl
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.addresses import AllowedHosts, parse_url
from pictus.collect.bodies import Body
from pictus.collect.fetcher import Fetcher, Job, Limits
from pictus.collect.memory import Memory, Share
from pictus.collect.network import PinnedNetwork, connect

MB = 2**20
FAT = Limits(
    per_host=60, interval_s=0.0, connections=60, connect_s=5.0, read_s=2.0, total_s=20.0, tries=1,
    max_bytes=4 * MB, held_bytes=4 * MB, memory_bytes=16 * MB,
)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 60)), min_size=1, max_size=30), st.integers(0, 10**6)
)  # fmt: skip
def test_bodies_that_grow_in_any_order_all_end_within_the_bound(bodies: list[tuple[int, int]], seed: int) -> None:
    """Steps of at most 60 of bodies of at most 400, of 1,000 in all; the caller takes what ended now and then."""
    memory, chance = Memory(1_000, 400, 100), random.Random(seed)
    shares = {Share(memory): [size, step] for size, step in bodies}
    rounds = 0
    while shares:
        rounds += 1
        assert rounds < 100_000, "they wait for each other"
        ready = [share for share in shares if not share.is_waiting]
        if not ready or chance.random() < 0.1:
            assert memory.held or ready, "nobody may go on, and nothing will end"
            memory.give_back(memory.held)
            continue
        share = chance.choice(ready)
        size, step = shares[share]
        if share.taken < size:
            share.take(min(step, size - share.taken))
        else:
            memory.hold(size)
            share.leave()
            del shares[share]
        assert memory.used <= 1_000 + 400  # a body is counted twice for a moment, as what came and as what is kept
    memory.give_back(memory.held)
    assert memory.used == 0


def test_small_bodies_begin_while_fat_ones_wait() -> None:
    memory = Memory(1_000, 200, 100)
    fat, fatter, small = Share(memory), Share(memory), Share(memory)
    assert fat.take(100)
    assert fat.take(400)
    assert fatter.take(100)
    assert not fatter.take(400)  # 500 of 550 for more than the beginnings
    assert small.take(100)
    fat.leave()
    assert not fatter.is_waiting


def test_a_packed_body_is_unpacked_only_as_far_as_there_is_memory() -> None:
    memory = Memory(8 * MB, 4 * MB, MB)
    bodies = []
    for _ in range(6):
        body = Body({"content-encoding": "gzip"}, 4 * MB, share=Share(memory))
        body.feed(gzip.compress(bytes(3 * MB)))
        bodies.append(body)
    assert memory.most_used <= 8 * MB
    assert [body.is_unpacking for body in bodies] == [False] + [True] * 5
    for body in bodies:  # each the oldest in its turn
        body.unpack()
        assert not body.is_unpacking
        assert body.whole() == bytes(3 * MB)
        body.share.leave()
    assert memory.used == 0


Answer = Callable[[int], tuple[bytes, Sequence[bytes]]]


def announced(size: int) -> tuple[bytes, Sequence[bytes]]:
    return b"Content-Length: %d" % size, [bytes(size)]


def chunked(size: int) -> tuple[bytes, Sequence[bytes]]:
    return b"Transfer-Encoding: chunked", [b"%x\r\n%s\r\n" % (MB, bytes(MB))] * (size // MB) + [b"0\r\n\r\n"]


def until_the_end(size: int) -> tuple[bytes, Sequence[bytes]]:
    return b"Connection: close", [bytes(size)]


def packed(size: int) -> tuple[bytes, Sequence[bytes]]:
    body = gzip.compress(bytes(size))
    return b"Content-Encoding: gzip\r\nContent-Length: %d" % len(body), [body]


class Server:
    """Answers every picture alike; the first `slow` of them trickle."""

    def __init__(self, head: bytes, parts: Sequence[bytes], slow: int) -> None:
        self.head, self.parts, self.slow = head, parts, slow

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                if b".jpg" in request:
                    await self.send(writer)
                else:
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % self.head)
        is_slow, self.slow = self.slow > 0, self.slow - 1
        while is_slow and not writer.is_closing():
            writer.write(b"\0")
            await writer.drain()
            await asyncio.sleep(0.05)
        for part in self.parts:
            writer.write(part)
            await writer.drain()
        if b"close" in self.head:
            writer.close()


def fetched(
    answer: Answer, count: int, size: int, limits: Limits = FAT, *, slow: int = 0, taken: int = 0
) -> tuple[Counter[str], int, int]:  # fmt: skip
    """(causes, most bytes used by its own count, peak of Python's memory in bytes). `taken`: for 0.6 s by another."""

    async def run() -> tuple[Counter[str], int]:
        server = await asyncio.start_server(Server(*answer(size), slow), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def resolve(host: str, port: int) -> Sequence[str]:
            return (host,)

        fetcher = Fetcher(
            limits, PinnedNetwork(resolve, connect, AllowedHosts.of([f"127.0.0.1:{port}"])), agent="pictus/test",
            tls=ssl.create_default_context(), clock=time.monotonic, chance=random.Random(1),
        )  # fmt: skip
        jobs = [Job(n, url := f"http://127.0.0.1:{port}/{n}.jpg", parse_url(url)) for n in range(count)]
        other = Share(fetcher.memory)
        if taken:
            assert other.take(taken)
            asyncio.get_running_loop().call_later(0.6, other.leave)
        causes = Counter[str]()
        async with aclosing(fetcher.run(jobs)) as results:
            async for one in results:
                causes[one.cause] += 1
                assert one.cause != "ok" or len(one.image_bytes) == size
        server.close()
        await asyncio.sleep(0.1)
        return causes, fetcher.memory.most_used

    tracemalloc.start()
    try:
        causes, most_used = asyncio.run(run())
        return causes, most_used, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("answer", [announced, chunked, until_the_end, packed])
def test_fat_bodies_of_many_connections_stay_within_the_bound(answer: Answer) -> None:
    """60 at once, 240 MB together; without the bound the peak is over 100 MB."""
    causes, most_used, peak = fetched(answer, 60, 4 * MB)
    assert causes == {"ok": 60}
    assert most_used < 21 * MB
    assert peak < 50 * MB  # with what the server holds and one body while it is put together


def test_a_few_that_trickle_do_not_keep_the_small_ones_out() -> None:
    causes, *_ = fetched(announced, 200, 50_000, replace(FAT, total_s=1.0), slow=8)
    assert causes == {"ok": 192, "timeout": 8}


@pytest.mark.parametrize("answer", [announced, chunked, until_the_end, packed])
def test_the_silence_of_who_waits_for_memory_is_not_the_servers(answer: Answer) -> None:
    causes, *_ = fetched(answer, 4, 4 * MB, replace(FAT, read_s=0.25), taken=9 * MB)
    assert causes == {"ok": 4}


def test_who_waits_longer_than_a_request_may_take_ends_as_late() -> None:
    causes, most_used, _ = fetched(announced, 30, 4 * MB, replace(FAT, total_s=0.3), slow=30)
    assert causes == {"timeout": 30}
    assert most_used < 21 * MB
