"""The figure shown while a network learns without labels: how often neighbours among the training pictures are right.

Labels are read for this figure alone; nothing is learned from them.

Legend: N pictures, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pictus import models
from pictus.models import Floats, Pixels, Run
from pictus.releases import class_names
from pictus.tasks import Scores, Targets
from pictus.train.feed import augment, loader
from pictus.train.feed.loader import Pictures
from pictus.train.transfer import nearest

if TYPE_CHECKING:
    from pictus.train.loop.state import Job, State

K = 20
"""Neighbours that vote (Caron et al. 2021, section 4.1)."""

MOST_KNOWN = 5000
"""Training pictures they are looked for among: the first by their hash. Features of more would take longer than an
epoch of a small network."""

BATCH = 128

_LEAST_SHARE = 1e-3
"""Of the votes, where the own class has none: the figure is a logarithm."""


def scores(job: "Job", state: "State") -> Scores:
    """Top-1 and top-5 of the votes on val; `loss`: minus the logarithm of the own class's share of them."""
    labels_N = np.asarray(job.train.targets_N, np.int64)
    order_N = augment.order(job.recipe.seed, 0, len(labels_N))
    known = np.sort(order_N[labels_N[order_N] >= 0][:MOST_KNOWN])
    bank = Pictures(job.train.release, "train", job.val.decode, 0, labels_N, supply=job.train.supply)
    known_ND, known_N = _embedded(job, state, bank, known)
    asked_ND, asked_N = _embedded(job, state, job.val, np.arange(len(job.val)))
    if not len(known_N):
        raise bank.too_few()
    if not len(asked_N):
        raise job.val.too_few()
    votes = nearest.votes(known_ND, known_N, asked_ND, K, job.n_classes)
    shares = votes / votes.sum(axis=1, keepdims=True)
    losses = -np.log(np.maximum(shares[np.arange(len(asked_N)), asked_N], _LEAST_SHARE))
    tally = job.task.tally()
    tally.add(votes, losses.astype(np.float32), asked_N)
    return tally.scores(len(job.val))


def _embedded(
    job: "Job", state: "State", pictures: Pictures, positions: npt.NDArray[np.int64]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Features and labels of the pictures that can be decoded, f32[N, D], i64[N]."""
    release = job.train.release
    run = Run(job.root, job.root.name, job.recipe.model, release.classes, class_names(release), job.preprocessing, {})
    found: list[Targets] = []
    portions = loader.portions_in_order(positions, BATCH)

    def shown(stream: Iterator[loader.Batch]) -> Iterator[Pixels]:
        for batch in stream:
            found.append(batch.targets)
            yield from batch.views[0]

    with loader.batches(pictures, portions, loader.as_it_is, seed=0, threads=job.cores) as stream:
        values_ND = models.embed_pixels(state.kept, run, shown(stream))
    return values_ND, np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)
