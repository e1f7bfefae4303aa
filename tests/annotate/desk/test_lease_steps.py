"""Pages are lent: which questions, to whom, how often, with what mixed in."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id
from tests.annotate.desks import Clock, all_of, desk_of, link, pictures_of, put_questions, rows, someone

import pictus
from pictus.annotate.desk import turns_steps
from pictus.annotate.stops.stopping import Stops
from pictus.annotate.tasks import KINDS, Given, Kind, Page
from pictus.errors import UserError


def test_a_page_is_lent_answered_and_settled_by_three(world: pictus.Project) -> None:
    names = put_questions(world, 60)
    desk = desk_of(world)
    for who in ("ada", "bob", "cyd"):
        person = someone(desk, who)
        page = desk.next_page(person, kind="grid")
        assert page is not None
        assert (page.kind, page.concept_id, page.revision, len(page.items)) == ("grid", "owl", 0, 48)
        assert (page.items[0].width, page.items[0].height) == (640, 480)
        assert page.reason == "few pictures so far"
        assert len(page.page_id) == 22
        assert set(pictures_of(desk, page, person)) <= set(names)
        receipt = desk.submit(person, page.page_id, 1, all_of(page), 60.0)
        assert (receipt.is_new, receipt.progress.questions, receipt.progress.pages) == (True, 48, 1)
    votes = world.journal.votes()
    assert votes.num_rows == 3 * 48
    assert set(votes.column("question").to_pylist()) == {"owl"}
    assert all(source.startswith("page:") for source in votes.column("source").to_pylist())
    assert rows(world, "SELECT COUNT(*) FROM questions WHERE leases <> 0")[0][0] == 0
    (closed,) = rows(world, "SELECT COUNT(*) FROM questions WHERE state = 'accepted'")[0]
    (waiting,) = rows(world, "SELECT waiting FROM heaps")[0]
    assert closed + waiting == 60
    assert closed > 0


def test_two_who_ask_get_other_questions_but_for_every_fourth(world: pictus.Project) -> None:
    put_questions(world, 96)
    put_questions(world, 40, known="yes", first=1000)
    desk = desk_of(world)
    two = (someone(desk, "ada"), someone(desk, "bob"))
    pages = [set(pictures_of(desk, desk.next_page(person), person)) for person in two]
    known = {image_id(f"owl{number}") for number in range(1000, 1040)}
    assert len(pages[0] & pages[1] - known) == 11, "seen by two does not mean known"


def test_what_is_drawn_is_with_one_person_only(birds: pictus.Project) -> None:
    put_questions(birds, 60, kind="box", wanted=2)
    desk = desk_of(birds)
    pages = [pictures_of(desk, desk.next_page(person, kind="box"), person)
             for person in (someone(desk, "ada"), someone(desk, "bob"))]  # fmt: skip
    assert not set(pages[0]) & set(pages[1])


def test_a_question_is_lent_no_more_often_than_it_needs_votes(world: pictus.Project) -> None:
    put_questions(world, 30, wanted=2)
    desk = desk_of(world)
    pages = [desk.next_page(someone(desk, who)) for who in ("ada", "bob", "cyd")]
    assert [page is not None for page in pages] == [True, True, False]
    assert rows(world, "SELECT MIN(leases), MAX(leases) FROM questions")[0] == (2, 2)
    cyd = someone(desk, "cyd")
    assert "with others" in desk.nothing(cyd)
    desk.give_back(someone(desk, "ada"), pages[0].page_id if pages[0] else "")
    assert desk.next_page(cyd) is not None, "what came back may be lent again at once"


def test_threads_of_two_desks_never_share_beyond_what_is_allowed(world: pictus.Project) -> None:
    put_questions(world, 150, wanted=2)
    desks = [desk_of(world), desk_of(world)]
    people = [someone(desks[0], f"p{number}") for number in range(8)]
    taken: list[tuple[str, str]] = []
    failures: list[BaseException] = []

    def work(number: int) -> None:
        desk, person = desks[number % 2], people[number]
        try:
            held: list[str] = []
            for _ in range(2):
                page = desk.next_page(person, except_pages=held)
                if page:
                    held.append(page.page_id)
                    taken.extend((person.name, name) for name in pictures_of(desk, page, person))
        except BaseException as error:  # noqa: BLE001  told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert max(Counter(name for _, name in taken).values()) <= 2
    assert max(Counter(taken).values()) == 1, "nobody got the same question twice"
    assert len(taken) == 300, "and all that may be lent was"
    assert rows(world, "SELECT SUM(leases) FROM questions")[0][0] == 300


def test_what_was_answered_is_not_asked_again(world: pictus.Project) -> None:
    put_questions(world, 60, wanted=5)
    desk = desk_of(world)
    ada = someone(desk)
    first = desk.next_page(ada)
    seen = set(pictures_of(desk, first, ada))
    assert first is not None
    desk.submit(ada, first.page_id, 1, all_of(first), 60)
    second = desk.next_page(ada)
    assert len(pictures_of(desk, second, ada)) == 12
    assert not seen & set(pictures_of(desk, second, ada))


def test_a_page_that_was_lent_comes_again_until_it_is_excepted(
    birds: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_steps, "NEWCOMER", 4)  # as for somebody who handed in a few
    put_questions(birds, 120)
    put_questions(birds, 10, concept="wren", priority=0.5)
    desk = desk_of(birds)
    ada = someone(desk)
    first, again = desk.next_page(ada), desk.next_page(ada)
    assert first is not None
    assert again == first
    ahead = desk.next_page(ada, except_pages=[first.page_id])
    assert ahead is not None
    assert ahead.page_id != first.page_id
    wren = desk.next_page(ada, concept_id="wren")
    assert wren is not None
    assert wren.concept_id == "wren"
    assert desk.next_page(ada, kind="box") is None


def test_heaps_of_higher_priority_come_first_and_parked_ones_never(birds: pictus.Project) -> None:
    put_questions(birds, 5, concept="owl", priority=1)
    put_questions(birds, 5, concept="wren", priority=3)
    put_questions(birds, 5, concept="crow", priority=9)
    with birds.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE heaps SET state = 'parked' WHERE concept_id = 'crow'"))
    desk = desk_of(birds)
    page = desk.next_page(someone(desk))
    assert page is not None
    assert page.concept_id == "wren"


def test_only_who_may_is_asked(birds: pictus.Project) -> None:
    kind = "test-reviewed"
    if kind not in KINDS.names():
        KINDS.register(kind)(Kind(kind, ("good", "bad"), 5, 600, role="reviewer", accepts="good"))
    put_questions(birds, 5, kind=kind, wanted=1)
    desk = desk_of(birds)
    assert desk.next_page(someone(desk)) is None
    rita = someone(desk, "rita", "reviewer")
    page = desk.next_page(rita)
    assert page is not None
    given = [Given(item.position, "good" if item.position else "bad") for item in page.items]
    receipt = desk.submit(rita, page.page_id, 1, given, 9)
    assert receipt.decided == 5
    assert dict(rows(birds, "SELECT state, COUNT(*) FROM questions GROUP BY state")) == {"accepted": 4, "rejected": 1}
    assert birds.journal.vote_count() == 0, "its answers are no votes"


def test_known_answers_and_repeats_are_mixed_in_and_look_like_the_rest(world: pictus.Project) -> None:
    put_questions(world, 400, wanted=5, first=1000)
    known = set(put_questions(world, 30, known="yes", first=2000))
    desk = desk_of(world)
    ada = someone(desk)
    places: Counter[int] = Counter()
    seen: list[str] = []
    repeats = 0
    for number in range(6):
        page = desk.next_page(ada)
        assert page is not None
        names = pictures_of(desk, page, ada)
        assert len(names) == 48
        golds = [place for place, name in enumerate(names) if name in known]
        assert len(golds) == 4, "1 in 12"
        repeats += len(set(names) & set(seen) - known)
        assert not known & set(names) & set(seen), "each known answer once"
        assert number >= 3 or not set(names) & set(seen), "nothing is repeated before two pages lie between"
        places.update(golds)
        seen += names
        assert {str(item)[:30] for item in page.items} == {str(item)[:30] for item in page.items if item.fold == 0}
        desk.submit(ada, page.page_id, 1, all_of(page), 90)
    assert repeats == 6, "2 on each of the last three pages"
    assert len(places) > 12, "at random places"
    roles = dict(rows(world, "SELECT role, COUNT(*) FROM answers GROUP BY role"))
    assert roles == {"ask": 288 - 24 - 6, "gold": 24, "repeat": 6}
    assert world.journal.vote_count() == 288 - 6, "a repeat is no second vote"
    assert rows(world, "SELECT SUM(repeats), SUM(sames) FROM pages")[0] == (6, 6)


def test_near_duplicates_stand_together_and_high_scores_first(birds: pictus.Project) -> None:
    put_questions(birds, 90, fold=lambda n: f"f{n % 30}" if n < 60 else "", score=lambda n: n / 100)
    desk = desk_of(birds)
    page = desk.next_page(someone(desk))
    assert page is not None
    folds = [item.fold for item in page.items]
    for fold in set(folds) - {0}:
        at = [place for place, one in enumerate(folds) if one == fold]
        assert at == [at[0], at[0] + 1], "both of a pair, side by side"
    names = pictures_of(desk, page, someone(desk))
    number = {image_id(f"owl{one}"): one for one in range(90)}
    tops = [max(number[name] for name, one in zip(names, folds, strict=True) if one == fold) if fold else number[name]
            for name, fold in zip(names, folds, strict=True)]  # fmt: skip
    assert tops == sorted(tops, reverse=True)


def test_abandoned_pages_return_and_a_late_one_is_still_taken(world: pictus.Project) -> None:
    put_questions(world, 40, wanted=1)
    clock = Clock()
    desk = desk_of(world, clock)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    page = desk.next_page(ada)
    assert page is not None
    assert desk.next_page(bob) is None
    clock.wait(KINDS.get("grid").lease_s + 1)
    other = desk.next_page(bob)
    assert other is not None
    assert len(other.items) == 40
    assert rows(world, "SELECT MIN(leases), MAX(leases) FROM questions")[0] == (1, 1)
    assert rows(world, "SELECT state FROM pages WHERE annotator = 'ada'")[0][0] == "abandoned"
    receipt = desk.submit(ada, page.page_id, 1, all_of(page), 60)
    assert "came late" in receipt.note
    assert receipt.is_new
    assert rows(world, "SELECT MIN(leases), MAX(leases), MAX(votes) FROM questions")[0] == (1, 1, 1)
    assert desk.submit(bob, other.page_id, 1, all_of(other), 60).note == ""
    assert rows(world, "SELECT MIN(leases), MAX(leases), MAX(votes) FROM questions")[0] == (0, 0, 2)


def test_a_quota_ends_the_work_to_the_question(world: pictus.Project) -> None:
    put_questions(world, 100)
    desk = desk_of(world)
    ada = desk.person(desk.join(link(world, quota=50), "ada"))
    assert ada is not None
    first = desk.next_page(ada)
    second = desk.next_page(ada, except_pages=[first.page_id if first else ""])
    assert first is not None
    assert second is not None
    assert (len(first.items), len(second.items)) == (48, 2)
    assert desk.progress(ada).left == 0
    assert desk.next_page(ada, except_pages=[first.page_id, second.page_id]) is None
    assert "50 questions" in desk.nothing(ada)


def test_small_heaps_are_taken_and_the_rest_of_a_large_one_waits_for_what_comes_back(world: pictus.Project) -> None:
    put_questions(world, 60, concept="owl", priority=3, wanted=1)
    put_questions(world, 60, concept="wren", priority=2, wanted=1)
    put_questions(world, 5, concept="crow", priority=9, wanted=1)
    desk = desk_of(world)
    concepts = []
    for who in ("ada", "bob", "cyd", "dan", "eve", "fay"):
        page = desk.next_page(someone(desk, who))
        concepts.append((page.concept_id, len(page.items)) if page else None)
    assert concepts == [("crow", 5), ("owl", 48), ("wren", 48), ("owl", 12), ("wren", 12), None]


def test_of_two_pages_handed_in_within_a_second_the_later_one_is_undone_first(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_steps, "NEWCOMER", 4)  # as for somebody who handed in a few
    put_questions(world, 48 * 4)
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    lent: list[str] = []
    for _ in range(4):
        page = desk.next_page(ada, except_pages=lent)
        assert page is not None
        lent.append(page.page_id)
        clock.wait(2)
    order = [lent[2], lent[0], lent[3], lent[1]]
    for page_id in order:
        desk.submit(ada, page_id, 1, all_of(desk.page(ada, page_id)), 1)
    assert [page.page_id for page in desk.done(ada, 3)] == order[:0:-1]


def test_a_heap_without_anything_for_somebody_is_searched_again_by_the_desks_own_clock(birds: pictus.Project) -> None:
    """Not by the machine's: played at any speed, the same people are lent the same pages."""
    put_questions(birds, 1)
    clock = Clock()
    desk = desk_of(birds, clock)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    desk.submit(ada, page.page_id, 1, all_of(page), 5)
    assert desk.next_page(ada) is None
    put_questions(birds, 4, first=10)  # by whom this desk does not know
    clock.wait(4)
    assert desk.next_page(ada) is None
    clock.wait(1)
    assert desk.next_page(ada) is not None


