from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.schedule import Schedule


def filled(per_host: int, interval_s: float, *jobs: tuple[str, str]) -> Schedule[str]:
    schedule: Schedule[str] = Schedule(per_host, interval_s)
    for order, (host, job) in enumerate(jobs):
        schedule.add(host, job, order)
    return schedule


def test_a_host_gets_no_more_than_its_share_at_once() -> None:
    schedule = filled(2, 0.0, ("a", "1"), ("a", "2"), ("a", "3"))
    assert [schedule.take(0.0), schedule.take(0.0), schedule.take(0.0)] == [("a", "1"), ("a", "2"), None]
    assert schedule.wait_s(0.0) is None
    schedule.done("a")
    assert schedule.take(0.0) == ("a", "3")


def test_requests_of_one_host_are_an_interval_apart_and_others_do_not_wait() -> None:
    schedule = filled(4, 0.5, ("a", "1"), ("a", "2"), ("b", "3"))
    assert [schedule.take(10.0), schedule.take(10.0), schedule.take(10.0)] == [("a", "1"), ("b", "3"), None]
    assert schedule.wait_s(10.0) == pytest.approx(0.5)
    assert schedule.take(10.49) is None
    assert schedule.take(10.5) == ("a", "2")


def test_a_long_list_of_one_host_does_not_keep_others_waiting() -> None:
    schedule = filled(100, 0.0, *[("long", str(n)) for n in range(50)], ("short", "x"))
    taken = [schedule.take(float(turn)) for turn in range(3)]
    assert ("short", "x") in taken


def test_a_retry_waits_for_its_time_while_others_go_first() -> None:
    schedule = filled(1, 0.0, ("a", "1"), ("a", "2"))
    assert schedule.take(0.0) == ("a", "1")
    schedule.add("a", "1 again", 0, not_before=5.0)
    schedule.done("a")
    assert schedule.take(0.0) == ("a", "2")
    schedule.done("a")
    assert schedule.take(0.0) is None
    assert schedule.wait_s(1.0) == pytest.approx(4.0)
    assert schedule.take(5.0) == ("a", "1 again")
    schedule.done("a")
    assert schedule.open == 0


def test_a_paused_host_rests_and_a_slowed_one_keeps_its_pace() -> None:
    schedule = filled(1, 0.0, ("a", "1"), ("a", "2"), ("a", "3"))
    schedule.pause("a", 3.0)
    assert schedule.take(2.9) is None
    schedule.slow_down("a", 10.0)
    assert schedule.take(3.0) == ("a", "1")
    schedule.done("a")
    assert schedule.wait_s(3.0) == pytest.approx(10.0)


def test_a_host_given_up_returns_its_jobs_in_order() -> None:
    schedule = filled(1, 0.0, ("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"))
    assert schedule.take(0.0) == ("a", "1")
    assert schedule.drop("a") == ["3", "4"]
    schedule.done("a")
    assert schedule.take(0.0) == ("b", "2")
    schedule.done("b")
    assert (schedule.open, schedule.take(9.0), schedule.wait_s(9.0)) == (0, None, None)


def test_jobs_of_one_order_start_as_they_came_and_are_never_compared() -> None:
    first, second, third = ({"job": number} for number in range(3))  # dicts have no order
    schedule: Schedule[dict[str, int]] = Schedule(1, 0.0)
    for job in (first, second, third):
        schedule.add("a", job, -1)
    assert schedule.take(0.0) == ("a", first)
    assert schedule.drop("a") == [second, third]


@given(
    st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 3), st.sampled_from([0.0, 0.25, 1.0]),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_every_job_runs_once_within_the_limits(hosts: list[str], per_host: int, interval_s: float, chance) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    schedule = filled(per_host, interval_s, *[(host, f"{host}{n}") for n, host in enumerate(hosts)])
    now = 0.0
    running: list[str] = []
    ran: list[str] = []
    last: dict[str, float] = {}
    while schedule.open:
        taken = schedule.take(now)
        if taken:
            host = taken[0]
            assert sum(one == host for one in running) < per_host
            assert now - last.get(host, -9.0) >= interval_s
            last[host] = now
            running.append(host)
            ran.append(taken[1])
        elif running and (schedule.wait_s(now) is None or chance.random() < 0.5):
            schedule.done(running.pop(chance.randrange(len(running))))
        else:
            wait_s = schedule.wait_s(now)
            assert wait_s is not None, "work is left, nothing runs, and nothing is waited for"
            now += wait_s
    assert sorted(ran) == sorted(f"{host}{n}" for n, host in enumerate(hosts))


def test_a_host_without_a_job_is_forgotten_once_its_pause_is_over() -> None:
    schedule: Schedule[int] = Schedule(4, 0.5)
    for number in range(1_000):
        schedule.add(f"host{number}", number, number)
    for _ in range(1_000):
        taken = schedule.take(10.0)
        assert taken
        schedule.done(taken[0])
    assert len(schedule._hosts) == 1_000  # none may be asked again before 10.5
    schedule.add("host7", 7, 7)
    assert schedule.take(10.4) is None
    assert schedule.take(10.5) == ("host7", 7)
    assert set(schedule._hosts) == {"host7"}
    schedule.pause("host7", 99.0)
    schedule.done("host7")
    assert schedule.take(98.0) is None
    schedule.add("host7", 8, 8)
    assert (schedule.take(98.9), schedule.take(99.0)) == (None, ("host7", 8))


def test_a_host_that_was_forgotten_can_be_slowed_down_and_paused() -> None:
    schedule: Schedule[int] = Schedule(4, 0.0)
    schedule.pause("a", 5.0)
    schedule.slow_down("a", 2.0)
    schedule.add("a", 1, 1)
    schedule.add("a", 2, 2)
    assert (schedule.take(4.0), schedule.take(5.0), schedule.take(6.9), schedule.take(7.0)) == (
        None, ("a", 1), None, ("a", 2),
    )  # fmt: skip
