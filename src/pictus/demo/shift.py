"""Simulated people at work: each sits at a browser, and all of them live by one clock that is played.

What they know of a picture they know by looking at it: they fetch it through the page's own address, as a browser
does, and recognise what was drawn. Who is next is who has finished first, so that the same people give the same
answers in the same order at any speed of the machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pictus.demo.browser import Browser, Lines
from pictus.demo.crowd import Annotator, Question, chance, copied, says_yes
from pictus.demo.desk import Clock
from pictus.progress import Meter

PAGE_S = 4.0
QUIZ_S = 9.0
"""Seconds that a page takes besides its pictures, and reading the glosses of a quiz."""

LOST, SLIPS = 0.06, 0.04
"""Shares of pages whose connection is lost while they are handed in; and on which somebody sees afterwards that one
answer was a slip, takes the page up again and corrects it.
"""

SITTING, ARRIVAL_S, BREAK_S = 4, 60.0, 900.0
"""Pages that somebody does at one sitting, how far apart people come, and how long they are away before the next: five
or six of the 24 are at work at once, so that the answers of some tell how often others are still to be asked.
"""

CLOSES_AFTER = 1
"""Pages after which one of them closes the browser in the middle of the next, for good."""


class Eyes(NamedTuple):
    """What people can see and know: sha256 of a picture's bytes -> the concept on it, "" for none; gloss -> concept;
    and how alike two concepts are, 0 to 1.
    """

    shows: Mapping[str, str]
    glosses: Mapping[str, str]
    closeness: Callable[[str, str], float]


@dataclass
class Worker:
    """One person in front of a browser."""

    person: Annotator
    browser: Browser
    is_leaver: bool = False
    page: dict[str, Any] | None = None
    looking: "asyncio.Task[list[str]] | None" = None
    pages: int = 0
    is_idle: bool = False


@dataclass
class Log:
    """What happened, for the report. Votes, skills and labels are read from the project, as for real people."""

    pages: int = 0
    pictures: int = 0
    sent_again: int = 0
    corrected: int = 0
    quizzes: int = 0
    quizzes_missed: int = 0
    came_back: int = 0  # pages of who went away
    paused: dict[str, str] = field(default_factory=dict)  # name -> why, in the desk's words
    unknown: int = 0

    def facts(self) -> dict[str, Any]:
        """Plain JSON."""
        return dict(vars(self))

    def add(self, other: "Log") -> None:
        """What happened when people came back."""
        for name, value in vars(other).items():
            setattr(self, name, {**self.paused, **value} if name == "paused" else getattr(self, name) + value)


class Shift:
    """People who work until nothing waits for them."""

    def __init__(self, kind: str, eyes: Eyes, seed: int, clock: Clock, meter: Meter) -> None:
        self.kind = kind
        self.eyes = eyes
        self.seed = seed
        self.clock = clock
        self.meter = meter
        self.log = Log()
        self._due: list[tuple[float, int, Worker]] = []
        self._number = 0
        self._last_answers: list[str] = []
        self._seen: Counter[tuple[str, str]] = Counter()

    async def work(self, workers: Sequence[Worker]) -> Log:
        """All of them come, one after the other, and go when nothing waits."""
        order = chance(self.seed, "order", self.kind).permutation(len(workers))
        for number, place in enumerate(order):
            self._call(workers[place], self.clock.seconds + ARRIVAL_S * number)
        while True:
            while self._due:
                at, _, worker = heapq.heappop(self._due)
                self.clock.set(at)
                if worker.page is not None:
                    await self._hand_in(worker)
                    self._wake(workers)
                    if worker.pages % SITTING == 0:
                        self._call(worker, self.clock.seconds + BREAK_S)
                        continue
                await self._next(worker)
            held = [_seconds(worker.page["expires_at"]) for worker in workers if worker.page is not None]
            if not held:
                return self.log
            for worker in workers:  # who went away: time goes by until their pages may be lent to others
                worker.page, worker.is_idle = None, not worker.is_leaver and worker.is_idle
            self.log.came_back += len(held)
            self.clock.set(max(held) + 1)
            self._wake(workers)

    def _call(self, worker: Worker, at: float) -> None:
        self._number += 1
        heapq.heappush(self._due, (at, self._number, worker))

    def _wake(self, workers: Sequence[Worker]) -> None:
        for worker in workers:
            if worker.is_idle:
                worker.is_idle = False
                self._call(worker, self.clock.seconds + 2.0)

    async def _next(self, worker: Worker) -> None:
        found = await worker.browser.post("/desk/next", kind=self.kind, concept="", **{"except": []})
        page = found["page"]
        if found.get("paused"):
            self.log.paused[worker.person.name] = found["paused"]
            return
        if page is None:
            worker.is_idle = True
            return
        took_s = PAGE_S + worker.person.pace_s * len(page["items"])
        if found["quiz"]:
            took_s += QUIZ_S * await self._pass_quiz(worker, found["quiz"])
        worker.page = page
        if worker.is_leaver and worker.pages >= CLOSES_AFTER:
            return  # the browser is closed, and nobody tells the desk
        worker.looking = asyncio.create_task(self._look(worker, page))
        self._call(worker, self.clock.seconds + took_s)

    async def _pass_quiz(self, worker: Worker, quiz: Mapping[str, Any]) -> int:
        """Which gloss is the concept's? -> how many tries it took."""
        choices = [self.eyes.glosses.get(choice, "") for choice in quiz["choices"]]
        right = choices.index(quiz["concept"])
        luck = chance(self.seed, worker.person.name, "quiz", quiz["concept"])
        slips = luck.random() < (0.04 if worker.person.habit in ("honest", "expert") else 0.6)
        tries = [*([(right + 1) % len(choices)] if slips else []), right]
        for number in tries:
            answer = await worker.browser.post("/desk/quiz", concept=quiz["concept"], choice=number)
            self.log.quizzes_missed += not answer["passed"]
        self.log.quizzes += 1
        return len(tries)

    async def _look(self, worker: Worker, page: Mapping[str, Any]) -> list[str]:
        """sha256 of each picture of the page, fetched side by side."""
        found = await asyncio.gather(
            *(worker.browser.picture(page["page_id"], item["position"]) for item in page["items"])
        )
        self.log.pictures += len(found)
        return [hashlib.sha256(image_bytes).hexdigest() for image_bytes in found]

    async def _hand_in(self, worker: Worker) -> None:
        page, person = worker.page, worker.person
        assert page is not None
        assert worker.looking is not None
        answers = self._answers(person, page, await worker.looking)
        took_s = PAGE_S + person.pace_s * len(answers)
        luck = chance(self.seed, person.name, "page", worker.pages, self.kind)
        given = list(answers)
        is_slip = person.habit == "honest" and luck.random() < SLIPS
        if is_slip:
            place = int(luck.integers(len(given)))
            given[place] = {"yes": "no", "no": "yes"}.get(given[place], given[place])
        path = f"/desk/pages/{page['page_id']}"
        body = {"revision": page["revision"] + 1, "answers": _numbered(given), "seconds": took_s}
        if luck.random() < LOST:
            await worker.browser.post_and_lose(path, **body)
            self.log.sent_again += 1
        receipt = await worker.browser.post(path, **body)
        if is_slip and not receipt["paused"]:
            self.clock.set(self.clock.seconds + PAGE_S)
            again = {"revision": page["revision"] + 2, "answers": _numbered(answers), "seconds": PAGE_S}
            receipt = await worker.browser.post(path, **again)
            self.log.corrected += 1
        if receipt["paused"]:
            self.log.paused[person.name] = receipt["paused"]
        self._last_answers = answers
        worker.page, worker.looking, worker.pages = None, None, worker.pages + 1
        self.log.pages += 1
        self.meter.advance(len(answers))

    def _answers(self, person: Annotator, page: Mapping[str, Any], pictures: Sequence[str]) -> list[str]:
        if person.habit == "copier":
            return copied(self._last_answers, len(pictures))
        yes, no = ("best", "no") if self.kind == "audit" else ("yes", "no")
        found = []
        for digest, item in zip(pictures, page["items"], strict=True):
            concept_id = item.get("concept", page["concept"])["concept_id"]  # of an audit each has its own
            if digest not in self.eyes.shows:
                self.log.unknown += 1
                found.append("unsure")
                continue
            truth = self.eyes.shows[digest]
            question = Question(concept_id, truth, self.eyes.closeness(truth, concept_id))
            self._seen[person.name, digest] += 1
            luck = chance(self.seed, person.name, digest, concept_id, self._seen[person.name, digest])
            found.append(yes if says_yes(person, question, luck.random()) else no)
        return found


def _numbered(answers: Sequence[str]) -> list[dict[str, Any]]:
    return [{"position": position, "answer": answer} for position, answer in enumerate(answers)]


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


async def work(
    port: int, people: Mapping[str, tuple[Annotator, str]], shift: Shift, leaver: str = ""
) -> Log:
    """Let people come in by their links and work. people: name -> who it is, and their link."""
    lines = Lines(port)
    try:
        await lines.wait()
        workers = []
        for name, (person, link) in people.items():
            worker = Worker(person, Browser(lines), is_leaver=name == leaver)
            await worker.browser.join(link, name)
            workers.append(worker)
        return await shift.work(workers)
    finally:
        lines.close()
