"""What is large comes from one connection of each person at a time, and only where people draw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from httpx import AsyncClient
from tests.web.desk.drawing import ask, desk_project, images

from pictus.annotate.desk.desk_steps import LaterError, open_desk
from pictus.web.desk import parcels as parcels_file
from pictus.web.desk import turns
from pictus.web.desk.app import build_desk_app
from pictus.web.desk.parcels import EVERYBODYS, SMALL, Parcels
from pictus.web.desk.turns import Who

from .test_turns import come

HEADERS = {"content-type": "application/json", "x-pictus": "desk"}


def who(name: str, link: str = "") -> Who:
    return Who(name, link or name)


def test_one_large_body_of_a_person_at_a_time_and_any_number_of_small_ones() -> None:
    parcels = Parcels()
    with parcels.of(who("ada")) as first, parcels.of(who("ada")) as second, parcels.of(who("bob")) as others:
        first.weigh(SMALL)
        second.weigh(SMALL)
        first.weigh(SMALL + 1)
        first.weigh(4 * SMALL)
        others.weigh(4 * SMALL)
        with pytest.raises(LaterError, match="of yours"):
            second.weigh(SMALL + 1)
    with parcels.of(who("ada")) as third:
        third.weigh(4 * SMALL)


def test_all_people_together_send_no_more_than_the_memory_holds() -> None:
    parcels = Parcels()
    with parcels.of(who("ada")) as one, parcels.of(who("bob")) as other:
        one.weigh(EVERYBODYS - SMALL)
        with pytest.raises(LaterError, match="Many large pages"):
            other.weigh(2 * SMALL)
        one.weigh(EVERYBODYS - 2 * SMALL)
        other.weigh(2 * SMALL)


def test_a_large_body_waits_until_the_one_before_is_dealt_with(
    tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:  # fmt: skip
    project = desk_project(tmp_path, make_jpeg, 2)
    ask(project, "mask", images(project)[:1])
    ask(project, "box-quality", images(project)[1:])
    app = build_desk_app(project, open_desk(project, rule="fixed", seed=1), is_kiosk=True)
    large = b'{"revision": 1, "answers": []' + b" " * 300_000 + b"}"
    said: list[httpx.Response] = []

    async def run() -> None:
        async with AsyncExitStack() as stack:
            ada, other_tab, bob = [
                await stack.enter_async_context(AsyncClient(
                    transport=httpx.ASGITransport(app), base_url="http://localhost", headers=HEADERS
                )) for _ in range(3)
            ]  # fmt: skip
            for one, name in ((ada, "ada"), (bob, "bob")):
                await one.post("/desk/join", json={"token": "", "name": name})
            other_tab.cookies = ada.cookies

            async def page_of(kind: str) -> str:
                found = await ada.post("/desk/next", json={"kind": kind})
                return f"/desk/pages/{found.json()['page']['page_id']}"

            mask, quality = await page_of("mask"), await page_of("box-quality")

            async def halves() -> AsyncIterator[bytes]:
                yield large[:200_000]
                said.append(await other_tab.post(mask, content=large))
                said.append(await bob.post(mask, content=large))
                yield large[200_000:]

            said.append(await ada.post(mask, content=halves()))
            said.append(await other_tab.post(mask, content=large))
            said.append(await ada.post(quality, content=large))

    asyncio.run(run())
    assert [one.status_code for one in said] == [503, 404, 400, 400, 413]
    assert said[0].headers["retry-after"] == "5"
    assert said[0].json()["error"]["what"] == "Another large page of yours is on its way."


def test_a_stalled_body_of_the_link_that_sends_most_makes_place_for_who_came_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parcels_file, "EVERYBODYS", 10 * SMALL)
    monkeypatch.setattr(turns, "GRACE_S", 0.0)
    parcels, ended = Parcels(), []

    async def stall(number: int, begun: asyncio.Event) -> None:
        with parcels.of(who(f"name {number}", "link")) as parcel:
            try:
                async with parcel.coming():
                    parcel.weigh(5 * SMALL)
                    begun.set()
                    await asyncio.Event().wait()
            except LaterError:
                ended.append(number)

    async def run() -> None:
        begun = [asyncio.Event(), asyncio.Event()]
        slow = [asyncio.create_task(stall(number, one)) for number, one in enumerate(begun)]
        for one in begun:
            await one.wait()
        with parcels.of(who("ada")) as own:
            own.weigh(3 * SMALL)
            await come(lambda: bool(ended))
            own.weigh(5 * SMALL)
            with parcels.of(who("ben")) as late, pytest.raises(LaterError, match="Many large pages"):
                late.weigh(5 * SMALL + 1)  # nobody has more
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert len(ended) == 1
