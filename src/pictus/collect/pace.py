"""How many requests at once: more while that brings more pictures, fewer when it brings failures. Pure: time comes in.

Additive increase and multiplicative decrease, as in TCP's congestion control (Chiu & Jain 1989), steered by
pictures per second: at first the number doubles as long as the rate follows; then it climbs in small steps
and steps back where a step brought nothing, so that it stays near the least number that gives the most.
"""

from __future__ import annotations

START = 64
LEAST = 8

_PERIOD_S = 1.0
_FEW = 20  # fewer ends than this tell nothing
_FOLLOWS = 0.25  # of a growth by a half, the share that the rate must follow with
_TOO_MANY_FAILURES = 0.1  # more than is usual for this list
_LESS = 0.7


class Pace:
    """`limit` requests may run at once, `most` of them at any time."""

    def __init__(self, most: int, start: int = START) -> None:
        self.limit = max(1, min(start, most))
        self._most = max(1, most)
        self._least = min(LEAST, self._most)
        self._since: float | None = None
        self._ended = 0
        self._failed = 0
        self._was_full = False
        self._usual_failures = 0.0  # share, a running mean
        self._before = (0, 0.0)  # limit and rate of the last full period
        self._is_doubling = True
        self._rest = 0  # periods until the next try at more

    def ended(self, now: float, *, is_failure: bool, running: int) -> None:
        """One request has ended, `running` ran with it. `is_failure`: the way there failed, not the picture."""
        if self._since is None:
            self._since = now
        self._ended += 1
        self._failed += is_failure
        self._was_full |= running >= self.limit
        if now - self._since >= _PERIOD_S and self._ended >= _FEW:
            self._settle(now - self._since)
            self._since, self._ended, self._failed, self._was_full = now, 0, 0, False

    def _settle(self, seconds: float) -> None:
        rate, failures = (self._ended - self._failed) / seconds, self._failed / self._ended
        is_worse = failures > self._usual_failures + _TOO_MANY_FAILURES
        self._usual_failures += 0.2 * (failures - self._usual_failures)
        if is_worse:
            self._is_doubling, self._rest, self._before = False, 4, (0, 0.0)
            self.limit = max(self._least, int(self.limit * _LESS))
            return
        if not self._was_full:
            return  # hosts, not this number, hold the rate
        limit_before, rate_before = self._before
        if limit_before and limit_before < self.limit:
            growth = self.limit / limit_before - 1
            if rate < rate_before * (1 + _FOLLOWS * growth):  # the last step up brought nothing: back, and rest
                self._is_doubling, self._rest = False, 4
                self.limit = max(self._least, limit_before)
                self._before = (0, 0.0)
                return
        self._before = (self.limit, rate)
        if self._rest:
            self._rest -= 1
            return
        step = self.limit if self._is_doubling else max(1, self.limit // 8)
        self.limit = min(self._most, self.limit + step)
