"""Why labels are unsettled, in words, and what would settle them.

Legend: V votes, L labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pictus.annotate.truth.consensus import Ints
from pictus.annotate.truth.questions import STATUSES, UNSURE, Ballots, Settled
from pictus.errors import counted

SHOWN = 5
"""So many pictures in conflict are named."""

MANY = 0.5
"""With a greater share of unsettled labels no release is proposed."""


class Doubts(NamedTuple):
    """What stands behind the unsettled labels."""

    unsettled: int
    conflicts: list[str]  # image_ids of all pictures on which votes contradict each other, sorted
    single: int  # unsettled with one vote
    silent: int  # unsettled that nobody named a concept for, or several in one breath
    by_majority: int  # unsettled that `majority` would accept at the same threshold


def doubts_of(ballots: Ballots, settled: Settled, by_majority: Settled) -> Doubts:
    """Count them. `by_majority` is what the method majority makes of the same ballots."""
    is_open_L = settled.status_L == STATUSES.index("unsettled")
    accepted = by_majority.image_L[by_majority.status_L == STATUSES.index("accepted")]
    return Doubts(
        int(is_open_L.sum()), sorted(ballots.images[image] for image in _contradicted(ballots).tolist()),
        int((is_open_L & (settled.n_votes_L == 1) & (settled.concept_L >= 0)).sum()),
        int((is_open_L & (settled.concept_L < 0)).sum()),
        int(np.isin(settled.image_L[is_open_L], accepted).sum()),
    )  # fmt: skip


def told(
    doubts: Doubts, labels: int, *, method: str, threshold: float, holds: bool = False
) -> tuple[str, ...]:
    """What a person should know of unsettled labels, the reason first; nothing where all are settled.

    holds: some are left undecided for another reason (`links`), which is told elsewhere.
    """
    if not doubts.unsettled:
        return ()
    lines = [f"{doubts.unsettled:,} of {counted(labels, 'label')} unsettled: no posterior reaches {threshold:g}"]
    if holds:
        lines[0] += ", or it rests on people of one link alone"
    if doubts.conflicts:
        some = ", ".join(image_id[:12] for image_id in doubts.conflicts[:SHOWN])
        more = ", …" if len(doubts.conflicts) > SHOWN else ""
        one = len(doubts.conflicts) == 1
        lines.append(
            f"votes contradict each other on {counted(len(doubts.conflicts), 'picture')} ({some}{more}): look at"
            f" {'it' if one else 'them'} with pictus show IMAGE, and import who is right"
        )
    if doubts.single:
        words = counted(doubts.single, "unsettled picture has", "unsettled pictures have")
        lines.append(f"{words} a single vote, which is not sure enough")
    if doubts.silent:
        lines.append(f"nobody named one concept for {counted(doubts.silent, 'picture')}")
    if doubts.by_majority and method != "majority":
        lines.append(
            f"--method majority takes the votes as they are and would accept {doubts.by_majority:,} of them:"
            " pictus annotate settle --method majority"
        )
    return tuple(lines)


def _contradicted(ballots: Ballots) -> Ints:
    """The pictures with unlike answers to one question; who was unsure contradicts nobody."""
    says = np.where(ballots.question_V < 0, ballots.answer_V >= 0, ballots.answer_V != UNSURE)
    width = len(ballots.concepts) + 1
    key_V = (ballots.image_V * width + ballots.question_V + 1)[says]
    many = max(len(ballots.concepts), UNSURE) + 1
    said = np.sort(key_V * many + ballots.answer_V[says])
    is_same_question = said[1:] // many == said[:-1] // many
    return np.unique(said[1:][is_same_question & (said[1:] != said[:-1])] // many // width)
