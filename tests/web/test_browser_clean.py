"""The pages of clean in a real Chromium: a line moved by keyboard, duplicates compared, on a desk and on a phone."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pictus
from pictus import clean, collect, taxonomy
from pictus.clock import now
from pictus.records import Duplicate, Faces, Relevance, Verdict
from pictus.tables import table_of
from pictus.web.server import build_app, listen

pytestmark = pytest.mark.browser

PICTURES = 300
NASTY = "<img src=x onerror=alert(1)>\"'&"
PAGES = (
    "/clean", "/clean/tiny", "/clean/odd-aspect", "/clean/tiny?concept=owl", "/clean/duplicates", "/clean/relevance",
    "/clean/relevance?view=suspects", "/clean/relevance?view=twins", "/clean/privacy", "/clean/privacy?view=safety",
    "/coverage", "/coverage?text=owl&order=lost",
)  # fmt: skip


@contextmanager
def served(project: pictus.Project, hosts: frozenset[str] | None = None) -> Iterator[str]:
    """The project's pages on a free port of loopback; `hosts` empty: open to others."""
    import uvicorn

    listener = listen("127.0.0.1", 0)
    app = build_app(project) if hosts is None else build_app(project, hosts)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    """300 screened pictures with short sides 60, 60, 61 … in two classes, one of them with a hostile name; one group of
    duplicates of three kinds, scores and faces as their steps write them.
    """
    folder = tmp_path_factory.mktemp("in")
    for index in range(PICTURES):
        place = folder / ("owl" if index % 2 else "a" * 80)
        place.mkdir(exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(100, 60 + index // 8, seed=index % 7 + 1000 * index))
    project = pictus.new(tmp_path_factory.mktemp("project") / "birds")
    taxonomy.import_(project, folders=folder)
    collect.add(project, (folder,), by_folder=True)
    clean.check(project)
    clean.screen(project)
    ids = project.tables.read("images", ["image_id"]).column("image_id").to_pylist()
    owl = project.tables.read("sources", ["concept_id"]).column("concept_id")[0].as_py()
    keeper, *others = ids[:5]
    frame = json.dumps({"x": 0.1, "y": 0.2, "width": 0.5, "height": 0.4})
    rows = [
        Duplicate(keeper, keeper, is_keeper=True, relation="near", distance=0, evidence_id="", reason="kept: " + NASTY),
        *(
            Duplicate(one, keeper, is_keeper=False, relation=relation, distance=bits, evidence_id=keeper, reason="so",
                      similarity=0.9, detail=detail)
            for one, relation, bits, detail in zip(
                others, ("near", "crop", "turned", "pixels"), (9, 0, 0, 0), ("", frame, '{"turn": "90"}', "no JSON"),
                strict=True,
            )
        ),
    ]  # fmt: skip
    project.tables.replace("duplicates", table_of("duplicates", rows))
    dropped = [Verdict(one, "drop", "duplicate", "it is one", 9.0, 76.0, now()) for one in others]
    project.tables.upsert("verdicts", table_of("verdicts", dropped))
    scores = [
        Relevance(one, owl, index / 300, owl if index % 2 else "", 0.3, keeper if index % 3 else "", 0.97, "m" * 70)
        for index, one in enumerate(ids)
    ]
    project.tables.replace("relevance", table_of("relevance", scores))
    boxes = "[[10, 10, 30, 30, 5.5], [50, 20, 20, 25, 1e3]]"
    faces = [Faces(one, "", 2, boxes, "opencv") for one in ids[:9]] + [Faces(ids[9], "", 1, '{"x": "</svg>"}', NASTY)]
    project.tables.replace("faces", table_of("faces", faces))
    return project


@pytest.fixture(scope="module")
def address(pool: pictus.Project) -> Iterator[str]:
    with served(pool) as found:
        yield found


@pytest.fixture
def lined(pool: pictus.Project) -> pictus.Project:
    """The pool with no line of anybody's own and nothing restored, whatever the test before left."""
    pool.tables.delete("verdicts", "rule = 'restored'")
    clean.screen(pool, line=("tiny=pool",))
    return pool


@contextmanager
def opened(chromium: Any, width: int) -> Iterator[Any]:
    """A fresh page; any error on its console fails the test."""
    context = chromium.new_context(viewport={"width": width, "height": 800})
    found = context.new_page()
    said: list[str] = []
    found.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: said.append(str(error)))
    yield found
    context.close()
    assert said == []


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    with opened(chromium, 1280) as found:
        yield found


@pytest.fixture(params=[1280, 400])
def any_page(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    """On a desk and on a phone."""
    with opened(chromium, request.param) as found:
        yield found


def review(page: Any, address: str, rule: str = "tiny", query: str = "") -> None:
    """Open a review and wait until its script has asked for the first time."""
    page.goto(f"{address}/clean/{rule}{query}")
    until(page, "document.querySelector('.edge-of-line, .window .tile[data-id]')")
    until(page, "document.getElementById('line').getAttribute('aria-valuetext')")


def until(page: Any, claim: str) -> None:
    """Wait until an expression is true, with patience for a busy machine (the pages' policy allows no eval)."""
    deadline = time.monotonic() + 30
    while not page.evaluate(f"Boolean({claim})"):
        assert time.monotonic() < deadline, f"not within 30 seconds: {claim}; {page.inner_text('main')[:200]}"
        page.wait_for_timeout(20)


def dropped(page: Any) -> int:
    return int(re.sub(r"\D", "", page.inner_text("#counts b")))


def dimmed(page: Any) -> list[int]:
    """The places of the dimmed pictures in sight."""
    tiles = "[...document.querySelectorAll('.window .tile.dropped')]"
    found: list[int] = page.evaluate(f"{tiles}.map((one) => Number(one.dataset.index))")
    return found


def settled(page: Any, number: int) -> None:
    words = f"document.querySelector('#counts b').textContent === '{number:,} beyond the line'"
    until(page, words)


def test_no_page_of_clean_scrolls_sideways_or_says_an_error(any_page: Any, address: str) -> None:
    wide = {}
    for path in PAGES:
        any_page.goto(address + path)
        any_page.wait_for_load_state("networkidle")
        width = any_page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if width[0] > width[1]:
            wide[path] = width
    assert wide == {}


def test_the_arrows_move_the_line_and_dim_what_it_drops(any_page: Any, address: str) -> None:
    review(any_page, address, query="?line=62.5")
    before = dropped(any_page)
    assert before == 24
    assert any_page.evaluate("document.activeElement.id") == "line", "the line has the focus from the start"
    any_page.keyboard.press("ArrowRight")
    settled(any_page, 32)  # eight pictures of each side: equal ones fall together
    assert max(dimmed(any_page)) == 31
    assert "more than now" in any_page.inner_text("#change")
    any_page.keyboard.press("ArrowLeft")
    any_page.keyboard.press("ArrowLeft")
    settled(any_page, 16)
    assert max(dimmed(any_page)) == 15
    any_page.keyboard.press("End")
    settled(any_page, PICTURES)
    any_page.keyboard.press("Home")
    settled(any_page, 0)
    assert not [place for place in dimmed(any_page) if place > 20]


def test_shift_moves_the_line_by_a_hundredth_and_the_footer_follows(page: Any, address: str) -> None:
    review(page, address, rule="blurred", query="?line=1")
    page.keyboard.press("Shift+ArrowRight")
    settled(page, 3)
    assert "--line blurred=" in page.inner_text("#shell")
    sent = page.locator("#accept-form [name=line]").input_value()
    assert f"blurred={sent}" in page.inner_text("#api")
    page.keyboard.press("u")
    until(page, "document.getElementById('change').textContent === ', as now'")


def test_the_slider_answers_while_the_pointer_moves_it(page: Any, address: str) -> None:
    review(page, address)
    box = page.locator("#line").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    until(page, "Number(document.querySelector('#counts b').textContent.replace(/\\D/g, '')) > 20")
    asked = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/line?'))"
    times = page.evaluate(f"{asked}.map((one) => one.duration)")
    assert min(times) < 1000, "ms for one move beside other tests; benchmarks/review.py times it in quiet"


def test_the_wall_holds_only_the_rows_in_sight(any_page: Any, address: str) -> None:
    review(any_page, address)
    assert any_page.locator(".window .tile").count() < 130
    any_page.evaluate("document.getElementById('virtual').scrollTop = 1e9")
    until(any_page, f"document.querySelector('.window .tile[data-index=\"{PICTURES - 1}\"][data-id]')")
    assert any_page.locator(".window .tile").count() < 130


def test_pictures_are_walked_restored_and_left_by_keyboard(page: Any, address: str, lined: pictus.Project) -> None:
    clean.screen(lined, line=("tiny=62.5",))
    review(page, address)
    page.keyboard.press("j")
    until(page, "document.activeElement.dataset.index === '24'")
    page.keyboard.press("h")
    until(page, "document.activeElement.dataset.index === '23' && document.activeElement.dataset.id")
    image_id = page.evaluate("document.activeElement.dataset.id")
    page.keyboard.press("r")
    settled(page, 23)
    assert lined.tables.count("verdicts", f"image_id = '{image_id}' AND rule = 'restored'") == 1
    until(page, "document.activeElement.dataset.fate === 'restored'")
    assert 23 not in dimmed(page)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/pictures/{image_id}")


def test_enter_accepts_the_line_after_a_word_and_writes_verdicts(
    page: Any, address: str, lined: pictus.Project
) -> None:
    review(page, address, query="?line=61.5")
    page.keyboard.press("Enter")
    promised = dropped(page)
    words = page.inner_text("#sure-does")
    assert f"{promised} pictures of {PICTURES}" in words
    assert "kept now will be dropped" in words
    assert lined.tables.count("verdicts", "rule = 'tiny'") == 0, "nothing before the second Enter"
    page.keyboard.press("Enter")
    page.wait_for_selector("#own")
    assert lined.tables.count("verdicts", "rule = 'tiny' AND verdict = 'drop'") == promised
    assert "set by you" in page.inner_text("h1")
    page.locator("#own").press("Enter")
    page.wait_for_selector("#off")
    assert lined.tables.count("verdicts", "rule = 'tiny' AND verdict = 'drop'") == 0


def test_the_keys_of_duplicates_begin_with_the_first_one_without_a_click(any_page: Any, address: str) -> None:
    any_page.goto(address + "/clean/duplicates")
    any_page.keyboard.press("c")
    assert any_page.locator("#compare").is_visible()
    any_page.keyboard.press("Escape")
    any_page.goto(address + "/clean/duplicates")
    any_page.keyboard.press("ArrowRight")
    until(any_page, "document.activeElement.closest('.member[data-b]') !== null")
    any_page.keyboard.press("Escape")
    any_page.wait_for_timeout(50)
    assert any_page.url.endswith("/clean/duplicates"), "Escape closes; it does not leave the page"


def test_two_groups_of_three_stand_side_by_side_and_the_figures_in_one_line(page: Any, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(address + "/clean/duplicates?relation=near")
    width = page.evaluate("document.querySelector('.member').getBoundingClientRect().width")
    room = page.evaluate("document.querySelector('.groups').getBoundingClientRect().width")
    assert 2 * (3 * width + 2 * 12) + 32 <= room
    assert "in all groups" in page.inner_text("h1"), "the figure is not of what the filter shows"
    page.goto(address + "/clean/privacy")
    tops = page.evaluate("[...document.querySelectorAll('.facts > div')].slice(0, 8).map((one) => one.offsetTop)")
    assert len(set(tops)) == 1


def test_commands_break_between_words_and_never_within_an_option(any_page: Any, address: str) -> None:
    any_page.goto(address + "/clean/privacy")
    words = "[...document.querySelectorAll('code .word')]"
    heights = any_page.evaluate(f"{words}.map((one) => one.getClientRects().length)")
    assert heights
    assert set(heights) <= {0, 1}


def test_question_mark_lists_the_keys_of_a_review(page: Any, address: str) -> None:
    review(page, address)
    page.keyboard.press("?")
    assert "move the line by one picture" in page.inner_text("#help")
    page.keyboard.press("Escape")


def test_open_to_others_a_line_can_be_looked_at_and_not_accepted(page: Any, lined: pictus.Project) -> None:
    with served(lined, frozenset()) as address:
        review(page, address, query="?line=61.5")
        page.keyboard.press("ArrowRight")
        settled(page, 24)
        page.keyboard.press("Enter")
        assert page.locator("#accept").count() == 0
        assert not page.locator("#sure").is_visible()
        answer = page.request.post(address + "/clean/tiny/line", form={"line": "99"})
        page.goto("about:blank")  # it asks on as long as it is open
    assert answer.status in (404, 405)
    assert lined.tables.count("verdicts", "rule = 'tiny' AND verdict = 'drop'") == 0


def test_two_pictures_are_compared_by_key(any_page: Any, address: str) -> None:
    any_page.goto(address + "/clean/duplicates")
    member = any_page.locator(".member[data-b]")
    assert member.count() == 4
    member.first.locator(".tile").focus()
    any_page.keyboard.press("c")
    assert any_page.locator("#compare").is_visible()
    shown = "getComputedStyle(document.getElementById('compare-b')).visibility"
    assert any_page.evaluate(shown) == "hidden"
    any_page.keyboard.press(" ")
    assert any_page.evaluate(shown) == "visible"
    any_page.keyboard.press("d")
    assert any_page.evaluate("getComputedStyle(document.getElementById('compare-b')).mixBlendMode") == "difference"
    seen = any_page.inner_text("#compare-words")
    any_page.keyboard.press("ArrowRight")
    assert any_page.inner_text("#compare-words") != seen
    any_page.keyboard.press("Escape")
    any_page.wait_for_timeout(100)
    assert any_page.url.endswith("/clean/duplicates"), "closing is not going back"
    assert not any_page.locator("#compare").is_visible()


def test_a_crop_is_drawn_as_a_frame_on_the_picture_it_was_cut_from(page: Any, address: str) -> None:
    page.goto(address + "/clean/duplicates?relation=crop")
    frame, whole = (page.locator(f".framed {part}").first.bounding_box() for part in ("rect", "image"))
    assert frame["width"] / whole["width"] == pytest.approx(0.5, abs=0.08), "the line around it has a width"
    assert (frame["y"] - whole["y"]) / whole["height"] == pytest.approx(0.2, abs=0.08)


def test_faces_are_framed_where_they_are(page: Any, address: str) -> None:
    page.goto(address + "/clean/privacy")
    assert page.locator(".tile.whole rect").count() == 18, "two on each of nine, none for what is no list of boxes"
    frame = page.locator(".tile.whole rect").first.bounding_box()
    picture = page.locator(".tile.whole image").first.bounding_box()
    assert (frame["x"] - picture["x"]) / picture["width"] == pytest.approx(0.1, abs=0.05)


def test_a_concept_is_found_by_name_and_leads_to_its_wall(page: Any, address: str) -> None:
    page.goto(address + "/coverage")
    page.fill("input[name=text]", "owl")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=owl*")
    assert page.locator(".cover:not(.head)").count() == 1
    page.locator(".cover a").first.press("Enter")
    page.wait_for_url("**/concepts/*")
