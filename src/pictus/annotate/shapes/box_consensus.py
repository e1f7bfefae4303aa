"""Where boxes are, from several people who each drew all they saw on a picture.

Clustering: pairs of boxes of different people join in the order of their overlap, while the two clusters' mean
overlap is at least LEAST_IOU and nobody is in both (average linkage, one box per annotator and cluster).

Skill: a cluster is a real thing or not (z). Who looked at the picture draws a real one with 1 - miss_w, one that is
not there with false_w. The sides come from a real box with annotator w's own spread, relative to the box's width or
height (`numeric_consensus`). EM over z, the true boxes, miss, false and spread; rates have Beta priors worth CERTAINTY
clusters. In the spirit of Branson, Van Horn, Perona 2017, "Lean crowdsourcing", without their picture difficulty.

Legend: B boxes drawn, L looks (item, annotator), C clusters, W annotators; boxes xyxy in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pictus.annotate.truth.numeric_consensus import Z95, numbers_of, weigh

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_IOU = 0.5
MISS, FALSE = 0.1, 0.05
"""How often a person is expected to leave a thing out, and to draw one of the clusters that are nothing."""

CERTAINTY = 10.0
SPREAD = 0.05
"""Expected spread of a side, as a share of the box's width or height."""

ROUNDS = 50
_CHANGE = 1e-6


@dataclass(frozen=True)
class Drawn:
    """Boxes of people who each drew all they saw. Make it with `drawn_of`, which checks.

    item_B i64 in [0, I); annotator_B i64 in [0, W); box_B4 f64 xyxy px; looked_L2: (item, annotator) of everybody
    who looked, with boxes or without
    """

    item_B: Ints
    annotator_B: Ints
    box_B4: Floats
    looked_L2: Ints
    n_annotators: int


class BoxConsensus(NamedTuple):
    """Clusters, by item and place. Of a cluster of one the box is as it was drawn."""

    item_C: Ints
    box_C4: Floats
    sd_C4: Floats  # px, of each side
    probability_C: Floats  # that there is such a thing
    n_drew_C: Ints
    n_looked_C: Ints
    cluster_B: Ints  # of each box drawn
    spread_W: Floats
    miss_W: Floats
    false_W: Floats

    def interval(self) -> tuple[Floats, Floats]:
        """Both ends of the 95 % interval of each side, f64[C, 4]."""
        return self.box_C4 - Z95 * self.sd_C4, self.box_C4 + Z95 * self.sd_C4


def drawn_of(
    items: ArrayLike, annotators: ArrayLike, boxes: ArrayLike, looked: Sequence[tuple[int, int]] = (),
    n_annotators: int = 0,
) -> Drawn:  # fmt: skip
    """Check the columns. `looked`: also those who looked and drew nothing; who drew has looked anyway."""
    item_B, who_B = (np.asarray(column, np.int64).reshape(-1) for column in (items, annotators))
    box_B4 = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not item_B.size == who_B.size == len(box_B4):
        message = f"columns of one length expected, found {item_B.size}, {who_B.size}, {len(box_B4)}"
        raise ValueError(message)
    if not np.all(np.isfinite(box_B4)) or np.any(box_B4[:, :2] >= box_B4[:, 2:]):
        message = "boxes are x1 < x2, y1 < y2, all finite"
        raise ValueError(message)
    pairs = np.concatenate([np.stack([item_B, who_B], axis=1), np.array(list(looked), np.int64).reshape(-1, 2)])
    looked_L2 = pairs[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]
    many = n_annotators or (int(looked_L2[:, 1].max()) + 1 if len(looked_L2) else 0)
    return Drawn(item_B, who_B, box_B4, looked_L2, many)


def overlaps(first_N4: Floats, second_M4: Floats) -> Floats:
    """IoU of every pair. f64[N, 4], f64[M, 4] px, x1 < x2 -> f64[N, M] in [0, 1]."""
    low = np.maximum(first_N4[:, None, :2], second_M4[None, :, :2])
    high = np.minimum(first_N4[:, None, 2:], second_M4[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    area_N, area_M = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first_N4, second_M4))
    whole = area_N[:, None] + area_M[None, :] - both
    return np.asarray(np.where(whole > 0, both / np.where(whole > 0, whole, 1), 0.0))


