"""How far people agree beyond chance, with intervals: Krippendorff's alpha and Fleiss' kappa. Pure.

Intervals are the percentile bootstrap over items: items are drawn with replacement, with all their votes. Items with
the same votes are interchangeable, so that a round is one multinomial draw over the kinds of item there are; where
there are more than UNITS of them, items are drawn in UNITS fixed groups.

Legend: I items with two votes or more, C cells (item, answer), G units that are drawn, K answers, B rounds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pictus.stats import Interval, fleiss_kappa, krippendorff_alpha

UNITS = 2000
"""So many kinds of item, or groups of items, are drawn from at most."""


class Agreement(NamedTuple):
    """Of all items with two votes or more; nan where nothing can be compared."""

    alpha: Interval
    kappa: Interval
    n_items: int
    n_votes: int


def agreement(
    items_V: ArrayLike, answers_V: ArrayLike, *, rounds: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Agreement:
    """Votes in long form: vote v says answers_V[v] about items_V[v], any integers."""
    _, item_V = np.unique(np.asarray(items_V), return_inverse=True)
    _, answer_V = np.unique(np.asarray(answers_V), return_inverse=True)
    votes_V = np.bincount(item_V)[item_V] if item_V.size else item_V
    item_V, answer_V = item_V[votes_V > 1], answer_V[votes_V > 1]
    nothing = Interval(math.nan, math.nan, math.nan)
    if not item_V.size:
        return Agreement(nothing, nothing, 0, 0)
    _, item_V = np.unique(item_V, return_inverse=True)
    alpha, kappa = krippendorff_alpha(item_V, answer_V), fleiss_kappa(item_V, answer_V)
    n_items = int(item_V.max()) + 1
    if math.isnan(alpha):
        return Agreement(nothing, nothing, n_items, item_V.size)
    drawn = _drawn(item_V, answer_V, rounds, np.random.default_rng(seed))
    tail = [(1 - confidence) / 2, (1 + confidence) / 2]
    (alpha_low, alpha_high), (kappa_low, kappa_high) = (np.nanquantile(values, tail) for values in drawn)
    return Agreement(
        Interval(alpha, float(alpha_low), float(alpha_high)), Interval(kappa, float(kappa_low), float(kappa_high)),
        n_items, item_V.size,
    )  # fmt: skip


def _drawn(
    item_V: NDArray[np.int64], answer_V: NDArray[np.int64], rounds: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Alpha and kappa of each round."""
    n_items, n_answers = int(item_V.max()) + 1, int(answer_V.max()) + 1
    key_C, count_C = np.unique(item_V * n_answers + answer_V, return_counts=True)
    item_C, answer_C = np.divmod(key_C, n_answers)
    votes_I = np.bincount(item_V).astype(np.float64)
    pairs_I = np.bincount(item_C, count_C * (count_C - 1.0), n_items)
    # Items of equal votes get equal signatures: sums of count times a random number of 63 bits for each answer.
    code_K = np.random.default_rng(0).integers(2**62, size=n_answers)
    with np.errstate(over="ignore"):
        signature_I = np.zeros(n_items, np.int64)
        np.add.at(signature_I, item_C, count_C * code_K[answer_C])
    kinds, unit_I = np.unique(signature_I, return_inverse=True)
    is_many = kinds.size > UNITS
    if is_many:
        unit_I = np.arange(n_items) % UNITS
    size_G = np.bincount(unit_I).astype(np.float64)
    weight_G = np.ones(size_G.size) if is_many else size_G
    draws_BG = generator.multinomial(int(weight_G.sum()), weight_G / weight_G.sum(), rounds) / weight_G
    margin_GK = np.zeros((size_G.size, n_answers))
    np.add.at(margin_GK, (unit_I[item_C], answer_C), count_C)
    agreeing_G = np.bincount(unit_I, pairs_I / (votes_I - 1))
    shared_G = np.bincount(unit_I, pairs_I / (votes_I * (votes_I - 1)))
    margin_BK = draws_BG @ margin_GK
    total_B, square_B = margin_BK.sum(axis=1), (margin_BK**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # a round in which all votes are the same answer says nothing
        alpha_B = 1 - (total_B - draws_BG @ agreeing_G) / ((total_B**2 - square_B) / (total_B - 1))
        chance_B = square_B / total_B**2
        kappa_B = (draws_BG @ shared_G / (draws_BG @ size_G) - chance_B) / (1 - chance_B)
    return (
        np.where(np.isfinite(alpha_B), alpha_B, np.nan), np.where(np.isfinite(kappa_B), kappa_B, np.nan)
    )  # fmt: skip
