"""What the drawing pages ask for while somebody draws: the mask that clicks mean, and a concept's skeleton."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from pictus.annotate.desk.desk_steps import Person
from pictus.annotate.shapes import click_steps, skeleton_steps
from pictus.errors import UserError
from pictus.web.desk import bodies
from pictus.web.desk.bodies import Body
from pictus.web.desk.room import Room, page_id_of

MOST_ITEMS = 1_000
KIND = "mask"


def routes(room: Room) -> list[Route]:
    """Clicks and skeletons."""
    view = _View(room)
    return [
        Route(
            "/desk/pages/{page_id}/segment", room.post(view.segment, "position", "clicks", "box"), methods=["POST"]
        ),
        Route("/desk/skeletons", room.get(view.skeletons)),
    ]  # fmt: skip


class _View:
    """One desk's answers to who draws."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.finder = click_steps.Finder()

    def segment(self, person: Person, request: Request, body: Body) -> Mapping[str, Any]:
        position = bodies.whole(body, "position", most=MOST_ITEMS)
        clicks = bodies.rows(body, "clicks", most=click_steps.MOST_CLICKS)
        box = body.get("box")
        if box is not None and not isinstance(box, list):
            raise UserError("box is not a list.", fix="[x1, y1, x2, y2] in px of the picture")
        page_id = page_id_of(request)
        image_id = self.room.desk.picture(person, page_id, position)  # only pages of one's own
        if self.room.desk.imprint(person, page_id).kind != KIND:
            raise UserError("Things are found on pages of outlines only.")
        asked = click_steps.Asked(image_id, clicks, box, person.name)
        try:
            return self.finder.find(asked, lambda: self.room.shots.read(image_id)[0])
        except click_steps.BusyError as error:
            raise HTTPException(503, f"{error.what} {error.fix[:1].upper()}{error.fix[1:]}.") from error

    def skeletons(self, _person: Person, request: Request) -> Mapping[str, Any]:
        return skeleton_steps.offered(self.room.project, request.query_params.get("concept", "")[:200])
