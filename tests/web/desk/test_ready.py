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


def test_a_picture_that_is_on_many_pages_is_looked_for_once(
    fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = Shots.make

    def counted(self: Shots, image_id: str, largest: int) -> None:
        looked.append(image_id)
        real(self, image_id, largest)

    monkeypatch.setattr(Shots, "make", counted)
    client, page = come(fresh, desk, "Ada")
    assert client.get(addresses(page)[0]).status_code == 200
    client.post("/desk/leave", json={})
    client.post("/desk/join", json={"token": "", "name": "Ben"})
    page = client.post("/desk/next", json={}).json()["page"]
    assert client.get(addresses(page)[0]).status_code == 200
    assert len(looked) == len(set(looked)) == 8, "Ben's pictures are Ada's"


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
    pages.begun("c", ["c1"])
    with pytest.raises(LaterError, match="made ready"):
        pages.begun("d", ["d1"])
    may_go_on.set()
    for page_id in "abc":  # two are made at a time: the last of them need not be done last
        pages.begun(page_id, []).result(TURN)
    assert sorted(done) == ["a1", "a2", "b1", "b2", "c1"]
    assert pages.begun("d", []).done()


def slowly() -> tuple[Ready, list[str], threading.Event, threading.Event]:
    """Pages whose first picture, x, is made only when told to: by then all others wait in line."""
    begun, may_go_on, done = threading.Event(), threading.Event(), []

    def make(image_id: str) -> None:
        if image_id == "x":
            begun.set()
            assert may_go_on.wait(TURN)
        else:
            done.append(image_id)

    pages = Ready(make)
    pages.begin("first", ["x"], "zoe")
    assert begun.wait(TURN)
    return pages, done, begun, may_go_on


def test_people_take_turns_however_many_pages_one_of_them_lends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "AT_ONCE", 1)
    pages, done, _, may_go_on = slowly()
    for number in range(4):
        pages.begin(f"hog{number}", [f"h{number}{one}" for one in range(3)], "hog")
    pages.begin("ada", ["a0", "a1", "a2"], "ada")
    looked_at, own = pages.known("hog3"), pages.known("ada")
    assert looked_at is not None
    assert own is not None
    may_go_on.set()
    looked_at.result(TURN)
    own.result(TURN)
    assert done[:6] == ["h30", "a0", "h31", "a1", "h32", "a2"]


def test_what_is_looked_at_is_made_before_what_is_fetched_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "AT_ONCE", 1)
    pages, done, _, may_go_on = slowly()
    pages.begin("ahead", ["b0", "b1"], "ben")
    pages.begin("now", ["a0", "a1"], "ada")
    pages.begin("later", ["a2"], "ada")
    now = pages.known("now")
    whole = pages.begun("ahead", ["b0", "b1"], "ben")
    assert now is not None
    may_go_on.set()
    for one in (now, whole, pages.begun("later", ["a2"], "ada")):
        one.result(TURN)
    assert done[:4] == ["b0", "a0", "b1", "a1"]
    assert done[4:] == ["a2"]


def test_a_page_that_was_given_back_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "AT_ONCE", 1)
    pages, done, _, may_go_on = slowly()
    pages.begin("back", ["b0", "b1"], "ben")
    pages.begin("stays", ["a0"], "ada")
    waiting = pages.known("back")
    pages.drop("back")
    pages.drop("first")  # one of its pictures is being made
    pages.drop("never")
    assert pages.known("back") is None
    assert waiting is not None
    with pytest.raises(LaterError, match="given back"):
        waiting.result(TURN)
    may_go_on.set()
    pages.begun("stays", [], "ada").result(TURN)
    assert done == ["a0"]
    pages.begun("back", ["b0"], "ben").result(TURN)
    assert done == ["a0", "b0"], "it may be lent again"


def test_one_person_waits_for_few_pages_and_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "AT_ONCE", 1)
    monkeypatch.setattr(ready, "OWN_AHEAD", 2)
    pages, _, _, may_go_on = slowly()
    for number in range(4):
        pages.begin(f"hog{number}", ["h"], "hog")
    assert [pages.known(f"hog{number}") is None for number in range(4)] == [False, False, True, True]
    pages.begin("ada", ["a"], "ada")
    assert pages.known("ada") is not None
    may_go_on.set()


def test_giving_a_page_back_takes_it_out_of_the_line(
    fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[str] = []
    monkeypatch.setattr(Ready, "drop", lambda _, page_id: dropped.append(page_id))
    client, page = come(fresh, desk, "Ada")
    assert client.post(f"/desk/pages/{page['page_id']}/release", json={}).status_code == 200
    assert dropped == [page["page_id"]]


def test_the_pictures_of_a_page_are_looked_up_together_before_the_first_is_made() -> None:
    told: list[Any] = []
    pages = Ready(told.append, lambda image_ids: told.append(tuple(image_ids)))
    pages.begun("one", ["a", "b", "c"]).result(TURN)
    pages.begun("one", ["a", "b", "c"]).result(TURN)
    assert told[0] == ("a", "b", "c")
    assert sorted(told[1:]) == ["a", "b", "c"]
