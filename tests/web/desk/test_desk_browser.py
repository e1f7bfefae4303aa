"""The grid in a real Chromium: keys, mouse, undo, a lost connection, a killed server."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import pictus

from .conftest import NewPage, Server, at_wall, come_in, served

pytestmark = pytest.mark.browser

WAITS = "() => document.getElementById('saved').textContent.includes('for the connection')"
SAVED = "() => document.getElementById('saved').textContent === 'Saved'"
MARKED = """() => Object.fromEntries([...document.querySelectorAll(".mark")].map((tile) => [
    tile.querySelector("img").src.split("/").at(-2), tile.getAttribute("aria-checked")]))"""
PAGE = """() => document.querySelector(".mark img").src.split("/").at(-4)"""
NEXT = "before => document.querySelector('.mark img')?.src.split('/').at(-4) !== before"
IS = "wanted => document.querySelector('.mark img')?.src.split('/').at(-4) === wanted"
ANSWERS = {"true": "yes", "false": "no", "mixed": "unsure"}


def test_twenty_pages_by_keys_alone_are_in_the_journal_as_they_were_marked(
    server: Server, project: pictus.Project, new_page: NewPage
) -> None:
    page = new_page()
    come_in(page, server.address, "Ada")
    at_wall(page)
    page.evaluate("""() => {
        window.times = [];
        document.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" || !document.querySelector(".mark")) return;
            const before = document.querySelector(".mark img").src;
            requestAnimationFrame(() => requestAnimationFrame(() => {
                const tiles = [...document.querySelectorAll(".mark img")];
                window.times.push([performance.now() - event.timeStamp, tiles.length > 0 && tiles[0].src !== before]);
            }));
        }, true);
    }""")
    wanted: dict[tuple[str, int], str] = {}
    for number in range(20):
        at_wall(page)
        for step in range(number % 5 + 1):
            page.keyboard.press("Space" if step % 3 else "n")
            page.keyboard.press("ArrowRight" if step % 2 else "l")
        page_id = page.evaluate(PAGE)
        wanted |= {(page_id, int(place)): ANSWERS[said] for place, said in page.evaluate(MARKED).items()}
        page.keyboard.press("Enter")
        page.wait_for_function(NEXT, arg=page_id)
    page.wait_for_function(SAVED)
    times = sorted(found for found, is_next in page.evaluate("window.times") if is_next)
    middle = times[len(times) // 2]
    print(f"next page after Enter, painted: median {middle:.0f} ms, worst {times[-1]:.0f} ms, n = {len(times)}")  # noqa: T201
    assert len(times) >= 15, "the others met a quiz"
    assert middle < 100
    assert answers_of(project, "Ada") == wanted
    votes = project.journal.votes()
    mine = Counter(row["answer"] for row in votes.to_pylist() if row["annotator"] == "Ada")
    assert mine == Counter(wanted.values())


def next_page(page: Any, *keys: str) -> tuple[str, dict[int, str]]:
    """Mark by `keys`, hand in -> the page and what was marked."""
    at_wall(page)
    for key in keys:
        page.keyboard.press(key)
    page_id = page.evaluate(PAGE)
    marked = {int(place): ANSWERS[said] for place, said in page.evaluate(MARKED).items()}
    page.keyboard.press("Enter")
    return page_id, marked


def answers_of(project: pictus.Project, name: str) -> dict[tuple[str, int], str]:
    """(page, position) -> the answer of its latest revision."""
    import sqlalchemy as sa

    query = "SELECT page_id, position, answer FROM answers WHERE annotator = :name AND kind = 'grid' ORDER BY revision"
    with project.journal.engine.connect() as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(sa.text(query), {"name": name})}


def flat(handed_in: list[tuple[str, dict[int, str]]]) -> dict[tuple[str, int], str]:
    return {(page_id, place): answer for page_id, marked in handed_in for place, answer in marked.items()}


def test_a_lost_connection_and_a_closed_tab_lose_and_double_nothing(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        context = page.context
        come_in(page, server.address, "Ada")
        handed_in = [next_page(page, "Space")]
        page.wait_for_function(SAVED)
        page.wait_for_function("() => document.querySelectorAll('.mark img').length > 0")
        page.wait_for_load_state("networkidle")  # two pages are borrowed ahead
        context.set_offline(True)
        handed_in += [next_page(page, "l", "Space"), next_page(page, "n"), next_page(page, "Space", "j", "n")]
        page.wait_for_function(WAITS)
        assert page.inner_text("#saved") == "3 pages wait for the connection"
        assert "No connection" in page.inner_text("#work"), "nothing more was borrowed"
        assert len(answers_of(fresh, "Ada")) == len(handed_in[0][1])
        page.close()  # what was handed in lies in the browser
        context.set_offline(False)
        again = context.new_page()
        again.goto(server.address + "/desk")
        again.wait_for_function("() => !Object.keys(localStorage).some((key) => key.includes('/out/'))")
        assert answers_of(fresh, "Ada") == flat(handed_in)
        page_id, _ = next_page(again, "Space")
        assert page_id not in {one for one, _ in handed_in}, "what was handed in is not lent again"


def test_a_killed_server_finds_everything_once_it_is_back(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        page.wait_for_load_state("networkidle")
        server.stop()
        handed_in = [next_page(page, "Space"), next_page(page, "l", "n"), next_page(page, "j", "Space")]
        page.wait_for_function(WAITS)
        server.start()
        page.evaluate("dispatchEvent(new Event('online'))")  # else it waits for its next try
        page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.includes('/out/'))")
        assert answers_of(fresh, "Ada") == flat(handed_in)
        next_page(page)


def test_undo_takes_up_the_last_page_and_both_are_handed_in(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        first, marked = next_page(page, "Space")
        page.wait_for_function(NEXT, arg=first)
        second = page.evaluate(PAGE)
        page.keyboard.press("l")
        page.keyboard.press("Space")
        page.keyboard.press("u")
        page.wait_for_function(IS, arg=first)
        assert {int(place): ANSWERS[said] for place, said in page.evaluate(MARKED).items()} == marked
        changed = next_page(page, "n")
        assert changed[0] == first
        page.wait_for_function(IS, arg=second)
        assert page.evaluate(MARKED)["1"] == "true", "what was marked before the undo is kept"
        last = next_page(page)
        page.wait_for_function(SAVED)
        assert answers_of(fresh, "Ada") == flat([changed, last])
        page.reload()
        at_wall(page)
        page.wait_for_selector("#undo:not([disabled])")
        third = page.evaluate(PAGE)
        page.keyboard.press("u")
        page.wait_for_function(NEXT, arg=third)
        taken_up = dict([changed, last])[page.evaluate(PAGE)]  # both may have come in within one second
        assert {int(place): ANSWERS[said] for place, said in page.evaluate(MARKED).items()} == taken_up


def test_a_closed_tab_finds_the_same_page_with_its_marks(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        for key in ("Space", "l", "n"):
            page.keyboard.press(key)
        before, marked = page.evaluate(PAGE), page.evaluate(MARKED)
        page.wait_for_load_state("networkidle")
        context = page.context
        page.close()
        again = context.new_page()
        again.goto(server.address + "/desk")
        at_wall(again)
        assert (again.evaluate(PAGE), again.evaluate(MARKED)) == (before, marked)


def test_what_is_borrowed_ahead_goes_back_when_the_page_is_left(fresh: pictus.Project, new_page: NewPage) -> None:
    import sqlalchemy as sa

    def leased() -> int:
        with fresh.journal.engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT COUNT(*) FROM pages WHERE state = 'leased'")).scalar_one())

    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        page.wait_for_load_state("networkidle")
        assert leased() == 3, "one in hand and two ahead"
        page.goto(server.address)
        for _ in range(50):
            if leased() == 1:
                break
            page.wait_for_timeout(40)
        assert leased() == 1


def test_marks_by_click_range_drag_and_right_click(server: Server, new_page: NewPage) -> None:
    page = new_page()
    come_in(page, server.address, "Mouse")
    at_wall(page)
    tiles = page.locator(".mark")

    def marks() -> str:
        found = page.evaluate("[...document.querySelectorAll('.mark')].map((one) => one.getAttribute('aria-checked'))")
        return "".join({"true": "y", "false": ".", "mixed": "?"}[one] for one in found)

    tiles.nth(1).click()
    tiles.nth(4).click(modifiers=["Shift"])
    assert marks() == ".yyyy......."
    tiles.nth(2).click()
    assert marks() == ".y.yy......."
    tiles.nth(6).click(button="right")
    assert marks() == ".y.yy.?....."
    first, last = tiles.nth(8).bounding_box(), tiles.nth(11).bounding_box()
    page.mouse.move(first["x"] + 9, first["y"] + 9)
    page.mouse.down()
    page.mouse.move(last["x"] + 9, last["y"] + 9)  # in one leap: what lies between is painted too
    page.mouse.up()
    assert marks() == ".y.yy.?.yyyy"
    page.keyboard.press("Control+z")
    assert marks() == ".y.yy.?.y..."
    page.keyboard.press("i")
    assert marks() == "y.y..y?y.yyy"
    page.keyboard.press("c")
    assert marks() == "............"
    page.keyboard.press("a")
    assert marks() == "yyyyyyyyyyyy"
    page.keyboard.press("Home")
    page.keyboard.press("c")
    page.keyboard.press("Space")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    assert marks() == "yyy........."
    page.keyboard.press("End")
    page.keyboard.press("Space")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+Space")
    assert marks() == "yyyyyyyyyyyy"


def test_the_large_view_goes_on_by_arrows_and_marks(server: Server, new_page: NewPage) -> None:
    page = new_page()
    come_in(page, server.address, "Zoe")
    at_wall(page)
    page.keyboard.press("z")
    assert page.locator(".zoom").is_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("l")
    page.keyboard.press("n")
    assert "3 of 12 · unsure" in page.inner_text(".zoom-said")
    page.wait_for_function("() => document.querySelector('.zoom-box img').naturalWidth > 0")
    page.keyboard.press("z")
    assert not page.locator(".zoom").is_visible()
    assert page.evaluate("document.activeElement.dataset.place") == "2"
    assert [page.evaluate(MARKED)[one] for one in "012"] == ["false", "true", "mixed"]


def test_a_touch_marks_and_a_long_touch_is_unsure(server: Server, new_page: NewPage) -> None:
    page = new_page(width=400, has_touch=True)
    come_in(page, server.address, "Thumb")
    at_wall(page)
    page.locator(".mark").nth(1).tap()
    assert page.evaluate(MARKED)["1"] == "true"
    page.evaluate("""() => {
        const tile = document.querySelectorAll(".mark")[2];
        const how = { bubbles: true, pointerType: "touch", isPrimary: true };
        tile.dispatchEvent(new PointerEvent("pointerdown", how));
        setTimeout(() => tile.dispatchEvent(new PointerEvent("pointerup", how)), 600);
    }""")
    page.wait_for_function("() => document.querySelectorAll('.mark')[2].getAttribute('aria-checked') === 'mixed'")
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [400, 400]


def test_another_page_is_taken_instead_of_this_one(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        before = page.evaluate(PAGE)
        page.keyboard.press("s")
        page.wait_for_function(NEXT, arg=before)


def test_a_concept_that_cannot_be_pictured_goes_away(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        before = page.inner_text("h1")
        page.keyboard.press("p")
        page.click("#ask-yes")
        page.wait_for_function("before => document.querySelector('h1')?.textContent !== before", arg=before)
    assert any(event.event == "concept_called_unpicturable" for event in fresh.journal.events())


def test_the_quiz_comes_before_the_first_page_and_names_what_is_meant_when_missed(
    tmp_path: Any, new_page: NewPage
) -> None:
    from .conftest import make_project

    project = make_project(tmp_path, 4, 2, quiz=4)
    with served(project) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        page.wait_for_selector(".quiz")
        number = page.inner_text("h1").removeprefix("kind ")
        choices = page.locator(".quiz .choice").all_inner_texts()
        right = next(place for place, text in enumerate(choices) if f"number {number}" in text)
        assert "what is meant" not in page.inner_text("#concept"), "the answer is not read off"
        page.keyboard.press(str((right + 1) % len(choices) + 1))
        page.wait_for_selector(".quiz .problem")
        assert f"what is meant by number {number}" in page.inner_text("#concept")
        page.keyboard.press(str(right + 1))
        page.wait_for_selector(".mark")


def test_names_are_text_whatever_they_hold(tmp_path: Any, new_page: NewPage) -> None:
    from .conftest import make_project

    evil = "<img src=x onerror=alert(1)>"
    project = make_project(tmp_path, 2, 3, name=evil)
    with served(project) as server:
        page = new_page()
        page.on("dialog", lambda dialog: pytest.fail("a script ran"))
        come_in(page, server.address, "<script>alert(2)</script>")
        at_wall(page)
        assert evil in page.inner_text("h1")
        page.goto(server.address)
        assert "<script>alert(2)</script>" in page.inner_text("h1")
        assert evil in page.inner_text("main")
        assert page.locator("main img").count() == 0


def test_somebody_who_is_paused_reads_why_and_can_appeal(fresh: pictus.Project, new_page: NewPage) -> None:
    from pictus import annotate

    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        annotate.pause(fresh, "Ada", reason="many known pictures were missed")
        page.goto(server.address + "/desk")
        page.wait_for_selector("textarea")
        assert "many known pictures were missed" in page.inner_text("#work")
        page.fill("textarea", "I took wrens for robins, and have read on since.")
        page.click("form.appeal button")
        page.wait_for_function("() => document.getElementById('work').textContent.includes('Sent.')")
    assert fresh.journal.events(event="appeal_made")[0].data["text"].startswith("I took wrens")


def test_nothing_to_do_is_said(tmp_path: Any, new_page: NewPage) -> None:
    from .conftest import make_project

    project = make_project(tmp_path, 1, 3)
    with served(project) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        next_page(page, "Space")
        page.wait_for_selector(".screen")
        assert "Nothing to do just now" in page.inner_text("#work")
        page.wait_for_function(SAVED)


def test_near_duplicates_stand_as_one_tile_and_are_answered_as_one(fresh: pictus.Project, new_page: NewPage) -> None:
    with fresh.journal.transaction() as connection:
        connection.exec_driver_sql("UPDATE questions SET fold = concept_id WHERE question_id % 8 < 3")
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        assert page.locator(".mark").count() == 6
        stack = page.locator(".mark.stack")
        assert stack.inner_text() == "3 alike"
        stack.click()
        assert "3 of 8 marked" in page.inner_text("#tally")
        page.keyboard.press("f")
        assert page.locator(".mark").count() == 8
        assert sorted(page.evaluate(MARKED).values()).count("true") == 3, "each keeps what was said of all"
        page.keyboard.press("Enter")
        page.wait_for_function(SAVED)
    assert sorted(answers_of(fresh, "Ada").values()) == ["no"] * 5 + ["yes"] * 3


def test_two_tabs_of_one_person_show_different_pages(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        page.wait_for_load_state("networkidle")
        other = page.context.new_page()
        other.goto(server.address + "/desk")
        at_wall(other)
        assert other.evaluate(PAGE) != page.evaluate(PAGE)


def test_what_waits_is_told_before_signing_out_and_sent_after_coming_in_again(
    fresh: pictus.Project, new_page: NewPage
) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        at_wall(page)
        page.wait_for_load_state("networkidle")
        server.stop()
        handed_in = next_page(page, "Space")
        page.wait_for_function(WAITS)
        server.start()
        page.context.clear_cookies()
        page.goto(server.address)
        assert page.inner_text("#kept") == "1 page of Ada waits in this browser, until they come in again."
        page.fill("#name", "Bea")
        page.keyboard.press("Enter")
        page.wait_for_selector("#leave")
        page.goto(server.address + "/desk")
        at_wall(page)
        assert answers_of(fresh, "Bea") == {}, "nobody hands in what another one answered"
        page.goto(server.address)
        page.click("#leave")
        page.wait_for_selector("#name")
        come_in(page, server.address, "Ada")
        page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.includes('/out/'))")
    assert answers_of(fresh, "Ada") == flat([handed_in])


def test_a_link_can_be_pasted(fresh: pictus.Project, new_page: NewPage) -> None:
    from pictus import annotate

    link = annotate.invite(fresh).summary["links"][0]
    with served(fresh, is_kiosk=False) as server:
        page = new_page()
        page.goto(server.address)
        page.fill("#link", "https://label.example.org" + link)
        page.fill("#name", "Ada")
        page.keyboard.press("Enter")
        page.wait_for_selector("#leave")
