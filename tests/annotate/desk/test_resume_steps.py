"""Whose answers count while people are paused and let go on: what is wanted neither grows nor is counted twice."""

from __future__ import annotations

import pytest
from tests.annotate.desks import all_of, desk_of, put_questions, rows, someone

import pictus
from pictus.annotate.desk.desk_steps import Desk
from pictus.annotate.desk.people_steps import pause
from pictus.annotate.tasks import Given, Page, Person


def hands_in(desk: Desk, person: Person, kind: str, answer: str) -> Page:
    page = desk.next_page(person, kind=kind)
    assert page is not None
    desk.submit(person, page.page_id, 1, all_of(page, answer), 60)
    return page


def paused_and_back(project: pictus.Project, name: str, times: int = 1) -> None:
    for _ in range(times):
        pause(project, name, reason="a question to you")
        pause(project, name, resume=True)


def stands(project: pictus.Project, kind: str) -> list[tuple[str, int, int]]:
    query = "SELECT DISTINCT state, votes, wanted FROM questions WHERE kind = :kind ORDER BY 1, 2, 3"
    return [tuple(row) for row in rows(project, query, kind=kind)]


def waiting(project: pictus.Project, kind: str) -> int:
    return int(rows(project, "SELECT waiting FROM heaps WHERE kind = :kind", kind=kind)[0].waiting)


def test_an_audit_of_two_experts_ends_however_often_one_was_paused_between(world: pictus.Project) -> None:
    put_questions(world, 12, kind="audit", wanted=2)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada", "reviewer"), someone(desk, "bob", "reviewer")
    hands_in(desk, ada, "audit", "best")
    paused_and_back(world, "ada", 3)
    assert stands(world, "audit") == [("open", 1, 2)]
    hands_in(desk, bob, "audit", "best")
    assert stands(world, "audit") == [("accepted", 2, 2)]
    assert waiting(world, "audit") == 0


def test_what_a_paused_expert_said_is_asked_of_another_and_counts_again_when_they_go_on(world: pictus.Project) -> None:
    put_questions(world, 12, kind="audit", wanted=2)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada", "reviewer"), someone(desk, "bob", "reviewer")
    hands_in(desk, ada, "audit", "best")
    pause(world, "ada", reason="a question to you")
    hands_in(desk, bob, "audit", "no")
    assert stands(world, "audit") == [("open", 1, 2)]
    pause(world, "ada", resume=True)  # now two who may be asked have answered, and the last of them said no
    assert stands(world, "audit") == [("rejected", 2, 2)]
    assert waiting(world, "audit") == 0
    paused_and_back(world, "ada")
    assert stands(world, "audit") == [("rejected", 2, 2)]


def test_a_box_drawn_while_its_author_was_paused_goes_its_way_when_they_go_on(birds: pictus.Project) -> None:
    put_questions(birds, 3, kind="box", wanted=1)
    desk = desk_of(birds)
    ada = someone(desk)
    page = desk.next_page(ada, kind="box")
    assert page is not None
    pause(birds, "ada", reason="a question to you")
    shape = {"shapes": [{"box": [10, 10, 200, 200]}]}
    given = [Given(item.position, "box", shape) if item.position else Given(0, "none") for item in page.items]
    desk.submit(ada, page.page_id, 1, given, 60)
    assert stands(birds, "box") == [("open", 0, 1)]
    pause(birds, "ada", resume=True)
    assert stands(birds, "box") == [("accepted", 1, 1), ("rejected", 1, 1)]
    drawn = rows(birds, "SELECT mark_id FROM marks WHERE kind = 'box' ORDER BY mark_id")
    asked = rows(birds, "SELECT mark_id FROM questions WHERE kind = 'box-quality' AND state = 'open' ORDER BY mark_id")
    assert asked == drawn
    assert (waiting(birds, "box"), waiting(birds, "box-quality")) == (0, 2)


@pytest.mark.parametrize("times", [1, 3])
def test_a_vote_of_who_was_paused_is_wanted_of_one_more_and_no_further(birds: pictus.Project, times: int) -> None:
    put_questions(birds, 48)
    desk = desk_of(birds)
    ada, bob, cid = (someone(desk, name) for name in ("ada", "bob", "cid"))
    page = hands_in(desk, ada, "grid", "yes")
    query = "SELECT SUM(wanted - votes) AS n FROM questions WHERE state = 'open'"
    before = rows(birds, query)[0].n
    paused_and_back(birds, "ada", times)
    assert rows(birds, query)[0].n == before
    pause(birds, "ada", reason="a question to you")
    assert rows(birds, query)[0].n == before + len(page.items)
    for one in (bob, cid):  # two of three agree, which is enough
        hands_in(desk, one, "grid", "yes")
    assert {(state, votes) for state, votes, _ in stands(birds, "grid")} == {("accepted", 2)}


def test_an_audit_that_ended_stays_ended_when_the_desk_is_opened_anew_while_an_expert_is_paused(
    world: pictus.Project
) -> None:  # fmt: skip
    put_questions(world, 12, kind="audit", wanted=2)
    desk = desk_of(world)
    for name in ("ada", "bob"):
        hands_in(desk, someone(desk, name, "reviewer"), "audit", "best")
    pause(world, "ada", reason="a question to you")
    desk_of(world)
    assert stands(world, "audit") == [("accepted", 1, 2)]
    assert waiting(world, "audit") == 0
