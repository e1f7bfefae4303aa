"""Masks and points drawn in a real Chromium: outlines, brush, regions found, skeletons; COCO's numbers in scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from tests.web.desk.drawing import (
    HEIGHT,
    WIDTH,
    Hand,
    ask,
    desk_project,
    emptied,
    images,
    marks,
    person,
    served,
    states,
)  # fmt: skip

import pictus
from pictus.annotate.shapes import rle

pytestmark = pytest.mark.browser

Desk = tuple[pictus.Project, str]
OUTLINE = [(60.0, 50.0), (150.0, 40.0), (200.0, 120.0), (120.0, 180.0), (50.0, 130.0)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    return desk_project(tmp_path_factory.mktemp("desk"), make_jpeg, 4)


@pytest.fixture
def desk(project: pictus.Project) -> Iterator[Desk]:
    """A desk over four pictures that wait for a mask and for points; one page holds one of them."""
    emptied(project)
    ask(project, "mask", images(project)[:1])
    ask(project, "points", images(project)[:1])
    with served(project) as address:
        yield project, address


def hand_in(hand: Hand) -> None:
    hand.press("Enter")
    hand.wait_saved()


def mask_of(found: dict[str, Any]) -> np.ndarray:
    if "polygons" in found:
        return rle.decode(rle.from_polygons(found["polygons"], HEIGHT, WIDTH))
    return rle.decode(rle.from_json(found, height=HEIGHT, width=WIDTH))


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def disc_line(start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
    """Pixels within `radius` of a line, worked out apart from the browser."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    direction = np.subtract(end, start)
    along = np.clip(((x - start[0]) * direction[0] + (y - start[1]) * direction[1]) / (direction**2).sum(), 0, 1)
    return np.asarray(np.hypot(x - start[0] - along * direction[0], y - start[1] - along * direction[1]) <= radius)


@pytest.mark.parametrize(("width", "ratio"), [(1280, 1), (400, 2)])
def test_three_masks_drawn_by_the_mouse_are_stored_as_they_were_drawn(
    desk: Desk, chromium: Any, width: int, ratio: int
) -> None:
    project, address = desk
    with person(chromium, address, width=width, device_scale_factor=ratio) as hand:
        hand.enter("ada", "mask").click(*OUTLINE, OUTLINE[0])  # back on the first point: closed
        assert "Closed: 5 points" in hand.said()
        hand.press("m", "b")  # another one, by the brush
        radius = 12 / (hand.at(1, 0)[0] - hand.at(0, 0)[0])  # the brush is 24 px across on the screen
        hand.drag((240, 60), (290, 160))
        hand.press("m", "p")
        hand.click((20, 200), (60, 200), (40, 230))
        hand.press("Enter")
        hand_in(hand)
    first, second, third = marks(project, "mask")
    assert np.abs(np.array(first["polygons"][0]) - np.array(OUTLINE).ravel()).max() <= 1
    assert first["tool"] == "polygon"
    assert second["tool"] == "brush"
    assert overlap(mask_of(second), disc_line((240, 60), (290, 160), radius)) > 0.93
    assert np.abs(np.array(third["polygons"][0]) - [20, 200, 60, 200, 40, 230]).max() <= 1


def test_points_of_an_outline_are_moved_added_and_taken_away(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "mask").click(*OUTLINE)
        hand.press("Enter")
        hand.drag(OUTLINE[2], (220, 110))
        hand.drag((105, 45), (105, 20))  # the middle of the first edge: a new point
        assert hand.page.locator(".corner").count() == 6
        hand.press("ArrowDown", "Shift+ArrowRight")
        hand.press("Tab", "Delete")  # the next point goes
        hand_in(hand)
    found = np.array(marks(project, "mask")[0]["polygons"][0]).reshape(-1, 2)
    wanted = [OUTLINE[0], (115, 21), (220, 110), OUTLINE[3], OUTLINE[4]]
    assert np.abs(found - np.array(wanted)).max() <= 1.5


