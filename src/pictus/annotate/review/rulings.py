"""What reviewers decided, and how a decision is taken back. Pure.

A ruling is a row: is, is-not or withdrawn. Nothing is changed or removed; of several on one (picture, concept) the
latest counts. Rows of one act share a batch. Taking a batch back adds rows: `withdrawn` for each pair on which it still
has the last word, and after it what stood there before, so that a second decision undone leaves the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pictus.errors import UserError, clipped

IS, IS_NOT, WITHDRAWN = "is", "is-not", "withdrawn"
RULINGS = (IS, IS_NOT)
METHOD = "ruling"
"""The method of a label that a reviewer decided, in the table `labels`."""

Pair = tuple[str, str]  # (image_id, concept_id)


class Decision(NamedTuple):
    """One thing to be ruled."""

    image_id: str
    concept_id: str
    ruling: str


@dataclass(frozen=True, slots=True, order=True)
class Ruling:
    """One row as it is kept."""

    ruling_id: int
    image_id: str
    concept_id: str
    ruling: str
    reviewer: str
    reason: str
    batch: str
    ruled_at: str

    @property
    def pair(self) -> Pair:
        return (self.image_id, self.concept_id)


class Reversal(NamedTuple):
    """What takes a batch back."""

    withdrawn: list[Pair]
    restored: list[Ruling]  # what stood before, to be said again after the withdrawal
    overruled: int  # pairs of the batch that somebody ruled on since: left as they are


class Shown(NamedTuple):
    """What a picture is, for a reviewer, at this moment. `concept_id` is "" where nothing is known."""

    concept_id: str
    status: str  # accepted | rejected | unsettled
    by: str  # whose ruling it is; "" for votes


UNKNOWN = Shown("", "unsettled", "")


def checked(decisions: Iterable[Decision]) -> list[Decision]:
    """Each pair once; UserError for a word that is no ruling, and where one pair is ruled both ways."""
    found: dict[Pair, Decision] = {}
    for one in decisions:
        if one.ruling not in RULINGS:
            raise UserError(f"{clipped(one.ruling)} is no ruling.", fix=" or ".join(RULINGS))
        before = found.setdefault((one.image_id, one.concept_id), one)
        if before.ruling != one.ruling:
            raise UserError(f"Picture {one.image_id[:12]} is ruled both ways on {clipped(one.concept_id)}.")
    return list(found.values())


def reassigned(pictures: Iterable[Pair], concept_id: str) -> list[Decision]:
    """Pictures move to a concept: it is that, and it is not what it was; (image_id, "") for one that was nothing."""
    found: list[Decision] = []
    for image_id, old in pictures:
        found.append(Decision(image_id, concept_id, IS))
        if old not in ("", concept_id):
            found.append(Decision(image_id, old, IS_NOT))
    return found


def standing(rulings: Iterable[Ruling]) -> dict[Pair, Ruling]:
    """What counts, in the order it was decided: the latest row of each pair, but for those withdrawn."""
    found: dict[Pair, Ruling] = {}
    for one in rulings:
        found.pop(one.pair, None)  # so that the latest stands last
        if one.ruling != WITHDRAWN:
            found[one.pair] = one
    return found


def reversal(batch: str, rows: Sequence[Ruling]) -> Reversal:
    """What takes `batch` back. `rows`: all rulings on the pictures it is about, oldest first."""
    last: dict[Pair, Ruling] = {one.pair: one for one in rows}
    touched = dict.fromkeys(one.pair for one in rows if one.batch == batch)
    mine = [pair for pair in touched if last[pair].batch == batch]
    before: dict[Pair, Ruling] = {}
    begun: set[Pair] = set()
    for one in rows:
        begun.update((one.pair,) if one.batch == batch else ())
        if one.pair not in begun:
            before[one.pair] = one
    restored = [before[pair] for pair in mine if pair in before and before[pair].ruling != WITHDRAWN]
    return Reversal(mine, sorted(restored), len(touched) - len(mine))


def shown(settled: tuple[str, str, str] | None, rulings: Sequence[Ruling]) -> Shown:
    """What a picture is now: by the latest standing ruling that says what it is, else as it was settled.

    `settled`: concept_id, status, method of its row in `labels`; `rulings`: those standing on it, oldest first.
    """
    said: Mapping[str, Ruling] = {one.concept_id: one for one in rulings}
    if named := [one for one in rulings if one.ruling == IS]:
        return Shown(named[-1].concept_id, "accepted", named[-1].reviewer)
    if settled is None or not settled[0]:
        return UNKNOWN
    concept_id, status, method = settled
    if concept_id in said:
        return Shown(concept_id, "rejected", said[concept_id].reviewer)
    # a label by a ruling that was withdrawn since: the next `settle` says what the votes make of it
    return UNKNOWN if method == METHOD else Shown(concept_id, status, "")
