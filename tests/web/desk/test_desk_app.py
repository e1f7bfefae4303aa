"""The desk over HTTP: who may, what is refused, what pictures tell, one shape for every error."""

from __future__ import annotations

import asyncio
import errno
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import pictus
from pictus import annotate, taxonomy
from pictus.annotate.desk.desk_steps import Desk, LaterError, open_desk
from pictus.concepts import load_taxonomy
from pictus.errors import NotThereError, UserError
from pictus.web.desk.app import build_desk_app
from pictus.web.desk.cards import Cards
from pictus.web.desk.reasons import told

from .conftest import MakeDesk, settled_project

DESK = {"x-pictus": "desk"}
WRITES = (
    "next", "quiz", "unpicturable", "appeal", "join", "pages/" + "A" * 22, "people/invite", "people/pause",
    "people/revoke",
)  # fmt: skip
NAMES = ("kind", "concept", "except", "revision", "answers", "seconds", "choice", "text", "token", "name", "data", "x")


class Visitor(TestClient):
    """A browser that sends what the desk's own pages send."""

    def put(self, path: str, body: Any) -> Any:  # type: ignore[override]
        return self.post(path, json=body, headers=DESK)

    def page(self, **wanted: Any) -> Any:
        return self.put("/desk/next", wanted).json()["page"]

    def answered(self, page: Any, answer: str = "no", revision: int = 1) -> Any:
        answers = [{"position": item["position"], "answer": answer} for item in page["items"]]
        return self.put(f"/desk/pages/{page['page_id']}", {"revision": revision, "answers": answers, "seconds": 60})


@pytest.fixture
def desk(fresh: pictus.Project, desk_of: MakeDesk) -> Desk:
    return desk_of(fresh)


@pytest.fixture
def visitor(fresh: pictus.Project, desk: Desk) -> Iterator[Any]:
    """visitor(name) -> a signed-in browser; without a name nobody is signed in."""
    app = build_desk_app(fresh, desk, is_kiosk=True)
    made: list[Visitor] = []

    def make(name: str = "") -> Visitor:
        one = Visitor(app, base_url="http://127.0.0.1:8500", raise_server_exceptions=True)
        made.append(one)
        if name:
            assert one.put("/desk/join", {"token": "", "name": name}).json() == {"to": "/"}
        return one

    yield make
    for one in made:
        one.close()


def owner_of(project: pictus.Project, visitor: Any) -> Visitor:
    link = annotate.invite(project, role="owner").summary["links"][0]
    one: Visitor = visitor()
    assert one.put("/desk/join", {"token": link.removeprefix("/join/"), "name": "Owner"}).status_code == 200
    return one


def test_a_page_holds_what_the_grid_shows_and_no_image_id(visitor: Any, fresh: pictus.Project) -> None:
    found = visitor("Ada").page()
    assert set(found) == {
        "page_id", "kind", "revision", "expires_at", "reason", "concept", "items", "answers", "given", "help"
    }  # fmt: skip
    assert found["answers"] == ["no", "yes", "unsure"]
    assert len(found["items"]) == 8
    assert found["items"][0] == {"position": 0, "width": 120, "height": 90, "fold": 0, "marks": []}
    concept = found["concept"]
    assert "wikipedia.org/w/index.php?title=Special:Search&search=kind" in concept["links"][0]["address"]
    assert [one["pictures"] for one in concept["siblings"]] == [[], [], [], []]
    text = str(found)
    assert not [row for row in fresh.tables.read("images", ["image_id"]).column(0).to_pylist() if row[:12] in text]


