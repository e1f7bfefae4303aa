"""Dawid and Skene's confusion matrix per annotator, smoothed so that it also works with few votes.

    pi_k                    share of items of class k; for an item with a single vote 1 / K
    theta_w[k, l]           how often annotator w answers l when k is true, Dirichlet(2 K m_w[k, :])
    m_w[k, k]               logit = logit(accuracy of w) + logit(accuracy of all on class k) - logit(accuracy of all)
    m_w[k, l], l != k       (1 - m_w[k, k]) * how all who err on class k spread over l

    E   q_i(k)  ~  pi_k * product over votes (w, l) on i of theta_w[k, l], counted without item i
    M   theta_w[k, l] = (2 K m_w[k, l] + n_w[k, l]) / (2 K + n_w[k]),   n_w[k, l] = sum of q_i(k) over w's answers l

The prior means m are estimated from the pooled votes in every round. With two classes and hundreds
of votes each annotator has a matrix of their own; with a thousand classes nothing is known of most
cells, and the model becomes one coin per annotator with the errors of all. Leaving item i out of
the counts that judge it (the collapsed update CVB0 of Asuncion et al., 2009) keeps rare cells from
believing themselves. Items with a single vote teach nothing and are only judged, by how good their
annotator is: those that got a second vote need not be a fair sample of them. Classes nobody named
for an item stand together as "none of these", each vote being an error spread evenly.

Memory grows with (votes on an item) x (classes named for it), never with W x K x K.

Model: Dawid & Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM
algorithm", Applied Statistics 28. Hierarchical prior: Paun et al. (2018), "Comparing Bayesian
models of annotation", TACL 6.

    >>> from pictus.annotate.truth.consensus import votes_of
    >>> dawid_skene(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 1, 0, 0], n_classes=2)).label_I.tolist()
    [1, 0]

Legend: C pairs (candidate, vote on its item); M cells (w, k, l) that occur; R rows (w, k); X pooled cells (k, l).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import (
    CERTAINTY,
    METHODS,
    Candidates,
    Consensus,
    Floats,
    Ints,
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

CHANGE = 1e-6
"""The search ends when no posterior moves by more than this: below what f32 leaves, so that a run that starts where
another one ended finds the same end. On 924,810 votes that is 1.6 s where 1e-3 is 1.0."""

PER_CLASS = 2.0
"""Strength of the prior on a row of a confusion matrix, in votes per class."""

SPREAD = 5.0
"""Strength of the even spread of errors over the other classes, in votes per class."""


class _Cells(NamedTuple):
    """Which pair falls into which cell; fixed through all rounds."""

    of_pair_C: Ints
    annotator_M: Ints
    class_M: Ints
    is_right_M: NDArray[np.bool_]
    row_M: Ints
    pooled_M: Ints
    class_X: Ints
    is_right_X: NDArray[np.bool_]
    first_P: Ints  # each candidate's first pair
    pairs_P: Ints  # its number of pairs = votes on its item


class _Table(NamedTuple):
    """What one round of counting says: theta = cell / row, with the prior in both."""

    cell_M: Floats
    row_M: Floats
    accuracy_W: Floats
    log_prior_P: Floats


@METHODS.register("dawid-skene")
def dawid_skene(votes: Votes) -> Consensus:
    """Collapsed EM from one coin per annotator; deterministic."""
    candidates = candidates_of(votes)
    posterior_P = first_guess(votes, candidates)
    if posterior_P.size == 0:
        return settled(candidates, posterior_P)
    cells = _cells(votes, candidates)
    teaches_P = taught_by(votes, candidates)

    def once(posterior_P: Floats) -> Floats:
        taught_C = np.repeat(posterior_P * teaches_P, cells.pairs_P)
        share_K = class_shares(candidates, posterior_P * teaches_P, votes.n_classes)
        log_prior_P = log_prior(candidates, teaches_P, share_K)
        return _expected(votes, candidates, cells, _table(votes, cells, taught_C, log_prior_P), taught_C)

    return settled(candidates, converged(once, started(votes, candidates, posterior_P), change=CHANGE))


def _cells(votes: Votes, candidates: Candidates) -> _Cells:
    n_classes, n_annotators = votes.n_classes, votes.n_annotators
    pairs_P = votes.counts[candidates.item_P]
    first_P = np.cumsum(pairs_P) - pairs_P
    first_vote_I = np.cumsum(votes.counts) - votes.counts
    vote_C = np.arange(int(pairs_P.sum())) - np.repeat(first_P - first_vote_I[candidates.item_P], pairs_P)
    row_C = votes.annotator_V[vote_C] * n_classes + np.repeat(candidates.class_P, pairs_P)
    key_C = row_C * n_classes + votes.answer_V[vote_C]
    all_cells = n_annotators * n_classes * n_classes
    if all_cells <= key_C.size:
        key_M, of_pair_C = np.arange(all_cells), key_C
    else:
        key_M, of_pair_C = np.unique(key_C, return_inverse=True)
    row_key_M, answer_M = np.divmod(key_M, n_classes)
    annotator_M, class_M = np.divmod(row_key_M, n_classes)
    _, row_M = np.unique(row_key_M, return_inverse=True)
    key_X, pooled_M = np.unique(class_M * n_classes + answer_M, return_inverse=True)
    class_X, answer_X = np.divmod(key_X, n_classes)
    return _Cells(
        of_pair_C, annotator_M, class_M, class_M == answer_M, row_M, pooled_M, class_X, class_X == answer_X, first_P,
        pairs_P,
    )  # fmt: skip


def _table(votes: Votes, cells: _Cells, taught_C: Floats, log_prior_P: Floats) -> _Table:
    """The M step: counts, and their prior from the pooled counts."""
    n_classes, n_annotators = votes.n_classes, votes.n_annotators
    count_M = np.bincount(cells.of_pair_C, weights=taught_C, minlength=cells.class_M.size)
    count_R = np.bincount(cells.row_M, weights=count_M)
    right_M = np.where(cells.is_right_M, count_M, 0.0)
    right_W = np.bincount(cells.annotator_M, weights=right_M, minlength=n_annotators)
    count_W = np.bincount(cells.annotator_M, weights=count_M, minlength=n_annotators)
    right_K = np.bincount(cells.class_M, weights=right_M, minlength=n_classes)
    count_K = np.bincount(cells.class_M, weights=count_M, minlength=n_classes)
    expected = float(votes.trust_W[votes.annotator_V].mean())
    overall = (CERTAINTY * expected + right_K.sum()) / (CERTAINTY + count_K.sum())
    accuracy_W = (CERTAINTY * votes.trust_W + right_W) / (CERTAINTY + count_W)
    accuracy_K = (CERTAINTY * overall + right_K) / (CERTAINTY + count_K)
    right_M = _sigmoid(_logit(accuracy_W)[cells.annotator_M] + _logit(accuracy_K)[cells.class_M] - _logit(overall))
    count_X = np.bincount(cells.pooled_M, weights=count_M, minlength=cells.class_X.size)
    wrong_K = count_K - right_K
    spread_X = (SPREAD + count_X) / (SPREAD * (n_classes - 1) + wrong_K[cells.class_X])
    mean_M = np.where(cells.is_right_M, right_M, (1 - right_M) * spread_X[cells.pooled_M])
    strength = PER_CLASS * n_classes
    row_M = strength + count_R[cells.row_M].astype(np.float64)
    return _Table(strength * mean_M + count_M, row_M, accuracy_W, log_prior_P)


def _expected(votes: Votes, candidates: Candidates, cells: _Cells, table: _Table, taught_C: Floats) -> Floats:
    """The E step: each item is judged by counts that leave it out.

    Logarithms in f32: four times as fast, and 1e-7 is far below what the votes can tell apart.
    """
    own_C = taught_C.astype(np.float32)
    cell_C = table.cell_M.astype(np.float32)[cells.of_pair_C]
    row_C = table.row_M.astype(np.float32)[cells.of_pair_C]
    ratio_C = (cell_C - own_C) / (row_C - own_C)
    log_P = np.add.reduceat(np.log(ratio_C, out=ratio_C), cells.first_P, dtype=np.float64)
    if candidates.is_complete:
        return posterior_of(candidates, log_P, table.log_prior_P, np.zeros(0))
    wrong_W = np.log((1 - table.accuracy_W) / (votes.n_classes - 1))
    log_elsewhere_I = np.bincount(votes.item_V, weights=wrong_W[votes.annotator_V], minlength=votes.n_items)
    return posterior_of(candidates, log_P, table.log_prior_P, log_elsewhere_I.astype(np.float64))


def _logit(share: Floats | float) -> Floats:
    return np.asarray(np.log(share / (1 - np.asarray(share))))


def _sigmoid(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logit)))
