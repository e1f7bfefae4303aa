"""A step in a process that torchrun started: rank 0 goes on as if it were alone, the others wait for it and help.

    torchrun --nproc-per-node 2 -m pictus train run --recipe resnet18
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
from contextlib import suppress
from dataclasses import replace

from pictus.errors import UserError
from pictus.train.devices import meeting, seats
from pictus.train.devices.meeting import Store
from pictus.train.devices.seats import Seat
from pictus.train.loop.signals import leave_with
from pictus.train.recipes import Recipe

_told: list[Store] = []


def followed() -> None:
    """At the beginning of a step. In all but rank 0 this is the whole of it: the process ends here."""
    seat = seats.launched(os.environ)
    if seat is None or seat.world == 1 or _told:
        return
    if seat.rank == 0:
        _told.append(meeting.of_torchrun(seat.rank, seat.world))
        atexit.register(_end, _told[0])
        return
    os._exit(_helped(seat))  # the caller has no part in it: what it would print or do next is rank 0's


def settled(recipe: Recipe) -> Recipe:
    """The recipe with as many processes as there are: torchrun knows."""
    seat = seats.launched(os.environ)
    if seat is None:
        return recipe
    if recipe.processes not in (1, seat.world):
        raise UserError(
            f"torchrun started {seat.world} processes, and processes={recipe.processes} asks for others.",
            fix=f"leave out processes, or: torchrun --nproc-per-node {recipe.processes}",
        )
    return replace(recipe, processes=seat.world)


def moved(recipe: Recipe, processes: int) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a run that goes on by `processes` (0: as many as before), or those of torchrun; what to say."""
    seat = seats.launched(os.environ)
    if seat and processes not in (0, seat.world):
        raise UserError(
            f"torchrun started {seat.world} processes, and --processes {processes} asks for others.",
            fix=f"leave out --processes, or: torchrun --nproc-per-node {processes}",
        )
    wanted = seat.world if seat else processes or recipe.processes
    if wanted == recipe.processes:
        return recipe, ()
    has_no_shares = recipe.shard and wanted == 1
    note = (
        f"processes were {recipe.processes} until here and are {wanted} now: the run goes on, but not bit for bit as it"
        f" would have{', and with all weights in the one process' if has_no_shares else ''}"
    )
    return replace(recipe, processes=wanted), (note,)


def _helped(seat: Seat) -> int:
    """Wait for rank 0's brief and work by it -> exit status. Rank 0 tells what went wrong."""
    from pictus.train.devices import helper  # noqa: PLC0415  it imports the steps, which import this

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.getLogger("pictus").setLevel(logging.ERROR)
    leave_with(os.getppid())
    try:
        store = meeting.of_torchrun(seat.rank, seat.world)
        brief = meeting.called(store)
        if brief is None:
            return 0
        helper.helped(brief, store, seat)
    except (UserError, RuntimeError):
        return 1  # rank 0 was told by `helped`, or is gone
    return 0


def _end(store: Store) -> None:
    """Rank 0 has ended: who still waits may go."""
    with suppress(RuntimeError):  # whoever held the store is gone, and the others with it
        store.set(meeting.OVER, "1")
