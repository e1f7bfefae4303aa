"""Intervals, paired tests and agreement. numpy, pure: the seed comes in, nothing goes out but numbers."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


class Shares(NamedTuple):
    """As Interval, for W at once: f64[W] in [0, 1] each; and how many events known for certain would tell as much."""

    estimate_W: NDArray[np.float64]
    low_W: NDArray[np.float64]
    high_W: NDArray[np.float64]
    told_W: NDArray[np.float64]


LEAST_EVENTS = 2.0
"""Certainty of a share of which nothing was seen: Beta(2p, 2(1 - p)), nearly all of 0..1."""


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """A share with its score interval (Wilson 1927): right at 0, 1 and small n, no randomness.

    n = 0 -> (nan, 0, 1): nothing was seen, anything is possible.
    """
    _check_share(successes, n)
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the bound is exactly 0 or 1; rounding must not put the estimate outside.
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A share with its exact interval (Clopper and Pearson 1934): never covers less often than it says, so wider than
    Wilson's. For whole counts. n = 0 -> (nan, 0, 1).
    """
    from scipy.special import betaincinv  # noqa: PLC0415

    _check_share(successes, n)
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return Interval(successes / n, low, high)


def probable_shares(
    right_V: ArrayLike, of_V: ArrayLike, expected_W: ArrayLike, certainty: float, confidence: float = 0.95
) -> Shares:
    """How often each of W is right, where of each event only the probability that it was right is known.

    right_V: f64[V] in [0, 1]; of_V: i64[V] in [0, W), whose event it is; expected_W: f64[W] in (0, 1), what is
    expected beforehand, worth `certainty` events.

    Beta with mean p = (certainty * expected + sum of right) / (certainty + n) and as many events as the n tell:
    n - sum of right (1 - right) / (p (1 - p)), what not seeing the truth costs (Louis 1982). An event known for
    certain tells a whole one; one as probable as p itself nothing. The expectation moves p without making it
    surer: few events must look like few.
    """
    from scipy.special import betaincinv  # noqa: PLC0415

    right, of, expected = np.asarray(right_V, np.float64), np.asarray(of_V, np.int64), np.asarray(expected_W)
    n_W = np.bincount(of, minlength=expected.size)
    p_W = (certainty * expected + np.bincount(of, weights=right, minlength=expected.size)) / (certainty + n_W)
    unseen_W = np.bincount(of, weights=right * (1 - right), minlength=expected.size)
    told_W = np.maximum(LEAST_EVENTS, n_W - unseen_W / (p_W * (1 - p_W)))
    low_W, high_W = (
        betaincinv(told_W * p_W, told_W * (1 - p_W), 0.5 + side * confidence / 2) for side in (-1, 1)
    )
    return Shares(p_W, np.minimum(low_W, p_W), np.maximum(high_W, p_W), told_W)


