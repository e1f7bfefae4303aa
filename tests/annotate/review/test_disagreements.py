"""Where votes are split, the worst first, and which concepts are mixed up."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.review.disagreements import mixed, splits
from pictus.annotate.truth.consensus import votes_of


def test_the_most_even_split_comes_first_and_agreement_not_at_all() -> None:
    # item 0: 2 yes, 2 no; item 1: 3 yes, 1 no; item 2: 4 yes; all people right four times in five
    item_V = np.repeat([0, 1, 2], 4)
    answer_V = np.array([1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1])
    votes = votes_of(item_V, np.tile(np.arange(4), 3), answer_V, n_classes=2, trust_W=np.full(4, 0.8))
    found = splits(votes, np.full(4, 0.8), np.ones(4, np.bool_), 2)
    assert found.item_S.tolist() == [0, 1]
    assert found.entropy_S[0] == pytest.approx(1.0)
    # -(3/4 log2 3/4 + 1/4 log2 1/4) = 0.811 bits, by hand
    assert found.entropy_S[1] == pytest.approx(0.811278, abs=1e-6)
    assert (found.first_S[1], found.n_first_S[1], found.n_second_S[1]) == (1, 3, 1)


def test_a_vote_weighs_as_its_annotator_is_good() -> None:
    # one yes of somebody right 90 %, one no of somebody right 60 %: weights log 9 and log 1.5, shares .844 and .156
    votes = votes_of(np.zeros(2, np.int64), np.arange(2), np.array([1, 0]), n_classes=2, trust_W=np.full(2, 0.8))
    found = splits(votes, np.array([0.9, 0.6]), np.ones(2, np.bool_), 2)
    share = np.log(9) / (np.log(9) + np.log(1.5))
    assert found.entropy_S[0] == pytest.approx(-share * np.log2(share) - (1 - share) * np.log2(1 - share))
    assert found.first_S[0] == 1


def test_who_is_paused_and_who_is_unsure_splits_nothing() -> None:
    item_V, who_V = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    votes = votes_of(item_V, who_V, np.array([1, 0, 1, 2]), n_classes=3, trust_W=np.full(2, 0.8))
    everybody = splits(votes, np.full(2, 0.8), np.ones(2, np.bool_), 2)
    assert everybody.item_S.tolist() == [0]
    assert splits(votes, np.full(2, 0.8), np.array([True, False]), 2).item_S.size == 0


def test_nothing_is_split_without_votes() -> None:
    none = np.zeros(0, np.int64)
    votes = votes_of(none, none, none, n_classes=2, trust_W=np.zeros(0))
    assert splits(votes, np.zeros(0), np.zeros(0, np.bool_), 2).item_S.size == 0


def test_concepts_said_of_one_picture_are_mixed_up() -> None:
    assert mixed([("1", "owl"), ("1", "crow"), ("2", "owl"), ("3", "owl"), ("3", "crow")]) == {
        ("crow", "owl"): ["1", "3"]
    }
