"""How much memory the bodies on their way may take together, whoever sends them. Pure: no clock, no network.

Each body takes a share in steps, as its bytes come: what a server only announces takes nothing. A step that does
not fit waits, and with it the connection that it would be read from. Bodies of one step (most pictures) may fill
three quarters of the memory and longer ones half, so that a few fat ones that trickle do not keep the small ones
out. The last quarter is for the oldest body: it always goes on, so that there is always one that ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class Memory:
    """At most `most` bytes in use, of which one body may need `longest`; ended ones count until they are taken."""

    def __init__(self, most: int, longest: int, most_held: int) -> None:
        self._for_first = max(0, most - longest)
        self._for_more = max(0, self._for_first - most // 4)
        self._most_held = most_held
        self._shares: OrderedDict[Share, None] = OrderedDict()  # of those with any, the oldest first
        self._waiting = 0
        self.held = 0  # bytes that have ended
        self.used = 0  # held, and on their way
        self.most_used = 0

    @property
    def is_used_up(self) -> bool:
        """Whether no new request should be started."""
        return self.held >= self._most_held or self.used >= self._for_first

    def hold(self, size: int) -> None:
        """A body of this size has ended and stays until `give_back`."""
        self.held += size
        self._add(size)

    def give_back(self, size: int) -> None:
        """What was held has been taken."""
        self.held -= size
        self._add(-size)
        self._serve()

    def _take(self, share: "Share", size: int) -> bool:
        self._shares.setdefault(share)
        most = self._for_more if share.taken else self._for_first
        is_oldest = self.held < self._most_held and next(iter(self._shares)) is share
        if not is_oldest and self.used + size > most:
            return False
        share.taken += size
        self._add(size)
        return True

    def _leave(self, share: "Share") -> None:
        if share in self._shares:
            del self._shares[share]
            self._waiting -= share.wanted > 0
            self._add(-share.taken)
            share.taken = share.wanted = 0
            self._serve()

    def _serve(self) -> None:
        """Those that wait, the oldest first, as far as it goes."""
        if not self._waiting:
            return
        for share in [share for share in self._shares if share.wanted]:
            if share.wanted and share in self._shares and self._take(share, share.wanted):
                share.wanted = 0
                self._waiting -= 1
                share.go_on()

    def _wait(self, share: "Share", size: int) -> None:
        self._waiting += not share.wanted
        share.wanted = max(share.wanted, size)

    def _add(self, size: int) -> None:
        self.used += size
        self.most_used = max(self.most_used, self.used)


class Share:
    """What one body takes. `go_on` is called when a step that had to wait has been given."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.taken = 0
        self.wanted = 0  # the step that waits
        self.go_on: Callable[[], None] = _nothing

    @property
    def is_waiting(self) -> bool:
        """Whether nothing more should be read for now."""
        return self.wanted > 0

    def take(self, size: int) -> bool:
        """One step more; False where it must wait."""
        if not self.wanted and self._memory._take(self, size):  # noqa: SLF001  two halves of one thing
            return True
        self._memory._wait(self, size)  # noqa: SLF001
        return False

    def leave(self) -> None:
        """The body has ended; what is kept of it was given to `hold` before."""
        self._memory._leave(self)  # noqa: SLF001


def _nothing() -> None:
    """Nobody reads yet."""


def unlimited() -> Share:
    """A share of a memory of its own."""
    return Share(without_limit())


def without_limit() -> Memory:
    """For who has one body at a time."""
    return Memory(2**62, 0, 2**62)
