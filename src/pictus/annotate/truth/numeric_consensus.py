"""What a number is, from several people who each gave it: counts, ages, a side of a box, a coordinate.

Annotator w gives x = truth + scale · (bias_w + spread_w · noise), the noise Student's t with NU degrees of freedom,
so that one slip of the hand does not count as much as it is wrong. EM: the truth of each item as the mean weighted
by 1 / spread_w² and by how ordinary each answer is; biases and spreads from what is left over. The spread has a prior
worth PRIOR answers at everybody's common spread, the bias one around 0; items with a single answer teach nothing.

In the spirit of Branson, Van Horn, Perona 2017, "Lean crowdsourcing"; the t noise after Lange, Little, Taylor 1989.
Nothing depends on how annotators are called: sums run in the order of the answers.

Legend: V answers, I items, W annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NU = 4.0
PRIOR = 4.0
BIAS_PRIOR = 8.0
ROUNDS = 100
TEACHING = 2
_CHANGE = 1e-7
_MAD = 1.4826
"""Median absolute deviation -> standard deviation, of normal noise."""

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Numbers:
    """Answers in long form. Make them with `numbers_of`, which checks.

    item_V i64 in [0, I), annotator_V i64 in [0, W), value_V f64; weight_V f64 in [0, 1]: how sure it is that the
    answer is about this item at all; scale_I f64 > 0: what spreads are measured in (1: the numbers' own unit)
    """

    item_V: Ints
    annotator_V: Ints
    value_V: Floats
    weight_V: Floats
    scale_I: Floats
    n_annotators: int


class NumericConsensus(NamedTuple):
    """One number per item with its standard deviation, and how each annotator answers (in units of the scale)."""

    value_I: Floats
    sd_I: Floats
    spread_W: Floats
    bias_W: Floats

    def interval(self) -> tuple[Floats, Floats]:
        """Both ends of the 95 % interval of each item."""
        return self.value_I - Z95 * self.sd_I, self.value_I + Z95 * self.sd_I


def numbers_of(
    items: ArrayLike, annotators: ArrayLike, values: ArrayLike, *, n_items: int = 0, n_annotators: int = 0,
    scale_I: ArrayLike | None = None,
) -> Numbers:  # fmt: skip
    """Check three columns of one length, numbered from 0; without counts the largest number tells."""
    item_V, annotator_V = (np.asarray(column, np.int64).reshape(-1) for column in (items, annotators))
    value_V = np.asarray(values, np.float64).reshape(-1)
    if not item_V.size == annotator_V.size == value_V.size:
        message = f"columns of one length expected, found {item_V.size}, {annotator_V.size}, {value_V.size}"
        raise ValueError(message)
    if item_V.size and (min(item_V.min(), annotator_V.min()) < 0 or not np.all(np.isfinite(value_V))):
        message = "items and annotators are numbered from 0, and values are finite"
        raise ValueError(message)
    n_items = n_items or (int(item_V.max()) + 1 if item_V.size else 0)
    n_annotators = n_annotators or (int(annotator_V.max()) + 1 if annotator_V.size else 0)
    scale = np.ones(n_items) if scale_I is None else np.asarray(scale_I, np.float64)
    return Numbers(item_V, annotator_V, value_V, np.ones(item_V.size), scale, n_annotators)


def weigh(
    numbers: Numbers, *, has_bias: bool = True, rounds: int = ROUNDS, common: float = 0.0
) -> NumericConsensus:
    """EM from the medians. `common`: everybody's spread before anything is seen, 0: taken from the answers."""
    item_V, who_V, weight_V = numbers.item_V, numbers.annotator_V, numbers.weight_V
    n_items, n_people = numbers.scale_I.size, numbers.n_annotators
    x_V = numbers.value_V / numbers.scale_I[item_V] if item_V.size else numbers.value_V
    truth_I = medians(item_V, x_V, n_items)
    many_I = np.bincount(item_V, weights=weight_V, minlength=n_items)
    teaches_V = (np.bincount(item_V, minlength=n_items) >= TEACHING)[item_V] * weight_V
    common = common or _common_spread(x_V - truth_I[item_V], teaches_V > 0)
    spread_W, bias_W, odd_V = np.full(n_people, common), np.zeros(n_people), np.ones(item_V.size)
    variance_I = np.full(n_items, common**2)
    for _ in range(rounds):
        precision_V = weight_V * odd_V / spread_W[who_V] ** 2
        total_I = np.maximum(np.bincount(item_V, weights=precision_V, minlength=n_items), 1e-300)
        seen_V = x_V - bias_W[who_V]
        found_I = np.bincount(item_V, weights=precision_V * seen_V, minlength=n_items) / total_I
        found_I = np.where(many_I > 0, found_I, truth_I)
        moved = float(np.abs(found_I - truth_I).max(initial=0.0))
        truth_I, variance_I = found_I, 1 / total_I
        off_V = seen_V - truth_I[item_V]
        square_V = off_V**2 + variance_I[item_V]
        odd_V = (NU + 1) / (NU + square_V / spread_W[who_V] ** 2)
        counted_W = np.bincount(who_V, weights=teaches_V, minlength=n_people)
        squares_W = np.bincount(who_V, weights=teaches_V * odd_V * square_V, minlength=n_people)
        spread_W = np.sqrt((PRIOR * common**2 + squares_W) / (PRIOR + counted_W))
        if has_bias:
            taught_V = teaches_V * odd_V
            pull_W = np.bincount(who_V, weights=taught_V * (x_V - truth_I[item_V]), minlength=n_people)
            bias_W = pull_W / (BIAS_PRIOR + np.bincount(who_V, weights=taught_V, minlength=n_people))
        if moved < _CHANGE * common:
            break
    return NumericConsensus(
        truth_I * numbers.scale_I, np.sqrt(variance_I) * numbers.scale_I, spread_W, bias_W
    )


def medians(item_V: Ints, value_V: Floats, n_items: int) -> Floats:
    """The median of each item's values, f64[I]; 0 for an item without."""
    order = np.lexsort((value_V, item_V))
    many_I = np.bincount(item_V, minlength=n_items)
    first_I = np.cumsum(many_I) - many_I
    sorted_V = np.append(value_V[order], 0.0)
    low_I, high_I = first_I + np.maximum(many_I - 1, 0) // 2, first_I + many_I // 2
    middle_I = (sorted_V[np.minimum(low_I, value_V.size)] + sorted_V[np.minimum(high_I, value_V.size)]) / 2
    return np.where(many_I > 0, middle_I, 0.0)


def _common_spread(off_V: Floats, is_taught_V: NDArray[np.bool_]) -> float:
    """Everybody's spread, robustly; answers that all agree have a small one, not none."""
    if not is_taught_V.any():
        return 1.0
    absolute_V = np.abs(off_V[is_taught_V])
    # The median of a few answers is one of them: half of three are 0. The mean keeps such a set from a spread of 0.
    return float(max(_MAD * np.median(absolute_V), 0.5 * absolute_V.mean(), 1e-6))
