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
_FOLLOWS = 0.25  # the share of a growth in number that the rate must follow with
_TOO_MANY_FAILURES = 0.1  # more than is usual for this list
_LESS = 0.7
_RESTS = 4  # periods


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
        self._usual_failures: float | None = None  # share, a running mean
        self._before: tuple[int, float] | None = None  # limit and rate before the last step up
        self._is_doubling = True
        self._is_new = False  # the limit has changed: what ends now was begun before
        self._rest = 0  # periods until the next try at more

    def ended(self, now: float, *, is_failure: bool, running: int) -> None:
        """One request has ended, `running` ran with it. `is_failure`: the way there failed, not the picture."""
        if self._since is None:
            self._since = now
        self._ended += 1
        self._failed += is_failure
        self._was_full |= running >= self.limit
        if now - self._since < _PERIOD_S or self._ended < max(_FEW, self.limit):
            return  # every request that ran when the period began has had its turn to end
        if self._is_new:
            self._is_new = False
        else:
            limit = self.limit
            self._settle(now - self._since)
            self._is_new = self.limit != limit
        self._since, self._ended, self._failed, self._was_full = now, 0, 0, False

    def _settle(self, seconds: float) -> None:
        rate, failures = (self._ended - self._failed) / seconds, self._failed / self._ended
        usual = failures if self._usual_failures is None else self._usual_failures
        self._usual_failures = usual + 0.2 * (failures - usual)
        before, self._before = self._before, None
        if failures > usual + _TOO_MANY_FAILURES:
            self._is_doubling, self._rest = False, _RESTS
            self.limit = max(self._least, int(self.limit * _LESS))
        elif before and rate < before[1] * (1 + _FOLLOWS * (self.limit / before[0] - 1)):
            self._is_doubling, self._rest = False, _RESTS
            self.limit = max(self._least, before[0])
        elif self._rest:
            self._rest -= 1
        elif self._was_full and self.limit < self._most:  # else hosts, not this number, hold the rate
            self._before = self.limit, rate
            step = self.limit if self._is_doubling else max(1, self.limit // 8)
            self.limit = min(self._most, self.limit + step)