def test_examples_are_accepted_pictures_that_are_not_on_the_page(tmp_path: Path, desk_of: MakeDesk) -> None:
    project = settled_project(tmp_path, 2, 8, settled=6)
    with Visitor(build_desk_app(project, desk_of(project), is_kiosk=True), base_url="http://localhost") as ada:
        ada.put("/desk/join", {"token": "", "name": "Ada"})
        shown = ada.page(concept="c00")["concept"]
        assert 3 <= len(shown["exemplars"]) <= 5
        other = ada.page(concept="c01")["concept"]
        assert len(other["siblings"][0]["pictures"]) == 3
        answer = ada.get(shown["exemplars"][0].replace("{side}", "160"))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert ada.get("/desk/examples/99/160?concept=c00").status_code == 404
        assert annotate.gold(project, settled=0.9, many=6).summary["known"] == 0, "people may have seen all of them"
        assert ada.get("/desk/examples/8/160?concept=c00").status_code == 404
        settled = project.tables.read("labels", ["image_id"], where="concept_id = 'c00'").column(0).to_pylist()
        lines = ["image,concept,answer", *(f"{one},c00,yes" for one in settled)]
        (tmp_path / "expert.csv").write_text("\n".join(lines) + "\n")
        assert annotate.gold(project, (tmp_path / "expert.csv",)).summary["left_out"] == len(settled)
        with Visitor(build_desk_app(project, desk_of(project), is_kiosk=True), base_url="http://localhost") as bea:
            bea.put("/desk/join", {"token": "", "name": "Bea"})
            assert len(bea.page(concept="c00")["concept"]["exemplars"]) == len(shown["exemplars"])
        assert ada.get("/desk/examples/0/160?concept=nothing").status_code == 404


def test_pictures_of_a_page_are_alike_in_all_but_their_bytes(visitor: Any, fresh: pictus.Project) -> None:
    ada = visitor("Ada")
    found = ada.page()
    heads = []
    for item in found["items"]:
        answer = ada.get(f"/desk/pages/{found['page_id']}/pictures/{item['position']}/160")
        assert answer.status_code == 200
        heads.append({name: value for name, value in answer.headers.items() if name != "content-length"})
    assert heads == [heads[0]] * len(heads)
    assert heads[0]["cache-control"] == "no-store"
    assert not {"etag", "last-modified"} & set(heads[0]), "they would tell which was shown before"
    whole = ada.get(f"/desk/pages/{found['page_id']}/pictures/0/0")
    assert whole.content[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("path", ["pictures/0/161", "pictures/99/160", "pictures/99999999999999999999/160"])
def test_a_picture_that_is_not_there_is_not_there(visitor: Any, path: str) -> None:
    ada = visitor("Ada")
    answer = ada.get(f"/desk/pages/{ada.page()['page_id']}/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["what"]


def test_people_see_their_accuracy_only_where_the_owner_says_so(
    fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictus.annotate.desk.work_steps.OPEN_PAGES", 1)
    with fresh.journal.transaction() as connection:
        connection.exec_driver_sql("UPDATE questions SET known = 'yes' WHERE question_id % 4 = 0")
    for tells in (False, True):
        app = build_desk_app(fresh, desk, is_kiosk=True, tells_accuracy=tells)
        with Visitor(app, base_url="http://localhost") as one:
            one.put("/desk/join", {"token": "", "name": f"Ada {tells}"})
            first = one.answered(one.page(), "yes").json()["progress"]["skill"]
            assert first is None, "it may still be corrected"
            with fresh.journal.transaction() as connection:
                connection.exec_driver_sql("UPDATE pages SET submitted_at = '2026-01-01T10:00:00Z'")
            skill = one.answered(one.page(), "yes").json()["progress"]["skill"]
            assert (skill is not None and skill[0] == 1.0 and skill[1] < 1.0) == tells


def test_another_persons_page_is_as_if_it_were_not(visitor: Any) -> None:
    ada, eve = visitor("Ada"), visitor("Eve")
    page = ada.page()
    at = f"/desk/pages/{page['page_id']}"
    assert eve.get(at).status_code == 404
    assert eve.get(at + "/pictures/0/160").status_code == 404
    assert eve.put(at + "/release", {}).status_code == 404
    assert eve.answered(page).status_code == 404
    nowhere = eve.get("/desk/pages/" + "A" * 22).json()
    assert eve.get(at).json() == nowhere, "nobody learns that it exists"
    assert ada.answered(page).status_code == 200


def test_handing_in_twice_is_once_and_out_of_order_is_refused(visitor: Any, fresh: pictus.Project) -> None:
    ada = visitor("Ada")
    page = ada.page()
    assert ada.answered(page, revision=2).status_code == 400
    first, again = ada.answered(page).json(), ada.answered(page).json()
    assert (first["is_new"], again["is_new"]) == (True, False)
    assert fresh.journal.vote_count() == 8
    assert first["progress"]["skill"] is None, "how good somebody is is the owner's to tell"
    assert ada.answered(page, "yes", revision=2).json()["revision"] == 2
    assert ada.get(f"/desk/pages/{page['page_id']}").json()["page"]["given"][0]["answer"] == "yes"
    assert [one["page_id"] for one in ada.get("/desk/done").json()["pages"]] == [page["page_id"]]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403), ({"x-pictus": "web"}, 403), ({**DESK, "origin": "http://evil.example"}, 403),
        ({**DESK, "origin": "null"}, 403), ({**DESK, "sec-fetch-site": "cross-site"}, 403),
        ({**DESK, "host": "evil.example"}, 403), ({**DESK, "origin": "http://127.0.0.1:8500"}, 200),
    ],
)  # fmt: skip
def test_other_sites_cannot_write(visitor: Any, headers: dict[str, str], status: int) -> None:
    ada = visitor("Ada")
    assert ada.post("/desk/next", json={}, headers=headers).status_code == status


