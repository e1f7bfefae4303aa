"""Intervals, paired tests and agreement against values worked out by hand or published."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv

from pictus.stats import (
    Interval,
    bootstrap_mean01,
    clopper_pearson,
    fleiss_kappa,
    krippendorff_alpha,
    mean01_interval,
    mean_interval,
    paired_difference01,
    paired_test,
    probable_shares,
    wilson,
)

Z2 = 1.959963984540054**2


def test_wilson_of_no_success_has_the_closed_form() -> None:
    # With 0 of n the score interval is (0, z^2 / (n + z^2)).
    assert wilson(0, 10) == pytest.approx((0, 0, Z2 / (10 + Z2)))
    assert wilson(10, 10) == pytest.approx((1, 10 / (10 + Z2), 1))


def test_wilson_of_half_has_the_closed_form() -> None:
    # At 1/2 the centre is 1/2 and the half-width z / (2 sqrt(n + z^2)).
    half = math.sqrt(Z2) / (2 * math.sqrt(100 + Z2))
    assert wilson(50, 100) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, bootstrap_mean01])
def test_nothing_seen_leaves_everything_possible(interval: object) -> None:
    estimate, low, high = interval(0, 0)  # type: ignore[operator]
    assert math.isnan(estimate)
    assert (low, high) == (0, 1)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, bootstrap_mean01])
def test_more_successes_than_tries_is_refused(interval: object) -> None:
    with pytest.raises(ValueError, match="found 3 of 2"):
        interval(3, 2)  # type: ignore[operator]


@given(n=st.integers(1, 10_000), data=st.data())
def test_every_interval_holds_its_estimate_and_stays_in_0_to_1(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    score = wilson(successes, n)
    assert 0 <= score.low <= score.estimate <= score.high <= 1
    mirrored = wilson(n - successes, n)
    assert mirrored.low == pytest.approx(1 - score.high, abs=1e-12)


def test_the_bootstrap_of_a_share_agrees_with_its_normal_interval() -> None:
    estimate, low, high = bootstrap_mean01(9_000, 10_000, rounds=20_000, seed=3)
    half = 1.96 * math.sqrt(0.9 * 0.1 / 10_000)
    assert estimate == 0.9
    assert (low, high) == pytest.approx((0.9 - half, 0.9 + half), abs=2e-4)
    assert bootstrap_mean01(9_000, 10_000, seed=3) == bootstrap_mean01(9_000, 10_000, seed=3)
    assert bootstrap_mean01(9_000, 10_000, seed=3) != bootstrap_mean01(9_000, 10_000, seed=4)


def test_students_interval_of_1_2_3() -> None:
    # mean 2, s = 1, t(2 degrees, 0.975) = 4.302653: 2 +- 4.302653 / sqrt(3)
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    assert mean_interval([5.0]) == Interval(5.0, -math.inf, math.inf)
    assert math.isnan(mean_interval([]).estimate)


def test_mcnemar_counts_only_pictures_on_which_the_two_differ() -> None:
    # 5 wins, 0 losses, whatever else: p = 2 * (1/2)^5
    a = [True] * 5 + [True] * 40 + [False] * 3
    b = [False] * 5 + [True] * 40 + [False] * 3
    assert paired_test(a, b) == pytest.approx(0.0625)
    # 8 wins, 2 losses: 2 * (1 + 10 + 45) / 2^10
    assert paired_test([1] * 8 + [0] * 2, [0] * 8 + [1] * 2) == pytest.approx(2 * 56 / 1024)
    assert paired_test([1, 0, 1], [1, 0, 1]) == 1.0
    assert paired_test([1, 0], [0, 1]) == 1.0  # never above one


def test_sign_flips_agree_with_mcnemar_where_both_apply() -> None:
    # Scaled by 0.5 the same differences go through the permutation test: 2 * 56 / 1024 = 0.109
    a, b = np.array([1] * 8 + [0] * 2) * 0.5, np.array([0] * 8 + [1] * 2) * 0.5
    assert paired_test(a, b, rounds=50_000, seed=1) == pytest.approx(2 * 56 / 1024, abs=0.005)


def test_sign_flips_of_many_levels_equal_the_enumeration() -> None:
    # All 2^6 sign patterns of 1..6: |sum| >= 21 for all plus or all minus only, p = 2/64.
    a = np.arange(1.0, 7.0)
    assert paired_test(a, np.zeros(6), rounds=100_000, seed=2) == pytest.approx(2 / 64, abs=0.003)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_who_is_called_a_does_not_matter(pairs: list[tuple[bool, bool]]) -> None:
    a, b = np.array(pairs).T
    assert paired_test(a, b) == pytest.approx(paired_test(b, a))
    assert 0 < paired_test(a, b) <= 1
    there, back = paired_difference01(a, b, rounds=200), paired_difference01(b, a, rounds=200)
    assert there.estimate == pytest.approx(-back.estimate)
    assert there.low <= there.high


def test_paired_difference_agrees_with_its_normal_interval() -> None:
    # 300 only a, 200 only b of 10,000: difference 0.01, variance (0.03 + 0.02 - 0.01^2) / n
    a = np.array([1] * 300 + [0] * 200 + [1] * 9_500)
    b = np.array([0] * 300 + [1] * 200 + [1] * 9_500)
    half = 1.96 * math.sqrt((0.05 - 0.0001) / 10_000)
    assert paired_difference01(a, b) == pytest.approx((0.01, 0.01 - half, 0.01 + half), abs=3e-4)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        paired_test([1, 0], [1])
    with pytest.raises(ValueError, match="equally long"):
        krippendorff_alpha([1, 2], [1])


def test_krippendorff_alpha_of_the_published_example() -> None:
    # Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C: 4 observers, 12 units, alpha = 0.743.
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    votes = [(unit, answer) for row in table for unit, answer in enumerate(row) if answer]
    items, answers = zip(*votes, strict=True)
    assert krippendorff_alpha(items, answers) == pytest.approx(0.743, abs=5e-4)


def test_perfect_agreement_is_one_and_no_comparison_is_nan() -> None:
    assert krippendorff_alpha([0, 0, 1, 1], [3, 3, 7, 7]) == 1.0
    assert math.isnan(krippendorff_alpha([0, 1, 2], [1, 2, 3]))
    assert math.isnan(krippendorff_alpha([], []))
    assert math.isnan(krippendorff_alpha([0, 0], [1, 1]))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=40), st.permutations(range(4)))
def test_renaming_answers_changes_no_agreement(votes: list[tuple[int, int]], names: list[int]) -> None:
    items = [item for item, _ in votes]
    before = krippendorff_alpha(items, [answer for _, answer in votes])
    after = krippendorff_alpha(items, [names[answer] for _, answer in votes])
    assert before == pytest.approx(after, nan_ok=True)


def test_a_mean_in_0_to_1_stays_there_and_equal_values_are_not_certain() -> None:
    # 0, 0, 1: mean 1/3, deviation 0.5774, t(2) = 4.3027: half = 1.4342, cut at both ends
    assert mean01_interval([0, 0, 1]) == pytest.approx((1 / 3, 0, 1))
    assert mean01_interval([0.5, 0.5, 0.4]) == pytest.approx(mean_interval([0.5, 0.5, 0.4]))
    assert mean01_interval([0] * 4) == wilson(0, 4)
    assert mean01_interval([0.5] * 4) == wilson(2, 4)
    assert mean01_interval([]) == pytest.approx((math.nan, 0, 1), nan_ok=True)


def test_what_is_known_for_certain_counts_whole_and_what_is_not_counts_less() -> None:
    of = [0] * 100 + [1] * 100 + [2] * 100
    right = [1.0] * 90 + [0.0] * 10 + [0.95] * 90 + [0.45] * 10 + [0.9] * 100
    found = probable_shares(right, of, [0.9, 0.9, 0.9], 10)
    assert found.estimate_W.tolist() == pytest.approx([0.9, 0.9, 0.9])
    # Certain: Beta(90, 10). Soft: 90 * 0.0475 + 10 * 0.2475 = 6.75 unseen of 9: a quarter of the votes is left, and
    # of an event as probable as the share itself nothing.
    for number, told in enumerate((100, 25, 2)):
        bounds = betaincinv(0.9 * told, 0.1 * told, [0.025, 0.975])
        assert [found.low_W[number], found.high_W[number]] == pytest.approx(bounds)


def test_the_expectation_moves_a_share_and_makes_it_no_surer() -> None:
    few = probable_shares([1.0] * 4, [0] * 4, [0.8], 10)
    assert few.estimate_W[0] == pytest.approx(12 / 14)
    assert [few.low_W[0], few.high_W[0]] == pytest.approx(betaincinv(4 * 12 / 14, 4 * 2 / 14, [0.025, 0.975]))
    unseen = probable_shares([], [], [0.8, 0.5], 10)
    assert unseen.estimate_W.tolist() == pytest.approx([0.8, 0.5])
    assert np.all(unseen.high_W - unseen.low_W > 0.8)
    surer = probable_shares([1.0] * 10_000, [0] * 10_000, [0.8], 10)
    assert surer.low_W[0] > 0.999
    assert surer.low_W[0] < surer.estimate_W[0] < surer.high_W[0]


def test_clopper_pearson_has_the_closed_form_at_the_ends_and_the_textbook_value_between() -> None:
    # All of n right: the lower bound solves p^n = 0.025. Clopper & Pearson 1934 for 4 of 10: 0.1216 to 0.7376.
    assert clopper_pearson(20, 20) == pytest.approx((1, 0.025 ** (1 / 20), 1))
    assert clopper_pearson(0, 20) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 20)))
    assert clopper_pearson(4, 10) == pytest.approx((0.4, 0.12155, 0.73762), abs=1e-5)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.95, 0.997])
def test_clopper_pearson_never_covers_less_often_than_it_says(share: float) -> None:
    # Exact over all outcomes of 60 tries: the probability of those whose interval holds the share.
    n = 60
    intervals = [clopper_pearson(k, n) for k in range(n + 1)]
    chance = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    covered = sum(p for p, found in zip(chance, intervals, strict=True) if found.low <= share <= found.high)
    assert covered >= 0.95


def test_fleiss_kappa_of_the_published_example() -> None:
    # Fleiss 1971 as worked out in Wikipedia's article: 10 items, 14 votes each, 5 answers: kappa = 0.210.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1), (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    votes = [(item, answer) for item, row in enumerate(table) for answer, n in enumerate(row) for _ in range(n)]
    items, answers = zip(*votes, strict=True)
    assert fleiss_kappa(items, answers) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_of_nothing_to_compare_is_nan_and_of_full_agreement_one() -> None:
    assert math.isnan(fleiss_kappa([0, 1], [0, 1]))
    assert math.isnan(fleiss_kappa([0, 0], [1, 1]))
    assert fleiss_kappa([0, 0, 1, 1, 2], [0, 0, 1, 1, 0]) == pytest.approx(1)
