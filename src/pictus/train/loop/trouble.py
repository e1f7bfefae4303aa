"""What can end a run, in words a person can act on: a loss that is no number, memory, a device that vanishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pictus import finite
from pictus.errors import UserError
from pictus.releases import class_names, split_rows

if TYPE_CHECKING:
    from pictus.train.feed.loader import Batch
    from pictus.train.loop.state import Counters, Job, State

NAMED = 8
"""So many pictures of a batch are named."""


def memory_ran_out(error: BaseException) -> bool:
    """Of the GPU or of the machine: torch has an error class for the one and a sentence for the other."""
    text = str(error)
    told = "out of memory" in text or "can't allocate memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and told)


def device_vanished(error: BaseException) -> bool:
    """Torch's word for a driver that no longer answers, whatever the reason."""
    text = str(error)
    return isinstance(error, RuntimeError) and not memory_ran_out(error) and ("CUDA error" in text or "NVML" in text)


@contextmanager
def told(job: "Job", state: "State") -> Iterator[None]:
    """Out of memory, or a device that vanished, becomes a message; the checkpoint before it is whole."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if memory_ran_out(error):
            raise _too_large(job) from error
        if device_vanished(error):
            raise UserError(
                f"The device stopped answering at step {state.counters.step:,}"
                f" ({str(error).splitlines()[0].removesuffix('.')}). The last checkpoint is whole.",
                fix=f"pictus train resume {job.root.name}, once the device is back (nvidia-smi tells)",
            ) from error
        raise


def diverged(job: "Job", state: "State", batch: "Batch", found: str) -> UserError:
    """Where to look: at the batch's pictures, and at the learning rate."""
    release = job.train.release
    names = dict(zip(release.classes, class_names(release), strict=True))
    rows = split_rows(release, job.train.split).take(batch.positions[:NAMED]).to_pylist()
    pictures = "".join(
        f"\n  {row['image_id'][:16]}  {names.get(row['concept_id'], row['concept_id'])}  ({row['shard']}: {row['key']})"
        for row in rows
    )
    more = f"\n  and {len(batch) - NAMED:,} more" if len(batch) > NAMED else ""
    return UserError(
        f"{found} at step {state.counters.step:,}: training has diverged. Pictures of its batch:{pictures}{more}\n"
        "The checkpoint before it is kept.",
        fix=f"look at them (pictus show {rows[0]['image_id'][:16] if rows else 'ID'}), or train again with a smaller"
        f" learning rate: --set lr={job.recipe.lr / 4:.3g}",
    )


def lost(job: "Job", state: "State", loss: float) -> UserError:
    """The loss on val is no number, where that of every batch was one: which tensor to look at."""
    begun = f", or from other weights than {job.recipe.weights}" if job.recipe.weights else ""
    return UserError(
        f"The loss on {job.val.split} became {loss} after step {state.counters.step:,}: training has diverged, though"
        f" the batches' own was a number. Of the network that would be kept: {finite.cause(state.kept)}.\n"
        "The checkpoint before it is kept.",
        fix=f"train again with a smaller learning rate: --set lr={job.recipe.lr / 4:.3g}{begun}",
    )


def halved(job: "Job", counters: "Counters") -> str:
    """What is said once when memory ran out and a batch is computed in more pieces than before."""
    size = max(1, job.recipe.batch_size // job.recipe.processes // max(1, job.recipe.parts) // counters.accumulate)
    return (
        f"Memory ran out at step {counters.step:,}: batches are computed in {counters.accumulate} pieces of about"
        f" {size} pictures from here on; the gradient is the same, but batch normalisation sees one piece at a time"
    )


def _too_large(job: "Job") -> UserError:
    return UserError(
        f"A batch of {job.recipe.batch_size} pictures of {job.recipe.size} px does not fit into memory,"
        " not even in the smallest pieces.",
        fix=f"train again with smaller batches: --set batch_size={max(2, job.recipe.batch_size // 2)}",
    )
