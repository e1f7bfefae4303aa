"""TDMRep: an owner reserves the rights of text and data mining (W3C Community Group report, May 2024).

Two of its three signs concern a picture: the file /.well-known/tdmrep.json of its origin, a list of
{"location": pattern, "tdm-reservation": 0 or 1}, and the header `tdm-reservation` of the answer itself.
(The third stands in the head of web pages: see what finds pictures there.)
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pictus.collect.addresses import Url

TDM_TARGET = "/.well-known/tdmrep.json"
TDM_HEADER = "tdm-reservation"
MAX_TDM_BYTES = 64 * 1024
"""A longer file is not read; one of 1,000 rules has half of it."""
_MOST_RULES = 1_000


class _Rule(NamedTuple):
    """`parts`: the texts between the stars of a location, in order. `is_whole`: the last stands at the very end."""

    length: int
    parts: tuple[str, ...]
    is_whole: bool
    is_reserved: bool

    def fit(self, target: str) -> bool:
        """Whether the location fits: each part found as early as can be, which takes time in proportion to both."""
        first, *rest = self.parts
        if not target.startswith(first):
            return False
        at = len(first)
        for number, part in enumerate(rest, start=1):
            if self.is_whole and number == len(rest):
                return len(target) - len(part) >= at and target.endswith(part)
            found = target.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return bool(rest) or not self.is_whole or target == first


class Reservations(NamedTuple):
    """What one origin's tdmrep.json says; no rules where there is none."""

    rules: tuple[_Rule, ...] = ()

    def reserve(self, url: Url) -> bool:
        """Whether the rights of mining what lies there are reserved: the longest pattern that fits decides."""
        return next((rule.is_reserved for rule in self.rules if rule.fit(url.target)), False)


def reservations_of(status: int, body: bytes) -> Reservations:
    """Read tdmrep.json. What is no such file reserves nothing; a rule that makes no sense is passed over."""
    if status != 200 or len(body) > MAX_TDM_BYTES:  # noqa: PLR2004  OK
        return Reservations()
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError):  # often a web page that says 404 with status 200
        return Reservations()
    rules = [rule for entry in (listed if isinstance(listed, list) else [])[:_MOST_RULES] if (rule := _rule(entry))]
    return Reservations(tuple(sorted(rules, key=lambda rule: (-rule.length, not rule.is_reserved))))


def _rule(entry: Any) -> _Rule | None:  # noqa: ANN401  JSON from a stranger
    """{"location": "/pictures/*", "tdm-reservation": 1}: `*` is any text, `$` the end, as in robots.txt."""
    if not isinstance(entry, dict):
        return None
    location, said = entry.get("location"), entry.get(TDM_HEADER)
    if not isinstance(location, str) or said not in (0, 1, "0", "1"):
        return None
    location = location if location.startswith(("/", "*")) else f"/{location}"
    parts = tuple(location.removesuffix("$").split("*"))
    return _Rule(len(location), parts, location.endswith("$"), str(said) == "1")