def test_a_form_of_another_site_cannot_write(visitor: Any) -> None:
    ada = visitor("Ada")
    assert ada.post("/desk/next", data={"kind": ""}, headers=DESK).status_code == 400
    assert ada.post("/desk/next", data={"kind": ""}).status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Any, fresh: pictus.Project, desk: Desk) -> None:
    for base, is_secure in (("http://127.0.0.1", False), ("https://127.0.0.1", True)):
        one = Visitor(build_desk_app(fresh, desk, is_kiosk=True), base_url=base)
        cookie = one.put("/desk/join", {"token": "", "name": f"Ada {base[:5]}"}).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert ("secure" in cookie.lower()) == is_secure


def test_an_address_with_https_is_enough_for_a_cookie_that_only_https_carries(
    fresh: pictus.Project, desk: Desk
) -> None:  # fmt: skip
    app = build_desk_app(fresh, desk, is_kiosk=True, address="https://label.example.org")
    for base in ("http://127.0.0.1", "https://127.0.0.1"):  # the proxy does not say that it took https off
        cookie = Visitor(app, base_url=base).put("/desk/join", {"token": "", "name": base[:5]}).headers["set-cookie"]
        assert "secure" in cookie.lower()


def test_a_browser_that_people_share_keeps_no_picture(fresh: pictus.Project, desk: Desk) -> None:
    for is_kiosk, kept in ((True, "no-store"), (False, "private, max-age=3600")):
        one = Visitor(build_desk_app(fresh, desk, is_kiosk=is_kiosk), base_url="http://127.0.0.1")
        token = annotate.invite(fresh).summary["links"][0].removeprefix("/join/")
        assert one.put("/desk/join", {"token": token, "name": f"Ada {is_kiosk}"}).status_code == 200
        at = f"/desk/pages/{one.page()['page_id']}/pictures/0/"
        assert [one.get(at + side).headers["cache-control"] for side in ("160", "0")] == [kept, kept]


@pytest.mark.parametrize("value", ["", "x", "A" * 43, "../../etc", "A" * 5000, "%00", "a b c d e f g h"])
def test_a_forged_cookie_is_nobody(visitor: Any, fresh: pictus.Project, value: str) -> None:
    ada, eve = visitor("Ada"), visitor()
    name = next(iter(ada.cookies))
    eve.cookies.set(name, value)
    for answer in (eve.put("/desk/next", {}), eve.get("/desk/progress"), eve.get("/desk/pages/" + "A" * 22)):
        assert answer.status_code == 401
        assert answer.json()["error"]["what"] == "You are not signed in."
    assert eve.get("/desk", follow_redirects=False).status_code == 303


