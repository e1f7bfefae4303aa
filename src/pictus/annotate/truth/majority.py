"""Majority vote: every answer counts the same.

    P(class k | votes on item i) = votes for k / votes on i

Of equally many the class that comes first wins, with the posterior that it deserves (2 of 4
votes: 0.5). The yardstick for every other method: Sheshadri & Lease (2013), "SQUARE: a benchmark
for research on computing crowd consensus".

    >>> from pictus.annotate.truth.consensus import votes_of
    >>> majority(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 1, 0, 0], n_classes=2)).label_I.tolist()
    [1, 0]
"""

from __future__ import annotations

import numpy as np

from pictus.annotate.truth.consensus import METHODS, Consensus, Votes, candidates_of, pinned, settled


@METHODS.register("majority")
def majority(votes: Votes) -> Consensus:
    """The share of an item's votes that each class has."""
    candidates = candidates_of(votes)
    count_P = np.bincount(candidates.of_vote_V, minlength=candidates.item_P.size)
    return settled(candidates, pinned(candidates, count_P / votes.counts[candidates.item_P]))
