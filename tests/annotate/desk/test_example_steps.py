"""Example pictures that an owner chose."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.annotate.conftest import image_id
from tests.annotate.desks import put_questions, rows

import pictus
from pictus import annotate
from pictus.annotate.desk.example_steps import MOST
from pictus.errors import UserError


def test_an_example_is_listed_parked_and_told_and_comes_free_when_it_is_removed(world: pictus.Project) -> None:
    birds = world
    one, two, three = put_questions(birds, 3)
    done = annotate.examples(birds, "owl", (two, one))
    assert [(row.image_id, row.name, row.hidden) for row in done] == [(two, "owl", ""), (one, "owl", "")]
    assert done.summary["changed"] == 2
    assert annotate.examples(birds, "owl", (one,)).summary["changed"] == 0, "once is enough"
    state = "SELECT image_id, state, reason FROM questions ORDER BY question_id"
    assert [tuple(row) for row in rows(birds, state)] == [
        (one, "parked", "shown as an example"), (two, "parked", "shown as an example"), (three, "open", ""),
    ]  # fmt: skip
    assert rows(birds, "SELECT waiting FROM heaps")[0].waiting == 1
    assert birds.journal.events(event="examples_chosen")[0].data["images"] == [two, one]
    annotate.examples(birds, "owl", (two,), remove=True)
    assert [row.image_id for row in annotate.examples(birds)] == [one]
    assert [row.state for row in rows(birds, state)] == ["parked", "open", "open"]
    assert rows(birds, "SELECT waiting FROM heaps")[0].waiting == 2
    assert birds.journal.events(event="examples_removed")[0].data["images"] == [two]
    with pytest.raises(UserError, match="no example of owl"):
        annotate.examples(birds, "owl", (two,), remove=True)


def test_what_was_never_asked_is_kept_out_of_plans_until_it_is_removed(world: pictus.Project) -> None:
    birds = world
    picture = image_id("owl3")
    annotate.examples(birds, "owl", (picture,))
    assert rows(birds, "SELECT state FROM questions")[0].state == "parked"
    annotate.examples(birds, "owl", (picture,), remove=True)
    assert rows(birds, "SELECT state FROM questions") == []


def test_a_question_that_is_decided_stays_so(birds: pictus.Project) -> None:
    [picture] = put_questions(birds, 1)
    rows_before = "UPDATE questions SET state = 'accepted', posterior = 0.9 RETURNING state"
    assert rows(birds, rows_before)
    annotate.examples(birds, "owl", (picture,))
    annotate.examples(birds, "owl", (picture,), remove=True)
    assert rows(birds, "SELECT state FROM questions")[0].state == "accepted"


def test_known_answers_dropped_pictures_and_too_many_are_refused_whole(birds: pictus.Project) -> None:
    known, *names = put_questions(birds, MOST + 2)
    rows(birds, "UPDATE questions SET known = 'no' WHERE image_id = :known RETURNING 1", known=known)
    with pytest.raises(UserError, match="is a known answer"):
        annotate.examples(birds, "owl", (names[0], known))
    with pytest.raises(UserError, match=f"{MOST + 1} examples are more than {MOST}"):
        annotate.examples(birds, "owl", tuple(names))
    with pytest.raises(UserError, match="Which examples"):
        annotate.examples(birds, "owl", remove=True)
    assert list(annotate.examples(birds)) == []
    assert rows(birds, "SELECT 1 FROM examples") == []


def test_a_plan_leaves_examples_alone(tmp_path: Path) -> None:
    from tests.web.desk.conftest import make_project

    project = make_project(tmp_path, 2, 4)
    pictures = project.tables.read("sources", ["image_id"], where="concept_id = 'c00'").column(0).to_pylist()
    annotate.examples(project, "c00", tuple(pictures[:2]))
    waiting = annotate.plan(project).summary["waiting"]
    assert waiting == 6
    assert annotate.plan(project, concept=("c00",)).summary["waiting"] == 2
