"""Where a signed-in person starts: what waits and why, how far they are."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pictus.annotate.desk_steps import Person
from pictus.web.desk.room import Room, Values
from pictus.web.desk.sign import entrance


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
        return {"progress": self.room.desk.progress(person)}
