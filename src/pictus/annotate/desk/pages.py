"""What goes on a page, and in which order. Pure: what may be asked comes in, chance too."""

from __future__ import annotations

import bisect
import heapq
import hmac
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from pictus.annotate.tasks import ASK

T = TypeVar("T")

GOLD_SHARE = 1 / 12
"""Of a page: pictures whose answer is known. ImageNet's and COCO's crowds were checked on 5 to 10 % of their work."""

REPEAT_SHARE = 1 / 24
"""Of a page: pictures the same person has answered some pages ago."""

SHARED_EVERY = 4
"""Of what is asked, one in so many is with somebody else at the same time, though others are free: it takes several
answers anyway, and were only known answers on two people's pages, those who compare theirs would know them."""


class Chance(Protocol):
    """What is used of random.Random and random.SystemRandom."""

    def random(self) -> float: ...

    def shuffle(self, x: list[T], /) -> None: ...

    def sample(self, population: Sequence[T], k: int) -> list[T]: ...


class Candidate(NamedTuple):
    """One question that may go on a page."""

    question_id: int
    image_id: str
    mark_id: int
    score: float  # the model's P(yes), 0 where there is none
    fold: str  # near-duplicates have the same one, "" for none
    known: str
    role: str  # tasks.ASK | GOLD | REPEAT
    concept_id: str = ""


class Mixed(NamedTuple):
    """How many of a page are there for another reason than to be asked."""

    golds: int
    repeats: int


def mixed(per_page: int, asks: int, chance: Chance) -> Mixed:
    """Of `asks` that are there: on a full page 1 in 12 is gold and 1 in 24 a repeat, on a short one fewer.

    Where a share is no whole number, chance rounds it: on pages of one item 1 in 12 is gold.
    """
    golds = _rounded(per_page * GOLD_SHARE, chance)
    repeats = _rounded(per_page * REPEAT_SHARE, chance)
    if asks < per_page:
        golds = min(golds, math.ceil(asks * GOLD_SHARE))
        repeats = min(repeats, math.floor(asks * REPEAT_SHARE))
    return Mixed(golds, repeats)


def taken(asks: Iterable[Candidate], room: int) -> list[Candidate]:
    """The first of them that fit, each fold whole. Only one that is larger than the page is cut."""
    groups: dict[object, list[Candidate]] = {}
    for ask in asks:
        groups.setdefault(ask.fold or ask.question_id, []).append(ask)
    found: list[Candidate] = []
    for group in groups.values():
        if len(found) + len(group) <= room:
            found += group
        elif not found:
            found += group[:room]
        if len(found) >= room:
            break
    return found


def shared(free: Sequence[T], lent: Sequence[T]) -> list[T]:
    """What nobody has; the first and every SHARED_EVERY-th after it is what somebody has, the rest of that the end."""
    others = iter(lent)
    found: list[T] = []
    for number, one in enumerate(free):
        if number % (SHARED_EVERY - 1) == 0:
            found += [other for other in (next(others, None),) if other is not None]
        found.append(one)
    return [*found, *others]


def beside(known: Iterable[int], asked: Sequence[int], secret: bytes, most: int) -> list[int]:
    """The known answers that come along with these questions: whoever is asked the same is mixed in the same.

    Known answers and questions lie on one ring, by a hash that nobody can reckon without the project's secret. The
    so many of the questions that come first in another such order bring the next known answer behind them. So two
    people who compare pages find known answers on both, or on one, as often as questions, and cannot tell them apart.
    """

    def point(word: str, number: int) -> bytes:
        return hmac.digest(secret, f"{word}\n{number}".encode(), "sha256")

    ring = sorted((point("place", one), one) for one in known)
    bringing = heapq.nsmallest(most, set(asked), key=lambda one: point("brings", one))
    found: list[int] = []
    for turn in range(min(most, len(ring)) if bringing else 0):
        at = bisect.bisect(ring, (point("place", bringing[turn % len(bringing)]), 0)) % len(ring)
        found.append(ring.pop(at)[1])
    return found


def arranged(chosen: Sequence[Candidate], chance: Chance) -> list[Candidate]:
    """As a page shows them: the likely ones first where there is a model, near-duplicates side by side.

    What has no score stands at random places, and so do known answers and repeats: nothing but the score, which all
    have alike, tells where an item stands.
    """
    groups: dict[object, list[Candidate]] = {}
    for one in chosen:
        # A known answer or a repeat is answered on its own: folded, nobody would look at it.
        key = one.fold if one.fold and one.role == ASK else (one.question_id, one.role)
        groups.setdefault(key, []).append(one)
    scored = [group for group in groups.values() if max(one.score for one in group) > 0]
    scored.sort(key=lambda group: -max(one.score for one in group))
    others = [group for group in groups.values() if max(one.score for one in group) <= 0]
    chance.shuffle(others)
    places = set(chance.sample(range(len(groups)), len(others)))
    first, second = iter(others), iter(scored)
    return [one for place in range(len(groups)) for one in next(first if place in places else second)]


def fold_numbers(folds: Sequence[str]) -> list[int]:
    """1, 2, … for texts that occur more than once, 0 for the others and for ""."""
    seen: dict[str, int] = {}
    numbers: list[int] = []
    for fold in folds:
        many = bool(fold) and folds.count(fold) > 1
        numbers.append(seen.setdefault(fold, len(seen) + 1) if many else 0)
    return numbers


def _rounded(expected: float, chance: Chance) -> int:
    whole = math.floor(expected + 1e-9)
    return whole + (chance.random() < expected - whole - 1e-9)
