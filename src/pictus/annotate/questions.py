"""From the journal's votes to the two kinds of question, and from their answers to one label per picture.

    yes/no    "does this picture show an owl?" one item for each (picture, concept), classes no, yes
              and, where anybody said so, unsure
    which     "what does it show?" one item for each picture, one class for each concept named

Where a picture has both, what somebody answered to "which?" also counts as yes to that concept and
no to the others asked about: a folder that says owl is one more voice in "is it an owl?".

Legend: V votes, R rows of one kind, U questions (picture, concept), I items, W annotators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus.annotate.annotators import NO, YES, Skill, Skills
from pictus.annotate.consensus import PERSON, Consensus, Floats, Ints, Votes, probability_of, votes_of
from pictus.records import Label

SAID = ("no", "yes", "unsure")
"""The answers to a yes/no question; position = class."""

UNSURE = 2

SOURCE_PREFIX = "source:"
"""Annotators who are no persons: a folder's name, a list of labels."""

SOURCE = 0.95
"""How often such a list is expected to be right before anybody contradicts it: above the usual threshold, so
that labels given by hand are accepted as they are; persons who disagree lower it, another list does not."""

STATUSES = ("accepted", "unsettled", "rejected")


@dataclass(frozen=True)
class Ballots:
    """All current votes as numbers. `concepts`: those named and all classes, sorted by id."""

    image_V: Ints
    annotator_V: Ints
    question_V: Ints  # concept asked about, -1 for "which?"
    answer_V: Ints  # of "which?": the concept, -1 for unsure; else the position in SAID
    images: list[str]
    annotators: list[str]
    concepts: list[str]

    @property
    def trust(self) -> Floats:
        """What is expected of each annotator, f64[W]."""
        return np.where(self.is_source, SOURCE, PERSON)

    @property
    def is_source(self) -> NDArray[np.bool_]:
        """Who is no person, bool[W]."""
        return np.array([name.startswith(SOURCE_PREFIX) for name in self.annotators], np.bool_)


class YesNo(NamedTuple):
    """The yes/no questions: item u is about concept_U[u] in image_U[u]."""

    votes: Votes
    image_U: Ints
    concept_U: Ints


class Which(NamedTuple):
    """The which-questions: item i is image_I[i], class k is concept k of the ballots."""

    votes: Votes
    image_I: Ints
    n_votes_I: Ints  # with those who were unsure


class Settled(NamedTuple):
    """One label per picture, in arrays; concept -1: nobody named one."""

    image_L: Ints
    concept_L: Ints
    posterior_L: Floats
    n_votes_L: Ints
    status_L: Ints  # position in STATUSES


def ballots_of(votes: pa.Table, classes: Sequence[str] = ()) -> Ballots:
    """Number pictures, annotators and concepts. Columns image_id, annotator, question, answer."""
    image, annotator, question, answer = (
        votes.column(name).combine_chunks() for name in ("image_id", "annotator", "question", "answer")
    )
    is_which = pc.equal(question, "")
    named = pc.unique(pa.concat_arrays([question, pc.if_else(is_which, answer, "")]))
    concepts = sorted({*named.to_pylist(), *classes} - {"", SAID[UNSURE]})
    ids = pa.array(concepts, pa.string())
    answered = pc.if_else(is_which, pc.index_in(answer, ids), pc.index_in(answer, pa.array(SAID)))
    image_code, annotator_code = image.dictionary_encode(), annotator.dictionary_encode()
    return Ballots(
        _numbers(image_code.indices), _numbers(annotator_code.indices), _numbers(pc.index_in(question, ids)),
        _numbers(answered), image_code.dictionary.to_pylist(), annotator_code.dictionary.to_pylist(), concepts,
    )  # fmt: skip


def yes_no(ballots: Ballots) -> YesNo:
    """The yes/no questions with the answers given to them, also by way of "which?"."""
    asked = ballots.question_V >= 0
    width = len(ballots.concepts)
    key_R = ballots.image_V[asked] * width + ballots.question_V[asked]
    key_U, item_R = np.unique(key_R, return_inverse=True)
    image_U, concept_U = np.divmod(key_U, max(1, width))
    annotator_R, answer_R = ballots.annotator_V[asked], ballots.answer_V[asked]
    item_S, annotator_S, answer_S = _implied(ballots, ~asked, image_U, concept_U)
    many = len(ballots.annotators)
    is_new_S = ~np.isin(item_S * many + annotator_S, item_R * many + annotator_R)
    item = np.concatenate([item_R, item_S[is_new_S]])
    annotator = np.concatenate([annotator_R, annotator_S[is_new_S]])
    answer = np.concatenate([answer_R, answer_S[is_new_S]])
    n_classes = 3 if np.any(answer == UNSURE) else 2
    votes = votes_of(
        item, annotator, answer, n_classes=n_classes, trust_W=ballots.trust, is_source_W=ballots.is_source
    )
    return YesNo(votes, image_U, concept_U)


def which(ballots: Ballots) -> Which:
    """The which-questions. Who was unsure is counted as a voter but says nothing."""
    asked = ballots.question_V < 0
    image_R, answer_R = ballots.image_V[asked], ballots.answer_V[asked]
    named = answer_R >= 0
    image_I, item_R = np.unique(image_R[named], return_inverse=True)
    votes = votes_of(
        item_R, ballots.annotator_V[asked][named], answer_R[named], trust_W=ballots.trust,
        is_source_W=ballots.is_source,
        n_classes=max(2, len(ballots.concepts)),  # of one class alone nothing could be asked: a second nobody named
    )  # fmt: skip
    everyone_M = np.bincount(image_R, minlength=len(ballots.images))
    return Which(votes, image_I, everyone_M[image_I])