def test_what_the_rule_learns_from_is_asked_first_and_of_ten_people(world: pictus.Project) -> None:
    put_questions(world, 150)
    desk = desk_of(world, rule="dynamic", stops=Stops())
    subset = set(desk._bench.tally.first("owl"))
    assert len(subset) == 8
    for number in range(10):
        person = someone(desk, f"person {number}")
        page = desk.next_page(person)
        assert page is not None
        found = rows(world, "SELECT question_id FROM page_items WHERE page_id = :page", page=page.page_id)
        assert subset <= {row.question_id for row in found}
        desk.submit(person, page.page_id, 1, all_of(page), 60)
    assert desk._bench.tally.first("owl") == ()
    assert {row.state for row in rows(world, "SELECT state FROM questions WHERE votes = 10")} == {"accepted"}


def test_who_gives_pages_back_is_mixed_in_the_same_known_answers_again(birds: pictus.Project) -> None:
    put_questions(birds, 100)
    put_questions(birds, 40, known="yes", first=1000)
    desk = desk_of(birds, seed=0)
    ada = someone(desk)
    seen = set()
    for _ in range(6):
        page = desk.next_page(ada)
        assert page is not None
        query = "SELECT question_id FROM page_items WHERE page_id = :page AND role = 'gold'"
        golds = rows(birds, query, page=page.page_id)
        seen.add(frozenset(row.question_id for row in golds))
        desk.give_back(ada, page.page_id)
    assert [len(one) for one in seen] == [4]


