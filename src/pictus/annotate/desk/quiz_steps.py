"""The definition quiz in the database: what was chosen is kept among the answers, of kind "quiz"."""

from __future__ import annotations

import secrets
from typing import NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.moments import HOUR_S, later
from pictus.errors import UserError

QUIZ = "quiz"
MOST_TRIES = 60
"""Of one person in an hour, over all concepts: what anybody may write is bounded. A concept takes a minute or two."""


class Said(NamedTuple):
    """One try."""

    name: str
    concept_id: str
    choice: int
    right: int


def is_passed(connection: sa.Connection, name: str, concept_id: str) -> bool:
    """Whether this person has chosen right before."""
    query = "SELECT 1 FROM answers WHERE annotator = :me AND kind = 'quiz' AND concept_id = :concept AND answer = known"
    return told(connection, query, {"me": name, "concept": concept_id}).first() is not None


def keep(connection: sa.Connection, said: Said, at: str) -> None:
    """Write one try down; UserError after MOST_TRIES within an hour."""
    query = "SELECT COUNT(*) FROM answers WHERE annotator = :me AND kind = 'quiz' AND answered_at > :since"
    tries = connection.execute(sa.text(query), {"me": said.name, "since": later(at, -HOUR_S)}).scalar_one()
    if tries >= MOST_TRIES:
        raise UserError(f"You chose {tries} times within an hour.", fix="read the definition, and come back later")
    keep_remark(connection, said.name, (QUIZ, said.concept_id), (str(said.choice), str(said.right)), at)


def keep_remark(
    connection: sa.Connection, name: str, about: tuple[str, str], said: tuple[str, str], at: str
) -> None:
    """An answer that is about no picture. about: kind, concept; said: the answer, and what is known."""
    connection.execute(
        sa.text(
            "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id, role,"
            " known, annotator, answer, data, seconds, answered_at) VALUES (:page, 1, 0, 0, :kind, :concept, '', 0,"
            " :kind, :known, :me, :answer, '{}', 0, :at)"
        ),
        {"page": f"{about[0]}:{secrets.token_urlsafe(16)}", "kind": about[0], "concept": about[1], "answer": said[0],
         "known": said[1], "me": name, "at": at},
    )  # fmt: skip
