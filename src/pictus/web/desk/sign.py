"""The way in and out: links with a token, a chosen name, the session's cookie; and the page people start from."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pictus.annotate.desk.links_steps import role_by
from pictus.errors import NotThereError, UserError
from pictus.web.desk import bodies
from pictus.web.desk.bodies import json_of
from pictus.web.desk.room import TOKEN, Endpoint, Room

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
        role = role_by(room.project, token) if token else "annotator"
        return {"person": person, "token": token, "is_kiosk": room.is_kiosk, "most_name": MOST_NAME, "role": role}

    answer = room.shell.render("desk/entrance.html", values, request)
    answer.headers["cache-control"] = "no-store"
    answer.headers["referrer-policy"] = "no-referrer"  # the token stands in the address
    return answer


class _View:
    """One room's doors."""

    def __init__(self, room: Room) -> None:
        self.room = room

    @property
    def entrance(self) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            token = request.path_params["token"]
            if not TOKEN.fullmatch(token):
                raise NotThereError("This link is not whole.", fix="copy all of it from the message it came in")
            return await run_in_threadpool(entrance, self.room, request, token)

        return endpoint

    @property
    def here(self) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            person = await run_in_threadpool(self.room.somebody, request)
            return JSONResponse({"name": person.name if person else ""}, headers={"cache-control": "no-store"})

        return endpoint

    @property
    def join(self) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            body = await json_of(request, "token", "name")
            return await run_in_threadpool(self._joined, request, body)

        return endpoint

    def _joined(self, request: Request, body: bodies.Body) -> Response:
        token, name = bodies.text(body, "token"), bodies.text(body, "name", most=MOST_NAME).strip()
        if not name:
            raise UserError("A name is missing.", fix="any name you like; it stands beside your answers")
        if not all(sign.isprintable() for sign in name):
            raise UserError("The name holds signs that cannot be shown.", fix="letters, digits, spaces")
        if token:
            if not TOKEN.fullmatch(token):
                raise UserError("This link is not whole.", fix="copy all of it from the message it came in")
            session = self.room.desk.join(token, name)
        elif self.room.is_kiosk:
            session = self.room.desk.kiosk(name)
        else:
            raise HTTPException(403, "You need a link to come in: ask whoever runs this project for one.")
        answer = JSONResponse({"to": "/"}, headers={"cache-control": "no-store"})
        answer.set_cookie(
            self.room.cookie, session, max_age=COOKIE_S, httponly=True, samesite="strict", path="/",
            secure=self.room.is_https or request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @property
    def leave(self) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            await json_of(request)
            session = self.room.session(request)
            if session:
                await run_in_threadpool(self.room.desk.leave, session)
            answer = JSONResponse({"to": "/"}, headers={"cache-control": "no-store"})
            answer.delete_cookie(self.room.cookie, path="/", httponly=True, samesite="strict")
            return answer

        return endpoint
