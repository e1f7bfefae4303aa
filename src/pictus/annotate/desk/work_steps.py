"""What a person has done so far, and what comes of it: quota, progress, pauses, remarks on a concept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.conduct import Limits, Worked, reason_to_pause
from pictus.annotate.desk.moments import DAY_S, HOUR_S, later
from pictus.annotate.desk.people import LINK_SIGNS, Worker
from pictus.annotate.desk.quiz_steps import keep_remark
from pictus.annotate.desk.session_steps import note, pause
from pictus.annotate.tasks import Person, Progress
from pictus.errors import UserError
from pictus.stats import clopper_pearson

UNPICTURABLE = "unpicturable"
ENOUGH = 2
"""People who must say that a concept cannot be pictured."""
MOST_A_DAY = 5
"""Concepts that one person may say this of."""

UNCALLED = (
    " AND (SELECT 1 FROM answers u WHERE u.annotator = :me AND u.kind = 'unpicturable' AND u.concept_id IN :concepts"
    " AND u.answered_at > (SELECT COALESCE(MAX(at), '') FROM events WHERE subject = u.concept_id"
    " AND event = 'concept_reopened') LIMIT 1) IS NULL"
)
"""Questions about `concepts` go to nobody (`me`) who says that it cannot be pictured, until it is opened again."""

MOST_GIVEN_BACK = 20
"""Pages of one person within HOUR_S. Leaving the desk gives back two or three; many more are a search for what stays.
"""

OPEN_PAGES = 12
"""A page can be corrected until so many others of the same person followed it; undo reaches as far."""

WAITING_S = 300.0

MOST_SIGNS = 2_000
MOST_APPEALS = 10
"""Of one person, that wait for the owner: what anybody may write is bounded."""


def quota_left(connection: sa.Connection, person: Person) -> int:
    """Questions this person may still be lent; -1 for no limit. Pages in their hands count."""
    if not person.quota:
        return -1
    query = sa.text(
        "SELECT COALESCE(SUM(items), 0) FROM pages WHERE annotator = :me AND state IN ('leased', 'submitted')"
    )
    return max(0, person.quota - int(connection.execute(query, {"me": person.name}).scalar_one()))


_CLOSED = (
    "SELECT submitted_at FROM pages WHERE annotator = :me AND state = 'submitted'"
    " ORDER BY submitted_at DESC LIMIT 1 OFFSET :most"
)


def closed_before(connection: sa.Connection, name: str) -> str:
    """Pages that this person handed in before this moment stay as they are; "" while there are none."""
    return str(told(connection, _CLOSED, {"me": name, "most": OPEN_PAGES - 1}).scalar() or "")


def check_given_back(connection: sa.Connection, name: str, at: str) -> None:
    """UserError for who gave back too many pages: what comes back again would tell the known answers in the end."""
    query = "SELECT COUNT(*) FROM pages WHERE annotator = :me AND state = 'returned' AND leased_at > :since"
    count = connection.execute(sa.text(query), {"me": name, "since": later(at, -HOUR_S)}).scalar_one()
    if count >= MOST_GIVEN_BACK:
        what = f"You gave back {count} pages within an hour."
        raise UserError(what, fix="answer this one, or leave it: in a while others have it")


class Waiting:
    """How many questions are open, in whole tens and up to WAITING_S old. An exact number would change with every
    picture that is corrected, and so tell what others said of it. `clock`: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, ...], tuple[float, int]] = {}

    def of(self, connection: sa.Connection, kinds: Sequence[str]) -> int:
        """Open questions of these kinds, tens rounded up."""
        until, count = self._counts.get(tuple(kinds), (float("-inf"), 0))
        if kinds and until < self._clock():
            query = "SELECT COALESCE(SUM(waiting), 0) FROM heaps WHERE state = 'open' AND kind IN :kinds"
            count = -int(told(connection, query, {"kinds": list(kinds)}).scalar_one()) // 10 * -10
            self._counts[tuple(kinds)] = self._clock() + WAITING_S, count
        return count


def progress(connection: sa.Connection, person: Person, waiting_now: int) -> Progress:
    """One person's work; of the pages as they were handed in last.

    `skill` is of pages that can no longer be corrected, and round: one changed answer must not tell whether it was
    a known one, and which.
    """
    query = (
        "SELECT COUNT(*), COALESCE(SUM(fresh), 0), COALESCE(SUM(seconds), 0),"  # noqa: S608  our words
        " COALESCE(SUM(CASE WHEN submitted_at < c.closed THEN golds ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN submitted_at < c.closed THEN rights ELSE 0 END), 0)"
        f" FROM pages CROSS JOIN (SELECT COALESCE(({_CLOSED}), '') AS closed) c"
        " WHERE annotator = :me AND state = 'submitted'"
    )
    pages, questions, seconds, golds, rights = told(
        connection, query, {"me": person.name, "most": OPEN_PAGES - 1}
    ).one()
    left = quota_left(connection, person)
    share = clopper_pearson(int(rights), int(golds)) if golds else None
    return Progress(
        pages=int(pages), questions=int(questions), seconds=float(seconds), left=left, waiting=waiting_now,
        skill=(_twentieth(share.estimate), _twentieth(share.low), _twentieth(share.high)) if share else None,
        left_s=left * float(seconds) / int(questions) if questions and left > 0 else 0.0,
    )  # fmt: skip


def _twentieth(share: float) -> float:
    return round(20 * share) / 20


