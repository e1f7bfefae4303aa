"""Whose turn it is: how many pages one person may hold, who waits in vain, and what is left to those who wait.

A few names could otherwise hold all that is open, and give it back and take it again for ever. Every function works
in a transaction that the desk opened.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk import lease_steps
from pictus.annotate.desk.again_steps import Wish
from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.moments import later
from pictus.annotate.desk.session_steps import crowds
from pictus.annotate.tasks import ASK, KINDS

NEWCOMER = 2
"""Pages for who has not handed one in yet: the one on the screen, and the next."""

MOST_HELD = 8
"""Pages one person may have at once: what is prefetched in two windows. The questions of more would be out of reach."""

WAITS_S = 60
"""Who found nothing within it still waits: the desk's page looks again every 20 seconds."""

MOST_WAITING = 5
"""People that are looked at: what it costs stays small."""

MOST_LOOKED = 20
"""Pages of others that are looked at for one who waits."""


class Waiting(NamedTuple):
    """Somebody who holds nothing and was told that there is nothing. `kind`, `concept_id`: all they want, if not ""."""

    name: str
    role: str
    kind: str
    concept_id: str


def is_full(connection: sa.Connection, me: str, held: int) -> bool:
    """Whether somebody who holds so many pages gets no further one: two at first, one more for each handed in."""
    if held < NEWCOMER:
        return False
    query = "SELECT COUNT(*) FROM (SELECT 1 FROM pages WHERE annotator = :me AND state = 'submitted' LIMIT :most) AS p"
    done = connection.execute(sa.text(query), {"me": me, "most": MOST_HELD}).scalar_one()
    return held >= min(MOST_HELD, NEWCOMER + int(done))


def waits(connection: sa.Connection, me: str, wanted: tuple[str, str], at: str) -> None:
    """Write down that somebody who holds nothing found nothing. wanted: kind, concept; "" for any."""
    line = f"{at} {wanted[0]} {wanted[1]}"
    connection.execute(sa.text("UPDATE annotators SET waits = :waits WHERE name = :me"), {"waits": line, "me": me})


def waiting(connection: sa.Connection, me: str, at: str) -> list[Waiting]:
    """Others who wait, the latest who said so first."""
    query = (
        "SELECT a.name, a.role, a.waits FROM annotators a WHERE a.waits > :since AND a.name <> :me"
        " AND a.state = 'active' AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.annotator = a.name"
        " AND p.state = 'leased') ORDER BY a.waits DESC, a.name LIMIT :most"
    )
    rows = told(connection, query, {"since": later(at, -WAITS_S), "me": me, "most": MOST_WAITING})
    return [Waiting(row.name, row.role, *row.waits.split(" ", 2)[1:]) for row in rows]


class Held(NamedTuple):
    """A page in somebody's hands. `is_spare`: another one is, which they took before."""

    page_id: str
    kind: str
    concept_id: str
    name: str
    is_spare: bool


def spared(connection: sa.Connection, wish: Wish) -> tuple[str, str] | None:
    """Take a page back for somebody who waits, from people of a link that let several in, where they hold more than
    half of all that is lent -> its kind and concept; None where nothing is taken.

    One of two pages that somebody holds; their only one just where they came by another link than who waits, and never
    handed anything in. What they answer on it all the same is kept and counts.
    """
    rows = connection.execute(
        sa.text(
            "SELECT page_id, kind, concept_id, annotator, items FROM pages WHERE state = 'leased' AND expires_at >= :at"
            " ORDER BY leased_at, page_id"
        ),
        {"at": wish.at},
    ).all()
    link_of = crowds(connection, wish.at).link_of if rows else {}
    held: Counter[str] = Counter()
    for row in rows:
        held[link_of.get(row.annotator, "")] += row.items
    largest = max((link for link in held if link), key=lambda link: held[link], default="")
    if not largest or 2 * held[largest] <= held.total():
        return None
    begun: set[str] = set()
    pages = []
    for row in rows:
        if link_of.get(row.annotator) == largest and row.annotator != wish.me:
            pages.append(Held(row.page_id, row.kind, row.concept_id, row.annotator, row.annotator in begun))
            begun.add(row.annotator)
    others = link_of.get(wish.me) != largest
    looked = [one for one in pages if one.is_spare] + [one for one in pages if others and not one.is_spare]
    for one in looked[:MOST_LOOKED]:
        if (one.is_spare or _is_new(connection, one.name)) and _suits(connection, wish, one):
            lease_steps.release(connection, one.page_id, lease_steps.ABANDONED)
            return one.kind, one.concept_id
    return None


def _is_new(connection: sa.Connection, name: str) -> bool:
    query = "SELECT 1 FROM pages WHERE annotator = :me AND state = 'submitted' LIMIT 1"
    return told(connection, query, {"me": name}).first() is None


def _suits(connection: sa.Connection, wish: Wish, page: Held) -> bool:
    """Whether half of what a page asks, or more, could be asked of who waits."""
    is_asked_for = wish.kind in ("", page.kind) and wish.concept_id in ("", page.concept_id)
    if not is_asked_for or page.kind not in wish.kinds:
        return False
    items = [item for item in lease_steps.items_of(connection, page.page_id) if item.role == ASK]
    concepts = tuple(sorted({item.concept_id for item in items}))
    heap = lease_steps.Heap(page.kind, page.concept_id, 0.0, "", 0, together=concepts)
    asks = [item.question_id for item in items]
    found = lease_steps.open_among(connection, heap, wish.me, asks, were_lent=True) if asks else set()
    return bool(found) and 2 * len(found) >= len(asks)


def left_to_others(connection: sa.Connection, me: str, at: str) -> tuple[int, ...]:
    """Questions that are not lent to this person just now: they had them, gave them back or let their time run out
    less than a lease ago, and somebody who waits may have them. Mostly none, and who works alone loses nothing.

    What was mixed into the same pages rests with them: pictures that come back while others do not would be known.
    """
    others = waiting(connection, me, at)
    if not others:
        return ()
    longest = max(KINDS.get(name).lease_s for name in KINDS.names())
    query = sa.text(
        "SELECT p.page_id, p.kind, p.expires_at, i.question_id, i.role, q.concept_id FROM pages p"
        " JOIN page_items i ON i.page_id = p.page_id JOIN questions q ON q.question_id = i.question_id"
        " WHERE p.annotator = :me AND p.state IN ('returned', 'abandoned') AND p.expires_at > :since"
    )
    rows = connection.execute(query, {"me": me, "since": later(at, -longest)}).all()
    rows = [row for row in rows if later(row.expires_at, KINDS.get(row.kind).lease_s) > at]
    asked: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows:
        if row.role == ASK:
            asked[row.kind, row.concept_id].add(row.question_id)
    wanted: set[int] = set()
    for (kind, concept_id), questions in asked.items():
        for one in others:
            if one.kind in ("", kind) and one.concept_id in ("", concept_id):
                wanted |= _open_to(connection, (kind, concept_id), one, sorted(questions))
    pages = {row.page_id for row in rows if row.question_id in wanted}
    return tuple(sorted({row.question_id for row in rows if row.page_id in pages}))


def _open_to(
    connection: sa.Connection, which: tuple[str, str], one: Waiting, questions: Sequence[int]
) -> set[int]:  # fmt: skip
    if which[0] not in lease_steps.kinds_for(one.role):
        return set()
    heap = lease_steps.Heap(*which, 0.0, "", 0)
    return lease_steps.open_among(connection, heap, one.name, questions)
