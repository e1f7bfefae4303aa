"""Lending pages: which heap is next, which questions, and taking back what was never handed in.

Every function works in a transaction that the desk opened. Rows of `questions` are locked before those of `heaps`,
each in the order of their keys, so that two servers cannot wait for each other.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import insert_rows, told
from pictus.annotate.desk.moments import later
from pictus.annotate.desk.pages import (
    SHARED_EVERY,
    Candidate,
    Chance,
    arranged,
    beside,
    fold_numbers,
    mixed,
    shared,
    taken,
)
from pictus.annotate.desk.people import at_least
from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.desk.work_steps import UNCALLED
from pictus.annotate.shapes import marks
from pictus.annotate.tasks import ASK, GOLD, KINDS, REPEAT, Given, Item, Page, Person
from pictus.errors import NotThereError

LEASED, SUBMITTED, ABANDONED, RETURNED = "leased", "submitted", "abandoned", "returned"

RECENT = 2
"""Pages of a heap that must lie between an answer and its blind repeat."""

LOOKED_BACK = 12
"""Pages before those that repeats are drawn from."""

FILLS = 4
"""Pages that heaps are joined for, where one page may ask about several concepts."""

SWEPT = 20
"""Abandoned pages that one call takes back: what it costs stays small."""

NEAR = 480
"""The first open questions of a heap: among them what others hold is looked for while much is free. Pages are lent from
the heap's beginning, and what a search costs stays small however many it has."""

# Not "NOT EXISTS": before its first ANALYZE PostgreSQL would join all answers of a person to each question. And not
# "IS NULL", of which it takes 1 in 200 for true, so that it read a whole heap to find some questions of it.
_ME = (
    " AND q.question_id NOT IN :mine"
    " AND COALESCE((SELECT 1 FROM answers a WHERE a.question_id = q.question_id AND a.annotator = :me LIMIT 1), 0) <> 1"
)
_BLIND = " AND COALESCE((SELECT 1 FROM marks m WHERE m.mark_id = q.mark_id AND m.annotator = :me LIMIT 1), 0) <> 1"
_TORN = (
    " AND (q.mark_id >= 0 OR COALESCE((SELECT 1 FROM questions o JOIN answers a ON a.question_id = o.question_id"
    " WHERE o.image_id = q.image_id AND o.concept_id = q.concept_id AND o.mark_id IN (q.mark_id, -q.mark_id)"
    " AND o.kind IN :sides AND a.annotator = :me LIMIT 1), 0) <> 1)"
)
"""Whom of two to believe (a mark below 0, `box_loop`) says neither: not who saw one more, nor who found none."""
_APART = (
    " AND COALESCE((SELECT 1 FROM questions o JOIN answers a ON a.question_id = o.question_id"
    " WHERE o.image_id = q.image_id AND o.concept_id = q.concept_id AND a.annotator = :me LIMIT 1), 0) <> 1"
)
_COLUMNS = "q.question_id, q.image_id, q.mark_id, q.score, q.fold, q.known, q.concept_id"
_SELECT = f"SELECT {_COLUMNS} FROM questions q WHERE q.kind = :kind"  # noqa: S608  our names
_ONE, _SEVERAL = " AND q.concept_id = :concept", " AND q.concept_id IN :concepts"
"""Of one concept in the order of the index; of several PostgreSQL would sort them all, and they are few."""
_PAGE = (
    "p.*, h.reason, a.state AS standing FROM pages p LEFT JOIN heaps h ON h.kind = p.kind"
    " AND h.concept_id = p.concept_id LEFT JOIN annotators a ON a.name = p.annotator"
)
_UNLENT = " AND q.leases = 0"
_LENT = " AND q.leases > 0 AND q.leases < q.wanted - q.votes"
_MAY_BE_LENT = " AND (q.leases = 0 OR q.leases < q.wanted - q.votes)"
_NEAR = (
    " AND q.question_id IN (SELECT n.question_id FROM questions n WHERE n.kind = :kind AND n.concept_id = :concept"
    " AND n.state = 'open' ORDER BY n.priority DESC, n.question_id LIMIT :near)"
)