def test_signing_out_ends_the_session_everywhere(visitor: Any) -> None:
    ada = visitor("Ada")
    name, value = next(iter(ada.cookies.items()))
    assert ada.put("/desk/leave", {}).status_code == 200
    assert name not in ada.cookies
    other = visitor()
    other.cookies.set(name, value)
    assert other.get("/desk/progress").status_code == 401


def test_links_open_once_and_say_so_when_they_do_not(visitor: Any, fresh: pictus.Project) -> None:
    link = annotate.invite(fresh).summary["links"][0]
    one, two = visitor(), visitor()
    assert "Start" in one.get(link).text, "looking does not use it up"
    assert "Start" in one.get(link).text
    token = link.removeprefix("/join/")
    assert one.get(link).headers["referrer-policy"] == "no-referrer"
    assert one.put("/desk/join", {"token": token, "name": "Ada"}).status_code == 200
    again = two.put("/desk/join", {"token": token, "name": "Bea"})
    assert again.status_code == 400
    assert "used" in again.json()["error"]["what"]
    assert two.get("/desk/progress").status_code == 401
    assert two.get("/join/x").status_code == 404
    late = annotate.invite(fresh, uses=3)
    with fresh.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE tokens SET expires_at = '2020-01-01T00:00:00Z' WHERE kind = 'link'"))
    late_token = late.summary["links"][0].removeprefix("/join/")
    assert "expired" in two.put("/desk/join", {"token": late_token, "name": "Bea"}).json()["error"]["what"]


def test_a_link_that_is_for_one_person_asks_for_no_name(visitor: Any, fresh: pictus.Project) -> None:
    visitor("Ada")
    link = annotate.readmit(fresh, "Ada").summary["link"]
    back = visitor()
    text = back.get(link).text
    assert "Come in again as Ada" in text
    assert 'id="name"' not in text
    assert back.put("/desk/join", {"token": link.removeprefix("/join/"), "name": ""}).status_code == 200
    assert back.get("/desk/progress").json()["person"]["name"] == "Ada"


def test_a_name_is_taken_once_and_must_be_seen(visitor: Any, fresh: pictus.Project) -> None:
    token = annotate.invite(fresh, uses=9).summary["links"][0].removeprefix("/join/")
    one = visitor()
    for name in ("", "   ", "a\u202eb", "x" * 41, "source:list"):
        assert one.put("/desk/join", {"token": token, "name": name}).status_code == 400, name
    assert one.put("/desk/join", {"token": token, "name": "Ada"}).status_code == 200
    assert "taken" in visitor().put("/desk/join", {"token": token, "name": "ada"}).json()["error"]["what"]


def test_without_a_kiosk_a_name_alone_opens_nothing(fresh: pictus.Project, desk: Desk) -> None:
    with Visitor(build_desk_app(fresh, desk), base_url="http://localhost") as one:
        assert "Your link" in one.get("/").text
        assert one.put("/desk/join", {"token": "", "name": "Ada"}).status_code == 403


def test_only_owners_see_people_and_links(visitor: Any, fresh: pictus.Project) -> None:
    ada, owner = visitor("Ada"), owner_of(fresh, visitor)
    ada.answered(ada.page())
    assert ada.get("/people").status_code == 403
    for path in ("invite", "revoke", "pause"):
        assert ada.put(f"/desk/people/{path}", {}).status_code == 403
    assert "People" not in ada.get("/").text
    assert "Ada" in owner.get("/people").text
    made = owner.put("/desk/people/invite", {"many": 2, "role": "reviewer", "note": "<b>spring</b>"}).json()
    assert len(made["links"]) == 2
    assert "&lt;b&gt;spring" in owner.get("/people").text
    link = next(iter(annotate.links(fresh))).link
    assert owner.put("/desk/people/revoke", {"link": link}).json()["said"] == "1 link revoked"
    assert owner.put("/desk/people/revoke", {"link": "%"}).status_code == 400
    assert owner.put("/desk/people/revoke", {"link": link}).status_code == 404


