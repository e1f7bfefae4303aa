"""What a network costs and how often it is right: before and after it was made smaller, in one sitting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pictus import graphs, models, quantised_networks, stats
from pictus.extras import need
from pictus.releases import split_rows
from pictus.train.transfer import features

if TYPE_CHECKING:
    from torch import nn

    from pictus.models import Run
    from pictus.releases import Release

BATCH, TURNS = 8, 7
"""Pictures at once, and how often each network is timed; the median is told, and the least and the greatest."""


class Spent(NamedTuple):
    """Milliseconds of processor time a picture: the median of TURNS, the least and the greatest."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class FittedRow:
    """One network. cpu_ms: processor time of a picture on one thread; top-1 in 0..1 with its 95 % interval (Wilson)."""

    which: str  # before | narrow, or quantised (not trained since) | after
    run: str
    parameters: int
    bytes: int
    cpu_ms: float
    cpu_ms_least: float
    cpu_ms_greatest: float
    pictures: int
    top1: float
    low: float
    high: float


def rows(
    asked: Sequence[tuple[str, str, "nn.Module"]], run: "Run", release: "Release", split: str,
    taken: Sequence[Spent] = (),
) -> list[FittedRow]:  # fmt: skip
    """Of each (which, name, network), all of which see pictures as `run` does; `taken` in place of torch's times."""
    times = taken or cpu_ms([network for _, _, network in asked], run.preprocessing.size)
    found = []
    for (which, name, network), own_ms in zip(asked, times, strict=True):
        n_right, count = right(network, run, release, split)
        found.append(FittedRow(
            which, name, sum(one.numel() for one in network.parameters()), quantised_networks.n_bytes(network),
            round(own_ms.median, 3), round(own_ms.least, 3), round(own_ms.greatest, 3), count,
            *stats.wilson(n_right, count),
        ))  # fmt: skip
    return found


def right(network: "nn.Module", run: "Run", release: "Release", split: str) -> tuple[int, int]:
    """Pictures of a split whose first guess is right, and all of them; one that cannot be decoded is wrong."""
    wanted = split_rows(release, split).to_pylist()
    guesses = features.guesses(network, run, release, wanted)
    return sum(guess == row["concept_id"] for guess, row in zip(guesses, wanted, strict=True)), len(wanted)


def cpu_ms(networks: Sequence["nn.Module"], side: int) -> list[Spent]:
    """Of torch, on one thread."""
    torch = need("torch", "train")
    inputs = torch.zeros(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)

    def asked(network: "nn.Module") -> None:
        with torch.inference_mode():
            network(inputs)

    return _in_turn([partial(asked, network) for network in networks])


def served_ms(given: Sequence[bytes], side: int) -> list[Spent]:
    """Of ONNX Runtime, on one thread, for graphs as they are served."""
    inputs = np.zeros((BATCH, side, side, 3), np.uint8)
    sessions = [graphs.session_of(graph) for graph in given]
    return _in_turn([partial(session.run, [graphs.OUTPUT], {graphs.INPUT: inputs}) for session in sessions])


def _in_turn(asked: Sequence[Callable[[], object]]) -> list[Spent]:
    """They take turns, so that what else runs troubles all alike."""
    taken: list[list[float]] = [[] for _ in asked]

    def timed(ask: Callable[[], object]) -> float:
        began = time.process_time()
        ask()
        return 1000 * (time.process_time() - began) / BATCH

    with models.lanes(1) as pool:
        for turn in range(TURNS + 1):
            for own, ask in zip(taken, asked, strict=True):
                spent = pool.submit(timed, ask).result()
                if turn:  # the first pass lays out memory
                    own.append(spent)
    return [Spent(median(own), min(own), max(own)) for own in taken]
