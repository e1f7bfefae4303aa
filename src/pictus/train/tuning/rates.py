"""The learning-rate range test (Smith 2017, "Cyclical learning rates", section 3.3): what a sweep tells. Pure.

Legend: T steps of the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.errors import UserError

Floats = npt.NDArray[np.float64]

SMOOTHING = 0.9
"""Decay of the average over losses: about the last ten count."""

DIVERGED = 4.0
"""So many times the least smoothed loss is the end (Gugger 2018, "How do you find a good learning rate")."""

LEAST_STEPS = 20

CLEAR = 4.0
"""So many standard errors of the average the loss must fall by: less is what chance does."""

SETTLED = 0.1
"""Share of the steps at the start that is not looked at: the average has seen too few losses."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One step of the sweep; `smoothed` is the bias-free average of the losses up to it."""

    lr: float  # as recipes state it: for a batch of 128
    loss: float
    smoothed: float


class Pick(NamedTuple):
    """`steepest`: where the loss falls fastest per factor of the rate; `diverged`: where it left, 0 where it did not;
    `lr`: the steepest, but no more than a tenth of where it left. `is_clear`: the loss fell by more than chance did.
    """

    lr: float
    steepest: float
    diverged: float
    is_clear: bool = True


def lr_at(step: int, steps: int, low: float, high: float) -> float:
    """From low at step 0 to high at the last one, by equal factors."""
    return float(low * (high / low) ** (step / max(1, steps - 1)))


def smoothed(losses_T: Floats) -> Floats:
    """Exponential average divided by the weight it has so far (Kingma & Ba 2015, section 3)."""
    found_T, mean = np.empty_like(losses_T), 0.0
    for step, loss in enumerate(losses_T.tolist()):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found_T[step] = mean / (1 - SMOOTHING ** (step + 1))
    return found_T


def has_left(smoothed_T: Floats) -> bool:
    """Whether the loss at the end is so far above its least, and above all it began with, that the sweep may stop. The
    latter alone tells where a loss goes below 0, as that of `dcl`.
    """
    if len(smoothed_T) < LEAST_STEPS:
        return False
    return bool(smoothed_T[-1] > max(DIVERGED * smoothed_T.min(), smoothed_T[:LEAST_STEPS].max()))


def picked(lr_T: Floats, losses_T: Floats, *, is_diverged: bool) -> Pick:
    """From the rates tried and the losses found, f64[T] each, LEAST_STEPS or more."""
    if len(losses_T) < LEAST_STEPS:
        raise UserError(
            f"The loss left at a rate of {lr_T[-1] if len(lr_T) else 0:.2g}, after {len(losses_T)} steps: there is no"
            " curve to read.",
            fix="begin lower: --low 1e-8, or look at the pictures: pictus train views",
        )
    found_T = smoothed(losses_T)
    first = max(1, int(SETTLED * len(found_T)))
    least = max(first + 2, int(np.argmin(found_T[first:])) + first + 1)
    slope = np.gradient(found_T[first:least], np.log(lr_T[first:least]))
    steepest = float(lr_T[first + int(np.argmin(slope))])
    diverged = float(lr_T[-1]) if is_diverged else 0.0
    noise = float(np.std(np.diff(losses_T[:least])) / np.sqrt(2)) * np.sqrt((1 - SMOOTHING) / (1 + SMOOTHING))
    is_clear = float(found_T[first] - found_T[least - 1]) > CLEAR * noise
    return Pick(min(steepest, diverged / 10) if diverged else steepest, steepest, diverged, is_clear)