def test_a_page_that_came_back_is_not_taken_over_the_quota(birds: pictus.Project) -> None:
    put_questions(birds, 100)
    clock = Clock()
    desk = desk_of(birds, clock)
    ada = desk.person(desk.join(link(birds, quota=48), "ada"))
    assert ada is not None
    lent: list[Page] = []
    for _ in range(3):
        page = desk.next_page(ada, except_pages=[one.page_id for one in lent])
        assert page is not None
        lent.append(page)
        if len(lent) == 1:
            desk.give_back(ada, page.page_id)
        else:
            clock.wait(3600)
            desk.next_page(someone(desk, "bob"))  # what is overdue is taken back
    with pytest.raises(UserError, match="You gave this page back"):
        desk.submit(ada, lent[0].page_id, 1, all_of(lent[0]), 60)
    lent = lent[1:]
    desk.submit(ada, lent[0].page_id, 1, all_of(lent[0]), 60)
    with pytest.raises(UserError, match="came back unanswered before, and of your 48 questions 0 are left"):
        desk.submit(ada, lent[1].page_id, 1, all_of(lent[1]), 60)
    assert desk.submit(ada, lent[0].page_id, 2, all_of(lent[0], "no"), 60).is_new


def test_a_page_of_an_audit_asks_about_several_concepts_each_answered_as_its_own(world: pictus.Project) -> None:
    for concept in ("owl", "wren", "crow"):
        put_questions(world, 2, concept=concept, kind="audit", wanted=1, priority=20)
    put_questions(world, 3)
    desk = desk_of(world)
    rex, eve = someone(desk, "rex", "reviewer"), someone(desk, "eve", "reviewer")
    page = desk.next_page(rex)
    assert page is not None
    assert (page.kind, page.concept_id) == ("audit", ""), "an audit is above all else"
    assert [item.concept_id for item in page.items] == ["crow", "crow", "owl", "owl", "wren", "wren"]
    assert desk.next_page(eve, kind="audit") is None, "they are with another"
    again = desk.page(rex, page.page_id)
    assert again.items == page.items
    desk.submit(rex, page.page_id, 1, all_of(page, "best"), 60)
    answered = rows(world, "SELECT concept_id, image_id FROM answers ORDER BY position")
    asked = {(row.concept_id, row.image_id) for row in rows(world, "SELECT * FROM questions WHERE kind = 'audit'")}
    assert {tuple(row) for row in answered} == asked
    assert {row.state for row in rows(world, "SELECT state FROM questions WHERE kind = 'audit'")} == {"accepted"}
    heaps = rows(world, "SELECT concept_id, waiting FROM heaps WHERE kind = 'audit' ORDER BY concept_id")
    assert [tuple(row) for row in heaps] == [("crow", 0), ("owl", 0), ("wren", 0)]


