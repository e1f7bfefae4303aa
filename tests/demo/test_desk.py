"""The clock that the demo's desk goes by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pictus.demo.desk import Clock, clock_path


def test_it_begins_at_a_whole_minute_so_that_seconds_are_rounded_alike_in_every_run(tmp_path: Path) -> None:
    with closing(Clock(tmp_path)) as clock:
        assert clock.seconds % 60 == 0
        clock.set(clock.seconds + 1.9)
    assert clock_path(tmp_path).read_text(encoding="ascii").endswith(":01Z")


def test_it_goes_on_where_it_stood_and_never_back(tmp_path: Path) -> None:
    with closing(Clock(tmp_path)) as clock:
        began = clock.seconds
        clock.set(began + 100)
        clock.set(began)
    with closing(Clock(tmp_path)) as again:
        assert again.seconds == began + 100
