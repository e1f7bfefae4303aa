"""Lost connections, closed tabs, killed servers, two tabs, undo: nothing is lost, doubled or another's."""

from __future__ import annotations

from pathlib import Path

import pytest

import pictus

from .conftest import NewPage, Sit, at_wall, come_in, make_project, served, sign_in
from .wall import ANSWERS, IS, MARKED, PAGE, SAVED, WAITS, answers_of, flat, next_page

pytestmark = pytest.mark.browser

HOLDS = """count => Object.keys(localStorage).filter((key) => key.includes("/tab/"))
    .some((key) => JSON.parse(localStorage.getItem(key)).pages.length === count)"""
"""A tab has so many pages in hand and ahead. Not "networkidle": pages are borrowed after that, too."""
OTHER = """before => { const picture = document.querySelector(".mark img");
    return picture && picture.src.split("/").at(-4) !== before; }"""
SENT = "() => !Object.keys(localStorage).some((key) => key.includes('/out/'))"
SAYS = "([id, words]) => document.getElementById(id).textContent.includes(words)"


def test_a_lost_connection_and_a_closed_tab_lose_and_double_nothing(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        context = page.context
        come_in(page, server.address, "Ada")
        handed_in = [next_page(page, "Space")]
        page.wait_for_function(SAVED)
        page.wait_for_function(HOLDS, arg=3)  # two pages are borrowed ahead
        context.set_offline(True)
        handed_in += [next_page(page, "l", "Space"), next_page(page, "n"), next_page(page, "Space", "j", "n")]
        page.wait_for_function(SAYS, arg=["saved", "3 pages wait for the connection"])
        page.wait_for_function(SAYS, arg=["work", "No connection"])  # nothing more was borrowed
        assert len(answers_of(fresh, "Ada")) == len(handed_in[0][1])
        page.close()  # what was handed in lies in the browser
        context.set_offline(False)
        again = context.new_page()
        again.goto(server.address + "/desk")
        again.wait_for_function(SENT)
        assert answers_of(fresh, "Ada") == flat(handed_in)
        page_id, _ = next_page(again, "Space")
        assert page_id not in {one for one, _ in handed_in}, "what was handed in is not lent again"


def test_a_killed_server_finds_everything_once_it_is_back(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        handed_in = [next_page(page, "Space")]
        page.wait_for_function(SAVED)
        page.wait_for_function(HOLDS, arg=3)
        server.stop()
        handed_in += [next_page(page, "Space"), next_page(page, "l", "n"), next_page(page, "j", "Space")]
        page.wait_for_function(WAITS)
        server.start()
        page.evaluate("dispatchEvent(new Event('online'))")  # else it waits for its next try
        page.wait_for_function(SENT)
        assert answers_of(fresh, "Ada") == flat(handed_in)
        next_page(page)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_quiz_without_a_connection_stops_nobody_and_is_checked_before_the_page_is_taken(
    tmp_path: Path, sit: Sit, *, is_right: bool
) -> None:
    with served(make_project(tmp_path, 2, 4, quiz=2)) as server:
        page = sit(server, "Ada")
        first, marked = next_page(page, "Space")
        page.wait_for_selector(".quiz")  # the second concept's, borrowed with its page
        page.wait_for_function(SAVED)
        page.wait_for_load_state("networkidle")
        page.context.set_offline(True)
        number = page.inner_text("h1").rpartition(" ")[2]
        right = page.locator(".choice", has_text=f"what is meant by number {number}")
        wrong = page.locator(".choice", has_not_text=f"what is meant by number {number}").first
        (right if is_right else wrong).click()
        page.wait_for_selector(".mark")
        assert "checked when there is one again" in page.inner_text("#said")
        second, unsure = next_page(page, "n")
        page.wait_for_function(WAITS)
        assert page.inner_text("#saved") == "1 page waits for the connection"
        page.context.set_offline(False)
        page.evaluate("dispatchEvent(new Event('online'))")  # else it waits for its next try
        page.wait_for_function(SENT)
        if is_right:
            assert answers_of(server.project, "Ada") == flat([(first, marked), (second, unsure)])
            return
        page.wait_for_selector(".quiz .problem")
        assert answers_of(server.project, "Ada") == flat([(first, marked)]), "nothing that rests on it was taken"
        page.locator(".choice", has_text=f"what is meant by number {number}").click()
        page.wait_for_function(IS, arg=second)
        assert "mixed" in page.evaluate(MARKED).values(), "what was marked is there to be looked at again"
        page.keyboard.press("Enter")
        page.wait_for_function(SAVED)
        assert answers_of(server.project, "Ada") == flat([(first, marked), (second, unsure)])


def test_undo_takes_up_the_last_page_and_both_are_handed_in(fresh: pictus.Project, new_page: NewPage) -> None:
    with served(fresh) as server:
        page = new_page()
        come_in(page, server.address, "Ada")
        first, marked = next_page(page, "Space")
        page.wait_for_function(OTHER, arg=first)
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
        page.wait_for_function(OTHER, arg=third)
        taken_up = dict([changed, last])[page.evaluate(PAGE)]  # both may have come in within one second
        assert {int(place): ANSWERS[said] for place, said in page.evaluate(MARKED).items()} == taken_up


def test_a_closed_tab_finds_the_same_page_with_its_marks(fresh: pictus.Project, sit: Sit) -> None:
    with served(fresh) as server:
        page = sit(server, "Ada")
        for key in ("Space", "l", "n"):
            page.keyboard.press(key)
        before, marked = page.evaluate(PAGE), page.evaluate(MARKED)
        page.wait_for_function(HOLDS, arg=2)
        context = page.context
        page.close()
        again = context.new_page()
        again.goto(server.address + "/desk")
        at_wall(again)
        assert (again.evaluate(PAGE), again.evaluate(MARKED)) == (before, marked)


def test_what_is_borrowed_ahead_goes_back_when_the_page_is_left(fresh: pictus.Project, sit: Sit) -> None:
    import sqlalchemy as sa

    def leased() -> int:
        with fresh.journal.engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT COUNT(*) FROM pages WHERE state = 'leased'")).scalar_one())

    with served(fresh) as server:
        page = sit(server, "Ada")
        page.wait_for_function(HOLDS, arg=2)
        assert leased() == 2, "one in hand and one ahead, until the first is handed in"
        next_page(page, "Space")  # without a mark it could be a slip of the key
        page.wait_for_function(HOLDS, arg=3)
        assert leased() == 3, "one in hand and two ahead"
        page.goto(server.address)
        for _ in range(750):
            if leased() == 1:
                break
            page.wait_for_timeout(40)
        assert leased() == 1


def test_two_tabs_of_one_person_show_different_pages(fresh: pictus.Project, sit: Sit) -> None:
    with served(fresh) as server:
        page = sit(server, "Ada")
        page.wait_for_function(HOLDS, arg=2)
        other = page.context.new_page()
        other.goto(server.address + "/desk")
        other.wait_for_function(SAYS, arg=["work", "You hold several pages"])  # a newcomer
        for _ in range(2):
            next_page(page, "Space")
            page.wait_for_function(SAVED)
        page.wait_for_function(HOLDS, arg=3)
        other.reload()
        at_wall(other)
        assert other.evaluate(PAGE) != page.evaluate(PAGE)


def test_what_waits_is_told_before_signing_out_and_sent_after_coming_in_again(
    fresh: pictus.Project, sit: Sit
) -> None:
    with served(fresh) as server:
        page = sit(server, "Ada")
        page.wait_for_function(HOLDS, arg=2)
        server.stop()
        handed_in = next_page(page, "Space")
        page.wait_for_function(WAITS)
        page.context.clear_cookies()  # before the server is back: it tries again by itself
        server.start()
        page.goto(server.address)
        assert page.inner_text("#kept") == "1 page of Ada waits in this browser, until they come in again."
        sign_in(page, "Bea")
        page.goto(server.address + "/desk")
        at_wall(page)
        assert answers_of(fresh, "Bea") == {}, "nobody hands in what another one answered"
        page.goto(server.address)
        page.click("#leave")
        page.wait_for_selector("#name")
        come_in(page, server.address, "Ada")
        page.wait_for_function(SENT)
    assert answers_of(fresh, "Ada") == flat([handed_in])


def test_what_one_person_handed_in_is_never_sent_as_anothers(fresh: pictus.Project, sit: Sit) -> None:
    with served(fresh) as server:
        page = sit(server, "Ada Größe")
        context = page.context
        page.wait_for_function(HOLDS, arg=2)
        server.stop()
        handed_in = next_page(page, "Space")
        page.wait_for_function(WAITS)
        context.clear_cookies()  # before the server is back: it tries again by itself
        server.start()
        page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_function(SAYS, arg=["saved", "Größe is signed out"])
        other = context.new_page()
        join = """name => fetch("/desk/join", { method: "POST", body: JSON.stringify({ token: "", name }),
            headers: { "x-pictus": "desk", "content-type": "application/json" } })"""
        other.goto(server.address + "/static/desk/desk.css")
        other.evaluate(join, "Bea")
        with page.expect_response(lambda one: one.request.method == "POST" and "/desk/pages/" in one.url) as refused:
            page.evaluate("dispatchEvent(new Event('online'))")
        assert refused.value.status == 401
        page.wait_for_function(SAYS, arg=["saved", "Größe is signed out"])
        assert answers_of(fresh, "Bea") == answers_of(fresh, "Ada Größe") == {}
        other.evaluate(join, "Ada Größe")
        page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_function(SENT)
        assert answers_of(fresh, "Ada Größe") == flat([handed_in])