def test_one_concept_of_an_audit_can_be_asked_for_alone(world: pictus.Project) -> None:
    for concept in ("owl", "wren"):
        put_questions(world, 2, concept=concept, kind="audit", wanted=1)
    desk = desk_of(world)
    page = desk.next_page(someone(desk, "rex", "reviewer"), kind="audit", concept_id="wren")
    assert page is not None
    assert page.concept_id == "wren"
    assert len(page.items) == 2


def test_an_expert_who_knows_the_first_concepts_of_an_audit_is_asked_about_the_others(world: pictus.Project) -> None:
    for number in range(8):
        put_questions(world, 12, concept=f"c{number}", kind="audit", wanted=2, priority=20)
    desk = desk_of(world)
    rex = someone(desk, "rex", "reviewer")
    seen: set[str] = set()
    for _ in range(9):
        page = desk.next_page(rex, kind="audit")
        if page is None:
            break
        seen |= {item.concept_id for item in page.items}
        desk.submit(rex, page.page_id, 1, all_of(page, "best"), 60)
    assert len(seen) == 8
    assert rows(world, "SELECT count(*) AS n FROM answers")[0].n == 96


def test_what_is_free_is_read_in_the_order_of_the_index_and_no_further_than_needed(world: pictus.Project) -> None:
    """Sorting what a heap holds took half a second of each page where it held 100,000."""
    put_questions(world, 400)
    desk = desk_of(world)
    ada = someone(desk, "ada")
    engine = world.journal.engine
    told: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, given: object, *_more: object) -> None:
        if "q.leases = 0" in statement:
            told.append((statement, given))

    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    sa.event.listen(engine, "before_cursor_execute", note)
    assert desk.next_page(ada, kind="grid")
    sa.event.remove(engine, "before_cursor_execute", note)
    (statement, given), explain = told[-1], "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    with engine.connect() as connection:
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, given))  # type: ignore[arg-type]
    assert "questions_next" in plan
    assert "Sort" not in plan, plan
    assert "ORDER BY" not in plan, plan
