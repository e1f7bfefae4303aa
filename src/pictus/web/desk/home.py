"""Where a signed-in person starts: what waits and why, how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby, islice
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pictus.annotate.desk.desk_steps import Person
from pictus.annotate.desk.lease_steps import Heap, has_page, kinds_for, open_heaps
from pictus.concepts import Taxonomy
from pictus.errors import counted
from pictus.web.desk.reasons import told
from pictus.web.desk.room import Room, Values
from pictus.web.desk.sign import entrance
from pictus.web.desk.work import TITLES

MOST = 200
"""Heaps looked at, the most urgent first."""
EACH = 60
"""Concepts shown of each kind."""


class Waiting(NamedTuple):
    """One concept that waits, as the first page tells it."""

    concept_id: str
    name: str
    reason: str


def routes(room: Room) -> list[Route]:
    """The first page, which is the entrance for who is not signed in."""
    view = _View(room)
    signed_in = room.page("desk/home.html", view.home)

    async def first(request: Request) -> Response:
        if await run_in_threadpool(room.somebody, request):
            return await signed_in(request)
        return await run_in_threadpool(entrance, room, request)

    return [Route("/", first)]


class _View:
    def __init__(self, room: Room) -> None:
        self.room = room

    def home(self, person: Person, _request: Request) -> Values:
        with self.room.project.journal.reading() as connection:
            found = open_heaps(connection, kinds_for(person.role), kind="", concept_id="")
            heaps = _offered(islice(found, MOST), lambda heap: has_page(connection, heap, person.name))
        return {
            "progress": self.room.desk.progress(person), "titles": TITLES, "is_more": len(heaps) == MOST,
            "kinds": _by_kind(heaps, self.room.shell.taxonomy(), person.role),
        }  # fmt: skip


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


def _by_kind(heaps: list[Heap], taxonomy: Taxonomy, role: str) -> list[tuple[str, int, list[Waiting]]]:
    """(kind, how many concepts wait, the most urgent of them), in the order in which they are asked."""
    order = {heap.kind: place for place, heap in reversed(list(enumerate(heaps)))}
    heaps = sorted(heaps, key=lambda heap: order[heap.kind])
    found = []
    for kind, group in groupby(heaps, key=lambda heap: heap.kind):
        members = list(group)
        rows = [
            Waiting("", f"{counted(one.waiting, 'picture')} of several concepts", "") if one.together else
            Waiting(one.concept_id, taxonomy.name(one.concept_id) if one.concept_id in taxonomy else one.concept_id,
                    told(one.reason, role, one.concept_id, taxonomy))
            for one in members
        ]  # fmt: skip
        found.append((kind, sum(len(one.concepts) for one in members), rows[:EACH]))
    return found
