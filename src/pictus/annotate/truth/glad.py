"""How good the annotator times how easy the picture: GLAD.

    a_w                             annotator w's ability, Normal prior around what the trust in w says
    b_i = exp(e_i) > 0              how easy item i is, e_i with a Normal prior around 0
    P(answer l | truth k, w, i)     exp(a_w b_i) / (exp(a_w b_i) + K - 1) where l = k, else 1 / (exp(a_w b_i) + K - 1)

With two classes that is the logistic of a_w b_i as published; with more, ability 0 and hopeless items mean chance,
1 / K, where the published multi-class form says one half. Every class is as probable beforehand, as published: an
annotator has one ability for all classes, and learning how common each is would drown the rare ones. Maximum a
posteriori by generalised EM:

    E   q_i(k)  ~  exp(sum of a_w b_i over votes w for k)
    M   one Newton step each on a and e with slope sum of (q - P) and its expected curvature, and the prior

The prior of a is worth 10 votes. That of e has a spread of EASE with two classes, and with more the spread that moves
the score a_w b_i of a person as far. Items with a single vote are of ordinary ease and teach nothing.

Whitehill, Ruvolo, Wu, Bergsma & Movellan (2009), "Whose vote should count more: optimal integration of labels from
labelers of unknown expertise", NIPS 22, §3.

    >>> from pictus.annotate.truth.consensus import votes_of
    >>> glad(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 1, 0, 0], n_classes=2)).label_I.tolist()
    [1, 0]
"""

from __future__ import annotations

import numpy as np

from pictus.annotate.truth.consensus import (
    CERTAINTY,
    METHODS,
    PERSON,
    Consensus,
    Floats,
    Votes,
    candidates_of,
    converged,
    posterior_of,
    settled,
    started,
    taught_by,
)
from pictus.annotate.truth.one_coin import first_guess

CHANGE = 1e-5
"""The search ends when no ability and no ease (as logarithm) moves by more than this."""

EASE = 0.5
"""Spread of the logarithm of the ease. Published is 1, which takes three times the rounds to the same accuracies."""

WITHIN = (-30.0, 30.0)
"""Bounds of abilities and eases: beyond these the exponential says nothing more."""


@METHODS.register("glad")
def glad(votes: Votes) -> Consensus:
    """Generalised EM from abilities as the trust says and equal ease; deterministic."""
    candidates = candidates_of(votes)
    guess_P = first_guess(votes, candidates)
    if guess_P.size == 0:
        return settled(candidates, guess_P)
    teaches_P = taught_by(votes, candidates)
    teaches_V = teaches_P[candidates.of_vote_V]
    many = votes.n_annotators
    expected_W = np.log(votes.trust_W / (1 - votes.trust_W)) + np.log(votes.n_classes - 1)
    firm_W = CERTAINTY * votes.trust_W * (1 - votes.trust_W)
    person = float(np.log(PERSON / (1 - PERSON)))
    firm_I = ((person + float(np.log(votes.n_classes - 1))) / (EASE * person)) ** 2
    log_even_P = np.full(guess_P.size, -np.log(votes.n_classes))

    def expected(state: Floats) -> Floats:
        """The E step, likelihoods relative to a class nobody named."""
        score_V = state[:many][votes.annotator_V] * np.exp(state[many:])[votes.item_V]
        log_P = np.bincount(candidates.of_vote_V, score_V, candidates.item_P.size).astype(np.float64)
        return posterior_of(candidates, log_P, log_even_P, np.zeros(votes.n_items))

    def improved(state: Floats, posterior_P: Floats) -> Floats:
        """The M step: abilities, logarithms of the eases."""
        ability_W, ease_I = state[:many], state[many:]
        easy_V = np.exp(ease_I)[votes.item_V]
        score_V = ability_W[votes.annotator_V] * easy_V
        right_V = 1 / (1 + (votes.n_classes - 1) * np.exp(-score_V))
        error_V = teaches_V * (posterior_P[candidates.of_vote_V] - right_V)
        bend_V = teaches_V * right_V * (1 - right_V)
        slope_W = np.bincount(votes.annotator_V, error_V * easy_V, many) - firm_W * (ability_W - expected_W)
        curve_W = np.bincount(votes.annotator_V, bend_V * easy_V**2, many) + firm_W
        slope_I = np.bincount(votes.item_V, error_V * score_V, votes.n_items) - ease_I * firm_I
        curve_I = np.bincount(votes.item_V, bend_V * score_V**2, votes.n_items) + firm_I
        moved = np.clip(np.concatenate([slope_W / curve_W, slope_I / curve_I]), -1, 1)
        return np.asarray(np.clip(state + moved, *WITHIN))

    state = np.concatenate([expected_W, np.zeros(votes.n_items)])
    state = improved(state, started(votes, candidates, guess_P))
    state = converged(lambda state: improved(state, expected(state)), state, change=CHANGE, within=WITHIN)
    return settled(candidates, expected(state))
