"""Labels that a model trained without them doubts: confident learning (Northcutt, Jiang & Chuang 2021, JAIR). Pure.

Each class has a threshold of its own, the mean of P(k) over the pictures labelled k: what the model says of k where it
is k. A picture is confidently of class j where P(j) reaches j's threshold (of several the most probable). It is a
suspect where that class is not its label. So a class that the model is never sure of is not blamed on its pictures,
and one it is always sure of must be very sure (their §3.1; the off-diagonal of the confident joint, C_confident).

    quality = (1 + P(given) - greatest other P) / 2      in 0..1, 0 the worst: the normalised margin

Suspects are listed worst first. Probabilities must be out of sample: a model has no doubts about what it learned.

Legend: N pictures, K classes, G guesses of each (K, or the best few: what is left out is below any threshold).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 8_192
"""Rows at once: 65 MB at a thousand classes."""

NONE = -1


class Predictions(NamedTuple):
    """What a model says of pictures with labels.

    label_N    i64[N] in [0, K), the given label
    class_NG   int[N, G] in [0, K), NONE where there are fewer guesses; empty (N, 0) when all K are there in order
    share_NG   f[N, G] probabilities in 0..1
    own_N      f[N] P(given)
    """

    label_N: Ints
    class_NG: NDArray[np.integer]
    share_NG: NDArray[np.floating]
    own_N: NDArray[np.floating]
    n_classes: int


class Suspects(NamedTuple):
    """Worst first: rows i64[S], the class suspected instead i64[S], quality f64[S]."""

    row_S: Ints
    other_S: Ints
    quality_S: Floats


def dense(label_N: Ints, share_NK: NDArray[np.floating]) -> Predictions:
    """Of a whole matrix of probabilities."""
    n, k = share_NK.shape
    own_N = share_NK[np.arange(n), label_N]
    return Predictions(label_N, np.zeros((n, 0), np.int32), share_NK, own_N, k)


def thresholds(predictions: Predictions) -> Floats:
    """f64[K]: mean P(k) over the pictures labelled k; infinite for a class without any."""
    count_K = np.bincount(predictions.label_N, minlength=predictions.n_classes)
    sum_K = np.bincount(predictions.label_N, weights=predictions.own_N, minlength=predictions.n_classes)
    return np.where(count_K > 0, sum_K / np.maximum(1, count_K), np.inf)


def find(predictions: Predictions) -> Suspects:
    """All suspects, worst first; of equal quality the first row first."""
    least_K = thresholds(predictions)
    rows, others, qualities = [], [], []
    for start in range(0, len(predictions.label_N), BLOCK):
        part = slice(start, start + BLOCK)
        other_B, quality_B = _block(predictions, part, least_K)
        at = np.flatnonzero(other_B >= 0)
        rows.append(at + start)
        others.append(other_B[at])
        qualities.append(quality_B[at])
    if not rows:
        return Suspects(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    row_S, other_S, quality_S = np.concatenate(rows), np.concatenate(others), np.concatenate(qualities)
    order = np.argsort(quality_S, kind="stable")
    return Suspects(row_S[order], other_S[order].astype(np.int64), quality_S[order])


def _block(predictions: Predictions, part: slice, least_K: Floats) -> tuple[Ints, Floats]:
    """The class suspected instead, NONE for no suspect; and the quality of each label."""
    share_BG, label_B = predictions.share_NG[part], predictions.label_N[part]
    own_B = predictions.own_N[part].astype(np.float64)
    rows = np.arange(len(label_B))
    if predictions.class_NG.shape[1]:
        class_BG = predictions.class_NG[part]
        is_own_BG = class_BG == label_B[:, None]
        least_BG = np.where(class_BG >= 0, least_K[np.maximum(class_BG, 0)], np.inf)
        sure_BG = np.where(is_own_BG | (share_BG < least_BG), -1.0, share_BG)
        rest_BG = np.where(is_own_BG, -1.0, share_BG)
        at_B = np.argmax(sure_BG, axis=1)
        best_B, other_B = sure_BG[rows, at_B], class_BG[rows, at_B].astype(np.int64)
        rest_B = np.max(rest_BG, axis=1, initial=0.0)
    else:
        rest_BG = np.array(share_BG)
        rest_BG[rows, label_B] = -1
        rest_B = rest_BG.max(axis=1, initial=0)
        rest_BG[rest_BG < least_K.astype(share_BG.dtype)[None, :]] = -1
        other_B = np.argmax(rest_BG, axis=1).astype(np.int64)
        best_B = rest_BG[rows, other_B]
    # the label itself may be what the model is most sure of: then there is nothing to suspect
    stands_B = (own_B >= least_K[label_B]) & (own_B >= best_B)
    is_suspect_B = (best_B >= 0) & ~stands_B
    return np.where(is_suspect_B, other_B, NONE), np.clip((1 + own_B - rest_B) / 2, 0.0, 1.0)
