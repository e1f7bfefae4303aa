"""Learning rate, weight averaging and the plan of a run as functions of the step: nothing to restore but the plan.

A position in 0..1 says how far a run is on its schedule. A plan leads from a position at one step to 1 at
the step where the run is to end; a run with a budget of minutes makes a new plan after every epoch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MARGIN = 0.98
"""Share of the minutes that is planned for: the weights and the card are still to be written."""

ALMOST = 0.98
"""A run this far on its schedule ends when its time is up; one that is not gets a last epoch to cool down in."""


class Plan(NamedTuple):
    """Step `start` was reached at `position`; the run ends at step `end`."""

    start: int
    position: float
    end: int

    def at(self, step: float) -> float:
        """The position of a step, in 0..1."""
        return self.position + (1 - self.position) * (step - self.start) / max(1, self.end - self.start)


def learning_rate(position: float, peak: float, warmup: float) -> float:
    """Up in a line over the first `warmup`, then down half a cosine to 0 (Loshchilov & Hutter 2016).

    peak p / w for p < w, then peak (1 + cos(pi (p - w) / (1 - w))) / 2.
    """
    if position < warmup:
        return peak * position / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (position - warmup) / (1 - warmup)))


def averaging(step: int, decay: float) -> float:
    """How much of the average is kept at this step: little at first, when the weights are still poor."""
    return min(decay, (1 + step) / (10 + step))


def replanned(plan: Plan, step: int, *, left_s: float, epoch_s: float, epoch_steps: int, most_steps: int) -> Plan:
    """A plan from `step`, the end of an epoch, that uses the seconds left for whole epochs of `epoch_s`."""
    position = plan.at(step)
    epochs = max(0, int(left_s / max(epoch_s, 1e-9)))
    if epochs == 0 and position < ALMOST:
        epochs = 1
    return Plan(step, position, min(most_steps, step + epochs * epoch_steps))