def test_an_owner_pauses_and_lets_go_on(visitor: Any, fresh: pictus.Project) -> None:
    ada, owner = visitor("Ada"), owner_of(fresh, visitor)
    assert owner.put("/desk/people/pause", {"name": "Ada", "reason": "read it again"}).status_code == 200
    found = ada.put("/desk/next", {}).json()
    assert (found["page"], found["paused"]) == (None, "read it again")
    assert ada.put("/desk/appeal", {"text": "  "}).status_code == 400
    assert ada.put("/desk/appeal", {"text": "I did <b>read</b>"}).json() == {"sent": True}
    assert "I did &lt;b&gt;read" in owner.get("/people").text
    assert owner.put("/desk/people/pause", {"name": "Ada", "resume": True}).status_code == 200
    assert ada.page()
    assert owner.put("/desk/people/pause", {"name": "Owner", "reason": "x"}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'{"kind": 1}', b'{"kind": null}', b'{"x": 1}', b'{"except": "x"}',
        b'{"except": [1]}', b'{"except": ["' + b"a" * 23 + b'"]}', b'{"kind": "\\u0000"}', b'{"kind": "\\ud800"}',
        b"\xff\xfe", b'{"kind": NaN}', b"[" * 100_000, b'{"kind": "' + b"x" * 300 + b'"}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_as_it_should_be_is_refused_in_words(visitor: Any, body: bytes) -> None:
    ada = visitor("Ada")
    answer = ada.post("/desk/next", content=body, headers=DESK | {"content-type": "application/json"})
    if body:
        assert answer.status_code in (400, 413)
        assert set(answer.json()["error"]) == {"what", "fix"}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"revision": 0}, {"revision": 1.5}, {"revision": True}, {"revision": "1"}, {"revision": 10**30},
        {"revision": 1, "answers": {}}, {"revision": 1, "answers": [1]}, {"revision": 1, "answers": [{"position": 0}]},
        {"revision": 1, "answers": [{"position": -1, "answer": "no"}]},
        {"revision": 1, "answers": [{"position": 0, "answer": "maybe"}]},
        {"revision": 1, "answers": [{"position": 0, "answer": "no", "data": []}]},
        {"revision": 1, "answers": [{"position": 0, "answer": "no", "image_id": "x"}]},
        {"revision": 1, "answers": [{"position": 0, "answer": "no"}] * 400},
        {"revision": 1, "answers": [{"position": 0, "answer": "no"}] * 8},
        {"revision": 1, "answers": [], "seconds": -1}, {"revision": 1, "answers": [], "seconds": "x"},
        {"revision": 1, "answers": []},
    ],
)  # fmt: skip
def test_answers_that_cannot_be_are_refused_whole(visitor: Any, fresh: pictus.Project, body: Any) -> None:
    ada = visitor("Ada")
    answer = ada.put(f"/desk/pages/{ada.page()['page_id']}", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["what"]
    assert fresh.journal.vote_count() == 0


def test_a_body_that_is_too_large_is_cut_off(visitor: Any) -> None:
    ada = visitor("Ada")
    headers = DESK | {"content-type": "application/json"}
    answer = ada.post("/desk/next", content=b'{"kind": "' + b" " * 30_000, headers=headers)
    assert answer.status_code == 413
    assert set(answer.json()["error"]) == {"what", "fix"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5), where=st.sampled_from(WRITES))
def test_no_json_breaks_the_desk(visitor: Any, body: Any, where: str) -> None:
    one = visitor()
    one.put("/desk/join", {"token": "", "name": "Ada"})
    answer = one.post(f"/desk/{where}", json=body, headers=DESK)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}
        assert set(answer.json()["error"]) == {"what", "fix"}


