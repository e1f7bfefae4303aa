"""Review: what is worth a look, walls of pictures to be ruled on, one picture's history, one annotator's record.

Pages stand under /review, what their script asks for under /desk/review. For reviewers and owners only.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pictus import annotate
from pictus.annotate.desk.desk_steps import Person
from pictus.annotate.review import record_steps, review_steps, worklist_steps
from pictus.annotate.review.worklist_steps import Asked, Tile, Worklist
from pictus.annotate.tasks import ROLES
from pictus.concepts import Taxonomy
from pictus.errors import NotThereError, UserError, counted
from pictus.web.desk import bodies
from pictus.web.desk.bodies import Body
from pictus.web.desk.record_charts import record_chart
from pictus.web.desk.room import Endpoint, Room, SignedOutError, Values
from pictus.web.layout import whole
from pictus.web.tree import by_name

REVIEWER, OWNER = "reviewer", "owner"
IMAGE = re.compile(r"[0-9a-f]{64}", re.ASCII)
MOST = 5_000
"""Pictures of one act; each takes some 100 bytes of the body."""
MOST_BODY = 1_500_000
PAGE = 120
MOST_COUNT = 500
LISTED = 12
STRIP = 6
"""Pictures that show what a wall is about."""
ACTS = ("is", "is-not", "move")
PATIENT_S = 0.8
"""So long somebody waits for the first page before it says what it waits for."""
COUNTED_S = 5.0
"""Seconds for which the tree's counts are not counted again."""


def routes(room: Room) -> list[Route]:
    """The pages, and what they ask for."""
    room.has_review = True
    view = _View(room)
    at = "/desk/review"
    return [
        Route("/review", view.page("desk/review.html", view.overview)),
        Route("/review/wall", view.page("desk/review_wall.html", view.wall_page)),
        Route("/review/person", view.page("desk/review_person.html", view.person_page)),
        Route(at + "/ready", room.get(view.ready, REVIEWER)),
        Route(at, view.moved),
        Route(at + "/wall", room.get(view.wall, REVIEWER)),
        Route(at + "/tree", room.get(view.tree, REVIEWER)),
        Route(at + "/picture", room.get(view.picture, REVIEWER)),
        Route(
            at + "/rule", room.post(view.rule, "act", "pictures", "to", "reason", role=REVIEWER, most=MOST_BODY),
            methods=["POST"],
        ),
        Route(at + "/take-back", room.post(view.take_back, "batch", role=REVIEWER), methods=["POST"]),
        Route(at + "/pause", room.post(view.pause, "name", "reason", "resume", role=REVIEWER), methods=["POST"]),
        Route(at + "/pictures/{image_id}/{side:int}", view.shot),
    ]  # fmt: skip


