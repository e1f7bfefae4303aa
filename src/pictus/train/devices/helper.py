"""A further process of a run: it computes its share of every batch, takes the same steps, and writes nothing.

    python -m pictus.train.devices.helper '{"run": …, "release": …, "rank": 1, "world": 2, "folder": …, "parent": …}'
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from pictus.project import bare
from pictus.releases import open_release
from pictus.train import steps
from pictus.train.devices import meeting, seats
from pictus.train.devices.group import Spread, StoppedError, joined
from pictus.train.devices.meeting import Brief, Store
from pictus.train.devices.seats import Seat
from pictus.train.devices.sharding import Shards
from pictus.train.feed import loader
from pictus.train.kept import checkpoint
from pictus.train.loop import environment, training, trouble
from pictus.train.loop.parts import parted
from pictus.train.loop.signals import leave_with
from pictus.train.loop.state import Job, State, fresh, restored
from pictus.train.tuning.trial import Shelf


def main(told: dict[str, Any]) -> None:
    """Of a process that rank 0 has started."""
    leave_with(told["parent"])
    seat = seats.at_home(told["rank"], told["world"])
    helped(Brief(told["run"], told["release"]), meeting.in_folder(told["folder"], seat.world), seat)


def helped(brief: Brief, store: Store, seat: Seat) -> None:
    """Until rank 0 says that it is over, or is gone. What goes wrong is told to rank 0, and raised."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # rank 0 is told as well, and decides
    try:
        job = job_of(brief, seat)
        found = checkpoint.load(job.root / training.CHECKPOINTS)
        state = restored(job, found) if found else fresh(job)
        with trouble.told(job, state):
            meeting.ready(store, seat.rank)
            with joined(store, seat, state):
                work(job, state, seat)
    except Exception as error:
        meeting.fail(store, seat.rank, error)
        raise


def work(job: Job, state: State, seat: Seat) -> None:
    """Steps like rank 0's, on another share of each batch."""
    recipe, counters = job.recipe, state.counters
    portions = loader.portions_of_epochs(
        recipe.seed, len(job.train), recipe.batch_size, counters.step, job.most_steps + 1, how=job.train.how,
        rank=seat.rank, world=seat.world,
    )  # fmt: skip
    with (
        loader.batches(
            job.train, portions, training.training_views(job), seed=recipe.seed, threads=job.cores
        ) as stream,
        parted(state.model, recipe.parts, recipe.threads, is_compiled=recipe.compile) as alone,
        environment.torch_threads(recipe.threads),
    ):
        spread = Spread(alone, seat, Shards(job, state, seat) if recipe.shard else None)
        try:
            for batch in stream:
                training.advance(job, state, spread, batch)
        except StoppedError:
            return  # the run has ended, or was asked to stop


def job_of(brief: Brief, seat: Seat) -> Job:
    """What the run trains on, on this process's device, in a process that begins with it."""
    environment.keep_memory()
    root = Path(brief.run)
    place = bare(root.parent.parent) if root.parent.name == "models" else Shelf(root.parent, root.parent.name)
    job = steps.of_run(place, root, open_release(brief.release))
    return replace(job, device=seats.place_here(seat).device)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
