"""A batch computed in parts, one thread for each, on networks that share their weights.

Threads inside an operation wait for each other hundreds of times a step: as fast on a quiet machine,
but many times slower as soon as something else keeps one core busy. Parts meet once a step. Each
part is computed by a fixed number of torch threads and the parts are added up in a fixed order, so the
bits depend on how many parts there are, which the run records, and not on how many run at once.

Normalisation layers see one part at a time; their running statistics are the mean over the parts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pictus.engine import cpu_count
from pictus.extras import need
from pictus.models import lanes
from pictus.train.transfer.freezing import train_mode

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.train.loop.state import Counters, State

MOST = 4
"""Parts of a batch, however many cores: with more, normalisation layers would see too few pictures."""

LEAST_PICTURES = 16
"""In one part, where the number of parts is ours to choose."""

SMALL_PX = 16 * 64 * 64
"""Pixels of a batch in one part up to which a second thread of torch's is not asked for: it gains little on idle cores,
and where they have other work the two wait for each other.
"""

FEWEST = 2
"""Pictures in a part whoever chose: of one alone a normalisation layer over 1 x 1 px has nothing to compare."""


class Result(NamedTuple):
    """Of one step: the mean loss of the batch, how many of its pictures were right, and how many it had."""

    loss: float
    n_right: int
    n_seen: int


Compute = Callable[["nn.Module", slice], tuple["torch.Tensor", int]]
"""(network, which pictures of the batch) -> (their mean loss, how many were right)."""


class Parts:
    """`gradients` leaves in the model's .grad what one pass over the whole batch would have left, but that
    normalisation layers see one part at a time.
    """

    def __init__(self, models: "list[nn.Module]", pool: ThreadPoolExecutor | None) -> None:
        self.models, self.pool = models, pool  # the first, and others on its weights

    @property
    def model(self) -> "nn.Module":
        return self.models[0]

    def begun(self, n_seen: int, counters: "Counters") -> bool:  # noqa: ARG002  those of several processes are told
        """Whether a step can be made of so many pictures."""
        return n_seen >= FEWEST

    def most_pieces(self, n_seen: int) -> int:
        """That so many pictures can be computed in."""
        return max(1, n_seen // FEWEST)

    def whole(self, state: "State") -> "State":
        """The state with all its weights, where processes keep shares of them."""
        return state

    def gradients(self, n_seen: int, compute: Compute, *, pieces: int = 1, scale: float = 1.0) -> Result:
        """Forward and backward of `n_seen` pictures, FEWEST or more; in fewer parts where they would have less.

        pieces: that each part computes one after the other, so that fewer pictures are in memory at once.
        scale: of the loss while gradients are computed, for numbers of few bits; taken out again at the end.
        Where it fails, running statistics are as before and no gradient is left: it can be tried again.
        """
        count = max(1, min(len(self.models), n_seen // FEWEST))
        edges = np.linspace(0, n_seen, count + 1).astype(int).tolist()
        tasks = [(model, _pieces(*piece, pieces)) for model, piece in zip(self.models, pairwise(edges), strict=False)]
        with self.tried():
            found = self._computed(tasks, compute, scale)
        shares = [(stop - start) / n_seen for start, stop in pairwise(edges)]
        self._add_up(shares)
        if scale != 1:
            gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
            need("torch", "train")._foreach_div_(gradients, scale)
        loss = sum(share * part_loss for share, (part_loss, _) in zip(shares, found, strict=True))
        return Result(loss, sum(n_right for _, n_right in found), n_seen)

    @contextmanager
    def tried(self) -> Iterator[None]:
        """What is tried inside begins without gradients; where it fails, running statistics are as before."""
        before = [buffer.clone() for buffer in self.model.buffers()]
        self._forget_gradients()
        try:
            yield
        except (RuntimeError, MemoryError):
            self._forget_gradients()
            for model in self.models:
                for buffer, value in zip(model.buffers(), before, strict=True):
                    buffer.copy_(value)
            raise

    def _computed(
        self, tasks: list[tuple["nn.Module", list[slice]]], compute: Compute, scale: float
    ) -> list[tuple[float, int]]:
        if self.pool is None or len(tasks) == 1:
            return [_backward(compute, *task, scale) for task in tasks]
        waiting = [self.pool.submit(_backward, compute, *task, scale) for task in tasks]
        wait(waiting)  # also where one failed: none may go on into what comes next
        return [one.result() for one in waiting]

    def _forget_gradients(self) -> None:
        for model in self.models:
            for parameter, first in zip(model.parameters(), self.model.parameters(), strict=True):
                parameter.grad = None
                parameter.requires_grad_(first.requires_grad)  # what is frozen changes between epochs

    def _add_up(self, shares: list[float]) -> None:
        """shares: of the batch, one for each part that had pictures; those are the first ones."""
        if len(self.models) == 1:
            return
        busy = self.models[: len(shares)]
        rows = sorted(zip(*(model.parameters() for model in busy), strict=True), key=lambda row: -row[0].numel())
        if self.pool is None:
            _averaged(rows, shares)
        else:  # all lanes are free now, and each weight is a matter of its own
            lots = [rows[start :: len(busy)] for start in range(len(busy))]
            list(self.pool.map(_averaged, lots, [shares] * len(lots)))
        with need("torch", "train").no_grad():
            for first, *others in zip(*(model.buffers() for model in busy), strict=True):
                if first.is_floating_point():
                    for other in others:
                        first.add_(other)
                    first.div_(len(busy))
        self.share_buffers()

    def share_buffers(self) -> None:
        """Running statistics of the first part become those of all."""
        with need("torch", "train").no_grad():
            for other_model in self.models[1:]:
                for first, other in zip(self.model.buffers(), other_model.buffers(), strict=True):
                    other.copy_(first)


@contextmanager
def parted(model: "nn.Module", count: int, threads: int, *, is_compiled: bool = False) -> Iterator[Parts]:
    """The parts of a model, with their threads; `threads` of torch in each. Compiled, its names stay the same."""
    if is_compiled:
        model.compile()
    if count == 1:
        yield Parts([model], None)
        return
    with lanes(min(count, cpu_count()), threads) as pool:
        yield Parts(twins(model, count), pool)


def chosen(batch_size: int, side: int, cores: int, *, is_random: bool, device: str) -> tuple[int, int]:
    """(parts, torch threads in each), for pictures of so many px. One part for a GPU, and for a network that draws
    random numbers itself: torch has one stream of them, which parts running at once would share in no fixed order.
    """
    count = 1
    if device == "cpu" and not is_random:
        while 2 * count <= min(cores, MOST, batch_size // LEAST_PICTURES):
            count *= 2
    is_small = count == 1 and batch_size * side * side <= SMALL_PX
    return count, 1 if is_small else max(1, cores // count)


def draws_random_numbers(model: "nn.Module", size: int) -> bool:
    """Whether a training pass uses torch's random numbers (dropout, stochastic depth)."""
    torch = need("torch", "train")
    tried = copy.deepcopy(model).cpu().train()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.no_grad():
        tried(torch.zeros(2, 3, size, size))
    return not bool(torch.equal(before, torch.get_rng_state()))


