"""A run by several processes (`processes=N`): each computes its share of every batch, gradients meet once a step.

The process the user started is rank 0 and starts the others; it alone writes, validates and decides. All take the same
step from the same gradient, so that they stay alike (data parallelism; Li et al. 2020, "PyTorch Distributed").
Normalisation layers see the share of one process; their running statistics are the mean over processes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need
from pictus.train.feed import remote
from pictus.train.loop.parts import FEWEST, Compute, Parts, Result
from pictus.train.loop.schedule import Plan

if TYPE_CHECKING:
    from torch import nn

    from pictus.train.loop.state import Counters, Job, State

JOIN_S = 600.0
"""A process that has not read its release after this long never will."""

REAP_S = 5.0

LONGEST = timedelta(days=1)
"""Others wait so long for rank 0 to validate; one that is gone is noticed at once, by its closed connection."""


class StoppedError(Exception):
    """Rank 0 has said that there is no next step."""


class Spread(Parts):
    """Parts of one process among several. `gradients` leaves what one pass over the batch of all would have left."""

    def __init__(self, alone: Parts, rank: int, world: int) -> None:
        self._alone, self._rank, self._world = alone, rank, world

    def begun(self, n_seen: int, counters: "Counters") -> bool:
        """The others take rank 0's plan; whether every process has pictures enough for this step."""
        torch = need("torch", "train")
        dist = torch.distributed
        word = torch.tensor([1.0, *counters.plan], dtype=torch.float64)
        dist.broadcast(word, 0)
        if not word[0]:
            raise StoppedError
        counters.plan = Plan(int(word[1]), float(word[2]), int(word[3]))
        fewest = torch.tensor([n_seen])
        dist.all_reduce(fewest, dist.ReduceOp.MIN)
        return int(fewest) >= FEWEST

    def gradients(self, n_seen: int, compute: Compute, *, pieces: int = 1, scale: float = 1.0) -> Result:
        """Of all processes together, by the number of pictures each has."""
        torch = need("torch", "train")
        dist = torch.distributed
        own = self._alone.gradients(n_seen, compute, pieces=pieces, scale=scale)
        sums = torch.tensor([own.n_seen, own.loss * own.n_seen, own.n_right], dtype=torch.float64)
        dist.all_reduce(sums)
        model = self._alone.model
        with torch.no_grad():
            found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            _together(found, own.n_seen / float(sums[0]))
            _together([one for one in model.buffers() if one.is_floating_point()], 1 / self._world)
        self._alone.share_buffers()
        return Result(float(sums[1] / sums[0]), int(sums[2]), int(sums[0]))

    def end(self) -> None:
        """Rank 0 lets the others go."""
        torch = need("torch", "train")
        torch.distributed.broadcast(torch.zeros(4, dtype=torch.float64), 0)


class _Helper(NamedTuple):
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]


@contextmanager
def spread(job: "Job", state: "State", alone: Parts) -> Iterator[Parts]:
    """The parts of a run: as they are with one process, else joined with those of helpers, which it starts."""
    world = job.recipe.processes
    if world == 1:
        yield alone
        return
    if job.device != "cpu":
        raise UserError(
            "Several processes share a batch on CPUs only: here is a GPU.",
            fix="leave out processes, or hide the GPU: CUDA_VISIBLE_DEVICES= pictus train resume " + job.root.name,
        )
    if place := remote.address_of(job.train.release):
        raise UserError(
            f"Several processes read a release from a folder only, and this one lies at {place}: each would empty the"
            " cache that the others read from.",
            fix="copy the release here and train on the copy: --release FOLDER, or leave out processes",
        )
    folder = tempfile.mkdtemp(prefix="pictus-")  # nobody else may look into it; a port would be open to the network
    helpers: list[_Helper] = []
    try:
        helpers.extend(_started(job, rank, folder) for rank in range(1, world))
        store = meeting(folder, world)
        _await(helpers, store)
        with joined(store, 0, world, state.model):
            found = Spread(alone, 0, world)
            try:
                yield found
                found.end()
            except RuntimeError as error:
                raise _lost(job, state, helpers, error) from error
    finally:
        for helper in helpers:
            _ended(helper)
        shutil.rmtree(folder)


def meeting(folder: str, world: int) -> Any:  # noqa: ANN401  a torch store
    """Where processes leave words for each other: a file in a folder of rank 0's."""
    store = need("torch", "train").distributed.FileStore(str(Path(folder, "store")), world)
    store.set_timeout(LONGEST)
    return store


@contextmanager
def joined(store: Any, rank: int, world: int, model: "nn.Module") -> Iterator[None]:  # noqa: ANN401  a torch store
    """In the group while it lasts, with the weights of rank 0."""
    torch = need("torch", "train")
    dist = torch.distributed
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    os.environ["GLOO_SOCKET_IFNAME"] = before or _loopback()
    try:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=LONGEST)
    finally:
        if before is None:
            del os.environ["GLOO_SOCKET_IFNAME"]
    try:
        with torch.no_grad():
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, 0)
        yield
    finally:
        dist.destroy_process_group()


def ready(rank: int) -> str:
    """What a helper writes into the store when it could begin."""
    return f"ready-{rank}"


def _started(job: "Job", rank: int, folder: str) -> _Helper:
    brief = {"run": str(job.root), "release": str(job.train.release.root), "rank": rank, "folder": folder,
             "world": job.recipe.processes, "parent": os.getpid()}  # fmt: skip
    errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in _ended
    command = [sys.executable, "-m", "pictus.train.devices.helper", json.dumps(brief)]
    return _Helper(
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors),  # noqa: S603
        errors,
    )


def _await(helpers: list[_Helper], store: Any) -> None:  # noqa: ANN401  a torch store
    """Until every helper has read the release and the state."""
    began = time.monotonic()
    for rank, helper in enumerate(helpers, 1):
        while not store.check([ready(rank)]):
            if helper.process.poll() is not None or time.monotonic() - began > JOIN_S:
                raise UserError(
                    f"Process {rank + 1} of {len(helpers) + 1} could not begin{_said(helper)}.",
                    fix="pictus train resume, or train with fewer: --set processes=1",
                )
            time.sleep(0.05)


def _lost(job: "Job", state: "State", helpers: list[_Helper], error: RuntimeError) -> Exception:
    """Which process is gone; the error itself where all are there. A killed one is reaped a moment after its connection
    has closed.
    """
    until = time.monotonic() + REAP_S
    while True:
        for number, helper in enumerate(helpers, 2):
            if helper.process.poll() is not None:
                return UserError(
                    f"Process {number} of {len(helpers) + 1} ended at step {state.counters.step:,} with"
                    f" {helper.process.returncode}{_said(helper)}. The last checkpoint is whole.",
                    fix=f"pictus train resume {job.root.name}",
                )
        if time.monotonic() > until:
            return error
        time.sleep(0.05)


def _said(helper: _Helper) -> str:
    """": " and its last words, "" where it said none."""
    helper.errors.seek(0)
    lines = helper.errors.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:300].removesuffix('.')}" if lines else ""


def _ended(helper: _Helper) -> None:
    try:
        helper.process.wait(10)
    except subprocess.TimeoutExpired:
        helper.process.kill()
        helper.process.wait()
    helper.errors.close()


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


def _loopback() -> str:
    return "lo0" if sys.platform == "darwin" else "lo"
