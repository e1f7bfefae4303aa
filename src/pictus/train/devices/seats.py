"""Which of a run's processes this one is, as whoever started it says, and what it computes on."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

from pictus.engine import cpu_count
from pictus.errors import UserError, clipped, counted
from pictus.extras import need
from pictus.train.loop import environment
from pictus.train.loop.parts import FEWEST

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process that it starts; all four, or it was not torchrun."""

MOST, MOST_PORT = 100_000, 65_535
"""Processes: more than any run has had; and what a port can be."""

ON_CPUS = "gloo"
ON_GPUS = "cpu:gloo,cuda:nccl"
"""Gradients meet where they are; plans and counts, which are a few numbers, on the processor."""


class Seat(NamedTuple):
    """`rank` of `world` processes, `local_rank` of the `local_world` on this machine; all from 0."""

    rank: int
    world: int
    local_rank: int
    local_world: int


class Equipment(NamedTuple):
    """What one process of a run has: cuda or cpu, its share of the cores, and whether bf16 is fast there."""

    device: str
    cores: int
    has_fast_bf16: bool


class Place(NamedTuple):
    """A torch device, and the backend by which tensors on it meet those of other processes."""

    device: str
    backend: str


def launched(environ: Mapping[str, str]) -> Seat | None:
    """The seat torchrun gave this process; None where nothing of the kind started it."""
    if not all(environ.get(name) for name in NEEDED):
        return None
    rank, world = _number(environ, "RANK"), _number(environ, "WORLD_SIZE")
    local_rank = _number(environ, "LOCAL_RANK") if environ.get("LOCAL_RANK") else rank
    local_world = _number(environ, "LOCAL_WORLD_SIZE") if environ.get("LOCAL_WORLD_SIZE") else world
    _number(environ, "MASTER_PORT", MOST_PORT)
    if rank >= world or local_rank >= local_world:
        raise UserError(
            f"RANK is {rank} of WORLD_SIZE {world}, LOCAL_RANK {local_rank} of LOCAL_WORLD_SIZE {local_world}:"
            " a rank is counted from 0 and below its number.",
            fix="start it by torchrun, or unset RANK and WORLD_SIZE",
        )
    return Seat(rank, world, local_rank, local_world)


def at_home(rank: int, world: int) -> Seat:
    """Of processes that all run on this machine."""
    return Seat(rank, world, rank, world)


def placed(seat: Seat, gpus: int) -> Place:
    """A GPU to each process where this machine has as many, else the processor where it has none."""
    if not gpus:
        return Place("cpu", ON_CPUS)
    if seat.world == 1:
        return Place("cuda", ON_GPUS)
    if seat.local_world > gpus:
        raise UserError(
            f"{counted(seat.local_world, 'process', 'processes')} on this machine would share"
            f" {counted(gpus, 'GPU')}: each takes one of its own.",
            fix=f"--set processes={gpus} (torchrun --nproc-per-node {gpus}), or hide the GPUs: CUDA_VISIBLE_DEVICES=",
        )
    return Place(f"cuda:{seat.local_rank}", ON_GPUS)


def place_here(seat: Seat) -> Place:
    """The same, on this machine as it is."""
    cuda = need("torch", "train").cuda
    return placed(seat, cuda.device_count() if cuda.is_available() else 0)


def check(processes: int, batch_size: int, address: str = "") -> None:
    """A UserError where a batch is too small for so many, or their release lies in a store, at `address`."""
    most = max(1, batch_size // FEWEST)
    if not 1 <= processes <= most:
        raise UserError(
            f"A batch of {batch_size} pictures cannot be shared by {counted(processes, 'process', 'processes')}: each"
            f" computes {FEWEST} or more.",
            fix=f"take 1 to {most} processes",
        )
    if processes > 1 and address:
        raise UserError(
            f"Several processes read a release from a folder only, and this one lies at {address}: each would empty the"
            " cache that the others read from.",
            fix="copy the release here and train on the copy: --release FOLDER, or leave out processes",
        )


def device(processes: int) -> str:
    """What this process computes on, one of so many."""
    return place_here(launched(os.environ) or at_home(0, processes)).device


def equipment(processes: int) -> Equipment:
    """What this process has, one of so many."""
    seat = launched(os.environ) or at_home(0, processes)
    return seen(seat.local_world)._replace(device=place_here(seat).device)


def seen(sharing: int) -> Equipment:
    """What a process has on a machine whose cores so many share."""
    cores = max(1, cpu_count() // sharing)
    return Equipment(environment.device(), cores, environment.has_fast_bf16())


def check_interfaces(environ: Mapping[str, str]) -> None:
    """A UserError where gloo is told to meet on an interface that this machine has not."""
    asked, there = environ.get("GLOO_SOCKET_IFNAME", ""), {name for _, name in socket.if_nameindex()}
    for name in asked.split(",") if asked else ():
        if name not in there:
            raise UserError(
                f"The environment says GLOO_SOCKET_IFNAME={clipped(asked)}: this machine has no such interface.",
                fix=f"unset it, or name one of: {', '.join(sorted(there))}",
            )


def _number(environ: Mapping[str, str], name: str, most: int = MOST) -> int:
    text = environ[name]
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and int(text) <= most
    if not is_number:
        raise UserError(
            f"The environment says {name}={clipped(text)}: a number is wanted, up to {most:,}.",
            fix=f"start it by torchrun, or unset {name}",
        )
    return int(text)
