"""Pages of questions as JSON: lent, handed in, given back; the pictures on them; quiz, appeal, progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from pictus.annotate.desk import lease_steps
from pictus.annotate.desk.desk_steps import KINDS, Given, Page, Person, Progress, Quiz
from pictus.annotate.tasks import ROLES
from pictus.errors import UserError
from pictus.web.desk import bodies
from pictus.web.desk.bodies import Body
from pictus.web.desk.cards import Cards
from pictus.web.desk.reasons import told
from pictus.web.desk.room import PAGE_ID, Room, Values, page_id_of

HELD = 64
"""Pages a browser may say it holds: those in hand and those that wait for the connection."""
TAKEN_UP = 12
"""Pages handed in before this visit that undo can reach."""
MOST_ITEMS = 1_000
MOST_S = 1e7
MODULES = {
    "grid": "grid", "audit": "audit", "box": "boxes", "box-quality": "boxes", "box-coverage": "boxes", "mask": "masks",
    "points": "points",
}  # fmt: skip
"""Kind -> the script in static/desk that shows it."""
TITLES = {
    "grid": "Is it?", "audit": "Audit", "box": "Boxes", "box-quality": "Is the box good?",
    "box-coverage": "Is every one boxed?", "mask": "Outlines", "points": "Points",
}  # fmt: skip
"""Kind -> what people call it."""
SEVERAL = {
    "concept_id": "", "name": "", "names": [], "gloss": "", "links": [], "siblings": [], "exemplars": [],
}  # fmt: skip
"""Of a page that asks about several concepts: each item has its own."""


def routes(room: Room) -> list[Route]:
    """Everything a page of questions needs."""
    view = _View(room)
    at_page = "/desk/pages/{page_id}"
    return [
        Route("/desk", room.page("desk/desk.html", view.shell)),
        Route("/desk/next", room.post(view.next, "kind", "concept", "except"), methods=["POST"]),
        Route("/desk/progress", room.get(view.progress)),
        Route("/desk/done", room.get(view.done)),
        Route("/desk/quiz", room.post(view.quiz, "concept", "choice"), methods=["POST"]),
        Route("/desk/unpicturable", room.post(view.unpicturable, "concept"), methods=["POST"]),
        Route("/desk/appeal", room.post(view.appeal, "text"), methods=["POST"]),
        Route("/desk/examples/{place:int}/{side:int}", room.picture(view.example)),
        Route(at_page, room.get(view.page)),
        Route(
            at_page, room.post(view.submit, "revision", "answers", "seconds", most=bodies.MAX_BODY), methods=["POST"]
        ),
        Route(at_page + "/release", room.post(view.release), methods=["POST"]),
        Route(at_page + "/pictures/{position:int}/{side:int}", room.picture(view.picture)),
    ]  # fmt: skip


class _View:
    """One desk's answers. Methods are named after what a person does."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.desk = room.desk
        self.cards = Cards(room.project, room.shell.taxonomy)

    def shell(self, _person: Person, request: Request) -> Values:
        kind = request.query_params.get("kind", "")[:80]
        concept = request.query_params.get("concept", "")[:200]
        return {"kind": kind, "concept": concept, "modules": MODULES, "titles": TITLES}

    def next(self, person: Person, _request: Request, body: Body) -> Values:
        kind, concept_id = bodies.text(body, "kind", most=80), bodies.text(body, "concept")
        held = bodies.rows(body, "except", most=HELD)
        if odd := [one for one in held if not isinstance(one, str) or not PAGE_ID.fullmatch(one)]:
            raise UserError(f"except: {str(odd[0])[:80]!r} is no page.")
        if person.state == "paused":
            return {"page": None, "why": "", "paused": person.reason or "The project's owner paused your work."}
        page = self.desk.next_page(person, kind=kind, concept_id=concept_id, except_pages=tuple(held))
        if page is None:
            return {"page": None, "why": self.desk.nothing(person), "held": self._held(person, set(held))}
        self.room.ready.begin(page.page_id, page.pictures, person.name)
        is_quizzed = page.concept_id and KINDS.get(page.kind).role == ROLES[0]
        quiz = self.desk.quiz(person, page.concept_id) if is_quizzed else None
        return {"page": self._page_json(page, person), "quiz": _quiz_json(quiz) if quiz else None}

    def _held(self, person: Person, besides: set[str]) -> list[Values]:
        """Pages in this person's hands that this window does not have: how to come to them."""
        taxonomy = self.room.shell.taxonomy()
        with self.room.project.journal.reading() as connection:
            rows = [row for row in lease_steps.held(connection, person.name) if row.page_id not in besides]
        found = dict.fromkeys((row.kind, row.concept_id) for row in rows)
        return [
            {"kind": kind, "concept": one, "title": TITLES.get(kind, kind),
             "name": taxonomy.name(one) if one in taxonomy else one or "several concepts"}
            for kind, one in found
        ]  # fmt: skip

    def page(self, person: Person, request: Request) -> Values:
        return {"page": self._page_json(self.desk.page(person, page_id_of(request)), person)}

    def submit(self, person: Person, request: Request, body: Body) -> Values:
        page_id = page_id_of(request)
        revision = bodies.whole(body, "revision", least=1, most=10_000)
        seconds = bodies.number(body, "seconds", 0.0, most=MOST_S)
        given = [_given(one) for one in bodies.rows(body, "answers", most=MOST_ITEMS)]
        receipt = self.desk.submit(person, page_id, revision, given, seconds)
        told = asdict(receipt)
        del told["decided"]  # one picture changed at a time, it would tell what others answered
        return told | {"progress": self._progress_json(receipt.progress)}

    def release(self, person: Person, request: Request, _body: Body) -> Values:
        page_id = page_id_of(request)
        self.desk.give_back(person, page_id)
        self.room.ready.drop(page_id)
        return {"page_id": page_id}

    def picture(self, person: Person, request: Request) -> str:
        return self.desk.picture(person, page_id_of(request), request.path_params["position"])

    def example(self, _person: Person, request: Request) -> str:
        return self.cards.served(request.query_params.get("concept", ""), request.path_params["place"])

    def progress(self, person: Person, _request: Request) -> Values:
        found = {"name": person.name, "role": person.role, "state": person.state, "reason": person.reason}
        return {"person": found, "progress": self._progress_json(self.desk.progress(person))}

    def done(self, person: Person, _request: Request) -> Values:
        return {"pages": [
            {"page_id": page.page_id, "kind": page.kind, "revision": page.revision}
            for page in self.desk.done(person, TAKEN_UP)
        ]}  # fmt: skip

    def quiz(self, person: Person, _request: Request, body: Body) -> Values:
        concept_id = bodies.text(body, "concept")
        passed = "choice" in body and self.desk.answer_quiz(person, concept_id, bodies.whole(body, "choice", most=99))
        quiz = None if passed else self.desk.quiz(person, concept_id)
        return {"passed": passed or quiz is None, "quiz": _quiz_json(quiz) if quiz else None}

    def unpicturable(self, person: Person, _request: Request, body: Body) -> Values:
        concept_id = bodies.text(body, "concept")
        self.desk.unpicturable(person, concept_id)
        return {"concept": concept_id}

    def appeal(self, person: Person, _request: Request, body: Body) -> Values:
        words = bodies.text(body, "text", most=2_000).strip()
        if not words:
            raise UserError("The appeal is empty.", fix="say in a sentence what should be looked at again")
        self.desk.appeal(person, words)
        return {"sent": True}

    def _progress_json(self, progress: Progress) -> Values:
        """What a person may see of their own work. How good they are is the owner's to tell."""
        return {
            "pages": progress.pages, "questions": progress.questions, "seconds": round(progress.seconds),
            "left": progress.left, "left_s": round(progress.left_s), "waiting": progress.waiting,
            "skill": progress.skill if self.room.tells_accuracy else None,
        }  # fmt: skip

    def _page_json(self, page: Page, person: Person) -> Values:
        kind = KINDS.get(page.kind)
        items = [
            {
                "position": item.position, "width": item.width, "height": item.height, "fold": item.fold,
                "marks": [dict(mark) for mark in item.marks],
            } | ({} if page.concept_id else {"concept": self.cards.card(item.concept_id, page.pictures)})
            for item in page.items
        ]  # fmt: skip
        reason = told(page.reason, person.role, page.concept_id, self.room.shell.taxonomy())
        given = [{"position": one.position, "answer": one.answer, "data": dict(one.data)} for one in page.answers]
        concept = self.cards.card(page.concept_id, page.pictures) if page.concept_id else SEVERAL
        return {
            "page_id": page.page_id, "kind": page.kind, "revision": page.revision, "expires_at": page.expires_at,
            "reason": reason, "concept": concept, "items": items,
            "answers": list(kind.answers), "given": given, "help": kind.help,
        }  # fmt: skip


def _given(one: Any) -> Given:  # noqa: ANN401  JSON
    answer = bodies.table(one, "answers", "position", "answer", "data")
    data = bodies.table(answer.get("data", {}), "data")
    return Given(bodies.whole(answer, "position", most=MOST_ITEMS), bodies.text(answer, "answer", most=40), data)


def _quiz_json(quiz: Quiz) -> Mapping[str, Any]:
    return {"concept": quiz.concept_id, "question": f"What is meant by “{quiz.name}”?", "choices": list(quiz.choices)}
