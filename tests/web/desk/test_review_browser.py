"""Review in a Chromium: dragging onto a concept, everything by keyboard, undo, scripts that are only text, reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.annotate.desks import counting_held_back

import pictus
from pictus import annotate
from pictus.annotate.review.rulings import UNKNOWN
from pictus.annotate.review.worklist_steps import Tile, Wall, Worklist
from pictus.web.desk import review

from .conftest import NewPage, Server, come_by_link, drawn, served
from .disputes import disputed_project

pytestmark = pytest.mark.browser

CHECK = Path(__file__).with_name("reach.js").read_text(encoding="utf-8")
ODD = "<script>document.title = 1</script>"
READY = "() => document.querySelector('.mark img') && document.querySelector('[role=treeitem]')"
SAID = "words => document.getElementById('said').textContent.includes(words)"


@pytest.fixture(scope="module")
def disputed(tmp_path_factory: pytest.TempPathFactory) -> pictus.Project:
    project = disputed_project(tmp_path_factory.mktemp("review"), 6, 10, name=ODD)
    annotate.rule(
        project, (project.tables.read("images", ["image_id"]).column(0)[59].as_py(),), concept="c05", reason=ODD,
        reviewer=ODD,
    )  # fmt: skip
    return project


@pytest.fixture(scope="module")
def reviewed(disputed: pictus.Project) -> Iterator[Server]:
    with served(disputed) as server:
        yield server


def at(page: Any, server: Server, query: str) -> None:
    page.goto(server.address + "/review/wall?" + query)
    page.wait_for_function(READY)


def rulings(project: pictus.Project) -> list[tuple[str, str, str]]:
    """(picture, concept, ruling) of what stands."""
    with project.journal.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT image_id, concept_id, ruling FROM rulings ORDER BY ruling_id").all()
    found = {(row[0], row[1]): row[2] for row in rows}
    return sorted((*pair, ruling) for pair, ruling in found.items() if ruling != "withdrawn")


def images(page: Any, count: int) -> list[str]:
    return [page.locator("button.mark").nth(number).get_attribute("data-image") for number in range(count)]


def middle(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_three_pictures_are_dragged_onto_another_concept_and_come_back(reviewed: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, reviewed, "Dora", "reviewer")
    at(page, reviewed, "of=concept&concept=c00")
    before, three = rulings(reviewed.project), images(page, 3)
    for number in range(3):
        page.locator("button.mark").nth(number).click()
    assert page.inner_text("#tally") == "3 selected"
    page.mouse.move(*middle(page, "button.mark"))
    page.mouse.down()
    page.mouse.move(400, 300, steps=4)
    page.mouse.move(*middle(page, "[data-drop=c03]"), steps=6)
    told = page.inner_text(".chip-of")
    assert told.startswith("3 pictures → ")
    assert told.endswith("no longer " + page.inner_text("[data-drop=c00] .node-name"))
    page.mouse.up()
    page.wait_for_function(SAID, arg="takes it back")
    assert [row for row in rulings(reviewed.project) if row not in before] == sorted(
        row for one in three for row in ((one, "c00", "is-not"), (one, "c03", "is"))
    )
    assert page.locator(".mark.done").count() == 3
    page.keyboard.press("u")
    page.wait_for_function(SAID, arg="Taken back on 3 pictures")
    assert rulings(reviewed.project) == before
    assert page.locator(".mark.done").count() == 0
    page.keyboard.press("U")
    page.wait_for_function(SAID, arg="Done again on 3 pictures")
    assert len(rulings(reviewed.project)) == len(before) + 6
    page.keyboard.press("u")
    page.wait_for_function(SAID, arg="Taken back")


def test_a_frame_selects_what_it_touches(reviewed: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, reviewed, "Fay", "reviewer")
    at(page, reviewed, "of=concept&concept=c01")
    x, y = middle(page, "button.mark")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 20, steps=3)
    page.mouse.move(*middle(page, "button.mark[data-index='2']"), steps=6)
    assert page.locator(".frame").count() == 1
    page.mouse.up()
    assert page.inner_text("#tally") == "3 selected"
    assert page.locator(".frame").count() == 0
    page.locator("button.mark").nth(1).click()
    assert page.inner_text("#tally") == "2 selected"
    page.keyboard.press("Escape")
    assert page.inner_text("#tally") == ""


def test_everything_by_keyboard(reviewed: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, reviewed, "Kay", "reviewer")
    page.goto(reviewed.address + "/review")
    page.locator("a[href*='of=disagreements']").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(READY)
    before, two = rulings(reviewed.project), images(page, 2)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.mark')"):
            break
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("() => document.getElementById('tally').textContent === '2 selected'")
    page.keyboard.press("r")
    page.keyboard.type("kind 4" if ODD not in page.inner_text("#tree") else ODD + " 4")
    assert "2 pictures → " in page.inner_text("#move-does")
    page.keyboard.press("Enter")
    page.wait_for_function(SAID, arg="takes it back")
    fresh = [row for row in rulings(reviewed.project) if row not in before]
    assert {(row[0], row[1]) for row in fresh if row[2] == "is"} == {(one, "c04") for one in two}
    page.keyboard.press("u")
    page.wait_for_function(SAID, arg="Taken back on 2 pictures")
    assert rulings(reviewed.project) == before
    page.keyboard.press("a")
    page.wait_for_function(SAID, arg="takes it back")
    page.keyboard.press("x")
    page.wait_for_function("() => document.querySelectorAll('.mark.done').length >= 1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#look-history li")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "treeitem"
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.matches('.mark')")
    page.keyboard.press("?")
    assert page.locator("#help[open]").count() == 1


def test_a_long_wall_holds_only_what_is_in_sight(
    tmp_path: Path, new_page: NewPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = disputed_project(tmp_path, 2, 4)
    row = Tile("", "c00", "", "accepted, P = 0.99", UNKNOWN)
    names = [f"{number:064x}" for number in range(20_000)]
    wall = Wall("long", names, [], [], [])
    monkeypatch.setattr(Worklist, "wall", lambda *_: wall)
    tiles = [row._replace(image_id=one) for one in names]
    monkeypatch.setattr(Worklist, "tiles", lambda _, _wall, offset, count: tiles[offset : offset + count])
    with served(project) as server:
        page = new_page()
        page.route("**/desk/review/pictures/**", lambda route: route.fulfill(body=drawn(1), content_type="image/jpeg"))
        come_by_link(page, server, "Lola", "reviewer")
        at(page, server, "of=concept&concept=c00")
        page.locator("button.mark").first.focus()
        page.keyboard.press("End")
        page.wait_for_function("() => document.activeElement.dataset.index === '19999'")
        assert page.locator(".window > *").count() < 100
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowLeft")
        page.wait_for_function("() => document.getElementById('tally').textContent === '2 selected'")


def test_an_annotator_finds_no_review(reviewed: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, reviewed, "Ann")
    assert page.locator("a[href='/review']").count() == 0
    for path in ("/review", "/desk/review/wall?of=disagreements"):
        assert page.request.get(reviewed.address + path).status == 403
    written = page.request.post(reviewed.address + "/desk/review/rule", data={}, headers={"x-pictus": "desk"})
    assert written.status == 403


def test_scripts_in_names_and_reasons_are_text(reviewed: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, reviewed, "<img src=x onerror=alert(1)>", "reviewer")
    for path in ("/review", "/review/wall?of=concept&concept=c05", "/review/wall?of=disagreements"):
        page.goto(reviewed.address + path)
        if "wall" in path:
            page.wait_for_function(READY)
            assert ODD in page.inner_text("#tree")
        assert ODD in page.inner_text("main")
        assert page.title() != "1"
        assert page.locator("img[src=x]").count() == 0
    page.locator("button.mark").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#look-history li")
    assert page.locator("#look script").count() == 0


def test_the_page_that_waits_for_the_first_count_can_be_read_and_goes_on_by_itself(
    disputed: pictus.Project, new_page: NewPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = counting_held_back(monkeypatch)
    monkeypatch.setattr(review, "PATIENT_S", 0.05)
    with served(disputed) as server:
        for scheme, width in (("light", 1280), ("dark", 400)):
            page = new_page(width=width, color_scheme=scheme)
            come_by_link(page, server, f"Wim {scheme}", "reviewer")
            page.goto(server.address + "/review")
            assert "votes are being counted" in page.inner_text("main")
            assert page.evaluate(CHECK) == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        may_go_on.set()
        page.wait_for_selector("#h-disputed", timeout=30_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_every_page_of_review_can_be_read_and_reached(
    reviewed: Server, new_page: NewPage, scheme: str, width: int
) -> None:
    page = new_page(width=width, color_scheme=scheme)
    come_by_link(page, reviewed, f"Rea {scheme} {width}", "owner")
    found: dict[str, Any] = {}

    def look(screen: str) -> None:
        problems = page.evaluate(CHECK)
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if problems or wide:
            found[screen] = [*problems, *(["scrolls sideways"] if wide else [])]

    page.goto(reviewed.address + "/review")
    look("list")
    for query in ("of=disagreements", "of=pair&concept=c00&other=c01", "of=suspects"):
        at(page, reviewed, query)
        page.locator("button.mark").first.focus()
        page.keyboard.press("Space")
        look(query)
    for key, screen in (("r", "move"), ("?", "help"), ("Enter", "look")):
        page.keyboard.press(key)
        if screen == "look":
            page.wait_for_selector("#look-history li")
        look(screen)
        page.keyboard.press("Escape")
    page.goto(f"{reviewed.address}/review/person?name=Rea%20{scheme}%20{width}")
    look("person")
    assert found == {}
