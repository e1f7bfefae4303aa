"""Review over HTTP: who may, what is refused, what walls hold, rulings and their withdrawal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.annotate.desks import counting_held_back

import pictus
from pictus import annotate
from pictus.annotate.tasks import Given
from pictus.project import open_project
from pictus.web.desk import review
from pictus.web.desk.app import build_desk_app

from .conftest import MakeDesk
from .disputes import disputed_project

DESK = {"x-pictus": "desk"}
PAGES = ("/review", "/review/wall?of=disagreements", "/review/person?name=Ada")
READS = (
    "/desk/review/ready",
    "/desk/review/wall?of=concept&concept=c00", "/desk/review/tree", "/desk/review/picture?image=" + "0" * 64)
WRITES = ("rule", "take-back", "pause")


class Visitor(TestClient):
    """A browser that sends what the desk's own pages send."""

    def put(self, path: str, body: Any) -> Any:  # type: ignore[override]
        return self.post(path, json=body, headers=DESK)

    def wall(self, **asked: Any) -> Any:
        return self.get("/desk/review/wall", params=asked).json()

    def rule(self, act: str, pictures: Any, **more: Any) -> Any:
        return self.put("/desk/review/rule", {"act": act, "pictures": pictures, **more})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: taking in and settling takes most of a second."""
    project = disputed_project(tmp_path_factory.mktemp("disputed"))
    project.journal.engine.dispose()
    return project.root


@pytest.fixture
def disputed(template: Path, tmp_path: Path) -> pictus.Project:
    return open_project(Path(shutil.copytree(template, tmp_path / "birds")))


@pytest.fixture
def visitor(disputed: pictus.Project, desk_of: MakeDesk) -> Iterator[Any]:
    """visitor(name, role) -> a signed-in browser; without a name nobody is signed in."""
    app = build_desk_app(disputed, desk_of(disputed), is_kiosk=True)
    made: list[Visitor] = []

    def make(name: str = "", role: str = "reviewer") -> Visitor:
        one = Visitor(app, base_url="http://127.0.0.1:8500", raise_server_exceptions=True)
        made.append(one)
        if name:
            token = annotate.invite(disputed, role=role).summary["links"][0].removeprefix("/join/")
            assert one.put("/desk/join", {"token": token, "name": name}).status_code == 200
        return one

    yield make
    for one in made:
        one.close()


def test_while_votes_are_counted_first_a_page_says_so_and_goes_on(
    visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = counting_held_back(monkeypatch)
    assert visitor("Ben", "annotator").get("/review").status_code == 403, "nothing is counted for them"
    monkeypatch.setattr(review, "PATIENT_S", 0.01)
    rita = visitor("Rita")
    for path in PAGES:
        told = rita.get(path).text
        assert "104 votes are being counted" in told
        assert "waiting.js" in told
    assert rita.get("/desk/review/ready").json() == {"is_ready": False}
    monkeypatch.setattr(review, "PATIENT_S", 30.0)
    may_go_on.set()
    assert rita.get("/desk/review/ready").json() == {"is_ready": True}
    assert "with split votes" in rita.get("/review").text


def test_an_annotator_is_refused_everywhere_and_nobody_is_led_to_the_entrance(visitor: Any) -> None:
    ada, nobody = visitor("Ada", "annotator"), visitor()
    image = visitor("Rita").wall(of="concept", concept="c00")["pictures"][0][0]
    for path in (*PAGES, *READS, f"/desk/review/pictures/{image}/160"):
        assert ada.get(path).status_code == 403, path
        answer = nobody.get(path, follow_redirects=False)
        assert answer.status_code == (303 if path.startswith("/review") else 401), path
    for name in WRITES:
        assert ada.put(f"/desk/review/{name}", {}).status_code == 403
        assert nobody.put(f"/desk/review/{name}", {}).status_code == 401
    assert "/review" not in ada.get("/").text


@pytest.mark.parametrize("headers", [{}, {"x-pictus": "web"}, {**DESK, "origin": "http://evil.example"}])
def test_other_sites_cannot_rule(visitor: Any, headers: dict[str, str], disputed: pictus.Project) -> None:
    rita = visitor("Rita")
    for name in WRITES:
        assert rita.post(f"/desk/review/{name}", json={}, headers=headers).status_code == 403
    with disputed.journal.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM rulings").scalar_one() == 0


def test_split_votes_come_first_and_leave_when_they_are_ruled_on(visitor: Any) -> None:
    rita = visitor("Rita")
    wall = rita.wall(of="disagreements")
    assert wall["total"] == 4 * 2 + 4, "two pictures of each concept, and one of each that is called the next"
    assert {row[3] for row in wall["pictures"]} == {"2 yes, 1 no", "1 yes, 1 no"}
    assert "12</span> pictures with split votes" in rita.get("/review").text
    first = wall["pictures"][0]
    answer = rita.rule("is-not", [[first[0], first[1]]], reason="blurred").json()
    assert answer["now"][first[0]][2] in ("Rita", "")
    assert rita.wall(of="disagreements", at=wall["at"])["total"] == 12, "the order stays while one scrolls"
    assert rita.wall(of="disagreements")["total"] == 11
    assert rita.wall(of="disagreements", concept="c01")["total"] == 3
    history = rita.get("/desk/review/picture", params={"image": first[0]}).json()["history"]
    assert ("Rita", True) in {(one["who"], one["counts"]) for one in history}


def test_moving_counts_at_once_here_and_in_the_labels_when_they_are_settled(
    visitor: Any, disputed: pictus.Project
) -> None:
    rita = visitor("Rita")
    before = rita.wall(of="concept", concept="c00")
    three = [row[0] for row in before["pictures"][:3]]
    done = rita.rule("move", [[one, "c00"] for one in three], to="c01", reason="they are").json()
    assert done["now"] == {one: ["c01", "accepted", "Rita"] for one in three}
    assert rita.wall(of="concept", concept="c00")["total"] == before["total"] - 3
    assert {row[0] for row in rita.wall(of="concept", concept="c01")["pictures"]} >= set(three)
    labels = {one.image_id: (one.concept_id, one.method) for one in annotate.settle(disputed)}
    assert {labels[one] for one in three} == {("c01", "ruling")}
    back = rita.put("/desk/review/take-back", {"batch": done["batch"]}).json()
    assert back["pictures"] == 3
    annotate.settle(disputed)
    assert rita.wall(of="concept", concept="c00")["total"] == before["total"]
    again = rita.put("/desk/review/take-back", {"batch": back["batch"]}).json()
    assert again["now"] == done["now"]


def test_moving_twice_leaves_nothing_of_the_first(visitor: Any, disputed: pictus.Project) -> None:
    rita = visitor("Rita")
    image = rita.wall(of="concept", concept="c00")["pictures"][0][0]
    rita.rule("move", [[image, "c00"]], to="c01")
    assert rita.rule("move", [[image, "c00"]], to="c02").json()["now"][image] == ["c02", "accepted", "Rita"]
    annotate.settle(disputed)
    rows = disputed.tables.read("presences", where=f"image_id = '{image}' AND status = 'accepted'").to_pylist()
    assert [row["concept_id"] for row in rows] == ["c02"]


def test_mixed_up_concepts_stand_side_by_side(visitor: Any) -> None:
    rita = visitor("Rita")
    text = rita.get("/review").text
    assert "kind 0 or kind 1?" in text
    page = rita.get("/review/wall?of=pair&concept=c00&other=c01").text
    assert page.count('class="sheet-wall"') == 2
    side = rita.wall(of="pair", concept="c00", other="c01")["pictures"]
    assert side[0][3] == "mixed by people"
    assert (side[0][1], side[0][2]) == ("c00", "c01")
    assert [row[3].startswith("mixed") for row in side[1:]] == [False] * (len(side) - 1)
    both = [[side[0][0], "c00", "c01"]]
    assert rita.rule("move", both).json()["now"][side[0][0]][0] == "c01"
    assert rita.wall(of="pair", concept="c01", other="c00")["total"] == 9


def test_suspects_are_those_of_the_table_that_nobody_ruled_on(visitor: Any) -> None:
    rita = visitor("Rita")
    (row,) = rita.wall(of="suspects")["pictures"]
    assert (row[1], row[2], row[3]) == ("c02", "c03", "first says kind 3")
    rita.rule("is", [[row[0], "c02"]])
    assert rita.wall(of="suspects")["total"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {}, {"act": "is", "pictures": []}, {"act": "eat", "pictures": [["0" * 64, "c00"]]},
        {"act": "is", "pictures": [["0" * 64, "c00"]]}, {"act": "is", "pictures": [["x", "c00"]]},
        {"act": "is", "pictures": "all"}, {"act": "is", "pictures": [["0" * 64]]}, {"act": "is", "pictures": [1]},
        {"act": "is", "pictures": [["../../etc", "c00"]]}, {"act": "move", "pictures": [["0" * 64, "c00"]], "to": "no"},
        {"act": "is", "pictures": [], "reason": "x" * 501}, {"act": 1, "pictures": []}, {"odd": 1},
        {"act": "is", "pictures": [["0" * 64, "c00"]] * 5001},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(visitor: Any, disputed: pictus.Project, body: Any) -> None:
    answer = visitor("Rita").put("/desk/review/rule", body)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["what"]
    with disputed.journal.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM rulings").scalar_one() == 0


@pytest.mark.parametrize(
    "path",
    [
        "/desk/review/wall?of=nothing", "/desk/review/wall?of=concept&concept=dodo", "/review/wall?of=pair&concept=c00",
        "/desk/review/wall?offset=x", "/desk/review/picture?image=..", "/review/person?name=nobody",
        "/desk/review/pictures/" + "0" * 64 + "/160", "/desk/review/pictures/" + "0" * 64 + "/161",
        "/desk/review/pictures/..%2F..%2Fpictus/160",
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(visitor: Any, path: str) -> None:
    assert visitor("Rita").get(path).status_code in (400, 404)


def test_a_record_shows_pages_accuracy_differences_and_the_appeal(
    visitor: Any, disputed: pictus.Project, desk_of: MakeDesk
) -> None:
    with disputed.journal.transaction() as connection:
        connection.exec_driver_sql("UPDATE questions SET known = 'yes' WHERE question_id % 3 = 0")
    desk = desk_of(disputed)
    bob = desk.person(desk.kiosk("Bob <b>"))
    assert bob is not None
    for _ in range(2):
        page = desk.next_page(bob)
        assert page is not None
        desk.submit(bob, page.page_id, 1, [Given(item.position, "no") for item in page.items], 20)
    rita, owen = visitor("Rita"), visitor("Owen", "owner")
    assert rita.put("/desk/review/pause", {"name": "Owen", "reason": "x"}).status_code == 403
    assert rita.put("/desk/review/pause", {"name": "Rita", "reason": "x"}).status_code == 403
    assert rita.put("/desk/review/pause", {"name": "Bob <b>", "reason": "always no"}).json()["said"]
    bob = desk.person(desk.kiosk("Ben"))
    annotate.pause(disputed, "Ben", reason="look closer")
    ben = visitor()
    token = annotate.readmit(disputed, "Ben").summary["link"].removeprefix("/join/")
    ben.put("/desk/join", {"token": token, "name": "Ben"})
    assert ben.put("/desk/appeal", {"text": "<i>I did</i> look"}).status_code == 200
    text = rita.get("/review/person", params={"name": "Bob <b>"}).text
    assert "Bob &lt;b&gt;" in text
    assert "Bob <b>" not in text
    assert "always no" in text
    assert "right on known" in text
    assert '<svg class="chart record"' in text
    assert rita.wall(of="person", name="Bob <b>")["total"] > 0
    assert "&lt;i&gt;I did&lt;/i&gt; look" in owen.get("/review/person", params={"name": "Ben"}).text
    assert rita.put("/desk/review/pause", {"name": "Ben", "resume": True}).status_code == 200
    annotate.pause(disputed, "Rita", reason="holiday")
    assert rita.rule("is", [["0" * 64, "c00"]]).status_code == 401, "a reviewer's session ends with the pause"


def test_the_tree_lists_kin_together_with_counts(visitor: Any) -> None:
    rows = visitor("Rita").get("/desk/review/tree").json()["concepts"]
    assert [row[:5] for row in rows[:2]] == [["top", "thing", 0, 0, 0], ["c00", "kind 0", 1, 1, 8]]


def test_names_and_reasons_are_text_and_pages_hold_no_script(tmp_path: Path, desk_of: MakeDesk) -> None:
    project = disputed_project(tmp_path, 2, 4, name="<script>alert(1)</script>")
    link = annotate.invite(project, role="owner").summary["links"][0].removeprefix("/join/")
    with Visitor(build_desk_app(project, desk_of(project)), base_url="http://localhost") as rita:
        rita.put("/desk/join", {"token": link, "name": "<img src=x>"})
        image = rita.wall(of="concept", concept="c00")["pictures"][0][0]
        rita.rule("is-not", [[image, "c00"]], reason="</script><script>alert(2)</script>")
        for path in (*PAGES[:2], "/review/wall?of=concept&concept=c00", "/review/person?name=%3Cimg src=x%3E"):
            text = rita.get(path).text
            assert "<script>" not in text
            assert "<img src=x" not in text
            assert "<style" not in text
            assert "onclick" not in text
            assert ' style="' not in text
