"""Sitemaps (sitemaps.org, with Google's image namespace): the pages of a site and the pictures on them.

Read by expat's handlers as it comes: a document type is refused, so that no entity can unfold, and depth,
text and entries are capped. A sitemap may be packed with gzip and then has at most 50 MB, as the protocol says.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from xml.parsers import expat

from pictus.collect.licences import licence_of
from pictus.collect.searches import Hit, text_in
from pictus.errors import PictureError

Entry = TypeVar("Entry", Hit, str)

MAX_BYTES = 50 << 20
"""sitemaps.org: a sitemap has at most 50 MB unpacked and 50,000 entries."""

MOST_ENTRIES = 50_000

MOST_PICTURES = 1_000
"""Google's image namespace: one <url> names at most 1,000 pictures."""

_MOST_DEPTH = 32
_MOST_TEXT = 8_000  # no address is longer
_IMAGE = "http://www.google.com/schemas/sitemap-image/1.1"
_SAID = frozenset({"image:loc", "image:title", "image:caption", "image:license"})
_BLANK = b" \t\r\n"


class Sitemap(NamedTuple):
    """What one file says. `pages` hold no pictures that it names; `maps`: further sitemaps."""

    hits: tuple[Hit, ...]
    pages: tuple[str, ...]
    maps: tuple[str, ...]
    is_cut: bool = False


def unpacked(body: bytes) -> bytes:
    """The body as it is, or unpacked where it is gzip, of whatever name; PictureError `bomb` for too much."""
    if body[:2] != b"\x1f\x8b":
        return body
    packed = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        found = packed.decompress(body, MAX_BYTES + 1)
    except zlib.error as error:
        raise PictureError("truncated", f"gzip: {error}") from error
    if len(found) > MAX_BYTES or packed.unconsumed_tail:
        raise PictureError("bomb", f"a sitemap has at most {MAX_BYTES >> 20} MB; {len(body):,} bytes unpack to more")
    if not packed.eof:
        raise PictureError("truncated", "the packed sitemap ends too early")
    return found


def is_sitemap(body: bytes) -> bool:
    """Whether an (unpacked) answer is a sitemap, by its first bytes."""
    start = body[:4_096].lstrip(b"\xef\xbb\xbf" + _BLANK)
    return start.startswith((b"<urlset", b"<sitemap")) or (start[:5] == b"<?xml" and b"<html" not in start.lower())


def parse_sitemap(body: bytes) -> Sitemap:
    """A sitemap or an index of sitemaps. PictureError `bomb` for a document type, `not-a-page` for other XML."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        if not reader.is_sitemap:
            raise PictureError("not-a-page", f"XML: {error}") from error
        reader.is_cut = True  # what came before the fault counts
    if not reader.is_sitemap:
        raise PictureError("not-a-page", "XML that is no sitemap")
    return Sitemap(tuple(reader.hits), tuple(reader.pages), tuple(reader.maps), reader.is_cut)


@dataclass
class _Entry:
    """One <url> while it is read."""

    page: str = ""
    hits: list[Hit] = field(default_factory=list)


class _Reader:
    """expat's handlers."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.pages: list[str] = []
        self.maps: list[str] = []
        self.is_sitemap = self.is_cut = False
        self._path: list[str] = []  # names of the open elements
        self._said: list[str] = []
        self._length = 0
        self._entry = _Entry()
        self._image: dict[str, str] = {}

    def doctype(self, *_: object) -> None:
        raise PictureError("bomb", "a document type, in which entities can be defined: a sitemap has none")

    def start(self, name: str, _: object) -> None:
        if len(self._path) == _MOST_DEPTH:
            raise PictureError("bomb", f"elements more than {_MOST_DEPTH} deep")
        space, _, local = name.rpartition(" ")
        tag = f"image:{local}" if space == _IMAGE else local
        if not self._path:
            self.is_sitemap = local in {"urlset", "sitemapindex"}
            if not self.is_sitemap:
                raise PictureError("not-a-page", f"XML that is no sitemap but <{text_in(local)[:40]}>")
        elif tag in {"url", "sitemap"}:
            self._entry = _Entry()
        elif tag == "image:image":
            self._image = {}
        self._path.append(tag)
        self._said, self._length = [], 0

    def text(self, data: str) -> None:
        if self._length < _MOST_TEXT:
            self._said.append(data)
            self._length += len(data)

    def end(self, _: str) -> None:
        tag, said = self._path.pop(), "".join(self._said).strip()
        self._said, self._length = [], 0
        inside = self._path[-1] if self._path else ""
        if tag == "loc" and inside == "url":
            self._entry.page = said
        elif tag == "loc" and inside == "sitemap":
            self._put(self.maps, said)
        elif inside == "image:image":
            if tag in _SAID:
                self._image[tag] = said
        elif tag == "image:image":
            told = self._image
            title = text_in(told.get("image:title")) or text_in(told.get("image:caption"))
            licence = licence_of(text_in(told.get("image:license")))
            self._put(self._entry.hits, Hit(told.get("image:loc", ""), licence=licence, title=title), MOST_PICTURES)
        elif tag == "url":
            if self._entry.hits:
                for hit in self._entry.hits:
                    self._put(self.hits, hit._replace(page=self._entry.page))
            elif self._entry.page:
                self._put(self.pages, self._entry.page)

    def _put(self, where: list[Entry], what: Entry, most: int | None = None) -> None:
        if len(where) < (MOST_ENTRIES if most is None else most):
            where.append(what)
        else:
            self.is_cut = True
