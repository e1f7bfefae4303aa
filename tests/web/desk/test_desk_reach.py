"""Everybody reaches everything at the desk: names, contrast, focus, landmarks, sizes of targets, on every screen.

The checks are those of axe-core's and WCAG 2.2's that a machine can make; axe-core itself is not part of the project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pictus import annotate

from .conftest import NewPage, Server, at_wall, come_by_link, served, settled_project

pytestmark = pytest.mark.browser

SCREENS = ("entrance", "home", "people", "pause", "quiz", "grid", "zoom", "help", "ask", "error")
CHECK = Path(__file__).with_name("reach.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A desk with a quiz, examples, and links for owners."""
    project = settled_project(tmp_path_factory.mktemp("reach"), 24, 8, quiz=24)
    with served(project, is_kiosk=False) as server:
        yield server


def screens(page: Any, server: Server, name: str) -> Iterator[str]:
    """Walk through every screen -> its name, while it stands."""
    link = annotate.invite(server.project).summary["links"][0]
    page.goto(server.address + link)
    yield "entrance"
    come_by_link(page, server, name, "owner")
    yield "home"
    page.goto(server.address + "/people")
    page.click("#invite button")
    page.wait_for_selector("#links")
    yield "people"
    if page.locator("[data-pause]").count():
        page.locator("[data-pause]").first.click()
        yield "pause"
        page.keyboard.press("Escape")
    page.goto(server.address + "/desk")
    page.wait_for_selector(".quiz")
    yield "quiz"
    at_wall(page)
    for key in ("Space", "l", "n", "l"):
        page.keyboard.press(key)
    yield "grid"
    for key, screen, back in (("z", "zoom", "z"), ("?", "help", "Escape"), ("p", "ask", "Escape")):
        page.keyboard.press(key)
        yield screen
        page.keyboard.press(back)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_every_screen_can_be_read_and_reached(crowd: Server, new_page: NewPage, scheme: str, width: int) -> None:
    page = new_page(width=width, color_scheme=scheme)
    found: dict[str, Any] = {}
    seen = set()
    for screen in screens(page, crowd, f"{scheme} {width}"):
        seen.add(screen)
        problems = page.evaluate(CHECK)
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if problems or wide:
            found[screen] = [*problems, *(["scrolls sideways"] if wide else [])]
    assert found == {}
    assert seen >= {"entrance", "home", "people", "quiz", "grid", "zoom", "help", "ask"}


def test_the_keyboard_goes_round_without_a_trap_and_is_seen_everywhere(crowd: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, crowd, "Tab", "owner")
    for path, least in (("/", 5), ("/people", 8), ("/desk", 8)):
        page.goto(crowd.address + path)
        if path == "/desk":
            at_wall(page)
        seen: list[str] = []
        for _ in range(60):
            page.keyboard.press("Tab")
            what, outline = page.evaluate("""(() => {
                const at = document.activeElement, style = getComputedStyle(at);
                return [at === document.body ? "" : at.outerHTML.slice(0, 120), style.outlineStyle];
            })()""")
            if seen and what == seen[0]:
                break
            if not what:  # past the last one: the next is the first
                continue
            seen.append(what)
            assert outline == "solid", f"{path}: {what} does not show its focus"
        assert least <= len(seen) < 60, f"{path}: {seen}"


def test_what_is_saved_is_read_aloud_and_the_skip_link_works(crowd: Server, new_page: NewPage) -> None:
    page = new_page()
    come_by_link(page, crowd, "Listener", "owner")
    page.goto(crowd.address + "/desk")
    at_wall(page)
    for name in ("saved", "said"):
        live = page.locator(f"#{name}")
        assert (live.get_attribute("role"), live.get_attribute("aria-live")) == ("status", "polite")
    assert page.locator(".skip").get_attribute("href") == "#work"
    states = page.locator(".mark").first
    assert states.get_attribute("role") == "checkbox"
    page.keyboard.press("n")
    assert states.get_attribute("aria-checked") == "mixed"
    assert "unsure" in str(states.get_attribute("aria-label"))
