"""What a classifier got right: top-k, flat and hierarchical error, precision and recall, calibration.

The truth of a picture is a *set* of acceptable labels, and a picture can be left out: ILSVRC (one
label each) and ReaL (several, none = left out) are the same case. numpy, pure.

Legend: N pictures, G ranked guesses, L labels of one picture, K classes, B bins, X cells of a confusion matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

NO_GUESS = -1
"""Fills a row of guesses that is shorter than the others; always wrong."""

NO_LABEL = -2
"""Fills a row of labels; no guess equals it."""

ECE_BINS = 15


@dataclass(frozen=True, eq=False)
class Truth:
    """Acceptable labels i32[N, L] (filled with NO_LABEL) and which pictures count bool[N].

    A picture without any label, or ignored on purpose, does not count.
    """

    labels_NL: NDArray[np.int32]
    is_counted_N: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels_NL)


class ConfusionCells(NamedTuple):
    """A confusion matrix by the cells that are not 0, ordered by true class, then by predicted: i64[X] each.

    At most one cell per picture, however many classes: whole, the matrix of ImageNet's 21,841 takes 3.8 GB.
    """

    true_X: NDArray[np.int64]
    predicted_X: NDArray[np.int64]
    count_X: NDArray[np.int64]
    n_classes: int


class ClassMetrics(NamedTuple):
    """Per class, from a confusion matrix. precision f64[K]: nan where nothing was predicted; recall
    f64[K]: nan where there is no picture; f1 f64[K]: nan where there is neither.
    """

    precision_K: NDArray[np.float64]
    recall_K: NDArray[np.float64]
    f1_K: NDArray[np.float64]
    n_right_K: NDArray[np.int64]
    n_true_K: NDArray[np.int64]
    n_predicted_K: NDArray[np.int64]


class Calibration(NamedTuple):
    """How far confidence is from accuracy. Bin b holds confidences in (edges[b], edges[b + 1]];
    mean confidence and accuracy f64[B] are nan in an empty bin.
    """

    ece: float
    edges: NDArray[np.float64]
    n_B: NDArray[np.int64]
    n_right_B: NDArray[np.int64]
    confidence_B: NDArray[np.float64]
    accuracy_B: NDArray[np.float64]


def truth_of(labels_N: ArrayLike, is_counted_N: ArrayLike | None = None) -> Truth:
    """One label per picture. int[N], values >= 0; `is_counted_N` False leaves a picture out."""
    labels = np.asarray(labels_N, dtype=np.int32)
    if labels.ndim != 1 or np.any(labels < 0):
        message = f"labels must be a row of numbers >= 0, found shape {labels.shape}"
        raise ValueError(message)
    counted = np.ones(len(labels), np.bool_) if is_counted_N is None else np.asarray(is_counted_N, np.bool_)
    if counted.shape != labels.shape:
        message = f"is_counted must be as long as the labels, found {counted.shape} and {labels.shape}"
        raise ValueError(message)
    return Truth(labels[:, None], counted)


def truth_of_sets(sets: Iterable[Sequence[int]]) -> Truth:
    """Several acceptable labels per picture; an empty set leaves the picture out (ReaL's rule)."""
    rows = [sorted(set(labels)) for labels in sets]
    labels_NL = np.full((len(rows), max((len(row) for row in rows), default=0) or 1), NO_LABEL, np.int32)
    for number, row in enumerate(rows):
        labels_NL[number, : len(row)] = row
    if np.any((labels_NL < 0) & (labels_NL != NO_LABEL)):
        message = "labels must be numbers >= 0"
        raise ValueError(message)
    return Truth(labels_NL, labels_NL[:, 0] != NO_LABEL)


def top_guesses(scores_NK: NDArray[np.float32], k: int = 5) -> NDArray[np.int32]:
    """The k best classes per picture, best first; ties go to the lower class. f32[N, K] -> i32[N, min(k, K)]."""
    return np.argsort(-scores_NK, axis=1, kind="stable")[:, :k].astype(np.int32)


def is_right(guesses_NG: NDArray[np.integer], truth: Truth, k: int) -> NDArray[np.bool_]:
    """Whether one of the first k guesses is an acceptable label -> bool[N], False where it does not count."""
    _check_rows(guesses_NG, truth)
    hit_N = (guesses_NG[:, :k, None] == truth.labels_NL[:, None, :]).any(axis=(1, 2))
    counted: NDArray[np.bool_] = hit_N & truth.is_counted_N
    return counted


def flat_errors(guesses_NG: NDArray[np.integer], truth: Truth, k: int = 5) -> NDArray[np.float64]:
    """ILSVRC's flat error of every picture -> f64[N], nan where it does not count.

    e_i = (1/n) Σ_k min_j d(c_j, C_k), d = 0 if equal else 1, over the n labels C and at most k
    guesses c. With one label per picture it is 0 or 1, and 1 - mean is top-k accuracy.
    """
    _check_rows(guesses_NG, truth)
    missed_NL = ~(guesses_NG[:, :k, None] == truth.labels_NL[:, None, :]).any(axis=1)
    return _mean_over_labels(missed_NL.astype(np.float64), truth)


def hierarchical_errors(
    guesses_NG: NDArray[np.integer], truth: Truth, heights_KK: NDArray[np.floating], greatest_height: float, k: int = 5
) -> NDArray[np.float64]:
    """The error of ILSVRC 2010-11 of every picture -> f64[N] in [0, 1], nan where it does not count.

    As `flat_errors`, with d = height of the lowest common ancestor / greatest possible height
    (height of a node = longest path to a leaf). A missing guess costs 1.
    heights_KK: f[K, K], `Taxonomy.lca_height_matrix`; greatest_height: the root's.
    """
    _check_rows(guesses_NG, truth)
    if greatest_height <= 0:  # one concept and nothing above it: no mistake is possible but a missing guess
        return flat_errors(guesses_NG, truth, k)
    first_NG = guesses_NG[:, :k]
    cost_NGL = heights_KK[np.maximum(first_NG, 0)[:, :, None], np.maximum(truth.labels_NL, 0)[:, None, :]]
    cost_NGL = np.where((first_NG < 0)[:, :, None], 1.0, cost_NGL / greatest_height)
    best_NL = cost_NGL.min(axis=1, initial=1.0)
    return _mean_over_labels(best_NL, truth)


def tells_more_than_flat(n_classes: int, greatest_height: float, n_guesses: int) -> bool:
    """Whether a hierarchical error says more than top-k: mistakes differ in height, and so many guesses can miss."""
    return greatest_height > 1 and n_classes > n_guesses


def mistake_severity(guesses_NG: NDArray[np.integer], truth: Truth, heights_KK: NDArray[np.floating]) -> float:
    """Mean height of the lowest common ancestor over top-1 mistakes (Bertinetto 2020); nan without a mistake.

    A picture without a guess is a mistake of no class and stays out of this mean. With several
    labels the nearest counts.
    """
    wrong_N = truth.is_counted_N & ~is_right(guesses_NG, truth, 1) & (guesses_NG[:, 0] >= 0)
    labels_NL = truth.labels_NL[wrong_N]
    heights_NL = heights_KK[guesses_NG[wrong_N, 0][:, None], np.maximum(labels_NL, 0)]
    heights_NL = np.where(labels_NL == NO_LABEL, np.inf, heights_NL)
    return float(heights_NL.min(axis=1).mean()) if len(labels_NL) else float("nan")


def confusion(labels_N: ArrayLike, predicted_N: ArrayLike, n_classes: int) -> ConfusionCells:
    """How often each class was taken for each other. A row without a guess is left out."""
    labels, predicted = np.asarray(labels_N, np.int64), np.asarray(predicted_N, np.int64)
    seen = predicted >= 0
    key_X, count_X = np.unique(labels[seen] * n_classes + predicted[seen], return_counts=True)
    true_X, predicted_X = np.divmod(key_X, n_classes)
    return ConfusionCells(true_X, predicted_X, count_X.astype(np.int64), n_classes)


def class_metrics(cells: ConfusionCells, n_true_K: NDArray[np.int64] | None = None) -> ClassMetrics:
    """Precision, recall and F1 of every class.

    n_true_K: pictures of each class where some had no guess (they are missing from the matrix but
    count against recall); by default the row sums.
    """
    is_right_X = cells.true_X == cells.predicted_X
    right_K = _count(cells.true_X[is_right_X], cells.count_X[is_right_X], cells.n_classes)
    predicted_K = _count(cells.predicted_X, cells.count_X, cells.n_classes)
    true_K = _count(cells.true_X, cells.count_X, cells.n_classes) if n_true_K is None else n_true_K
    return ClassMetrics(
        _ratio(right_K, predicted_K), _ratio(right_K, true_K), _ratio(2 * right_K, true_K + predicted_K),
        right_K, true_K, predicted_K,
    )  # fmt: skip


def calibration(confidence_N: ArrayLike, right_N: ArrayLike, bins: int = ECE_BINS) -> Calibration:
    """Expected calibration error with equal-width bins (Guo 2017): Σ_b n_b/N · |accuracy_b - confidence_b|.

    confidence_N: f[N] in [0, 1], the probability of the first guess; right_N: bool[N].
    """
    confidence, right = np.asarray(confidence_N, np.float64), np.asarray(right_N, np.bool_)
    if np.any((confidence < 0) | (confidence > 1 + 1e-6)) or np.any(np.isnan(confidence)):
        message = f"confidence must lie in 0..1, found {confidence.min()} .. {confidence.max()}"
        raise ValueError(message)
    edges = np.linspace(0, 1, bins + 1)
    bin_N = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    n_B = np.bincount(bin_N, minlength=bins).astype(np.int64)
    right_B = np.bincount(bin_N, weights=right, minlength=bins).astype(np.int64)
    confidence_B = _ratio(np.bincount(bin_N, weights=confidence, minlength=bins), n_B)
    accuracy_B = _ratio(right_B, n_B)
    gaps = np.abs(accuracy_B - confidence_B)[n_B > 0]
    ece = float((n_B[n_B > 0] * gaps).sum() / len(confidence)) if len(confidence) else float("nan")
    return Calibration(ece, edges, n_B, right_B, confidence_B, accuracy_B)


def _mean_over_labels(cost_NL: NDArray[np.float64], truth: Truth) -> NDArray[np.float64]:
    is_label_NL = truth.labels_NL != NO_LABEL
    total_N = np.where(is_label_NL, cost_NL, 0).sum(axis=1)
    mean_N = total_N / np.maximum(is_label_NL.sum(axis=1), 1)
    return np.where(truth.is_counted_N, mean_N, np.nan)


def _count(class_X: NDArray[np.int64], count_X: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    return np.bincount(class_X, weights=count_X, minlength=n_classes).astype(np.int64)


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    out = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=out, where=np.asarray(whole) > 0, casting="unsafe")
    return out


def _check_rows(guesses_NG: NDArray[np.integer], truth: Truth) -> None:
    if guesses_NG.ndim != 2 or len(guesses_NG) != len(truth):  # noqa: PLR2004  [N, G]
        message = f"guesses must be [N, G] with N = {len(truth)}, found {guesses_NG.shape}"
        raise ValueError(message)
