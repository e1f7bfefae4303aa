"""Shapes on a page: which stand there, and how far the loop of a picture is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.annotate.desks import START

import pictus
from pictus.annotate.shapes import marks
from pictus.annotate.tasks import KINDS


@pytest.fixture
def drawn(world: pictus.Project) -> pictus.Project:
    """On one picture marks 1 (accepted), 2 (bad), 3 (of a model, open); on another mark 4 of another concept."""
    with world.journal.transaction() as connection:
        for number, (image, concept, who) in enumerate(
            [("p", "owl", "ada"), ("p", "owl", "bob"), ("p", "owl", "model:m"), ("q", "wren", "ada")], start=1
        ):
            connection.execute(
                sa.text(
                    "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
                    " VALUES ('box', :image, :concept, :who, '{\"box\": [0, 0, 9, 9]}', 's', :place, 0, :at)"
                ),
                {"image": image, "concept": concept, "who": who, "place": number, "at": START},
            )
        for kind, mark, state in (
            ("box-quality", 1, "accepted"), ("box-quality", 2, "rejected"), ("box-quality", 3, "open"),
            ("box", 2, "open"), ("grid", 0, "open"),
        ):  # fmt: skip
            connection.execute(
                sa.text(
                    "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes,"
                    " leases, wanted, posterior, score, fold, known) VALUES (:kind, 'owl', 'p', :mark, :state, 1, '',"
                    " 0, 0, 1, 0, 0, '', '')"
                ),
                {"kind": kind, "mark": mark, "state": state},
            )
    return world


def told(project: pictus.Project, kind: str, *asked: tuple[str, int]) -> list[list[tuple[int, str, str]]]:
    with project.journal.transaction() as connection:
        found = marks.shown(connection, KINDS.get(kind), "owl", asked)
    return [[(mark["mark_id"], mark["state"], mark["by"]) for mark in one] for one in found]


def test_each_kind_shows_what_it_is_about_and_what_was_accepted(drawn: pictus.Project) -> None:
    good, bad = (1, "accepted", "person"), (2, "rejected", "person")
    assert told(drawn, "box", ("p", 0)) == [[good]]
    assert told(drawn, "box", ("p", 2), ("q", 0)) == [[bad, good], []]
    assert told(drawn, "box", ("p", -1)) == [[good]], "one more beside mark 1"
    assert told(drawn, "box-quality", ("p", 3)) == [[(3, "open", "proposal")]]
    assert told(drawn, "box-coverage", ("p", 1)) == [[good]]
    assert told(drawn, "grid", ("p", 0)) == [[]]
    assert told(drawn, "box") == []


def test_how_far_the_loop_is_counts_its_own_questions_and_marks(drawn: pictus.Project) -> None:
    with drawn.journal.transaction() as connection:
        assert marks.standing(connection, KINDS.get("box"), "owl", "p") == (2, 3)
        assert marks.standing(connection, KINDS.get("mask"), "owl", "p") == (0, 0)
        assert marks.standing(connection, KINDS.get("box-coverage"), "wren", "q") == (0, 1)
    assert set(marks.loop_of(KINDS.get("box"))) == {"box", "box-quality", "box-coverage"}
    assert marks.loop_of(KINDS.get("grid")) == ("grid",)


def test_only_what_was_found_bad_is_replaced(drawn: pictus.Project) -> None:
    with drawn.journal.transaction() as connection:
        assert marks.rejected(connection, KINDS.get("box"), [1, 2, 3, 0, -1]) == {2}
        assert marks.rejected(connection, KINDS.get("mask"), [2]) == frozenset()
        assert marks.rejected(connection, KINDS.get("box"), []) == frozenset()