_ITEM = (
    ("page_id", "text"), ("position", "int"), ("question_id", "bigint"), ("image_id", "text"), ("mark_id", "bigint"),
    ("role", "text"), ("known", "text"),
)  # fmt: skip


class Asker(NamedTuple):
    """Who is to be lent a page."""

    me: str
    mine: tuple[int, ...]  # questions not to be lent to them: those on the pages in their hands, and some more
    secret: bytes = b""  # the project's: orders what is mixed in for them


class Heap(NamedTuple):
    """One heap that has open questions."""

    kind: str
    concept_id: str
    priority: float
    reason: str
    waiting: int  # open questions, whoever holds them
    first: tuple[int, ...] = ()  # of them, to be asked before all others: what the rule learns from
    together: tuple[str, ...] = ()  # several small heaps of a kind that mixes, as one: their concepts

    @property
    def concepts(self) -> tuple[str, ...]:
        return self.together or (self.concept_id,)


def open_heaps(connection: sa.Connection, kinds: Sequence[str], *, kind: str, concept_id: str) -> Iterator[Heap]:
    """Heaps of these kinds with something to ask, the most urgent first; only of one kind or concept when named."""
    which = [name for name in kinds if kind in ("", name)]
    if not which:
        return
    one = " AND concept_id = :concept" if concept_id else ""
    statement = (
        "SELECT kind, concept_id, priority, reason, waiting FROM heaps WHERE state = 'open' AND waiting > 0"  # noqa: S608  ours
        f" AND kind IN :kinds{one} ORDER BY priority DESC, kind, concept_id LIMIT 64 OFFSET :start"
    )
    start, found = 0, [Heap("", "", 0.0, "", 0)]
    while found:
        given = {"kinds": which, "start": start} | ({"concept": concept_id} if concept_id else {})
        found = [Heap(*row) for row in told(connection, statement, given)]
        yield from _together(found) if not concept_id else found
        start += 64


def _together(heaps: Iterable[Heap]) -> Iterator[Heap]:
    """Heaps as they come, but those of a kind that mixes joined until they fill some pages: concept "", their sum."""
    members: list[Heap] = []
    for heap in heaps:
        kind = KINDS.get(heap.kind)
        is_full = sum(one.waiting for one in members) >= FILLS * kind.per_page
        if members and (is_full or not kind.mixes or members[0].kind != heap.kind):
            yield _joined(members)
            members = []
        if kind.mixes:
            members.append(heap)
        else:
            yield heap
    if members:
        yield _joined(members)


def _joined(members: Sequence[Heap]) -> Heap:
    first = members[0]
    if len(members) == 1:
        return first
    waiting = sum(one.waiting for one in members)
    concepts = tuple(one.concept_id for one in members)
    return Heap(first.kind, "", first.priority, first.reason, waiting, together=concepts)


def kinds_for(role: str) -> list[str]:
    """The kinds of task that people of this role may be asked."""
    return [name for name in KINDS.names() if at_least(role, KINDS.get(name).role)]