def clusters_of(likeness_NN: Floats, annotator_N: Sequence[int], least: float) -> list[list[int]]:
    """Which of N things drawn on one picture are the same, by average linkage; nobody twice in one cluster.

    likeness_NN: symmetric, in [0, 1]. Of equally like pairs the one of the lowest numbers joins first.
    """
    size = len(annotator_N)
    near_NN = likeness_NN > 0
    state = _Growing(
        {number: [number] for number in range(size)}, {number: {annotator_N[number]} for number in range(size)},
        {number: set(np.flatnonzero(near_NN[number]).tolist()) - {number} for number in range(size)},
        likeness_NN.copy(), least,
    )  # fmt: skip
    best = {number: _nearest(state, number) for number in range(size)}
    while True:
        like, low, high = max((best[number] for number in state.members), default=(0.0, 0, 0))
        if like <= 0:
            return list(state.members.values())
        first, second = -low, -high
        state.members[first] += state.members.pop(second)
        state.people[first] |= state.people.pop(second)
        state.sums_NN[first, :] += state.sums_NN[second, :]
        state.sums_NN[:, first] += state.sums_NN[:, second]
        state.near[first] = (state.near[first] | state.near.pop(second)) - {first, second}
        for number in state.near[first]:
            state.near[number] = (state.near[number] - {second}) | {first}
        for number in (first, *state.near[first]):
            best[number] = _nearest(state, number)


def weigh_boxes(drawn: Drawn, *, least_iou: float = LEAST_IOU) -> BoxConsensus:
    """Cluster, then EM until no probability moves by more than 1e-6."""
    cluster_B, item_C = _clustered(drawn, least_iou)
    n_clusters, n_people = item_C.size, drawn.n_annotators
    pair_C, pair_W, has_P = _pairs(drawn, cluster_B, item_C)
    prior_real = 0.5
    miss_W, false_W = np.full(n_people, MISS), np.full(n_people, FALSE)
    real_C = np.full(n_clusters, 0.5)
    for _ in range(ROUNDS):
        yes = np.log(np.where(has_P, 1 - miss_W[pair_W], miss_W[pair_W]))
        no = np.log(np.where(has_P, false_W[pair_W], 1 - false_W[pair_W]))
        odds_C = np.log(prior_real / (1 - prior_real)) + np.bincount(pair_C, weights=yes - no, minlength=n_clusters)
        found_C = 1 / (1 + np.exp(-np.clip(odds_C, -50, 50)))
        moved = float(np.abs(found_C - real_C).max(initial=0.0))
        real_C = found_C
        prior_real = (real_C.sum() + 5) / (n_clusters + 10)
        real_P = real_C[pair_C]
        missed_W = np.bincount(pair_W, weights=real_P * ~has_P, minlength=n_people)
        miss_W = (CERTAINTY * MISS + missed_W) / (CERTAINTY + np.bincount(pair_W, weights=real_P, minlength=n_people))
        wrong_W = np.bincount(pair_W, weights=(1 - real_P) * has_P, minlength=n_people)
        false_W = (CERTAINTY * FALSE + wrong_W) / (
            CERTAINTY + np.bincount(pair_W, weights=1 - real_P, minlength=n_people)
        )
        if moved < _CHANGE:
            break
    box_C4, sd_C4, spread_W = _merged(drawn, cluster_B, real_C)
    drew_C = np.bincount(cluster_B, minlength=n_clusters)
    looked_C = np.bincount(pair_C, minlength=n_clusters)
    return BoxConsensus(item_C, box_C4, sd_C4, real_C, drew_C, looked_C, cluster_B, spread_W, miss_W, false_W)


