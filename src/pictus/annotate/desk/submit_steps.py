"""Taking a page in: answers, votes, marks, what is decided by them and what follows. One transaction, the desk's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import insert_rows, told, update_rows
from pictus.annotate.desk.conduct import Limits
from pictus.annotate.desk.follow_steps import follow
from pictus.annotate.desk.lease_steps import LEASED, RETURNED, SUBMITTED, answers_of, items_of, locked, own_page
from pictus.annotate.desk.moments import seconds_between
from pictus.annotate.desk.session_steps import PAUSED, crowds, has_crowds, is_one_crowd
from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.desk.tally_steps import Tally
from pictus.annotate.desk.work_steps import closed_before, quota_left
from pictus.annotate.shapes import marks
from pictus.annotate.stops.ballots import UNSURE
from pictus.annotate.stops.stopping import Cast, Decision
from pictus.annotate.tasks import (
    ACCEPTED,
    ASK,
    GOLD,
    KINDS,
    OPEN,
    PARKED,
    REJECTED,
    REPEAT,
    Closed,
    Given,
    Kind,
    Person,
)
from pictus.concepts import Taxonomy
from pictus.errors import UserError, bad_rows, counted

MOST_DATA = 400_000
"""Signs of JSON of one drawn item: a mask of a 50-megapixel picture as COCO RLE stays below."""

MOST_REVISIONS = 5
"""Of one page: corrections, and no way to write without end."""

_ANOTHER = "go on with the page as the desk has it: it is loaded again when you open it"


_ANSWER = (
    ("page_id", "text"), ("revision", "int"), ("position", "int"), ("question_id", "bigint"), ("kind", "text"),
    ("concept_id", "text"), ("image_id", "text"), ("mark_id", "bigint"), ("role", "text"), ("known", "text"),
    ("annotator", "text"), ("answer", "text"), ("data", "text"), ("seconds", "float8"), ("answered_at", "text"),
)  # fmt: skip
_VOTE = (
    ("image_id", "text"), ("annotator", "text"), ("question", "text"), ("answer", "text"), ("source", "text"),
    ("voted_at", "text"),
)  # fmt: skip
_QUESTION = (
    ("question_id", "bigint"), ("state", "text"), ("posterior", "float8"), ("votes", "int"), ("wanted", "int"),
    ("leases", "int"),
)  # fmt: skip


class Bench(NamedTuple):
    """What a desk works with."""

    tally: Tally
    sizes: Sizes
    taxonomy: Callable[[], Taxonomy]
    limits: Limits


class HandIn(NamedTuple):
    """A page as somebody sent it. `is_checked`: its answers come from `prepared`."""

    page_id: str
    revision: int
    given: Sequence[Given]
    seconds: float
    is_checked: bool = False


class Entry(NamedTuple):
    """One revision of a page as it is written down: its row, its items, and an answer to each in the same order."""

    page: Any
    kind: Kind
    items: Sequence[Any]
    given: Sequence[Given]
    revision: int
    seconds: float
    at: str
    counts: bool  # False for somebody who is paused: what they say is kept, and decides nothing

    @property
    def me(self) -> str:
        return str(self.page.annotator)

    @property
    def pairs(self) -> list[tuple[Any, Given]]:
        return list(zip(self.items, self.given, strict=True))


class Taken(NamedTuple):
    """What became of it."""

    is_new: bool
    decided: int
    note: str
    heaps: Mapping[tuple[str, str], int] = MappingProxyType({})  # (kind, concept) -> questions more that are open


class Change(NamedTuple):
    """What a question is from now on. `was`: its state before."""

    question_id: int
    was: str
    state: str
    posterior: float
    votes: int
    wanted: int
    leases: int


def hand_in(connection: sa.Connection, bench: Bench, person: Person, sent: HandIn, at: str) -> Taken:
    """Take in one revision of a page that is this person's; the same again changes nothing. Heaps are still to be
    counted, at the end of the transaction.
    """
    row = own_page(connection, person.name, sent.page_id, locks=True)
    kind, items = KINDS.get(row.kind), items_of(connection, sent.page_id)
    given = list(sent.given) if sent.is_checked else checked(kind, _places(bench, items), sent.given)
    if sent.revision == row.revision and row.revision:
        if _plain(given) == _plain(answers_of(connection, sent.page_id, row.revision)):
            return Taken(is_new=False, decided=0, note="")
        raise UserError("This page was handed in already with other answers.", fix=_ANOTHER)
    if sent.revision != row.revision + 1:
        raise _out_of_order(row, sent)
    _check_bounds(connection, person, sent, row)
    questions = locked(connection, [item.question_id for item in items if item.role == ASK])
    said = _said(connection, person.name, [item.question_id for item in items])  # before these answers are there
    known_before = frozenset(said)
    seconds = _seconds(connection, row, sent, at, bench.limits)
    entry = Entry(row, kind, items, given, sent.revision, seconds, at, row.standing != PAUSED)
    _keep_answers(connection, entry)
    if kind.votes:
        _keep_votes(connection, entry)
    drawn = _keep_marks(connection, entry) if kind.draws else {}
    _keep_page(connection, entry, said)
    changes = _changes(connection, bench.tally, entry, questions, known_before)
    _write(connection, changes)
    heaps: Counter[tuple[str, str]] = Counter()  # `update` adds
    for one in changes:  # even without change: its lease is over
        heaps[row.kind, questions[one.question_id].concept_id] += (one.state == OPEN) - (one.was == OPEN)
    if sent.revision > 1 and kind.draws:
        heaps.update(_park_redrawn(connection, row.page_id, sent.revision))
    heaps.update(follow(connection, bench.tally, bench.taxonomy(), _closed(connection, entry, changes, drawn)))
    decided = sum(one.was == OPEN and one.state != OPEN for one in changes)
    return Taken(is_new=True, decided=decided, note=_note(row), heaps=heaps)


def _check_bounds(connection: sa.Connection, person: Person, sent: HandIn, row: Any) -> None:  # noqa: ANN401  a row
    if sent.revision > MOST_REVISIONS:
        what = f"This page was handed in {MOST_REVISIONS} times already."
        raise UserError(what, fix="leave it as it is: its last answers count")
    if row.state == RETURNED:
        raise UserError("You gave this page back: it is with others.", fix="take the next page")
    if row.state == SUBMITTED and row.submitted_at < closed_before(connection, person.name):
        raise UserError("Too many pages of yours followed this one.", fix="leave it as it is: its last answers count")
    left = quota_left(connection, person) if row.state not in (LEASED, SUBMITTED) else -1
    if 0 <= left < row.items:  # and others were taken for it
        what = f"This page came back unanswered before, and of your {person.quota:,} questions {left} are left."
        raise UserError(what, fix="go on with the pages you hold")


def _out_of_order(row: Any, sent: HandIn) -> UserError:  # noqa: ANN401  a row of pages
    what = f"This page was handed in {counted(row.revision, 'time')}; revision {sent.revision} does not follow."
    return UserError(what, fix=_ANOTHER)


def _note(row: Any) -> str:  # noqa: ANN401  a row of pages
    if row.state in (LEASED, SUBMITTED):
        return ""
    return "This page came late. Your answers are kept and counted."  # what others settled meanwhile is not told


def prepared(connection: sa.Connection, bench: Bench, person: Person, sent: HandIn) -> Callable[[], HandIn]:
    """For what was drawn, which may take seconds to check: reads the page, and gives the check to be called after it,
    while nobody waits. UserError where the revision does not follow.
    """
    row = own_page(connection, person.name, sent.page_id)
    if sent.revision not in (row.revision, row.revision + 1) or sent.revision > MOST_REVISIONS:
        raise _out_of_order(row, sent)
    kind, places = KINDS.get(row.kind), _places(bench, items_of(connection, sent.page_id))
    return lambda: sent._replace(given=checked(kind, places, sent.given), is_checked=True)


def _places(bench: Bench, items: Iterable[Any]) -> list[tuple[int, int, int]]:
    return [(item.position, *bench.sizes.of(item.image_id)) for item in items]


def checked(kind: Kind, items: Sequence[tuple[int, int, int]], sent: Sequence[Given]) -> list[Given]:
    """One answer to every item, each of the kind's, what was drawn cleaned; or one UserError for all that is wrong.

    items: position, width, height.
    """
    problems: list[str] = []
    by_position = {one.position: one for one in sent}
    places = {position for position, _, _ in items}
    if len(by_position) != len(sent) or set(by_position) != places:
        missing, foreign = sorted(places - set(by_position)), sorted(set(by_position) - places, key=str)
        raise UserError(
            f"A page is answered whole, each of its {counted(len(items), 'item')} once: {len(sent)} answers came"
            + (f", none for {_listed(missing)}" if missing else "")
            + (f", some for {_listed(foreign)}" if foreign else "") + ".",
            fix="send one answer for every position",
        )  # fmt: skip
    is_plain = kind.check is Kind.__dataclass_fields__["check"].default
    found: list[Given] = []
    for position, width, height in items:
        one = by_position[position]
        if one.answer not in kind.answers:
            problems.append(f"{position}: {str(one.answer)[:40]!r} is none of {', '.join(kind.answers)}")
            continue
        try:
            clean = Given(position, one.answer) if is_plain else kind.check(one, width, height)
        except UserError as error:
            problems.append(f"{position}: {error.what}")
            continue
        if clean.data and len(json.dumps(dict(clean.data))) > MOST_DATA:
            problems.append(f"{position}: more was drawn than {MOST_DATA:,} signs of JSON can say")
        found.append(clean)
    if problems:
        raise bad_rows("this page", problems, fix="correct these items")
    return found


def _listed(places: Sequence[object]) -> str:
    return ", ".join(str(place)[:12] for place in places[:5]) + (", …" if len(places) > 5 else "")  # noqa: PLR2004


def _plain(given: Iterable[Given]) -> str:
    return json.dumps([[one.position, one.answer, one.data] for one in given], sort_keys=True)


def _seconds(connection: sa.Connection, row: Any, sent: HandIn, at: str, limits: Limits) -> float:  # noqa: ANN401  a row
    """What a browser says it took, as far as the desk's own clock bears it out: all that somebody hands in, whatever
    the page, takes no longer together than the time that went by. Pages that waited for a connection may come at once.
    """
    said = sent.seconds if 0 <= sent.seconds < float("inf") else 0.0  # nan too
    since = row.submitted_at or row.leased_at  # what is corrected took its time since it was handed in
    query = (
        "SELECT COALESCE(SUM(a.seconds), 0) FROM pages p JOIN answers a ON a.page_id = p.page_id"
        " WHERE p.annotator = :me AND p.state = 'submitted' AND p.submitted_at > :since AND a.answered_at > :since"
    )
    claimed = float(told(connection, query, {"me": row.annotator, "since": since}).scalar_one())
    return max(0.0, min(said, seconds_between(since, at) - claimed, limits.longest_s))


def _said(connection: sa.Connection, me: str, questions: Sequence[int]) -> dict[int, str]:
    """What this person has answered to these before, on this page or another: the latest answer that was asked for as
    such, "" where there is only one to a known picture or to a repeat.
    """
    query = (
        "SELECT question_id, answer, role FROM answers WHERE question_id IN :ids AND annotator = :me ORDER BY answer_id"
    )
    found: dict[int, str] = {}
    for question_id, answer, role in told(connection, query, {"ids": questions, "me": me}) if questions else ():
        if role == ASK:
            found[question_id] = answer
        else:
            found.setdefault(question_id, "")
    return found


def _keep_answers(connection: sa.Connection, entry: Entry) -> None:
    page, each_s = entry.page, entry.seconds / max(1, len(entry.items))
    rows = [
        (page.page_id, entry.revision, item.position, item.question_id, page.kind, item.concept_id, item.image_id,
         item.mark_id, item.role, item.known, entry.me, one.answer, json.dumps(dict(one.data)) if one.data else "{}",
         each_s, entry.at)
        for item, one in entry.pairs
    ]  # fmt: skip
    insert_rows(connection, "answers", _ANSWER, rows)


def _keep_votes(connection: sa.Connection, entry: Entry) -> None:
    source = f"page:{entry.page.page_id}" + (f"#{entry.revision}" if entry.revision > 1 else "")
    rows = [
        (item.image_id, entry.me, entry.page.concept_id, one.answer, source, entry.at)
        for item, one in entry.pairs if item.role in (ASK, GOLD)
    ]  # fmt: skip
    insert_rows(connection, "votes", _VOTE, rows, skips_known=True)


def _keep_marks(connection: sa.Connection, entry: Entry) -> dict[int, list[int]]:
    """What was drawn -> the marks of each position. It replaces the mark it is about where that was found bad."""
    insert = sa.text(
        "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
        " VALUES (:kind, :image, :concept, :me, :shape, :source, :place, :replaces, :at) RETURNING mark_id"
    )
    page, place = entry.page, 0
    drawn: dict[int, list[int]] = {}
    bad = marks.rejected(connection, entry.kind, [item.mark_id for item in entry.items])
    for item, one in entry.pairs:
        for shape in one.data.get("shapes", ()):
            found = connection.execute(
                insert,
                {"kind": page.kind, "image": item.image_id, "concept": page.concept_id, "me": entry.me,
                 "shape": json.dumps(shape), "source": f"page:{page.page_id}#{entry.revision}", "place": place,
                 "replaces": item.mark_id if item.mark_id in bad else 0, "at": entry.at},
            ).scalar_one()  # fmt: skip
            drawn.setdefault(item.position, []).append(int(found))
            place += 1
    return drawn


def _keep_page(connection: sa.Connection, entry: Entry, said: Mapping[int, str]) -> None:
    repeats = {item.question_id: one.answer for item, one in entry.pairs if item.role == REPEAT}
    answers = {one.answer for one in entry.given}
    first = _first(entry, said) if entry.revision == 1 else {}
    told(
        connection,
        "UPDATE pages SET state = 'submitted', revision = :revision, submitted_at = :at,"  # noqa: S608  our names
        " seconds = seconds + :seconds, repeats = :repeats, sames = :sames, only_answer = :only, knowns = :knowns"
        + "".join(f", {name} = :{name}" for name in first)
        + " WHERE page_id = :page",
        {"revision": entry.revision, "at": entry.at, "seconds": entry.seconds, "page": entry.page.page_id,
         "repeats": len(repeats), "sames": sum(said.get(one) == answer for one, answer in repeats.items()),
         "only": answers.pop() if len(answers) == 1 else "",
         "knowns": ",".join(sorted({item.known for item in entry.items if item.role == GOLD})), **first},
    )  # fmt: skip


def _first(entry: Entry, known_before: Collection[int]) -> dict[str, int]:
    """What only the first revision says: a known answer that was corrected proves nothing. `fresh`: items that this
    person answered on no other page, and repeats, which the desk asked for.
    """
    golds = [(item.known, one.answer) for item, one in entry.pairs if item.role == GOLD]
    sure = [(known, answer) for known, answer in golds if answer != UNSURE]
    fresh = sum(item.role == REPEAT or item.question_id not in known_before for item in entry.items)
    return {
        "golds": len(sure), "rights": sum(known == answer for known, answer in sure),
        "unsures": len(golds) - len(sure), "fresh": fresh,
    }  # fmt: skip


def _changes(
    connection: sa.Connection, tally: Tally, entry: Entry, questions: Mapping[int, Any], known_before: frozenset[int]
) -> list[Change]:
    """What each asked question becomes, in the order of their numbers. Known answers teach the rule, no more."""
    kind, page = entry.kind, entry.page
    decisions: dict[int, Decision] = {}
    if kind.votes:
        tally.expect((one.question_id, one.concept_id, one.score) for one in questions.values())
        casts = [
            Cast(item.question_id, page.concept_id, entry.me, one.answer, item.known)
            for item, one in entry.pairs if item.role == ASK or (item.role == GOLD and entry.revision == 1)
        ]  # fmt: skip
        found = tally.decide(connection, (page.page_id, entry.revision), casts, counts=entry.counts)
        decisions = {cast.question: decision for cast, decision in zip(casts, found, strict=True)}
    one_sided = _one_sided(connection, entry, [number for number, one in decisions.items() if one.state != OPEN])
    changes = []
    for item, one in sorted(entry.pairs, key=lambda pair: int(pair[0].question_id)):
        question = questions.get(item.question_id)
        if item.role != ASK or question is None:
            continue
        votes = question.votes + (entry.counts and item.question_id not in known_before)
        leases = max(0, question.leases - (page.state == LEASED))
        posterior, wanted = question.posterior, question.wanted
        if kind.votes:
            decision = decisions[item.question_id]
            state, posterior, wanted = decision.state, decision.posterior, votes + decision.wanted
            if item.question_id in one_sided:
                state, wanted = OPEN, votes + 1
        elif votes < wanted or not entry.counts:
            state = question.state
        else:
            state = ACCEPTED if kind.accepts in ("", one.answer) else REJECTED
        if question.known or (question.state == PARKED and state == OPEN):
            state = question.state  # found out otherwise since it was lent, or put aside
        changes.append(Change(item.question_id, question.state, state, posterior, votes, wanted, leases))
    return changes


def _one_sided(connection: sa.Connection, entry: Entry, decided: Sequence[int]) -> frozenset[int]:
    """Which of these only people of one link have answered, where people of another could be asked too."""
    there = crowds(connection, entry.at) if decided and has_crowds(connection) else None
    if there is None or len(there.at_work) < 2:  # noqa: PLR2004  one link is not held against another
        return frozenset()
    query = (
        "SELECT DISTINCT question_id, annotator FROM answers WHERE question_id IN :ids AND role = 'ask'"
        " AND annotator NOT IN (SELECT name FROM annotators WHERE state = 'paused')"
    )
    voices: dict[int, set[str]] = {}
    for question_id, name in told(connection, query, {"ids": sorted(decided)}):
        voices.setdefault(question_id, set()).add(name)
    return frozenset(number for number, names in voices.items() if is_one_crowd(there, names))


def _write(connection: sa.Connection, changes: Sequence[Change]) -> None:
    rows = [(one.question_id, one.state, one.posterior, one.votes, one.wanted, one.leases) for one in changes]
    update_rows(connection, "questions", _QUESTION, rows)


def _park_redrawn(connection: sa.Connection, page_id: str, revision: int) -> Counter[tuple[str, str]]:
    """Questions about what the revision before had drawn are not asked any more -> what their heaps lose."""
    old = "SELECT mark_id FROM marks WHERE source = :source"
    given = {"source": f"page:{page_id}#{revision - 1}"}
    query = f"SELECT question_id, kind, concept_id FROM questions WHERE state = 'open' AND mark_id IN ({old})"  # noqa: S608
    heaps: Counter[tuple[str, str]] = Counter()
    for question_id, kind, concept_id in connection.execute(sa.text(query), given).all():
        connection.execute(
            sa.text("UPDATE questions SET state = 'parked', reason = 'drawn anew' WHERE question_id = :id"),
            {"id": question_id},
        )
        heaps[kind, concept_id] -= 1
    return heaps


def _closed(
    connection: sa.Connection, entry: Entry, changes: Sequence[Change], drawn: Mapping[int, Sequence[int]]
) -> list[tuple[Closed, str]]:
    """Questions closed by this page, or drawn on anew, one for each mark; beside each the picture's fold."""
    by_question = {one.question_id: one for one in changes}
    kind = entry.kind
    found = []
    for item, one in entry.pairs:
        concept_id = item.concept_id
        change = by_question.get(item.question_id) if item.role == ASK else None
        new = drawn.get(item.position, ())
        if change is None or change.state in (OPEN, PARKED) or (change.was == change.state and not new):
            continue
        there = marks.standing(connection, kind, concept_id, item.image_id) if kind.loop else marks.Standing(0, 0)
        for mark in new or (0,):
            closed = Closed(
                kind.name, concept_id, item.image_id, item.mark_id, change.state, one.answer, mark, *there
            )
            found.append((closed, str(item.fold)))
    return found
