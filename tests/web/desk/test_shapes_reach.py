"""Everybody reaches everything where one draws: names, contrast, sizes of targets, the keyboard's way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.desk.drawing import Hand, ask, desk_project, emptied, images, person, put_mark, served

import pictus

pytestmark = pytest.mark.browser

CHECK = Path(__file__).with_name("reach.js").read_text(encoding="utf-8")
KINDS = ("box", "box-quality", "box-coverage", "mask", "points")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> Iterator[str]:
    """A desk with questions of every kind that draws or looks at what was drawn."""
    project = desk_project(tmp_path_factory.mktemp("desk"), make_jpeg, 9)
    emptied(project)
    for kind in ("box", "mask", "points"):
        ask(project, kind, images(project)[:3])
    for image_id in images(project)[3:6]:
        number = put_mark(project, image_id, {"box": [60, 40, 200, 180]})
        ask(project, "box-quality", [image_id], mark_id=number)
    covered(project, images(project)[6:])
    with served(project) as found:
        yield found


def covered(project: pictus.Project, image_ids: list[str]) -> None:
    """Boxes that were found good, and the question whether one is missing."""
    for image_id in image_ids:
        number = put_mark(project, image_id, {"box": [60, 40, 200, 180]})
        ask(project, "box-quality", [image_id], mark_id=number)
        with project.journal.transaction() as connection:
            connection.exec_driver_sql(f"UPDATE questions SET state = 'accepted' WHERE mark_id = {number}")
        ask(project, "box-coverage", [image_id], mark_id=number)


def used(hand: Hand, kind: str) -> None:
    """Draw something, so that every button is alive."""
    if kind == "box":
        hand.drag((100, 80), (200, 160))
    elif kind == "mask":
        hand.click((60, 50), (150, 40), (200, 120))
        hand.press("Enter", "m", "b")
        hand.drag((240, 60), (290, 160))
    elif kind == "points":
        hand.page.select_option("select", "coco-person")
        hand.frame()
        hand.click((100, 80))
        hand.press("x")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark"), (1280, "dark"), (400, "light")])
def test_every_drawing_page_can_be_read_and_reached(address: str, chromium: Any, width: int, scheme: str) -> None:
    found: dict[str, Any] = {}
    with person(chromium, address, width=width, color_scheme=scheme) as hand:
        for kind in KINDS:
            hand.enter(f"ada {kind}", kind)  # newcomers hold two pages
            used(hand, kind)
            hand.frame()
            problems = hand.page.evaluate(CHECK)
            across, along = hand.page.evaluate("""(() => {
              const { scrollWidth, scrollHeight } = document.documentElement;
              return [scrollWidth - innerWidth, scrollHeight - innerHeight];
            })()""")
            if problems or across or along > 0:
                found[kind] = [*problems, f"{across} px too wide, {along} too high"]
    assert found == {}


@pytest.mark.parametrize("kind", KINDS)
def test_the_keyboard_goes_round_and_is_seen(address: str, chromium: Any, kind: str) -> None:
    with person(chromium, address) as hand:
        hand.enter(f"ada {kind}", kind)  # newcomers hold two pages
        used(hand, kind)
        seen: list[str] = []
        for _ in range(60):
            hand.press("Tab")
            what, outline = hand.page.evaluate("""(() => {
                const at = document.activeElement, style = getComputedStyle(at);
                return [at === document.body ? "" : at.outerHTML.slice(0, 100), style.outlineStyle];
            })()""")
            if what and "sheet" not in what:
                if what in seen:
                    break
                seen.append(what)
            assert not what or outline == "solid", f"{what} does not show its focus"
        assert 6 <= len(seen) < 50
