"""k nearest neighbours as DINO judges features (Caron et al. 2021, section 4.1; Wu et al. 2018, section 3.4).

Each of the k nearest training pictures by cosine votes for its class with weight exp(cosine / 0.07).

However many vectors there are, and also where they lie in a file, no more than ASKED x (KNOWN + k) similarities and
ASKED + KNOWN vectors of length 1 are in memory.

Legend: N training pictures, Q pictures asked about, D features, K classes, k neighbours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pictus.models import Floats

TEMPERATURE = 0.07
COUNTS = (1, 5, 10, 20, 50, 100, 200)
"""Values of k that are tried on the validation split."""

ASKED, KNOWN = 256, 4_096
"""Pictures asked about, and training pictures, that are compared at once: 4 MB."""


def votes(
    known_ND: Floats, labels_N: npt.NDArray[np.int64], asked_QD: Floats, k: int, n_classes: int
) -> Floats:
    """f32[Q, K], the sum of the neighbours' weights; ties at the k-th place go to the earlier picture."""
    return weighed(*neighbours(known_ND, asked_QD, k), labels_N, n_classes)


def neighbours(known_ND: Floats, asked_QD: Floats, k: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The k nearest, the nearest first, of equal ones the earlier: their cosines f32[Q, k] and rows i64[Q, k]."""
    k = min(k, len(known_ND))
    cosine_Qk, rows_Qk = np.empty((len(asked_QD), k), np.float32), np.empty((len(asked_QD), k), np.int64)
    for start in range(0, len(asked_QD), ASKED):
        asked = unit(asked_QD[start : start + ASKED])
        cosine, rows = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
        for first in range(0, len(known_ND), KNOWN):
            block = unit(known_ND[first : first + KNOWN])
            cosine = np.concatenate([cosine, asked @ block.T], axis=1)
            place = np.argsort(-cosine, axis=1, kind="stable")[:, :k]  # what was found before stands before
            held = rows.shape[1]
            of_before = np.take_along_axis(rows, np.minimum(place, held - 1), axis=1) if held else place
            rows = np.where(place < held, of_before, place - held + first)
            cosine = np.take_along_axis(cosine, place, axis=1)
        cosine_Qk[start : start + ASKED], rows_Qk[start : start + ASKED] = cosine, rows
    return cosine_Qk, rows_Qk


def weighed(
    cosine_Qk: Floats, rows_Qk: npt.NDArray[np.int64], labels_N: npt.NDArray[np.int64], n_classes: int
) -> Floats:
    """What neighbours say together: f32[Q, K]."""
    scores_QK = np.zeros((len(rows_Qk), n_classes), np.float32)
    weights_Qk = np.exp((cosine_Qk - 1) / TEMPERATURE)
    places = np.repeat(np.arange(len(rows_Qk)), rows_Qk.shape[1])
    np.add.at(scores_QK, (places, labels_N[rows_Qk].ravel()), weights_Qk.ravel())
    return scores_QK


def unit(values: Floats) -> Floats:
    """Each row at length 1; a row of zeros stays one."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-12), np.float32)
