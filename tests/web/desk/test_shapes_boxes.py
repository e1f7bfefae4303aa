"""Boxes drawn in a real Chromium end in the database where they were drawn, whatever the zoom, the width, the hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from tests.web.desk.drawing import (
    HEIGHT,
    VIEW,
    WIDTH,
    Hand,
    ask,
    desk_project,
    emptied,
    images,
    marks,
    person,
    put_mark,
    served,
    states,
)  # fmt: skip

import pictus

pytestmark = pytest.mark.browser

Desk = tuple[pictus.Project, str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    return desk_project(tmp_path_factory.mktemp("desk"), make_jpeg, 12)


@pytest.fixture
def desk(project: pictus.Project) -> Iterator[Desk]:
    """A desk over twelve pictures, ten of them waiting for a box."""
    emptied(project)
    ask(project, "box", images(project)[:10])
    with served(project) as address:
        yield project, address


def off(found: Sequence[float], wanted: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("width", "zoom", "ratio"), [(1280, 0, 1), (1280, 3, 1), (400, 0, 2)])
def test_ten_boxes_drawn_by_the_mouse_are_stored_where_they_were_drawn(
    desk: Desk, chromium: Any, width: int, zoom: int, ratio: int
) -> None:
    project, address = desk
    drawn = []
    with person(chromium, address, width=width, device_scale_factor=ratio) as hand:
        hand.enter("ada", "box")
        for number in range(10):
            hand.ready()
            hand.press(*["+"] * zoom)
            hand.frame()
            middle = 110 + 8 * number
            box = (middle - 20.5, 80.0 + number, middle + 31, 150.0 - number)
            hand.drag(box[:2], box[2:])
            drawn.append(box)
            hand.press("Enter")  # the next picture, or the next page
            hand.frame()
        hand.wait_saved()
    found = marks(project, "box")
    assert len(found) == 10
    assert {one["tool"] for one in found} == {"drag"}
    assert [at for at, box in enumerate(drawn) if off(found[at]["box"], box) > 1] == []


def test_four_clicks_in_any_order_make_a_box_and_are_kept(desk: Desk, chromium: Any) -> None:
    project, address = desk
    clicks = [(200.0, 120.0), (90.0, 100.0), (140.0, 60.0), (150.0, 190.0)]  # right, left, top, bottom
    with person(chromium, address) as hand:
        hand.enter("ada", "box").press("e")
        hand.click(*clicks[:2])
        assert "2 points of 4" in hand.said()
        hand.press("u")
        assert "1 point of 4" in hand.said()
        hand.click(*clicks[1:])
        finish(hand)
    found = marks(project, "box")[0]
    assert found["tool"] == "extreme"
    assert off(found["box"], (90, 60, 200, 190)) <= 1
    assert max(off(one, click) for one, click in zip(found["clicks"], clicks, strict=True)) <= 1


def finish(hand: Hand) -> None:
    """Answer the other pictures of this page with "none", and hand in."""
    for _ in range(8):
        hand.frame()
        if hand.page.inner_text("#tally").startswith("8 of 8"):
            break
        hand.press("Enter")  # to the next without an answer
        hand.frame()
        hand.press("n")
    hand.press("Enter")
    hand.wait_saved()


def test_arrows_move_the_box_and_alt_moves_the_side_chosen_by_tab(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "box").drag((100, 80), (200, 160))
        before = shown(hand)
        hand.press("ArrowRight", "Shift+ArrowDown")  # 1 px and 10 px
        assert off(shown(hand), (before[0] + 1, before[1] + 10, before[2] + 1, before[3] + 10)) < 0.02
        hand.press("Tab", "Tab", "Tab", "Alt+ArrowRight", "Alt+Shift+ArrowRight")  # left, top, right
        assert off(shown(hand), (before[0] + 1, before[1] + 10, before[2] + 12, before[3] + 10)) < 0.02
        hand.press("u", "u", "u", "u")
        assert off(shown(hand), before) < 0.02
        hand.press("U", "Control+y")
        assert off(shown(hand), (before[0] + 1, before[1] + 10, before[2] + 1, before[3] + 10)) < 0.02
        hand.press("Control+z", "Control+z", "u")  # the box itself
        hand.frame()
        assert hand.page.locator(".box.own").count() == 0
        hand.press("U")
        finish(hand)
    assert off(marks(project, "box")[0]["box"], before) < 0.02


def shown(hand: Hand) -> list[float]:
    """The box on the screen, in px of the picture."""
    hand.frame()
    return list(hand.page.evaluate("""(() => {
      const turned = new DOMMatrix(getComputedStyle(document.querySelector(".sheet-picture")).transform);
      const rect = document.querySelector(".box.own .line");
      const [left, top, width, height] = ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)));
      const x = (value) => (value - turned.e) / turned.a, y = (value) => (value - turned.f) / turned.a;
      return [x(left), y(top), x(left + width), y(top + height)];
    })()"""))


def test_tab_leaves_the_picture_after_the_last_side(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "box").drag((100, 80), (200, 160))
        hand.press("Tab", "Tab", "Tab", "Tab")
        assert hand.page.evaluate("document.activeElement.classList.contains('sheet')")
        hand.press("Tab")
        assert not hand.page.evaluate("document.activeElement.classList.contains('sheet')")


def test_handles_correct_a_box_and_its_inside_moves_it(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "box").drag((100, 80), (200, 160))
        hand.drag((200, 160), (230, 170))  # the corner
        hand.drag((165, 80), (165, 60))  # the upper side
        assert off(shown(hand), (100, 60, 230, 170)) <= 1
        hand.drag((150, 100), (140, 110))  # the whole of it
        assert off(shown(hand), (90, 70, 220, 180)) <= 1
        hand.drag((150, 120), (-400, 120))  # against the picture's edge: as wide as before
        assert off(shown(hand), (0, 70, 130, 180)) <= 1


def test_a_box_is_drawn_with_the_keyboard_alone(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with person(chromium, address) as hand:
        hand.enter("ada", "box").press("d", "ArrowLeft", *["Shift+ArrowLeft"] * 3, *["Shift+ArrowUp"] * 2, " ")
        assert "opposite" in hand.said()
        hand.press(*["Shift+ArrowRight"] * 6, *["Shift+ArrowDown"] * 4, " ")
        assert hand.said().startswith("Box: ")
        finish(hand)
    assert off(marks(project, "box")[0]["box"], (129, 100, 189, 140)) <= 1  # the cross begins in the middle, 160, 120


def test_what_was_drawn_survives_a_reload_and_goes_when_it_is_handed_in(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "box").drag((100, 80), (200, 160))
        before = shown(hand)
        hand.page.reload()
        hand.ready()
        hand.press(",")  # it opens at the first picture without an answer
        assert off(shown(hand), before) < 0.02
        hand.press(".")
        finish(hand)
        kept = hand.page.evaluate("Object.keys(localStorage).filter((key) => key.includes('/draft/')).length")
    assert kept == 0


def test_a_finger_draws_and_two_fingers_zoom(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1], width=400, has_touch=True, is_mobile=True) as hand:
        hand.enter("ada", "box")
        hand.press("d")
        scale = hand.page.evaluate(VIEW)[0]
        first, second = hand.at(100, 100), hand.at(200, 100)
        touch = hand.page.context.new_cdp_session(hand.page)

        def fingers(kind: str, *points: tuple[float, float]) -> None:
            placed = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": placed})

        fingers("touchStart", first)
        fingers("touchStart", first, second)  # what the first finger began is no box
        for step in range(1, 6):
            fingers("touchMove", (first[0] - 8 * step, first[1]), (second[0] + 8 * step, second[1]))
        fingers("touchEnd")
        hand.frame()
        assert hand.page.evaluate(VIEW)[0] > scale * 1.3
        assert hand.page.locator(".box.own").count() == 0
        corner, opposite = hand.at(120, 90), hand.at(180, 130)
        fingers("touchStart", corner)
        fingers("touchMove", opposite)
        fingers("touchEnd")
        assert off(shown(hand), (120, 90, 180, 130)) <= 1


def test_pointer_events_that_a_script_makes_draw_as_well(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1], width=400) as hand:
        hand.enter("ada", "box").press("d")
        for kind, point in (("down", (60, 50)), ("move", (90, 90)), ("up", (150, 120))):
            x, y = hand.at(*point)
            hand.page.evaluate(
                """([kind, x, y]) => document.querySelector(".sheet").dispatchEvent(new PointerEvent(`pointer${kind}`,
                {pointerId: 7, pointerType: "pen", clientX: x, clientY: y, bubbles: true, button: 0}))""", [kind, x, y],
            )  # fmt: skip
        assert off(shown(hand), (60, 50, 150, 120)) <= 1


def test_the_wheel_zooms_about_the_pointer_and_space_moves_the_picture(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "box")
        place, scale = hand.at(70, 60), hand.page.evaluate(VIEW)[0]
        hand.page.mouse.move(*place)
        hand.page.mouse.wheel(0, -300)
        hand.frame()
        assert hand.page.evaluate(VIEW)[0] > scale * 1.4
        assert off(hand.at(70, 60), place) < 1.5
        hand.page.keyboard.down(" ")
        hand.page.mouse.down()
        hand.page.mouse.move(place[0] + 50, place[1] + 20)
        hand.page.mouse.up()
        hand.page.keyboard.up(" ")
        hand.frame()
        assert off(hand.at(70, 60), (place[0] + 50, place[1] + 20)) < 1.5
        assert hand.page.locator(".box.own").count() == 0
        hand.press("0")
        hand.frame()
        assert abs(hand.page.evaluate(VIEW)[0] - scale) < 0.01


def test_a_box_found_bad_is_shown_to_be_corrected_but_not_taken_as_it_is(desk: Desk, chromium: Any) -> None:
    project, address = desk
    image_id = images(project)[11]
    number = put_mark(project, image_id, {"box": [50, 40, 150, 120]})
    ask(project, "box-quality", [image_id], mark_id=number)
    with person(chromium, address) as hand:
        hand.enter("bob", "box-quality").press("b", "Enter")
        hand.wait_saved()
    with project.journal.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM questions WHERE kind = 'box' AND mark_id = 0")
    with person(chromium, address) as hand:
        hand.enter("ada", "box")
        assert "found bad" in hand.page.inner_text(".bench-hint")
        hand.press("Enter")
        hand.frame()
        assert hand.page.locator(".box.own").count() == 0
        hand.drag((150, 120), (170, 130))
        assert off(shown(hand), (50, 40, 170, 130)) <= 1
        hand.press("Enter")
        hand.wait_saved()
    assert off(marks(project, "box")[-1]["box"], (50, 40, 170, 130)) <= 1


def test_three_people_draw_verify_and_cover_until_nothing_is_left(desk: Desk, chromium: Any) -> None:
    project, address = desk
    with project.journal.transaction() as connection:
        connection.exec_driver_sql(
            "DELETE FROM questions WHERE question_id NOT IN (SELECT MIN(question_id) FROM questions)"
        )
    answers = [
        ("ada", "box", None), ("bob", "box-quality", "g"), ("cyd", "box-coverage", "m"), ("ada", "box", None),
        ("bob", "box-quality", "1"), ("cyd", "box-coverage", "c"),
    ]  # fmt: skip
    shown_boxes: list[int] = []
    for number, (name, kind, key) in enumerate(answers):
        with person(chromium, address) as hand:
            hand.enter(f"{name} {number}", kind)
            if key is None:
                seen = hand.page.locator(".box.accepted").count()
                hand.drag((40 + 100 * seen, 60), (110 + 100 * seen, 150))
            else:
                shown_boxes.append(hand.page.locator(".sheet .box.asked").count())
                hand.press(key)
            hand.press("Enter")
            hand.wait_saved()
    assert [state for kind, state, _ in states(project) if kind != "box"] == [
        "accepted", "rejected", "accepted", "accepted"
    ]  # fmt: skip
    assert shown_boxes == [1, 1, 1, 2], "one to be judged, all that are there to be covered"
    found = marks(project, "box")
    assert len(found) == 2
    assert off(found[1]["box"], (140, 60, 210, 150)) <= 1


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_nothing_scrolls_and_every_button_has_a_name_and_room_for_a_finger(
    desk: Desk, chromium: Any, width: int, scheme: str
) -> None:
    with person(chromium, desk[1], width=width, color_scheme=scheme) as hand:
        hand.enter("ada", "box").drag((100, 80), (200, 160))
        hand.frame()
        across, along = hand.page.evaluate(
            "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]"
        )
        assert (across, along) == (0, 0)
        small = hand.page.evaluate("""[...document.querySelectorAll(".bench button, .bar button")].filter((one) => {
          const box = one.getBoundingClientRect();
          const name = one.getAttribute("aria-label") ?? one.textContent.trim();
          return box.width && (box.width < 24 || box.height < 24 || !name);
        }).map((one) => one.outerHTML)""")
        assert small == []
        hand.press("?")
        assert "only what can be seen" in hand.page.inner_text("#help")
        assert "What is hidden behind something else" in hand.page.inner_text("#help .how")


def test_a_box_of_a_model_is_proposed_and_taken_by_enter_or_corrected(desk: Desk, chromium: Any) -> None:
    project, address = desk
    emptied(project)
    for image_id in images(project)[:2]:
        ask(project, "box", [image_id], mark_id=put_mark(project, image_id, {"box": [50, 40, 150, 120]}))
    with person(chromium, address) as hand:
        hand.enter("ada", "box")
        assert "A box is proposed" in hand.page.inner_text(".bench-hint")
        hand.press("Enter")
        hand.frame()
        assert hand.page.locator(".box.own").count() == 1
        hand.press("Enter")
        hand.frame()
        hand.drag((150, 80), (180, 80))  # its right side
        hand.press("Enter")
        hand.wait_saved()
    first, second = marks(project, "box")[2:]
    assert (first["tool"], first["box"]) == ("proposal", [50, 40, 150, 120])
    assert second["tool"] == "drag"
    assert off(second["box"], (50, 40, 180, 120)) <= 1


def test_a_mask_or_points_of_one_box_show_which_is_meant(desk: Desk, chromium: Any) -> None:
    project, address = desk
    image_id = images(project)[0]
    number = put_mark(project, image_id, {"box": [50, 40, 150, 120]}, by="ada")
    for kind in ("mask", "points"):
        ask(project, kind, [image_id], mark_id=number)
        with person(chromium, address) as hand:
            hand.enter("bob", kind)
            assert hand.page.locator(".box.frame").count() == 1
            assert "dotted box" in hand.page.inner_text(".bench-hint")


def test_nothing_is_handed_in_about_a_picture_whose_size_is_wrong_in_the_project(
    desk: Desk, chromium: Any, make_jpeg: Callable[..., bytes]
) -> None:
    upright = make_jpeg(HEIGHT, WIDTH, seed=1)  # as one that lies on its side and was never measured
    with person(chromium, desk[1]) as hand:
        hand.page.route("**/pictures/*/*", lambda route: route.fulfill(body=upright, content_type="image/jpeg"))
        hand.enter("ada", "box")
        hand.page.wait_for_selector(".bench-hint:has-text('pictus clean check')")
        hand.drag((100, 80), (200, 160))
        hand.press("Enter")
        hand.frame()
        assert hand.page.locator("#saved").inner_text() == ""


def test_a_page_with_something_drawn_is_given_back_only_after_a_question(desk: Desk, chromium: Any) -> None:
    with person(chromium, desk[1]) as hand:
        hand.enter("ada", "box").drag((100, 80), (200, 160))
        hand.press("s")
        hand.page.wait_for_selector("#ask[open]")
        hand.press("Escape")
        hand.frame()
        assert hand.page.locator(".box.own").count() == 1
        hand.press("s")
        hand.page.click("#ask-yes")
        hand.page.wait_for_selector(".sheet.loaded, .screen")
        hand.frame()
        assert hand.page.locator(".box.own").count() == 0


def test_twelve_boxes_are_judged_by_one_key_each(desk: Desk, chromium: Any) -> None:
    project, address = desk
    for image_id in images(project):
        ask(project, "box-quality", [image_id], mark_id=put_mark(project, image_id, {"box": [50, 40, 150, 120]}))
    with person(chromium, address) as hand:
        hand.enter("ada", "box-quality")
        waits = hand.page.evaluate("""async () => {
          const waits = [], frame = () => new Promise(requestAnimationFrame);
          for (let place = 0; place < 11; place += 1) {
            const since = performance.now(), key = place % 3 ? "g" : "b";
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            do await frame(); while (!document.querySelector(".sheet.loaded"));
            waits.push(performance.now() - since);
          }
          return waits;
        }""")
        hand.press("g", "u")  # the last one is taken back
        assert hand.page.inner_text("#tally").startswith("11 of 12")
        hand.press("b", "Enter")
        hand.wait_saved()
    sys.stdout.write(f"next picture after a key: median {sorted(waits)[5]:.0f} ms, longest {max(waits):.0f} ms\n")
    judged = [state for kind, state, _ in states(project) if kind == "box-quality"]
    assert (judged.count("accepted"), judged.count("rejected")) == (7, 5)
