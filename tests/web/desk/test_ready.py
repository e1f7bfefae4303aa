"""How long a picture takes says nothing of who saw it before."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

import pictus
from pictus import pixels
from pictus.annotate.desk.desk_steps import Desk, LaterError
from pictus.web.desk import ready
from pictus.web.desk.app import build_desk_app
from pictus.web.desk.ready import Ready
from pictus.web.shots import Shots

from .conftest import MakeDesk

DESK = {"x-pictus": "desk"}
TURN = 30


@pytest.fixture
def desk(fresh: pictus.Project, desk_of: MakeDesk) -> Desk:
    return desk_of(fresh)


def come(project: pictus.Project, desk: Desk, name: str) -> tuple[Any, Any]:
    """A browser, and the page lent to who sits at it."""
    client = TestClient(build_desk_app(project, desk, is_kiosk=True), base_url="http://127.0.0.1", headers=DESK)
    client.post("/desk/join", json={"token": "", "name": name})
    return client, client.post("/desk/next", json={}).json()["page"]


def addresses(page: Any) -> list[str]:
    return [
        f"/desk/pages/{page['page_id']}/pictures/{item['position']}/{side}"
        for item in page["items"] for side in (0, 160, 320, 640)
    ]  # fmt: skip


def test_no_picture_is_made_because_somebody_asked_for_it(
    fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: list[str] = []
    real = pixels.thumbnail

    def counted(image_bytes: bytes, side: int) -> bytes:
        by.append(threading.current_thread().name)
        return real(image_bytes, side)

    monkeypatch.setattr(pixels, "thumbnail", counted)
    client, page = come(fresh, desk, "Ada")
    assert [client.get(one).status_code for one in addresses(page)] == [200] * 32
    assert by == ["pictures"] * 24, "each side once, and by nobody's asking"
    client, page = come(fresh, desk, "Ben")
    assert {client.get(one).status_code for one in addresses(page)} == {200}
    assert set(by) == {"pictures"}


def test_a_picture_that_was_shown_before_waits_for_those_that_were_not(
    fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on, told = threading.Event(), threading.Event(), []
    real = Shots.make
    client, page = come(fresh, desk, "Ada")
    assert client.get(addresses(page)[0]).status_code == 200, "all of the page are made"
    cold = desk.picture(desk.person(desk.kiosk("Ada")), page["page_id"], 7)  # type: ignore[arg-type]

    def slow(self: Shots, image_id: str, largest: int) -> None:
        if image_id == cold:
            begun.set()
            assert may_go_on.wait(TURN)
            told.append("made")
        real(self, image_id, largest)

    def asked(address: str) -> int:
        status: int = client.get(address).status_code
        told.append("answered")
        return status

    monkeypatch.setattr(Shots, "make", slow)
    client = TestClient(build_desk_app(fresh, desk, is_kiosk=True), base_url="http://127.0.0.1", headers=DESK)
    client.post("/desk/join", json={"token": "", "name": "Ada"})  # a server that was started again knows no page
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked, addresses(page)[0])
        assert begun.wait(TURN)
        may_go_on.set()
        assert answer.result(TURN) == 200
    assert told == ["made", "answered"]


def test_a_picture_that_cannot_be_made_keeps_no_other_back(
    fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Shots, _image_id: str, _largest: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Shots, "make", broken)
    client, page = come(fresh, desk, "Ada")
    assert client.get(addresses(page)[1]).status_code == 200


def test_pages_that_wait_are_bounded_and_none_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "MOST_AHEAD", 2)
    monkeypatch.setattr(ready, "MOST", 3)
    may_go_on, done = threading.Event(), []

    def make(image_id: str) -> None:
        assert may_go_on.wait(TURN)
        done.append(image_id)

    pages = Ready(make)
    for page_id in "abcab":
        pages.begin(page_id, [page_id + "1", page_id + "2"])
    assert pages.known("b") is not None
    assert pages.known("c") is None, "made when it is asked for"
    third = pages.begun("c", ["c1"])
    with pytest.raises(LaterError, match="made ready"):
        pages.begun("d", ["d1"])
    may_go_on.set()
    third.result(TURN)
    assert sorted(done) == ["a1", "a2", "b1", "b2", "c1"]
    assert pages.begun("d", []).done()
