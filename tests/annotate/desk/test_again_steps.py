"""Two pages of one person share nothing, and a page that was left behind comes again as it was."""

from __future__ import annotations

import threading
from itertools import combinations

import pytest
import sqlalchemy as sa
from tests.annotate.desks import Clock, all_of, desk_of, put_questions, rows, someone

import pictus
from pictus.annotate.desk import again_steps
from pictus.annotate.desk.desk_steps import Desk
from pictus.annotate.desk.people_steps import reopen
from pictus.annotate.tasks import Page, Person


def on(project: pictus.Project, page: Page) -> set[int]:
    query = "SELECT question_id FROM page_items WHERE page_id = :page"
    return {row.question_id for row in rows(project, query, page=page.page_id)}


def others_work(desk: Desk, people: list[Person]) -> None:
    for person in people:
        page = desk.next_page(person)
        if page is not None:
            desk.submit(person, page.page_id, 1, all_of(page), 60)


def test_who_gives_back_while_others_work_learns_nothing_from_what_stays(birds: pictus.Project) -> None:
    put_questions(birds, 400)
    put_questions(birds, 40, known="yes", first=1000)
    clock = Clock()
    desk = desk_of(birds, clock)
    eve, people = someone(desk, "eve"), [someone(desk, f"p{number}") for number in range(4)]
    pages: dict[str, set[int]] = {}
    for turn in range(8):
        page = desk.next_page(eve, except_pages=list(pages) if turn % 2 else ())
        assert page is not None
        items = on(birds, page)
        assert pages.setdefault(page.page_id, items) == items, "the same page has the same pictures"
        if turn % 3:
            desk.give_back(eve, page.page_id)
        else:
            clock.wait(3600)  # it runs out
        others_work(desk, people)
    assert len(pages) > 2
    for first, second in combinations(pages.values(), 2):
        assert not first & second, "what two pages share would be known"


def test_a_page_left_behind_comes_back_whole_and_counts_as_lent(birds: pictus.Project) -> None:
    put_questions(birds, 100)
    desk = desk_of(birds)
    ada, bob = someone(desk), someone(desk, "bob")
    page = desk.next_page(ada)
    assert page is not None
    desk.give_back(ada, page.page_id)
    assert rows(birds, "SELECT SUM(leases) AS n FROM questions")[0].n == 0
    again = desk.next_page(ada)
    assert again is not None
    assert (again.page_id, again.items) == (page.page_id, page.items)
    assert rows(birds, "SELECT SUM(leases) AS n FROM questions")[0].n == len(page.items)
    desk.submit(ada, page.page_id, 1, all_of(page), 60)
    assert rows(birds, "SELECT SUM(leases) AS n FROM questions")[0].n == 0
    other = desk.next_page(bob)
    assert other is not None
    assert other.page_id != page.page_id


def test_a_page_that_others_have_mostly_settled_stays_away_with_all_that_is_on_it(birds: pictus.Project) -> None:
    put_questions(birds, 96, wanted=1)
    put_questions(birds, 20, known="yes", first=1000)
    desk = desk_of(birds)
    ada, bob = someone(desk), someone(desk, "bob")
    page = desk.next_page(ada)
    assert page is not None
    items = on(birds, page)
    desk.give_back(ada, page.page_id)
    while (lent := desk.next_page(bob)) is not None and len(items) > 0:
        desk.submit(bob, lent.page_id, 1, all_of(lent), 60)
        if rows(birds, "SELECT COUNT(*) AS n FROM questions WHERE state = 'open' AND known = ''")[0].n < 30:
            break
    again = desk.next_page(ada)
    if again is not None and again.page_id != page.page_id:
        assert not on(birds, again) & items
    elif again is not None:
        states = rows(birds, "SELECT state FROM questions WHERE question_id IN (SELECT question_id FROM page_items"
                             " WHERE page_id = :page AND role = 'ask')", page=page.page_id)  # fmt: skip
        assert 2 * sum(row.state == "open" for row in states) >= len(states)


def left_behind(project: pictus.Project, desk: Desk, person: Person) -> Page:
    page = desk.next_page(person)
    assert page is not None
    desk.give_back(person, page.page_id)
    return page


def test_a_page_left_behind_waits_while_something_on_it_is_with_enough_others(birds: pictus.Project) -> None:
    put_questions(birds, 100, wanted=1)
    desk = desk_of(birds)
    ada = someone(desk)
    page = left_behind(birds, desk, ada)
    held = sorted(on(birds, page))[:5]
    count = sa.text("UPDATE questions SET leases = leases + :change WHERE question_id IN :held").bindparams(
        sa.bindparam("held", expanding=True)
    )
    with birds.journal.transaction() as connection:  # others are lent five of them
        connection.execute(count, {"held": held, "change": 1})
    other = desk.next_page(ada)
    assert other is not None
    assert not on(birds, other) & on(birds, page)
    desk.submit(ada, other.page_id, 1, all_of(other), 60)
    assert rows(birds, "SELECT MAX(leases) AS n FROM questions")[0].n == 1, "one more vote was needed, one has it"
    with birds.journal.transaction() as connection:  # and give them back
        connection.execute(count, {"held": held, "change": -1})
    again = desk.next_page(ada)
    assert again is not None
    assert again.page_id == page.page_id