def twins(model: "nn.Module", count: int) -> "list[nn.Module]":
    """A model, and copies with gradients and running statistics of their own on its weights: so many together."""
    return [model, *(_twin(model) for _ in range(count - 1))]


def _twin(model: "nn.Module") -> "nn.Module":
    twin = copy.deepcopy(model)
    for own, shared in zip(twin.parameters(), model.parameters(), strict=True):
        own.data = shared.data
    return twin.train()


def _averaged(rows: list[tuple["nn.Parameter", ...]], shares: list[float]) -> None:
    """The gradient of the first of each row becomes the mean over the row by shares; one pass over memory for each."""
    with need("torch", "train").no_grad():
        for first, *others in rows:
            if first.grad is None:  # a weight that no picture reaches
                continue
            so_far = shares[0]
            for share, other in zip(shares[1:], others, strict=True):
                so_far += share
                first.grad.lerp_(other.grad, share / so_far)


def _pieces(start: int, stop: int, wanted: int) -> list[slice]:
    """A part in pieces of FEWEST pictures or more, as even as can be."""
    count = max(1, min(wanted, (stop - start) // FEWEST))
    return [slice(*piece) for piece in pairwise(np.linspace(start, stop, count + 1).astype(int).tolist())]


def _backward(compute: Compute, model: "nn.Module", pieces: list[slice], scale: float) -> tuple[float, int]:
    """Gradients of the mean loss of a part, and that loss."""
    train_mode(model)
    n_seen = sum(piece.stop - piece.start for piece in pieces)
    loss_sum, n_right = 0.0, 0
    for piece in pieces:
        share = (piece.stop - piece.start) / n_seen
        loss, right = compute(model, piece)
        (loss if share * scale == 1 else loss * (share * scale)).backward()
        loss_sum += share * float(loss.detach())
        n_right += right
    return loss_sum, n_right
