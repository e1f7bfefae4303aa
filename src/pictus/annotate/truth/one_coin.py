"""One coin per annotator: each is right with a probability of their own, else wrong at random.

    p_w                             annotator w's accuracy, Beta prior worth 10 votes around the trust in w
    P(answer l | truth k, w)        p_w where l = k, (1 - p_w) / (K - 1) where not
    pi_k                            share of items of class k, one item more for each class; for an item with a
                                    single vote 1 / K

Maximum a posteriori by expectation-maximisation, from p_w = the trust in w:

    E   q_i(k)  ~  pi_k * product over votes w for k of p_w (K - 1) / (1 - p_w)
    M   p_w = (10 trust_w + sum of q over w's answers) / (10 + votes of w),   pi_k = (1 + sum_i q_i(k)) / (K + I)

The M step counts items with two votes or more: one vote always agrees with itself. An item with a
single vote is judged by p_w alone, since the items that got a second vote need not be a fair sample:
a crowd that checks the owls of a list must not make its wrens improbable. Classes nobody named for
an item are equally likely, so they are one term of the E step: exact for any K at the price of the
votes. The prior keeps an annotator with three votes near the others instead of at 0 or 1.

Model: Raykar et al. (2010), "Learning from crowds", JMLR 11, with the single parameter of
Demartini et al. (2012), "ZenCrowd". EM: Dawid & Skene (1979).

    >>> from pictus.annotate.truth.consensus import votes_of
    >>> one_coin(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 1, 0, 0], n_classes=2)).label_I.tolist()
    [1, 0]
"""

from __future__ import annotations

import numpy as np

from pictus.annotate.truth.consensus import (
    CERTAINTY,
    METHODS,
    Candidates,
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

CHANGE = 1e-6
"""EM ends when no posterior moves by more than this; so it ends the same wherever it starts."""


@METHODS.register("one-coin")
def one_coin(votes: Votes) -> Consensus:
    """EM to the most probable accuracies; deterministic."""
    candidates = candidates_of(votes)
    teaches_P = taught_by(votes, candidates)

    def once(posterior_P: Floats) -> Floats:
        accuracy_W = accuracies(votes, candidates, posterior_P, teaches_P)
        share_K = class_shares(candidates, posterior_P * teaches_P, votes.n_classes)
        return weighed(votes, candidates, accuracy_W, log_prior(candidates, teaches_P, share_K))

    start_P = started(votes, candidates, first_guess(votes, candidates))
    return settled(candidates, converged(once, start_P, change=CHANGE))


def first_guess(votes: Votes, candidates: Candidates) -> Floats:
    """The posterior where every annotator is as good as the trust in them and every class as common. f64[P]."""
    log_even_P = np.full(candidates.item_P.size, -np.log(votes.n_classes))
    return weighed(votes, candidates, votes.trust_W, log_even_P)


def accuracies(votes: Votes, candidates: Candidates, posterior_P: Floats, teaches_P: Floats) -> Floats:
    """The M step: each annotator's most probable accuracy given who was probably right. f64[W] in (0, 1)."""
    right_V = (posterior_P * teaches_P)[candidates.of_vote_V]
    right_W = np.bincount(votes.annotator_V, weights=right_V, minlength=votes.n_annotators)
    count_W = np.bincount(votes.annotator_V, weights=teaches_P[candidates.of_vote_V], minlength=votes.n_annotators)
    return np.asarray((CERTAINTY * votes.trust_W + right_W) / (CERTAINTY + count_W))


def weighed(votes: Votes, candidates: Candidates, accuracy_W: Floats, log_prior_P: Floats) -> Floats:
    """The E step, likelihoods relative to a class nobody named. f64[P]."""
    gain_W = np.log(accuracy_W * (votes.n_classes - 1) / (1 - accuracy_W))
    gain_V = gain_W[votes.annotator_V]
    log_P = np.bincount(candidates.of_vote_V, weights=gain_V, minlength=candidates.item_P.size).astype(np.float64)
    return posterior_of(candidates, log_P, log_prior_P, np.zeros(votes.n_items))
