"""One round of active learning: which pictures of a pool are worth a person's time. Pure.

uncertainty   entropy of the answer, in shares of the greatest there is (Lewis & Gale 1994; Settles 2009, section 3.1)
disagreement  how far the answers of several runs lie apart: Jensen-Shannon divergence (McCallum & Nigam 1998)
core-set      k-centre greedy: each next picture the farthest from all chosen and all labelled (Sener & Savarese 2018)
mixed         the k centres among the most uncertain, several times as many as are wanted (Zhdanov 2019: first what
              tells, then what is diverse)

Legend: N pictures of the pool, M labelled pictures, K classes, D features, R runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pictus.train.transfer.nearest import unit

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MIXED_OF = 5
"""Times as many of the most uncertain pictures as are wanted, for `mixed` to choose from."""

COVERED = 2_000
"""Labelled pictures, spread evenly, that new ones should be unlike: 2,000 × N distances."""


BLOCK = 1_024
"""Pictures whose features and answers are held at once; of distances to all that is covered 8 MB. What stays of each
picture is a number or two.
"""


def yes_no(shares_NK: Floats) -> Floats:
    """Classes of which a picture may show several: each is a question of its own, f32[N, K, 2]. Figures of such answers
    are means over the questions.
    """
    return np.stack([shares_NK, 1 - shares_NK], axis=-1)


def uncertainty(shares_NK: Floats) -> Floats:
    """Entropy over log K: f32[N] in 0..1."""
    return _of_pictures(_entropy(shares_NK) / np.log(max(2, shares_NK.shape[-1])))


def disagreement(shares_RNK: Floats) -> Floats:
    """Entropy of the mean answer less the mean entropy, over log R: f32[N] in 0..1; 0 where all say the same."""
    apart = _entropy(shares_RNK.mean(axis=0)) - _entropy(shares_RNK).mean(axis=0)
    return _of_pictures(np.clip(apart / np.log(max(2, len(shares_RNK))), 0, 1))


def most(score_N: Floats, many: int) -> Ints:
    """Rows of the greatest scores, the greatest first; of equal ones the first row first."""
    found: Ints = np.argsort(-score_N, kind="stable")[:many].astype(np.int64)
    return found


def centres(features_ND: Floats, covered_MD: Floats, many: int) -> Ints:
    """k-centre greedy by cosine -> rows, the farthest first; where nothing is labelled, the least typical. Features may
    lie in a file: they are read a block at a time.
    """
    many_covered = min(len(covered_MD), COVERED)
    covered_MD = unit(covered_MD[np.arange(many_covered) * len(covered_MD) // max(1, many_covered)])
    blocks = [features_ND[start : start + BLOCK] for start in range(0, len(features_ND), BLOCK)]
    if len(covered_MD):
        nearest_N = np.concatenate([1 - (unit(block_BD) @ covered_MD.T).max(axis=1) for block_BD in blocks])
    else:
        sums = np.sum([unit(block_BD).sum(axis=0, dtype=np.float64) for block_BD in blocks], axis=0)
        nearest_N = _apart(blocks, sums.astype(np.float32))
    chosen: list[int] = []
    while len(chosen) < min(many, len(features_ND)):
        row = int(np.argmax(nearest_N))
        chosen.append(row)
        apart_N = _apart(blocks, features_ND[row])
        nearest_N = apart_N if len(chosen) == 1 and not len(covered_MD) else np.minimum(nearest_N, apart_N)
        nearest_N[row] = -np.inf  # and stays so: of two distances the smaller
    return np.array(chosen, np.int64)


def _apart(blocks: Sequence[Floats], vector_D: Floats) -> Floats:
    """1 - cosine to one vector: f32[N]."""
    towards_D = unit(vector_D[None])[0]
    return np.concatenate([1 - unit(block_BD) @ towards_D for block_BD in blocks])


def mixed(score_N: Floats, features_ND: Floats, covered_MD: Floats, many: int) -> Ints:
    """The k centres among the `MIXED_OF` times as many pictures of the greatest scores."""
    rows = most(score_N, many * MIXED_OF)
    return rows[centres(features_ND[rows], covered_MD, many)]


def _of_pictures(values: NDArray[np.float64]) -> Floats:
    return np.asarray(values.reshape(len(values), -1).mean(axis=1), np.float32)


def _entropy(shares: Floats) -> NDArray[np.float64]:
    return np.asarray(-(shares * np.log(np.clip(shares, 1e-12, 1))).sum(axis=-1), np.float64)
