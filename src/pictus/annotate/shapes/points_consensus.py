"""Where points are, from several people: a robust mean weighted by each annotator's spread, and a vote on being seen.

Each coordinate is a number in units of the thing's size (`numeric_consensus`); whether a point is there, hidden or
seen is a question of three classes (`one_coin`). A point has a place where most of that vote says that it is there.

Legend: T things, N drawings (one thing by one annotator), K points of the skeleton, W annotators.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pictus.annotate.truth.consensus import votes_of
from pictus.annotate.truth.numeric_consensus import numbers_of, weigh
from pictus.annotate.truth.one_coin import one_coin

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FAR = 0.2
"""Points that lie apart by so much of the thing's size speak half against being the same thing."""

SPREAD = 0.03


class PointConsensus(NamedTuple):
    """One drawing per thing."""

    points_TK3: Floats  # x, y px, v 0 | 1 | 2
    sd_TK: Floats  # px, of either coordinate
    certainty_TK: Floats  # P(v)
    spread_W: Floats  # as a share of the thing's size


def weigh_points(things: ArrayLike, annotators: ArrayLike, points_NK3: ArrayLike) -> PointConsensus:
    """Things and annotators are numbered from 0; points of one skeleton, v 0 where x, y mean nothing."""
    thing_N, who_N = (np.asarray(column, np.int64).reshape(-1) for column in (things, annotators))
    drawn_NK3 = np.asarray(points_NK3, np.float64)
    if drawn_NK3.ndim != 3 or not thing_N.size == who_N.size == len(drawn_NK3) > 0:  # noqa: PLR2004  N, K, x y v
        message = f"one drawing f64[K, 3] per thing and annotator expected, found {drawn_NK3.shape}"
        raise ValueError(message)
    n_points, n_things = drawn_NK3.shape[1], int(thing_N.max()) + 1
    n_people = int(who_N.max()) + 1
    scale_N = sizes_of(drawn_NK3)
    scale_T = np.bincount(thing_N, weights=scale_N, minlength=n_things) / np.maximum(np.bincount(thing_N), 1)
    seen_NK = drawn_NK3[:, :, 2].astype(np.int64)
    item_NK = thing_N[:, None] * n_points + np.arange(n_points)
    who_NK = np.broadcast_to(who_N[:, None], item_NK.shape)
    said = one_coin(votes_of(item_NK.ravel(), who_NK.ravel(), seen_NK.ravel(), n_classes=3))
    is_there = seen_NK > 0
    # Both coordinates of one point are two items: 2i and 2i + 1.
    found = weigh(
        numbers_of(
            (2 * item_NK[is_there][:, None] + np.arange(2)).ravel(), np.repeat(who_NK[is_there], 2),
            drawn_NK3[is_there][:, :2].ravel(), n_items=2 * n_things * n_points, n_annotators=n_people,
            scale_I=np.repeat(scale_T, 2 * n_points),
        ),
        has_bias=False, common=SPREAD,
    )  # fmt: skip
    places = found.value_I.reshape(n_things, n_points, 2)
    seen_TK = said.label_I.reshape(n_things, n_points)
    # Said to be there by the skilled, placed by nobody: cannot be, but for one who says "there" of all.
    placed_TK = np.bincount(item_NK[is_there], minlength=n_things * n_points).reshape(n_things, n_points) > 0
    seen_TK = np.where(placed_TK, seen_TK, 0)
    points_TK3 = np.concatenate([np.where(seen_TK[:, :, None] > 0, places, 0.0), seen_TK[:, :, None]], axis=2)
    sd_TK = np.where(seen_TK > 0, found.sd_I.reshape(n_things, n_points, 2).mean(axis=2), 0.0)
    return PointConsensus(points_TK3, sd_TK, said.posterior_I.reshape(n_things, n_points), found.spread_W)


def sizes_of(drawn_NK3: Floats) -> Floats:
    """The size of what was drawn, f64[N] px: the root of the area around its points, at least 10 px."""
    is_there_NK = drawn_NK3[:, :, 2] > 0
    low_N2, high_N2 = (
        edge(np.where(is_there_NK[:, :, None], drawn_NK3[:, :, :2], away), axis=1)
        for edge, away in ((np.min, np.inf), (np.max, -np.inf))
    )
    is_wide_N = is_there_NK.sum(axis=1) > 1  # one point has no extent
    side_N2 = np.where(is_wide_N[:, None], high_N2 - low_N2, 0.0)
    size_N = np.maximum(np.sqrt(side_N2[:, 0] * side_N2[:, 1]), np.maximum(side_N2.max(axis=1) / 2, 10.0))
    return np.asarray(np.where(is_wide_N, size_N, 20.0))


def likeness_of_pairs(drawn_NK3: Floats, size_N: Floats, first_P: Ints, second_P: Ints) -> Floats:
    """How alike drawings of one skeleton are, f64[P] in [0, 1]: the mean over points that both have.

    In the manner of COCO's object keypoint similarity, with one width for all points. size_N: of `sizes_of`.
    """
    first_PK3, second_PK3 = drawn_NK3[first_P], drawn_NK3[second_P]
    both_PK = (first_PK3[:, :, 2] > 0) & (second_PK3[:, :, 2] > 0)
    apart_PK = np.sum((first_PK3[:, :, :2] - second_PK3[:, :, :2]) ** 2, axis=2)
    scale_P = FAR * (size_N[first_P] + size_N[second_P]) / 2
    like_PK = np.exp(-np.log(2) * apart_PK / scale_P[:, None] ** 2) * both_PK
    return np.asarray(like_PK.sum(axis=1) / np.maximum(both_PK.sum(axis=1), 1))
