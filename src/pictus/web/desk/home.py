"""Where a signed-in person starts: what waits and why, how far they are."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from itertools import groupby, islice
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pictus.annotate.desk.desk_steps import Person
from pictus.annotate.desk.lease_steps import Heap, has_page, held, kinds_for, open_heaps
from pictus.concepts import Taxonomy, plain
from pictus.errors import counted
from pictus.web.desk.reasons import told
from pictus.web.desk.room import Room, Values
from pictus.web.desk.sign import entrance
from pictus.web.desk.work import TITLES

MOST = 200
"""Heaps looked at, the most urgent first."""
ALIKE = 3
"""Concepts that wait for the same reason stand together from so many on."""
FINDS = 20
"""Concepts above which there is a box to find one."""
FOUND = 60
"""Concepts looked up of those that are sought by name."""
LONGEST = 80
KEPT_S = 5.0
"""What has a page for somebody is not asked of the database again for so long, unless the heap or they did something:
200 heaps at each look would keep it from everybody else."""
KEPT_FOR = 500
"""People, the latest."""

_NUMBER = re.compile(r"\d[\d,]*")


class Waiting(NamedTuple):
    """One concept that waits, as the first page tells it."""

    concept_id: str
    name: str
    reason: str
    is_held: bool  # a page of it is in this person's hands


class Block(NamedTuple):
    """Concepts next to each other. `reason`: the one for which all of them wait; "" where each has its own."""

    reason: str
    rows: list[Waiting]
    is_alike: bool


class Section(NamedTuple):
    """One kind of question: how many concepts wait, and which."""

    kind: str
    concepts: int
    blocks: list[Block]


def routes(room: Room) -> list[Route]:
    """The first page, which is the entrance for who is not signed in."""
    view = _View(room)
    signed_in = room.page("desk/home.html", view.home)

    async def first(request: Request) -> Response:
        if await room.worked(request, room.somebody, request):
            return await signed_in(request)
        return await room.worked(request, entrance, room, request)

    return [Route("/", first)]


class _Seen:
    """Which heaps have a page for somebody, as of some seconds ago. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._people: OrderedDict[str, tuple[float, int, dict[Heap, bool]]] = OrderedDict()

    def of(self, name: str, pages: int) -> dict[Heap, bool]:
        """Heaps as they were -> whether they had a page for somebody who has handed in so many; to be added to."""
        with self._lock:
            until, before, found = self._people.pop(name, (0.0, -1, {}))
            if before != pages or until <= self._clock():
                until, found = self._clock() + KEPT_S, {}
            self._people[name] = (until, pages, found)
            if len(self._people) > KEPT_FOR:
                self._people.popitem(last=False)
            return found


class _View:
    def __init__(self, room: Room) -> None:
        self.room = room
        self.seen = _Seen()

    def home(self, person: Person, request: Request) -> Values:
        text = request.query_params.get("text", "")[:LONGEST].strip()
        taxonomy, kinds = self.room.shell.taxonomy(), kinds_for(person.role)
        progress = self.room.desk.progress(person)
        seen = self.seen.of(person.name, progress.pages)
        with self.room.project.journal.reading() as connection:
            which = _sought(taxonomy, text) if text else [""]
            found = (heap for one in which for heap in open_heaps(connection, kinds, kind="", concept_id=one))
            hands = {(page.kind, page.concept_id) for page in held(connection, person.name)}

            def is_for_them(heap: Heap) -> bool:
                if heap not in seen:
                    seen[heap] = has_page(connection, heap, person.name)
                return seen[heap] or (heap.kind, heap.concept_id) in hands

            heaps = _offered(islice(found, MOST), is_for_them)
        sections = _by_kind(heaps, taxonomy, person.role, hands)
        is_more = len(heaps) == MOST and not text
        return {
            "progress": progress, "titles": TITLES, "is_more": is_more, "sections": sections,
            "text": text, "finds": bool(text) or is_more or sum(one.concepts for one in sections) > FINDS,
        }  # fmt: skip


def _sought(taxonomy: Taxonomy, text: str) -> list[str]:
    """The first FOUND concepts one of whose names holds a text, or whose id it is; those that begin with it first."""
    sought = plain(text)
    found = []
    for concept in taxonomy:
        places = [at for name in concept.names if (at := plain(name).find(sought)) >= 0]
        if places or concept.concept_id == text:
            found.append((min(places, default=0) > 0, taxonomy.name(concept.concept_id), concept.concept_id))
    return [concept_id for _, _, concept_id in sorted(found)[:FOUND]]


def _offered(heaps: Iterable[Heap], is_for_them: Callable[[Heap], bool]) -> list[Heap]:
    """Those that have a page for somebody; of a kind that mixes concepts one for all, with what waits of them."""
    found: list[Heap] = []
    places: dict[str, int] = {}
    for heap in heaps:
        place = places.get(heap.kind, len(found))
        if place < len(found):
            before = found[place]
            together = (*before.together, *heap.concepts)
            found[place] = before._replace(waiting=before.waiting + heap.waiting, together=together)
        elif is_for_them(heap):
            found.append(heap)
            if heap.together:
                places[heap.kind] = place
    return found


def _by_kind(heaps: list[Heap], taxonomy: Taxonomy, role: str, hands: Collection[tuple[str, str]]) -> list[Section]:
    """What waits of each kind, in the order in which it is asked, the most urgent first."""
    order = {heap.kind: place for place, heap in reversed(list(enumerate(heaps)))}
    heaps = sorted(heaps, key=lambda heap: order[heap.kind])
    found = []
    for kind, group in groupby(heaps, key=lambda heap: heap.kind):
        members = list(group)
        rows = [
            Waiting("", f"{counted(one.waiting, 'picture')} of several concepts", "", (kind, "") in hands)
            if one.together else
            Waiting(one.concept_id, taxonomy.name(one.concept_id) if one.concept_id in taxonomy else one.concept_id,
                    told(one.reason, role, one.concept_id, taxonomy), (kind, one.concept_id) in hands)
            for one in members
        ]  # fmt: skip
        found.append(Section(kind, sum(len(one.concepts) for one in members), _blocks(rows)))
    return found


def _blocks(rows: list[Waiting]) -> list[Block]:
    """Rows in their order, but what somebody holds first, and those that wait for the same reason at the first of them.

    Reasons that differ in their numbers only are the same: "3–5 pictures".
    """
    rows = sorted(rows, key=lambda row: not row.is_held)
    same: dict[str, list[Waiting]] = {}
    for row in rows:
        if not row.is_held and row.reason:
            same.setdefault(_NUMBER.sub("#", row.reason), []).append(row)
    found: list[Block] = []
    done: set[str] = set()
    for row in rows:
        key = _NUMBER.sub("#", row.reason)
        members = same.get(key, [])
        if row.is_held or len(members) < ALIKE:
            if not found or found[-1].is_alike:
                found.append(Block("", [], is_alike=False))
            found[-1].rows.append(row)
        elif key not in done:
            done.add(key)
            found.append(Block(_ranged([one.reason for one in members]), members, is_alike=True))
    return found


def _ranged(reasons: list[str]) -> str:
    """One sentence for several that differ in their numbers only."""
    numbers = [[int(one.replace(",", "")) for one in _NUMBER.findall(reason)] for reason in reasons]
    spans = iter([(min(column), max(column)) for column in zip(*numbers, strict=True)])

    def span(_found: re.Match[str]) -> str:
        low, high = next(spans)
        return f"{low:,}" if low == high else f"{low:,}–{high:,}"

    return _NUMBER.sub(span, reasons[0])
