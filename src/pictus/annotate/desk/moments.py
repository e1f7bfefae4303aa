"""Times as the journal keeps them (UTC, ISO 8601, to the second; they sort as texts): later ones, and differences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

HOUR_S = 3600
DAY_S = 24 * HOUR_S

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def later(at: str, seconds: float) -> str:
    """The time so many seconds after `at`."""
    return (_read(at) + timedelta(seconds=seconds)).strftime(_FORM)


def seconds_between(first: str, second: str) -> float:
    """From the first time to the second, in s; negative where the second comes before."""
    return (_read(second) - _read(first)).total_seconds()


def _read(at: str) -> datetime:
    return datetime.strptime(at, _FORM).replace(tzinfo=UTC)
