"""A run by several processes (`processes=N`, torchrun): each computes its share of every batch, gradients meet once a
step.

Rank 0 alone validates, writes and decides. All take the same step from the same gradient, so that they stay alike (data
parallelism; Li et al. 2020, "PyTorch Distributed"); with `shard` each keeps its share of the weights (sharding.py).
Normalisation layers see the share of one process; their running statistics are the mean over processes.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need
from pictus.train.devices import meeting, processes, seats
from pictus.train.devices.meeting import Brief, Store
from pictus.train.devices.seats import Seat
from pictus.train.devices.sharding import Shards
from pictus.train.loop import trouble
from pictus.train.loop.parts import FEWEST, Compute, Parts, Result
from pictus.train.loop.schedule import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pictus.train.loop.state import Counters, Job, State

END, STEP, GATHER = 0.0, 1.0, 2.0
"""What rank 0 says next."""


SHORT = (
    "Memory ran out. With weights in shares a batch cannot be tried again in smaller pieces: the other processes are in"
    " the middle of it."
)


class StoppedError(Exception):
    """Rank 0 has said that there is no next step."""


class Spread(Parts):
    """Parts of one process among several. `gradients` leaves what one pass over the batch of all would have left."""

    def __init__(self, alone: Parts, seat: Seat, shards: "Shards | None" = None) -> None:
        super().__init__(alone.models, alone.pool)
        self._rank, self._world, self._shards = seat.rank, seat.world, shards
        self._counts: list[int] = []  # pictures of this step that each process has
        self._whole: State | None = None  # what `whole` gave since the last step

    def begun(self, n_seen: int, counters: "Counters") -> bool:
        """The others take rank 0's plan; whether every process has pictures enough for this step."""
        torch = need("torch", "train")
        self._whole = None  # as large as all shares together: not kept while the next step is computed
        while (word := self._said(STEP, counters.plan))[0] == GATHER and self._shards:
            self._shards.gather()
        if word[0] == END:
            raise StoppedError
        counters.plan = Plan(int(word[1]), float(word[2]), int(word[3]))
        counts = torch.zeros(self._world, dtype=torch.int64)
        counts[self._rank] = n_seen
        torch.distributed.all_reduce(counts)
        self._counts = counts.tolist()
        return min(self._counts) >= FEWEST

    def whole(self, state: "State") -> "State":
        """With weights in shares: those of all. Rank 0 asks, and the others come to it from `begun`."""
        if self._shards is None:
            return state
        if self._whole is None:
            self._said(GATHER, state.counters.plan)
            self._whole = self._shards.together()
        return self._whole

    def gradients(self, n_seen: int, compute: Compute, *, pieces: int = 1, scale: float = 1.0) -> Result:
        """Of all processes together, by the number of pictures each has. A MemoryError in all where one ran out of it:
        all try the batch again.
        """
        if self._shards:
            return self._of_shares(n_seen, compute, pieces, scale)
        torch = need("torch", "train")
        own, is_short = Result(0.0, 0, 0), False
        with self.tried():
            try:
                own = super().gradients(n_seen, compute, pieces=pieces, scale=scale)
            except (RuntimeError, MemoryError) as error:
                if not trouble.memory_ran_out(error):
                    raise
                is_short = True
            sums = torch.tensor([own.n_seen, own.loss * own.n_seen, own.n_right, is_short], dtype=torch.float64)
            torch.distributed.all_reduce(sums)
            if sums[3]:
                raise MemoryError
        with torch.no_grad():
            found = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
            _together(found, own.n_seen / float(sums[0]))
            self._average_buffers()
        self.share_buffers()
        return Result(float(sums[1] / sums[0]), int(sums[2]), int(sums[0]))

    def most_pieces(self, n_seen: int) -> int:  # noqa: ARG002  all give up at the same time
        """As the process with the most pictures has it."""
        return max(1, max(self._counts) // FEWEST)

    def end(self) -> None:
        """Rank 0 lets the others go."""
        self._said(END, Plan(0, 0.0, 0))

    def _of_shares(self, n_seen: int, compute: Compute, pieces: int, scale: float) -> Result:
        """Gradients are added up while they are computed, so that losses have their weights before."""
        share = n_seen / sum(self._counts)

        def weighted(model: "nn.Module", piece: slice) -> tuple["Tensor", int]:
            loss, n_right = compute(model, piece)
            return loss * share, n_right

        most = min(self._counts) // FEWEST  # as many pieces in all processes: they meet in each
        try:
            own = super().gradients(n_seen, weighted, pieces=min(pieces, most), scale=scale)
        except (RuntimeError, MemoryError) as error:
            if not trouble.memory_ran_out(error):
                raise
            raise UserError(SHORT, fix=_smaller(pieces)) from error
        torch = need("torch", "train")
        sums = torch.tensor([own.loss, own.n_right], dtype=torch.float64)
        torch.distributed.all_reduce(sums)
        with torch.no_grad():
            self._average_buffers()
        return Result(float(sums[0]), int(sums[1]), sum(self._counts))

    def _average_buffers(self) -> None:
        _together([one for one in self.model.buffers() if one.is_floating_point()], 1 / self._world)

    def _said(self, word: float, plan: Plan) -> list[float]:
        """Rank 0's word and plan, everywhere."""
        torch = need("torch", "train")
        said = torch.tensor([word, *plan], dtype=torch.float64)
        torch.distributed.broadcast(said, 0)
        found: list[float] = said.tolist()
        return found


class _Others(NamedTuple):
    """The other processes of a run as rank 0 sees them. `gone`: which of them is, "" where nobody knows of any."""

    store: Store
    gone: Callable[[], str]
    gone_by: Callable[[RuntimeError], str]


@contextmanager
def spread(job: "Job", state: "State", alone: Parts) -> Iterator[Parts]:
    """The parts of a run: as they are with one process, else joined with those of others. In rank 0."""
    world = job.recipe.processes
    if world == 1:
        yield alone
        return
    seats.check_interfaces(os.environ)
    launched = seats.launched(os.environ)
    with _others(job) as others:
        meeting.wait_for(others.store, world, others.gone)
        seat = launched or seats.at_home(0, world)
        with joined(others.store, seat, state, None if launched else others.gone):  # torchrun ends all where one ends
            shards = Shards(job, state, seat) if job.recipe.shard else None
            found = Spread(alone, seat, shards)
            try:
                yield found
                found.end()
            except RuntimeError as error:
                if not (words := others.gone_by(error)):
                    raise
                is_short = SHORT[:-1] in words
                raise UserError(
                    f"{words}, at step {state.counters.step:,}. The last checkpoint is whole.",
                    fix=_smaller(job.recipe.accumulate) if is_short else f"pictus train resume {job.root.name}",
                ) from error


@contextmanager
def joined(
    store: Store, seat: Seat, state: "State", gone: Callable[[], str] | None = None
) -> Iterator[None]:
    """In the group while it lasts, with the weights of rank 0. `gone`: which process will not come any more."""
    torch = need("torch", "train")
    dist = torch.distributed
    place = seats.place_here(seat)
    if place.device != "cpu":
        torch.cuda.set_device(place.device)
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    if before is None and seat.local_world == seat.world:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    try:
        begin = partial(
            dist.init_process_group, place.backend, store=store, rank=seat.rank, world_size=seat.world,
            timeout=meeting.LONGEST,
        )  # fmt: skip
        if gone:
            _watched(begin, gone)
        else:
            begin()
    finally:
        if before is None:
            os.environ.pop("GLOO_SOCKET_IFNAME", None)
    try:
        with torch.no_grad():
            for tensor in state.model.state_dict().values():
                dist.broadcast(tensor, 0)
        yield
    finally:
        dist.destroy_process_group()


def _watched(begin: Callable[[], object], gone: Callable[[], str]) -> None:
    """Nothing interrupts torch while it waits for the others: in a thread of its own it may wait in vain."""
    done: Future[object] = Future()

    def work() -> None:
        try:
            begin()
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001  raised below
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    while not wait([done], meeting.LOOK_S).done:
        if words := gone():
            need("torch", "train").distributed.distributed_c10d._world.group_count = 0  # noqa: SLF001  as in new ones
            raise UserError(f"{words}. Nothing was trained.", fix="pictus train resume")
    done.result()


@contextmanager
def _others(job: "Job") -> Iterator[_Others]:
    """Those torchrun has started, else those that are started here."""
    world = job.recipe.processes
    brief = Brief(str(job.root.resolve()), str(job.train.release.root.resolve()))
    if seat := seats.launched(os.environ):
        store = meeting.of_torchrun(seat.rank, seat.world)

        def gone() -> str:
            return meeting.words_of(store, world)

        meeting.call(store, brief)
        yield _Others(store, gone, lambda error: gone() or _connection_lost(error, world))
        return
    with processes.started(brief, world) as helpers:
        yield _Others(helpers.store, helpers.gone, lambda _: helpers.gone(processes.REAP_S))


def _smaller(pieces: int) -> str:
    return f"train again in smaller pieces: --set accumulate={2 * pieces}"


def _connection_lost(error: RuntimeError, world: int) -> str:
    """What an error of the group's own means; "" where it is another."""
    dist = need("torch", "train").distributed
    text = str(error).strip()
    if not (isinstance(error, dist.DistError) or "gloo" in text.lower() or "Connection closed" in text):
        return ""
    last = text.rpartition("\n")[2][:200].removesuffix(".")
    return f"Another of {world} processes is gone ({last})"


def _together(tensors: list[Any], share: float) -> None:
    """Each becomes the sum over processes of share times its own; sent as one."""
    torch = need("torch", "train")
    if not tensors:
        return
    flat = torch.cat([one.reshape(-1) for one in tensors]).mul_(share)
    torch.distributed.all_reduce(flat)
    at = 0
    for one in tensors:
        one.copy_(flat[at : at + one.numel()].view_as(one))
        at += one.numel()