class _View:
    """One desk's review."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.project = room.project
        self.worklist = Worklist(room.project, room.shell.taxonomy)
        self._lock = threading.Lock()
        self._counts: tuple[float, dict[str, int]] = (-COUNTED_S, {})

    # --- pages ------------------------------------------------------------------------------------------------------

    def page(self, template: str, values: Callable[[Person, Request], Values]) -> Endpoint:
        """A page of the worklist; while that is read for the first time, one that says so and goes on by itself."""
        whole_page = self.room.page(template, values, REVIEWER)
        waiting = self.room.page("desk/review_wait.html", self.waiting, REVIEWER)

        def is_ready(request: Request) -> bool:
            try:
                self.room.person(request, REVIEWER)
            except (SignedOutError, HTTPException):
                return True  # the page itself says so, and nothing is read for them
            return self.worklist.is_ready(PATIENT_S)

        async def endpoint(request: Request) -> Response:
            return await (whole_page if await self.room.worked(request, is_ready, request) else waiting)(request)

        return endpoint

    def waiting(self, _person: Person, _request: Request) -> Values:
        return {"votes": self.project.journal.vote_count()}

    def ready(self, _person: Person, _request: Request) -> Mapping[str, Any]:
        return {"is_ready": self.worklist.is_ready(PATIENT_S)}

    async def moved(self, _request: Request) -> Response:
        """Where somebody types the address of what the script asks for."""
        return RedirectResponse("/review", 303)

    def overview(self, _person: Person, _request: Request) -> Values:
        disputed, pairs, workers = (
            self.worklist.disagreements(), self.worklist.pairs(), record_steps.everybody(self.project)
        )  # fmt: skip
        appealed = {event.subject for event in self.project.journal.events(event="appeal_made")}
        workers.sort(key=lambda one: (one.state != "paused", -one.questions, one.name))
        counts, taxonomy = self._counted(), self.room.shell.taxonomy()
        classes = [(one, self._name(one), counts.get(one, 0)) for one in by_name(taxonomy, taxonomy.classes)]
        return {
            "disputed": [(one, self._name(one), count) for one, count in disputed.items()][:LISTED],
            "strips": {of: self.worklist.wall(Asked(of)).images[:STRIP] for of in ("disagreements", "suspects")},
            "n_disputed": sum(disputed.values()), "n_disputed_concepts": len(disputed),
            "pairs": [(one, self._name(one.concept_id), self._name(one.other_id)) for one in pairs[:LISTED]],
            "n_pairs": len(pairs), "n_suspects": self.worklist.suspects(),
            "workers": [one for one in workers if one.pages or one.state == "paused"][:LISTED],
            "n_workers": sum(bool(one.pages) for one in workers), "appealed": appealed,
            "acts": self.worklist.acts(), "concepts": classes[: 2 * LISTED], "n_concepts": len(classes),
            "has_labels": bool(counts),
        }  # fmt: skip

    def wall_page(self, _person: Person, request: Request) -> Values:
        asked = self._asked(request)
        walls = [asked]
        if asked.of == "pair":
            walls.append(Asked("pair", asked.other, asked.concept))
        total = [len(self.worklist.wall(one).images) for one in walls]
        name, other = self._name(asked.concept), self._name(asked.other)
        titles = {
            "disagreements": f"Votes are split{': ' + name if asked.concept else ''}", "pair": f"{name} or {other}?",
            "suspects": f"Labels that a model doubts{': ' + name if asked.concept else ''}", "concept": name,
            "person": f"Where {asked.name} differs", "batch": f"Ruled as {asked.name}",
        }  # fmt: skip
        return {
            "title": titles[asked.of], "asked": asked, "walls": list(zip(walls, total, strict=True)),
            "names": [name, other] if asked.of == "pair" else [""], "why": _WHY[asked.of],
            "gloss": self._gloss(asked.concept) if asked.of == "concept" else "",
        }  # fmt: skip

    def person_page(self, person: Person, request: Request) -> Values:
        record = record_steps.record_of(self.project, request.query_params.get("name", "")[:80])
        asked = Asked("person", name=record.person.name)
        return {
            "record": record, "chart": record_chart(record), "asked": asked,
            "walls": [(asked, len(self.worklist.wall(asked).images))], "names": [""],
            "may_pause": _may_pause(person, record.person),
            "appeal": next((text for _, what, text in reversed(record.events) if what == "appeal_made"), ""),
        }  # fmt: skip

    # --- what the pages ask for -------------------------------------------------------------------------------------

    def wall(self, _person: Person, request: Request) -> Mapping[str, Any]:
        asked, offset = self._asked(request), whole(request, "offset")
        count = min(whole(request, "count", PAGE), MOST_COUNT)
        wall = self.worklist.wall(asked, request.query_params.get("at", "")[:16])
        tiles = self.worklist.tiles(wall, offset, count)
        return {"total": len(wall.images), "at": wall.token, "pictures": [_json(one) for one in tiles]}

    def tree(self, _person: Person, _request: Request) -> Mapping[str, Any]:
        """[id, name, depth, whether it is a class, pictures] of every concept, kin together."""
        taxonomy, counts = self.room.shell.taxonomy(), self._counted()
        waiting = [(one, 0) for one in by_name(taxonomy, taxonomy.roots)[::-1]]
        found: dict[str, list[Any]] = {}
        while waiting:
            concept_id, depth = waiting.pop()
            if concept_id in found:
                continue
            concept = taxonomy.get(concept_id)
            found[concept_id] = [
                concept_id, taxonomy.name(concept_id), depth, int(concept.is_class), counts.get(concept_id, 0),
                " ".join(concept.names[1:4]),
            ]
            waiting.extend((child, depth + 1) for child in by_name(taxonomy, taxonomy.children(concept_id))[::-1])
        return {"concepts": list(found.values())}

    def picture(self, _person: Person, request: Request) -> Mapping[str, Any]:
        image_id = _image(request.query_params.get("image", ""))
        taxonomy = self.room.shell.taxonomy()
        now = self.worklist.now([image_id])[image_id]
        entries = review_steps.entries(self.project, taxonomy, image_id)
        return {
            "image": image_id, "now": now._asdict() | {"name": self._name(now.concept_id)},
            "history": [
                {"at": one.at, "who": one.who, "what": one.what, "why": one.why, "counts": one.counts}
                for one in entries
            ],
        }  # fmt: skip

    def rule(self, person: Person, _request: Request, body: Body) -> Mapping[str, Any]:
        _check_active(person)
        act, to = bodies.text(body, "act", most=10), bodies.text(body, "to")
        if act not in ACTS:
            raise UserError(f"There is no act {act!r}.", fix="one of: " + ", ".join(ACTS))
        pictures = [_picture(row) for row in bodies.rows(body, "pictures", most=MOST)]
        reason = bodies.text(body, "reason", most=review_steps.MOST_REASON).strip() or "seen in review"
        now = self.worklist.now([one for one, _, _ in pictures])
        wanted: list[review_steps.Decision] = []
        for image_id, concept, other in pictures:
            shown = now[image_id]
            old = shown.concept_id if shown.by and shown.status == "accepted" else concept
            if act == "move":
                wanted += review_steps.reassigned([(image_id, old)], other or to)
            else:
                wanted.append(review_steps.Decision(image_id, concept, act))
        done = review_steps.decide(self.project, person.name, wanted, reason)
        return self._after(done, [one for one, _, _ in pictures], f"{counted(done.pictures, 'picture')} ruled on")

    def take_back(self, person: Person, _request: Request, body: Body) -> Mapping[str, Any]:
        _check_active(person)
        batch = bodies.text(body, "batch", most=40)
        done = review_steps.withdraw(self.project, person.name, batch)
        images = self.worklist.wall(Asked("batch", name=done.batch)).images
        return self._after(done, images, f"taken back on {counted(done.pictures, 'picture')}")

    def pause(self, person: Person, _request: Request, body: Body) -> Mapping[str, Any]:
        _check_active(person)
        name, reason = bodies.text(body, "name", most=80), bodies.text(body, "reason", most=500).strip()
        is_resumed = bodies.flag(body, "resume")
        other = record_steps.record_of(self.project, name).person
        if not _may_pause(person, other):
            raise HTTPException(403, f"{person.name} may not pause {other.name}, who is {other.role}.")
        outcome = annotate.pause(self.project, name, reason="" if is_resumed else reason, resume=is_resumed)
        return {"said": outcome.headline}

    async def shot(self, request: Request) -> Response:
        """One picture by its id, which only reviewers know."""
        person = await self.room.worked(request, self.room.person, request, REVIEWER)
        with self.room.taps.asked(person.name):
            return await self.room.shown(request, person, _image(request.path_params["image_id"]))

    # --- parts ------------------------------------------------------------------------------------------------------

    def _after(self, done: review_steps.Done, image_ids: list[str], said: str) -> Mapping[str, Any]:
        now = self.worklist.now(image_ids)
        return {
            "batch": done.batch, "said": said, "pictures": done.pictures, "overruled": done.overruled,
            "now": {one: _shown(shown) for one, shown in now.items()},
        }  # fmt: skip

    def _asked(self, request: Request) -> Asked:
        query, taxonomy = request.query_params, self.room.shell.taxonomy()
        asked = Asked(query.get("of", "disagreements")[:20], query.get("concept", "")[:200],
                      query.get("other", "")[:200], query.get("name", "")[:80])  # fmt: skip
        if asked.of not in worklist_steps.KINDS:
            raise UserError(f"There is no wall {asked.of!r}.", fix="one of: " + ", ".join(worklist_steps.KINDS))
        if asked.of == "concept" and asked.concept not in taxonomy:  # typed by hand: a name
            asked = asked._replace(concept=taxonomy.resolve(asked.concept))
        if asked.of == "person":
            record_steps.check_known(self.project, asked.name)
        if asked.of == "pair" and not (asked.concept and asked.other and asked.concept != asked.other):
            raise UserError("A pair is two concepts.", fix="/review lists those that are mixed up")
        return asked

    def _counted(self) -> dict[str, int]:
        with self._lock:
            if time.monotonic() - self._counts[0] >= COUNTED_S:
                self._counts = (time.monotonic(), self.worklist.counts())
            return self._counts[1]

    def _name(self, concept_id: str) -> str:
        return _name(self.room.shell.taxonomy(), concept_id)

    def _gloss(self, concept_id: str) -> str:
        taxonomy = self.room.shell.taxonomy()
        return taxonomy.get(concept_id).gloss if concept_id in taxonomy else ""


_WHY = {
    "disagreements": "yes:no, the most even first, each vote weighed by how often its annotator is right",
    "pair": "pictures that people or models take for both, then the others, the least sure first",
    "suspects": "the least probable label first",
    "concept": "the least sure first, those ruled on last",
    "person": "the surest first",
    "batch": "what one act decided",
}
"""Wall -> its order, in words."""


def _name(taxonomy: Taxonomy, concept_id: str) -> str:
    return taxonomy.name(concept_id) if concept_id in taxonomy else concept_id


def _shown(shown: Any) -> list[str]:  # noqa: ANN401  rulings.Shown, a name of the stage's inside
    return [shown.concept_id, shown.status, shown.by]


def _json(tile: Tile) -> list[Any]:
    """[image_id, concept in question, other concept, words, its label now, status, whose ruling]."""
    return [tile.image_id, tile.concept_id, tile.other_id, tile.note, *_shown(tile.shown)]


def _image(text: str) -> str:
    if not IMAGE.fullmatch(text):
        raise NotThereError("There is no such picture.")
    return text


def _picture(row: Any) -> tuple[str, str, str]:  # noqa: ANN401  JSON
    """[image_id, concept in question], or with the concept it moves to."""
    if not (isinstance(row, list) and 2 <= len(row) <= 3 and all(isinstance(one, str) for one in row)):  # noqa: PLR2004
        raise UserError("pictures holds something that is no [image_id, concept_id].")
    return _image(row[0]), row[1][:200], row[2][:200] if row[2:] else ""


def _check_active(person: Person) -> None:
    if person.state == "paused":
        raise HTTPException(403, f"{person.name} is paused: {person.reason}")


def _may_pause(person: Person, other: Person) -> bool:
    """Owners anybody but themselves, reviewers those who only annotate."""
    least = ROLES.index(person.role) > ROLES.index(other.role)
    return other.name != person.name and (least or person.role == OWNER)
