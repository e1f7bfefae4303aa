"""Whose turn it is: many hosts at once, each asked politely. Pure: the time comes in as an argument."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass
class _Host(Generic[Job]):
    waiting: list[tuple[float, int, int, Job]] = field(default_factory=list)  # (not before, order, number, job), a heap
    busy: int = 0
    next_at: float = 0.0
    interval_s: float = 0.0
    turn: int = -1  # the number of its valid entry among the turns, -1 for none
    ready_at: float = 0.0  # of that entry
    rests: bool = False  # it stands among those that may be forgotten


class Schedule(Generic[Job]):
    """Jobs of many hosts. Each host has at most `per_host` at once, started `interval_s` apart.

    Hosts take turns by the time from which they may be asked, so that a long list of one host
    never keeps the others waiting. A host without a job is forgotten as soon as it may be asked again.
    """

    def __init__(self, per_host: int, interval_s: float) -> None:
        self._per_host = per_host
        self._interval_s = interval_s
        self._hosts: dict[str, _Host[Job]] = {}
        self._turns: list[tuple[float, int, str]] = []  # (ready at, number, host), a heap; old entries stay in it
        self._resting: list[tuple[float, str]] = []  # (may be asked again at, host without a job), a heap
        self._numbers = count()
        self.open = 0  # jobs added and not done

    def add(self, host: str, job: Job, order: int, not_before: float = 0.0) -> None:
        """One job more; of one host, lower `order` first among those that may start."""
        place = self._place(host)
        heapq.heappush(place.waiting, (not_before, order, next(self._numbers), job))  # jobs are never compared
        self.open += 1
        self._set_turn(host, place)

    def take(self, now: float) -> tuple[str, Job] | None:
        """The next job that may start, or None."""
        self._forget(now)
        if self._has_turn():
            ready_at, _, host = self._turns[0]
            if ready_at > now:
                return None
            heapq.heappop(self._turns)
            place = self._hosts[host]
            *_, job = heapq.heappop(place.waiting)
            place.busy += 1
            place.turn = -1
            place.next_at = max(place.next_at, now + place.interval_s)
            self._set_turn(host, place)
            return host, job
        return None

    def wait_s(self, now: float) -> float | None:
        """Seconds until `take` may give a job; None when only a `done` can bring one."""
        return max(0.0, self._turns[0][0] - now) if self._has_turn() else None

    def done(self, host: str) -> None:
        """A job that was taken has ended (it may have been added again before)."""
        place = self._place(host)
        place.busy -= 1
        self.open -= 1
        self._set_turn(host, place)

    def pause(self, host: str, until: float) -> None:
        """Ask this host for nothing before `until`."""
        place = self._place(host)
        place.next_at = max(place.next_at, until)
        self._set_turn(host, place)

    def slow_down(self, host: str, interval_s: float) -> None:
        """Leave at least this much time between two requests of this host."""
        place = self._place(host)
        place.interval_s = max(place.interval_s, interval_s)

    def drop(self, host: str) -> list[Job]:
        """Take all waiting jobs of a host away, in order: it is given up."""
        place = self._place(host)
        dropped = [job for *_, job in sorted(place.waiting, key=lambda entry: entry[1:3])]
        place.waiting.clear()
        self.open -= len(dropped)
        self._set_turn(host, place)
        return dropped

    def _place(self, host: str) -> _Host[Job]:
        if host not in self._hosts:
            self._hosts[host] = _Host(interval_s=self._interval_s)
            self._rest(host, self._hosts[host])
        return self._hosts[host]

    def _rest(self, host: str, place: _Host[Job]) -> None:
        if not place.rests:
            place.rests = True
            heapq.heappush(self._resting, (place.next_at, host))

    def _forget(self, now: float) -> None:
        """Those that have no job and owe their host no pause any more."""
        while self._resting and self._resting[0][0] <= now:
            _, host = heapq.heappop(self._resting)
            place = self._hosts[host]
            place.rests = False
            if place.waiting or place.busy:
                continue
            if place.next_at <= now:
                del self._hosts[host]
            else:
                self._rest(host, place)

    def _has_turn(self) -> bool:
        """Whether a host has a turn, now or later; entries that are no longer valid are taken away."""
        while self._turns:
            _, number, host = self._turns[0]
            place = self._hosts.get(host)
            if place is not None and number == place.turn:
                return True
            heapq.heappop(self._turns)
        return False

    def _set_turn(self, host: str, place: _Host[Job]) -> None:
        if not place.waiting and not place.busy:
            self._rest(host, place)
        if not place.waiting or place.busy >= self._per_host:
            place.turn = -1
            return
        ready_at = max(place.next_at, place.waiting[0][0])
        if place.turn < 0 or place.ready_at != ready_at:
            place.turn, place.ready_at = next(self._numbers), ready_at
            heapq.heappush(self._turns, (ready_at, place.turn, host))
