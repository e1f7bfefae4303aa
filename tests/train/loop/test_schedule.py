from __future__ import annotations

import pytest

from pictus.train.loop.schedule import Plan, averaging, learning_rate, replanned


def test_the_rate_rises_in_a_line_then_falls_along_half_a_cosine() -> None:
    # w = 0.2: half way up at 0.1, the peak at 0.2; half of it at 0.6, half way down; 0 at the end.
    found = [learning_rate(position, 3.0, 0.2) for position in (0, 0.1, 0.2, 0.6, 1)]
    assert found == pytest.approx([0, 1.5, 3, 1.5, 0])
    falling = [learning_rate(position / 100, 1, 0.2) for position in range(20, 101)]
    assert falling == sorted(falling, reverse=True)


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert learning_rate(0, 0.3, 0.0) == 0.3


def test_averaging_starts_quick_and_reaches_its_decay() -> None:
    assert averaging(0, 0.99) == 0.1  # (1 + 0) / (10 + 0)
    assert averaging(10**6, 0.99) == 0.99


def test_a_plan_leads_from_where_it_starts_to_the_end() -> None:
    plan = Plan(start=10, position=0.4, end=30)
    assert [plan.at(step) for step in (10, 20, 30)] == pytest.approx([0.4, 0.7, 1.0])


def _next(plan: Plan, step: int, left_s: float, epoch_s: float = 10) -> Plan:
    return replanned(plan, step, left_s=left_s, epoch_s=epoch_s, epoch_steps=5, most_steps=100)


def test_a_new_plan_goes_on_from_the_same_position_with_the_epochs_that_fit() -> None:
    # Step 10 of 100 is at 0.1; 47 s left are 4 epochs of 10 s and 5 steps.
    assert _next(Plan(0, 0.0, 100), 10, left_s=47) == Plan(10, 0.1, 30)


def test_a_plan_never_exceeds_the_most() -> None:
    assert _next(Plan(0, 0.0, 20), 10, left_s=10**6).end == 100


def test_a_run_out_of_time_gets_one_epoch_to_cool_down_in() -> None:
    assert _next(Plan(0, 0.0, 20), 10, left_s=-5) == Plan(10, 0.5, 15)
    assert _next(Plan(0, 0.0, 20), 20, left_s=-5) == Plan(20, 1.0, 20)