def test_the_last_of_a_heap_reaches_who_left_it_behind_when_all_others_are_gone(birds: pictus.Project) -> None:
    put_questions(birds, 40, wanted=1)
    desk = desk_of(birds)
    ada = someone(desk)
    page = left_behind(birds, desk, ada)
    asks = [
        row.question_id
        for row in rows(birds, "SELECT question_id FROM page_items WHERE role = 'ask' ORDER BY question_id")
    ]
    with birds.journal.transaction() as connection:  # as others would, of whom none comes again
        for question in asks[: len(asks) - 5]:
            connection.execute(
                sa.text("UPDATE questions SET state = 'accepted' WHERE question_id = :id"), {"id": question}
            )
    again = desk.next_page(ada)
    assert again is not None, "five are open, and nobody else is there"
    assert (again.page_id, again.items) == (page.page_id, page.items)
    desk.submit(ada, again.page_id, 1, all_of(again), 60)
    assert rows(birds, "SELECT SUM(leases) AS n FROM questions")[0].n == 0


def test_a_concept_that_is_put_aside_comes_back_with_no_page_left_behind(birds: pictus.Project) -> None:
    put_questions(birds, 100)
    desk = desk_of(birds)
    ada, bob, cid = (someone(desk, name) for name in ("ada", "bob", "cid"))
    page = left_behind(birds, desk, ada)
    for one in (bob, cid):
        assert desk.next_page(one) is not None
        desk.unpicturable(one, "owl")
    assert desk.next_page(ada) is None
    reopen(birds, "owl")
    again = desk.next_page(ada)
    assert again is not None
    assert again.page_id == page.page_id


def test_nobody_is_judged_by_a_known_answer_that_was_corrected_while_the_page_lay(birds: pictus.Project) -> None:
    put_questions(birds, 100)
    put_questions(birds, 20, known="yes", first=1000)
    desk = desk_of(birds)
    ada = someone(desk)
    page = left_behind(birds, desk, ada)
    with birds.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE questions SET known = 'no' WHERE known = 'yes'"))
    items = on(birds, page)
    again = desk.next_page(ada)
    assert again is not None
    assert not items & on(birds, again)


def test_of_two_servers_one_lends_a_page_again(world: pictus.Project) -> None:
    put_questions(world, 200)
    desks = [desk_of(world), desk_of(world)]
    ada = someone(desks[0])
    page = left_behind(world, desks[0], ada)
    found: list[Page | None] = []
    threads = [
        threading.Thread(target=lambda desk=desk: found.append(desk.next_page(ada, except_pages=())))
        for desk in desks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.page_id for one in found if one is not None] == [page.page_id] * 2
    query = "SELECT SUM(leases) AS n FROM questions"
    lent = "SELECT COUNT(*) AS n FROM page_items WHERE role = 'ask'"
    assert rows(world, query)[0].n == rows(world, lent)[0].n
    desks[1].submit(ada, page.page_id, 1, all_of(page), 60)
    assert rows(world, query)[0].n == 0


def test_more_pages_than_are_looked_through_stay_apart_too(
    birds: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again_steps, "LOOKED_BACK", 2)
    put_questions(birds, 400)
    put_questions(birds, 40, known="yes", first=1000)
    desk = desk_of(birds)
    eve = someone(desk, "eve")
    pages: dict[str, set[int]] = {}
    for _ in range(6):
        page = desk.next_page(eve, except_pages=list(pages))
        assert page is not None
        pages[page.page_id] = on(birds, page)
        desk.give_back(eve, page.page_id)
    for first, second in combinations(pages.values(), 2):
        assert not first & second, "what two pages share would be known"


def test_two_people_who_are_asked_the_same_and_compare_find_no_known_answer(birds: pictus.Project) -> None:
    put_questions(birds, 200)
    put_questions(birds, 40, known="yes", first=1000)
    desk = desk_of(birds)
    ada, bob, cid = (someone(desk, name) for name in ("ada", "bob", "cid"))
    pages = {}
    for person in (ada, bob, cid):
        page = desk.next_page(person)
        assert page is not None
        pages[person.name] = on(birds, page)
        if person == bob:
            desk.submit(bob, page.page_id, 1, all_of(page), 60)
        else:
            desk.give_back(person, page.page_id)
    assert rows(birds, "SELECT COUNT(*) AS n FROM page_items WHERE role = 'gold'")[0].n == 12
    assert pages["ada"] == pages["bob"] == pages["cid"]
