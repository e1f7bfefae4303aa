"""The owner's page: who annotates and how well, pausing and letting go on, links that bring people in."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.routing import Route

from pictus import annotate
from pictus.annotate.desk.desk_steps import Person
from pictus.annotate.queues import effort_steps
from pictus.annotate.tasks import ROLES
from pictus.errors import UserError
from pictus.web.desk import bodies
from pictus.web.desk.bodies import Body
from pictus.web.desk.room import Room, Values
from pictus.web.desk.work import TITLES

MOST_LINKS = 500
"""Links made from the page at once; more: pictus annotate invite."""
APPEALS = 50
SHOWN = 200
"""Rows of each table: those who are paused first, then by work; the commands list all."""
OWNER = "owner"
REMARKS = 1_000
"""Events looked at for what people said of concepts."""


class Unpicturable(NamedTuple):
    """A concept that somebody said cannot be pictured."""

    concept_id: str
    name: str
    by: tuple[str, ...]
    is_aside: bool  # enough said so: nobody is asked about it any more


def routes(room: Room) -> list[Route]:
    """For owners only."""
    view = _View(room)
    return [
        Route("/people", room.page("desk/people.html", view.people, OWNER)),
        Route("/desk/people/pause", room.post(view.pause, "name", "reason", "resume", role=OWNER), methods=["POST"]),
        Route(
            "/desk/people/invite", room.post(view.invite, "many", "role", "days", "quota", "uses", "note", role=OWNER),
            methods=["POST"],
        ),
        Route("/desk/people/reopen", room.post(view.reopen, "concept", role=OWNER), methods=["POST"]),
        Route("/desk/people/revoke", room.post(view.revoke, "link", role=OWNER), methods=["POST"]),
    ]  # fmt: skip


class _View:
    def __init__(self, room: Room) -> None:
        self.project = room.project
        self.desk = room.desk

    def people(self, _person: Person, request: Request) -> Values:
        pay = str(getattr(request.app.state, "pay", ""))  # set by `annotate serve --pay`
        outcome = annotate.people(self.project, pay=pay)
        workers = list(outcome)
        links = list(annotate.links(self.project))
        paused = {one.name for one in workers if one.state == "paused"}
        events = self.project.journal.events(event="appeal_made", limit=APPEALS)
        return {
            "workers": sorted(workers, key=lambda one: (one.state != "paused", -one.questions, one.name))[:SHOWN],
            "n_workers": len(workers), "links": links[:SHOWN], "n_links": len(links), "roles": ROLES,
            "effort": effort_steps.words(effort_steps.works(self.project), effort_steps.pay_of(pay), TITLES),
            "pay": effort_steps.pay_of(pay),
            "lasting": effort_steps.lasting,
            "lacks": self.desk.lacks_people(), "unpicturable": self._unpicturable(),
            "appeals": [event for event in events if event.subject in paused],
        }  # fmt: skip

    def _unpicturable(self) -> list[Unpicturable]:
        """What people called so since it was last asked again, the latest first."""
        taxonomy, events = self.desk.taxonomy(), self.project.journal.events
        reopened: dict[str, int] = {}
        for event in events(event="concept_reopened", limit=REMARKS):
            reopened.setdefault(event.subject, event.event_id)
        since = {
            name: [one for one in events(event=name, limit=REMARKS) if one.event_id > reopened.get(one.subject, 0)]
            for name in ("concept_called_unpicturable", "concept_parked")
        }  # fmt: skip
        aside = {event.subject for event in since["concept_parked"]}
        who: dict[str, list[str]] = {}
        for event in since["concept_called_unpicturable"]:
            who.setdefault(event.subject, []).append(str(event.data.get("by", "")))
        return [
            Unpicturable(one, taxonomy.name(one) if one in taxonomy else one, tuple(sorted(set(names))), one in aside)
            for one, names in who.items()
        ]

    def reopen(self, _person: Person, _request: Request, body: Body) -> Values:
        return {"said": annotate.reopen(self.project, bodies.text(body, "concept")).headline}

    def pause(self, person: Person, _request: Request, body: Body) -> Values:
        name, reason = bodies.text(body, "name", most=80), bodies.text(body, "reason", most=500).strip()
        is_resumed = bodies.flag(body, "resume")
        if name == person.name and not is_resumed:
            raise UserError("You would pause yourself.", fix="another owner can")
        outcome = annotate.pause(self.project, name, reason="" if is_resumed else reason, resume=is_resumed)
        return {"said": outcome.headline}

    def invite(self, _person: Person, _request: Request, body: Body) -> Values:
        outcome = annotate.invite(
            self.project, many=bodies.whole(body, "many", 1, least=1, most=MOST_LINKS),
            role=bodies.text(body, "role", "annotator"), days=bodies.number(body, "days", 14.0),
            quota=bodies.whole(body, "quota", 0), uses=bodies.whole(body, "uses", 1, least=1),
            note=bodies.text(body, "note"),
        )  # fmt: skip
        return {"links": outcome.summary["links"], "expires_at": outcome.summary["expires_at"]}

    def revoke(self, _person: Person, _request: Request, body: Body) -> Values:
        return {"said": annotate.revoke(self.project, bodies.text(body, "link")).headline}
