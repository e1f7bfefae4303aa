"""How good features are: a probe or neighbours, their one setting chosen on val, told on val and test. Pure.

Legend: N pictures, D features, K classes, M drawn pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pictus import stats
from pictus.extras import need
from pictus.models import Floats
from pictus.tasks import probe
from pictus.train.loop import environment
from pictus.train.transfer import nearest
from pictus.train.transfer.features import Features

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the penalty on weights, tried on the validation split."""

ONE_THREAD = 1_000_000
"""Numbers, pictures times columns, up to which one thread fits a probe: they lie in the cache of one core, and two
threads would wait for each other at every step.
"""


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """A probe on a split: top-1 with its 95 % interval (Wilson), in 0..1. A picture that cannot be decoded is wrong."""

    method: str  # linear | mlp | knn
    setting: str
    split: str
    pictures: int
    top1: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FewShotRow:
    """So many pictures of each class, drawn several times: mean top-1 in 0..1 with its 95 % interval over the draws."""

    shots: int
    draws: int
    top1: float
    low: float
    high: float
    each: tuple[float, ...]
    split: str
    penalty: float


def linear(
    train: Features, n_classes: int, *, hidden: int, l2: float, widths: tuple[int, ...] = ()
) -> Callable[[Floats], Floats]:
    """A fitted probe: features -> logits. `widths`: columns of each kind of feature, where there are several."""
    settings = probe.Settings(l2=l2, hidden=hidden, n_classes=n_classes, widths=widths)
    with environment.torch_threads(threads_for(len(train.values_ND), train.values_ND.shape[1], hidden)):
        fitted = probe.fit(train.values_ND, train.labels_N, settings)
    return lambda values: probe.predict(fitted, values)


def threads_for(pictures: int, columns: int, hidden: int) -> int:
    """How many fit a probe: one where there is little to do, else as many as torch has."""
    is_small = pictures * max(columns, hidden) <= ONE_THREAD
    return 1 if is_small else int(need("torch", "train").get_num_threads())


def rows(
    method: str, train: Features, val: Features, test: Features | None, n_classes: int, *, hidden: int = 0,
    widths: tuple[int, ...] = (),
) -> list[ProbeRow]:  # fmt: skip
    """The method with the setting that is best on val; the first of several that are equally good."""
    tried: list[tuple[float, str, Callable[[Floats], Floats]]] = []
    if method == "knn":
        counts = [k for k in nearest.COUNTS if k <= max(1, len(train.labels_N))]
        known = _of_length_1(train.values_ND, widths)
        found = nearest.neighbours(known, _of_length_1(val.values_ND, widths), counts[-1])  # once for every k
        for k in counts:
            votes = nearest.weighed(found[0][:, :k], found[1][:, :k], train.labels_N, n_classes)
            right = int((votes.argmax(axis=1) == val.labels_N).sum())
            tried.append((right / _all(val), f"k {k}", _neighbours((known, train.labels_N), k, n_classes, widths)))
    else:
        for l2 in STRENGTHS:
            ask = linear(train, n_classes, hidden=hidden, l2=l2, widths=widths)
            tried.append((_right(ask, val) / _all(val), f"l2 {l2:g}", ask))
    best = max(tried, key=lambda one: one[0])
    asked = [("val", val), *([("test", test)] if test is not None else [])]
    return [_row(method, best[1], split, features, best[2]) for split, features in asked]


def few_shot(
    train: Features, val: Features, asked: tuple[str, Features], shots: int, *, seeds: Sequence[int], n_classes: int,
    widths: tuple[int, ...] = (),
) -> FewShotRow:  # fmt: skip
    """Linear probes on `shots` pictures of each class, one for each seed; the penalty: the first's best on val."""
    few = drawn(train, shots, seeds[0])
    l2 = max(STRENGTHS, key=lambda l2: _right(linear(few, n_classes, hidden=0, l2=l2, widths=widths), val))
    split, features = asked
    each = []
    for seed in seeds:
        ask = linear(drawn(train, shots, seed), n_classes, hidden=0, l2=l2, widths=widths)
        each.append(_right(ask, features) / _all(features))
    mean, low, high = stats.mean_interval(each)
    return FewShotRow(shots, len(seeds), mean, max(0.0, low), min(1.0, high), tuple(each), split, l2)


def drawn(train: Features, shots: int, seed: int) -> Features:
    """`shots` pictures of each class, all of a class that has fewer; a function of (seed, shots)."""
    return _drawn(train, np.random.default_rng((seed, shots)), lambda _: shots)


def share_of(train: Features, share: float, seed: int = 0) -> Features:
    """`share` of the pictures of each class, rounded, at least one; a function of (seed, class sizes)."""
    if share == 1:
        return train
    return _drawn(train, np.random.default_rng(seed), lambda many: max(1, round(share * many)))


def _drawn(train: Features, generator: np.random.Generator, count_of: Callable[[int], int]) -> Features:
    """`count_of` a class's number of pictures: so many of them."""
    owns = [np.flatnonzero(train.labels_N == label) for label in np.unique(train.labels_N)]
    places_M = np.concatenate([generator.permutation(own)[: count_of(len(own))] for own in owns])
    return Features(train.values_ND[places_M], train.labels_N[places_M], 0)


def _neighbours(
    known: tuple[Floats, npt.NDArray[np.int64]], k: int, n_classes: int, widths: tuple[int, ...]
) -> Callable[[Floats], Floats]:
    return lambda values: nearest.votes(*known, _of_length_1(values, widths), k, n_classes)


def _of_length_1(values_ND: Floats, widths: tuple[int, ...]) -> Floats:
    """Several kinds of features, each at length 1: the cosine of all is then the mean of their cosines."""
    if len(widths) <= 1:
        return values_ND
    return np.concatenate([nearest.unit(one) for one in np.split(values_ND, np.cumsum(widths)[:-1], axis=1)], axis=1)


def _right(ask: Callable[[Floats], Floats], features: Features) -> int:
    return int((ask(features.values_ND).argmax(axis=1) == features.labels_N).sum()) if len(features.labels_N) else 0


def _all(features: Features) -> int:
    return max(1, len(features.labels_N) + features.n_unreadable)


def _row(method: str, setting: str, split: str, features: Features, ask: Callable[[Floats], Floats]) -> ProbeRow:
    top1, low, high = stats.wilson(_right(ask, features), _all(features))
    return ProbeRow(method, setting, split, _all(features), top1, low, high)
