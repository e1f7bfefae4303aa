"""The desk: people sign in, are lent pages of questions, and hand them in; several desks may share one database.

Pages that people look at call this and nothing else. Each call is one transaction, safe from any thread. What the
desk promises: an answer that was acknowledged is there once, under the name of who gave it; two people are not lent
the same question beyond the votes it still needs; nobody learns what others answered, or which pictures are known.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from pictus.annotate.desk import again_steps, grid, lease_steps, quiz_steps, session_steps, turns_steps, work_steps
from pictus.annotate.desk.conduct import Limits
from pictus.annotate.desk.follow_steps import count_heaps, reopen
from pictus.annotate.desk.imprint_steps import Imprint, Imprints, imprint_of
from pictus.annotate.desk.moments import later
from pictus.annotate.desk.names import clean_name
from pictus.annotate.desk.pages import Candidate, Chance
from pictus.annotate.desk.quiz import Quiz, quiz_of
from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.desk.submit_steps import Bench, HandIn, Taken, hand_in, prepared
from pictus.annotate.desk.tally_steps import Tally
from pictus.annotate.desk.voices_steps import Voices
from pictus.annotate.stops.stopping import Stops
from pictus.annotate.tasks import ACCEPTED, KINDS, ROLES, Given, Item, Page, Person, Progress, Receipt
from pictus.clock import now
from pictus.concepts import LiveTaxonomy, Taxonomy
from pictus.errors import NotThereError, UserError
from pictus.project import Project
from pictus.stats import clopper_pearson

__all__ = [
    "ACCEPTED", "KINDS", "Desk", "Given", "Item", "LaterError", "Limits", "Page", "Person", "Progress", "Quiz",
    "Receipt", "Stops", "grid", "open_desk",
]  # fmt: skip

T = TypeVar("T")

KIOSK = "kiosk"
"""The invitation of who came without one, on the machine the desk runs on."""

TRIES = 4
"""Of two transactions that wait for each other PostgreSQL ends one, which is then done again."""

_AGAIN = ("40001", "40P01")
"""SQLSTATE of serialization_failure and deadlock_detected."""


class LaterError(UserError):
    """The database cannot be had just now. The same call will do later; over HTTP that is 503."""


class Desk:
    """Where annotators work. Made by `open_desk`."""

    def __init__(
        self, project: Project, bench: Bench, chance: Chance, clock: Callable[[], str], secret: bytes
    ) -> None:  # fmt: skip
        self.project = project
        self._bench = bench
        self._chance = chance
        self._clock = clock
        is_sqlite = project.journal.engine.dialect.name == "sqlite"
        # SQLite has one writer, and lets those who wait sleep for up to 0.1 s each time: in turn is quicker.
        self._turn = threading.Lock() if is_sqlite else nullcontext()
        self._kinds = {role: tuple(lease_steps.kinds_for(role)) for role in ROLES}  # looking for plugins takes 5 ms
        self._swept_at = ""
        self._vain: dict[tuple[str, str], dict[str, str]] = {}  # of a heap: who found nothing in it, and when
        self._waiting = work_steps.Waiting()
        self._passed: set[tuple[str, str]] = set()
        self._imprints = Imprints()
        self._voices = Voices()
        self._secret = secret

    # People

    def join(self, token: str, name: str) -> str:
        """Use an invitation under a chosen name -> a session's token, good for 30 days.

        UserError where the link was used up, has expired or never was, and where the name is taken or cannot be one.
        """
        self._look(self._voices.read)  # seconds of a million votes: not while others wait to write
        return self._do(
            lambda connection: session_steps.join(connection, token, name, self._clock(), voices=self._voices)
        )

    def kiosk(self, name: str, *, role: str = "annotator") -> str:
        """Sign somebody in without a link -> a session's token. Only for desks that listen on their own machine."""
        chosen, at = clean_name(name), self._clock()

        def enter(connection: sa.Connection) -> str:
            if session_steps.named(connection, chosen) is None:
                newcomer = session_steps.Newcomer(chosen, role, 0, KIOSK)
                session_steps.add_person(connection, newcomer, at, voices=self._voices)
            elif session_steps.invitation_of(connection, chosen) != KIOSK:
                raise UserError(f"The name {chosen!r} is taken.", fix="choose another, or come by your own link")
            return session_steps.session(connection, chosen, at)

        self._look(self._voices.read)
        return self._do(enter)

    def person(self, session: str) -> Person | None:
        """Who a session's token stands for; None when it has ended or never began."""
        return self._glance(lambda connection: session_steps.person_of(connection, session, self._clock()))

    def leave(self, session: str) -> None:
        """End a session."""
        self._do(lambda connection: session_steps.leave(connection, session))

    def appeal(self, person: Person, text: str) -> None:
        """What somebody who was paused has to say to the owner, up to 2,000 signs."""
        self._do(lambda connection: work_steps.appeal(connection, person, text, self._clock()))

    def lacks_people(self) -> tuple[int, int]:
        """People the rule needs to learn from, and how many there are or may come by links; (0, 0) where it has enough.

        ImageNet's is learned from pictures that ten people look at: fewer leave those open.
        """
        needed = self._bench.tally.people
        there = self._look(lambda connection: session_steps.people_expected(connection, self._clock())) if needed else 0
        return (needed, there) if there < needed else (0, 0)

    # Pages

    def next_page(
        self, person: Person, *, kind: str = "", concept_id: str = "", except_pages: Sequence[str] = ()
    ) -> Page | None:
        """What to ask this person now; a page lent before and not among `except_pages` comes first.

        None when there is nothing: `nothing` says why.
        """
        self._sweep()
        pick = _Pick(person.name, kind, concept_id, frozenset(except_pages))
        return self._do(lambda connection: self._next(connection, pick))

    def nothing(self, person: Person) -> str:
        """Why there is no next page, in words."""

        def why(connection: sa.Connection) -> str:
            now_is = session_steps.named(connection, person.name)
            if now_is is None or now_is.state != session_steps.ACTIVE:
                return f"You are paused: {now_is.reason if now_is else 'nobody is called so any more'}."
            if work_steps.quota_left(connection, now_is) == 0:
                return f"You have answered the {now_is.quota:,} questions you were asked for. Thank you."
            if turns_steps.is_full(connection, person.name, len(lease_steps.held(connection, person.name))):
                return "You hold several pages: the next comes when one of them has reached the desk or was given back."
            return "Nothing is waiting for you just now: what is left is with others, or you have answered it."

        return self._look(why)

    def page(self, person: Person, page_id: str) -> Page:
        """A page of one's own, with what was answered; NotThereError for any other."""
        return self._look(lambda connection: self._page(connection, person.name, page_id))

    def imprint(self, person: Person, page_id: str) -> Imprint:
        """What never changes of one's own page, whether it is lent or was handed in; NotThereError for any other."""
        found = self._imprints.of(page_id, lambda: self._glance(partial(imprint_of, page_id=page_id)))
        if found is None or found.annotator != person.name:
            raise NotThereError("There is no such page of yours.", fix="take the next page")
        return found

    def picture(self, person: Person, page_id: str, position: int) -> str:
        """The image_id of one item of one's own page; else NotThereError."""
        pictures = self.imprint(person, page_id).pictures
        if not 0 <= position < len(pictures):
            raise NotThereError("There is no such picture on a page of yours.")
        return pictures[position]

    def submit(
        self, person: Person, page_id: str, revision: int, given: Sequence[Given], seconds: float
    ) -> Receipt:  # fmt: skip
        """Hand a page in; `revision` is the page's + 1. The same call again gives the same receipt.

        UserError for an answer too few or too many, one that is none of the kind's, a revision that does not follow,
        and the same revision with other answers. All of it is stored or nothing.
        """
        at = self._clock()
        sent = HandIn(page_id, revision, tuple(given), seconds)
        self.taxonomy()  # read here where it changed, not while others wait to write
        if any(one.data for one in given):
            sent = self._look(lambda connection: prepared(connection, self._bench, person, sent))()
        stirred: set[tuple[str, str]] = set()

        def take(connection: sa.Connection) -> tuple[Taken, str]:
            self._bench.tally.follow(connection, at)
            done = hand_in(connection, self._bench, person, sent, at)
            stirred.update(done.heaps)
            paused = work_steps.judged(connection, person.name, self._bench.limits, at) if done.is_new else ""
            count_heaps(connection, done.heaps)  # at last: all who work on a concept meet at its heap
            return done, paused

        try:
            done, paused = self._do(take)
        except (Exception, KeyboardInterrupt):
            self._bench.tally.doubt(person.name, (page_id, revision))
            raise
        self._bench.tally.sure((page_id, revision))
        if paused:
            self._bench.tally.forget(person.name)
        self.reopen()
        for heap in stirred:  # questions came free, or were added: whoever found nothing there may look again
            self._vain.pop(heap, None)
        return Receipt(page_id, revision, done.is_new, done.decided, self.progress(person), paused, done.note)

    def give_back(self, person: Person, page_id: str) -> None:
        """Return a page unanswered: others may have it. UserError for who gave back too many within an hour."""

        def back(connection: sa.Connection) -> tuple[str, str]:
            row = lease_steps.own_page(connection, person.name, page_id, locks=True)
            work_steps.check_given_back(connection, person.name, self._clock())
            lease_steps.release(connection, page_id, lease_steps.RETURNED)
            return row.kind, row.concept_id

        self._vain.pop(self._do(back), None)

    def done(self, person: Person, limit: int = 20) -> list[Page]:
        """The pages this person handed in, the latest first."""

        def find(connection: sa.Connection) -> list[Page]:
            rows = lease_steps.submitted(connection, person.name, limit)
            return [lease_steps.page_of(connection, row, self._bench.sizes) for row in rows]

        return self._look(find)

    def progress(self, person: Person) -> Progress:
        """What this person has done so far."""
        return self._glance(lambda connection: self._progress(connection, person))

    # Concepts

    def taxonomy(self) -> Taxonomy:
        """The concepts as they are now."""
        return self._bench.taxonomy()

    def quiz(self, person: Person, concept_id: str) -> Quiz | None:
        """The definition quiz of a concept; None when it was passed, or glosses to choose from are missing."""
        if (person.name, concept_id) in self._passed or concept_id not in self.taxonomy():
            return None
        found = quiz_of(self.taxonomy(), concept_id, person.name)
        is_passed = found is None or self._look(
            lambda connection: quiz_steps.is_passed(connection, person.name, concept_id)
        )
        if is_passed:
            self._passed.add((person.name, concept_id))
        return None if is_passed or found is None else found[0]

    def answer_quiz(self, person: Person, concept_id: str, choice: int) -> bool:
        """Whether that choice of the quiz is the right one. It may be tried again."""
        found = quiz_of(self.taxonomy(), concept_id, person.name)
        if found is None:
            return True
        quiz, right = found
        if not 0 <= choice < len(quiz.choices):
            raise UserError(f"The quiz has choices 0 to {len(quiz.choices) - 1}.", fix="choose one of them")
        said = quiz_steps.Said(person.name, concept_id, choice, right)
        self._do(lambda connection: quiz_steps.keep(connection, said, self._clock()))
        if choice == right:
            self._passed.add((person.name, concept_id))
        return choice == right

    def unpicturable(self, person: Person, concept_id: str) -> None:
        """Say that no picture can show this concept. Where two people say so, it is not asked about any more."""
        self.taxonomy().get(concept_id)
        self._do(lambda connection: work_steps.unpicturable(connection, person.name, concept_id, self._clock()))

    # How

    def _next(self, connection: sa.Connection, pick: "_Pick") -> Page | None:
        person = lease_steps.alone(connection, pick.me)
        if person is None or person.state != session_steps.ACTIVE:
            return None
        at = self._clock()
        held = lease_steps.held(connection, pick.me)
        for row in held:
            is_asked_for = pick.kind in ("", row.kind) and pick.concept_id in ("", row.concept_id)
            if is_asked_for and row.page_id not in pick.excepted and row.expires_at >= at:
                return self._page(connection, pick.me, row.page_id)
        left = work_steps.quota_left(connection, person)
        if left == 0 or turns_steps.is_full(connection, pick.me, len(held)):
            return None
        wish = again_steps.Wish(*pick, self._kinds.get(person.role, ()), left, at)
        not_now = turns_steps.left_to_others(connection, pick.me, at)
        again, apart = again_steps.taken_up(connection, wish, not_now)
        if again:
            return self._page(connection, pick.me, again)
        in_hand = lease_steps.questions_on(connection, [row.page_id for row in held])
        asker = lease_steps.Asker(pick.me, in_hand + not_now + apart, self._secret)
        page = self._lend_any(connection, wish, asker)
        if page is None and (again := again_steps.taken_up(connection, wish, not_now, is_last=True)[0]):
            return self._page(connection, pick.me, again)
        if page is None and not held:
            turns_steps.waits(connection, pick.me, (pick.kind, pick.concept_id), at)
            if (heap := turns_steps.spared(connection, wish)) is not None:
                self._vain.pop(heap, None)
                page = self._lend_any(connection, wish, asker)
        return page

    def _lend_any(self, connection: sa.Connection, wish: again_steps.Wish, asker: lease_steps.Asker) -> Page | None:
        """A page of the first heap that has something for this person.

        Where others hold so much of a heap that less than half a page is free, the next few are looked at first: it
        is not worth a change of concept for three pictures, and more of that heap may come back.
        """
        short: list[tuple[lease_steps.Heap, list[Candidate]]] = []
        waited_for = []
        for heap in self._heaps(connection, wish):
            most = _most(heap, wish.left)
            asks, is_held = lease_steps.candidates(connection, heap, asker, 2 * most, waits=False)
            if asks and 2 * len(asks) >= min(most, heap.waiting):
                return self._lend(connection, wish, asker, heap, asks)
            if asks:
                short.append((heap, asks))
            elif is_held:
                waited_for.append(heap)
            elif not heap.together:
                self._vain.setdefault(heap[:2], {})[wish.me] = wish.at
            if len(short) == AHEAD:
                break
        if short:
            return self._lend(connection, wish, asker, *short[0])
        for heap in waited_for:  # another server is just lending of it: what is left when it has done so?
            asks, _ = lease_steps.candidates(connection, heap, asker, 2 * _most(heap, wish.left), waits=True)
            if asks:
                return self._lend(connection, wish, asker, heap, asks)
        return None

    def _heaps(self, connection: sa.Connection, wish: again_steps.Wish) -> Iterator[lease_steps.Heap]:
        """Heaps that may have something for this person, with what the rule wants asked first."""
        since = later(wish.at, -VAIN_S)
        for heap in lease_steps.open_heaps(connection, wish.kinds, kind=wish.kind, concept_id=wish.concept_id):
            if not since < self._vain.get(heap[:2], {}).get(wish.me, "") <= wish.at:
                learns = KINDS.get(heap.kind).votes
                yield heap._replace(first=self._bench.tally.first(heap.concept_id)) if learns else heap

    def _lend(
        self, connection: sa.Connection, wish: again_steps.Wish, asker: lease_steps.Asker, heap: lease_steps.Heap,
        asks: list[Candidate],
    ) -> Page:  # fmt: skip
        most = _most(heap, wish.left)
        chosen = lease_steps.composed(connection, heap, asker, asks, most=most, chance=self._chance)
        lent = lease_steps.lend(connection, heap, wish.me, chosen, wish.at)
        if heap.together:  # its reason is that of the concepts which are on it
            return self._page(connection, wish.me, lent.page_id)
        return lease_steps.page_of(connection, lent, self._bench.sizes, chosen)

    def _page(self, connection: sa.Connection, me: str, page_id: str) -> Page:
        return lease_steps.page_of(connection, lease_steps.own_page(connection, me, page_id), self._bench.sizes)

    def _sweep(self) -> None:
        """Once a second somebody who asks for a page first takes back those whose time is over."""
        at = self._clock()
        if at != self._swept_at:
            self._swept_at = at
            self._forget_vain(later(at, -VAIN_S))
            for page_id, heap in self._look(lambda connection: lease_steps.overdue(connection, at)):
                self._do(partial(lease_steps.release, page_id=page_id, state=lease_steps.ABANDONED))
                self._vain.pop(heap, None)
            self._look(lambda connection: self._bench.tally.follow(connection, at))  # who was paused since?
            self.reopen()

    def _forget_vain(self, since: str) -> None:
        """Searches up to then say nothing any more."""
        for heap, names in list(self._vain.items()):
            for name in [name for name, when in list(names.items()) if when <= since]:
                names.pop(name, None)
            if not names:
                self._vain.pop(heap, None)

    def reopen(self) -> None:
        """What only people who are paused had decided is asked again, some hundred questions in a transaction."""
        loose = list(self._bench.tally.loose().items())
        for start in range(0, len(loose), PART):
            try:
                heaps = self._do(partial(reopen, loose=dict(loose[start : start + PART])))
            except Exception:
                self._bench.tally.loosen(question for question, _ in loose[start:])  # next time
                raise
            for heap in heaps:
                self._vain.pop(heap, None)

    def _progress(self, connection: sa.Connection, person: Person) -> Progress:
        waiting = self._waiting.of(connection, self._kinds.get(person.role, ()))
        return work_steps.progress(connection, person, waiting)

    def _do(self, work: Callable[[sa.Connection], T]) -> T:
        """One transaction that may write."""
        for attempt in range(TRIES):
            try:
                with _answering(), self._turn, self.project.journal.transaction() as connection:
                    return work(connection)
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") not in _AGAIN or attempt == TRIES - 1:
                    raise
        raise AssertionError  # the last attempt returned or raised

    def _glance(self, work: Callable[[sa.Connection], T]) -> T:
        """One statement that only reads: without beginning and ending a transaction around it."""
        return self._look(lambda connection: work(connection.execution_options(isolation_level="AUTOCOMMIT")))

    def _look(self, work: Callable[[sa.Connection], T]) -> T:
        """One that only reads: on SQLite it waits for nobody."""
        with _answering(), self.project.journal.reading() as connection:
            return work(connection)


