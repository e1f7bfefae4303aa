"""The minutes of a run: how many steps still fit, told from what steps and validations have taken so far.

A plan is made at the end of each epoch and, where the machine has become slower or much faster, inside one. With each
goes a checkpoint, so that the steps since it repeat bit for bit.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pictus.train.loop.schedule import Plan

if TYPE_CHECKING:
    from pictus.train.loop.state import Counters, Job

MARGIN = 0.98
"""Share of the minutes that is planned for: the weights and the card are still to be written."""

LATE = 1.03
"""A plan that needs so many times what is left is made anew at once."""

EARLY = 0.1
"""And one that would leave so much of all the minutes unused."""

SPARE = 0.05
"""Share of the minutes that may stay unused so that the last epoch is a whole one."""

APART_S, APART = 5.0, 0.05
"""Between two plans inside an epoch: seconds, but no more than this share of the minutes."""

SAVING = 20
"""And so many times what the last checkpoint took to write: each plan brings one."""

WINDOW, LEAST_WINDOW_S = 0.1, 2.0
"""The pace is that of the last tenth of the time that is left, but of 2 s at least: a hiccup is no new machine."""

LEAST_TIMED = 3
"""Steps after which the first of a process, which is slow, counts no more."""

FIRST = 0.1
"""Share of the minutes after which a plan is made by fewer steps than that."""

GUESSED = 0.5
"""Steps that a batch of validation takes while none was timed: a third of one forward and back, of larger pictures."""


class Budget:
    """What one process knows of the pace of a run. Without minutes every plan stays as it is."""

    def __init__(self, job: "Job", counters: "Counters") -> None:
        self._per_epoch, self._most_steps = job.steps_per_epoch, job.most_steps
        self._all_s = job.recipe.minutes * 60
        self._guess = GUESSED * len(job.val) / max(1, job.recipe.batch_size)
        self._aside_s = 0.0
        self._planned_s = counters.elapsed_s
        self._saving_s = 0.0
        self._began_s = counters.elapsed_s
        self._timed = deque([(counters.elapsed_s, counters.step)])

    def stepped(self, counters: "Counters") -> bool:
        """After a step: whether there is a new plan, which a checkpoint is to keep. It may end here and now."""
        if not self._all_s:
            return False
        step_s = self._pace(counters)
        left_s = self._left_s(counters)
        plan, within = counters.plan, counters.step % self._per_epoch
        validation_s = self._validation_s(counters, step_s)
        last_s = step_s + validation_s if within else step_s  # at the end of an epoch it is validated in any case
        if left_s < last_s and counters.step < plan.end:
            counters.plan = Plan(counters.step, plan.at(counters.step), counters.step)
            return True
        apart_s = max(min(APART_S, APART * self._all_s), SAVING * self._saving_s)
        if not step_s or not within or counters.elapsed_s - self._planned_s < apart_s:
            return False
        needed_s = needed(plan.end - counters.step, step_s, validation_s, within, self._per_epoch)
        if left_s - needed_s <= EARLY * self._all_s and needed_s <= LATE * left_s:
            return False
        return self._plan(counters, step_s)

    def validated(self, counters: "Counters", seconds: float) -> None:
        """After a validation, which is no part of a step's time."""
        self._aside_s += seconds
        if step_s := self._pace(counters):
            counters.validation_steps = seconds / step_s

    def saved(self, seconds: float) -> None:
        """After a checkpoint."""
        self._saving_s = seconds

    def epoch_ended(self, counters: "Counters") -> None:
        """A plan for what is left, if there is a limit. None for a run that is through: the rate is 0, and stays."""
        if self._all_s and counters.step < counters.plan.end:
            self._plan(counters, self._pace(counters))

    def _plan(self, counters: "Counters", step_s: float) -> bool:
        left_s, plan = self._left_s(counters), counters.plan
        if not step_s:
            return False
        within = counters.step % self._per_epoch
        steps = fitting(
            left_s, step_s, self._validation_s(counters, step_s), within, self._per_epoch,
            spare_s=SPARE * self._all_s,
        )
        self._planned_s = counters.elapsed_s
        end = min(self._most_steps, counters.step + steps)
        if end == plan.end:
            return False
        counters.plan = Plan(counters.step, plan.at(counters.step), end)
        return True

    def _left_s(self, counters: "Counters") -> float:
        return self._all_s * MARGIN - counters.elapsed_s

    def _validation_s(self, counters: "Counters", step_s: float) -> float:
        """In steps it is the same on a machine that has become slower."""
        return (counters.validation_steps or self._guess) * step_s

    def _pace(self, counters: "Counters") -> float:
        """Seconds a step takes; 0 while it is not known."""
        now = (counters.elapsed_s - self._aside_s, counters.step)
        if now[1] > self._timed[-1][1]:
            self._timed.append(now)
        window_s = max(LEAST_WINDOW_S, WINDOW * self._left_s(counters))
        while len(self._timed) > LEAST_TIMED + 1 and (
            self._timed[0][0] == self._began_s or now[0] - self._timed[1][0] >= window_s
        ):
            self._timed.popleft()
        (from_s, from_step), (to_s, to_step) = self._timed[0], self._timed[-1]
        is_known = from_s != self._began_s or counters.elapsed_s - self._began_s >= FIRST * self._all_s
        return (to_s - from_s) / (to_step - from_step) if to_step > from_step and is_known else 0.0


def needed(steps: int, step_s: float, validation_s: float, within: int, per_epoch: int) -> float:
    """Seconds that so many steps take from the step `within` of an epoch on, with the validations they end in."""
    return steps * step_s + -(-(within + steps) // per_epoch) * validation_s if steps > 0 else 0.0


def fitting(
    left_s: float, step_s: float, validation_s: float, within: int, per_epoch: int, *, spare_s: float
) -> int:  # fmt: skip
    """Steps that fit into `left_s` with their validations. The last epoch is a whole one where that leaves no more than
    `spare_s` unused.
    """
    wholes = max(0, int((left_s + within * step_s) / (per_epoch * step_s + validation_s)))
    steps = wholes * per_epoch - within if wholes else 0
    rest_s = left_s - needed(steps, step_s, validation_s, within, per_epoch)
    if steps and rest_s <= spare_s:
        return steps
    return steps + max(0, min(per_epoch - 1, int((rest_s - validation_s) / step_s)))
