"""k nearest neighbours as DINO judges features (Caron et al. 2021, section 4.1; Wu et al. 2018, section 3.4).

Each of the k nearest training pictures by cosine votes for its class with weight exp(cosine / 0.07).

Legend: N training pictures, Q pictures asked about, D features, K classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pictus.models import Floats

TEMPERATURE = 0.07
COUNTS = (1, 5, 10, 20, 50, 100, 200)
"""Values of k that are tried on the validation split."""

_AT_ONCE = 2**26
"""Similarities computed at a time: 256 MB."""


def votes(
    known_ND: Floats, labels_N: npt.NDArray[np.int64], asked_QD: Floats, k: int, n_classes: int
) -> Floats:
    """f32[Q, K], the sum of the neighbours' weights; ties at the k-th place go to the earlier picture."""
    known, asked = unit(known_ND), unit(asked_QD)
    k = min(k, len(known))
    scores_QK = np.zeros((len(asked), n_classes), np.float32)
    step = max(1, _AT_ONCE // max(1, len(known)))
    for start in range(0, len(asked), step):
        cosine = asked[start : start + step] @ known.T
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        weights = np.exp((np.take_along_axis(cosine, nearest, axis=1) - 1) / TEMPERATURE)
        rows = np.repeat(np.arange(len(cosine)), k)
        np.add.at(scores_QK[start : start + step], (rows, labels_N[nearest].ravel()), weights.ravel())
    return scores_QK


def unit(values: Floats) -> Floats:
    """Each row at length 1; a row of zeros stays one."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-12), np.float32)
