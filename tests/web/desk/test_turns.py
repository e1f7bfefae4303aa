"""Who asks for very much at once waits for themselves, and nobody else for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

import pictus
from pictus import annotate
from pictus.annotate.desk.links_steps import crowd_of
from pictus.web.desk.app import build_desk_app
from pictus.web.desk.turns import AT_ONCE, Turns

from .conftest import MakeDesk

Run = Callable[[httpx.AsyncClient, httpx.AsyncClient], Awaitable[None]]


async def come(is_there: Callable[[], bool]) -> None:
    """Wait for it, 30 s at most."""
    for _ in range(3_000):
        if is_there():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


def visit(project: pictus.Project, desk: Any, run: Run) -> None:
    """Two people at one desk."""
    app = build_desk_app(project, desk, is_kiosk=True)

    def client() -> httpx.AsyncClient:
        where = httpx.ASGITransport(app)
        return httpx.AsyncClient(transport=where, base_url="http://localhost", headers={"x-pictus": "desk"})

    async def both() -> None:
        async with client() as ada, client() as ben:
            for one, name in ((ada, "Ada"), (ben, "Ben")):
                await one.post("/desk/join", json={"token": "", "name": name})
            await asyncio.wait_for(run(ada, ben), 60)

    asyncio.run(both())


def test_one_session_has_few_turns_at_a_time_and_nobody_else_waits_for_it() -> None:
    turns, begun = Turns(), []

    async def one(session: str, name: str, over: asyncio.Event) -> None:
        async with turns.of(session):
            begun.append(name)
            await over.wait()

    async def run() -> None:
        over = asyncio.Event()
        many = [asyncio.create_task(one("ada", f"ada {number}", over)) for number in range(2 * AT_ONCE)]
        await asyncio.sleep(0)
        for session in ("ben", "", ""):
            async with turns.of(session):
                begun.append(session)
        assert begun == [*(f"ada {number}" for number in range(AT_ONCE)), "ben", "", ""]
        many[AT_ONCE].cancel()
        many[0].cancel()
        await asyncio.gather(many[0], many[AT_ONCE], return_exceptions=True)
        await come(lambda: f"ada {AT_ONCE + 1}" in begun)
        assert len(begun) == AT_ONCE + 4, "the place of who left went to the next who is there"
        over.set()
        await asyncio.gather(*many, return_exceptions=True)
        assert len(begun) == 2 * AT_ONCE + 2
        assert f"ada {AT_ONCE}" not in begun
        for _ in range(AT_ONCE):
            async with turns.of("ada"):
                pass

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_colleague_is_answered_while_one_session_asks_for_more_than_there_are_threads(
    fresh: pictus.Project, desk_of: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, goes_on, at_work = desk_of(fresh), threading.Event(), []
    progress = desk.progress

    def slow(person: Any) -> Any:
        if person.name == "Ada":
            at_work.append(1)
            goes_on.wait(30)
        return progress(person)

    monkeypatch.setattr(desk, "progress", slow)

    async def run(ada: httpx.AsyncClient, ben: httpx.AsyncClient) -> None:
        asked = [asyncio.create_task(ada.get("/desk/progress")) for _ in range(100)]
        await come(lambda: len(at_work) == AT_ONCE)
        assert (await ben.get("/desk/progress")).status_code == 200
        assert len(at_work) == AT_ONCE
        goes_on.set()
        assert {one.status_code for one in await asyncio.gather(*asked)} == {200}

    visit(fresh, desk, run)


def test_what_nobody_waits_for_any_more_is_not_begun(
    fresh: pictus.Project, desk_of: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(fresh)
    begun: list[Any] = []
    monkeypatch.setattr(desk, "progress", begun.append)
    app = build_desk_app(fresh, desk, is_kiosk=True)

    async def left() -> Any:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    async def run(ada: httpx.AsyncClient, _ben: httpx.AsyncClient) -> None:
        head = [(b"host", b"localhost"), *ada.build_request("GET", "/desk/progress").headers.raw]
        scope = {
            "type": "http", "method": "GET", "path": "/desk/progress", "raw_path": b"/desk/progress", "headers": head,
            "query_string": b"", "scheme": "http", "server": ("localhost", 80), "client": None, "root_path": "",
            "http_version": "1.1", "asgi": {"spec_version": "2.3"},
        }  # fmt: skip
        await app(scope, left, send)

    visit(fresh, desk, run)
    assert begun == []


def test_names_of_a_link_that_lets_several_in_are_one_crowd(fresh: pictus.Project, desk_of: MakeDesk) -> None:
    desk = desk_of(fresh)
    [several] = annotate.invite(fresh, uses=3).summary["links"]
    [single] = annotate.invite(fresh).summary["links"]
    for name, link in (("Ada", several), ("Ben", several), ("Cid", single)):
        desk.join(link.rpartition("/")[2], name)
    desk.kiosk("Dee")
    assert crowd_of(fresh, "Ada") == crowd_of(fresh, "Ben") != "Ada"
    assert [crowd_of(fresh, name) for name in ("Cid", "Dee", "nobody")] == ["Cid", "Dee", "nobody"]
