"""Search engines: what one is, and the registry of them.

An engine is a record with a function. The function gets the engine's endpoint, the words, their language, a
cursor ("" for the first page) and `ask`, a polite getter; it returns a page of hits and the next cursor, ""
after the last:

    from pictus.collect.searches import SEARCHES, Engine, Hit, Results, json_of

    def search(endpoint, query, language, cursor, ask):
        found = json_of(ask(f"{endpoint}?{urlencode({'q': query, 'page': cursor or '1'})}"))
        hits = tuple(Hit(row["file"], page=row["page"], licence=licence_of(row["licence"])) for row in found["rows"])
        return Results(hits, str(found["next"] or ""))

    mine = Engine("https://pictures.example.org/api", search, interval_s=1.0)

Register `mine` under the entry-point group `pictus.searches`, and `pictus collect find NAME` knows it. What
the function may raise: PictureError(cause, detail) for an answer that is none, BusyError for "later".
Everything an engine says is taken as a stranger's word: addresses, sizes and texts are checked by the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pictus.collect import causes
from pictus.collect.asking import Answer
from pictus.collect.html_tags import unescaped
from pictus.errors import PictureError, clipped
from pictus.registry import Registry

Ask = Callable[[str], Answer]
"""An address -> its answer; PictureError with the cause when there is none."""


class Hit(NamedTuple):
    """One picture that an engine, a page or a sitemap names. `page`: where people see it with its licence."""

    address: str
    page: str = ""
    licence: str = ""
    author: str = ""
    title: str = ""


class Results(NamedTuple):
    """One page of hits. `cursor`: what to ask the next page with, "" after the last."""

    hits: tuple[Hit, ...]
    cursor: str = ""


Search = Callable[[str, str, str, str, Ask], Results]
"""(endpoint, query, language, cursor, ask) -> one page. `language`: ISO 639, "" where it is not said."""


class Engine(NamedTuple):
    """A search engine. `interval_s` between two requests; `needs_contact`: it asks programs whom to write to."""

    endpoint: str
    search: Search
    interval_s: float = 1.0
    needs_contact: bool = False


SEARCHES: Registry[Engine] = Registry("search engine", "pictus.searches")


class BusyError(Exception):
    """The engine answered, but wants to be asked again later."""

    def __init__(self, wait_s: float, why: str) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        self.why = why


DONE = {
    "ok": "all pages were read",
    "limit": "there is more: raise --limit",
    "pages": "the engine has more pages than are read of one query",
    "loop": "the engine gave the same page again and again: the rest was left",
    "picture": "the address is a picture itself: give it to pictus collect fetch in a list",
    "no-pictures": "the page names no picture (one that a script draws is not seen)",
}
"""Causes after which the same is not asked again by itself, and what they mean."""

FAILED = {
    "bad-answer": "the answer is not what the engine's API gives (a page for people, an error): try later",
    "busy": "the engine is busy: try later",
    "not-a-page": "the answer is no web page and no sitemap",
    "robots": "the host's robots.txt forbids it: ask its owner, or leave it out",
    "opt-out": "the owner does not want it used (noai, noindex, tdm-reservation in the page): leave it out",
    "bomb": "made to do harm: it unpacks to far more than it should, or defines entities",
    "too-big": "more bytes than such an answer has",
    "http-401": "the engine wants a key, or fewer results at once",
    "http-403": "the host refuses us: say who you are with --contact",
    "http-404": "there is nothing at this address",
    "http-429": "we ask too often: try later",
    "not-asked": "the source was given up before its turn: the next run asks",
}

_FINAL = frozenset({"robots", "robots-ai", "tdm-reserved", "opt-out", "bomb", "too-big", "bad-url"})
_NEVER_THERE = frozenset({"http-400", "http-404", "http-410", "http-414"})
_MOST_TEXT = 500


def is_done(cause: str) -> bool:
    """Whether a query that ended so is left alone by the next run (`limit` depends on the limit)."""
    return cause in DONE or cause in _FINAL or cause in _NEVER_THERE


def advice(cause: str) -> str:
    """What a cause means and what to change, in one line."""
    return DONE.get(cause) or FAILED.get(cause) or causes.advice(cause)


def json_of(answer: Answer) -> dict[str, Any]:
    """The object in an answer; PictureError `bad-answer` when there is none, whatever the headers say."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise PictureError("bad-answer", f"{answer.url.host} sent no JSON but {clipped(answer.body, 60)}") from error
    if not isinstance(found, dict):
        raise PictureError("bad-answer", f"{answer.url.host} sent JSON that is no object: {clipped(answer.body, 60)}")
    return found


def text_in(value: object) -> str:
    """Text from a field that may be HTML, a number or not there: tags out, entities read, on one line, not long."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return line_in(unescaped(re.sub(r"<[^<>]{0,2000}>", " ", str(value)[:20_000])))


def line_in(text: str) -> str:
    """Plain text on one line, not long."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text[:20_000]).split())[:_MOST_TEXT]