def candidates(
    connection: sa.Connection, heap: Heap, asker: Asker, limit: int, *, waits: bool
) -> tuple[list[Candidate], bool]:
    """Questions of a heap that this person may be asked now, three that are lent to nobody, one that is; and whether
    another server holds some back just now. On PostgreSQL the rows are locked; with `waits` until they are free.
    """
    base, given = _open_to(heap, asker, limit)
    is_postgres = connection.dialect.name == "postgresql"
    lock = (" FOR UPDATE OF q" + ("" if waits else " SKIP LOCKED")) if is_postgres else ""
    order = " ORDER BY q.priority DESC, q.question_id LIMIT :limit"
    found, rest = [], base
    if heap.first:
        given["first"], rest = heap.first, base + " AND q.question_id NOT IN :first"
        learned = _MAY_BE_LENT + " AND q.question_id IN :first ORDER BY q.leases, q.question_id LIMIT :limit"
        found = _asks(connection, base + learned + lock, given)
    free = _asks(connection, rest + _UNLENT + order + lock, given | {"limit": limit - len(found)})
    lacking = limit - len(found) - len(free)
    room = lacking or (0 if KINDS.get(heap.kind).draws else limit // SHARED_EVERY)
    by_leases = ("" if lacking or heap.together else _NEAR) + " ORDER BY q.priority DESC, q.leases, q.question_id"
    lent = _asks(connection, rest + _LENT + by_leases + " LIMIT :limit" + lock, given | {"limit": room}) if room else []
    found += shared(free, lent)[: limit - len(found)]
    folds = sorted({one.fold for one in found if one.fold})
    if folds:
        have = {one.question_id for one in found}
        mates = base + _MAY_BE_LENT + " AND q.fold <> '' AND q.fold IN :folds" + order + lock
        more = _asks(connection, mates, given | {"folds": folds, "limit": 4 * limit})
        found += [one for one in more if one.question_id not in have]
    is_held = False
    if not found and is_postgres and not waits:
        is_held = bool(_asks(connection, base + _MAY_BE_LENT + order, given | {"limit": 1}))
    return found, is_held


def has_page(connection: sa.Connection, heap: Heap, me: str) -> bool:
    """Whether there is a page of this heap for somebody, in their hands or to be lent to them. Locks nothing."""
    held = "SELECT 1 FROM pages WHERE annotator = :me AND state = 'leased' AND kind = :kind AND concept_id = :concept"
    named = {"me": me, "kind": heap.kind, "concept": heap.concept_id}  # "" of a page that mixes too
    if connection.execute(sa.text(held + " LIMIT 1"), named).first():
        return True
    base, given = _open_to(heap, Asker(me, ()), 1)
    return bool(_asks(connection, base + _MAY_BE_LENT + " LIMIT :limit", given))


def open_among(
    connection: sa.Connection, heap: Heap, me: str, questions: Sequence[int], *, were_lent: bool = False
) -> set[int]:  # fmt: skip
    """Those of these questions of a heap that could be lent to somebody now, or if nobody held them. Locks nothing."""
    base, given = _open_to(heap, Asker(me, ()), len(questions))
    given["first"] = questions
    free = "" if were_lent else _MAY_BE_LENT
    found = _asks(connection, base + free + " AND q.question_id IN :first LIMIT :limit", given)
    return {one.question_id for one in found}


def _open_to(heap: Heap, asker: Asker, limit: int) -> tuple[str, dict[str, Any]]:
    """The open questions of a heap that this person may answer, lent or not: statement and values."""
    kind = KINDS.get(heap.kind)
    blind = (_BLIND if kind.is_blind_to_author else "") + (_APART if kind.is_blind_to_voters else "")
    base = _of(heap) + " AND q.state = 'open' AND q.known = ''" + _ME + blind + (UNCALLED if kind.votes else "")
    given = _given(heap, asker) | {"limit": limit}
    if kind.is_blind_to_author and kind.loop:
        base += _TORN
        given["sides"] = [one for one in marks.loop_of(kind) if one == kind.name or KINDS.get(one).draws]
    return base, given


def _of(heap: Heap) -> str:
    return _SELECT + (_ONE if len(heap.concepts) == 1 else _SEVERAL)


def _given(heap: Heap, asker: Asker) -> dict[str, Any]:
    return {"kind": heap.kind, "concepts": heap.concepts, "concept": heap.concepts[0], "me": asker.me,
            "mine": asker.mine or (0,), "near": NEAR}  # fmt: skip


def _asks(connection: sa.Connection, statement: str, given: dict[str, Any], role: str = ASK) -> list[Candidate]:
    return _candidates(told(connection, statement, {name: given[name] for name in _named(statement)}), role)


@lru_cache(maxsize=512)
def _named(statement: str) -> frozenset[str]:
    return frozenset(re.findall(r":(\w+)", statement))


def _candidates(rows: Iterable[Any], role: str) -> list[Candidate]:
    return [
        Candidate(number, image_id, mark_id, score, fold, known, role, concept_id)
        for number, image_id, mark_id, score, fold, known, concept_id in rows
    ]


def composed(
    connection: sa.Connection, heap: Heap, asker: Asker, asks: list[Candidate], *, most: int, chance: Chance
) -> list[Candidate]:
    """A page of at most `most` items of a heap: questions, known answers this person has not seen, blind repeats."""
    kind = KINDS.get(heap.kind)
    plan = mixed(most, len(asks), chance)
    known = _known(connection, heap, asker) if plan.golds and not kind.draws else {}
    repeats = _repeats(connection, heap, asker, plan.repeats) if kind.votes else []
    n_golds = min(plan.golds, len(known))
    asked = taken(asks, most - n_golds - len(repeats))
    numbers = [one.question_id for one in asked or asks]
    golds = [known[one] for one in beside(known, numbers, asker.secret, n_golds)]
    found = arranged([*asked, *golds, *repeats], chance)
    return sorted(found, key=lambda one: one.concept_id) if heap.together else found  # one concept after the other


def _known(connection: sa.Connection, heap: Heap, asker: Asker) -> dict[int, Candidate]:
    """Known answers that this person has not seen, by question."""
    statement = _of(heap) + " AND q.known <> '' AND q.state <> 'parked'" + _ME + " ORDER BY q.question_id LIMIT 200"
    return {one.question_id: one for one in _asks(connection, statement, _given(heap, asker), GOLD)}


def _repeats(connection: sa.Connection, heap: Heap, asker: Asker, most: int) -> list[Candidate]:
    """Of the pages of this heap that this person handed in some while ago; nothing is repeated twice."""
    if not most:
        return []
    given = {"kind": heap.kind, "concept": heap.concept_id, "me": asker.me, "limit": LOOKED_BACK, "recent": RECENT}
    pages = (
        "SELECT page_id FROM pages WHERE annotator = :me AND state = 'submitted' AND kind = :kind"
        " AND concept_id = :concept ORDER BY leased_at DESC, page_id LIMIT :limit OFFSET :recent"
    )
    statement = (
        f"SELECT i.question_id FROM page_items i JOIN ({pages}) b ON b.page_id = i.page_id WHERE i.role = 'ask'"  # noqa: S608  our names
        " AND (SELECT 1 FROM answers a WHERE a.question_id = i.question_id AND a.annotator = :me"
        " AND a.role = 'repeat' LIMIT 1) IS NULL"
    )
    chosen = _steady(told(connection, statement, given).scalars(), asker, most)
    if not chosen:
        return []
    rows = f"SELECT {_COLUMNS} FROM questions q WHERE q.question_id IN :first"  # noqa: S608  our names
    found = {one.question_id: one for one in _asks(connection, rows, {"first": chosen}, REPEAT)}
    return [found[number] for number in chosen]


def _steady(questions: Iterable[int], asker: Asker, most: int) -> list[int]:
    """The first so many in an order that is random, but always the same for one person: a repeat that came and went
    would be told from what is asked. Nobody can reckon it who has not the project's secret.
    """
    secret, me = asker.secret, asker.me
    return heapq.nsmallest(most, questions, key=lambda one: hmac.digest(secret, f"{me}\n{one}".encode(), "sha256"))


class Lent(NamedTuple):
    """A page just lent, in the words of its row. `page_id`: 128 random bits."""

    page_id: str
    kind: str
    concept_id: str
    expires_at: str
    reason: str
    revision: int = 0


def lend(connection: sa.Connection, heap: Heap, me: str, chosen: Sequence[Candidate], at: str) -> Lent:
    """Write the page down and count its questions as lent."""
    page_id = secrets.token_urlsafe(16)
    concepts = {one.concept_id for one in chosen}
    concept_id = heap.concept_id if not heap.together else concepts.pop() if len(concepts) == 1 else ""
    expires = later(at, KINDS.get(heap.kind).lease_s)
    told(
        connection,
        "INSERT INTO pages (page_id, kind, concept_id, annotator, state, revision, leased_at, expires_at,"
        " submitted_at, seconds, items) VALUES (:page, :kind, :concept, :me, 'leased', 0, :at, :expires, '', 0,"
        " :items)",
        {"page": page_id, "kind": heap.kind, "concept": concept_id, "me": me, "at": at, "expires": expires,
         "items": len(chosen)},
    )  # fmt: skip
    rows = [
        (page_id, position, one.question_id, one.image_id, one.mark_id, one.role, one.known if one.role == GOLD else "")
        for position, one in enumerate(chosen)
    ]
    insert_rows(connection, "page_items", _ITEM, rows)
    _count_leases(connection, [one.question_id for one in chosen if one.role == ASK], 1)
    return Lent(page_id, heap.kind, concept_id, expires, heap.reason)


def release(connection: sa.Connection, page_id: str, state: str) -> bool:
    """A lent page comes back unanswered: its questions may be lent to others. False: it is not lent any more."""
    done = connection.execute(
        sa.text("UPDATE pages SET state = :state WHERE page_id = :page AND state = 'leased'"),
        {"state": state, "page": page_id},
    )
    if done.rowcount:
        questions = connection.execute(
            sa.text("SELECT question_id FROM page_items WHERE page_id = :page AND role = 'ask'"), {"page": page_id}
        ).scalars()
        _count_leases(connection, list(locked(connection, questions)), -1)
    return bool(done.rowcount)


def overdue(connection: sa.Connection, at: str) -> list[tuple[str, tuple[str, str]]]:
    """Pages whose time is over, the first SWEPT: page_id, (kind, concept_id). Each is released on its own."""
    query = (
        "SELECT page_id, kind, concept_id FROM pages WHERE state = 'leased' AND expires_at < :at"
        " ORDER BY expires_at, page_id LIMIT :most"
    )
    rows = connection.execute(sa.text(query), {"at": at, "most": SWEPT})
    return [(row.page_id, (row.kind, row.concept_id)) for row in rows]


def alone(connection: sa.Connection, me: str) -> Person | None:
    """Who is called so, if anybody is; and until this transaction ends nothing else is lent to the same person, from
    whichever window or server.
    """
    given: dict[str, Any] = {"me": me}
    locks = ""
    if connection.dialect.name == "postgresql":
        given["number"] = int.from_bytes(hashlib.sha256(me.encode()).digest()[:8], "big", signed=True)
        # Its compiler takes 20 ms for a query that runs for one: off, for this transaction.
        locks = ", pg_advisory_xact_lock(:number), set_config('jit', 'off', true)"
    query = f"SELECT name, role, state, reason, quota{locks} FROM annotators WHERE name = :me"  # noqa: S608  ours
    row = told(connection, query, given).first()
    return Person(*row[:5]) if row else None


def locked(connection: sa.Connection, questions: Iterable[int]) -> dict[int, Any]:
    """Keep other transactions from these questions until this one ends -> their rows by number, in order."""
    ids = sorted(questions)
    if not ids:
        return {}
    ending = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""  # SQLite has one writer
    query = f"SELECT * FROM questions WHERE question_id IN :ids ORDER BY question_id{ending}"  # noqa: S608  ours
    return {row.question_id: row for row in told(connection, query, {"ids": ids})}


def _count_leases(connection: sa.Connection, questions: Sequence[int], change: int) -> None:
    if not questions:
        return
    floor = "" if change > 0 else " AND leases > 0"
    query = f"UPDATE questions SET leases = leases + :change WHERE question_id IN :ids{floor}"  # noqa: S608  ours
    told(connection, query, {"change": change, "ids": questions})


def count_lent(connection: sa.Connection, questions: Iterable[int]) -> None:
    """These questions are lent once more."""
    _count_leases(connection, list(locked(connection, questions)), 1)


def held(connection: sa.Connection, me: str) -> list[Any]:
    """Pages lent to this person now, oldest first: page_id, kind, concept_id, expires_at, items."""
    query = "SELECT page_id, kind, concept_id, expires_at, items FROM pages WHERE annotator = :me AND state = 'leased'"
    return list(told(connection, query + " ORDER BY leased_at, page_id", {"me": me}))


def questions_on(connection: sa.Connection, pages: Sequence[str]) -> tuple[int, ...]:
    """What stands on these pages, whatever for, by number."""
    query = "SELECT question_id FROM page_items WHERE page_id IN :pages ORDER BY question_id"
    return tuple(told(connection, query, {"pages": pages}).scalars()) if pages else ()


def own_page(connection: sa.Connection, me: str, page_id: str, *, locks: bool = False) -> Any:  # noqa: ANN401  a row
    """The row of a page that is this person's; else NotThereError, the same whether it is another's or nobody's."""
    ending = " FOR UPDATE OF p" if locks and connection.dialect.name == "postgresql" else ""
    query = f"SELECT {_PAGE} WHERE p.page_id = :page AND p.annotator = :me{ending}"
    row = told(connection, query, {"page": page_id, "me": me}).first()
    if row is None:
        raise NotThereError("There is no such page of yours.", fix="take the next page")
    return row


def items_of(connection: sa.Connection, page_id: str) -> list[Any]:
    """The items of a page in order, each with its question's fold."""
    query = (
        "SELECT i.position, i.question_id, i.image_id, i.mark_id, i.role, i.known, q.fold, q.concept_id"
        " FROM page_items i"
        " JOIN questions q ON q.question_id = i.question_id WHERE i.page_id = :page ORDER BY i.position"
    )
    return list(told(connection, query, {"page": page_id}))


def page_of(
    connection: sa.Connection, row: Any, sizes: Sizes, items: Sequence[Any] | None = None  # noqa: ANN401  row of pages
) -> Page:  # fmt: skip
    """The page as its annotator sees it. `items`: what is on it in order, where that is known already."""
    kind = KINDS.get(row.kind)
    items = items_of(connection, row.page_id) if items is None else items
    folds = fold_numbers([item.fold if item.role == ASK else "" for item in items])
    shapes = marks.shown(connection, kind, row.concept_id, [(item.image_id, item.mark_id) for item in items])
    shown = tuple(
        Item(position, *sizes.of(item.image_id), fold, shape, item.concept_id)
        for position, (item, fold, shape) in enumerate(zip(items, folds, shapes, strict=True))
    )
    answers = answers_of(connection, row.page_id, row.revision) if row.revision else ()
    return Page(
        row.page_id, row.kind, row.concept_id, shown, row.revision, row.expires_at, tuple(answers), row.reason or "",
        tuple(item.image_id for item in items),
    )  # fmt: skip


def answers_of(connection: sa.Connection, page_id: str, revision: int) -> list[Given]:
    """What was handed in as one revision, by position."""
    query = "SELECT position, answer, data FROM answers WHERE page_id = :page AND revision = :revision"
    rows = told(connection, query + " ORDER BY position", {"page": page_id, "revision": revision})
    return [Given(row.position, row.answer, json.loads(row.data)) for row in rows]


def submitted(connection: sa.Connection, me: str, limit: int) -> list[Any]:
    """Rows of the pages this person handed in, the latest first. Times are whole seconds: within one the answers'
    numbers tell, which are looked up for the latest pages only.
    """
    newest = (
        "SELECT submitted_at FROM pages WHERE annotator = :me AND state = 'submitted'"
        " ORDER BY submitted_at DESC LIMIT :limit"
    )
    query = (
        f"SELECT {_PAGE} WHERE p.annotator = :me AND p.state = 'submitted' AND p.submitted_at >="  # noqa: S608  ours
        f" (SELECT MIN(submitted_at) FROM ({newest}) AS newest) ORDER BY p.submitted_at DESC,"
        " (SELECT MAX(a.answer_id) FROM answers a WHERE a.page_id = p.page_id) DESC LIMIT :limit"
    )
    return list(connection.execute(sa.text(query), {"me": me, "limit": limit}))
