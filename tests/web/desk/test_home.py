"""The start page: what is alike stands together, what somebody holds comes first."""

from __future__ import annotations

from typing import Any

import pytest

from pictus import annotate
from pictus.annotate.desk.lease_steps import Heap, has_page
from pictus.web.desk import home
from pictus.web.desk.app import build_desk_app
from pictus.web.desk.home import Waiting, _blocks

from .conftest import make_project
from .test_desk_app import Visitor


def waiting(name: str, reason: str, *, is_held: bool = False) -> Waiting:
    return Waiting(name, name, reason, is_held)


def test_concepts_that_wait_for_the_same_reason_stand_together() -> None:
    rows = [
        waiting("wren", "3 cases"), waiting("owl", "nobody has looked at 5 pictures yet"),
        waiting("hawk", "nobody has looked at 1,200 pictures yet"), waiting("crow", "", is_held=True),
        waiting("swan", "nobody has looked at 3 pictures yet"), waiting("duck", "4 cases"),
    ]  # fmt: skip
    told = [(block.reason, [row.name for row in block.rows]) for block in _blocks(rows)]
    assert told == [
        ("", ["crow", "wren"]), ("nobody has looked at 3\N{EN DASH}1,200 pictures yet", ["owl", "hawk", "swan"]),
        ("", ["duck"]),
    ]  # fmt: skip


def test_a_link_says_at_once_whom_it_lets_in(fresh: Any, desk_of: Any) -> None:
    app = build_desk_app(fresh, desk_of(fresh))
    roles = {"annotator": "Help to label pictures", "owner": "Come in as owner", "reviewer": "Come in as reviewer"}
    for role, words in roles.items():
        client = Visitor(app, base_url="http://127.0.0.1:8500")
        link = annotate.invite(fresh, role=role).summary["links"][0]
        token = link.rpartition("/")[2]
        assert f"<h1>{words}</h1>" in client.get(f"/join/{token}").text
        client.put("/desk/join", {"token": token, "name": f"New {role}"})
        used = client.get(f"/join/{token}").text
        assert "This link does not lead in" in used
        assert f"signed in as <b>New {role}</b>" in used
        assert 'id="join"' not in used
    assert "This link does not lead in" in Visitor(app, base_url="http://127.0.0.1:8500").get("/join/" + "A" * 43).text


def test_what_a_page_advises_is_a_sentence_with_the_command_as_code(fresh: Any, desk_of: Any) -> None:
    app = build_desk_app(fresh, desk_of(fresh))
    client = Visitor(app, base_url="http://127.0.0.1:8500")
    token = annotate.invite(fresh, role="owner").summary["links"][0].rpartition("/")[2]
    client.put("/desk/join", {"token": token, "name": "Olga"})
    page = client.get("/review/wall?of=concept&concept=nope")
    assert (page.status_code, "<code>pictus taxonomy add &#39;nope&#39;</code>" in page.text) == (400, True)
    for address in ("/review/wall?of=person&name=Olgo", "/review/person?name=Olgo"):
        page = client.get(address)
        assert (page.status_code, "Did you mean Olga?" in page.text) == (404, True)
    assert client.get("/review/wall?of=person&name=Olga").status_code == 200


def test_of_many_concepts_one_is_found_by_its_name(tmp_path: Any, desk_of: Any) -> None:
    project = make_project(tmp_path, 21, 1)
    client = Visitor(build_desk_app(project, desk_of(project), is_kiosk=True), base_url="http://127.0.0.1:8500")
    client.put("/desk/join", {"name": "Ada"})
    page = client.get("/").text
    assert 'name="text"' in page
    assert page.count("Nobody has looked at 1 picture yet:") == 1
    assert page.count("/desk?kind=grid&amp;concept=") == 21
    found = client.get("/?text=KIND_20").text
    assert found.count("/desk?kind=grid&amp;concept=") == 1
    assert "concept=c20" in found
    assert "Nothing waits for you about a concept with “nix" in client.get("/?text=nix<b>").text
    client.put("/desk/next", {"kind": "grid", "concept": "c05", "except": []})
    client.put("/desk/next", {"kind": "grid", "concept": "c06", "except": []})
    full = client.put("/desk/next", {"kind": "grid", "concept": "c07", "except": []}).json()
    assert sorted((one["title"], one["name"]) for one in full["held"]) == [("Is it?", "kind 5"), ("Is it?", "kind 6")]
    assert client.get("/").text.count("<b>in your hands</b>") == 2


def test_a_second_look_does_not_ask_the_database_about_each_heap_again(
    fresh: Any, desk_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = has_page

    def counted(connection: Any, heap: Any, name: str) -> bool:
        asked.append(heap.concept_id)
        return real(connection, heap, name)

    monkeypatch.setattr(home, "has_page", counted)
    client = Visitor(build_desk_app(fresh, desk_of(fresh), is_kiosk=True), base_url="http://127.0.0.1:8500")
    client.put("/desk/join", {"name": "Ada"})
    assert client.get("/").text == client.get("/").text
    assert len(asked) == 6
    page = client.page(concept="c03")
    assert "in your hands" in client.get("/").text
    client.answered(page)
    assert "concept=c03" not in client.get("/").text, "what one did oneself is seen at once"
    assert len(asked) == 12


def test_what_has_a_page_for_somebody_is_known_for_some_seconds_and_until_they_hand_one_in() -> None:
    seconds = [0.0]
    seen, heap = home._Seen(lambda: seconds[0]), Heap("grid", "c00", 1.0, "", 3)
    seen.of("Ada", 0)[heap] = True
    assert seen.of("Ada", 0) == {heap: True}
    assert seen.of("Ben", 0) == seen.of("Ada", 1) == {}
    seen.of("Ada", 1)[heap] = True
    seconds[0] = home.KEPT_S
    assert seen.of("Ada", 1) == {}
