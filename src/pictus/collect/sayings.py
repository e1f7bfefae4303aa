"""What an owner says: of all of an origin (robots.txt, tdmrep.json), and in the header of one answer.

Pictures and pages are asked for by the same rules. Where two signs differ the stricter one counts: a header
`tdm-reservation: 0` does not lift what tdmrep.json reserves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from pictus.collect.addresses import Url
from pictus.collect.causes import NO_ANSWER
from pictus.collect.reservations import TDM_HEADER, TDM_TARGET, Reservations, reserves
from pictus.collect.robots import LASTS_S, NO_AI, Rules, opts_out, rules_of
from pictus.errors import PictureError

ROBOTS = "/robots.txt"

MAX_SAID_BYTES = 64 * 2**20
"""Beyond it what was needed least lately is forgotten, and asked for again if it must be."""

_ENTRY_BYTES = 500  # origin, tuple, place in the order
_RULE_BYTES = 400  # of a reservation


class End(NamedTuple):
    """How the request for a file of an origin ended. `status`: 0 for no answer; `hops`: redirects followed."""

    cause: str
    detail: str
    status: int
    body: bytes
    hops: int


def rules_from(end: End) -> Rules:
    """What the end of a request for robots.txt means for its origin (RFC 9309 section 2.3.1)."""
    if end.cause == "ok" or end.cause.startswith("http-"):
        return rules_of(end.status, end.body)
    if end.cause == "redirect" and end.status:
        return Rules(None)  # section 2.3.1.2: after five it counts as not there
    if end.cause in {*NO_ANSWER, "private-address"} and not end.hops:
        return Rules(None, end.cause, end.detail)  # so would everything of this origin fail
    return Rules(None, "robots-unreachable", f"{end.cause} {end.detail}".strip())


def refusal_of(pairs: Iterable[tuple[str, str]], words: Collection[str] = NO_AI) -> PictureError | None:
    """Why an owner does not want it used, by the header of the answer; None where nothing is said.

    pairs: (name in lower case, value), as they came. words: what counts as a no in X-Robots-Tag.
    """
    tags = [value for name, value in pairs if name == "x-robots-tag"]
    if opts_out(tags, words):
        return PictureError("opt-out", f"X-Robots-Tag: {', '.join(tags)[:200]}")
    if said := [value for name, value in pairs if name == TDM_HEADER and reserves(value)]:
        return PictureError("tdm-reserved", f"{TDM_HEADER}: {', '.join(said)[:200]}")
    return None


class Said(NamedTuple):
    """robots.txt and tdmrep.json of an origin, read at `read_at`."""

    read_at: float
    rules: Rules
    reservations: Reservations = Reservations()

    def refusal(self, url: Url) -> tuple[str, str]:
        """(cause, detail) why what lies there is not asked for, ("", "") when it may be."""
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
