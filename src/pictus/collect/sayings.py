"""What the owner of an origin says about all of it, remembered while there is room."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from pictus.collect.addresses import Url
from pictus.collect.reservations import TDM_TARGET, Reservations
from pictus.collect.robots import LASTS_S, Rules

ROBOTS = "/robots.txt"

MAX_SAID_BYTES = 64 * 2**20
"""Beyond it what was needed least lately is forgotten, and asked for again if it must be."""

_ENTRY_BYTES = 500  # origin, tuple, place in the order
_RULE_BYTES = 400  # of a reservation


class Said(NamedTuple):
    """robots.txt and tdmrep.json of an origin, read at `read_at`."""

    read_at: float
    rules: Rules
    reservations: Reservations = Reservations()

    def refusal(self, url: Url) -> tuple[str, str]:
        """(cause, detail) why a picture there is not asked for, ("", "") when it may be."""
        rules = self.rules
        if rules.cause:
            return rules.cause, rules.detail
        if not rules.allow(url):
            return "robots", f"{url.origin}{ROBOTS}"
        if agent := rules.shut_out(url):
            return "robots-ai", f"{url.origin}{ROBOTS} shuts out {agent}"
        if self.reservations.reserve(url):
            return "tdm-reserved", f"{url.origin}{TDM_TARGET}"
        return "", ""


class Sayings:
    """Origin -> what its owner says, for at most 24 hours and within `most` bytes; the newest is always kept."""

    def __init__(self, most: int = MAX_SAID_BYTES) -> None:
        self._most = most
        self._said: OrderedDict[str, Said] = OrderedDict()  # the longest not needed first
        self.used = 0

    def remember(self, origin: str, said: Said) -> None:
        """It was read."""
        self._forget(origin)
        self._said[origin] = said
        self.used += _size(said)
        while self.used > self._most and len(self._said) > 1:
            self._forget(next(iter(self._said)))

    def known(self, origin: str, now: float) -> Said | None:
        """What is still valid of it."""
        said = self._said.get(origin)
        if said is None:
            return None
        if now - said.read_at > LASTS_S:
            self._forget(origin)
            return None
        self._said.move_to_end(origin)
        return said

    def _forget(self, origin: str) -> None:
        if said := self._said.pop(origin, None):
            self.used -= _size(said)


def _size(said: Said) -> int:
    return _ENTRY_BYTES + said.rules.size + _RULE_BYTES * len(said.reservations.rules)
