"""The rule sees every answer once, on every server, whatever happens."""

from __future__ import annotations

from typing import Any

import pytest
from tests.annotate.desks import Clock, all_of, desk_of, put_questions, someone

import pictus
from pictus.annotate import pause
from pictus.annotate.desk.desk_steps import Desk, Stops
from pictus.annotate.stops.stopping import RULES, Cast, Decision
from pictus.annotate.tasks import OPEN

Seen = dict[tuple[int, str], list[str]]


class Recorder:
    """Never decides; keeps what it is told."""

    def __init__(self, _stops: Stops) -> None:
        self.seen: Seen = {}
        self.expected: dict[int, float] = {}

    def expect(self, question: int, _concept_id: str, score: float) -> None:
        self.expected[question] = score

    def add(self, cast: Cast) -> Decision:
        self.seen.setdefault((cast.question, cast.annotator), []).append(cast.answer)
        return self.decision(cast.question)

    def decision(self, _question: int) -> Decision:
        return Decision(OPEN, 0.5, 3, "")

    def forget(self, annotator: str) -> tuple[int, ...]:
        gone = [key for key in self.seen if key[1] == annotator]
        for key in gone:
            del self.seen[key]
        return tuple(question for question, _ in gone)


@pytest.fixture(autouse=True)
def recording() -> None:
    if "test-recorder" not in RULES.names():
        RULES.register("test-recorder")(Recorder)


def recorder(desk: Desk) -> Recorder:
    found: Any = desk._bench.tally._rule
    assert isinstance(found, Recorder)
    return found


def work(desk: Desk, who: str, answer: str = "yes") -> str:
    person = someone(desk, who)
    page = desk.next_page(person)
    assert page is not None
    desk.submit(person, page.page_id, 1, all_of(page, answer), 60)
    return page.page_id


def test_what_other_servers_took_in_comes_within_a_second_and_once(world: pictus.Project) -> None:
    put_questions(world, 20, wanted=9, score=lambda number: number / 20)
    clock = Clock()
    desks = [desk_of(world, clock, rule="test-recorder") for _ in range(2)]
    assert recorder(desks[0]).expected[20] == pytest.approx(19 / 20)
    work(desks[0], "ada")
    work(desks[0], "bob")
    put_questions(world, 5, first=100)
    clock.wait(1)
    work(desks[1], "cyd")
    clock.wait(1)
    work(desks[1], "dan")
    assert {who for _, who in recorder(desks[1]).seen} == {"ada", "bob", "cyd", "dan"}
    # On the questions of a page they were read while it was taken in, else by page: never as another answer.
    assert {tuple(set(answers)) for answers in recorder(desks[1]).seen.values()} == {("yes",)}
    assert len(recorder(desks[1]).expected) == 25, "questions that came since are expected"
    fresh = recorder(desk_of(world, clock, rule="test-recorder"))
    assert fresh.seen.keys() == recorder(desks[1]).seen.keys()
    assert all(len(answers) == 1 for answers in fresh.seen.values())


def test_a_correction_comes_after_what_it_corrects(world: pictus.Project) -> None:
    put_questions(world, 20, wanted=9)
    clock = Clock()
    desks = [desk_of(world, clock, rule="test-recorder") for _ in range(2)]
    page_id = work(desks[0], "ada")
    clock.wait(1)
    work(desks[1], "bob")
    ada = someone(desks[0], "ada")
    desks[0].submit(ada, page_id, 2, all_of(desks[0].page(ada, page_id), "no"), 20)
    for _ in range(5):
        clock.wait(1)
        work(desks[1], f"p{clock.at[-3:-1]}")
    lasts = {answers[-1] for (_, who), answers in recorder(desks[1]).seen.items() if who == "ada"}
    assert lasts == {"no"}


def test_a_pause_said_elsewhere_is_heard_and_so_is_its_end(birds: pictus.Project) -> None:
    put_questions(birds, 20, wanted=9)
    clock = Clock()
    desk = desk_of(birds, clock, rule="test-recorder")
    work(desk, "eve")
    pause(birds, "eve", reason="wrong concept")
    clock.wait(1)
    work(desk, "ada")
    assert {who for _, who in recorder(desk).seen} == {"ada"}
    assert {who for _, who in recorder(desk_of(birds, clock, rule="test-recorder")).seen} == {"ada"}
    pause(birds, "eve", resume=True)
    clock.wait(1)
    work(desk, "bob")
    assert {who for _, who in recorder(desk).seen} == {"ada", "bob", "eve"}


def test_of_a_known_answer_the_rule_learns_the_first(world: pictus.Project) -> None:
    put_questions(world, 40, wanted=9)
    put_questions(world, 10, known="yes", first=2000)
    desk = desk_of(world, rule="test-recorder")
    page_id = work(desk, "ada", "no")
    ada = someone(desk, "ada")
    desk.submit(ada, page_id, 2, all_of(desk.page(ada, page_id), "yes"), 20)
    query = "SELECT question_id FROM answers WHERE role = 'gold' AND revision = 1"
    with world.journal.reading() as connection:
        golds = {int(row[0]) for row in connection.exec_driver_sql(query)}
    assert golds
    for one in (desk, desk_of(world, rule="test-recorder")):
        seen = {question: answers for (question, _), answers in recorder(one).seen.items()}
        assert {tuple(seen[question]) for question in golds} == {("no",)}
        assert {answers[-1] for question, answers in seen.items() if question not in golds} == {"yes"}