class _Growing(NamedTuple):
    """Clusters while they grow, each known by its lowest number."""

    members: dict[int, list[int]]
    people: dict[int, set[int]]
    near: dict[int, set[int]]  # clusters with any likeness to it
    sums_NN: Floats  # likeness of all pairs between two clusters
    least: float


def _nearest(state: _Growing, number: int) -> tuple[float, int, int]:
    """The best partner of one cluster: (mean likeness, -lower, -higher number), (0, 0, 0) for none."""
    found = (0.0, 0, 0)
    for other in state.near[number]:
        if state.people[number] & state.people[other]:
            continue
        like = float(state.sums_NN[number, other]) / (len(state.members[number]) * len(state.members[other]))
        if like >= state.least:
            found = max(found, (like, -min(number, other), -max(number, other)))
    return found


def _clustered(drawn: Drawn, least_iou: float) -> tuple[Ints, Ints]:
    """The cluster of each box and the item of each cluster; clusters by item, then by their first box in it."""
    cluster_B = np.zeros(drawn.item_B.size, np.int64)
    items: list[int] = []
    order = np.lexsort((*(drawn.box_B4[:, side] for side in (3, 2, 1, 0)), drawn.item_B))
    bounds = np.flatnonzero(np.diff(drawn.item_B[order], prepend=-1, append=-1)) if order.size else np.zeros(0, int)
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[start:end]
        like = overlaps(drawn.box_B4[rows], drawn.box_B4[rows])
        groups = clusters_of(like, drawn.annotator_B[rows].tolist(), least_iou)
        for group in sorted(groups, key=min):
            cluster_B[rows[group]] = len(items)
            items.append(int(drawn.item_B[rows[0]]))
    return cluster_B, np.array(items, np.int64)


def _pairs(drawn: Drawn, cluster_B: Ints, item_C: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Everybody who looked, for every cluster of that item: cluster, annotator, whether they drew it."""
    looks = drawn.looked_L2[np.argsort(drawn.looked_L2[:, 0], kind="stable")]
    first_C = np.searchsorted(looks[:, 0], item_C, "left")
    many_C = np.searchsorted(looks[:, 0], item_C, "right") - first_C
    pair_C = np.repeat(np.arange(item_C.size), many_C)
    at = np.arange(pair_C.size) - np.repeat(np.cumsum(many_C) - many_C, many_C) + first_C[pair_C]
    pair_W = looks[at, 1]
    drew = cluster_B * drawn.n_annotators + drawn.annotator_B
    return pair_C, pair_W, np.isin(pair_C * drawn.n_annotators + pair_W, drew)


def _merged(drawn: Drawn, cluster_B: Ints, real_C: Floats) -> tuple[Floats, Floats, Floats]:
    """Each cluster's sides with their standard deviations, px, and each annotator's spread."""
    n_clusters = real_C.size
    middle_C4 = np.zeros((n_clusters, 4))
    many_C = np.maximum(np.bincount(cluster_B, minlength=n_clusters), 1)
    for side in range(4):
        middle_C4[:, side] = np.bincount(cluster_B, weights=drawn.box_B4[:, side], minlength=n_clusters) / many_C
    scale_C4 = np.tile(np.maximum(middle_C4[:, 2:] - middle_C4[:, :2], 1.0), 2)
    numbers = numbers_of(
        (cluster_B[:, None] * 4 + np.arange(4)).ravel(), np.repeat(drawn.annotator_B, 4), drawn.box_B4.ravel(),
        n_items=4 * n_clusters, n_annotators=drawn.n_annotators, scale_I=scale_C4.ravel(),
    )  # fmt: skip
    numbers = replace(numbers, weight_V=np.maximum(np.repeat(real_C[cluster_B], 4), 1e-3))
    # A spread of SPREAD to begin with: what is expected of people weighs PRIOR sides, as numeric_consensus has it.
    found = weigh(numbers, has_bias=False, common=SPREAD)
    sd_C4 = found.sd_I.reshape(-1, 4) * np.sqrt(np.maximum(real_C, 1e-3))[:, None]  # of those who drew it, if real
    return found.value_I.reshape(-1, 4), sd_C4, found.spread_W
