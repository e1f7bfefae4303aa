from __future__ import annotations

from pictus.annotate.truth.consensus import votes_of
from pictus.annotate.truth.majority import majority


def test_the_posterior_is_the_share_of_votes() -> None:
    # Item 0: 1, 1, 0 -> 2/3 for 1. Item 1: 2, 2, 2, 0 -> 3/4 for 2.
    votes = votes_of([0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 0, 1, 2, 3], [1, 1, 0, 2, 2, 2, 0], n_classes=3)
    found = majority(votes)
    assert found.label_I.tolist() == [1, 2]
    assert found.posterior_I.tolist() == [2 / 3, 3 / 4]


def test_trust_changes_nothing() -> None:
    votes = votes_of([0, 0, 0], [0, 1, 2], [1, 0, 0], n_classes=2, trust_W=[0.99, 0.51, 0.51])
    assert majority(votes).label_I.tolist() == [0]
