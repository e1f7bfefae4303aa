"""The way in and out: links with a token, a chosen name, the session's cookie; and the page people start from."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pictus.annotate.desk.links_steps import Lead, lead_of
from pictus.errors import NotThereError, UserError
from pictus.web.desk import bodies
from pictus.web.desk.bodies import json_of
from pictus.web.desk.room import TOKEN, Room, as_json

COOKIE_S = 30 * 24 * 3600
"""Seconds a browser keeps the session; the desk may end it earlier."""
MOST_NAME = 40


def routes(room: Room) -> list[Route]:
    """Entrance, links, signing out."""
    view = _View(room)
    return [
        Route("/join/{token}", view.entrance),
        Route("/desk/here", view.here),
        Route("/desk/join", view.join, methods=["POST"]),
        Route("/desk/leave", view.leave, methods=["POST"]),
    ]


def entrance(room: Room, request: Request, token: str = "") -> Response:
    """What is shown to who is not signed in, and to who comes by a link."""
    person = room.somebody(request)

    def values(_request: Request) -> dict[str, Any]:
        lead = lead_of(room.project, token) if token else Lead("annotator", "")
        return {"person": person, "token": token, "is_kiosk": room.is_kiosk, "most_name": MOST_NAME, "lead": lead}

    answer = room.shell.render("desk/entrance.html", values, request)
    answer.headers["cache-control"] = "no-store"
    answer.headers["referrer-policy"] = "no-referrer"  # the token stands in the address
    return answer


class _View:
    """One room's doors."""

    def __init__(self, room: Room) -> None:
        self.room = room

    async def entrance(self, request: Request) -> Response:
        token = request.path_params["token"]
        _check_whole(token, NotThereError)
        return await self.room.worked(request, entrance, self.room, request, token)

    async def here(self, request: Request) -> Response:
        person = await self.room.worked(request, self.room.somebody, request)
        return as_json({"name": person.name if person else ""})

    async def join(self, request: Request) -> Response:
        body = await json_of(request, "token", "name")
        session = await run_in_threadpool(self._session, bodies.text(body, "token"), bodies.text(body, "name"))
        answer = as_json({"to": "/"})
        answer.set_cookie(
            self.room.cookie, session, max_age=COOKIE_S, httponly=True, samesite="strict", path="/",
            secure=self.room.is_https or request.url.scheme == "https",
        )  # fmt: skip
        return answer

    def _session(self, token: str, name: str) -> str:
        """Sign somebody in, by a link or at a kiosk -> the session's token."""
        if token:
            _check_whole(token, UserError)
            return self.room.desk.join(token, name)
        if not self.room.is_kiosk:
            raise HTTPException(403, "You need a link to come in: ask whoever runs this project for one.")
        return self.room.desk.kiosk(name)

    async def leave(self, request: Request) -> Response:
        await json_of(request)
        session = self.room.session(request)
        if session:
            await self.room.worked(request, self.room.desk.leave, session)
        answer = as_json({"to": "/"})
        answer.delete_cookie(self.room.cookie, path="/", httponly=True, samesite="strict")
        return answer


def _check_whole(token: str, error: type[UserError]) -> None:
    """An error of this type for what cannot be a link's token."""
    if not TOKEN.fullmatch(token):
        raise error("This link is not whole.", fix="copy all of it from the message it came in")
