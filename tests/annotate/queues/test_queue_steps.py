"""`annotate queue`: what is asked next, how long it takes and what it costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.annotate.desks import Clock, all_of, claimed, desk_of, put_questions, someone

import pictus
from pictus.annotate.desk.people_steps import people
from pictus.annotate.queues import queue_steps
from pictus.annotate.queues.plan_steps import plan
from pictus.annotate.queues.queue_steps import Waiting, _together, queue

Fill = Callable[..., dict[str, str]]


def test_the_queue_says_what_is_next_and_how_long_it_will_take(world: pictus.Project) -> None:
    claimed(world)
    plan(world)
    before = next(iter(queue(world)))
    assert (before.waiting, before.votes, before.expected, before.hours) == (6, 0, 18, None)
    assert before.reason == "starving: 0 accepted so far; 6 that nobody has looked at"
    clock = Clock()
    desk = desk_of(world, clock)
    for name in ("ada", "bob", "cyd"):
        person = someone(desk, name)
        page = desk.next_page(person)
        assert page is not None
        clock.wait(60)
        desk.submit(person, page.page_id, 1, all_of(page), 30.0)
    after = queue(world)
    heap = next(iter(after))
    assert (heap.votes, heap.decided, heap.waiting) == (18, 6, 0)
    assert after.summary["expected"] == 0


def test_hours_are_at_the_median_pace_of_the_kind(world: pictus.Project) -> None:
    claimed(world)
    plan(world)
    clock = Clock()
    desk = desk_of(world, clock)
    person = someone(desk)
    page = desk.next_page(person)
    assert page is not None
    clock.wait(60)
    desk.submit(person, page.page_id, 1, all_of(page), 36.0)  # 6 s each; 12 more are expected
    heap = next(iter(queue(world)))
    assert heap.expected == 12
    assert heap.hours == pytest.approx(12 * 6 / 3600, abs=1e-3)
    assert queue(world, kind="box").summary["waiting"] == 0


def test_an_empty_queue_says_what_to_type(project: pictus.Project, fill: Fill) -> None:
    with pytest.raises(pictus.UserError, match="no pictures"):
        queue(project)
    fill(project, {"owl/1.jpg": "owl"})
    assert queue(project).next == ("pictus annotate plan",)


def test_what_is_asked_on_pages_of_several_concepts_is_one_line() -> None:
    def heap(kind: str, concept: str, waiting: int) -> Waiting:
        return Waiting(kind, concept, concept, "open", waiting, 20.0, "r", 0, 0, waiting, None, 0)

    rows = [heap("audit", "owl", 1), heap("grid", "owl", 4), heap("audit", "wren", 2), heap("box", "owl", 3)]
    told = [(one.kind, one.name, one.waiting) for one in _together(rows)]
    assert told == [("audit", "2 concepts", 3), ("grid", "owl", 4), ("box", "owl", 3)]


def test_the_queue_and_people_tell_the_time_that_is_left_and_what_it_costs(world: pictus.Project) -> None:
    claimed(world)
    plan(world)
    assert "how long it takes is told once somebody has worked on it (grid)" in queue(world).headline
    clock = Clock()
    desk = desk_of(world, clock)
    for name, seconds in (("ada", 36.0), ("bob", 60.0)):
        person = someone(desk, name)
        page = desk.next_page(person)
        assert page is not None
        clock.wait(100)
        desk.submit(person, page.page_id, 1, all_of(page), seconds)
    told = queue(world, pay="15 EUR")  # 6 answers are expected, at the median of 6 and 10 s
    assert "about 48 seconds of work left (8.0 s an answer of grid, the median of 12 by 2 people)" in told.headline
    assert "at 15.00 EUR an hour about 0.20 EUR for the rest" in told.headline
    assert told.summary["cost"] == pytest.approx(0.2, abs=0.01)
    assert told.summary["pace"] == {"grid": {"seconds": 8.0, "answers": 12, "people": 2}}
    found = people(world, pay="15 EUR")
    assert "12 questions in 2 minutes, 0.40 EUR earned" in found.headline
    assert found.summary["cost_left"] == 0.2
    assert {one.name: one.earned for one in found} == {"ada": 0.15, "bob": 0.25}
    assert [one.earned for one in people(world)] == [None, None]
    with pytest.raises(pictus.UserError, match="--pay"):
        queue(world, pay="much")


def test_a_list_of_heaps_that_is_cut_says_so(world: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    put_questions(world, 2)
    put_questions(world, 1, kind="box")
    assert queue(world).summary["heaps"] == 2
    assert "more heap" not in queue(world).headline
    monkeypatch.setattr(queue_steps, "SHOWN", 1)
    assert queue(world).headline.splitlines()[-1] == "  … and 1 more heap: --most 2 lists them too"
    assert "more heap" not in queue(world, most=2).headline
    with pytest.raises(pictus.UserError, match="less than none"):
        queue(world, most=-1)
