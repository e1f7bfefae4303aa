from __future__ import annotations

import pytest

from pictus.collect.pace import LEAST, START, Pace


def simulated(
    pace: Pace, *, latency_s: float, capacity: float, breaks_at: int = 10**9, seconds: int = 90
) -> list[int]:  # fmt: skip
    """The limit after each second of a network that answers after `latency_s`, `capacity` times a second at most.

    With more than `breaks_at` at once, every second request fails.
    """
    limits = []
    for second in range(seconds):
        rate = min(pace.limit / latency_s, capacity)
        ends = int(rate)
        for end in range(ends):
            is_failure = pace.limit > breaks_at and end % 2 == 0
            pace.ended(second + end / ends, is_failure=is_failure, running=pace.limit)
        limits.append(pace.limit)
    return limits


def test_far_hosts_get_more_connections_until_that_brings_nothing() -> None:
    # 1 s away, 1,000 pictures a second at most: about 1,000 connections are what it takes
    limits = simulated(Pace(4_000), latency_s=1.0, capacity=1_000)
    assert 700 <= limits[-1] <= 2_000
    assert max(limits) <= 2_100


def test_a_full_line_gets_no_more_connections() -> None:
    limits = simulated(Pace(4_000), latency_s=0.01, capacity=1_000)  # 10 are enough
    assert max(limits) <= 2 * START
    assert limits[-1] <= START + START // 8


def test_failures_take_connections_away() -> None:
    limits = simulated(Pace(4_000), latency_s=1.0, capacity=10_000, breaks_at=300)
    assert max(limits) <= 600
    assert sum(limits[30:]) / len(limits[30:]) <= 400
    assert min(limits[30:]) >= LEAST


def test_what_the_hosts_hold_back_is_no_reason_for_more() -> None:
    pace = Pace(4_000)
    for end in range(2_000):
        pace.ended(end / 50, is_failure=False, running=5)
    assert pace.limit == START


@pytest.mark.parametrize("most", [1, 4, 100])
def test_there_are_never_more_than_the_most(most: int) -> None:
    limits = simulated(Pace(most), latency_s=1.0, capacity=10_000)
    assert max(limits) == most


def test_a_list_of_dead_hosts_does_not_count_as_a_failing_line_for_ever() -> None:
    pace = Pace(1_000)
    for end in range(60_000):
        pace.ended(end / 1_000, is_failure=end % 2 == 0, running=pace.limit)  # half of them, always
    assert pace.limit >= START // 2
