"""Rows written at once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.annotate.desks import put_questions, rows

import pictus
from pictus.annotate.desk.bulk_steps import insert_rows, update_rows

VOTE = tuple((name, "text") for name in ("image_id", "annotator", "question", "answer", "source", "voted_at"))


def test_rows_come_back_as_they_were_whatever_stands_in_them(world: pictus.Project) -> None:
    texts = ("'; --", "🦉", "%s ?", "")
    odd = [(f"p{number}", text, "{a,b}", "NULL", 'x"y', "\\N") for number, text in enumerate(texts)]
    with world.journal.transaction() as connection:
        insert_rows(connection, "votes", VOTE, odd)
        insert_rows(connection, "votes", VOTE, [*odd, ("new", *odd[0][1:])], skips_known=True)
        insert_rows(connection, "votes", VOTE, [])
    found = rows(world, "SELECT image_id, annotator, question, answer, source, voted_at FROM votes ORDER BY vote_id")
    assert found == [*odd, ("new", *odd[0][1:])]
    with pytest.raises(sa.exc.IntegrityError), world.journal.transaction() as connection:
        insert_rows(connection, "votes", VOTE, [("other", *odd[0][1:]), odd[0]])
    assert rows(world, "SELECT COUNT(*) FROM votes") == [(5,)], "all or nothing"


def test_only_the_rows_that_are_named_change(world: pictus.Project) -> None:
    put_questions(world, 4)
    columns = (("question_id", "bigint"), ("state", "text"), ("posterior", "float8"))
    with world.journal.transaction() as connection:
        update_rows(connection, "questions", columns, [(3, "accepted", 0.97), (1, "rejected", 0.02), (99, "open", 0.5)])
        update_rows(connection, "questions", columns, [])
    found = rows(world, "SELECT question_id, state, posterior FROM questions ORDER BY question_id")
    assert found == [(1, "rejected", 0.02), (2, "open", 0.5), (3, "accepted", 0.97), (4, "open", 0.5)]
