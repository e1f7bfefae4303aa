"""From the answers of the loop to boxes: how sure each is, and whether its picture is covered. Pure.

A drawn box is good with P(good) = share of good answers so far; each verifier is right with a probability that known
answers told (Beta prior: RIGHT, worth CERTAINTY answers). Boxes that several people drew each on their own, outside
the loop, are merged by `box_consensus`; where the loop has a box of the same place, the loop's stands.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pictus.annotate.shapes.box_consensus import BoxConsensus, drawn_of, overlaps, weigh_boxes
from pictus.annotate.shapes.box_loop import BOX, COVERAGE, MOST_ROUNDS, QUALITY
from pictus.annotate.shapes.marks import PROPOSERS
from pictus.annotate.shapes.shape_texts import read_shapes
from pictus.errors import counted
from pictus.records import Box, BoxCoverage

RIGHT = 0.9
CERTAINTY = 10.0
_SHARE = (4.0, 1.0)
"""Good and bad answers that stand for what is expected of drawn boxes before any is verified: 4 of 5 are good."""

_SAME = 0.5
"""IoU from which a merged box is the loop's box."""

Key = tuple[str, str]  # image_id, concept_id


class Mark(NamedTuple):
    """One shape that counts: of the latest revision of its page, or of a file."""

    mark_id: int
    kind: str
    image_id: str
    concept_id: str
    annotator: str
    text: str  # the shape, as JSON
    is_drawn_here: bool  # on a page of the desk, else it came from a file or a model

    @property
    def key(self) -> Key:
        return self.image_id, self.concept_id

    @property
    def shape(self) -> Mapping[str, Any]:
        """Read anew each time."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def is_proposal(self) -> bool:
        """Drawn by no person."""
        return self.annotator.startswith(PROPOSERS)


class Said(NamedTuple):
    """One answer that counts, in the order given. `role`: ask | gold | repeat."""

    kind: str
    image_id: str
    concept_id: str
    mark_id: int
    annotator: str
    answer: str
    role: str
    known: str

    @property
    def key(self) -> Key:
        return self.image_id, self.concept_id


class Sure(NamedTuple):
    """What the quality answers say of one box."""

    posterior: float
    good: tuple[str, ...]  # who said so
    bad: tuple[str, ...]


class Evidence(NamedTuple):
    """What is known beyond the answers at hand: skill of verifiers, answers good and bad about other boxes."""

    skill: Mapping[str, float]
    good: int
    bad: int


def right_of(rights: int, many: int) -> float:
    """How often a verifier is right who was so with `rights` of `many` known answers."""
    return (RIGHT * CERTAINTY + rights) / (CERTAINTY + many)


def share_of(good: int, bad: int) -> tuple[float, float]:
    """Answers for and against, with those that stand for what is expected."""
    return good + _SHARE[0], bad + _SHARE[1]


def verifiers(said: Iterable[Said]) -> dict[str, float]:
    """How often each verifier is right, from known answers; those who had none as expected."""
    right: dict[str, int] = defaultdict(int)
    many: dict[str, int] = defaultdict(int)
    for one in said:
        if one.kind == QUALITY:
            many[one.annotator] += one.role == "gold"
            right[one.annotator] += one.role == "gold" and one.answer == one.known
    return {name: right_of(right[name], many[name]) for name in many}


def sure_of(said: Sequence[Said], beyond: Evidence | None = None) -> dict[int, Sure]:
    """How sure each box is that somebody verified; of one person's answers to one question the last counts.

    beyond: where `said` is about some boxes only; without, it is all there is.
    """
    skill = verifiers(said) if beyond is None else beyond.skill
    answers: dict[int, dict[str, str]] = defaultdict(dict)
    for one in said:
        if one.kind == QUALITY and one.role != "gold" and one.mark_id:
            answers[one.mark_id][one.annotator] = one.answer
    found_by = {
        mark: tuple(tuple(name for name, answer in votes.items() if answer == word) for word in ("good", "bad"))
        for mark, votes in answers.items()
    }
    good, bad = share_of(
        (beyond.good if beyond else 0) + sum(len(yes) for yes, _ in found_by.values()),
        (beyond.bad if beyond else 0) + sum(len(no) for _, no in found_by.values()),
    )
    common = math.log(good / bad)
    says = {name: math.log(right / (1 - right)) for name, right in skill.items()}
    expected = math.log(RIGHT / (1 - RIGHT))
    found = {}
    for mark, (yes, no) in found_by.items():
        odds = common + sum(says.get(name, expected) for name in yes) - sum(says.get(name, expected) for name in no)
        found[mark] = Sure(1 / (1 + math.exp(-odds)), yes, no)
    return found


def box_records(
    marks: Sequence[Mark], said: Sequence[Said], ruled_out: frozenset[Key], threshold: float, settled_at: str,
    *, beyond: Evidence | None = None,
) -> list[Box]:  # fmt: skip
    """One record per box, rejected ones too, by picture and concept.

    ruled_out: pictures that, as a reviewer ruled, do not show the concept; beyond: as `sure_of` takes it.
    """
    drawn = [mark for mark in marks if mark.kind == BOX]
    standing = {mark.mark_id for mark in drawn}
    about = [one for one in said if one.kind == QUALITY and (one.role == "gold" or one.mark_id in standing)]
    sure = sure_of(about, beyond)
    alone, together = _apart(drawn, sure)
    read = read_shapes([mark.text for mark in alone], box=pa.list_(pa.float64())).column("box").to_pylist()
    records = [
        _verified(mark, sides, sure.get(mark.mark_id), settled_at)
        for mark, sides in zip(alone, read, strict=True)
    ]
    taken: dict[Key, list[Box]] = defaultdict(list)
    for record in records:
        if record.status == "accepted":
            taken[record.image_id, record.concept_id].append(record)
    records += _merged(together, taken, threshold, settled_at)
    records = [_ruled(one) if (one.image_id, one.concept_id) in ruled_out else one for one in records]
    return sorted(records, key=lambda one: (one.image_id, one.concept_id, one.mark_id))


def coverages(marks: Sequence[Mark], said: Sequence[Said], boxes: Sequence[Box], settled_at: str) -> list[BoxCoverage]:
    """Whether each picture that the loop looked at has all its boxes of a concept.

    Counted is what was said after the last box was drawn or verified. "None further" counts as covered.
    """
    good: dict[Key, int] = defaultdict(int)
    for box in boxes:
        good[box.image_id, box.concept_id] += box.status == "accepted"
    drawn: dict[Key, int] = defaultdict(int)
    for mark in marks:
        drawn[mark.key] += mark.kind == BOX
    answers: dict[Key, list[Said]] = defaultdict(list)
    for one in said:
        if one.kind in (BOX, QUALITY, COVERAGE) and one.role == "ask":
            answers[one.key].append(one)
    return [
        _coverage(key, answers.get(key, []), good[key], drawn[key], settled_at)
        for key in sorted({*answers, *(key for key, many in drawn.items() if many)})
    ]


def _coverage(key: Key, said: Sequence[Said], good: int, drawn: int, settled_at: str) -> BoxCoverage:
    changed = max(
        (at for at, one in enumerate(said) if one.kind == QUALITY or (one.kind == BOX and one.answer == BOX)),
        default=-1,
    )
    latest: dict[str, bool] = {}
    for one in said[changed + 1 :]:
        if one.kind == COVERAGE or one.mark_id <= 0:  # "none" about a bad box only says that it is nothing
            latest[one.annotator] = one.answer in ("covered", "none")
    yes, no = sum(latest.values()), len(latest) - sum(latest.values())
    if not good and yes and not no:
        state, reason = "undecided", "nobody finds one to draw: does the picture show it?"
    elif yes > no:
        state, reason = "covered", f"{counted(yes, 'person', 'people')} found no further one"
    elif yes:
        state, reason = "undecided", f"{counted(no, 'person', 'people')} saw a further one, {yes:,} found none"
    elif drawn >= MOST_ROUNDS:
        state, reason = "undecided", f"{counted(drawn, 'box', 'boxes')} were drawn, and nobody is asked any more"
    elif no:
        state, reason = "missing", "somebody sees a further one"
    else:
        state, reason = "open", "nobody was asked yet whether all are there"
    return BoxCoverage(*key, state, good, yes, no, reason, settled_at)


def _apart(marks: Sequence[Mark], sure: Mapping[int, Sure]) -> tuple[list[Mark], list[Mark]]:
    """Boxes that stand for themselves, and those that several people drew each on their own, outside the loop."""
    free: dict[Key, list[Mark]] = defaultdict(list)
    alone = []
    for mark in marks:
        if mark.is_drawn_here or mark.is_proposal or mark.mark_id in sure:
            alone.append(mark)
        else:
            free[mark.key].append(mark)
    together: list[Mark] = []
    for group in free.values():
        (together if len({mark.annotator for mark in group}) > 1 else alone).extend(group)
    return alone, together


def _verified(mark: Mark, sides: Sequence[float], sure: Sure | None, settled_at: str) -> Box:
    x1, y1, x2, y2 = sides
    if sure is None:
        status, posterior = "unsettled", _SHARE[0] / sum(_SHARE)
        reason = "a proposal that nobody verified" if mark.is_proposal else "drawn, and not verified yet"
    else:
        posterior, good, bad = sure.posterior, len(sure.good), len(sure.bad)
        status = "accepted" if good > bad else "rejected" if bad > good else "unsettled"
        told = [f"good to {counted(good, 'person', 'people')}"] if good else []
        told += [f"bad to {counted(bad, 'person', 'people')}"] if bad else []
        reason = ", ".join(told)
    verified_by = (*sure.good, *sure.bad) if sure else ()
    return Box(
        mark.image_id, mark.concept_id, mark.mark_id, x1, y1, x2, y2, 0.0, posterior, len(sure.good) if sure else 0,
        len(sure.bad) if sure else 0, 1, 1, (mark.annotator,), verified_by, status, "loop", reason, settled_at,
    )  # fmt: skip


def _merged(
    marks: Sequence[Mark], taken: Mapping[Key, Sequence[Box]], threshold: float, settled_at: str
) -> list[Box]:
    """Boxes of several people on their own, merged; but for those where the loop has one."""
    if not marks:
        return []
    keys = sorted({mark.key for mark in marks})
    people = list(dict.fromkeys(mark.annotator for mark in marks))
    number, who = {key: at for at, key in enumerate(keys)}, {name: at for at, name in enumerate(people)}
    found = weigh_boxes(
        drawn_of(
            [number[mark.key] for mark in marks], [who[mark.annotator] for mark in marks],
            [mark.shape["box"] for mark in marks],
        )
    )  # fmt: skip
    members: dict[int, list[Mark]] = defaultdict(list)
    for mark, cluster in zip(marks, found.cluster_B.tolist(), strict=True):
        members[cluster].append(mark)
    records = []
    for cluster, group in sorted(members.items()):
        others = np.array([[box.x1, box.y1, box.x2, box.y2] for box in taken.get(group[0].key, ())]).reshape(-1, 4)
        if np.any(overlaps(found.box_C4[cluster : cluster + 1], others) >= _SAME):
            continue
        records.append(_cluster(found, cluster, group, threshold, settled_at))
    return records


def _cluster(found: BoxConsensus, cluster: int, group: Sequence[Mark], threshold: float, settled_at: str) -> Box:
    probability = float(found.probability_C[cluster])
    drew, looked = int(found.n_drew_C[cluster]), int(found.n_looked_C[cluster])
    status = "accepted" if probability >= threshold else "rejected" if probability <= 1 - threshold else "unsettled"
    x1, y1, x2, y2 = (round(value, 2) for value in found.box_C4[cluster].tolist())
    spread = round(float(found.sd_C4[cluster].mean()), 2)
    names = tuple(mark.annotator for mark in group)
    reason = f"{drew} of {counted(looked, 'person', 'people')} drew it"
    return Box(
        *group[0].key, min(mark.mark_id for mark in group), x1, y1, x2, y2, spread, probability, 0, 0, drew, looked,
        names, (), status, "consensus", reason, settled_at,
    )  # fmt: skip


def _ruled(box: Box) -> Box:
    reason = "a reviewer ruled that the picture does not show it"
    return replace(box, status="rejected", method="ruling", posterior=0.0, reason=reason)
