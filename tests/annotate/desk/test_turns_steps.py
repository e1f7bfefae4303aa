"""Nobody keeps all questions from others: pages are lent ahead to who hands in, and what is given back goes on."""

from __future__ import annotations

import sqlalchemy as sa
from tests.annotate.desks import Clock, all_of, desk_of, link, pictures_of, put_questions, rows, someone

import pictus
from pictus.annotate.desk.desk_steps import Desk
from pictus.annotate.tasks import Page, Person


def held_by(desk: Desk, person: Person) -> list[Page]:
    """Pages until there is none more; they stay in hand."""
    found: list[Page] = []
    while len(found) < 20:
        page = desk.next_page(person, except_pages=[one.page_id for one in found])
        if page is None:
            break
        found.append(page)
    return found


def test_a_newcomer_holds_two_pages_and_one_more_for_each_handed_in(world: pictus.Project) -> None:
    put_questions(world, 48 * 20)
    desk = desk_of(world)
    ada = someone(desk)
    most = []
    for _ in range(8):
        pages = held_by(desk, ada)
        most.append(len(pages))
        desk.submit(ada, pages[0].page_id, 1, all_of(pages[0]), 60)
    assert most == [2, 3, 4, 5, 6, 7, 8, 8]


def test_who_holds_all_they_may_is_told_why(birds: pictus.Project) -> None:
    put_questions(birds, 48 * 5)
    desk = desk_of(birds)
    ada = someone(desk)
    pages = held_by(desk, ada)
    assert "You hold several pages" in desk.nothing(ada)
    desk.give_back(ada, pages[1].page_id)
    assert desk.next_page(ada, except_pages=[pages[0].page_id]) is not None


def test_three_names_cannot_keep_everything(birds: pictus.Project) -> None:
    put_questions(birds, 48 * 8, wanted=1)
    desk = desk_of(birds)
    for name in ("h1", "h2", "h3"):
        held_by(desk, someone(desk, name))
    assert desk.next_page(someone(desk, "vic")) is not None


def test_what_is_given_back_goes_to_who_waits_first(world: pictus.Project) -> None:
    put_questions(world, 20, wanted=1)
    put_questions(world, 12, known="yes", first=1000)
    clock = Clock()
    desk = desk_of(world, clock)
    hog, vic = someone(desk, "hog"), someone(desk, "vic")
    page = desk.next_page(hog)
    assert page is not None
    seen = set(pictures_of(desk, page, hog))
    assert desk.next_page(vic) is None
    desk.give_back(hog, page.page_id)
    assert desk.next_page(hog) is None, "somebody waits for these"
    clock.wait(20)
    got = desk.next_page(vic)
    assert got is not None
    assert len(seen & set(pictures_of(desk, got, vic))) >= 20


def test_who_let_a_page_run_out_comes_after_who_waits(world: pictus.Project) -> None:
    put_questions(world, 20, wanted=1)
    clock = Clock()
    desks = [desk_of(world, clock), desk_of(world, clock)]
    hog, vic = someone(desks[0], "hog"), someone(desks[1], "vic")
    assert desks[0].next_page(hog) is not None
    clock.wait(1790)
    assert desks[1].next_page(vic) is None
    clock.wait(20)
    assert desks[0].next_page(hog) is None, "on another server, too"
    assert desks[1].next_page(vic) is not None


def test_alone_one_gets_back_what_one_gave_back(world: pictus.Project) -> None:
    put_questions(world, 20, wanted=1)
    clock = Clock()
    desk = desk_of(world, clock)
    ada, done, gone = someone(desk), someone(desk, "done"), someone(desk, "gone")
    page = desk.next_page(ada)
    assert page is not None
    assert desk.next_page(gone) is None
    clock.wait(61)  # who looked for the last time a minute ago has left
    desk.give_back(ada, page.page_id)
    page = desk.next_page(done)
    assert page is not None
    desk.submit(done, page.page_id, 1, all_of(page, "unsure"), 60)
    with world.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE questions SET state = 'open', wanted = 2"))
        connection.execute(sa.text("UPDATE heaps SET waiting = 20"))
    clock.wait(10)
    assert desk.next_page(done) is None, "they have answered all of it, and wait for something else"
    page = desk.next_page(ada)
    assert page is not None
    desk.give_back(ada, page.page_id)
    assert desk.next_page(ada) is not None, "what nobody else can be asked is not kept back"


