"""Priorities as sums of parts with their words, and pictures that are unlike the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.queues.priorities import (
    CENTRES,
    FEATURES,
    WEIGHTS,
    Evidence,
    bits_of,
    centres,
    entropy,
    heap_reason,
    novelty,
    parts,
    priorities,
    projection,
)

NAMES = ("owl", "wren")


def evidence(n: int = 1, **known: Any) -> Evidence:
    """Claims of owls that nobody has looked at, but for what is said."""
    nothing = np.full(n, np.nan)
    plain = Evidence(
        np.zeros(n, np.int64), np.array([500, 500]), np.zeros(n, np.int64), np.zeros(n, np.int64), nothing, nothing,
        np.zeros(n), nothing, np.full(n, -1), np.zeros(n, np.bool_),
    )  # fmt: skip
    return replace(plain, **{name: np.atleast_1d(value) for name, value in known.items()})


def said(one: Evidence, enough: int = 500) -> tuple[float, str]:
    found = priorities(one, NAMES, enough)
    return float(found.priority_R[0]), found.reasons[int(found.reason_R[0])]


def test_a_claim_that_nobody_has_looked_at_has_the_weight_of_that() -> None:
    assert said(evidence()) == (WEIGHTS["unchecked"], "nobody has looked")


def test_a_starving_concept_counts_by_how_much_it_lacks() -> None:
    # 12 of 500: it lacks 0.976 of what is enough
    priority, reason = said(evidence(accepted_C=np.array([12, 500])))
    assert priority == pytest.approx(WEIGHTS["unchecked"] + 0.976 * WEIGHTS["starving"])
    assert reason == "starving: 12 of 500 accepted; nobody has looked"
    assert said(evidence(accepted_C=np.array([12, 500])), enough=0) == (WEIGHTS["unchecked"], "nobody has looked")


def test_two_against_two_are_fully_disputed_and_three_against_one_by_three_quarters() -> None:
    assert parts(evidence(yes_R=2, no_R=2), 500)["disputed"][0] == 1
    assert parts(evidence(yes_R=3, no_R=1), 500)["disputed"][0] == 0.75
    assert said(evidence(yes_R=2, no_R=2, posterior_R=0.5)) == (
        WEIGHTS["disputed"] + WEIGHTS["uncertain"], "disputed: 2 yes, 2 no; the votes are unsure: 0.50"
    )  # fmt: skip


def test_the_votes_go_before_the_model_where_there_are_any() -> None:
    assert parts(evidence(score_R=0.5), 500)["uncertain"][0] == 1
    assert said(evidence(score_R=0.5))[1] == "nobody has looked; the model is unsure: 0.50"
    assert parts(evidence(score_R=0.5, posterior_R=1.0, yes_R=3), 500)["uncertain"][0] == 0
    # a posterior without a person's vote is what a folder said
    assert parts(evidence(score_R=0.5, posterior_R=1.0), 500)["uncertain"][0] == 1


def test_suspects_and_production_name_their_cause() -> None:
    priority, reason = said(evidence(suspect_R=0.25, other_R=1, is_drift_R=np.array([True])))
    assert priority == pytest.approx(WEIGHTS["unchecked"] + 0.75 * WEIGHTS["suspect"] + WEIGHTS["drift"])
    assert reason == "production: the model was unsure of it; suspect: looks like wren; nobody has looked"


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 5), st.floats(0, 1)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_changes_nothing(rows: list[tuple[int, int, int, float]], generator: object) -> None:
    order = list(range(len(rows)))
    generator.shuffle(order)  # type: ignore[attr-defined]

    def told(listed: list[tuple[int, int, int, float]]) -> list[tuple[float, str]]:
        columns = [np.array([row[at] for row in listed]) for at in range(4)]
        one = evidence(
            len(listed), concept_R=columns[0].astype(np.int64), yes_R=columns[1].astype(np.int64),
            no_R=columns[2].astype(np.int64), score_R=columns[3].astype(np.float64), accepted_C=np.array([3, 900]),
        )  # fmt: skip
        found = priorities(one, NAMES, 500)
        words = [found.reasons[at] for at in found.reason_R.tolist()]
        return list(zip(found.priority_R.tolist(), words, strict=True))

    straight, shuffled = told(rows), told([rows[at] for at in order])
    assert [straight[at] for at in order] == shuffled


@given(st.floats(0, 1))
def test_entropy_is_one_bit_at_one_half_and_none_at_the_ends(share: float) -> None:
    bits = float(entropy(np.array([share]))[0])
    assert 0 <= bits <= 1
    assert bits == pytest.approx(float(entropy(np.array([1 - share]))[0]), abs=1e-6)
    assert entropy(np.array([0.5, 0.0, 1.0, np.nan])).tolist() == [1, 0, 0, 0]


def test_the_farthest_come_first_and_equal_pictures_once() -> None:
    vectors = np.array([[0, 0], [0, 0], [10, 0], [0, 4]], np.float32)
    # the mean is (2.5, 1): the farthest from it is (10, 0); from that (0, 4), at 116 against 100; then the origin
    assert centres(vectors, np.zeros((0, 2), np.float32), 4).tolist() == [2, 3, 0]
    assert centres(vectors, np.array([[10, 0]], np.float32), 1).tolist() == [3]
    assert centres(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), 3).size == 0


def test_k_centres_cover_within_twice_the_best() -> None:
    """Gonzalez 1985: the greedy radius is at most twice the best one; five tight clusters, five centres, one each."""
    generator = np.random.default_rng(0)
    middles = generator.normal(0, 10, (5, 8))
    vectors = (np.repeat(middles, 20, axis=0) + generator.normal(0, 0.01, (100, 8))).astype(np.float32)
    found = centres(vectors, np.zeros((0, 8), np.float32), 5)
    assert sorted((found // 20).tolist()) == [0, 1, 2, 3, 4]


def test_novelty_falls_from_one_and_is_nothing_for_most() -> None:
    vectors = np.random.default_rng(0).normal(size=(5_000, 8)).astype(np.float32)
    novel = novelty(vectors, np.zeros((0, 8), np.float32))
    assert novel.max() == 1
    assert int((novel > 0).sum()) == 3 * CENTRES  # three blocks of 2,048


def test_hashes_as_vectors_keep_hamming_distances() -> None:
    vectors = bits_of(np.array([0b1011, 0b0001, 2**63], np.uint64))
    assert ((vectors[0] - vectors[1]) ** 2).sum() == 2
    assert ((vectors[0] - vectors[2]) ** 2).sum() == 4


def test_a_projection_keeps_distances_about() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 384)).astype(np.float32)
    short = vectors @ projection(384)
    assert short.shape == (50, FEATURES)
    ratio = np.linalg.norm(short[:25] - short[25:], axis=1) / np.linalg.norm(vectors[:25] - vectors[25:], axis=1)
    assert np.all(np.abs(ratio - 1) < 0.4)
    assert np.array_equal(projection(3), np.eye(3, dtype=np.float32))


def test_a_heap_says_what_it_lacks_and_what_is_in_it() -> None:
    one = evidence(3, accepted_C=np.array([12, 500]), yes_R=np.array([1, 0, 0]), no_R=np.array([1, 0, 0]),
                   suspect_R=np.array([0.1, np.nan, np.nan]))  # fmt: skip
    rows = np.arange(3)
    assert heap_reason(one, rows, 500) == (
        "starving: 12 of 500 accepted; 1 suspect; 1 disputed; 2 that nobody has looked at"
    )
    assert heap_reason(one, rows, 10) == "1 suspect; 1 disputed; 2 that nobody has looked at"
    assert heap_reason(one, rows[:0], 500) == ""


def test_a_group_lacks_no_labels_and_a_number_is_named_where_one_was_asked_for() -> None:
    one = evidence(accepted_C=np.array([12, 500]), is_group_C=np.array([True, False]))
    assert said(one)[1] == "nobody has looked"
    assert heap_reason(one, np.arange(1), 500) == "1 that nobody has looked at"
    plain = evidence(accepted_C=np.array([12, 500]))
    assert heap_reason(plain, np.arange(1), 500, "accepted so far").startswith("starving: 12 accepted so far; 1 that")