def judged(connection: sa.Connection, name: str, limits: Limits, at: str) -> str:
    """Pause somebody whose work gives a reason to -> the reason; "" for none."""
    query = (
        "SELECT p.items, p.seconds, p.only_answer, p.knowns, p.golds, p.rights, p.unsures FROM annotators a"
        " JOIN pages p ON p.annotator = a.name AND p.state = 'submitted' AND p.leased_at > a.resumed_at"
        " WHERE a.name = :me AND a.state = 'active' ORDER BY p.leased_at DESC, p.page_id LIMIT :most"
    )
    last = told(connection, query, {"me": name, "most": max(limits.latest, limits.pages)})
    reason = reason_to_pause([Worked(*row) for row in last], limits)
    if reason:
        pause(connection, name, reason, at)
    return reason


def appeal(connection: sa.Connection, person: Person, text: str, at: str) -> None:
    """Keep what somebody has to say to the owner."""
    said = "".join(sign for sign in text if sign.isprintable() or sign == "\n").strip()
    if not 1 <= len(said) <= MOST_SIGNS:
        what = f"What you write to the owner has 1 to {MOST_SIGNS:,} signs; this has {len(said):,}."
        raise UserError(what, fix="write it shorter" if said else "write a sentence")
    count = connection.execute(
        sa.text("SELECT COUNT(*) FROM events WHERE subject = :me AND event = 'appeal_made'"), {"me": person.name}
    ).scalar_one()
    if count >= MOST_APPEALS:
        raise UserError(f"You have written {count} times already.", fix="wait for the owner to read it")
    note(connection, at, "appeal_made", person.name, text=said, paused_for=person.reason)


def unpicturable(connection: sa.Connection, name: str, concept_id: str, at: str) -> None:
    """Keep that somebody says so; where enough say so, its yes/no questions are parked."""
    asked = "SELECT 1 FROM pages p JOIN annotators a ON a.name = p.annotator WHERE p.annotator = :me"
    asked += " AND p.concept_id = :concept AND p.kind = 'grid' AND a.state = 'active' LIMIT 1"
    if connection.execute(sa.text(asked), {"me": name, "concept": concept_id}).first() is None:
        raise UserError("Only who was asked about a concept can say that it cannot be pictured.")
    said = set(
        connection.execute(
            sa.text(
                "SELECT DISTINCT annotator FROM answers WHERE kind = 'unpicturable' AND concept_id = :concept"
                " AND annotator IN (SELECT name FROM annotators WHERE state = 'active')"
                " AND answered_at > (SELECT COALESCE(MAX(at), '') FROM events WHERE subject = :concept"
                " AND event = 'concept_reopened')"
            ),
            {"concept": concept_id},
        ).scalars()
    )
    if name in said:
        return
    today = "SELECT COUNT(*) FROM answers WHERE annotator = :me AND kind = 'unpicturable' AND answered_at > :since"
    count = connection.execute(sa.text(today), {"me": name, "since": later(at, -DAY_S)}).scalar_one()
    if count >= MOST_A_DAY:
        raise UserError(f"You said so of {count} concepts today.", fix="write to the owner about this one")
    keep_remark(connection, name, (UNPICTURABLE, concept_id), ("yes", ""), at)
    note(connection, at, "concept_called_unpicturable", concept_id, by=name)
    if len(said | {name}) >= ENOUGH:
        reason = f"{len(said | {name})} people say that it cannot be pictured"
        connection.execute(
            sa.text(
                "UPDATE heaps SET state = 'parked', reason = :reason WHERE concept_id = :concept AND kind = 'grid'"
            ),
            {"reason": reason, "concept": concept_id},
        )
        note(connection, at, "concept_parked", concept_id, reason=reason)


def reopen(connection: sa.Connection, concept_id: str, at: str) -> int:
    """Ask about a concept again whose heaps were parked -> how many were; who called it so must say so anew."""
    done = connection.execute(
        sa.text(
            "UPDATE heaps SET state = 'open', reason = 'opened again' WHERE concept_id = :concept AND state = 'parked'"
        ),
        {"concept": concept_id},
    )
    if done.rowcount:
        note(connection, at, "concept_reopened", concept_id)
    return int(done.rowcount)


def workers(connection: sa.Connection) -> list[Worker]:
    """Everybody who ever came in, and what they did, by name."""
    query = sa.text(
        "SELECT a.name, a.role, a.state, COUNT(p.page_id), COALESCE(SUM(p.fresh), 0), COALESCE(SUM(p.seconds), 0),"
        " COALESCE(SUM(p.golds), 0), COALESCE(SUM(p.rights), 0), COALESCE(SUM(p.repeats), 0),"
        " COALESCE(SUM(p.sames), 0), a.reason, a.invitation FROM annotators a LEFT JOIN pages p"
        " ON p.annotator = a.name AND p.state = 'submitted' GROUP BY a.name, a.role, a.state, a.reason, a.invitation"
        " ORDER BY a.name"
    )
    found, lines = [], connection.execute(query)
    for name, role, state, pages, items, seconds, golds, rights, repeats, sames, reason, link in lines:
        share = clopper_pearson(int(rights), int(golds)) if golds else None
        found.append(Worker(
            name, role, state, int(pages), int(items), float(seconds), share and share.estimate, share and share.low,
            share and share.high, int(sames) / int(repeats) if repeats else None, reason,
            link[:LINK_SIGNS],
        ))  # fmt: skip
    return found
