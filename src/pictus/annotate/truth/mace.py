"""Everybody either looks or fills the page in: MACE.

    t_w                             how often annotator w looks, Beta prior worth 10 votes around the trust in w
    x_w[l]                          what w answers without looking, Dirichlet prior worth 2 votes per class, even
    P(answer l | truth k, w)        t_w [l = k] + (1 - t_w) x_w[l]
    pi_k                            share of items of class k; for an item with a single vote 1 / K

Maximum a posteriori by EM:

    E   q_i(k)  ~  pi_k * product over votes (w, l = k) of 1 + t_w / ((1 - t_w) x_w[l])
        r_v     =  q_i(l) * t_w / (t_w + (1 - t_w) x_w[l])           w looked when casting vote v
    M   t_w     =  (10 c_w + sum of r) / (10 + votes of w),      x_w[l] = (2 + sum of 1 - r over w's answers l) / …

c_w is the share of looking that makes w right as often as the trust says: (trust - 1/K) / (1 - 1/K). What the votes
share whatever the truth is cancels, so one term per vote is enough for any K. Somebody who always says yes gets a
spam distribution of yes: their yes then says nothing, their rare no still does. Items with a single vote teach nothing.

Hovy, Berg-Kirkpatrick, Vaswani & Hovy (2013), "Learning whom to trust with MACE", NAACL-HLT, §2; there by variational
Bayes from many random starts, here by EM from one, so that nothing is left to chance.

    >>> from pictus.annotate.truth.consensus import votes_of
    >>> mace(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 1, 0, 0], n_classes=2)).label_I.tolist()
    [1, 0]

Legend: S cells (annotator, answer) that occur.
"""

from __future__ import annotations

import numpy as np

from pictus.annotate.truth.consensus import (
    CERTAINTY,
    METHODS,
    Consensus,
    Floats,
    Votes,
    candidates_of,
    class_shares,
    converged,
    log_prior,
    posterior_of,
    settled,
    started,
    taught_by,
)
from pictus.annotate.truth.one_coin import first_guess

CHANGE = 1e-5
"""EM ends when no log-odds of looking, no spam share and no class's share (as logarithms) moves by more than this."""

PER_CLASS = 2.0
"""Strength of the even prior on what is answered without looking, in votes per class."""

LEAST = 1e-3
"""Nobody always looks, and nobody never does."""

WITHIN = (-30.0, 30.0)
"""Bounds of all logarithms."""


@METHODS.register("mace")
def mace(votes: Votes) -> Consensus:
    """EM to the most probable shares of looking and spam distributions; deterministic."""
    candidates = candidates_of(votes)
    guess_P = first_guess(votes, candidates)
    if guess_P.size == 0:
        return settled(candidates, guess_P)
    teaches_P = taught_by(votes, candidates)
    teaches_V = teaches_P[candidates.of_vote_V]
    n_classes, many = votes.n_classes, votes.n_annotators
    key_S, cell_V = np.unique(votes.annotator_V * n_classes + votes.answer_V, return_inverse=True)
    annotator_S = key_S // n_classes
    expected_W = np.clip((votes.trust_W - 1 / n_classes) / (1 - 1 / n_classes), LEAST, 1 - LEAST)
    count_W = np.bincount(votes.annotator_V, teaches_V, many)

    def odds(state: Floats) -> Floats:
        """Of having looked rather than answered the same without, f64[S]."""
        return np.asarray(np.exp(state[:many][annotator_S] - state[many : many + key_S.size]))

    def expected(state: Floats) -> Floats:
        """The E step."""
        gain_V = np.log1p(odds(state))[cell_V]
        log_P = np.bincount(candidates.of_vote_V, gain_V, candidates.item_P.size).astype(np.float64)
        log_prior_P = log_prior(candidates, teaches_P, np.exp(state[many + key_S.size :]))
        return posterior_of(candidates, log_P, log_prior_P, np.zeros(votes.n_items))

    def improved(state: Floats, posterior_P: Floats) -> Floats:
        """The M step: log-odds of looking, logarithms of the spam distributions and of the classes' shares."""
        odds_S = odds(state)
        looked_V = teaches_V * posterior_P[candidates.of_vote_V] * (odds_S / (1 + odds_S))[cell_V]
        look_W = (CERTAINTY * expected_W + np.bincount(votes.annotator_V, looked_V, many)) / (CERTAINTY + count_W)
        look_W = np.clip(look_W, LEAST, 1 - LEAST)
        spam_S = np.bincount(cell_V, teaches_V - looked_V, key_S.size)
        total_S = np.bincount(annotator_S, spam_S, many)[annotator_S]
        share_S = (PER_CLASS + spam_S) / (PER_CLASS * n_classes + total_S)
        share_K = class_shares(candidates, posterior_P * teaches_P, n_classes)
        return np.concatenate([np.log(look_W / (1 - look_W)), np.log(share_S), np.log(share_K)])

    even = np.full(key_S.size + n_classes, -np.log(n_classes))
    state = np.concatenate([np.log(expected_W / (1 - expected_W)), even])
    state = improved(state, started(votes, candidates, guess_P))
    state = converged(lambda state: improved(state, expected(state)), state, change=CHANGE, within=WITHIN)
    return settled(candidates, expected(state))
