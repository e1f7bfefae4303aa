"""How good each annotator is, with an interval, and who seems to answer without looking.

Accuracy is counted against the settled posterior q on items with two votes or more:

    accuracy_w = (10 trust_w + sum of q over w's answers) / (10 + n_w)

with a Beta interval as wide as n_w votes leave it whose truth is known only with probability q
(`stats.probable_shares`). It knows nothing of an error in the model: with two votes per item and answers that are
nearly all the same, `dawid-skene` says less than 95 % where it says 95 %.

Skill is accuracy beyond what the annotator's habits alone would give, 0 for guessing or always the
same answer, 1 for perfect:

    yes/no      informedness = P(yes | it is) + P(no | it is not) - 1          (Youden 1950)
    which       kappa = (accuracy - chance) / (1 - chance)                     (Cohen 1960)

Each rate starts from one vote that is right as often as the trust says. Informedness for yes/no,
since it does not depend on how many pictures are right: where 95 % are, always-yes is right 95 % of
the time. An annotator is suspected when even the upper end of the 95 % interval of the skill is below
0.25: a quarter of the way from guessing to perfect.

Legend: V votes, W annotators, K classes, P candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import CERTAINTY, Consensus, Floats, Ints, Votes, class_shares, taught_by
from pictus.errors import counted
from pictus.stats import probable_shares

LOW_SKILL = 0.25
ENOUGH_VOTES = 10
"""With fewer comparable votes nobody is suspected."""

NO, YES = 0, 1
"""The first two classes of every yes/no question."""

LISTED = 10
"""So many are named in messages."""

_Z = 1.959964  # the normal's 97.5 % point
_CERTAIN = 1e-9


@dataclass(frozen=True, slots=True)
class Skill:
    """One annotator on one kind of question."""

    annotator: str
    kind: str  # yes/no | which
    n_votes: int
    n_compared: int  # votes on items that others voted on too; where there are none, all below is None
    accuracy: float | None
    low: float | None  # 95 % interval of the accuracy, in [0, 1]
    high: float | None
    skill: float | None  # beyond guessing: 0 none, 1 perfect, below 0 worse than guessing; None where chance is 1
    skill_low: float | None  # in [-1, 1]
    skill_high: float | None
    is_suspected: bool
    n_known: int = 0  # answers to questions whose answer is known
    known_accuracy: float | None = None  # share of them that is right
    known_low: float | None = None  # its exact 95 % interval (Clopper and Pearson)
    known_high: float | None = None
    n_repeats: int = 0  # pictures that came back unannounced
    consistency: float | None = None  # share of them answered as before
    pace_s: float | None = None  # median seconds a picture, of pages
    looks: tuple[str, ...] = ()  # signs of not looking: pictus annotate trust says them


class Skills(NamedTuple):
    """The same for all annotators, in arrays."""

    n_votes_W: Ints
    n_compared_W: Floats
    accuracy_W: Floats
    low_W: Floats
    high_W: Floats
    skill_W: Floats
    error_W: Floats  # standard error of the skill

    @property
    def is_low(self) -> NDArray[np.bool_]:
        """bool[W]: skill surely below LOW_SKILL."""
        return (self.n_compared_W >= ENOUGH_VOTES) & (self.skill_W + _Z * self.error_W < LOW_SKILL)


def skills_of(votes: Votes, consensus: Consensus, *, is_yes_no: bool) -> Skills:
    """Compare every annotator with what was settled."""
    candidates, posterior_P = consensus.candidates, consensus.posterior_P
    compares_P = taught_by(votes, candidates)
    compares_V = compares_P[candidates.of_vote_V]
    right_W = _sum(votes, (posterior_P * compares_P)[candidates.of_vote_V])
    count_W = _sum(votes, compares_V)
    is_compared_V = compares_V > 0
    accuracy = probable_shares(
        posterior_P[candidates.of_vote_V][is_compared_V], votes.annotator_V[is_compared_V], votes.trust_W, CERTAINTY
    )
    if is_yes_no:
        skill_W, error_W = _informedness(votes, consensus, compares_V)
    else:
        share_K = class_shares(candidates, posterior_P, votes.n_classes)
        chance_W = _sum(votes, share_K[votes.answer_V] * compares_V) / np.maximum(count_W, 1)
        agreed_W = (right_W + votes.trust_W) / (count_W + 1)
        left_W = np.where(chance_W < 1 - _CERTAIN, 1 - chance_W, np.nan)  # chance 1: guessing is never wrong
        skill_W = np.maximum(-1, (agreed_W - chance_W) / left_W)
        error_W = np.sqrt(agreed_W * (1 - agreed_W) / (accuracy.told_W + 2)) / left_W
    return Skills(
        np.bincount(votes.annotator_V, minlength=votes.n_annotators), count_W, accuracy.estimate_W,
        accuracy.low_W, accuracy.high_W, skill_W, error_W,
    )  # fmt: skip


def _informedness(votes: Votes, consensus: Consensus, compares_V: Floats) -> tuple[Floats, Floats]:
    """Youden's J over answers yes and no, and its error. What not seeing the truth costs is taken off the votes, as in
    `stats.probable_shares`.
    """
    n_classes = votes.n_classes
    posterior_IK = consensus.posterior_P.reshape(-1, n_classes)
    said_V = compares_V * (votes.answer_V <= YES)
    total, variance = np.full(votes.n_annotators, -1.0), np.zeros(votes.n_annotators)
    for truth in (NO, YES):
        weight_V = posterior_IK[votes.item_V, truth] * said_V
        is_right_V = votes.answer_V == truth
        count_W = _sum(votes, weight_V)
        rate_W = (_sum(votes, weight_V * is_right_V) + votes.trust_W) / (count_W + 1)
        spread_W = rate_W * (1 - rate_W)
        unseen_V = weight_V * (1 - weight_V) * (is_right_V - rate_W[votes.annotator_V]) ** 2
        told_W = np.maximum(0, count_W - _sum(votes, unseen_V) / spread_W)
        total += rate_W
        variance += spread_W / (told_W + 2)
    return total, np.sqrt(variance)


def _sum(votes: Votes, weight_V: Floats) -> Floats:
    return np.bincount(votes.annotator_V, weights=weight_V, minlength=votes.n_annotators).astype(np.float64)


def suspects(found: Sequence[Skill]) -> tuple[str, ...]:
    """Who is suspected of not looking, in words."""
    lines = [
        f"{one.annotator} seems to answer without looking: skill {one.skill:.2f} ({one.skill_low:.2f} to "
        f"{one.skill_high:.2f}; guessing is 0) on {counted(one.n_compared, f'{one.kind} vote')}"
        for one in found
        if one.is_suspected
    ]
    more = len(lines) - LISTED
    if more > 0:
        return (*lines[:LISTED], f"… and {counted(more, 'annotator')} more: pictus annotate skills")
    return tuple(lines)


def plain(one: Skill) -> dict[str, Any]:
    """What a summary keeps of it."""
    numbers = {name: rounded(getattr(one, name)) for name in ("accuracy", "low", "high", "skill")}
    return {"annotator": one.annotator, "kind": one.kind, "n_votes": one.n_votes, **numbers}


def rounded(value: float | None) -> float | None:
    """Four digits; None for what is not known."""
    return None if value is None or math.isnan(value) else round(value, 4)
