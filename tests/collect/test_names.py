from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from pictus.collect import names
from pictus.collect.names import Names, system_resolver
from pictus.errors import PictureError


class Book:
    """Knows every name but `dead…`, about which it is silent until `over`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()

    def look_up(self, host: str, _: int) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.over.wait(20)
            raise PictureError("dns", host)
        return (f"93.184.216.{len(self.asked)}",)


@pytest.fixture
def book() -> Iterator[Book]:
    made = Book()
    yield made
    made.over.set()


def test_a_name_is_looked_up_once_at_a_time_and_remembered(book: Book) -> None:
    async def run() -> list[Sequence[str]]:
        resolve = Names(threads, book.look_up)
        found = await asyncio.gather(*[resolve("a.example", port) for port in (80, 443, 80)])
        return [*found, await resolve("a.example", 80), await resolve("b.example", 80)]

    with ThreadPoolExecutor(4) as threads:
        assert asyncio.run(run()) == [("93.184.216.1",)] * 4 + [("93.184.216.2",)]
    assert book.asked == ["a.example", "b.example"]


def test_an_answer_is_not_remembered_for_ever(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "REMEMBERED_S", 0.0)

    async def run() -> None:
        resolve = Names(threads, book.look_up)
        assert await resolve("a.example", 80) != await resolve("a.example", 80)

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(run())


def test_a_silent_name_ends_by_its_own_limit_and_waiting_for_a_thread_does_not_count(book: Book) -> None:
    async def run() -> list[object]:
        resolve = Names(threads, book.look_up, limit_s=0.3)
        dead = [asyncio.create_task(_cause(resolve, f"dead{number}.example")) for number in range(2)]
        await asyncio.sleep(0)
        waits = asyncio.create_task(resolve("a.example", 80))
        causes = await asyncio.gather(*dead)
        assert not waits.done()  # both threads are taken, and its limit has not begun
        await asyncio.sleep(0.1)
        book.over.set()
        return [*causes, len(await waits)]

    with ThreadPoolExecutor(2) as threads:
        silent = [f"dns: dead{number}.example: no answer for 0.3 s" for number in range(2)]
        assert asyncio.run(run()) == [*silent, 1]


def test_one_who_gives_up_does_not_take_the_answer_from_the_others(book: Book) -> None:
    async def run() -> str:
        resolve = Names(threads, book.look_up)
        first = asyncio.create_task(resolve("dead.example", 80))
        second = asyncio.create_task(_cause(resolve, "dead.example"))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0)
        book.over.set()
        return await second

    with ThreadPoolExecutor(2) as threads:
        assert asyncio.run(run()) == "dns: dead.example"
    assert book.asked == ["dead.example"]


async def _cause(resolve: Names, host: str) -> str:
    with pytest.raises(PictureError) as raised:
        await resolve(host, 80)
    return str(raised.value)


def test_the_system_tells_every_address_once() -> None:
    async def run(host: str) -> Sequence[str]:
        return await system_resolver(threads)(host, 80)

    with ThreadPoolExecutor(1) as threads:
        assert "127.0.0.1" in asyncio.run(run("localhost"))
        assert tuple(asyncio.run(run("93.184.216.34"))) == ("93.184.216.34",)
        with pytest.raises(PictureError, match="dns"):
            asyncio.run(run("a..example"))
