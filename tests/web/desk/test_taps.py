"""Who asks for many large pictures and reads none of them takes neither the memory nor everybody's places."""

from __future__ import annotations

import asyncio
import io
import resource
import socket
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.responses import Response

import pictus
from pictus import annotate, collect, taxonomy
from pictus.annotate.desk.desk_steps import LaterError
from pictus.web.desk import taps
from pictus.web.desk.taps import Original, Poured, Taps, poured
from pictus.web.desk.turns import Held, Who
from pictus.web.shots import Shots

from .conftest import served
from .test_turns import come


def noisy(*, place: bool) -> bytes:
    """A JPEG of some megabytes, with or without where it was taken."""
    generator = np.random.default_rng(3)
    out, exif = io.BytesIO(), Image.Exif()
    if place:
        exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 1.0), 3: "E", 4: (8.0, 32.0, 1.0)})
    Image.fromarray(generator.integers(0, 256, (1500, 1600, 3), dtype=np.uint8)).save(
        out, "JPEG", quality=95, exif=exif
    )
    return out.getvalue()


def who(name: str, link: str = "") -> Who:
    return Who(name, link or name)


def project_of(root: Path, files: dict[str, bytes]) -> pictus.Project:
    folder = root / "in" / "c00"
    folder.mkdir(parents=True)
    for name, image_bytes in files.items():
        (folder / name).write_bytes(image_bytes)
    (root / "concepts.csv").write_text("id,name,parent,gloss,is_class\ntop,thing,,,no\nc00,kind,top,,yes\n")
    project = pictus.new(root / "birds")
    taxonomy.import_(project, file=root / "concepts.csv")
    collect.add(project, (root / "in",), by_folder=True)
    annotate.plan(project)
    return project


def test_an_original_read_by_pieces_is_the_one_without_its_place(tmp_path: Path) -> None:
    project = project_of(tmp_path, {"a.jpg": noisy(place=True)})
    [image_id] = project.tables.ids("images")
    shots = Shots(project)
    clean, picture = shots.placeless(image_id)
    assert clean != shots.read(image_id)[0], "it said where it was taken"
    for step in (1 << 16, 997, 100):
        _, read = shots.pieces(image_id)
        end = picture.size if step > 1000 else 5_000
        assert b"".join(read(at, min(step, end - at)) for at in range(0, end, step)) == clean[:end]


def test_slow_readers_of_originals_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "WAIT_S", 0.5)
    project = project_of(tmp_path, {"a.jpg": noisy(place=False)})
    large = project.tables.read("images", ["size"]).column(0).to_pylist()[0]
    assert large > 2_000_000
    slow: list[socket.socket] = []
    with served(project) as server:
        ada = httpx.Client(base_url=server.address, headers={"x-pictus": "desk"}, timeout=60)
        ada.post("/desk/join", json={"token": "", "name": "Ada"})
        page_id = ada.post("/desk/next", json={}).json()["page"]["page_id"]
        path = f"/desk/pages/{page_id}/pictures/0/0"
        assert len(ada.get(path).content) == large
        cookie = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(120):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", server.port))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
            slow.append(one)
        for one in slow[:3]:
            one.settimeout(30)
            assert one.recv(12) == b"HTTP/1.1 200"
        with httpx.Client(base_url=server.address, headers={"x-pictus": "desk"}, timeout=60) as ben:
            ben.post("/desk/join", json={"token": "", "name": "Ben"})
            assert ben.get("/desk/progress").status_code == 200, "another is answered"
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        for one in slow:
            one.close()
        ada.close()
    assert grown < 40 * large, f"{grown:,} bytes for 120 readers of {large:,} each"


def test_one_person_has_few_originals_at_a_time_and_so_has_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "EVERYBODYS", 8)
    monkeypatch.setattr(taps, "WAIT_S", 0.0)
    found = Taps()

    async def run() -> None:
        ada = [await found.opened(who("ada")) for _ in range(taps.OWN)]
        with pytest.raises(LaterError, match="Many pictures"):
            await found.opened(who("ada"))
        ben = [await found.opened(who("ben")) for _ in range(2)]
        with pytest.raises(LaterError):
            await found.opened(who("ben"))
        found.close(ada.pop())
        await found.opened(who("cid"))
        for place in (*ada, *ben):
            found.close(place)
        assert [await found.opened(who("ada")) for _ in range(taps.OWN)]

    asyncio.run(run())


def test_one_person_waits_for_so_many_pictures_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "PENDING", 1)
    found = Taps()
    with found.asked("ada"), found.asked("ben"), pytest.raises(LaterError), found.asked("ada"):
        raise AssertionError
    with found.asked("ada"):
        pass


def test_a_reader_who_takes_too_long_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "LONGEST_S", 0.01)
    monkeypatch.setattr(taps, "WAIT_S", 0.0)
    found, sent = Taps(), []

    async def never(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def run() -> None:
        one = Original(10, lambda _, count: bytes(count), "image/jpeg")
        answer = await poured(who("ada"), found, lambda: one, {}, 0.0)
        assert isinstance(answer, Poured)
        await answer({"type": "http", "method": "GET", "asgi": {"spec_version": "2.3"}}, receive, never)
        assert sent == ["http.response.start", "http.response.body"]
        assert len([await found.opened(who("ada")) for _ in range(taps.OWN)]) == taps.OWN

    asyncio.run(run())


def test_what_cannot_be_found_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "WAIT_S", 0.0)
    found = Taps()

    def broken() -> Response:
        raise LaterError("no", fix="")

    async def run() -> None:
        for _ in range(2 * taps.OWN):
            with pytest.raises(LaterError, match="no"):
                await poured(who("ada"), found, broken, {}, 0.0)
            assert (await poured(who("ada"), found, lambda: Response(b"x"), {}, 0.0)).body == b"x"

    asyncio.run(run())


async def _stuck(found: Taps, one: Who, sent: list[Any]) -> None:
    """Ask for an original and take the beginning of it, and never more."""

    async def never(message: Any) -> None:
        sent.append((one.name, message["type"]))
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    answer = await poured(one, found, lambda: Original(10_000_000, lambda _, count: bytes(count), "image/jpeg"), {}, 0)
    await answer({"type": "http", "method": "GET", "asgi": {"spec_version": "2.3"}}, receive, never)


def test_names_of_one_link_that_read_nothing_make_place_for_who_came_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "WAIT_S", 0.0)
    now = [0.0]
    found = Taps(lambda: now[0])
    sent: list[Any] = []

    async def run() -> None:
        names = [who(f"name {number}", "link") for number in range(taps.EVERYBODYS // taps.OWN)]
        slow = [asyncio.create_task(_stuck(found, one, sent)) for one in names for _ in range(taps.OWN)]
        await come(lambda: sum(kind == "http.response.body" for _, kind in sent) == taps.EVERYBODYS)
        with pytest.raises(LaterError):
            await found.opened(who("ada"))  # all are new
        now[0] = 6.0
        assert (await found.opened(who("ada"))).who.name == "ada"
        assert (await found.opened(who("colleague", "link"))).who.name == "colleague", "the same within the link"
        await come(lambda: sum(one.done() for one in slow) == 2)
        assert [one.exception() for one in slow if one.done()] == [None, None]
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_reader_who_stops_gives_the_place_back_however_large_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "LONGEST_S", 0.05)
    found = Taps()

    async def run() -> None:
        await _stuck(found, who("ada"), [])
        assert isinstance(await found.opened(who("ada")), Held)

    asyncio.run(asyncio.wait_for(run(), 60))