def test_brush_eraser_and_fill_are_undone_and_done_again(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "mask").press("b")
        ring = [(100.0, 60.0), (200.0, 60.0), (200.0, 160.0), (100.0, 160.0), (100.0, 60.0)]
        hand.drag(*ring)
        areas = [area(hand)]
        hand.press("f")
        hand.click((150, 110))
        areas.append(area(hand))
        hand.press("e")
        hand.drag((90, 110), (210, 110))
        areas.append(area(hand))
        hand.click((20, 20))  # rubs out nothing
        hand.press("f")
        hand.click((20, 20))
        assert "no hole" in hand.said()
        hand.press("u", "u")
        assert drawn_px(hand) == areas[1]
        hand.press("u")
        assert drawn_px(hand) == areas[0]
        hand.press("U", "U")
        hand_in(hand)
    assert areas[1] > areas[2] > areas[0]
    assert int(mask_of(marks(project, "mask")[0]).sum()) == areas[2]


def area(hand: Hand) -> int:
    """What the page says of the mask."""
    assert hand.said()
    return drawn_px(hand)


def drawn_px(hand: Hand) -> int:
    """Pixels of the mask as the draft has it."""
    hand.page.wait_for_timeout(1)
    hand.page.evaluate("dispatchEvent(new Event('pagehide'))")
    kept = json.loads(hand.page.evaluate("Object.entries(localStorage).find(([key]) => key.includes('/draft/'))[1]"))
    return rle.area(rle.from_json(kept["0"]["shapes"][0]))


def test_a_draft_of_a_brushed_mask_survives_a_reload(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "mask").press("b")
        hand.drag((100, 60), (200, 160))
        before = drawn_px(hand)
        hand.page.reload()
        hand.ready()
        assert "is back" in hand.said()
        hand_in(hand)
    assert int(mask_of(marks(project, "mask")[0]).sum()) == before


def test_an_outline_is_drawn_with_the_keyboard_alone(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "mask").press("ArrowRight", " ")  # the cross: 161, 120
        hand.press(*["Shift+ArrowRight"] * 4, " ", *["Shift+ArrowDown"] * 4, " ", "Enter")
        hand_in(hand)
    step = np.diff(np.array(marks(project, "mask")[0]["polygons"][0]).reshape(-1, 2), axis=0)
    assert step.tolist() == [[40, 0], [0, 40]]


def test_runs_text_and_fillings_are_those_of_python(desk: Desk, chromium: Any) -> None:
    rng = np.random.default_rng(3)
    masks = [rng.random((int(h), int(w))) < rng.random() for h, w in rng.integers(1, 40, (80, 2))]
    masks += [np.zeros((5, 7), np.bool_), np.ones((6, 3), np.bool_), np.eye(9, dtype=np.bool_)]
    polygons = []
    for h, w in rng.integers(4, 60, (80, 2)).tolist():
        corners = rng.integers(3, 12)
        polygons.append((h, w, np.round(rng.random(2 * corners) * np.tile([w, h], corners), 2).tolist()))
    with person(chromium, desk[1]) as hand:
        hand.page.goto(f"{desk[1]}/")
        texts, again, fillings = hand.page.evaluate(
            """async ([masks, polygons]) => {
              const { Raster, decode, encode, filled } = await import("/static/desk/rle.js");
              const made = masks.map(([h, w, bits]) => encode(new Raster(0, 0, w, h, Uint8Array.from(bits)), w, h));
              const again = made.map((one) => encode(decode(one), one.size[1], one.size[0]));
              return [made.map((one) => one.counts), again.map((one) => one.counts),
                polygons.map(([h, w, polygon]) => encode(filled(polygon, w, h), w, h).counts)];
            }""",
            [[[*mask.shape, mask.astype(int).ravel().tolist()] for mask in masks], polygons],
        )
    assert texts == [rle.to_text(rle.encode(mask)) for mask in masks]
    assert again == texts
    assert fillings == [rle.to_text(rle.from_polygons([polygon], h, w)) for h, w, polygon in polygons]


def test_points_are_set_in_order_hidden_or_not_there_and_corrected(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "points")
        hand.page.select_option("select", "face-5")
        hand.frame()
        hand.click((100, 80))
        assert "left eye (its own left): seen at 100, 80. Next: right eye (its own right)." in hand.said()
        hand.click((160, 80))
        hand.press("h")
        hand.click((130, 110))
        hand.press("x")
        hand.click((150, 140))
        assert "Every point has its answer" in hand.said()
        hand.drag((100, 80), (104, 84))
        hand.press("ArrowRight", "u", "ArrowDown")
        hand_in(hand)
    found = marks(project, "points")[0]
    assert found["skeleton"] == "face-5"
    assert [point[2] for point in found["points"]] == [2, 2, 1, 0, 2]
    wanted = [[104, 85], [160, 80], [130, 110], [0, 0], [150, 140]]
    assert np.abs(np.array(found["points"])[:, :2] - wanted).max() <= 1