class _Pick(NamedTuple):
    """What page is asked for."""

    me: str
    kind: str
    concept_id: str
    excepted: frozenset[str]


def _most(heap: lease_steps.Heap, left: int) -> int:
    per_page = KINDS.get(heap.kind).per_page
    return per_page if left < 0 else min(per_page, left)


PART = 500
"""Questions of one transaction: others need not wait long."""

AHEAD = 4
"""Heaps with little that are looked at before the first of them is taken all the same."""

VAIN_S = 5
"""So long a heap that had nothing for somebody is not searched for them again, unless questions came free here."""


@contextmanager
def _answering() -> Iterator[None]:
    """A database that is away, full or broken is the owner's to mend: an annotator is told to wait."""
    try:
        yield
    except Exception as error:
        if not is_away(error):
            raise
        raise later_error() from error


def is_away(error: BaseException) -> bool:
    """Whether it is the database's: as the journal tells it, as SQLAlchemy does, or as the driver itself."""
    if isinstance(error, UserError):
        cause = error.__cause__  # a damaged file or a full disk, too, is the owner's to mend
        return isinstance(cause, sa.exc.DBAPIError) or (cause is not None and _is_of_database(cause))
    if isinstance(error, sa.exc.DBAPIError) and getattr(error.orig, "sqlstate", "") in _AGAIN:
        return False
    return _is_of_database(error)


