"""What votes are to the methods that weigh them, and what those methods return.

Everything is sparse: no array has more entries than there are pairs of (vote, class somebody
named for that item), whatever the number of classes. Nothing depends on how annotators are
called or numbered: sums run in the order of the votes.

Legend: V votes, I items, W annotators, K classes, P candidates (item, class).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pictus.registry import Registry

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PERSON = 0.8
"""How often a person is expected to be right before any of their votes is seen."""

CERTAINTY = 10.0
"""How many votes that expectation is worth: the strength of the Beta prior on an accuracy."""

COMPLETE_UP_TO = 8
"""Up to so many classes every class is a candidate for every item; above, only those somebody named."""

TIE = 1e-6
"""Posteriors closer than this (relative) are equal: rounding must not decide between two labels."""

FAR = 0.25
MIXED = 2
"""Rounds are mixed, each with the two before it, once no posterior moves by more than FAR."""

COARSE = 100
"""Changes of so many times the last one that counts still say where EM goes; nearer to its end they are rounding."""

TEACHING = 2
"""Items with fewer votes teach nothing about annotators: one vote always agrees with itself. Nor are they judged
by what the others teach about classes: what gets a second vote is seldom a fair sample of what does not.
"""


class Before(NamedTuple):
    """What an earlier run made of some of the same items, to start from.

    key_B        i64[B] ascending: item * n_classes + class
    posterior_B  f64[B] in [0, 1]
    """

    key_B: Ints
    posterior_B: Floats


@dataclass(frozen=True)
class Votes:
    """Answers in long form, grouped by item. Make them with `votes_of`, which checks.

    item_V       i64[V] in [0, I), ascending; every item has a vote
    annotator_V  i64[V] in [0, W)
    answer_V     i64[V] in [0, K)
    trust_W      f64[W] in (0, 1): how often each annotator is expected to be right before any vote is seen
    is_source_W  bool[W]: those who are no persons but places that pictures and labels come from
    known_I      i64[I]: the class of an item whose answer is known beforehand, -1 elsewhere; never in doubt
    """

    item_V: Ints
    annotator_V: Ints
    answer_V: Ints
    trust_W: Floats
    n_items: int
    n_classes: int
    is_source_W: NDArray[np.bool_]
    known_I: Ints
    before: Before | None = None

    @property
    def n_annotators(self) -> int:
        return int(self.trust_W.size)

    @property
    def counts(self) -> Ints:
        """Votes per item, i64[I]."""
        return np.bincount(self.item_V, minlength=self.n_items)

    @property
    def teaching(self) -> NDArray[np.bool_]:
        """Which items teach something about annotators and classes, bool[I].

        Those with TEACHING votes or more, one of them a person's, and those whose answer is known. Two places that
        claim unlike concepts for one picture make that picture doubtful: it may show both. They say nothing of all the
        other pictures, as two folders that name a breed and its kind would otherwise.
        """
        persons_I = np.bincount(self.item_V[~self.is_source_W[self.annotator_V]], minlength=self.n_items)
        return np.asarray(((self.counts >= TEACHING) & (persons_I > 0)) | (self.known_I >= 0))


class Candidates(NamedTuple):
    """The classes each item may have, ascending by item, then by class.

    `first_I` is each item's first candidate, `of_vote_V` the candidate a vote names. `is_complete`:
    all K classes are candidates of every item; else there is also "none of these".
    """

    item_P: Ints
    class_P: Ints
    first_I: Ints
    of_vote_V: Ints
    is_complete: bool
    fixed_P: Floats | None = None  # 1 and 0 for candidates of items whose answer is known, nan elsewhere


class Consensus(NamedTuple):
    """One label per item, how sure it is, and the whole (sparse) posterior."""

    label_I: Ints
    posterior_I: Floats
    candidates: Candidates
    posterior_P: Floats


Method = Callable[[Votes], Consensus]

METHODS: Registry[Method] = Registry("method", "pictus.consensus")


def votes_of(
    items: ArrayLike, annotators: ArrayLike, answers: ArrayLike, *, n_classes: int, trust_W: ArrayLike | None = None,
    is_source_W: ArrayLike | None = None, known_I: ArrayLike | None = None,
) -> Votes:  # fmt: skip
    """Check three columns i[V] >= 0 and sort them by item, keeping the order of votes on one item.

    `trust_W` also says how many annotators there are; without it they are counted and trusted alike. Without
    `is_source_W` all are persons; without `known_I` no answer is known beforehand.
    """
    item_V, annotator_V, answer_V = (np.asarray(column).astype(np.int64) for column in (items, annotators, answers))
    if not item_V.shape == annotator_V.shape == answer_V.shape or item_V.ndim != 1:
        message = f"three columns of one length expected, found {item_V.shape}, {annotator_V.shape}, {answer_V.shape}"
        raise ValueError(message)
    if n_classes < 2:  # noqa: PLR2004  with one class there is nothing to ask
        message = f"at least 2 classes expected, found {n_classes}"
        raise ValueError(message)
    if item_V.size and (min(item_V.min(), annotator_V.min(), answer_V.min()) < 0 or answer_V.max() >= n_classes):
        message = f"items, annotators and answers are numbered from 0, answers below {n_classes}"
        raise ValueError(message)
    seen = int(annotator_V.max()) + 1 if annotator_V.size else 0
    trusted = np.full(seen, PERSON) if trust_W is None else np.asarray(trust_W, dtype=np.float64)
    if trusted.size < seen or not np.all((trusted > 0) & (trusted < 1)):
        message = "trust_W holds one number between 0 and 1 for each annotator"
        raise ValueError(message)
    if np.any(np.diff(item_V) < 0):
        order = np.argsort(item_V, kind="stable")
        item_V, annotator_V, answer_V = item_V[order], annotator_V[order], answer_V[order]
    n_items = int(item_V[-1]) + 1 if item_V.size else 0
    if np.any(np.bincount(item_V, minlength=n_items) == 0):
        message = "items are numbered without gaps: each has a vote"
        raise ValueError(message)
    is_source = np.zeros(trusted.size, np.bool_) if is_source_W is None else np.asarray(is_source_W, np.bool_)
    known = np.full(n_items, -1) if known_I is None else np.asarray(known_I).astype(np.int64)
    if known.shape != (n_items,) or np.any((known < -1) | (known >= n_classes)):
        message = f"known_I holds one class below {n_classes}, or -1, for each of {n_items} items"
        raise ValueError(message)
    return Votes(item_V, annotator_V, answer_V, trusted, n_items, n_classes, is_source, known)


def candidates_of(votes: Votes) -> Candidates:
    """The (item, class) pairs that can be true: all for few classes, else those named by a vote or known."""
    n_items, n_classes = votes.n_items, votes.n_classes
    key_V = votes.item_V * n_classes + votes.answer_V
    if n_classes <= COMPLETE_UP_TO:
        item_P = np.repeat(np.arange(n_items), n_classes)
        class_P = np.tile(np.arange(n_classes), n_items)
        first_I = np.arange(n_items) * n_classes
        return Candidates(item_P, class_P, first_I, key_V, is_complete=True, fixed_P=_fixed(votes, item_P, class_P))
    certain_I = np.flatnonzero(votes.known_I >= 0)
    key_P, place = np.unique(
        np.concatenate([key_V, certain_I * n_classes + votes.known_I[certain_I]]), return_inverse=True
    )
    item_P, class_P = np.divmod(key_P, n_classes)
    return Candidates(
        item_P, class_P, np.searchsorted(item_P, np.arange(n_items)), place[: key_V.size], is_complete=False,
        fixed_P=_fixed(votes, item_P, class_P),
    )  # fmt: skip


def _fixed(votes: Votes, item_P: Ints, class_P: Ints) -> Floats | None:
    known_P = votes.known_I[item_P]
    if not np.any(known_P >= 0):
        return None
    return np.where(known_P < 0, np.nan, (known_P == class_P).astype(np.float64))


def pinned(candidates: Candidates, posterior_P: Floats) -> Floats:
    """The posterior with what is known beforehand put in."""
    fixed_P = candidates.fixed_P
    return posterior_P if fixed_P is None else np.where(np.isnan(fixed_P), posterior_P, fixed_P)


def started(votes: Votes, candidates: Candidates, guess_P: Floats) -> Floats:
    """Where to begin: the posterior of an earlier run for items of which it knew all candidates, else the guess."""
    before = votes.before
    if before is None or not before.key_B.size:
        return guess_P
    key_P = candidates.item_P * votes.n_classes + candidates.class_P
    place_P = np.minimum(np.searchsorted(before.key_B, key_P), before.key_B.size - 1)
    is_found_P = before.key_B[place_P] == key_P
    is_whole_I = np.logical_and.reduceat(is_found_P, candidates.first_I)
    start_P = np.where(is_whole_I[candidates.item_P], before.posterior_B[place_P], guess_P)
    return pinned(candidates, np.asarray(start_P))


def log_prior(candidates: Candidates, teaches_P: Floats, share_K: Floats) -> Floats:
    """How probable each candidate is before its votes are seen: as common as its class is among the items that
    teach, for one of those; for an item with a single vote every class alike. f64[P], logarithms.
    """
    return np.where(teaches_P > 0, np.log(share_K)[candidates.class_P], -np.log(share_K.size))


def posterior_of(candidates: Candidates, log_P: Floats, log_prior_P: Floats, log_elsewhere_I: Floats) -> Floats:
    """Bayes over each item's candidates and, where they are not complete, "none of these".

    log_P: log-likelihood of each candidate; log_elsewhere_I: of a class nobody named; log_prior_P: what
    `log_prior` says. f64[P] in [0, 1].
    """
    if log_P.size == 0:
        return log_P
    log_P = log_P + log_prior_P
    if candidates.is_complete:
        log_KI = log_P.reshape(candidates.first_I.size, -1).T.copy()
        weight_KI = np.exp(log_KI - log_KI.max(axis=0))
        return pinned(candidates, np.asarray((weight_KI / weight_KI.sum(axis=0)).T.ravel()))
    named_I = np.add.reduceat(np.exp(log_prior_P), candidates.first_I)
    log_elsewhere_I = log_elsewhere_I + np.log(np.maximum(1 - named_I, 1e-300))
    peak_I = np.maximum(np.maximum.reduceat(log_P, candidates.first_I), log_elsewhere_I)
    weight_P = np.exp(log_P - peak_I[candidates.item_P])
    total_I = np.add.reduceat(weight_P, candidates.first_I) + np.exp(log_elsewhere_I - peak_I)
    return pinned(candidates, np.asarray(weight_P / total_I[candidates.item_P]))


def taught_by(votes: Votes, candidates: Candidates) -> Floats:
    """1 for candidates of items that teach something about annotators and classes, else 0. f64[P]."""
    return votes.teaching.astype(np.float64)[candidates.item_P]


def converged(
    step: Callable[[Floats], Floats], posterior_P: Floats, *, change: float, rounds: int = 200,
    within: tuple[float, float] = (0.0, 1.0),
) -> Floats:  # fmt: skip
    """The posterior that `step` leaves alone, up to `change`; after `rounds` the last one.

    Or any other vector of numbers that lie `within` two bounds.

    EM's last digits take most of its rounds, each a fixed share of the one before. Once the changes
    are small, each round starts from the mix of the last three results whose changes cancel best
    (Anderson 1965): half the rounds, the same end. Where changes are still coarse and grow, a mix that goes
    back from where the round went is not taken: it leads to a point that EM itself runs away from. Should that
    not settle, the second half is plain.
    """
    results: list[Floats] = []
    changes: list[Floats] = []
    result_P = posterior_P
    for number in range(rounds):
        result_P = step(posterior_P)
        change_P = result_P - posterior_P
        largest = float(np.abs(change_P).max(initial=0.0))
        if largest < change:
            return result_P
        if largest > FAR:
            results, changes = [], []
        results, changes = [*results[-MIXED:], result_P], [*changes[-MIXED:], change_P]
        posterior_P = result_P
        if len(changes) > 1 and number < rounds // 2:
            steps_HP = np.stack([change_P - earlier_P for earlier_P in changes[:-1]])
            weight_H = np.linalg.lstsq(steps_HP @ steps_HP.T, steps_HP @ change_P, rcond=1e-10)[0]
            mixed_P = posterior_P
            for weight, earlier_P in zip(weight_H.tolist(), results[:-1], strict=True):
                mixed_P = mixed_P - weight * (result_P - earlier_P)
            runs_away = largest > COARSE * change and float(change_P @ change_P) > float(changes[-2] @ changes[-2])
            if not (runs_away and float((mixed_P - result_P) @ change_P) < 0):
                posterior_P = np.clip(mixed_P, *within)
    return result_P


def class_shares(candidates: Candidates, taught_P: Floats, n_classes: int) -> Floats:
    """How common each class is: its expected count, one item more for each. f64[K] > 0, sums to 1."""
    count_K = np.bincount(candidates.class_P, weights=taught_P, minlength=n_classes) + 1.0
    return np.asarray(count_K / count_K.sum())


def settled(candidates: Candidates, posterior_P: Floats) -> Consensus:
    """The most probable candidate of each item; of equals the first class wins."""
    if posterior_P.size == 0:
        return Consensus(np.zeros(0, np.int64), np.zeros(0), candidates, posterior_P)
    best_I = np.maximum.reduceat(posterior_P, candidates.first_I)
    is_best_P = posterior_P >= (best_I - np.abs(best_I) * TIE)[candidates.item_P]
    position_P = np.where(is_best_P, np.arange(posterior_P.size), posterior_P.size)
    winner_I = np.minimum.reduceat(position_P, candidates.first_I)
    return Consensus(candidates.class_P[winner_I], posterior_P[winner_I], candidates, posterior_P)


def probability_of(consensus: Consensus, label: int) -> Floats:
    """P(item is of class `label`) for every item; 0 where it was no candidate. f64[I]."""
    found_I = np.zeros(consensus.label_I.size)
    chosen_P = consensus.candidates.class_P == label
    found_I[consensus.candidates.item_P[chosen_P]] = consensus.posterior_P[chosen_P]
    return found_I