def test_who_waits_for_another_concept_keeps_nothing_back(birds: pictus.Project) -> None:
    put_questions(birds, 20, wanted=1)
    put_questions(birds, 20, kind="audit", wanted=1)
    desk = desk_of(birds)
    rex, ada, bob = someone(desk, "rex", "reviewer"), someone(desk), someone(desk, "bob")
    page = desk.next_page(rex, kind="audit")
    assert page is not None
    assert desk.next_page(ada, concept_id="wren") is None
    assert desk.next_page(bob, kind="audit") is None, "an annotator is asked no audits"
    assert len(rows(birds, "SELECT 1 FROM annotators WHERE waits <> ''")) == 2
    desk.give_back(rex, page.page_id)
    assert desk.next_page(rex, kind="audit") is not None


def test_known_pictures_rest_with_the_page_they_were_on(birds: pictus.Project) -> None:
    put_questions(birds, 60, wanted=1)
    put_questions(birds, 60, known="yes", first=1000)
    desk = desk_of(birds)
    hog, vic = someone(desk, "hog"), someone(desk, "vic")
    pages = held_by(desk, hog)
    assert desk.next_page(vic) is None
    seen = {name for page in pages for name in pictures_of(desk, page, hog)}
    for page in pages:
        desk.give_back(hog, page.page_id)
    put_questions(birds, 30, wanted=1, first=500)
    again = desk.next_page(hog)
    assert again is not None
    assert not seen & set(pictures_of(desk, again, hog)), "what came back would be known answers"


def guest(desk: Desk, token: str, name: str) -> Person:
    person = desk.person(desk.join(token, name))
    assert person is not None
    return person


def leases_are_right(project: pictus.Project) -> bool:
    lent = "SELECT COUNT(*) FROM page_items i JOIN pages p ON p.page_id = i.page_id WHERE p.state = 'leased'"
    (row,) = rows(project, f"SELECT ({lent} AND i.role = 'ask') AS lent, SUM(leases) AS counted FROM questions")
    return bool(row.lent == row.counted)


def test_names_of_one_link_cannot_keep_all_from_who_came_by_another(world: pictus.Project) -> None:
    put_questions(world, 48 * 4, wanted=1)
    desk = desk_of(world)
    crowd, single = link(world, "c" * 43, uses=30), link(world, "s" * 43)
    hogs = [guest(desk, crowd, f"hog{number}") for number in range(2)]
    pages = {hog.name: held_by(desk, hog) for hog in hogs}
    assert [len(found) for found in pages.values()] == [2, 2]
    vic = guest(desk, single, "vic")
    for _ in range(4):  # first what is held besides another page, then what those hold who never handed in anything
        page = desk.next_page(vic)
        assert page is not None
        assert len(page.items) == 48
        assert leases_are_right(world)
        desk.submit(vic, page.page_id, 1, all_of(page), 60)
    late = desk.submit(hogs[0], pages["hog0"][0].page_id, 1, all_of(pages["hog0"][0]), 60)
    assert "came late" in late.note
    assert leases_are_right(world)


def test_who_waits_gets_a_second_page_of_the_same_link_but_nobodys_only_one(birds: pictus.Project) -> None:
    put_questions(birds, 48 * 4, wanted=1)
    desk = desk_of(birds)
    crowd = link(birds, uses=30)
    for number in range(2):
        assert len(held_by(desk, guest(desk, crowd, f"hog{number}"))) == 2
    for number in range(2):
        assert desk.next_page(guest(desk, crowd, f"vic{number}")) is not None
    assert desk.next_page(guest(desk, crowd, "vic2")) is None
    assert leases_are_right(birds)


def test_nothing_is_taken_for_who_has_answered_it_or_from_people_who_hold_little(birds: pictus.Project) -> None:
    put_questions(birds, 48 * 3, wanted=2)
    desk = desk_of(birds)
    crowd, single = link(birds, "c" * 43, uses=30), link(birds, "s" * 43)
    vic = guest(desk, single, "vic")
    for _ in range(3):
        page = desk.next_page(vic)
        assert page is not None
        desk.submit(vic, page.page_id, 1, all_of(page), 60)
    hog = guest(desk, crowd, "hog")
    assert len(held_by(desk, hog)) == 2
    assert desk.next_page(vic) is None
    assert len(rows(birds, "SELECT 1 FROM pages WHERE state = 'leased'")) == 2