def test_points_that_lack_an_answer_are_named_before_they_are_handed_in(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1], width=400) as hand:
        hand.enter("ada", "points")
        hand.page.select_option("select", "face-5")
        hand.frame()
        hand.click((100, 80))
        hand.press("Enter")
        assert "right eye (its own right) has no answer yet" in hand.said()


@pytest.fixture
def drawn_desk(tmp_path: Any) -> Iterator[tuple[Desk, Any]]:
    """A desk with one drawn picture and its true mask."""
    from pictus.demo import world

    found = world.draw("n01443537", (4, 1))
    project = desk_project(tmp_path, lambda *_args, **_more: found.jpeg(), 1)
    ask(project, "mask", images(project))
    with served(project) as address:
        yield (project, address), found


def test_a_click_or_a_box_finds_a_mask_that_further_clicks_correct(
    drawn_desk: tuple[Desk, Any], chromium: Any
) -> None:
    (project, address), drawn = drawn_desk
    x1, y1, x2, y2 = drawn.box
    rows, columns = np.nonzero(drawn.mask)
    middle = int(np.argmin(np.hypot(columns - columns.mean(), rows - rows.mean())))
    with person(chromium, address) as hand:
        hand.enter("ada", "mask").press("c")
        hand.drag((x1 - 3, y1 - 3), (x2 + 3, y2 + 3))
        hand.page.wait_for_selector("#said:has-text('Found: ')")
        hand.click((float(columns[middle]), float(rows[middle])))
        hand.page.wait_for_selector(".sign.plus")
        hand.page.wait_for_selector("#said:has-text('Found: ')")
        hand.page.wait_for_load_state("networkidle")
        hand.press("u")
        hand.frame()
        assert hand.page.locator(".sign").count() == 0
        hand.press("U")
        hand_in(hand)
    found = marks(project, "mask")[0]
    assert found["tool"] in ("grabcut", "regions")
    whole = rle.decode(rle.from_json(found))
    assert whole.shape == drawn.mask.shape
    assert overlap(whole, drawn.mask) > 0.6


def test_a_late_answer_of_the_segmenter_is_left_out(drawn_desk: tuple[Desk, Any], chromium: Any) -> None:
    (_project, address), drawn = drawn_desk
    height, width = drawn.mask.shape
    with person(chromium, address) as hand:
        asked: list[Any] = []

        def answer(route: Any) -> None:
            body = route.request.post_data_json
            if not body["clicks"]:
                route.fulfill(json={})
                return
            asked.append((route, body))

        hand.page.route("**/segment", answer)
        hand.enter("ada", "mask").press("c")
        hand.click((100, 100), (150, 120))
        for _ in range(50):
            if len(asked) == 2:
                break
            hand.page.wait_for_timeout(20)
        full = np.ones((height, width), np.bool_)
        small = np.zeros((height, width), np.bool_)
        small[20:40, 30:60] = True
        asked[1][0].fulfill(json={**rle.to_json(rle.encode(small)), "polygons": [], "tool": "regions"})
        hand.page.wait_for_selector("#said:has-text('Found: 600 px')")
        with suppress(Exception):  # the page gave this question up already, and playwright says so
            asked[0][0].fulfill(json={**rle.to_json(rle.encode(full)), "polygons": [], "tool": "regions"})
        hand.frame()
        assert len(asked[1][1]["clicks"]) == 2
        assert drawn_px(hand) == 600


def test_the_page_says_when_nothing_can_be_found_and_the_other_tools_go_on(
    desk: Desk, chromium: Any
) -> None:
    with person(chromium, desk[1], may_fail="400 (Bad Request)") as hand:
        told = {"error": {"what": "No segmenter is there.", "fix": "pip install pictus[vision]"}}
        hand.page.route("**/segment", lambda route: route.fulfill(status=400, json=told))
        hand.enter("ada", "mask").press("c")
        hand.click((100, 100))
        hand.page.wait_for_selector("#said:has-text('No segmenter is there.')")
        assert "pip install pictus[vision]" in hand.page.inner_text(".bench-hint")
        assert hand.page.locator(".sign").count() == 0
        hand.press("b")
        hand.drag((100, 60), (200, 160))
        assert drawn_px(hand) > 100


