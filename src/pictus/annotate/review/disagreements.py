"""Where votes are split, and which concepts are mixed up there. Pure.

With s_k the share of the votes for answer k, each vote weighing log(p / (1 - p)) for an annotator who is right with
probability p (between 0.55 and 0.99: nobody counts for nothing, nobody for all), a question is as much in dispute as

    H = - sum over k of s_k log2 s_k     bits

One bit: two answers with equal weight. "Unsure" is no answer here.

Legend: V votes, I items, S split items.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import Floats, Ints, Votes

LEAST, MOST = 0.55, 0.99
"""Accuracies are taken to lie between these."""

MOST_NAMED = 6
"""Of so many concepts named for one picture all pairs are looked at."""


class Splits(NamedTuple):
    """Items with more than one answer, the most disputed first; of equal ones those with more votes."""

    item_S: Ints
    entropy_S: Floats  # bits
    first_S: Ints  # the answer with the most weight, and the next
    second_S: Ints
    n_first_S: Ints  # votes for them
    n_second_S: Ints


def splits(votes: Votes, accuracy_W: Floats, counts_W: NDArray[np.bool_], classes: int) -> Splits:
    """Find them. `counts_W`: whose votes count; answers from `classes` on (unsure) say nothing."""
    p_W = np.clip(np.nan_to_num(accuracy_W, nan=LEAST), LEAST, MOST)
    says_V = counts_W[votes.annotator_V] & (votes.answer_V < classes)
    item_V, answer_V = votes.item_V[says_V], votes.answer_V[says_V]
    weight_V = np.log(p_W / (1 - p_W))[votes.annotator_V[says_V]]
    key_P, of_V = np.unique(item_V * classes + answer_V, return_inverse=True)
    weight_P = np.bincount(of_V, weight_V, key_P.size)
    count_P = np.bincount(of_V, minlength=key_P.size)
    item_P, answer_P = np.divmod(key_P, classes)
    is_split_I = np.bincount(item_P, minlength=votes.n_items) > 1
    whole_I = np.bincount(item_P, weight_P, votes.n_items)
    kept_P = is_split_I[item_P]
    item_P, answer_P, weight_P, count_P = item_P[kept_P], answer_P[kept_P], weight_P[kept_P], count_P[kept_P]
    share_P = weight_P / whole_I[item_P]
    entropy_I = np.bincount(item_P, -share_P * np.log2(share_P), votes.n_items)
    n_I = np.bincount(item_P, count_P, votes.n_items)
    by_weight = np.lexsort((answer_P, -weight_P, item_P))
    item_P, answer_P, count_P = item_P[by_weight], answer_P[by_weight], count_P[by_weight]
    first = np.flatnonzero(np.concatenate([[True], item_P[1:] != item_P[:-1]])) if item_P.size else item_P
    item_S = item_P[first]
    order = np.lexsort((item_S, -n_I[item_S], -np.round(entropy_I[item_S], 9)))
    first = first[order]
    return Splits(
        item_S[order], entropy_I[item_S][order], answer_P[first], answer_P[first + 1], count_P[first],
        count_P[first + 1],
    )  # fmt: skip


def mixed(named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """(image_id, concept_id) that somebody said -> pictures of each pair of concepts that both were said of."""
    said: dict[str, dict[str, None]] = {}
    for image_id, concept_id in named:
        said.setdefault(image_id, {})[concept_id] = None
    found: dict[tuple[str, str], list[str]] = {}
    for image_id, concepts in said.items():
        for one, other in combinations(sorted(concepts)[:MOST_NAMED], 2):
            found.setdefault((one, other), []).append(image_id)
    return found
