"""Pages are handed in: once, whole, by whom they were lent to."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa
from tests.annotate.desks import Clock, all_of, desk_of, link, put_questions, rows, someone

import pictus
from pictus.annotate import pause
from pictus.annotate.desk import desk_steps, lease_steps, turns_steps, work_steps
from pictus.annotate.desk.conduct import Limits
from pictus.annotate.desk.desk_steps import LaterError
from pictus.annotate.tasks import Given, Page
from pictus.errors import NotThereError, UserError


def test_the_same_again_changes_nothing_and_other_answers_are_refused(world: pictus.Project) -> None:
    put_questions(world, 10)
    desk = desk_of(world)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    first = desk.submit(ada, page.page_id, 1, all_of(page), 60)
    again = desk.submit(ada, page.page_id, 1, list(reversed(all_of(page))), 61)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.progress == first.progress
    with pytest.raises(UserError, match="other answers"):
        desk.submit(ada, page.page_id, 1, all_of(page, "no"), 60)
    for revision in (0, 3, -1):
        with pytest.raises(UserError, match="does not follow"):
            desk.submit(ada, page.page_id, revision, all_of(page), 60)
    assert rows(world, "SELECT COUNT(*) FROM answers")[0][0] == 10
    assert rows(world, "SELECT MIN(votes), MAX(votes) FROM questions")[0] == (1, 1)


def test_a_page_taken_up_again_supersedes_and_may_reopen(world: pictus.Project) -> None:
    put_questions(world, 10, wanted=2)
    desk = desk_of(world, stops=desk_steps.Stops(most=2))
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    pages = [desk.next_page(person) for person in (ada, bob)]
    assert pages[0] is not None
    for person, page in zip((ada, bob), pages, strict=True):
        receipt = desk.submit(person, page.page_id if page else "", 1, all_of(page), 60)
    assert receipt.decided == 10
    assert rows(world, "SELECT waiting FROM heaps")[0][0] == 0
    taken = desk.page(ada, pages[0].page_id)
    assert (taken.revision, {one.answer for one in taken.answers}) == (1, {"yes"})
    desk.submit(ada, taken.page_id, 2, all_of(taken, "no"), 20)
    states = dict(rows(world, "SELECT state, COUNT(*) FROM questions GROUP BY state"))
    assert states == {"undecided": 10}, "one yes, one no: the yes of before is forgotten"
    assert rows(world, "SELECT MIN(votes), MAX(votes) FROM questions")[0] == (2, 2)
    assert set(world.journal.votes().filter(pictus_filter(world, "ada")).column("answer").to_pylist()) == {"no"}
    assert rows(world, "SELECT COUNT(*) FROM votes")[0][0] == 30, "nothing is overwritten"
    other = desk_of(world, stops=desk_steps.Stops(most=3))
    assert other.progress(ada).pages == 1
    assert [page.revision for page in other.done(ada, 5)] == [2]


def pictus_filter(project: pictus.Project, name: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(project.journal.votes().column("annotator"), name)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda given: given[:-1], "answered whole"),
        (lambda given: [*given, given[0]], "answered whole"),
        (lambda given: [*given[:-1], Given(99, "yes")], "answered whole"),
        (lambda given: [*given[:-1], given[-1]._replace(answer="<script>x</script>")], "none of no, yes, unsure"),
    ],
)  # fmt: skip
def test_a_page_is_answered_whole_and_in_its_own_words(birds: pictus.Project, change: Any, match: str) -> None:
    put_questions(birds, 4)
    desk = desk_of(birds)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    with pytest.raises(UserError, match=match):
        desk.submit(ada, page.page_id, 1, change(all_of(page)), 60)
    assert rows(birds, "SELECT COUNT(*) FROM answers")[0][0] == 0


def test_what_is_anothers_is_not_there(world: pictus.Project) -> None:
    put_questions(world, 4)
    desk = desk_of(world)
    ada, eve = someone(desk, "ada"), someone(desk, "eve")
    page = desk.next_page(ada)
    assert page is not None
    for name in (page.page_id, "x" * 22, "'; DROP TABLE pages; --"):
        with pytest.raises(NotThereError):
            desk.page(eve, name)
        with pytest.raises(NotThereError):
            desk.submit(eve, name, 1, all_of(page), 60)
        with pytest.raises(NotThereError):
            desk.picture(eve, name, 0)
        with pytest.raises(NotThereError):
            desk.give_back(eve, name)
    with pytest.raises(NotThereError):
        desk.picture(ada, page.page_id, 4)
    assert desk.done(eve) == []


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -5.0, 1e12])
def test_time_is_what_the_desk_itself_has_seen_at_most(birds: pictus.Project, seconds: float) -> None:
    put_questions(birds, 4)
    clock = Clock()
    desk = desk_of(birds, clock)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    clock.wait(30)
    assert 0 <= desk.submit(ada, page.page_id, 1, all_of(page), seconds).progress.seconds <= 31


def test_a_server_killed_between_lending_and_handing_in_loses_nothing(world: pictus.Project) -> None:
    put_questions(world, 10)
    first = desk_of(world)
    ada = someone(first)
    page = first.next_page(ada)
    assert page is not None
    second = desk_of(world)  # as after a restart: nothing of the first is known but what is stored
    assert second.next_page(ada) == page
    assert second.submit(ada, page.page_id, 1, all_of(page), 60).is_new
    assert not first.submit(ada, page.page_id, 1, all_of(page), 60).is_new


def test_a_transaction_that_fails_leaves_no_vote_in_the_rule(
    birds: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_questions(birds, 10, wanted=2)
    clock = Clock()
    desk = desk_of(birds, clock, stops=desk_steps.Stops(most=2))
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    pages = [desk.next_page(person) for person in (ada, bob)]
    assert pages[0] is not None
    assert pages[1] is not None

    def broken(*_: Any) -> str:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(work_steps, "judged", broken)
        with pytest.raises(LaterError):
            desk.submit(ada, pages[0].page_id, 1, all_of(pages[0]), 60)
    assert rows(birds, "SELECT COUNT(*) FROM answers")[0][0] == 0
    assert desk.submit(bob, pages[1].page_id, 1, all_of(pages[1]), 60).decided == 0, "one vote of two"
    assert desk.submit(ada, pages[0].page_id, 1, all_of(pages[0]), 60).decided == 10


def test_two_desks_decide_as_one(world: pictus.Project) -> None:
    put_questions(world, 10, wanted=3)
    desks = [desk_of(world), desk_of(world), desk_of(world)]
    decided = []
    for desk, who in zip(desks, ("ada", "bob", "cyd"), strict=True):
        person = someone(desk, who)
        page = desk.next_page(person)
        assert page is not None
        decided.append(desk.submit(person, page.page_id, 1, all_of(page), 60).decided)
    assert decided == [0, 0, 10], "the third desk has never seen the votes of the others come"


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.OperationalError("SELECT", {}, Exception("server closed the connection at 10.1.2.3")),
        sa.exc.TimeoutError("QueuePool limit at 10.1.2.3"),
        sqlite3.OperationalError("disk I/O error at 10.1.2.3"),
        sa.exc.DBAPIError("SELECT", {}, Exception("10.1.2.3"), connection_invalidated=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_is_gone_is_told_and_comes_back(
    birds: pictus.Project, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    put_questions(birds, 10)
    desk = desk_of(birds)
    ada = someone(desk)

    def gone(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(lease_steps, "held", gone)
        for ask in (desk.next_page, desk.nothing):
            with pytest.raises(LaterError) as told:
                ask(ada)
            assert "10.1.2.3" not in str(told.value), "an annotator is not told where the database is"
    assert desk.next_page(ada) is not None


def test_of_two_transactions_that_wait_for_each_other_one_is_done_again(birds: pictus.Project) -> None:
    desk = desk_of(birds)
    tries = []

    class DeadlockError(Exception):
        sqlstate = "40P01"

    def work(_: sa.Connection) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise sa.exc.OperationalError("UPDATE", {}, DeadlockError())
        return "done"

    assert desk._do(work) == "done"
    assert len(tries) == 3


def test_who_was_paused_meanwhile_decides_nothing(world: pictus.Project) -> None:
    put_questions(world, 3, wanted=1)
    put_questions(world, 3, kind="box-coverage", concept="wren", wanted=1)
    clock = Clock()
    desk = desk_of(world, clock, stops=desk_steps.Stops(most=1))
    eve = someone(desk, "eve")
    pages = [desk.next_page(eve, kind=kind) for kind in ("grid", "box-coverage")]
    pause(world, "eve", reason="read the gloss")
    for page, answer in zip(pages, ("yes", "covered"), strict=True):
        assert page is not None
        assert desk.submit(eve, page.page_id, 1, all_of(page, answer), 20).decided == 0
    assert rows(world, "SELECT DISTINCT state, votes, leases FROM questions") == [("open", 0, 0)]
    assert rows(world, "SELECT COUNT(*) FROM answers") == [(6,)]


# Shapes


def boxed(page: Page | None, box: tuple[float, float, float, float] = (10, 10, 200, 200)) -> list[Given]:
    assert page is not None
    return [Given(item.position, "box", {"shapes": [{"box": list(box), "tool": "drag"}]}) for item in page.items]


def test_a_box_is_drawn_by_one_and_looked_at_by_others(world: pictus.Project) -> None:
    put_questions(world, 2, kind="box", wanted=1)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    page = desk.next_page(ada, kind="box")
    assert page is not None
    receipt = desk.submit(ada, page.page_id, 1, boxed(page), 30)
    assert receipt.decided == 2
    assert rows(world, "SELECT COUNT(*) FROM marks") == [(2,)]
    assert rows(world, "SELECT waiting FROM heaps WHERE kind = 'box-quality'") == [(2,)]
    assert desk.next_page(ada) is None, "nobody judges what they drew"
    quality = desk.next_page(bob)
    assert quality is not None
    assert quality.kind == "box-quality"
    assert [mark["shape"]["box"] for item in quality.items for mark in item.marks] == [[10, 10, 200, 200]] * 2
    assert "ada" not in str(quality)
    desk.submit(bob, quality.page_id, 1, all_of(quality, "good"), 30)
    assert rows(world, "SELECT waiting FROM heaps WHERE kind = 'box-coverage'") == [(2,)]
    assert world.journal.vote_count() == 0


def test_a_box_drawn_anew_is_judged_anew(world: pictus.Project) -> None:
    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    desk.submit(ada, page.page_id, 1, boxed(page), 30)
    desk.submit(ada, page.page_id, 2, boxed(page, (20, 20, 90, 90)), 30)
    marks = rows(world, "SELECT mark_id, source, place FROM marks ORDER BY mark_id")
    assert [mark.source for mark in marks] == [f"page:{page.page_id}#1", f"page:{page.page_id}#2"]
    asked = dict(rows(world, "SELECT mark_id, state FROM questions WHERE kind = 'box-quality'"))
    assert asked == {marks[0].mark_id: "parked", marks[1].mark_id: "open"}
    assert rows(world, "SELECT waiting FROM heaps WHERE kind = 'box-quality'") == [(1,)]


def test_a_shape_outside_the_picture_is_refused_and_nothing_kept(birds: pictus.Project) -> None:
    put_questions(birds, 2, kind="box", wanted=1)
    desk = desk_of(birds)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    bad = boxed(page)[:1] + boxed(page, (5000, 5000, 6000, 6000))[1:]
    with pytest.raises(UserError, match="bad row"):
        desk.submit(ada, page.page_id, 1, bad, 30)
    assert rows(birds, "SELECT COUNT(*) FROM marks") == [(0,)]


def test_an_answer_known_since_changes_no_count(birds: pictus.Project) -> None:
    put_questions(birds, 3, wanted=1)
    desk = desk_of(birds, stops=desk_steps.Stops(most=1))
    ada = someone(desk)
    page = desk.next_page(ada)
    with birds.journal.transaction() as connection:  # as `annotate gold` does
        connection.execute(sa.text("UPDATE questions SET known = 'yes' WHERE question_id = 1"))
        connection.execute(sa.text("UPDATE heaps SET waiting = 2"))
    assert desk.submit(ada, page.page_id if page else "", 1, all_of(page), 30).decided == 2
    assert rows(birds, "SELECT waiting FROM heaps") == [(0,)]


def test_pages_held_at_once_claim_no_more_time_than_went_by(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_steps, "NEWCOMER", 4)  # as for somebody who handed in a few
    put_questions(world, 400)
    clock = Clock()
    desk = desk_of(world, clock, limits=Limits())
    ada = someone(desk)
    held: list[Page] = []
    for _ in range(4):
        page = desk.next_page(ada, except_pages=[one.page_id for one in held])
        assert page is not None
        held.append(page)
    clock.wait(8)
    receipts = [desk.submit(ada, page.page_id, 1, all_of(page), 60) for page in held[:3]]
    assert receipts[2].progress.seconds <= 9
    assert "too fast" in receipts[2].paused


def test_pages_that_waited_for_a_connection_are_not_too_fast(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_steps, "NEWCOMER", 4)  # as for somebody who handed in a few
    put_questions(world, 400)
    clock = Clock()
    desk = desk_of(world, clock, limits=Limits())
    ada = someone(desk)
    held: list[Page] = []
    for _ in range(4):
        page = desk.next_page(ada, except_pages=[one.page_id for one in held])
        assert page is not None
        held.append(page)
    clock.wait(240)
    receipts = [desk.submit(ada, page.page_id, 1, all_of(page), 60) for page in held]
    assert [receipt.paused for receipt in receipts] == [""] * 4
    assert receipts[3].progress.seconds == pytest.approx(240)


def test_people_of_one_link_decide_nothing_alone_while_others_are_at_work(world: pictus.Project) -> None:
    put_questions(world, 20)
    put_questions(world, 20, concept="wren", wanted=9, priority=0.5)
    for token in ("a" * 43, "b" * 43):
        link(world, token, uses=9)
    clock = Clock()
    desk = desk_of(world, clock)

    def answers(token: str, name: str, concept: str = "owl") -> None:
        person = desk.person(desk.join(token * 43, name))
        assert person is not None
        page = desk.next_page(person, concept_id=concept)
        desk.submit(person, page.page_id if page else "", 1, all_of(page, "no"), 60)

    states = "SELECT state, COUNT(*) FROM questions WHERE concept_id = 'owl' GROUP BY state"
    answers("b", "other", "wren")
    for name in ("ring1", "ring2", "ring3", "ring4"):
        answers("a", name)
    assert rows(world, states) == [("open", 20)]
    answers("b", "honest")
    assert rows(world, states) == [("rejected", 20)]


def test_people_of_one_link_decide_where_nobody_else_is_at_work(world: pictus.Project) -> None:
    put_questions(world, 20)
    for token in ("a" * 43, "b" * 43):
        link(world, token, uses=9)
    desk = desk_of(world)
    desk.join("b" * 43, "idle")
    for name in ("ada", "bob", "cyd"):
        person = desk.person(desk.join("a" * 43, name))
        assert person is not None
        page = desk.next_page(person)
        desk.submit(person, page.page_id if page else "", 1, all_of(page), 60)
    assert rows(world, "SELECT state, COUNT(*) FROM questions GROUP BY state") == [("accepted", 20)]


def test_a_known_answer_that_is_corrected_later_proves_nothing(world: pictus.Project) -> None:
    put_questions(world, 60, wanted=5)
    put_questions(world, 10, known="yes", first=2000)
    desk = desk_of(world)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    kinds = dict(rows(world, "SELECT position, role FROM page_items WHERE page_id = :page", page=page.page_id))
    golds = [position for position, role in kinds.items() if role == "gold"]
    first = [Given(place, "unsure" if place == golds[0] else "no") for place in kinds]
    desk.submit(ada, page.page_id, 1, first, 60)
    desk.submit(ada, page.page_id, 2, all_of(page, "yes"), 20)
    counted = rows(world, "SELECT golds, rights, unsures, revision FROM pages WHERE revision > 0")
    assert counted == [(len(golds) - 1, 0, 1, 2)], "what was said first is judged"
    last = rows(world, "SELECT DISTINCT answer FROM votes WHERE source LIKE '%#2'")
    assert last == [("yes",)], "votes are the last ones"


def test_a_page_that_ran_out_and_was_lent_again_counts_once(world: pictus.Project) -> None:
    put_questions(world, 30, wanted=5)
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    page = desk.next_page(ada)
    clock.wait(3600)  # abandoned, and lent to her again
    again = desk.next_page(ada)
    assert page is not None
    assert again is not None
    assert again.page_id == page.page_id
    for revision, one in enumerate((page, again), start=1):
        clock.wait(60)
        receipt = desk.submit(ada, one.page_id, revision, all_of(one, ("yes", "no")[revision % 2]), 60)
    assert receipt.progress.questions == 30
    assert [one.questions for one in pictus.annotate.people(world)] == [30]


def test_handing_in_again_and_again_makes_up_no_time(world: pictus.Project) -> None:
    put_questions(world, 400)
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    first = desk.next_page(ada)
    second = desk.next_page(ada, except_pages=[first.page_id if first else ""])
    held = [page for page in (first, second) if page]
    assert len({page.page_id for page in held}) == 2
    clock.wait(4)
    for revision in range(1, 6):
        for page in held:
            answer = ("yes", "no")[revision % 2]
            receipt = desk.submit(ada, page.page_id, revision, all_of(page, answer), 1e7)
    assert receipt.progress.seconds == 4
    clock.wait(60)
    third = desk.next_page(ada, except_pages=[one.page_id for one in held])
    assert third is not None
    clock.wait(30)
    assert desk.submit(ada, third.page_id, 1, all_of(third), 25).progress.seconds == 29
