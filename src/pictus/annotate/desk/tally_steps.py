"""A stopping rule that has seen every answer there is: those of before, this desk's, and other servers'.

The rule lives in memory. What decides one question is exact whoever else writes: its votes are read from the
database while its row is locked. What a rule learns of people and concepts from other servers comes within a second.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.session_steps import paused_names
from pictus.annotate.stops import dynamic, online, thrifty
from pictus.annotate.stops.stopping import RULES, Cast, Decision, Learns, Stops
from pictus.annotate.tasks import KINDS, OPEN

__all__ = ["Tally", "dynamic", "online", "thrifty"]  # the rules register themselves, here and nowhere else

OVERLAP = 3
"""Calls of `follow` whose answers are looked for again: PostgreSQL's numbers come in another order than commits."""

_CASTS = (
    "SELECT question_id, concept_id, annotator, answer, known FROM answers"
    " WHERE (role = 'ask' OR (role = 'gold' AND revision = 1)) AND kind IN :kinds"
)
"""Of known answers the first one counts: what is corrected after others were seen says nothing of skill."""


class Tally:
    """Answers in, decisions out. Its lock is held while the rule works and reads what it lacks, never over a commit."""

    def __init__(self, rule: str, stops: Stops) -> None:
        self.lock = threading.RLock()
        self._rule = RULES.get(rule)(stops)
        self._kinds = [name for name in KINDS.names() if KINDS.get(name).votes]
        self._fed: set[tuple[str, int]] = set()  # pages with their revision
        self._paused: frozenset[str] = frozenset()
        self._uncommitted: set[tuple[str, int]] = set()
        self._doubtful: set[str] = set()  # whose latest cast may not have been stored
        self._last_question = 0
        self._lows = [0]  # the highest answer_id at the last calls of `follow`, oldest first
        self._followed_at = ""
        self._loose: set[int] = set()  # questions that votes now forgotten had a part in

    def load(self, connection: sa.Connection) -> int:
        """Take in all that was answered -> how many answers. A million take seconds, so once, at the start."""
        with self.lock:
            self._paused = paused_names(connection)
            highest = connection.execute(sa.text("SELECT COALESCE(MAX(answer_id), 0) FROM answers")).scalar_one()
            pages = connection.execute(sa.text("SELECT page_id, revision FROM pages WHERE revision > 0"))
            self._fed = {(page_id, number) for page_id, last in pages for number in range(1, last + 1)}
            self._expect(connection)
            rows = self._execute(connection, _CASTS + " ORDER BY answer_id", {}, streams=True)
            count = 0
            for row in rows:
                if row[2] not in self._paused:
                    self._rule.add(Cast(*row))
                    count += 1
            self._lows = [int(highest)]
            for name in sorted(self._paused):
                query = "SELECT DISTINCT question_id FROM answers WHERE annotator = :me AND role = 'ask'"
                asked = self._execute(connection, query + " AND kind IN :kinds", {"me": name})
                self._loose.update(asked.scalars())  # of other kinds the rule knows nothing, and would open them all
            return count

    def follow(self, connection: sa.Connection, at: str) -> None:
        """Take in what other servers wrote, who was paused since, and mend what was lost; at most once a second."""
        with self.lock:
            if at == self._followed_at:
                return
            self._followed_at = at
            paused = paused_names(connection)
            for name in paused - self._paused:
                self._loose.update(self._rule.forget(name))
            again = (self._paused - paused) | self._doubtful
            self._paused = paused
            for name in sorted(again - paused):
                self._read_again(connection, name)
            self._doubtful = set()
            self._expect(connection)
            # No word of the kind here and below: SQLite would take an index on it and read a million rows.
            query = "SELECT answer_id, page_id, revision, kind FROM answers WHERE answer_id > :low AND position = 0"
            rows = connection.execute(sa.text(query + " ORDER BY answer_id"), {"low": self._lows[0]}).all()
            for _, page_id, revision, kind in rows:
                if kind in self._kinds and (page_id, revision) not in self._fed:
                    self._feed_page(connection, page_id, revision)
            self._lows.append(max([self._lows[-1], *(int(row[0]) for row in rows)]))
            keeps = OVERLAP if connection.dialect.name == "postgresql" else 1  # SQLite commits one after the other
            del self._lows[:-keeps]

    def decide(
        self, connection: sa.Connection, page: tuple[str, int], casts: Sequence[Cast], *, counts: bool
    ) -> list[Decision]:  # fmt: skip
        """What holds of each question with its new vote. Their rows are locked; who cast them is one person.

        counts: False for somebody who is paused.
        """
        with self.lock:
            me = casts[0].annotator if casts else ""
            self._catch_up([cast.question for cast in casts if not cast.known], me, connection)
            self._fed.add(page)
            self._uncommitted.add(page)
            if me in self._paused or not counts:
                return [self._rule.decision(cast.question) for cast in casts]
            return [self._rule.add(cast) for cast in casts]

    def expect(self, questions: Iterable[tuple[int, str, float]]) -> None:
        """Questions that may be asked from now on: number, concept, the model's P(yes) or 0."""
        with self.lock:
            for question, concept_id, score in questions:
                self._rule.expect(question, concept_id, score)

    @property
    def people(self) -> int:
        """How many people the rule needs to learn from; 0 for one that learns from whoever is there."""
        return self._rule.people if isinstance(self._rule, Learns) else 0

    def first(self, concept_id: str) -> tuple[int, ...]:
        """Questions that the rule wants asked before the others of their heap."""
        if not isinstance(self._rule, Learns):
            return ()
        with self.lock:
            return self._rule.first(concept_id)

    def wanted(self, question: int) -> int:
        """Votes that a new question is expected to take."""
        with self.lock:
            return max(1, self._rule.decision(question).wanted)

    def confidence(self, concept_id: str, most: int = 3) -> list[tuple[int, int, float]]:
        """The rule's table for people to look at, where it has one: yes, no, P(it shows it), up to `most` votes."""
        with self.lock:
            table = getattr(self._rule, "table", None)
            return [(cell.yes, cell.no, float(cell.good)) for cell in table(concept_id, most)] if table else []

    def forget(self, name: str) -> None:
        """Votes of somebody who was paused."""
        with self.lock:
            if name not in self._paused:
                self._paused |= {name}
                self._loose.update(self._rule.forget(name))

    def loose(self) -> dict[int, Decision]:
        """Questions that would be open without the votes of people who were paused, each told once."""
        with self.lock:
            found = {question: self._rule.decision(question) for question in sorted(self._loose)}
            self._loose = set()
            return {question: decision for question, decision in found.items() if decision.state == OPEN}

    def loosen(self, questions: Iterable[int]) -> None:
        """Tell of these again: what was told of them could not be written down."""
        with self.lock:
            self._loose.update(questions)

    def sure(self, page: tuple[str, int]) -> None:
        """The transaction with the votes of this page was committed."""
        with self.lock:
            self._uncommitted.discard(page)

    def doubt(self, name: str, page: tuple[str, int]) -> None:
        """A transaction of this person failed: if the rule has seen votes of it, it reads all of theirs again."""
        with self.lock:
            if page in self._uncommitted:
                self._uncommitted.discard(page)
                self._doubtful.add(name)
                self._fed.discard(page)
                self._followed_at = ""

    def _expect(self, connection: sa.Connection) -> None:
        query = "SELECT question_id, concept_id, score, kind FROM questions WHERE question_id > :last"
        streams = {"stream_results": True, "yield_per": 20_000}
        rows = connection.execute(
            sa.text(query + " ORDER BY question_id").execution_options(**streams), {"last": self._last_question}
        )
        for question, concept_id, score, kind in rows:
            if kind in self._kinds:
                self._rule.expect(question, concept_id, score)
            self._last_question = question

    def _catch_up(self, questions: list[int], me: str, connection: sa.Connection) -> None:
        """Votes of others on these questions that have not come to this rule yet."""
        if not questions:
            return
        query = (
            "SELECT question_id, concept_id, annotator, answer, known, page_id, revision FROM answers"
            " WHERE question_id IN :ids AND annotator <> :me AND role = 'ask' ORDER BY answer_id"
        )
        for *cast, page_id, revision in told(connection, query, {"ids": sorted(questions), "me": me}):
            if (page_id, revision) not in self._fed and cast[2] not in self._paused:
                self._rule.add(Cast(*cast))

    def _feed_page(self, connection: sa.Connection, page_id: str, revision: int) -> None:
        query = _CASTS + " AND page_id = :page AND revision = :revision ORDER BY position"
        for row in self._execute(connection, query, {"page": page_id, "revision": revision}):
            if row[2] not in self._paused:
                self._rule.add(Cast(*row))
        self._fed.add((page_id, revision))

    def _read_again(self, connection: sa.Connection, name: str) -> None:
        self._rule.forget(name)
        for row in self._execute(connection, _CASTS + " AND annotator = :me ORDER BY answer_id", {"me": name}):
            self._rule.add(Cast(*row))

    def _execute(
        self, connection: sa.Connection, statement: str, given: Mapping[str, Any], *, streams: bool = False
    ) -> Any:  # noqa: ANN401  rows of as many columns as the statement says
        query = sa.text(statement).bindparams(sa.bindparam("kinds", expanding=True))
        options = {"stream_results": True, "yield_per": 20_000} if streams else {}
        return connection.execute(query.execution_options(**options), {**given, "kinds": self._kinds})
