"""What the desk's pages share: who asks, how an answer is made off the event loop, and pictures by their ids."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pictus.annotate.desk.desk_steps import Desk, Person
from pictus.annotate.desk.links_steps import crowd_of
from pictus.annotate.tasks import KINDS, ROLES
from pictus.errors import NotThereError, PictureError, UserError
from pictus.project import Project
from pictus.web.charts import placeholder
from pictus.web.desk.bodies import MAX_SMALL, Body, check_ours, data_of, parsed
from pictus.web.desk.parcels import Parcels
from pictus.web.desk.ready import Ready, made
from pictus.web.desk.taps import Original, Taps, poured
from pictus.web.desk.turns import Turns, Who
from pictus.web.layout import Shell
from pictus.web.security import SANDBOX
from pictus.web.shots import SHOWN, THUMBNAIL_SIDES, Shots

Endpoint = Callable[[Request], Awaitable[Response]]
Values = dict[str, Any]
Result = TypeVar("Result")
Given = ParamSpec("Given")

LARGEST = 2_000
"""Side in px of what is shown for a file that browsers do not show."""
PICTURE = {"cache-control": "private, max-age=3600"}
"""For every picture alike. No etag and no time of making: they would tell which were shown to others before."""
KIOSK_PICTURE = {"cache-control": "no-store"}
"""Where people sit at one browser in turn: who signed out leaves nothing in it."""
PACE_S = 0.03
"""No picture comes sooner: how long the disk takes would tell which were shown to others before, as known answers are.
What takes longer, making them small, is done before any of a page is answered (`ready.py`). Pages are fetched ahead, so
nobody waits for it."""
TRIED = 200_000
"""Pictures, the latest, that are known to be made small: to look costs 2 ms of each, and most are on many pages."""
MEANT = "x-pictus-person"
"""Whom a page was made for, percent-encoded."""
PAGE_ID = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
TOKEN = re.compile(r"[A-Za-z0-9_.~-]{10,200}", re.ASCII)


class SignedOutError(Exception):
    """Nobody is signed in, or no longer."""


class Room:
    """One project's desk as its pages see it. `is_kiosk`: people need no link, which only loopback allows.

    `address`: what people type, where a proxy stands before us.
    """

    def __init__(
        self, project: Project, desk: Desk, *, is_kiosk: bool, tells_accuracy: bool = False, address: str = ""
    ) -> None:
        self.project = project
        self.desk = desk
        self.is_kiosk = is_kiosk
        self.tells_accuracy = tells_accuracy
        self.is_https = address.lower().startswith("https:")
        self.of_picture = KIOSK_PICTURE if is_kiosk else PICTURE
        self.has_review = False  # set by who adds those pages
        self.shell = Shell(project, is_open=True, taxonomy=desk.taxonomy)
        self.shots = Shots(project)
        self.ready = Ready(self._make, self._find)
        self.taps = Taps()
        self.parcels = Parcels()
        self.turns = Turns()
        self._crowds: dict[str, str] = {}
        self._tried: OrderedDict[str, None] = OrderedDict()
        self.cookie = "pictus_desk_" + hashlib.sha256(project.name.encode()).hexdigest()[:8]  # ports share cookies

    def session(self, request: Request) -> str:
        """The token of who asks, "" for none and for what cannot be one."""
        found = request.cookies.get(self.cookie, "")
        return found if TOKEN.fullmatch(found) else ""

    def somebody(self, request: Request) -> Person | None:
        """Who asks; None for nobody."""
        session = self.session(request)
        return self.desk.person(session) if session else None

    def person(self, request: Request, role: str = "annotator") -> Person:
        """Who asks; SignedOutError for nobody, 403 for one who may not."""
        found = self.somebody(request)
        meant = unquote(request.headers.get(MEANT, ""))
        if found is None or (meant and meant != found.name):  # another tab signed in somebody else
            raise SignedOutError
        if role != ROLES[0] and found.state == "paused":
            raise HTTPException(403, f"{found.name} is paused: only answering pages can be looked at.")
        if ROLES.index(found.role) < ROLES.index(role):
            raise HTTPException(403, f"This is for {role}s only; {found.name} is signed in as {found.role}.")
        return found

    def page(self, template: str, values: Callable[[Person, Request], Values], role: str = "annotator") -> Endpoint:
        """An HTML page for who is signed in; the others are led to the entrance."""

        def render(request: Request) -> Response:
            try:
                person = self.person(request, role)
            except SignedOutError:
                return RedirectResponse("/", 303)
            shared = {"person": person, "is_kiosk": self.is_kiosk, "has_review": self.has_review}
            answer = self.shell.render(template, lambda asked: shared | values(person, asked), request)
            answer.headers["cache-control"] = "no-store"
            return answer

        return self._off_loop(render)

    def get(self, values: Callable[[Person, Request], Mapping[str, Any]], role: str = "annotator") -> Endpoint:
        """JSON that only reads."""

        def answer(request: Request) -> Response:
            return as_json(values(self.person(request, role), request))

        return self._off_loop(answer)

    def post(
        self, action: Callable[[Person, Request, Body], Mapping[str, Any]], *names: str, role: str = "annotator",
        most: int = MAX_SMALL,
    ) -> Endpoint:  # fmt: skip
        """JSON that may change something. `names`: the fields its body may have; `most`: bytes of it, where that is
        much and a page is named, only for one of one's own at which people draw.
        """

        def look(request: Request) -> tuple[Person, int]:
            person = self.person(request, role)
            is_of_page = "page_id" in request.path_params  # others, as a reviewer's rulings, have their own measure
            is_small = most <= MAX_SMALL or (is_of_page and not self._draws(person, request))
            return person, min(most, MAX_SMALL) if is_small else most

        async def endpoint(request: Request) -> Response:
            check_ours(request)
            async with self.turns.of(self.session(request)):
                person, bytes_may = await run_in_threadpool(look, request)  # before anything large is read
            who = Who(person.name, person.name) if bytes_may <= MAX_SMALL else await self._who(person)
            with self.parcels.of(who) as parcel:
                async with parcel.coming():
                    data = await data_of(request, bytes_may, parcel.weigh)
                async with self.parcels.worked(parcel):
                    return await self.worked(request, lambda: as_json(action(person, request, parsed(data, *names))))

        return endpoint

    async def worked(
        self, request: Request, work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """What `work` returns, in a thread; of one session a few at a time, and only while somebody waits for it.
        The body, if there is one, must have been read.
        """
        async with self.turns.of(self.session(request)):
            if await request.is_disconnected():
                raise ClientDisconnect
            return await run_in_threadpool(work, *args, **kwargs)

    async def _who(self, person: Person) -> Who:
        """Who somebody is where places are few: one of those of their link, where it lets several in."""
        if person.name not in self._crowds:
            self._crowds[person.name] = await run_in_threadpool(crowd_of, self.project, person.name)
        return Who(person.name, self._crowds[person.name])

    def _draws(self, person: Person, request: Request) -> bool:
        """Whether people draw at the page in the address; NotThereError for one that is not this person's."""
        return KINDS.get(self.desk.imprint(person, page_id_of(request)).kind).draws

    def picture(self, find: Callable[[Person, Request], str]) -> Endpoint:
        """One picture at the side that stands in the address; `find` says which it is. Never sooner than PACE_S, and
        one of a page not before all of that page are made.
        """

        def look(person: Person, request: Request) -> tuple[str, Future[None] | None]:
            image_id = find(person, request)
            if "page_id" not in request.path_params:
                return image_id, None
            page_id = page_id_of(request)
            whole = self.ready.known(page_id)
            return image_id, whole or self.ready.begun(
                page_id, self.desk.imprint(person, page_id).pictures, person.name
            )

        async def endpoint(request: Request) -> Response:
            begun = time.monotonic()
            person = await self.worked(request, self.person, request)
            with self.taps.asked(person.name):
                image_id, whole = await self.worked(request, look, person, request)
                if whole is not None:
                    await made(whole)
                pace_s = max(0.0, begun + PACE_S - time.monotonic())
                return await self.shown(request, person, image_id, pace_s)

        return endpoint

    def _find(self, image_ids: Collection[str]) -> None:
        """Look up at once where all of these lie, so that `_make` need not open the table for each."""
        with suppress(PictureError, UserError, OSError):  # `_make` meets the same
            self.shots.places.find_all([one for one in image_ids if one not in self._tried])

    def _make(self, image_id: str) -> None:
        if image_id in self._tried:
            return
        try:
            with suppress(PictureError, UserError):  # whoever asks for it is told what is wrong
                self.shots.make(image_id, LARGEST)
        except OSError:  # a full disk, too many open files: the next page tries again
            return
        self._tried[image_id] = None
        if len(self._tried) > TRIED:
            with suppress(KeyError):  # another thread was about to take the same one
                self._tried.popitem(last=False)

    async def shown(self, request: Request, person: Person, image_id: str, pace_s: float = 0.0) -> Response:
        """A thumbnail of the side in the address, or the file itself for 0; with the same headers whatever picture."""
        side = request.path_params["side"]
        if side not in (0, *THUMBNAIL_SIDES):
            raise NotThereError(f"Pictures come in {', '.join(map(str, THUMBNAIL_SIDES))} px, and 0 for as it is.")
        if side == 0:
            who = await self._who(person)
            return await poured(who, self.taps, lambda: self._original(image_id), self.of_picture, pace_s)
        begun = time.monotonic()
        found = await self.worked(request, self._thumbnail, image_id, side)
        await asyncio.sleep(max(0.0, begun + pace_s - time.monotonic()))
        return found

    def _thumbnail(self, image_id: str, side: int) -> Response:
        try:
            return Response(self.shots.thumbnail(image_id, side).read_bytes(), 200, self.of_picture, "image/jpeg")
        except PictureError as error:
            return self._instead(error)

    def _original(self, image_id: str) -> Response | Original:
        try:
            picture, read = self.shots.pieces(image_id)
            if picture.format in SHOWN:
                return Original(picture.size, read, f"image/{picture.format}")
            image_bytes = self.shots.thumbnail(image_id, LARGEST).read_bytes()
        except PictureError as error:
            return self._instead(error)
        return Original(len(image_bytes), lambda start, count: image_bytes[start : start + count], "image/jpeg")

    def _instead(self, error: PictureError) -> Response:
        return Response(placeholder(error.cause), 200, SANDBOX | self.of_picture, "image/svg+xml")

    def _off_loop(self, answer: Callable[[Request], Response]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await self.worked(request, answer, request)

        return endpoint


def page_id_of(request: Request) -> str:
    """The page named in the address."""
    found = request.path_params["page_id"]
    if not isinstance(found, str) or not PAGE_ID.fullmatch(found):
        raise NotThereError("There is no such page.")
    return found


def as_json(found: Mapping[str, Any]) -> Response:
    """JSON that no cache keeps."""
    return JSONResponse(dict(found), headers={"cache-control": "no-store"})