def test_every_page_carries_the_safety_headers_and_no_inline_script(visitor: Any, fresh: pictus.Project) -> None:
    owner = owner_of(fresh, visitor)
    for path in ("/", "/desk", "/people", "/join/" + "A" * 40, "/nothing"):
        answer = owner.get(path)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", answer.text), path
        assert "://" not in re.sub(r"https?://127\.0\.0\.1", "", answer.text), path


def test_a_database_that_is_away_is_to_be_tried_again(
    visitor: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = visitor("Ada")

    def away(*_args: Any, **_values: Any) -> None:
        raise LaterError("The desk cannot reach its database just now.", fix="wait")

    monkeypatch.setattr(desk, "next_page", away)
    assert ada.put("/desk/next", {}).status_code == 503


@pytest.mark.parametrize("error", [
    OSError(errno.EMFILE, "Too many open files", "/x/1.bin"),
    UserError("The table /x/t.lance is damaged or cannot be read: Too many open files (os error 24)."),
])  # fmt: skip
def test_too_many_open_files_is_later_and_no_path_is_told(
    visitor: Any, desk: Desk, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = visitor("Ada")

    def short(*_what: object, **_how: object) -> None:
        raise error

    monkeypatch.setattr(desk, "next_page", short)
    answer = ada.put("/desk/next", {})
    assert answer.status_code == 503
    assert answer.json()["error"]["what"] == "Too much is asked of the desk just now."


def test_where_the_project_lies_is_told_to_its_owner_alone(
    visitor: Any, fresh: pictus.Project, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = visitor("Ada")
    path = fresh.root / "tables" / "images.lance"

    def damaged(*_what: object, **_how: object) -> None:
        raise UserError(f"The table {path} is damaged.", fix=f"rm -r {path}")

    monkeypatch.setattr(desk, "next_page", damaged)
    answer = ada.put("/desk/next", {})
    assert answer.status_code == 503
    assert str(fresh.root) not in answer.text
    assert f"The table {path} is damaged." in capsys.readouterr().err


def test_who_leaves_in_the_middle_of_a_body_leaves_no_traceback(visitor: Any) -> None:
    ada = visitor("Ada")
    headers = {
        "host": "127.0.0.1:8500", "content-type": "application/json", "x-pictus": "desk", "content-length": "100",
        "cookie": "; ".join(f"{name}={value}" for name, value in ada.cookies.items()),
    }  # fmt: skip
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/desk/next", "raw_path": b"/desk/next",
        "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 8500), "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    parts = [{"type": "http.request", "body": b'{"kind', "more_body": True}, {"type": "http.disconnect"}]
    said: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(ada.app(scope, receive, send))  # raises nothing, which the server would write to stderr
    assert said[0]["status"] == 400


@pytest.mark.parametrize("path", ["/", "/desk", "/people", "/desk/progress", "/desk/done"])
def test_no_page_breaks_while_the_database_is_away(
    visitor: Any, fresh: pictus.Project, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    ada = owner_of(fresh, visitor)
    assert ada.get(path).status_code == 200
    known = fresh.journal.engine

    def gone(*_args: Any, **_values: Any) -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError("disk I/O error"))

    for calls in range(3):  # away from the first look on, or only after who it is was found out
        left = [calls]

        def connect(*, before: Any = known.connect, left: list[int] = left) -> Any:
            left[0] -= 1
            return before() if left[0] >= 0 else gone()

        with monkeypatch.context() as patch:
            patch.setattr(known, "connect", connect)
            answer = ada.get(path)
        assert answer.status_code in ((503,) if calls == 0 else (200, 303, 503)), (path, calls)
        assert "disk I/O" not in answer.text
        if answer.status_code == 503:
            assert "cannot reach its database" in answer.text


def test_a_refusal_of_the_guard_has_the_shape_of_every_error(visitor: Any) -> None:
    ada = visitor("Ada")
    for headers in ({**DESK, "origin": "http://evil.example"}, {**DESK, "host": "evil.example"}):
        answer = ada.post("/desk/next", json={}, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"].keys() == {"what", "fix"}
    assert ada.get("/", headers={"host": "evil.example"}).headers["content-type"].startswith("text/plain")


def test_a_concept_that_is_added_while_the_desk_serves_is_known(
    visitor: Any, fresh: pictus.Project, tmp_path: Path, desk: Desk
) -> None:
    ada = visitor("Ada")
    assert "no concept" in ada.put("/desk/unpicturable", {"concept": "late"}).text
    (tmp_path / "late.csv").write_text("id,name,parent,gloss,is_class\nlate,latecomer,top,it came late,yes\n")
    taxonomy.import_(fresh, file=tmp_path / "late.csv")
    assert "late" in desk.taxonomy()
    answer = ada.put("/desk/unpicturable", {"concept": "late"})
    assert "Only who was asked" in answer.text, "known, but not asked about yet"


def test_a_page_that_is_not_there_is_said_as_page_and_as_json(visitor: Any) -> None:
    ada = visitor("Ada")
    assert "There is no page /nothing" in ada.get("/nothing").text
    assert ada.get("/desk/nothing").json()["error"]["what"] == "There is no page /desk/nothing."
    assert ada.put("/desk/progress", {}).status_code == 405


def test_what_waits_is_told_by_kind_with_its_reason(visitor: Any) -> None:
    text = visitor("Ada").get("/").text
    assert "6 concepts wait" in text
    assert "/desk?kind=grid&amp;concept=c00" in text
    assert "Nobody has looked at 8 pictures yet:" in text


def test_who_is_to_draw_begins_with_the_quiz_too(tmp_path: Path, desk_of: MakeDesk) -> None:
    project = settled_project(tmp_path, 2, 3, quiz=2)
    annotate.plan(project, kind="mask")
    client = Visitor(build_desk_app(project, desk_of(project), is_kiosk=True), base_url="http://127.0.0.1:8500")
    client.put("/desk/join", {"name": "Ada"})
    lent = client.put("/desk/next", {"kind": "mask"}).json()
    assert lent["page"]["kind"] == "mask"
    assert "what is meant by number" in str(lent["quiz"]["choices"])


def test_the_owner_reads_that_the_rule_needs_more_people(fresh: pictus.Project) -> None:
    desk = open_desk(fresh)  # the default rule
    client = Visitor(build_desk_app(fresh, desk, is_kiosk=True), base_url="http://127.0.0.1:8500")
    owner = owner_of(fresh, lambda: client)
    assert desk.lacks_people() == (10, 1)
    assert "10 people look at; 1 can come in so far" in owner.get("/people").text
    annotate.invite(fresh, uses=9)
    annotate.invite(fresh, role="owner", uses=5)
    assert desk.lacks_people() == (0, 0)
    assert 'id="lacks"' not in owner.get("/people").text
    assert open_desk(fresh, rule="online").lacks_people() == (0, 0)


def test_who_may_not_come_in_is_told_so_before_a_body_is_read(visitor: Any) -> None:
    nobody = visitor()
    answer = nobody.post("/desk/pages/" + "A" * 22, content=b"[" * 7_000_000, headers=DESK)
    assert answer.status_code == 401


def test_nothing_told_after_handing_in_says_what_others_answered(visitor: Any, fresh: pictus.Project) -> None:
    for name in ("Ada", "Bob", "Cyd"):
        one = visitor(name)
        page = one.page(concept="c00")
        told = one.answered(page, "yes").json()
        assert "decided" not in told
    for revision in range(2, 6):
        assert one.answered(page, ("yes", "no")[revision % 2], revision).status_code == 200
    assert "5 times already" in one.answered(page, "unsure", 6).text


def test_a_paused_owner_can_look_after_nobody(visitor: Any, fresh: pictus.Project) -> None:
    owner = owner_of(fresh, visitor)
    assert owner.get("/people").status_code == 200
    annotate.pause(fresh, "Owner", reason="the session was stolen")
    assert owner.get("/desk/progress").status_code == 401, "the stolen session has ended"
    token = annotate.readmit(fresh, "Owner").summary["link"].rpartition("/")[2]
    assert owner.put("/desk/join", {"token": token, "name": "Owner"}).status_code == 200
    assert owner.put("/desk/people/invite", {"many": 1, "role": "owner"}).status_code == 403
    assert owner.put("/desk/people/pause", {"name": "Owner", "resume": True}).status_code == 403
    annotate.readmit(fresh, "Owner")
    assert owner.get("/desk/progress").status_code == 401


def test_an_annotator_who_is_paused_stays_signed_in_and_reads_why(visitor: Any, fresh: pictus.Project) -> None:
    ada = visitor("Ada")
    annotate.pause(fresh, "Ada", reason="copied")
    assert ada.get("/desk/progress").json()["person"]["reason"] == "copied"


def test_known_answers_are_no_examples_whatever_number_is_asked_for(tmp_path: Path, desk_of: MakeDesk) -> None:
    project = settled_project(tmp_path, 1, 8, settled=8)
    with project.journal.transaction() as connection:
        concept = str(connection.exec_driver_sql("SELECT MIN(concept_id) FROM questions").scalar() or "c00")
        connection.exec_driver_sql("UPDATE questions SET known = 'yes' WHERE question_id IN (1, 2)")
        hidden = set(connection.exec_driver_sql("SELECT image_id FROM questions WHERE known <> ''").scalars())
    cards = Cards(project, desk_of(project).taxonomy)
    found: list[str] = []
    with pytest.raises(NotThereError):
        found.extend(cards.find(concept, place) for place in range(100))
    assert found
    assert not hidden & set(found)


def test_the_owner_reads_what_cannot_be_pictured_and_asks_again(visitor: Any, fresh: pictus.Project) -> None:
    owner = owner_of(fresh, visitor)
    for name in ("Ada", "Bob"):
        one = visitor(name)
        one.page(concept="c00")
        assert one.put("/desk/unpicturable", {"concept": "c00"}).status_code == 200
        text = owner.get("/people").text
        assert name in text
        assert ('data-reopen="c00"' in text) == (name == "Bob"), "one alone puts nothing aside"
    assert visitor("Cyd").put("/desk/people/reopen", {"concept": "c00"}).status_code == 403
    assert owner.put("/desk/people/reopen", {"concept": "c00"}).json()["said"] == "kind 0 is asked about again"
    assert "cannot be pictured, say" not in owner.get("/people").text
    assert visitor("Dee").page(concept="c00")


def test_who_annotates_reads_no_priorities_and_the_owner_none_that_a_group_cannot_have(
    visitor: Any, fresh: pictus.Project
) -> None:
    reason = "starving: 0 of 500 accepted; 2 suspects; 1 disputed; 8 that nobody has looked at"
    with fresh.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE heaps SET reason = :reason"), {"reason": reason})
    ada, owner = visitor("Ada"), owner_of(fresh, visitor)
    assert ada.page()["reason"] == "nobody has looked at 8 pictures yet"
    assert "starving" not in ada.get("/").text.casefold()
    assert "Starving" in owner.get("/").text
    groups = load_taxonomy(fresh)
    assert told(reason, "owner", "top", groups) == "2 suspects; 1 disputed; 8 that nobody has looked at"
    assert told("its box was found bad: to be drawn again", "annotator", "c00", groups).startswith("its box")


def test_what_is_lent_to_others_is_not_offered(visitor: Any, fresh: pictus.Project) -> None:
    with fresh.journal.transaction() as connection:
        connection.exec_driver_sql("UPDATE questions SET wanted = 1")
    ada, bob = visitor("Ada"), visitor("Bob")
    assert ada.page(concept="c00")
    offered = "concept=c00"
    assert offered not in bob.get("/").text
    assert offered in ada.get("/").text, "a page in one's own hands is taken up again"
    assert "concept=c01" in bob.get("/").text
