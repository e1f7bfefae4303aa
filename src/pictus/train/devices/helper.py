"""A further process of a run: it computes its share of every batch, takes the same steps, and writes nothing.

    python -m pictus.train.devices.helper '{"run": …, "release": …, "rank": 1, "world": 2, "folder": …, "parent": …}'
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from pictus.project import bare
from pictus.releases import open_release
from pictus.train import steps
from pictus.train.devices.group import Spread, StoppedError, joined, meeting, ready
from pictus.train.feed import loader
from pictus.train.kept import checkpoint
from pictus.train.loop import environment, training
from pictus.train.loop.parts import parted
from pictus.train.loop.signals import leave_with
from pictus.train.loop.state import Job, State, fresh, restored
from pictus.train.tuning.trial import Shelf


def main(brief: dict[str, Any]) -> None:
    """Until rank 0 says that it is over, or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # rank 0 is told as well, and decides
    leave_with(brief["parent"])
    environment.keep_memory()
    root = Path(brief["run"])
    place = bare(root.parent.parent) if root.parent.name == "models" else Shelf(root.parent, root.parent.name)
    job = steps.of_run(place, root, open_release(brief["release"]))
    found = checkpoint.load(root / training.CHECKPOINTS)
    state = restored(job, found) if found else fresh(job)
    store = meeting(brief["folder"], brief["world"])
    store.set(ready(brief["rank"]), "1")
    with joined(store, brief["rank"], brief["world"], state.model):
        work(job, state, brief["rank"], brief["world"])


def work(job: Job, state: State, rank: int, world: int) -> None:
    """Steps like rank 0's, on another share of each batch."""
    recipe, counters = job.recipe, state.counters
    portions = loader.portions_of_epochs(
        recipe.seed, len(job.train), recipe.batch_size, counters.step, job.most_steps + 1, how=job.train.how,
        rank=rank, world=world,
    )  # fmt: skip
    with (
        loader.batches(
            job.train, portions, training.training_views(job), seed=recipe.seed, threads=job.cores
        ) as stream,
        parted(state.model, recipe.parts, recipe.threads, is_compiled=recipe.compile) as alone,
        environment.torch_threads(recipe.threads),
    ):
        spread = Spread(alone, rank, world)
        try:
            for batch in stream:
                training.advance(job, state, spread, batch)
        except StoppedError:
            return  # the run has ended, or was asked to stop


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
