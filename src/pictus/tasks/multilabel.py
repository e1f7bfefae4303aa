"""Several classes to a picture, each shown or not: sigmoid, binary cross-entropy, average precision.

What nobody was asked is unknown, not absent: NaN among the targets, and out of loss and figures.

Legend: N pictures of a split, B of a batch, K classes, P pictures whose answer is known, R rounds of a bootstrap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus.errors import UserError
from pictus.extras import need
from pictus.releases import read_labels, split_rows
from pictus.stats import Interval
from pictus.tasks.task import TASKS, Floats, Scores, Targets

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.releases import Release

TOP = 5
ROUNDS = 200
MOST_DRAWN = 2e9
"""Answers drawn by a bootstrap at most: fewer rounds where there are more, but LEAST_ROUNDS at least."""

LEAST_ROUNDS = 40

SHOWN = 0.5
"""A target above it is shown: the greater part of a mixed one."""

Doubles = npt.NDArray[np.float64]


class Multilabel:
    """Which of the classes each picture shows: f32[N, K], 1 shown, 0 not shown, NaN unknown."""

    name = "multilabel"

    def targets(self, release: "Release", split: str) -> Targets:
        """What labels.parquet accepted and rejected; a picture's own label is shown. Unsettled is unknown."""
        import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

        labels = read_labels(release)
        if labels is None:
            raise UserError(
                f"Release {release.version} knows one label to a picture and no more: there is nothing to learn for"
                " several.",
                fix="ask about more concepts (pictus annotate plan), settle, and cut another version",
            )
        rows = split_rows(release, split)
        ids, classes = rows.column("image_id").combine_chunks(), pa.array(release.classes, pa.string())
        targets_NK = np.full((rows.num_rows, len(classes)), np.nan, np.float32)
        for status, value in (("rejected", 0), ("accepted", 1)):
            found = labels.filter(pc.equal(labels.column("status"), status))
            row_L = pc.fill_null(pc.index_in(found.column("image_id"), value_set=ids), -1).to_numpy()
            class_L = pc.fill_null(pc.index_in(found.column("concept_id"), value_set=classes), -1).to_numpy()
            is_here = (row_L >= 0) & (class_L >= 0)
            targets_NK[row_L[is_here], class_L[is_here]] = value
        targets_NK[np.arange(len(targets_NK)), rows.column("label").to_numpy()] = 1
        return targets_NK

    def head(self, width: int, n_classes: int) -> "nn.Module":
        return need("torch", "train").nn.Linear(width, n_classes)

    def loss(self, logits_BK: "torch.Tensor", targets: "torch.Tensor", smoothing: float) -> "torch.Tensor":
        """Mean binary cross-entropy of a picture's known classes, 0 where none is; smoothed towards 1/2."""
        functional = need("torch", "train").nn.functional
        is_known_BK = ~targets.isnan()
        wanted_BK = targets.nan_to_num(0.0) * (1 - smoothing) + smoothing / 2
        losses_BK = functional.binary_cross_entropy_with_logits(logits_BK, wanted_BK, reduction="none")
        return (losses_BK * is_known_BK).sum(1) / is_known_BK.sum(1).clamp(min=1)

    def right(self, logits_BK: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        """Whether the first guess is known to be shown."""
        first_B1 = logits_BK.argmax(1, keepdim=True)
        return targets.gather(1, first_B1)[:, 0] > SHOWN

    def decode(self, logits_BK: Floats) -> Floats:
        """Sigmoid: each class for itself, so that a row need not sum to 1."""
        logits_BK = logits_BK.astype(np.float64)
        return np.asarray(np.exp(-np.logaddexp(0, -logits_BK)), np.float32)

    def probabilities(self, logits_BK: "torch.Tensor") -> "torch.Tensor":
        return logits_BK.sigmoid()

    def tally(self) -> "Ranked":
        return Ranked()


class Ranking(NamedTuple):
    """Of a split: mean average precision with its interval, and of each class its own, how many of how many known
    pictures show it; NaN where none does, or none is known not to.
    """

    mean: Interval
    precision_K: Doubles
    n_shown_K: npt.NDArray[np.int64]
    n_known_K: npt.NDArray[np.int64]
    f1: float  # of all known answers together, at a probability of 1/2


@dataclass
class Ranked:
    """Keeps all logits and targets: precision at a place of a ranking is not a sum over batches."""

    loss_sum: float = 0.0
    n_first: int = 0
    n_within: int = 0
    logits: list[Floats] = field(default_factory=list)
    targets: list[Floats] = field(default_factory=list)

    def add(self, logits_BK: Floats, losses_B: Floats, targets_B: Targets) -> None:
        best_B5 = np.argsort(-logits_BK, axis=1, kind="stable")[:, :TOP]
        is_shown_B5 = np.take_along_axis(np.asarray(targets_B, np.float32), best_B5, axis=1) > SHOWN
        self.loss_sum += float(losses_B.sum(dtype=np.float64))
        self.n_first += int(is_shown_B5[:, 0].sum())
        self.n_within += int(is_shown_B5.any(axis=1).sum())
        self.logits.append(logits_BK)
        self.targets.append(np.asarray(targets_B, np.float32))

    def scores(self, count: int) -> Scores:
        logits_NK, targets_NK = np.concatenate(self.logits), np.concatenate(self.targets)
        mean = _mean(precisions(logits_NK, targets_NK))
        top1 = self.n_first / count
        others = {"f1": f1_score(logits_NK, targets_NK)}
        if math.isfinite(mean):
            others["map"] = mean
        return Scores(self.loss_sum / len(logits_NK), top1, self.n_within / count, others.get("map", top1), others)


def average_precision(scores_P: Floats, is_shown_P: npt.NDArray[np.bool_], times_RP: Doubles | None = None) -> Doubles:
    """Sum over the distinct scores, greatest first, of (recall there - recall before) x precision there: f64[R].

    Not interpolated, as scikit-learn's average_precision_score. `times_RP`: how often each picture was drawn in each
    round, once where left out. NaN where nothing is shown or everything is.
    """
    order_P = np.argsort(-scores_P, kind="stable")
    sorted_P = scores_P[order_P]
    ends_E = np.flatnonzero(np.append(sorted_P[1:] != sorted_P[:-1], True))
    times = np.ones((1, len(order_P))) if times_RP is None else times_RP[:, order_P]
    shown_RE = np.cumsum(times * is_shown_P[order_P], axis=1)[:, ends_E]
    seen_RE = np.cumsum(times, axis=1)[:, ends_E]
    total_R = shown_RE[:, -1]
    steps_RE = np.diff(shown_RE, axis=1, prepend=0)
    sums_R = (steps_RE * shown_RE / np.maximum(seen_RE, 1)).sum(axis=1)
    has_both_R = (total_R > 0) & (total_R < seen_RE[:, -1])
    return np.where(has_both_R, sums_R / np.maximum(total_R, 1), np.nan)


def precisions(scores_NK: Floats, targets_NK: Floats, times_RN: Doubles | None = None) -> Doubles:
    """Average precision of each class over the pictures whose answer is known: f64[R, K]."""
    found = [np.full(1 if times_RN is None else len(times_RN), np.nan) for _ in range(targets_NK.shape[1])]
    for one in range(targets_NK.shape[1]):
        known_P = np.flatnonzero(~np.isnan(targets_NK[:, one]))
        if len(known_P):
            times_RP = None if times_RN is None else times_RN[:, known_P]
            found[one] = average_precision(scores_NK[known_P, one], targets_NK[known_P, one] > SHOWN, times_RP)
    return np.stack(found, axis=1)


def f1_score(logits_NK: Floats, targets_NK: Floats) -> float:
    """2 TP / (2 TP + FP + FN) of all known answers, at a probability of 1/2; 0 where nothing was guessed or shown."""
    is_known_NK, is_guessed_NK = ~np.isnan(targets_NK), logits_NK > 0
    is_shown_NK = np.nan_to_num(targets_NK) > SHOWN
    n_both = int((is_guessed_NK & is_shown_NK & is_known_NK).sum())
    n_either = int((is_guessed_NK & is_known_NK).sum()) + int((is_shown_NK & is_known_NK).sum())
    return 2 * n_both / max(1, n_either)


def ranking(scores_NK: Floats, targets_NK: Floats, logits_NK: Floats, seed: int = 0) -> Ranking:
    """Figures of a split with the percentile bootstrap over pictures (95 %). scores: what pictures are ranked by, the
    worst for those that could not be read.
    """
    is_known_NK = ~np.isnan(targets_NK)
    precision_K = precisions(scores_NK, targets_NK)[0]
    n_shown_K = (np.nan_to_num(targets_NK) > SHOWN).sum(axis=0)
    rounds = int(max(LEAST_ROUNDS, min(ROUNDS, MOST_DRAWN / max(1, is_known_NK.sum()))))
    generator = np.random.default_rng(seed)
    count = len(targets_NK)
    drawn = []
    for _ in range(0, rounds, LEAST_ROUNDS):
        times_RN = generator.multinomial(count, np.full(count, 1 / count), LEAST_ROUNDS).astype(np.float64)
        drawn += [_mean(row_K) for row_K in precisions(scores_NK, targets_NK, times_RN)]
    finite = [one for one in drawn if math.isfinite(one)]
    low, high = (float(one) for one in np.percentile(finite, (2.5, 97.5))) if finite else (0.0, 1.0)
    mean = Interval(_mean(precision_K), low, high)
    return Ranking(mean, precision_K, n_shown_K, is_known_NK.sum(axis=0), f1_score(logits_NK, targets_NK))


def _mean(precision: Doubles) -> float:
    present = precision[~np.isnan(precision)]
    return float(present.mean()) if present.size else math.nan


TASKS.register("multilabel")(Multilabel())
