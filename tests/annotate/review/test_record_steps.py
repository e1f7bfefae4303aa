"""One person's record: spans of time, shares with intervals, what happened to them."""

from __future__ import annotations

import math

import pytest
from tests.annotate.desks import Clock, all_of, desk_of, put_questions, someone

import pictus
from pictus.annotate import pause
from pictus.annotate.review.record_steps import BINS, Handed, everybody, record_of, spans
from pictus.errors import NotThereError


def handed(minute: int, golds: int = 0, rights: int = 0) -> Handed:
    return Handed(f"2026-01-01T{10 + minute // 60:02}:{minute % 60:02}:00Z", 48.0, 24, golds, rights, 0, 0)


def test_spans_hold_every_page_once_and_intervals_where_something_was_asked() -> None:
    found = spans([handed(minute, golds=2, rights=1) for minute in range(100)])
    assert len(found) == BINS
    assert sum(one.pages for one in found) == 100
    assert sum(one.n_known for one in found) == 200
    assert all(one.known.low < 0.5 < one.known.high for one in found if one.pages)
    assert {one.pace_s for one in found if one.pages} == {2.0}
    (alone,) = spans([handed(3)])
    assert (alone.pages, alone.n_known) == (1, 0)
    assert math.isnan(alone.known.estimate)
    assert spans([]) == []


def test_a_record_has_pages_known_answers_and_what_happened(world: pictus.Project) -> None:
    put_questions(world, 60)
    put_questions(world, 20, known="yes", first=2000)
    clock = Clock()
    desk = desk_of(world, clock)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    clock.wait(96)
    desk.submit(ada, page.page_id, 1, all_of(page), 96)
    pause(world, "ada", reason="a talk")
    found = record_of(world, "ada")
    assert (found.pages, found.pictures, found.pace_s) == (1, 48, 2.0)
    assert found.n_known > 0
    assert found.known.estimate == 1.0
    assert found.known.low < 1.0
    assert [event for _, event, _ in found.events] == ["person_joined", "person_paused"]
    assert found.events[-1][2] == "a talk"
    assert found.person.state == "paused"
    assert [one.name for one in everybody(world)] == ["ada"]
    with pytest.raises(NotThereError):
        record_of(world, "bob")
