"""From the journal's votes to the two kinds of question, and from their answers to one label per picture.

    yes/no    "does this picture show an owl?" one item for each (picture, concept), classes no, yes
              and, where anybody said so, unsure
    which     "what does it show?" one item for each picture, one class for each concept named

Where a picture has both, what somebody answered to "which?" also counts as yes to that concept and
no to the others asked about: a folder that says owl is one more voice in "is it an owl?".

What a reviewer ruled on a (picture, concept) stands in place of its votes.

Legend: V votes, R rows of one kind, U questions (picture, concept), I items, W annotators, F facts, P candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus.annotate.truth.annotators import NO, YES, Skill, Skills, skills_of
from pictus.annotate.truth.consensus import PERSON, Consensus, Floats, Ints, Votes, probability_of, settled, votes_of
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

RULING = "ruling"
"""The method of a label that a reviewer decided."""


@dataclass(frozen=True)
class Coded:
    """Current votes as numbers of the texts in three lists, which only ever grow."""

    image_V: Ints
    annotator_V: Ints
    question_V: Ints  # positions in `words`
    answer_V: Ints
    images: list[str]
    annotators: list[str]
    words: list[str]


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


class Facts(NamedTuple):
    """What is known of (picture, concept) from elsewhere than votes, in the numbers of the ballots.

    As known answers: `value_F` is a position in SAID. As rulings: 1 it is, 0 it is not, and a later one goes first.
    """

    image_F: Ints
    concept_F: Ints
    value_F: Ints


NOTHING = Facts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


class YesNo(NamedTuple):
    """The yes/no questions: item u is about concept_U[u] in image_U[u]."""

    votes: Votes
    image_U: Ints
    concept_U: Ints
    is_held_U: NDArray[np.bool_] | None = None  # those that stay undecided whatever their votes say (links.py)


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
    is_ruled_L: NDArray[np.bool_]


def coded(votes: pa.Table) -> Coded:
    """Number the texts of four columns: image_id, annotator, question, answer."""
    image, annotator, question, answer = (
        votes.column(name).combine_chunks() for name in ("image_id", "annotator", "question", "answer")
    )
    image_code, annotator_code = image.dictionary_encode(), annotator.dictionary_encode()
    words = pc.unique(pa.concat_arrays([question, answer]))
    return Coded(
        _numbers(image_code.indices), _numbers(annotator_code.indices), _numbers(pc.index_in(question, words)),
        _numbers(pc.index_in(answer, words)), image_code.dictionary.to_pylist(),
        annotator_code.dictionary.to_pylist(), words.to_pylist(),
    )  # fmt: skip


def continued(known: Coded, votes: pa.Table) -> Coded:
    """The same as `coded` of all votes, from those known and the ones cast since: a later answer replaces an earlier.

    Only the order in which texts are numbered may differ, and with it the last bits of sums.
    """
    fresh = coded(votes)
    images, of_image = _joined(known.images, fresh.images)
    annotators, of_annotator = _joined(known.annotators, fresh.annotators)
    words, of_word = _joined(known.words, fresh.words)
    old, new = (known.image_V, known.annotator_V, known.question_V), (
        of_image[fresh.image_V], of_annotator[fresh.annotator_V], of_word[fresh.question_V],
    )  # fmt: skip
    key_V, key_N = ((one[0] * len(annotators) + one[1]) * len(words) + one[2] for one in (old, new))
    stays_V = ~np.isin(key_V, key_N)
    _, from_end = np.unique(key_N[::-1], return_index=True)
    last_N = np.sort(key_N.size - 1 - from_end)
    image, annotator, question, answer = (
        np.concatenate([column[stays_V], more[last_N]])
        for column, more in zip((*old, known.answer_V), (*new, of_word[fresh.answer_V]), strict=True)
    )
    return Coded(image, annotator, question, answer, images, annotators, words)


def with_answers(votes: Coded, given: Sequence[tuple[str, str, str, str]]) -> Coded:
    """The same votes, but some with other answers; given: image_id, annotator, question and answer of each, the first
    of several counts. Those that nobody cast are left out.
    """
    if not given:
        return votes
    image, annotator = ({name: place for place, name in enumerate(one)} for one in (votes.images, votes.annotators))
    words = _joined(votes.words, [row[3] for row in given])[0]
    word = {text: place for place, text in enumerate(words)}
    many, width = len(votes.annotators), len(words)
    wanted = {
        (image[row[0]] * many + annotator[row[1]]) * width + word[row[2]]: word[row[3]] for row in reversed(given)
        if row[0] in image and row[1] in annotator and row[2] in word
    }  # fmt: skip
    key_V = (votes.image_V * many + votes.annotator_V) * width + votes.question_V
    key_G = np.array(sorted(wanted), np.int64)
    at_V = np.flatnonzero(np.isin(key_V, key_G))
    answer_V = votes.answer_V.copy()
    answer_V[at_V] = [wanted[key] for key in key_V[at_V].tolist()]
    return replace(votes, answer_V=answer_V, words=words)


def _joined(known: list[str], more: list[str]) -> tuple[list[str], Ints]:
    """Both lists as one without doubles, and where each text of the second one stands in it."""
    place = {text: number for number, text in enumerate(known)}
    added = [text for text in more if text not in place]
    place.update({text: len(known) + number for number, text in enumerate(added)})
    return [*known, *added], np.array([place[text] for text in more], np.int64)


def ballots_of(votes: pa.Table, classes: Sequence[str] = ()) -> Ballots:
    """Number pictures, annotators and concepts. Columns image_id, annotator, question, answer."""
    return ballots_from(coded(votes), classes)


def ballots_from(
    votes: Coded, classes: Sequence[str] = (), *, without: Sequence[str] = (), images: Sequence[str] = ()
) -> Ballots:
    """The same of votes that were numbered, `without` those of some annotators, and with more `images`."""
    left_out = set(without)
    is_out_W = np.array([name in left_out for name in votes.annotators], np.bool_)
    stays_V = ~is_out_W[votes.annotator_V] if is_out_W.any() else np.ones(votes.image_V.size, np.bool_)
    question_V, answer_V = votes.question_V[stays_V], votes.answer_V[stays_V]
    blank = votes.words.index("") if "" in votes.words else -1
    is_which_V = question_V == blank
    used = np.unique(np.concatenate([question_V, answer_V[is_which_V]]))
    concepts = sorted({*(votes.words[word] for word in used.tolist()), *classes} - {"", SAID[UNSURE]})
    number = {concept: place for place, concept in enumerate(concepts)}
    concept_of = np.array([number.get(word, -1) for word in votes.words] or [-1], np.int64)
    said_of = np.array([SAID.index(word) if word in SAID else -1 for word in votes.words] or [-1], np.int64)
    image_V, annotator_V = votes.image_V[stays_V], votes.annotator_V[stays_V]
    shown, people = votes.images, votes.annotators
    if image_V.size < votes.image_V.size:
        left, image_V = np.unique(image_V, return_inverse=True)
        shown = [shown[place] for place in left.tolist()]
        left, annotator_V = np.unique(annotator_V, return_inverse=True)
        people = [people[place] for place in left.tolist()]
    return Ballots(
        image_V, annotator_V, np.where(is_which_V, -1, concept_of[question_V]),
        np.where(is_which_V, concept_of[answer_V], said_of[answer_V]), _joined(shown, list(images))[0], people,
        concepts,
    )  # fmt: skip


def facts_of(ballots: Ballots, known: Sequence[tuple[str, str, int]]) -> Facts:
    """(image_id, concept_id, value) in the numbers of the ballots; what is in none of their lists is left out."""
    image = {name: number for number, name in enumerate(ballots.images)}
    concept = {name: number for number, name in enumerate(ballots.concepts)}
    rows = [(image[one], concept[other], value) for one, other, value in known if one in image and other in concept]
    columns = np.array(rows, np.int64).reshape(-1, 3)
    return Facts(columns[:, 0], columns[:, 1], columns[:, 2])


def yes_no(ballots: Ballots, known: Facts = NOTHING) -> YesNo:
    """The yes/no questions with the answers given to them, also by way of "which?"; `known` ones stand."""
    asked = ballots.question_V >= 0
    width = len(ballots.concepts)
    key_R = ballots.image_V[asked] * width + ballots.question_V[asked]
    key_U, item_R = np.unique(key_R, return_inverse=True)
    image_U, concept_U = np.divmod(key_U, max(1, width))
    annotator_R, answer_R = ballots.annotator_V[asked], ballots.answer_V[asked]
    item_S, annotator_S, answer_S = _implied(ballots, ~asked, image_U, concept_U)
    many = len(ballots.annotators)
    is_new_S = ~_is_in(item_S * many + annotator_S, item_R * many + annotator_R)
    item = np.concatenate([item_R, item_S[is_new_S]])
    annotator = np.concatenate([annotator_R, annotator_S[is_new_S]])
    answer = np.concatenate([answer_R, answer_S[is_new_S]])
    n_classes = 3 if np.any(answer == UNSURE) else 2
    known_U = np.full(key_U.size, -1)
    if known.image_F.size and key_U.size:
        key_F = known.image_F * width + known.concept_F
        place_F = np.minimum(np.searchsorted(key_U, key_F), key_U.size - 1)
        is_asked_F = (key_U[place_F] == key_F) & (known.value_F < n_classes)
        known_U[place_F[is_asked_F]] = known.value_F[is_asked_F]
    votes = votes_of(
        item, annotator, answer, n_classes=n_classes, trust_W=ballots.trust, is_source_W=ballots.is_source,
        known_I=known_U,
    )  # fmt: skip
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
    ballots: Ballots, yes_no: tuple[YesNo, Consensus], which: tuple[Which, Consensus], threshold: float,
    rulings: Facts = NOTHING,
) -> Settled:  # fmt: skip
    """The best concept of every picture that has votes or a ruling.

    A yes/no question is accepted where P(yes) >= threshold and rejected where P(no) >= threshold; a
    which-question is accepted where its best concept reaches the threshold; what is ruled is accepted or rejected
    whatever the votes say. Accepted goes before unsettled before rejected, then the higher posterior, then the later
    ruling, then more votes, then the first concept id.
    """
    asked, said = yes_no
    free, named = which
    yes_U, status_U = probability_of(said, YES), statuses(asked, said, threshold)
    concept_I, best_I = _best_allowed(ballots, free, named, rulings)
    width = max(1, len(ballots.concepts))
    is_asked_I = _is_in(free.image_I * width + concept_I, asked.image_U * width + asked.concept_U)
    is_open_I = ~is_asked_I & (best_I >= 0)
    status_I = np.where((best_I >= threshold) & (concept_I >= 0), 0, 1)
    is_silent = np.ones(len(ballots.images), np.bool_)
    is_silent[np.concatenate([asked.image_U, free.image_I, rulings.image_F])] = False
    silent = np.flatnonzero(is_silent)
    silent_votes = np.bincount(ballots.image_V, minlength=len(ballots.images))[silent]
    none = np.zeros(silent.size, dtype=np.int64)
    image = np.concatenate([asked.image_U, free.image_I[is_open_I], silent])
    concept = np.concatenate([asked.concept_U, concept_I[is_open_I], none - 1])
    posterior = np.concatenate([yes_U, best_I[is_open_I], none.astype(np.float64)])
    n_votes = np.concatenate([asked.votes.counts, free.n_votes_I[is_open_I], silent_votes])
    status = np.concatenate([status_U, status_I[is_open_I], none + 1])
    is_ruled = _is_in(image * width + concept, rulings.image_F * width + rulings.concept_F) & (concept >= 0)
    ruled_votes = _votes_behind(rulings, (image, concept, n_votes), width)
    stays = ~is_ruled
    order_F = np.arange(1, rulings.image_F.size + 1)
    image, concept, posterior, n_votes, status, ruling = (
        np.concatenate([column[stays], more])
        for column, more in (
            (image, rulings.image_F), (concept, rulings.concept_F), (posterior, rulings.value_F.astype(np.float64)),
            (n_votes, ruled_votes), (status, 2 - 2 * rulings.value_F), (np.zeros(image.size, np.int64), order_F),
        )
    )  # fmt: skip
    order = np.lexsort((concept, -n_votes, -ruling, -posterior, status, image))
    image_L, first_L = np.unique(image[order], return_index=True)
    best = order[first_L]
    return Settled(image_L, concept[best], posterior[best], n_votes[best], status[best], ruling[best] > 0)


def statuses(asked: YesNo, said: Consensus, threshold: float) -> Ints:
    """Positions in STATUSES of yes/no questions. i64[U]"""
    yes_U, no_U = probability_of(said, YES), probability_of(said, NO)
    status_U = np.where(yes_U >= threshold, 0, np.where(no_U >= threshold, 2, 1))
    return status_U if asked.is_held_U is None else np.where(asked.is_held_U, 1, status_U)


def _best_allowed(ballots: Ballots, free: Which, named: Consensus, rulings: Facts) -> tuple[Ints, Floats]:
    """The concept of every which-question that no ruling forbids, and its posterior; below 0 where there is none."""
    forbidden = rulings.value_F == 0
    if not forbidden.any() or not named.label_I.size:
        return np.where(named.label_I < len(ballots.concepts), named.label_I, -1), named.posterior_I
    candidates, width = named.candidates, max(1, len(ballots.concepts))
    key_P = free.image_I[candidates.item_P] * width + candidates.class_P
    key_F = (rulings.image_F * width + rulings.concept_F)[forbidden]
    is_touched_I = np.isin(free.image_I, rulings.image_F[forbidden])
    is_named_P = np.bincount(candidates.of_vote_V, minlength=key_P.size) > 0
    is_out_P = np.isin(key_P, key_F) | (is_touched_I[candidates.item_P] & ~is_named_P)
    allowed = settled(candidates, np.where(is_out_P, -1.0, named.posterior_P))
    concept_I = np.where(is_touched_I, allowed.label_I, named.label_I)
    return np.where(concept_I < width, concept_I, -1), np.where(is_touched_I, allowed.posterior_I, named.posterior_I)


def _votes_behind(rulings: Facts, rows: tuple[Ints, Ints, Ints], width: int) -> Ints:
    """How many votes there are on what is ruled. rows: image, concept, number of votes."""
    image, concept, n_votes = rows
    if not image.size:
        return np.zeros(rulings.image_F.size, np.int64)
    order = np.argsort(image * width + concept)
    key = (image * width + concept)[order]
    key_F = rulings.image_F * width + rulings.concept_F
    place_F = np.minimum(np.searchsorted(key, key_F), key.size - 1)
    return np.where(key[place_F] == key_F, n_votes[order][place_F], 0)


def label_table(ballots: Ballots, settled: Settled, method: str, settled_at: str) -> pa.Table:
    """The same with the columns of Label, in order of image_id."""
    names = pa.array(ballots.images, pa.string()).take(pa.array(settled.image_L))
    row = pc.sort_indices(names)
    at = row.to_numpy()
    many = settled.image_L.size
    return pa.table({
        "image_id": names.take(row), "concept_id": _names(ballots.concepts, settled.concept_L[at]),
        "posterior": settled.posterior_L[at], "n_votes": pa.array(settled.n_votes_L[at]).cast(pa.int32()),
        "status": pa.array(STATUSES).take(pa.array(settled.status_L[at])),
        "method": _methods(settled.is_ruled_L[at], method), "settled_at": pa.repeat(settled_at, many),
    })  # fmt: skip


def label_records(ballots: Ballots, settled: Settled, method: str, settled_at: str) -> Iterator[Label]:
    """The same as records."""
    return (Label(**row) for row in label_table(ballots, settled, method, settled_at).to_pylist())


def _names(texts: Sequence[str], number: Ints) -> pa.Array:
    """Texts by number; "" for -1."""
    return pa.array(["", *texts], pa.string()).take(pa.array(number + 1))


def _methods(is_ruled: NDArray[np.bool_], method: str) -> pa.Array:
    return pa.array([method, RULING]).take(pa.array(is_ruled.astype(np.int64)))


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


def all_skills(
    ballots: Ballots, asked: tuple[YesNo, Consensus], free: tuple[Which, Consensus]
) -> list[Skill]:  # fmt: skip
    """Everybody on both kinds of question, the least skilled first."""
    found = []
    if asked[0].votes.n_items:
        found += skill_records(ballots, skills_of(asked[0].votes, asked[1], is_yes_no=True), "yes/no")
    if free[0].votes.n_items:
        found += skill_records(ballots, skills_of(free[0].votes, free[1], is_yes_no=False), "which")
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


def _is_in(numbers: Ints, among: Ints) -> NDArray[np.bool_]:
    """np.isin, which takes its time where there is nothing to find."""
    return np.isin(numbers, among) if numbers.size and among.size else np.zeros(numbers.size, np.bool_)


def _numbers(indices: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(indices, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
