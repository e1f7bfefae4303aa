"""A few steps timed at the start of a run: how this machine computes this network fastest.

What it chooses goes into the recipe of the run, so that a resumed run takes the card's word and not the clock's. A
choice other than the usual one must be a tenth faster: two runs of one seed should not differ for noise.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pictus.extras import need
from pictus.train.loop import environment
from pictus.train.loop.parts import LEAST_PICTURES, MOST, Parts, parted
from pictus.train.loop.precision import autocast
from pictus.train.loop.trouble import memory_ran_out
from pictus.train.recipes import Recipe, view_px

if TYPE_CHECKING:
    from torch import nn

BUDGET_S = 3.0
GAIN = 0.9
"""Share of the usual choice's time that another must stay under."""

LEAST_PICTURES_SHOWN = 50_000
"""Runs that show fewer pictures than this take the usual choice: they are over before a probe has paid."""

LEAST_MINUTES = 2.0
STEPS = 2
"""Timed of each choice, after one that is not: the least counts."""


class Machine(NamedTuple):
    """What a network is computed on, and whether it draws random numbers."""

    cores: int
    device: str
    is_random: bool


@dataclass(frozen=True)
class Found:
    """What was chosen, and why."""

    recipe: Recipe
    seconds: float
    steps_s: dict[str, float]  # by words for the choice; one that did not fit into memory is not there

    def record(self) -> dict[str, Any]:
        """For the run card."""
        return {"chose": words(self.recipe), "seconds": round(self.seconds, 2), "step_s": self.steps_s}


def is_long(asked: Recipe, n_train: int) -> bool:
    """Whether a run takes so long that looking at the machine pays."""
    return asked.minutes >= LEAST_MINUTES if asked.minutes else n_train * asked.epochs >= LEAST_PICTURES_SHOWN


def is_worth(asked: Recipe, n_train: int) -> bool:
    """Whether the run is long enough, and anything is left to choose."""
    if not asked.probe or asked.compile:
        return False
    is_open = "auto" in (asked.precision, asked.layout) or not (asked.parts and asked.threads)
    return is_open and is_long(asked, n_train)


def settled(
    asked: Recipe, usual: Recipe, network: "nn.Module", machine: Machine, n_train: int
) -> tuple[Recipe, dict[str, Any] | None]:
    """The recipe to train by, and what was timed for it: None where the usual choice was taken without."""
    if not is_worth(asked, n_train):
        return usual, None
    found = probed(asked, usual, network, machine)
    return found.recipe, found.record()


def probed(
    asked: Recipe, usual: Recipe, network: "nn.Module", machine: Machine,
    clock: Callable[[], float] = time.perf_counter,
) -> Found:  # fmt: skip
    """The fastest of the choices that `asked` leaves open, each compared with the best so far, from `usual` on."""
    began = clock()
    steps_s: dict[str, float] = {}
    best, best_s = usual, float("inf")
    for what in ("usual", "precision", "parts", "layout"):  # what gains most first: the time may end before the last
        for other in _others(what, asked, best, machine):
            if words(other) in steps_s or (steps_s and clock() - began > BUDGET_S):
                continue
            taken = _step_s(other, network, machine.device, clock, began)
            if taken is None:
                continue
            steps_s[words(other)] = round(taken, 4)
            if taken < best_s * GAIN:
                best, best_s = other, taken
    return Found(best, clock() - began, steps_s)


def words(recipe: Recipe) -> str:
    """`bf16, channels-last, 2 x 1 threads`: number type, layout, parts and torch's threads in each."""
    return f"{recipe.precision}, {recipe.layout}, {recipe.parts} x {recipe.threads} threads"


def _others(what: str, asked: Recipe, best: Recipe, machine: Machine) -> list[Recipe]:
    cores = machine.cores
    if what == "usual":
        return [best]
    if what == "layout" and asked.layout == "auto":
        return [replace(best, layout="contiguous")]
    if what == "precision" and asked.precision == "auto" and best.precision == "bf16":
        return [replace(best, precision="fp32")]
    if what == "parts" and machine.device == "cpu" and not asked.parts:
        most = 1 if machine.is_random else min(MOST, cores, _share(best) // LEAST_PICTURES)
        counts = [count for count in (1, 2, 4) if count <= max(1, most)]
        found = [replace(best, parts=count, threads=asked.threads or max(1, cores // count)) for count in counts]
        # The threads of a single part wait for each other, long where other work takes the cores: one may be faster.
        return [*found, replace(best, parts=1, threads=1)] if len(found) == 1 and not asked.threads else found
    return []


def _share(recipe: Recipe) -> int:
    """Pictures of a batch that one of the run's processes computes."""
    return recipe.batch_size // recipe.processes


def _step_s(
    recipe: Recipe, network: "nn.Module", device: str, clock: Callable[[], float], began: float
) -> float | None:
    """Seconds of one step forward and back on grey noise; None where it does not fit into memory."""
    torch = need("torch", "train")
    order = environment.memory_format(recipe)
    tried = copy.deepcopy(network).to(device, memory_format=order).train()
    side = view_px(recipe)
    inputs = torch.rand(_share(recipe), 3, side, side, device=device).contiguous(memory_format=order)

    def compute(part: "nn.Module", piece: slice) -> tuple[Any, int]:
        with autocast(device, recipe.precision):
            return part(inputs[piece]).float().square().mean(), 0

    times = []
    try:
        with parted(tried, recipe.parts, recipe.threads) as parts, environment.torch_threads(recipe.threads):
            for _ in range(1 + STEPS):
                times.append(_timed(parts, len(inputs), compute, clock))
                if clock() - began > BUDGET_S:
                    break
    except (RuntimeError, MemoryError) as error:
        if not memory_ran_out(error):
            raise
        return None
    return min(times[1:] or times)


def _timed(parts: Parts, count: int, compute: Any, clock: Callable[[], float]) -> float:  # noqa: ANN401  parts.Compute
    before = clock()
    parts.gradients(count, compute)  # its loss is a number of Python's: the device has finished
    return clock() - before