def test_a_page_that_was_handed_in_is_taken_up_again_with_what_was_drawn(desk: Desk, chromium: Any) -> None:
    project, address = desk
    ask(project, "mask", images(project)[1:])  # one page of four
    with person(chromium, address) as hand:
        hand.enter("ada", "mask").click(*OUTLINE)
        hand.press("Enter", "m", "b")
        hand.drag((240, 60), (290, 160))
        for _ in range(3):
            hand.press("Enter", "n")
        hand.press("Enter")
        hand.wait_saved()
        hand.press("u")
        hand.ready()
        assert "1 2" in " ".join(hand.page.locator("#tools button").all_inner_texts())
        hand.press("e")
        hand.drag((230, 110), (300, 110))
        for _ in range(5):
            hand.press("Enter")
        hand.wait_saved()
    found = marks(project, "mask")
    assert [one["tool"] for one in found] == ["polygon", "brush", "polygon", "brush"]
    assert found[2]["polygons"] == found[0]["polygons"]
    assert 0 < mask_of(found[3]).sum() < mask_of(found[1]).sum()


def test_what_is_found_is_added_to_what_was_painted_and_keeps_what_is_rubbed_out_later(
    desk: Desk, chromium: Any
) -> None:
    patch = np.zeros((HEIGHT, WIDTH), np.bool_)
    patch[20:40, 30:60] = True
    answer = {**rle.to_json(rle.encode(patch)), "polygons": [], "tool": "regions"}
    with person(chromium, desk[1]) as hand:
        hand.page.route("**/segment", lambda route: route.fulfill(json=answer))
        hand.enter("ada", "mask").press("b")
        hand.drag((200, 100), (250, 150))
        painted = drawn_px(hand)
        hand.press("c")
        hand.click((45, 30))
        hand.page.wait_for_selector("#said:has-text('Found: ')")
        assert drawn_px(hand) == painted + 600
        assert hand.page.locator(".sign").count() == 1
        hand.press("e")
        hand.drag((20, 30), (70, 30))
        hand.frame()
        assert hand.page.locator(".sign").count() == 0
        left = drawn_px(hand)
        assert painted < left < painted + 600
        hand.press("u", "u")
        assert drawn_px(hand) == painted


def test_a_draft_is_written_as_one_goes_on_not_at_the_end_alone(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "mask").click(*OUTLINE)
        hand.press("Enter")
        for _ in range(50):
            if hand.page.evaluate("Object.keys(localStorage).some((key) => key.includes('/draft/'))"):
                break
            hand.page.wait_for_timeout(20)
        assert hand.page.evaluate("Object.keys(localStorage).some((key) => key.includes('/draft/'))")


def test_none_here_goes_on_to_the_next_picture_and_undo_comes_back(desk: Desk, chromium: Any) -> None:
    project, address = desk
    ask(project, "mask", images(project)[1:])  # one page of four
    with person(chromium, address) as hand:
        hand.enter("ada", "mask")
        assert hand.page.inner_text("h1").startswith("Outline every owl, each on its own")
        hand.press("n", "n")
        assert hand.page.inner_text("#tally") == "2 of 4 pictures drawn"
        hand.press("u")
        assert hand.page.inner_text("#tally") == "1 of 4 pictures drawn"
        hand.press("n", "n", "n")
        assert hand.page.inner_text("#tally") == "4 of 4 pictures drawn"
        hand.press("Enter")
        hand.wait_saved()
    assert [votes for kind, _, votes in states(project) if kind == "mask"] == [1] * 4


def test_outlines_only_shows_the_picture_inside_and_comes_back(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "mask")
        hand.frame()
        for point in ((40, 40), (120, 40), (120, 100)):
            hand.click(point)
        hand.press("Enter")
        inside = "document.querySelectorAll('.polygon .area').length"
        assert hand.page.evaluate(inside) == 1
        hand.press("o")
        assert hand.page.evaluate(inside) == 0
        assert hand.page.locator("button[aria-pressed=true]", has_text="Outlines only").count() == 1
        hand.press("o")
        assert hand.page.evaluate(inside) == 1