def _is_of_database(error: BaseException) -> bool:
    broken = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, sa.exc.PendingRollbackError)
    is_driver = type(error).__module__.partition(".")[0] in ("sqlite3", "psycopg")
    return isinstance(error, broken) or is_driver or bool(getattr(error, "connection_invalidated", False))


def later_error() -> LaterError:
    """What people are told while the database is away, whatever is the matter with it."""
    return LaterError(
        "The desk cannot reach its database just now.", fix="wait a little: nothing that was handed in is lost"
    )


def open_desk(
    project: Project, *, rule: str = "dynamic", seed: int = 0, stops: Stops | None = None,
    limits: Limits | None = None, clock: Callable[[], str] = now,
) -> Desk:  # fmt: skip
    """Open the desk of a project: once per server. It takes in every answer there is, a million in seconds.

    rule: when a yes/no question has been asked enough, a name of stopping.RULES; stops: what the rule is told;
    seed: for which pictures are mixed in and where; 0, the default, is chance that nobody can guess;
    limits: when people are paused; clock: the time, as pictus.clock.now gives it.
    """
    chance: Any = random.Random(seed) if seed else secrets.SystemRandom()  # noqa: S311  a seed is for tests
    tally = Tally(rule, stops or Stops(seed=seed))
    sizes = Sizes(project)
    sizes.read()  # seconds at a million pictures: not when the first page is asked for
    clopper_pearson(1, 2)  # it imports scipy: 0.4 s that the first page to be handed in would take
    bench = Bench(tally, sizes, LiveTaxonomy(project), limits or Limits())
    # Not the journal's transaction: on SQLite others could not write for the seconds that a million answers take.
    with project.progress.track("reading what was answered", None), project.journal.reading() as connection:
        tally.load(connection)
        secret = session_steps.secret_of(connection, seed)
    if not secret:
        with project.journal.transaction() as connection:
            session_steps.make_secret(connection)
            secret = session_steps.secret_of(connection, seed)
    desk = Desk(project, bench, chance, clock, secret)
    desk.reopen()
    return desk