def labels(
    ballots: Ballots, yes_no: tuple[YesNo, Consensus], which: tuple[Which, Consensus], threshold: float
) -> Settled:
    """The best concept of every picture that has votes.

    A yes/no question is accepted where P(yes) >= threshold and rejected where P(no) >= threshold; a
    which-question is accepted where its best concept reaches the threshold. Accepted goes before
    unsettled before rejected, then the higher posterior, then more votes, then the first concept id.
    """
    asked, said = yes_no
    free, named = which
    yes_U, no_U = probability_of(said, YES), probability_of(said, NO)
    status_U = np.where(yes_U >= threshold, 0, np.where(no_U >= threshold, 2, 1))
    concept_I = np.where(named.label_I < len(ballots.concepts), named.label_I, -1)
    width = max(1, len(ballots.concepts))
    is_open_I = ~np.isin(free.image_I * width + concept_I, asked.image_U * width + asked.concept_U)
    status_I = np.where((named.posterior_I >= threshold) & (concept_I >= 0), 0, 1)
    silent = np.setdiff1d(np.arange(len(ballots.images)), np.concatenate([asked.image_U, free.image_I]))
    silent_votes = np.bincount(ballots.image_V, minlength=len(ballots.images))[silent]
    none = np.zeros(silent.size, dtype=np.int64)
    image = np.concatenate([asked.image_U, free.image_I[is_open_I], silent])
    concept = np.concatenate([asked.concept_U, concept_I[is_open_I], none - 1])
    posterior = np.concatenate([yes_U, named.posterior_I[is_open_I], none.astype(np.float64)])
    n_votes = np.concatenate([asked.votes.counts, free.n_votes_I[is_open_I], silent_votes])
    status = np.concatenate([status_U, status_I[is_open_I], none + 1])
    order = np.lexsort((concept, -n_votes, -posterior, status, image))
    image_L, first_L = np.unique(image[order], return_index=True)
    best = order[first_L]
    return Settled(image_L, concept[best], posterior[best], n_votes[best], status[best])


def label_records(ballots: Ballots, settled: Settled, method: str, settled_at: str) -> Iterator[Label]:
    """The same as records, in order of image_id."""
    for row in np.argsort(np.array(ballots.images, dtype=np.str_)[settled.image_L], kind="stable").tolist():
        concept = int(settled.concept_L[row])
        yield Label(
            ballots.images[int(settled.image_L[row])], ballots.concepts[concept] if concept >= 0 else "",
            float(settled.posterior_L[row]), int(settled.n_votes_L[row]), STATUSES[int(settled.status_L[row])],
            method, settled_at,
        )  # fmt: skip


def skill_records(ballots: Ballots, skills: Skills, kind: str) -> list[Skill]:
    """One record for each annotator who answered such questions, the least skilled first."""
    found = []
    for number in np.flatnonzero(skills.n_votes_W).tolist():
        name, compared = ballots.annotators[number], int(skills.n_compared_W[number])
        accuracy, low, high, skill, error = (
            _known(values[number], compared)
            for values in (skills.accuracy_W, skills.low_W, skills.high_W, skills.skill_W, skills.error_W)
        )
        skill_low, skill_high = None, None
        if skill is not None and error is not None:
            skill_low, skill_high = max(-1.0, skill - 1.96 * error), min(1.0, skill + 1.96 * error)
        is_suspected = bool(skills.is_low[number]) and not name.startswith(SOURCE_PREFIX)
        found.append(
            Skill(
                name, kind, int(skills.n_votes_W[number]), compared, accuracy, low, high, skill, skill_low, skill_high,
                is_suspected,
            )
        )  # fmt: skip
    return sorted(found, key=by_skill)


def by_skill(one: Skill) -> tuple[bool, float, str, str]:
    """A key for sorting: the least skilled first, those nothing is known of last."""
    return one.skill is None, one.skill or 0.0, one.annotator, one.kind


def _known(value: float, n_compared: int) -> float | None:
    """None for a number that nothing was compared for: it would only say what was expected beforehand."""
    return float(value) if n_compared and math.isfinite(value) else None


def _implied(
    ballots: Ballots, rows: NDArray[np.bool_], image_U: Ints, concept_U: Ints
) -> tuple[Ints, Ints, Ints]:
    """What answers to "which?" say about the yes/no questions on the same picture: item, annotator, answer."""
    image_R, annotator_R, answer_R = ballots.image_V[rows], ballots.annotator_V[rows], ballots.answer_V[rows]
    first_R, end_R = np.searchsorted(image_U, image_R, "left"), np.searchsorted(image_U, image_R, "right")
    many_R = end_R - first_R
    row_S = np.repeat(np.arange(image_R.size), many_R)
    item_S = np.arange(row_S.size) - np.repeat(np.cumsum(many_R) - many_R, many_R) + first_R[row_S]
    answer_S = np.where(concept_U[item_S] == answer_R[row_S], YES, np.where(answer_R[row_S] < 0, UNSURE, NO))
    return item_S, annotator_R[row_S], answer_S


def _numbers(indices: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(indices, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
