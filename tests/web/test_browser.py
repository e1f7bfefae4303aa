"""The pages in a real Chromium: keyboard, scrolling, narrow screens, dark and light."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import annotate, clean, collect, search, taxonomy
from pictus.web.server import build_app, listen

pytestmark = pytest.mark.browser

PICTURES = 150
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> Iterator[str]:
    """A project of 150 pictures served on loopback."""
    import uvicorn

    folder = tmp_path_factory.mktemp("in")
    for index in range(PICTURES):
        place = folder / ("owl", "cup", "tree")[index % 3]
        place.mkdir(exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    project = pictus.new(tmp_path_factory.mktemp("project") / "birds")
    taxonomy.import_(project, folders=folder)
    collect.add(project, (folder,), by_folder=True)
    for stage in (clean.check, clean.dedupe, clean.screen):
        stage(project)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    search.index(project, run="classical")
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(build_app(project), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium on this machine (Debian: chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 400])
def page(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    """A fresh page; any error on its console fails the test."""
    context = chromium.new_context(viewport={"width": request.param, "height": 800})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


@pytest.mark.parametrize("path", ["/", "/concepts", "/pictures", "/clean", "/search?text=owl"])
def test_no_page_scrolls_sideways(page: Any, address: str, path: str) -> None:
    page.goto(address + path)
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], f"{path} is {width[0]} px wide in {width[1]}"


def test_the_wall_grows_while_scrolling_until_every_picture_is_there(page: Any, address: str) -> None:
    page.goto(address + "/pictures")
    assert page.locator(".wall .tile").count() >= 120
    for _ in range(20):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(60)
        if page.locator(".wall .tile").count() == PICTURES:
            break
    assert page.locator(".wall .tile").count() == PICTURES


def test_a_picture_is_reached_and_left_by_keyboard_alone(page: Any, address: str) -> None:
    page.goto(address + "/pictures")
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    wanted = page.evaluate("document.activeElement.dataset.id")
    assert wanted == page.locator(".tile").nth(1).get_attribute("data-id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/pictures/{wanted}")
    assert "Kept or dropped" in page.inner_text("main")
    page.keyboard.press("Escape")
    page.wait_for_url("**/pictures")


def test_question_mark_lists_the_keys(page: Any, address: str) -> None:
    page.goto(address + "/")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_a_filter_applies_when_chosen(page: Any, address: str) -> None:
    page.goto(address + "/pictures")
    page.select_option("select[name=concept]", label="owl")
    page.wait_for_url("**concept=*")
    assert "50 pictures" in page.inner_text("h1")


def test_a_dropped_picture_finds_itself(
    page: Any, address: str, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    (tmp_path / "query.jpg").write_bytes(make_jpeg(160, 120, seed=4))
    page.goto(address + "/search")
    page.set_input_files("#drop input[type=file]", tmp_path / "query.jpg")
    page.wait_for_selector(".wall .tile")
    assert "1.00" in page.locator(".wall .tile").first.inner_text()


def test_dark_and_light_differ_and_keep_their_contrast(chromium: Any, address: str) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        opened = context.new_page()
        opened.goto(address + "/")
        style = "getComputedStyle(document.body)"
        colours[scheme] = opened.evaluate(f"[{style}.backgroundColor, {style}.color]")
        context.close()
    assert colours["light"] != colours["dark"]
    for background, ink in colours.values():
        assert contrast(background, ink) >= 7, "WCAG AAA for body text"


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two rgb(…) colours."""
    lights = sorted((luminance(first), luminance(second)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
