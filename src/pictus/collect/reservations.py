"""TDMRep: an owner reserves the rights of text and data mining (W3C Community Group report, May 2024).

Two of its three signs concern a picture: the file /.well-known/tdmrep.json of its origin, a list of
{"location": pattern, "tdm-reservation": 0 or 1}, and the header `tdm-reservation` of the answer itself.
(The third stands in the head of web pages: see what finds pictures there.) All three are read so that a doubt counts
for the owner: who took the trouble to write such a sign, though not as the report has it, hardly meant to permit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pictus.collect.addresses import Url

TDM_TARGET = "/.well-known/tdmrep.json"
TDM_HEADER = "tdm-reservation"
MAX_TDM_BYTES = 64 * 1024
"""A longer file is not read, and reserves everything; one of 1,000 rules has half of it."""
_MOST_RULES = 1_000
_NOTHING = frozenset({"", "0", "0.0", "false", "no", "none", "null", "off"})
_DEEPEST = 3  # objects and lists around the rules


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


def reserves(said: object) -> bool:
    """Whether the value of a sign reserves: anything does but 0, false, and nothing at all.

    Of a text each of several values counts, without quotes and parameters: `0, 1`, `"1"` and `1;x` reserve.
    """
    if isinstance(said, str):
        values = (value.partition(";")[0].strip(" \t\r\n\"'") for value in said.split(","))
        return any(value.lower() not in _NOTHING for value in values)
    return bool(said)


def reservations_of(status: int, body: bytes) -> Reservations:
    """Read tdmrep.json: a list of rules, or an object around them or for one of them.

    What is no such file reserves nothing: often it is a web page that says 404 with status 200. One that is too long,
    or damaged and speaks of a reservation, reserves everything, and so does a rule without a place that can be read.
    """
    is_json = body.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] in (b"[", b"{")
    if status != 200 or not is_json:  # noqa: PLR2004  OK
        return Reservations()
    if len(body) > MAX_TDM_BYTES:
        return Reservations((_EVERYTHING,))
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError):
        return Reservations((_EVERYTHING,) if TDM_HEADER.encode() in body.lower() else ())
    rules = [rule for entry in _entries(listed) for rule in _rules(entry)]
    if len(rules) > _MOST_RULES:
        return Reservations((_EVERYTHING,))
    return Reservations(tuple(sorted(rules, key=lambda rule: (-rule.length, not rule.is_reserved))))


_EVERYTHING = _Rule(1, ("/",), is_whole=False, is_reserved=True)


def _entries(node: Any, depth: int = 0) -> Iterator[dict[str, Any]]:  # noqa: ANN401  JSON from a stranger
    """The objects that hold a reservation, in order."""
    named = {key.lower(): value for key, value in node.items()} if isinstance(node, dict) else {}
    if TDM_HEADER in named:
        yield named
    elif isinstance(node, (dict, list)) and depth < _DEEPEST:
        for inner in named.values() if isinstance(node, dict) else node:
            yield from _entries(inner, depth + 1)


def _rules(entry: dict[str, Any]) -> Iterator[_Rule]:
    """{"location": "/pictures/*", "tdm-reservation": 1}: `*` is any text, `$` the end, as in robots.txt."""
    given, is_reserved = entry.get("location"), reserves(entry[TDM_HEADER])
    places = [place for place in (given if isinstance(given, list) else [given]) if isinstance(place, str) and place]
    if not places and is_reserved:
        yield _EVERYTHING
    for place in places:
        if "://" in place and place[0] not in "/*":  # a whole address: its path counts
            place = place.partition("://")[2].partition("/")[2]  # noqa: PLW2901
        location = place if place.startswith(("/", "*")) else f"/{place}"
        yield _Rule(len(location), tuple(location.removesuffix("$").split("*")), location.endswith("$"), is_reserved)
