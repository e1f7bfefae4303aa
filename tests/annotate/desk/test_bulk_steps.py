"""Rows written at once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.annotate.desks import put_questions, rows

import pictus
from pictus.annotate.desk.bulk_steps import insert_rows, told, update_rows

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


def test_a_value_of_a_statement_may_be_a_list(world: pictus.Project) -> None:
    put_questions(world, 5)
    query = "SELECT question_id FROM questions WHERE question_id IN :ids AND question_id NOT IN :mine AND kind IN :any"
    with world.journal.reading() as connection:
        given = {"ids": [1, 3, 5, 99], "mine": (3, 4), "any": ["grid", "'"]}
        assert set(told(connection, query, given).scalars()) == {1, 5}
        assert told(connection, query, given | {"ids": [2, 3]}).scalars().all() == [2], "the values are those of now"


def test_columns_alike_in_all_rows_are_there_in_each(world: pictus.Project) -> None:
    same = [(f"p{number}", "ada", "owl", "yes", "s", "now") for number in range(3)]
    with world.journal.transaction() as connection:
        insert_rows(connection, "votes", VOTE, same)
        insert_rows(connection, "votes", VOTE, [("only", "ada", "owl", "yes", "s", "now")])
    found = rows(world, "SELECT image_id, annotator, question, answer, source, voted_at FROM votes ORDER BY image_id")
    assert found == [("only", *same[0][1:]), *same]
