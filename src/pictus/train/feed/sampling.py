"""Which pictures an epoch shows, in what order and how often: a function of (seed, epoch) alone.

Legend: N pictures of the split, M places of an epoch, B pictures of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.releases import Release, split_rows
from pictus.train import targets
from pictus.train.feed import augment
from pictus.train.recipes import Recipe

Positions = npt.NDArray[np.int64]
Chances = npt.NDArray[np.float64]


class Windows(NamedTuple):
    """For shards that are fetched: `shards_N`: i64[N], the shard of each picture; `bytes_S`: i64[S] of each shard;
    `window_bytes`: so many of them are read in one go.
    """

    shards_N: Positions
    bytes_S: Positions
    window_bytes: int


class Shown(NamedTuple):
    """An epoch's places in order. `positions`: i64[M] in the split; `turns`: i64[M], how often each was shown before
    in this epoch: with it the same picture gets other random numbers.
    """

    positions: Positions
    turns: Positions


@dataclass(frozen=True, eq=False)
class Sampling:
    """How pictures are drawn. `chances_N`: f64[N] >= 0, how often each is shown relative to the others (None: all
    alike, each once); `groups_N`: i64[N], their classes, each of which gets its exact share; `repeats`: times that
    every picture of a batch is in it (Hoffer et al. 2020, "Augment your batch"); `windows`: pictures of shards that
    are at hand at the same time come one after the other.
    """

    chances_N: Chances | None = None
    groups_N: Positions | None = None
    repeats: int = 1
    windows: Windows | None = None


PLAIN = Sampling()
"""Every picture once an epoch."""


def asked(release: Release, recipe: Recipe) -> Sampling:
    """How the recipe wants the training pictures to be drawn; a picture's class is its best label."""
    how, given_N = PLAIN, targets.chances_of(release, recipe)
    if recipe.balance or given_N is not None:
        labels_N = split_rows(release, "train").column("label").to_numpy().astype(np.int64)
        how = balanced(labels_N, recipe.balance, None if given_N is None else given_N.astype(np.float64))
    return replace(how, repeats=recipe.repeats)


def balanced(labels_N: Positions, balance: float, weights_N: Chances | None = None) -> Sampling:
    """Classes by their number of pictures to the power 1 - `balance`: 0 as they are, 1 all alike, 0.5 by square roots
    (Mahajan et al. 2018). `weights_N` multiplies it.
    """
    if not balance and weights_N is None:
        return PLAIN
    counts_K = np.bincount(labels_N)
    chances_N = counts_K[labels_N].astype(np.float64) ** -balance
    return Sampling(chances_N if weights_N is None else chances_N * weights_N, labels_N)


def shown(seed: int, epoch: int, count: int, batch_size: int, sampling: Sampling = PLAIN) -> Shown:
    """The epoch's places. Without chances and repeats each picture once; with chances as often as its share of
    `count` says, rounded up or down; with repeats so many times in its batch, and count / repeats pictures an epoch.
    """
    positions = augment.order(seed, epoch, count)
    if sampling.chances_N is not None:
        drawn_M = positions[_systematic(seed, epoch, sampling, positions)]
        positions = drawn_M[augment.order(seed, -1 - epoch, count)]  # another permutation than the line's
    if sampling.windows is not None:
        window_N = windows(seed, epoch, sampling.windows)[sampling.windows.shards_N]
        positions = positions[np.argsort(window_N[positions], kind="stable")]
    if sampling.repeats > 1:
        starts = range(0, count, batch_size)
        sizes = [min(batch_size, count - start) for start in starts]
        positions = _repeated(positions, sizes, sampling.repeats)
    is_once = sampling.chances_N is None and sampling.repeats == 1
    return Shown(positions, np.zeros(count, np.int64) if is_once else _turns(positions))


def windows(seed: int, epoch: int, given: Windows) -> Positions:
    """The window of each shard, i64[S], 0 first: shards in the epoch's order, as many as fit, at least one."""
    window_S = np.zeros(len(given.bytes_S), np.int64)
    number, used = -1, given.window_bytes
    for shard in augment.order(seed, epoch, len(given.bytes_S)).tolist():
        used += int(given.bytes_S[shard])
        if used > given.window_bytes:
            number, used = number + 1, int(given.bytes_S[shard])
        window_S[shard] = number
    return window_S


def share(positions: Positions, rank: int, world: int) -> Positions:
    """The part of a batch that process `rank` of `world` computes: in a row, sizes differ by one at most."""
    count = len(positions)
    return positions[count * rank // world : count * (rank + 1) // world]


def _systematic(seed: int, epoch: int, sampling: Sampling, order_N: Positions) -> Positions:
    """Places in `order_N`, i64[N]: a picture of chance c comes up floor or ceil of N c / sum(c) times, and so does each
    group: the line of all chances, group by group, is sampled at equal distances (Madow 1949).
    """
    assert sampling.chances_N is not None
    chances_N = sampling.chances_N[order_N]
    places_N = np.arange(len(order_N))
    if sampling.groups_N is not None:
        places_N = np.argsort(sampling.groups_N[order_N], kind="stable")
    ends_N = np.cumsum(chances_N[places_N])
    offset = float(augment.draws(seed, epoch, np.zeros(1, np.uint64))[0, 0])  # of no picture: keys are hashes
    marks_N = (np.arange(len(order_N)) + offset) * (ends_N[-1] / len(order_N))
    found_N: Positions = places_N[np.minimum(np.searchsorted(ends_N, marks_N, side="right"), len(order_N) - 1)]
    return found_N


def _repeated(positions: Positions, sizes: list[int], repeats: int) -> Positions:
    """Each batch is made of the next ceil(B / repeats) pictures, one after the other and again from the first: copies
    stand far apart, so that parts and processes see different ones.
    """
    parts, at = [], 0
    for size in sizes:
        several = -(-size // repeats)
        parts.append(np.tile(positions[at : at + several], repeats)[:size])
        at += several
    return np.concatenate(parts)


def _turns(positions: Positions) -> Positions:
    """How often each value came up before: [5, 2, 5, 5] -> [0, 0, 1, 2]."""
    by_value = np.argsort(positions, kind="stable")
    ordered = positions[by_value]
    is_first = np.append(True, ordered[1:] != ordered[:-1])
    runs = np.arange(len(ordered))
    turns = np.empty_like(positions)
    turns[by_value] = runs - np.maximum.accumulate(np.where(is_first, runs, 0))
    return turns
