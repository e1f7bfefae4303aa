"""What a network fine-tuned on a newer release still knows: two runs' first guesses on the same pictures. Pure.

Legend: N pictures of a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pictus import stats


class Guesses(NamedTuple):
    """Of a split, in its order: the pictures, what they are, and each run's guess (concept ids, "" for none)."""

    image_ids: Sequence[str]
    concept_ids: Sequence[str]
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True, slots=True)
class ForgettingRow:
    """Top-1 in 0..1 of the run before and after on the pictures of some classes; None where a run knows none of them.

    `change`: after - before with its 95 % interval, paired by picture; lost: right before and wrong after; won: the
    other way round.
    """

    release: str
    classes: str  # common | new (only the later run knows them) | dropped (only the earlier one does)
    pictures: int
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None
    lost: int
    won: int


def rows(release: str, found: Guesses, old: Sequence[str], new: Sequence[str]) -> list[ForgettingRow]:
    """One row for each kind of class that has pictures."""
    kinds = {
        "common": set(old) & set(new),
        "new": set(new) - set(old),
        "dropped": set(old) - set(new),
    }
    made = []
    for kind, classes in kinds.items():
        is_it_N = np.array([concept_id in classes for concept_id in found.concept_ids], bool)
        if is_it_N.any():
            before_N, after_N = (_right(found, guesses)[is_it_N] for guesses in (found.before, found.after))
            made.append(_row(release, kind, before_N, after_N))
    return made


def lost(found: Guesses) -> list[tuple[str, str, str]]:
    """(picture, what it is, what it is taken for now) of each that was right before and is wrong now."""
    return [
        (image_id, concept_id, after)
        for image_id, concept_id, before, after in zip(*found, strict=True)
        if concept_id == before != after
    ]


def _right(found: Guesses, guesses: Sequence[str]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.array([one == other for one, other in zip(found.concept_ids, guesses, strict=True)], bool)


def _row(release: str, kind: str, before_N: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
         after_N: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> ForgettingRow:  # fmt: skip
    before = float(before_N.mean()) if kind != "new" else None
    after = float(after_N.mean()) if kind != "dropped" else None
    if kind != "common":
        return ForgettingRow(release, kind, len(before_N), before, after, None, None, None, 0, 0)
    change, low, high = stats.paired_difference01(after_N, before_N)
    n_lost, n_won = int((before_N & ~after_N).sum()), int((after_N & ~before_N).sum())
    return ForgettingRow(release, kind, len(before_N), before, after, change, low, high, n_lost, n_won)
