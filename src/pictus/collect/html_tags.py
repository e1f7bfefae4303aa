"""The tags of a web page, one after another, in time that grows with its length only.

Python's html.parser takes a minute for some pages of 8 MB made to be slow (a million times "<a "), and raises
for others. This reads each sign once: what never ends (a comment, a tag, a quote) swallows the rest of the
page, as it does in a browser.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_TAG = 1 << 18
"""A longer tag is no tag that a page of pictures needs; reading ends there."""

MOST_TAGS = 200_000
"""Of one page: what comes after them is not read."""

_OPEN = re.compile(r"<(?=[a-zA-Z/!?])")
_NAME = re.compile(r"[a-zA-Z][^\s/>]{0,100}")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+([^\s/>="'][^\s/>=]{0,200})(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+|(?=>)))?+"""
)
_OPEN_QUOTE = re.compile(r"""\s*+=\s*+["']""")  # one that the pattern above found no end of
_SPACE = re.compile(r"[\s/]*+")
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_ENDS = {name: re.compile(f"</{name}", re.IGNORECASE) for name in _RAW}
_MANY_DIGITS = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")


class Tag(NamedTuple):
    """One tag. `text`: what stands in an element whose content is no HTML (script, title)."""

    name: str  # in lower case
    attributes: dict[str, str]  # names in lower case; of two with one name the first counts
    is_end: bool = False
    text: str = ""


def tags_of(page: str) -> Iterator[Tag]:
    """The tags of a page, in order, the first MOST_TAGS of them."""
    at = 0
    for _ in range(MOST_TAGS):
        opened = _OPEN.search(page, at)
        if not opened:
            return
        tag, at = _tag(page, opened.start())
        if tag:
            yield tag
        if at < 0:
            return


def _tag(page: str, at: int) -> tuple[Tag | None, int]:
    """What begins with the < at `at`, None for a comment, and where to read on: -1 when it never ends."""
    following = page[at + 1]
    if following in {"!", "?"}:
        return None, page.find("-->", at + 4) if page.startswith("<!--", at) else page.find(">", at)
    name = _NAME.match(page, at + (2 if following == "/" else 1))
    if not name:
        return None, page.find(">", at)
    kind = name[0].lower()
    if following == "/":
        return Tag(kind, {}, is_end=True), page.find(">", at)
    attributes, at = _attributes(page, name.end())
    if at < 0:
        return None, -1
    text, at = _raw(page, at, kind) if kind in _RAW else ("", at)
    return Tag(kind, attributes, text=text), at


def unescaped(text: str) -> str:
    """Entities read; numbers of absurd length, at which html.unescape raises, become one sign."""
    return html.unescape(_MANY_DIGITS.sub("\N{REPLACEMENT CHARACTER}", text)) if "&" in text else text


def _attributes(page: str, at: int) -> tuple[dict[str, str], int]:
    """The attributes from here on, and where the tag ends; -1 when it never does."""
    found: dict[str, str] = {}
    end = min(len(page), at + LONGEST_TAG)
    while at < end:
        space = _SPACE.match(page, at, end)
        at = space.end() if space else at
        if page[at : at + 1] == ">":
            return found, at
        one = _ATTRIBUTE.match(page, at, end)
        if not one:
            at += 1  # a stray quote or =: a browser goes on, too
            continue
        value = one[2] or ""
        if value[:1] in {'"', "'"}:
            value = value[1:-1]
        found.setdefault(one[1].lower(), unescaped(value).strip())
        at = one.end()
        if one[2] is None and _OPEN_QUOTE.match(page, at, end):
            return found, -1
    return found, -1


def _raw(page: str, at: int, kind: str) -> tuple[str, int]:
    """The text of an element that holds no tags, and where its end tag begins."""
    end = _ENDS[kind].search(page, at)
    return (page[at + 1 : end.start()], end.start()) if end else (page[at + 1 :], -1)
