"""What is asked of people, and what crosses between the desk, the rules that stop it, and the pages.

    question   one thing to find out: (kind, concept, picture, mark); the queue holds them
    heap       all questions of one kind about one concept
    page       up to `Kind.per_page` questions of one heap, lent to one annotator for `Kind.lease_s`; where
               `Kind.mixes`, of several heaps of its kind, and then the page's concept is "" and each item says its own
    mark       a shape somebody drew: a box, a mask, points

A kind registers once and says everything the desk needs to know of it; the desk knows no kind by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pictus.concepts import Taxonomy
from pictus.registry import Registry

ROLES = ("annotator", "reviewer", "owner")
"""Whom people may be; each may do what those before it may."""

OPEN, ACCEPTED, REJECTED, UNDECIDED, PARKED = "open", "accepted", "rejected", "undecided", "parked"
"""States of a question. `undecided`: asked as often as is allowed, and still not sure. `parked`: not asked for now."""

ASK, GOLD, REPEAT = "ask", "gold", "repeat"
"""Why an item is on a page: to find something out; because the answer is known; to see whether it is given again.
Nobody but the desk may tell them apart.
"""


class Given(NamedTuple):
    """One item as it was answered. `data`: plain JSON, what was drawn; {} where nothing is."""

    position: int
    answer: str
    data: Mapping[str, Any] = {}


class Closed(NamedTuple):
    """A question that has just been decided, or, where its kind draws, answered."""

    kind: str
    concept_id: str
    image_id: str
    mark_id: int  # the mark it was about, 0 for none; what less than 0 means, the kind says
    state: str  # ACCEPTED | REJECTED | UNDECIDED
    answer: str  # the last answer given
    drawn: int  # the mark that the answer made, 0 for none
    others: int = 0  # further questions open on this picture and concept, of kinds of the same loop (marks.standing)
    rounds: int = 0  # marks there are on this picture and concept by now (marks.standing)


class Wanted(NamedTuple):
    """A question that should be asked next, because of one that was closed."""

    kind: str
    concept_id: str
    image_id: str
    mark_id: int = 0
    reason: str = ""
    is_last: bool = False  # only where nothing else of its loop is wanted on this picture by then, and once


Follow = Callable[[Closed, Taxonomy], Sequence[Wanted]]
Check = Callable[[Given, int, int], Given]  # what was sent, width and height of the upright picture -> cleaned


def _nothing(_closed: Closed, _taxonomy: Taxonomy) -> Sequence[Wanted]:
    return ()


def _as_it_is(given: Given, _width: int, _height: int) -> Given:
    return given


@dataclass(frozen=True)
class Kind:
    """How one kind of question is put. `answers`: what may be said, the first for an item that was left alone."""

    name: str
    answers: tuple[str, ...]
    per_page: int
    lease_s: int
    draws: bool = False  # an answer may make marks: its data is {"shapes": [shape, …]}, each checked by `check`
    votes: bool = False  # yes, no and unsure go to the journal's votes, and a stopping rule decides
    wanted: int = 1  # answers needed where no stopping rule decides
    role: str = "annotator"  # the least role that may be asked
    is_blind_to_author: bool = False  # never put to the one who drew the mark it is about
    is_blind_to_voters: bool = False  # never put to who has answered any other question on this picture and concept
    accepts: str = ""  # without a stopping rule: the answer that makes a question ACCEPTED, any other REJECTED
    shows: tuple[str, ...] = ()  # shapes on the picture: "mark", the one asked about; a kind: all that it accepted
    loop: str = ""  # kinds of one name follow each other on a picture: "box" for box, box-quality and box-coverage
    mixes: bool = False  # one page may ask about several concepts, each beside its picture; for kinds that neither
    #                      draw nor vote
    help: str = ""  # what to do, in the words an annotator reads
    check: Check = field(default=_as_it_is)  # raises UserError for what cannot be
    follow: Follow = field(default=_nothing)


KINDS: Registry[Kind] = Registry("kind of task", "pictus.tasks")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in."""

    name: str  # the pseudonym that stands beside every vote
    role: str
    state: str  # active | paused
    reason: str  # why paused
    quota: int  # questions this person may answer in all, 0 for no limit


@dataclass(frozen=True, slots=True)
class Item:
    """One picture on a page. Its image_id stays with the desk: pages name pictures by page and position."""

    position: int
    width: int  # px of the upright picture
    height: int
    fold: int  # items of equal fold > 0 are near-duplicates: shown as one, answered as one
    marks: tuple[Mapping[str, Any], ...] = ()  # shapes to look at or to start from, as marks.shown gives them
    concept_id: str = ""  # what is asked about it


@dataclass(frozen=True, slots=True)
class Page:
    """What one person is asked now."""

    page_id: str  # 22 characters, not to be guessed
    kind: str
    concept_id: str  # "" where each item has its own
    items: tuple[Item, ...]
    revision: int  # how often it was handed in; 0: not yet
    expires_at: str
    answers: tuple[Given, ...] = ()  # as handed in before, for a page that is taken up again
    reason: str = ""  # why this is asked now, in words
    pictures: tuple[str, ...] = field(default=(), repr=False)  # of each item; stays with the server


@dataclass(frozen=True, slots=True)
class Progress:
    """One person's work so far. `seconds`: of the pages handed in, pauses over ten minutes left out."""

    pages: int
    questions: int
    seconds: float
    left: int  # of the quota; -1 for no limit
    waiting: int  # open questions of all heaps this person may be asked, in tens, some minutes old
    skill: tuple[float, float, float] | None = None  # accuracy on known answers with its 95 % interval
    left_s: float = 0.0  # about how long what is left of the quota takes at this pace; 0: no quota, or not known


@dataclass(frozen=True, slots=True)
class Receipt:
    """What handing in a page did."""

    page_id: str
    revision: int
    is_new: bool  # False: this very revision was there already
    decided: int  # questions that are settled by it
    progress: Progress
    paused: str = ""  # why this person is paused from now on
    note: str = ""  # what else is to be said: that the page came late
