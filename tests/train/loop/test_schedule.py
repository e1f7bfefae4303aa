from __future__ import annotations

import pytest

from pictus.train.loop.schedule import SCHEDULES, Plan, averaging, learning_rate, momentum, side


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


def _falling(name: str, positions: tuple[float, ...]) -> list[float]:
    return [learning_rate(position, 1.0, 0.0, name) for position in positions]


def test_every_schedule_falls_from_the_peak_as_its_name_says() -> None:
    assert _falling("linear", (0, 0.25, 1)) == pytest.approx([1, 0.75, 0])
    assert _falling("constant", (0, 0.5, 1)) == [1, 1, 1]
    assert _falling("step", (0, 0.3, 0.35, 0.65, 0.7, 1)) == [1, 1, 0.1, 0.1, 0.01, 0.01]
    for name in SCHEDULES.names():
        falling = _falling(name, tuple(place / 50 for place in range(51)))
        assert falling == sorted(falling, reverse=True), name
        assert learning_rate(0.1, 1.0, 0.2, name) < 1 or name == "one-cycle", "half way up"


def test_one_cycle_is_torch_s() -> None:
    import torch

    # torch counts its steps so that the last one, 100, is the end; ours asks for a position.
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, total_steps=101, pct_start=0.3)
    for step in range(101):
        # Its rise ends at 0.3 x 101 - 1 steps and ours at 0.3 of the way: the same place with a warm-up of 29.3 / 100.
        position, warmup = step / 100, (0.3 * 101 - 1) / 100
        assert learning_rate(position, 0.4, warmup, "one-cycle") == pytest.approx(optimizer.param_groups[0]["lr"])
        assert momentum(position, warmup, "one-cycle") == pytest.approx(optimizer.param_groups[0]["momentum"])
        if step < 100:
            optimizer.step()
            cycle.step()
    assert momentum(0.5, 0.3, "cosine") is None


def test_sides_grow_in_steps_of_16_to_the_full_one() -> None:
    # Half of 128 at the start, all of it at three quarters of the way: 64 + 64 p / 0.75.
    assert [side(position, 128, 0.5) for position in (0, 0.2, 0.4, 0.6, 0.75, 1)] == [64, 80, 96, 112, 128, 128]
    assert [side(0.0, full, 0.25) for full in (24, 32, 48, 224)] == [24, 32, 32, 64]
    assert [side(position, 32, 0.5, 16) for position in (0, 0.18, 0.19, 0.56, 0.57, 1)] == [16, 16, 24, 24, 32, 32]
    assert side(0.8, 50, 0.5) == 50
    assert {side(place / 20, 64, 1.0) for place in range(21)} == {64}
