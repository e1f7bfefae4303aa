"""A page that somebody did not hand in comes back to them whole, or nothing on it does.

Others go on answering what was asked on it. Came its pictures again on another page, those that both pages share would
be the known ones and the repeats: they alone wait for this one person. So a page keeps its items for good; what it
holds is on no other page of this person, and it is lent again as it was while at least half of it is still open, or
when nothing else is left for them. One on which a known answer is another by now is not lent again, and one on which
something is with as many people as it needs votes waits until they are done.

Kinds that people draw at mix nothing in, and are left alone. Every function works in a transaction that the desk
opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk import lease_steps
from pictus.annotate.desk.bulk_steps import told
from pictus.annotate.desk.moments import later
from pictus.annotate.tasks import ASK, GOLD, KINDS

LOOKED_BACK = 40
"""Pages of one person, the latest, of which one may be lent again: what a search costs stays small."""

KEPT_APART = 400
"""Pages of one person whose pictures come on no other: at 20 an hour it takes days and nights to leave more behind."""


class Asked(NamedTuple):
    """One item of a page."""

    question_id: int
    role: str
    concept_id: str
    is_as_it_was: bool  # what was known of it then is known still


class Wish(NamedTuple):
    """Who asks for a page, and which. `left`: questions of their quota, -1 for no limit."""

    me: str
    kind: str  # "" for any
    concept_id: str  # "" for any
    excepted: frozenset[str]  # pages that are not wanted
    kinds: tuple[str, ...]  # that people of their role may be asked
    left: int
    at: str


def taken_up(
    connection: sa.Connection, wish: Wish, not_now: Sequence[int], *, is_last: bool = False
) -> tuple[str, tuple[int, ...]]:
    """The latest page left behind that is wanted again, lent as it was: its id, else ""; and the questions of those
    that were not, which belong on no other page. not_now: questions that are left to others. is_last: there is nothing
    else for this person, so that one with anything open will do.
    """
    every = _left_behind(connection, wish.me)
    behind = every[:LOOKED_BACK]
    items = _items_of(connection, behind)
    for row in behind:
        own = items[row.page_id]
        is_asked_for = wish.kind in ("", row.kind) and wish.concept_id in ("", row.concept_id)
        may = is_asked_for and row.kind in wish.kinds and row.page_id not in wish.excepted
        fits = wish.left < 0 or row.items <= wish.left
        others = any(one.question_id in not_now or not one.is_as_it_was for one in own)
        is_wanted = may and fits and not others and _is_open(connection, wish, row, own, least=0 if is_last else 0.5)
        if is_wanted and _lend_again(connection, row, own, wish.at):
            return row.page_id, ()
    apart = set(lease_steps.questions_on(connection, [row.page_id for row in every[LOOKED_BACK:]]))
    return "", tuple(sorted(apart.union(one.question_id for own in items.values() for one in own)))


def _left_behind(connection: sa.Connection, me: str) -> list[Any]:
    """Pages that somebody was lent and did not hand in, the latest first: page_id, kind, concept_id, items."""
    query = (
        "SELECT page_id, kind, concept_id, items FROM pages WHERE annotator = :me AND state IN :states"
        " AND kind IN :kinds ORDER BY leased_at DESC, page_id LIMIT :most"
    )
    kinds = [name for name in KINDS.names() if not KINDS.get(name).draws]
    states = [lease_steps.RETURNED, lease_steps.ABANDONED]
    return list(told(connection, query, {"me": me, "states": states, "kinds": kinds, "most": KEPT_APART}))


def _items_of(connection: sa.Connection, pages: Iterable[Any]) -> dict[str, list[Asked]]:
    """What is on these pages, by page."""
    found: dict[str, list[Asked]] = {row.page_id: [] for row in pages}
    if found:
        query = (
            "SELECT i.page_id, i.question_id, i.role, i.known AS was, q.known, q.concept_id FROM page_items i"
            " JOIN questions q ON q.question_id = i.question_id WHERE i.page_id IN :pages ORDER BY i.question_id"
        )
        for row in told(connection, query, {"pages": list(found)}):
            is_as_it_was = row.role != GOLD or row.was == row.known
            found[row.page_id].append(Asked(row.question_id, row.role, row.concept_id, is_as_it_was))
    return found


def _is_open(
    connection: sa.Connection, wish: Wish, page: Any, items: Sequence[Asked], *, least: float  # noqa: ANN401  a row
) -> bool:  # fmt: skip
    """Whether more than nothing, and at least this share, of what the page asks could be lent to this person now, and
    nothing on it is with as many people as it still needs votes.
    """
    concepts = tuple(sorted({one.concept_id for one in items}))
    query = "SELECT 1 FROM heaps WHERE kind = :kind AND concept_id IN :concepts AND state <> 'open' LIMIT 1"
    if told(connection, query, {"kind": page.kind, "concepts": concepts}).first():
        return False
    asks = [one.question_id for one in items if one.role == ASK]
    heap = lease_steps.Heap(page.kind, page.concept_id, 0.0, "", 0, together=concepts)
    found = lease_steps.open_among(connection, heap, wish.me, asks) if asks else set()
    if not found or len(found) < least * len(asks):
        return False
    return found == lease_steps.open_among(connection, heap, wish.me, asks, were_lent=True)


def _lend_again(connection: sa.Connection, page: Any, items: Sequence[Asked], at: str) -> bool:  # noqa: ANN401  a row
    """Lend a page as it was. False: it was handed in late, just now."""
    statement = (
        "UPDATE pages SET state = 'leased', leased_at = :at, expires_at = :expires WHERE page_id = :page"
        " AND state IN ('returned', 'abandoned')"
    )
    expires = later(at, KINDS.get(page.kind).lease_s)
    if not connection.execute(sa.text(statement), {"at": at, "expires": expires, "page": page.page_id}).rowcount:
        return False
    lease_steps.count_lent(connection, [one.question_id for one in items if one.role == ASK])
    return True
