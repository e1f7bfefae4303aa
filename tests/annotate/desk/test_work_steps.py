"""Who is paused and why, what follows, and what is asked no more."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.annotate.desks import UNHURRIED, Clock, all_of, desk_of, link, pictures_of, put_questions, rows, someone

import pictus
from pictus import annotate
from pictus.annotate.desk import lease_steps
from pictus.annotate.desk.conduct import Limits
from pictus.annotate.desk.desk_steps import Stops
from pictus.annotate.desk.people import hashed
from pictus.annotate.desk.work_steps import Waiting
from pictus.annotate.tasks import Given
from pictus.errors import UserError


def test_who_is_surely_wrong_is_paused_may_appeal_and_go_on(world: pictus.Project) -> None:
    put_questions(world, 300, wanted=3)
    put_questions(world, 40, known="yes", first=2000)
    put_questions(world, 40, known="no", first=3000)
    clock = Clock()
    desk = desk_of(world, clock, stops=Stops(most=5))
    eve, bob = someone(desk, "eve"), someone(desk, "bob")
    ahead = desk.next_page(bob)
    assert ahead is not None
    paused = ""
    for number in range(7):
        page = desk.next_page(eve)
        assert page is not None, number
        given = [Given(item.position, "yes" if item.position % 2 else "no") for item in page.items]
        known = dict(rows(world, "SELECT image_id, known FROM questions WHERE known <> ''"))
        for place, name in enumerate(pictures_of(desk, page, eve)):
            if name in known:
                given[place] = Given(place, "no" if known[name] == "yes" else "yes")
        clock.wait(200)
        receipt = desk.submit(eve, page.page_id, 1, given, 120)
        paused = receipt.paused
        if paused:
            break
    assert "0 of 12 pictures whose answer is known" in paused
    assert desk.next_page(eve) is None
    assert desk.nothing(eve).startswith("You are paused: 0 of 12")
    asked_again = rows(world, "SELECT COUNT(*) FROM questions WHERE state = 'open' AND votes = 0 AND wanted >= 5")
    assert asked_again[0][0] > 125, "what only she answered needs as many votes as before"
    desk.submit(bob, ahead.page_id, 1, all_of(ahead), 60)
    desk.appeal(eve, "I misread the gloss <b>")
    with pytest.raises(UserError, match="1 to 2,000"):
        desk.appeal(eve, "x" * 3000)
    assert [event.data["text"] for event in world.journal.events(event="appeal_made")] == ["I misread the gloss <b>"]
    from pictus.annotate import pause, people

    shown = people(world)
    assert shown.summary["paused"] == ["eve"]
    assert any("asks to go on" in problem for problem in shown.problems)
    assert pause(world, "eve", resume=True).summary == {"name": "eve", "state": "active", "changed": True}
    clock.at = "2099-01-01T00:00:00Z"
    page = desk.next_page(eve)
    assert page is not None
    assert desk.submit(eve, page.page_id, 1, all_of(page, "no"), 60).paused == "", "judged anew"


def test_who_is_paused_no_longer_counts_in_the_rule(birds: pictus.Project) -> None:
    put_questions(birds, 5, wanted=2)
    clock = Clock()
    desk = desk_of(birds, clock, stops=Stops(most=2))
    eve = someone(desk, "eve")
    page = desk.next_page(eve)
    assert page is not None
    desk.submit(eve, page.page_id, 1, all_of(page, "no"), 60)
    pictus.annotate.pause(birds, "eve", reason="please read the gloss")
    clock.wait(2)
    for who, decided in (("ada", 0), ("bob", 5)):
        person = someone(desk, who)
        page = desk.next_page(person)
        assert page is not None
        assert desk.submit(person, page.page_id, 1, all_of(page), 60).decided == decided
    assert {state for (state,) in rows(birds, "SELECT state FROM questions")} == {"accepted"}
    fresh = desk_of(birds, clock, stops=Stops(most=2))
    assert fresh.progress(eve).pages == 1, "what she did is kept"


def test_much_too_fast_is_paused_with_the_reason_in_words(birds: pictus.Project) -> None:
    put_questions(birds, 200, wanted=3)
    clock = Clock()
    desk = desk_of(birds, clock, limits=Limits())
    bot = someone(desk, "bot")
    paused = []
    for _ in range(3):
        page = desk.next_page(bot)
        assert page is not None
        clock.wait(3)
        given = [Given(item.position, "yes" if item.position % 3 else "no") for item in page.items]
        paused.append(desk.submit(bot, page.page_id, 1, given, 500).paused)
    assert paused[:2] == ["", ""]
    assert "too fast" in paused[2], "whatever the browser says it took"


def test_always_the_same_is_paused_where_known_answers_differ(birds: pictus.Project) -> None:
    put_questions(birds, 400, wanted=3)
    put_questions(birds, 40, known="yes", first=2000)
    put_questions(birds, 40, known="no", first=3000)
    desk = desk_of(birds, limits=UNHURRIED)
    bot = someone(desk, "bot")
    paused = [desk.submit(bot, page.page_id, 1, all_of(page, "no"), 60).paused
              for page in (desk.next_page(bot) for _ in range(3)) if page]  # fmt: skip
    assert paused[:2] == ["", ""]
    assert "answered 'no', whatever was on the pictures" in paused[2]


def test_two_people_who_call_a_concept_unpicturable_park_it(world: pictus.Project) -> None:
    put_questions(world, 60)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    with pytest.raises(UserError, match="Only who was asked"):
        desk.unpicturable(ada, "owl")
    for person in (ada, bob):
        page = desk.next_page(person)
        assert page is not None
        desk.give_back(person, page.page_id)
    desk.unpicturable(ada, "owl")
    desk.unpicturable(ada, "owl")
    assert desk.next_page(ada) is None, "who says so is not asked about it any more"
    with world.journal.reading() as connection:
        heap = lease_steps.Heap("grid", "owl", 1.0, "", 60)
        assert [lease_steps.has_page(connection, heap, name) for name in ("ada", "bob")] == [False, True]
    assert desk.next_page(bob) is not None
    desk.unpicturable(bob, "owl")
    assert desk.next_page(someone(desk, "cyd")) is None
    assert rows(world, "SELECT state, reason FROM heaps") == [("parked", "2 people say that it cannot be pictured")]
    assert rows(world, "SELECT COUNT(*) FROM answers WHERE kind = 'unpicturable'") == [(2,)]
    assert pictus.annotate.reopen(world, "owl").summary == {"concept_id": "owl", "heaps": 1}
    assert pictus.annotate.reopen(world, "owl").headline == "owl was not put aside"
    assert desk.next_page(someone(desk, "cyd")) is not None
    assert desk_of(world, Clock()).next_page(ada) is not None, "it was opened again"
    with pytest.raises(UserError, match="no-such"):
        desk.unpicturable(ada, "no-such")


def test_the_quiz_comes_before_and_is_passed_once(world: pictus.Project) -> None:
    desk = desk_of(world)
    ada = someone(desk)
    quiz = desk.quiz(ada, "owl")
    assert quiz is not None
    assert {"a nocturnal bird of prey", "a small brown songbird"} <= set(quiz.choices)
    right = quiz.choices.index("a nocturnal bird of prey")
    wrong = (right + 1) % len(quiz.choices)
    assert desk.answer_quiz(ada, "owl", wrong) is False
    assert desk.quiz(ada, "owl") == quiz, "it may be tried again"
    assert desk.answer_quiz(ada, "owl", right) is True
    assert desk.quiz(ada, "owl") is None
    assert desk_of(world).quiz(ada, "owl") is None, "whichever server is asked"
    assert desk.quiz(ada, "crow") is None, "it has no gloss"
    tries = rows(world, "SELECT answer FROM answers WHERE kind = 'quiz' ORDER BY answer_id")
    assert tries == [(str(wrong),), (str(right),)]
    with pytest.raises(UserError, match="choices 0 to"):
        desk.answer_quiz(ada, "owl", 9)


def test_quizzes_of_concepts_that_are_none_fill_no_memory(birds: pictus.Project) -> None:
    desk = desk_of(birds)
    ada = someone(desk)
    for number in range(20):
        assert desk.quiz(ada, f"no such {number}") is None
        assert desk.answer_quiz(ada, f"no such {number}", 0)
    assert desk._passed == set()


def test_progress_tells_time_and_what_is_left(birds: pictus.Project) -> None:
    put_questions(birds, 96)
    clock = Clock()
    desk = desk_of(birds, clock)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    assert desk.progress(ada).left_s == 0, "nothing is known of the pace yet"
    clock.wait(3000)
    receipt = desk.submit(ada, page.page_id, 1, all_of(page), 2900)
    assert receipt.progress.seconds == 600, "what is longer than ten minutes was a pause"
    assert receipt.progress.waiting == 100
    assert receipt.progress.left == -1
    assert receipt.progress.left_s == 0, "what waits is for all: how long that takes is the owner's to read"
    with birds.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE annotators SET quota = 88"))
    again = desk.person(desk.kiosk("ada"))
    assert again is not None
    assert desk.progress(again).left_s == pytest.approx(40 * 600 / 48)


def test_a_no_to_a_group_answers_what_is_below_until_it_is_taken_back(world: pictus.Project) -> None:
    names = put_questions(world, 5, concept="bird", wanted=1, priority=5)
    with world.journal.transaction() as connection:
        for name in names:
            connection.execute(
                sa.text(
                    "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes,"
                    " leases, wanted, posterior, score, fold, known) VALUES ('grid', 'owl', :image, 0, 'open', 1, '',"
                    " 0, 0, 1, 0.5, 0, '', '')"
                ),
                {"image": name},
            )
        connection.execute(sa.text("INSERT INTO heaps VALUES ('grid', 'owl', 'open', 1, '', 5)"))
    desk = desk_of(world, stops=Stops(most=1))
    ada = someone(desk)
    page = desk.next_page(ada, concept_id="bird")
    assert page is not None
    given = [Given(item.position, "yes" if item.position < 2 else "no") for item in page.items]
    assert desk.submit(ada, page.page_id, 1, given, 60).decided == 5
    states = dict(rows(world, "SELECT state, COUNT(*) FROM questions WHERE concept_id = 'owl' GROUP BY state"))
    assert states == {"open": 2, "parked": 3}
    heaps = dict(rows(world, "SELECT concept_id, waiting FROM heaps"))
    assert (heaps["bird"], heaps["owl"], heaps["wren"], heaps["crow"]) == (0, 2, 2, 2), "a yes opens what is below"
    desk.submit(ada, page.page_id, 2, all_of(page, "yes"), 20)
    states = dict(rows(world, "SELECT state, COUNT(*) FROM questions WHERE concept_id = 'owl' GROUP BY state"))
    assert states == {"open": 5}
    heaps = dict(rows(world, "SELECT concept_id, waiting FROM heaps"))
    assert (heaps["owl"], heaps["wren"]) == (5, 5)


def test_what_only_paused_people_decided_is_asked_again(world: pictus.Project) -> None:
    put_questions(world, 20)
    desk = desk_of(world)
    for name in ("ada", "bob", "cyd"):
        person = someone(desk, name)
        page = desk.next_page(person)
        assert page is not None
        desk.submit(person, page.page_id, 1, all_of(page, "no"), 60)
    states = "SELECT state, COUNT(*) AS many FROM questions GROUP BY state"
    waiting = "SELECT waiting FROM heaps"
    assert [tuple(row) for row in rows(world, states)] == [("rejected", 20)]
    annotate.pause(world, "ada", reason="copied")
    clock = Clock()
    again = desk_of(world, clock)  # another server, opened since
    assert [tuple(row) for row in rows(world, states)] == [("open", 20)]
    assert rows(world, waiting)[0].waiting == 20
    dora = someone(again, "dora")
    page = again.next_page(dora)
    assert page is not None
    assert len(page.items) == 20
    again.submit(dora, page.page_id, 1, all_of(page, "no"), 60)
    assert [tuple(row) for row in rows(world, states)] == [("rejected", 20)]
    annotate.pause(world, "dora", reason="copied too")
    clock.wait(2)
    page = again.next_page(someone(again, "eve"))  # a server that runs notices within a second
    assert page is not None
    assert len(page.items) == 20


def test_accuracy_is_told_of_pages_that_cannot_be_corrected_any_more_and_round(world: pictus.Project) -> None:
    put_questions(world, 700)
    put_questions(world, 100, known="yes", first=1000)
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    pages = []
    for _ in range(13):
        assert desk.progress(ada).skill is None
        page = desk.next_page(ada)
        assert page is not None
        clock.wait(60)
        desk.submit(ada, page.page_id, 1, all_of(page), 50)
        pages.append(page)
    assert desk.progress(ada).skill == (1.0, 0.4, 1.0), "4 of 4: 0.398 to 1, in twentieths"
    with pytest.raises(UserError, match="Too many pages of yours followed"):
        desk.submit(ada, pages[0].page_id, 2, all_of(pages[0], "no"), 50)
    assert desk.submit(ada, pages[1].page_id, 2, all_of(pages[1], "no"), 50).is_new


def test_a_quiz_is_not_tried_without_end(world: pictus.Project) -> None:
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    quiz = desk.quiz(ada, "owl")
    assert quiz is not None
    wrong = (quiz.choices.index("a nocturnal bird of prey") + 1) % len(quiz.choices)
    for _ in range(60):
        desk.answer_quiz(ada, "owl", wrong)
    with pytest.raises(UserError, match="60 times within an hour"):
        desk.answer_quiz(ada, "owl", wrong)
    clock.wait(3601)
    assert desk.answer_quiz(ada, "owl", wrong) is False


def test_only_the_yes_no_questions_are_put_aside_and_few_concepts_a_day(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_questions(world, 20)
    put_questions(world, 20, concept="wren")
    put_questions(world, 20, kind="box")
    monkeypatch.setattr("pictus.annotate.desk.work_steps.MOST_A_DAY", 1)
    clock = Clock()
    desk = desk_of(world, clock)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    for person in (ada, bob):
        for concept in ("owl", "wren"):
            assert desk.next_page(person, kind="grid", concept_id=concept) is not None
        desk.unpicturable(person, "owl")
        with pytest.raises(UserError, match="1 concepts today"):
            desk.unpicturable(person, "wren")
    states = {(row.kind, row.concept_id): row.state for row in rows(world, "SELECT kind, concept_id, state FROM heaps")}
    assert states == {("grid", "owl"): "parked", ("grid", "wren"): "open", ("box", "owl"): "open"}
    clock.wait(86_401)
    desk.unpicturable(ada, "wren")


def test_people_shows_who_came_by_which_link(world: pictus.Project) -> None:
    token = link(world, uses=2)
    desk = desk_of(world)
    for name in ("ada", "bob"):
        desk.join(token, name)
    someone(desk, "cyd")
    name = hashed(token)[:12]
    assert {one.name: one.link for one in annotate.people(world)} == {"ada": name, "bob": name, "cyd": "kiosk"}


def test_pages_are_not_given_back_without_end(world: pictus.Project) -> None:
    put_questions(world, 48 * 23)
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    left: list[str] = []
    for _ in range(20):
        page = desk.next_page(ada, except_pages=left)
        assert page is not None
        desk.give_back(ada, page.page_id)
        left.append(page.page_id)
    page = desk.next_page(ada, except_pages=left)
    assert page is not None
    with pytest.raises(UserError, match="gave back 20 pages within an hour"):
        desk.give_back(ada, page.page_id)
    clock.wait(3601)
    page = desk.next_page(ada)
    assert page is not None
    desk.give_back(ada, page.page_id)


def test_what_waits_is_told_in_tens_and_not_anew_at_every_answer(birds: pictus.Project) -> None:
    put_questions(birds, 96)
    moments = iter([0.0, 0.0, 299.0, 301.0, 301.0])
    waiting = Waiting(lambda: next(moments))
    kinds = ["grid"]
    with birds.journal.transaction() as connection:
        assert waiting.of(connection, kinds) == 100
        connection.execute(sa.text("UPDATE heaps SET waiting = 81"))
        assert waiting.of(connection, kinds) == 100
        assert waiting.of(connection, kinds) == 90
        assert waiting.of(connection, []) == 0
