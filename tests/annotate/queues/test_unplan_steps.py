"""Questions are taken out of the queue, and put back by a plan that means them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.annotate.desks import all_of, desk_of, put_questions, rows, someone

import pictus
from pictus.annotate.queues.audit_steps import audit
from pictus.annotate.queues.plan_steps import plan
from pictus.annotate.queues.unplan_steps import unplan
from pictus.records import Label
from pictus.tables import table_of

Fill = Callable[..., dict[str, str]]


def waiting(project: pictus.Project) -> dict[str, int]:
    found = rows(project, "SELECT concept_id, waiting FROM heaps ORDER BY kind, concept_id")
    return {row.concept_id: row.waiting for row in found}


def test_a_concept_is_taken_out_until_a_plan_names_it(project: pictus.Project, fill: Fill) -> None:
    fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl", "wren/1.jpg": "wren"})
    plan(project)
    outcome = unplan(project, concept=("owl",))
    assert outcome.summary["taken_out"] == 2
    assert outcome.headline.startswith("2 questions taken out; 1 still waits; what was answered stays")
    assert "plan --concept owl puts" in outcome.headline
    assert waiting(project) == {"owl": 0, "wren": 1}
    assert plan(project).summary["waiting"] == 1, "a plan about everything leaves them out"
    again = plan(project, concept=("owl",))
    assert (again.summary["put_back"], again.summary["waiting"], again.summary["added"]) == (2, 2, 0)
    assert "2 put back" in again.headline
    assert waiting(project) == {"owl": 2, "wren": 1}
    assert {row.reason[:8] for row in rows(project, "SELECT reason FROM questions")} == {"starving"}


def test_a_whole_kind_is_taken_out_until_it_is_planned_again(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "wren/1.jpg": "wren"})
    labels = [Label(ids["owl/1.jpg"], "owl", 0.99, 3, "accepted", "one-coin", "")]
    project.tables.replace("labels", table_of("labels", labels))
    plan(project)
    told = plan(project, kind="points").problems[0]
    assert told.startswith("no skeleton is chosen for 1 concept (owl), so each annotator picks one: ")
    assert told.endswith("pictus annotate skeleton NAME --concept owl")
    assert unplan(project, kind="points").summary["kinds"] == {"points": 1}
    assert rows(project, "SELECT count(*) AS n FROM questions WHERE kind = 'grid' AND state = 'open'")[0].n == 2
    assert plan(project).summary["put_back"] == 0
    assert plan(project, kind="points").summary["put_back"] == 1


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_held_and_what_was_answered_stays(world: pictus.Project, order: int) -> None:
    put_questions(world, 60)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    page = desk.next_page(ada)
    assert page is not None
    if order > 0:
        desk.submit(ada, page.page_id, 1, all_of(page), 60)
    outcome = unplan(world, concept=("owl",))
    n_held = 0 if order > 0 else 48
    assert outcome.summary["held"] == n_held
    assert outcome.summary["taken_out"] == 60 - n_held
    assert bool(outcome.problems) == bool(n_held)
    assert outcome.summary["held_by"] == (["ada"] if n_held else [])
    assert not n_held or "48 questions that ada holds now" in outcome.problems[0]
    assert desk.next_page(bob, kind="grid", concept_id="owl") is None or order < 0
    if order < 0:
        desk.submit(ada, page.page_id, 1, all_of(page), 60)
    assert world.journal.votes().num_rows == 48


def test_an_audit_that_was_taken_out_is_asked_when_it_is_drawn_again(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl"})
    labels = [Label(ids["owl/1.jpg"], "owl", 0.99, 3, "accepted", "one-coin", "")]
    project.tables.replace("labels", table_of("labels", labels))
    audit(project, "draw")
    assert unplan(project, kind="audit").summary["taken_out"] == 1
    assert waiting(project) == {"owl": 0}
    audit(project, "draw")
    assert waiting(project) == {"owl": 1}


def test_what_to_take_out_must_be_said(project: pictus.Project, fill: Fill) -> None:
    fill(project, {"owl/1.jpg": "owl"})
    with pytest.raises(pictus.UserError, match="Say what to take out"):
        unplan(project)
    with pytest.raises(pictus.UserError, match="boxx"):
        unplan(project, kind="boxx")
