"""Learning rate, weight averaging and the plan of a run as functions of the step: nothing to restore but the plan.

A position in 0..1 says how far a run is on its schedule. A plan leads from a position at one step to 1 at
the step where the run is to end; `budget` makes new ones for a run that has so many minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from pictus.registry import Registry

ONE_CYCLE = "one-cycle"
START_OF_CYCLE, LEAST_OF_CYCLE = 1 / 25, 1 / 250_000
MOMENTA = (0.95, 0.85)

GROWN = 0.75
"""Where on the schedule pictures have their full side: the last quarter settles on what will be asked later."""

STEP_PX, SMALL_PX = 16, 64
"""Sides are multiples of 16, so that four halvings come out even; of pictures below 64 px multiples of 8."""

LEAST_PX = 32
"""What networks of five halvings need."""

SCHEDULES: Registry[Callable[[float, float], float]] = Registry("schedule", entry_points="pictus.schedules")
"""Name -> share of the peak, from what is past since the end of the warm-up and all that follows it."""


class Plan(NamedTuple):
    """Step `start` was reached at `position`; the run ends at step `end`."""

    start: int
    position: float
    end: int

    def at(self, step: float) -> float:
        """The position of a step, in 0..1."""
        return self.position + (1 - self.position) * (step - self.start) / max(1, self.end - self.start)


def learning_rate(position: float, peak: float, warmup: float, name: str = "cosine") -> float:
    """Up in a line over the first `warmup` (peak p / w for p < w), then along the schedule of that name."""
    if name == ONE_CYCLE:
        return one_cycle(position, peak, warmup)
    if position < warmup:
        return peak * position / warmup
    return peak * SCHEDULES.get(name)(position - warmup, 1 - warmup)


@SCHEDULES.register("cosine")
def cosine(past: float, rest: float) -> float:
    """Half a cosine to 0 (Loshchilov & Hutter 2016): (1 + cos(pi past / rest)) / 2."""
    return 0.5 * (1 + math.cos(math.pi * past / rest))


@SCHEDULES.register("linear")
def linear(past: float, rest: float) -> float:
    """A line to 0."""
    return 1 - past / rest


@SCHEDULES.register("step")
def step(past: float, rest: float) -> float:
    """A tenth after a third of the way and a hundredth after two thirds (He et al. 2015: after 30 and 60 of 90)."""
    return (1.0, 0.1, 0.01)[min(2, int(3 * past / rest))]


@SCHEDULES.register("constant")
def constant(_past: float, _rest: float) -> float:
    """The peak to the end: for weights that are averaged, or to be trained on."""
    return 1.0


@SCHEDULES.register(ONE_CYCLE)
def falling(past: float, rest: float) -> float:
    """The second half of `one_cycle`."""
    return LEAST_OF_CYCLE + (1 - LEAST_OF_CYCLE) * cosine(past, rest)


def one_cycle(position: float, peak: float, warmup: float) -> float:
    """From a 25th of the peak along half a cosine to it, and on to a 250,000th (Smith & Topin 2018, as torch's
    OneCycleLR has it). Its warm-up is usually 0.3.
    """
    if position < warmup:
        return peak * (1 - (1 - START_OF_CYCLE) * cosine(position, warmup))
    return peak * falling(position - warmup, 1 - warmup)


def momentum(position: float, warmup: float, name: str) -> float | None:
    """One cycle's momentum goes the other way, 0.95 to 0.85 to 0.95; others leave it alone: None."""
    if name != ONE_CYCLE:
        return None
    most, least = MOMENTA
    way = cosine(position, warmup) if position < warmup else 1 - cosine(position - warmup, 1 - warmup)
    return least + (most - least) * way


def side(position: float, full_px: int, first: float, least_px: int = LEAST_PX) -> int:
    """Side in px of what is trained on: `first` of the full one at the start, growing in a line to all of it at
    `GROWN`, in multiples of STEP_PX (progressive resizing, Howard 2018). `first` 1: always full.
    """
    share = first + (1 - first) * min(1.0, position / GROWN)
    step_px = STEP_PX if full_px >= SMALL_PX else STEP_PX // 2
    return full_px if share >= 1 else min(full_px, max(least_px, round(share * full_px / step_px) * step_px))


def averaging(step: int, decay: float) -> float:
    """How much of the average is kept at this step: little at first, when the weights are still poor."""
    return min(decay, (1 + step) / (10 + step))
