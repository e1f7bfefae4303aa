"""What a network costs and how often it is right: before and after it was made smaller, in one sitting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from pictus import models, stats
from pictus.extras import need
from pictus.releases import split_rows
from pictus.train.transfer import features

if TYPE_CHECKING:
    from torch import nn

    from pictus.models import Run
    from pictus.releases import Release

BATCH, TURNS = 8, 7
"""Pictures at once, and how often each network is timed; the median is told."""


@dataclass(frozen=True, slots=True)
class FittedRow:
    """One network. cpu_ms: processor time of a picture on one thread; top-1 in 0..1 with its 95 % interval (Wilson)."""

    which: str  # before | narrow (not trained since) | after
    run: str
    parameters: int
    bytes: int
    cpu_ms: float
    pictures: int
    top1: float
    low: float
    high: float


def rows(asked: Sequence[tuple[str, str, "nn.Module"]], run: "Run", release: "Release", split: str) -> list[FittedRow]:
    """Of each (which, name, network), all of which see pictures as `run` does."""
    times = cpu_ms([network for _, _, network in asked], run.preprocessing.size)
    found = []
    for (which, name, network), own_ms in zip(asked, times, strict=True):
        n_right, count = right(network, run, release, split)
        state = network.state_dict().values()
        found.append(FittedRow(
            which, name, sum(one.numel() for one in network.parameters()),
            sum(one.numel() * one.element_size() for one in state), round(own_ms, 3), count,
            *stats.wilson(n_right, count),
        ))  # fmt: skip
    return found


def right(network: "nn.Module", run: "Run", release: "Release", split: str) -> tuple[int, int]:
    """Pictures of a split whose first guess is right, and all of them; one that cannot be decoded is wrong."""
    wanted = split_rows(release, split).to_pylist()
    guesses = features.guesses(network, run, release, wanted)
    return sum(guess == row["concept_id"] for guess, row in zip(guesses, wanted, strict=True)), len(wanted)


def cpu_ms(networks: Sequence["nn.Module"], side: int) -> list[float]:
    """Milliseconds of processor time a picture, of each; they take turns, so that what else runs troubles all alike."""
    torch = need("torch", "train")
    inputs = torch.zeros(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    taken: list[list[float]] = [[] for _ in networks]
    with models.lanes(1) as pool:

        def timed(network: "nn.Module") -> float:
            with torch.inference_mode():
                began = time.process_time()
                network(inputs)
                return 1000 * (time.process_time() - began) / BATCH

        for turn in range(TURNS + 1):
            for own, network in zip(taken, networks, strict=True):
                spent = pool.submit(timed, network).result()
                if turn:  # the first pass lays out memory
                    own.append(spent)
    return [median(own) for own in taken]