def bootstrap_mean01(
    successes: int, n: int, rounds: int = 20_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The percentile bootstrap of a mean of n zeros and ones.

    Drawing n of them with replacement and counting the ones is one binomial draw, so 20,000
    rounds cost a millisecond at any n.
    """
    _check_share(successes, n)
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    means = np.random.default_rng(seed).binomial(n, successes / n, rounds) / n
    return _percentiles(successes / n, means, confidence)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean of f[N] with Student's interval. One value -> (it, -inf, inf); none -> (nan, -inf, inf)."""
    from scipy.special import stdtrit  # noqa: PLC0415

    found = np.asarray(values, dtype=np.float64)
    if found.size == 0:
        return Interval(math.nan, -math.inf, math.inf)
    mean = float(found.mean())
    if found.size == 1:
        return Interval(mean, -math.inf, math.inf)
    half = float(stdtrit(found.size - 1, 0.5 + confidence / 2)) * float(found.std(ddof=1)) / math.sqrt(found.size)
    return Interval(mean, mean - half, mean + half)


def mean01_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean of f[N] in 0..1 with Student's interval, cut to 0..1.

    Where all values are equal Student's has no width; then Wilson's with as much right on N pictures: three
    errors of 0 do not make 0 certain.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.size and found.min() == found.max():
        return wilson(float(found.sum()), found.size, confidence)
    mean, low, high = mean_interval(found, confidence)
    return Interval(mean, max(low, 0.0), min(high, 1.0))


def paired_difference01(
    correct_a_N: ArrayLike, correct_b_N: ArrayLike, rounds: int = 20_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """mean(a) - mean(b) on the same N pictures, with its percentile bootstrap interval. bool[N], bool[N].

    A picture adds +1 (only a right), -1 (only b right) or 0, so one round is one multinomial draw.
    """
    a_N, b_N = _pair(correct_a_N, correct_b_N)
    n = a_N.size
    if n == 0:
        return Interval(math.nan, -1.0, 1.0)
    only_a, only_b = int(np.sum(a_N > b_N)), int(np.sum(a_N < b_N))
    shares = np.array([only_a, only_b, n - only_a - only_b]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, rounds)
    return _percentiles((only_a - only_b) / n, (draws[:, 0] - draws[:, 1]) / n, confidence)


def paired_test(values_a_N: ArrayLike, values_b_N: ArrayLike, rounds: int = 20_000, seed: int = 0) -> float:
    """Two-sided p-value of "a and b are equally good" on the same N pictures.

    For zeros and ones: McNemar's test, exact (no randomness). For other values (a hierarchical
    error): the sign-flip permutation test with `rounds` draws, which counts equal differences
    together, so that values on few levels cost milliseconds at any N.
    """
    a_N, b_N = _pair(values_a_N, values_b_N)
    difference_N = a_N - b_N
    if not np.any(difference_N):
        return 1.0
    if np.all(np.isin(a_N, (0, 1))) and np.all(np.isin(b_N, (0, 1))):
        from scipy.special import bdtr  # noqa: PLC0415

        wins, losses = int(np.sum(difference_N > 0)), int(np.sum(difference_N < 0))
        return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))
    size_L, count_L = np.unique(np.round(np.abs(difference_N[difference_N != 0]), 12), return_counts=True)
    generator = np.random.default_rng(seed)
    observed = abs(float(difference_N.sum())) - 1e-9 * float(size_L @ count_L)  # a tie counts as as extreme
    extreme, done = 0, 0
    while done < rounds:
        chunk = max(1, min(rounds - done, 4_000_000 // size_L.size))
        positive = generator.binomial(count_L, 0.5, (chunk, size_L.size))
        extreme += int(np.sum(np.abs((2 * positive - count_L) @ size_L) >= observed))
        done += chunk
    return (extreme + 1) / (rounds + 1)


def krippendorff_alpha(items_V: ArrayLike, answers_V: ArrayLike) -> float:
    """Agreement beyond chance for nominal answers and any number of votes per item (Krippendorff 2011).

    Votes in long form: vote v says answer answers_V[v] about item items_V[v] (any integers). Items with a
    single vote are left out. 1 = all agree; 0 = chance; nan when nothing can be compared or all votes are the
    same answer.
    """
    count_C, item_C, answer_C, per_item_I = _cells(items_V, answers_V)
    paired_C = per_item_I[item_C] > 1 if count_C.size else np.zeros(0, dtype=bool)
    if not np.any(paired_C):
        return math.nan
    count_C, item_C, answer_C = count_C[paired_C], item_C[paired_C], answer_C[paired_C]
    # Coincidence matrix: o_kk = sum_i n_ik (n_ik - 1) / (m_i - 1); D_o = n - sum_k o_kk; D_e from the margins.
    agreeing = float(np.sum(count_C * (count_C - 1) / (per_item_I[item_C] - 1)))
    total = float(count_C.sum())
    margin_K = np.bincount(answer_C, weights=count_C)
    expected = (total * total - float(np.sum(margin_K**2))) / (total - 1)
    return math.nan if expected == 0 else 1 - (total - agreeing) / expected


def fleiss_kappa(items_V: ArrayLike, answers_V: ArrayLike) -> float:
    """Agreement beyond chance where items have several votes each, whoever gave them (Fleiss 1971).

    Votes in long form as in `krippendorff_alpha`; items with a single vote are left out. kappa = (P - E) / (1 - E),
    P the mean over items of the share of pairs of votes that are equal, E the sum of the squared shares of the
    answers. Fleiss's design has equally many votes per item; where they differ each item counts alike in P and each
    vote alike in E. nan when nothing can be compared or all votes are the same answer.
    """
    count_C, item_C, answer_C, per_item_I = _cells(items_V, answers_V)
    paired_C = per_item_I[item_C] > 1 if count_C.size else np.zeros(0, dtype=bool)
    if not np.any(paired_C):
        return math.nan
    count_C, item_C, answer_C = count_C[paired_C], item_C[paired_C], answer_C[paired_C]
    votes_C = per_item_I[item_C]
    n_items = np.unique(item_C).size
    agreeing = float(np.sum(count_C * (count_C - 1) / (votes_C * (votes_C - 1)))) / n_items
    share_K = np.bincount(answer_C, weights=count_C) / float(count_C.sum())
    expected = float(np.sum(share_K**2))
    return math.nan if expected == 1 else (agreeing - expected) / (1 - expected)


def _cells(
    items_V: ArrayLike, answers_V: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The non-empty cells of the item x answer table: count, item, answer; and votes per item."""
    item_V, answer_V = np.asarray(items_V), np.asarray(answers_V)
    if item_V.shape != answer_V.shape or item_V.ndim != 1:
        message = f"items and answers must be equally long, found {item_V.shape} and {answer_V.shape}"
        raise ValueError(message)
    names_I, item_V = np.unique(item_V, return_inverse=True)
    names_K, answer_V = np.unique(answer_V, return_inverse=True)
    cells, counts = np.unique(item_V.astype(np.int64) * max(1, names_K.size) + answer_V, return_counts=True)
    item_C, answer_C = np.divmod(cells, max(1, names_K.size))
    return counts.astype(np.float64), item_C, answer_C, np.bincount(item_V, minlength=names_I.size).astype(np.int64)


def _percentiles(estimate: float, draws: NDArray[np.float64], confidence: float) -> Interval:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def _pair(a_N: ArrayLike, b_N: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        message = f"paired values must be equally long, found {a.shape} and {b.shape}"
        raise ValueError(message)
    return a, b


def _check_share(successes: float, n: float) -> None:
    if not 0 <= successes <= n:
        message = f"successes must lie in 0..n, found {successes} of {n}"
        raise ValueError(message)
