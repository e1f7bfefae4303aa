"""The pictures of a web page, from its HTML alone: what is drawn by a script is not seen.

Taken are <img> (the largest of srcset, else data-src, else src), <picture>, links to picture files, og:image and
images in JSON-LD. A picture inside a link to a picture file is its small copy: the link counts. Icons and
counting pixels are passed over. What the page says of licence and author goes with its pictures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from pictus.archives import claims_picture
from pictus.collect.addresses import parse_url
from pictus.collect.html_tags import Tag, tags_of
from pictus.collect.licences import licence_of
from pictus.collect.reservations import TDM_HEADER, reserves
from pictus.collect.robots import AGENT, NO_PAGE
from pictus.collect.searches import Hit, line_in, text_in
from pictus.errors import PictureError

MOST_PICTURES = 10_000
"""Of one page; the rest is left, and said."""

MOST_JOINED = 8 << 20
"""Characters of links, each with the address it is joined with: 800 for each of 10,000 pictures. The rest is left."""

SMALLEST_PX = 32
"""A picture that its page draws smaller is an icon or a counting pixel."""

_ADDRESS = re.compile(r"[ \t\r\n\f,]*([^ \t\r\n\f,][^ \t\r\n\f]*)")
_BETWEEN = re.compile(r"[,;\s]+")  # the words of a meta robots: commas by the rule, the others in use
_DESCRIPTOR = re.compile(r"\s*(\d{1,6}(?:\.\d{1,4})?)[wx]")
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-hi-res-src")
_TYPES = frozenset({"", "image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff"})
_META_PICTURES = frozenset({"og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src"})
_MOST_JSON = 1 << 20
_MOST_NODES = 20_000
_LONGEST = 8_000  # no address is longer


class PagePictures(NamedTuple):
    """What a page names. `opt_out`: the words in which its owner says no ("" for none), then there are no hits."""

    hits: tuple[Hit, ...]
    opt_out: str = ""
    is_cut: bool = False


class _Sized(NamedTuple):
    address: str
    size: float  # of the candidates of one srcset: width in px or density


@dataclass
class _Image:
    """One <img> or <picture> while it is read."""

    best: _Sized
    title: str = ""
    is_icon: bool = False


@dataclass
class _Seen:
    """What has been found so far, by address as written."""

    found: dict[str, Hit] = field(default_factory=dict)
    no: str = ""
    is_nofollow: bool = False
    base: str = ""
    licence: str = ""
    author: str = ""


def pictures_of(page: str, address: str) -> PagePictures:
    """The pictures of the page at `address`, in the order in which it names them."""
    reader = _Reader()
    for tag in tags_of(page):
        reader.take(tag)
        if reader.seen.no or len(reader.seen.found) > 2 * MOST_PICTURES:
            break
    reader.finish()
    seen = reader.seen
    if seen.no:
        return PagePictures((), seen.no)
    base = _base(address, seen.base)
    hits: dict[str, Hit] = {}
    joined = 0
    for written, hit in seen.found.items():
        joined += len(base) + len(written)
        if joined > MOST_JOINED:
            break
        whole = _whole(base, written)
        if whole and whole not in hits:
            licence, author = hit.licence or seen.licence, hit.author or seen.author
            hits[whole] = Hit(whole, address, licence, author, hit.title)
    return PagePictures(tuple(hits.values())[:MOST_PICTURES], "", len(hits) > MOST_PICTURES or joined > MOST_JOINED)


def largest_of(srcset: str) -> tuple[str, float]:
    """The candidate of a srcset with the most pixels -> (address, width or density); ("", 0) for none.

    HTML section 4.8.4.2.1: an address ends at white space, so that it may hold commas; a comma at its end ends
    the candidate.
    """
    best, text, at = ("", 0.0), srcset[:100_000], 0
    while found := _ADDRESS.match(text, at):
        address, at, size = found[1], found.end(), 1.0
        if not address.endswith(","):
            end = text.find(",", at)
            size = _size(text, at)
            at = len(text) if end < 0 else end + 1
        if size > best[1]:
            best = address.rstrip(","), size
    return best


def _base(address: str, said: str) -> str:
    """What the page's addresses are joined with: its own address, or what its <base> says where that is one."""
    try:
        return parse_url(urljoin(address, said)).text if 0 < len(said) <= _LONGEST else address
    except (PictureError, ValueError):  # a stranger's word: the page's own address is as good
        return address


def _size(text: str, at: int) -> float:
    found = _DESCRIPTOR.match(text, at)
    return float(found[1]) if found else 1.0


class _Reader:
    """Collects as tags go by; nothing it meets raises."""

    def __init__(self) -> None:
        self.seen = _Seen()
        self._image: _Image | None = None  # inside <picture>
        self._link = ""  # inside <a> to a picture file

    def finish(self) -> None:
        """The page has ended, perhaps in the middle of a picture."""
        self._end_picture()

    def take(self, tag: Tag) -> None:  # noqa: C901  one case each
        """The next tag."""
        given = tag.attributes
        match tag.name:
            case "picture":
                self._end_picture()
                self._image = None if tag.is_end else _Image(_Sized("", 0.0))
            case "a" if tag.is_end:
                self._link = ""
            case _ if tag.is_end:
                return
            case "base":
                self.seen.base = self.seen.base or given.get("href", "")
            case "meta":
                self._meta(given)
            case "link" | "a":
                self._follow(tag.name, given)
            case "source" if self._image is not None and given.get("type", "") in _TYPES:
                self._better(self._image, given)
            case "img":
                self._img(given)
            case "script" if given.get("type", "").lower() == "application/ld+json":
                for hit in _json_hits(tag.text):
                    self._put(hit)

    def _meta(self, given: dict[str, str]) -> None:
        name, content = (given.get("name") or given.get("property", "")).lower(), given.get("content", "")
        words = {*_BETWEEN.split(content.lower())}
        if name in {"robots", AGENT}:
            if said := sorted(words & NO_PAGE):
                self.seen.no = f"meta {name}: {', '.join(said)}"
            self.seen.is_nofollow |= "nofollow" in words
        elif name == TDM_HEADER and reserves(content):
            self.seen.no = f"meta {TDM_HEADER}: {line_in(content)[:200]}"
        elif name in _META_PICTURES:
            self._put(Hit(content))
        elif name in {"author", "dcterms.creator", "dc.creator"}:
            self.seen.author = self.seen.author or line_in(content)
        elif name in {"dcterms.license", "dc.rights", "dcterms.rights"}:
            self.seen.licence = self.seen.licence or licence_of(line_in(content))

    def _follow(self, tag: str, given: dict[str, str]) -> None:
        relations, target = given.get("rel", "").lower().split(), given.get("href", "")
        if "license" in relations:
            self.seen.licence = self.seen.licence or licence_of(line_in(target))
        elif tag == "link" and "image_src" in relations:
            self._put(Hit(target))
        elif tag == "a" and "nofollow" not in relations and not self.seen.is_nofollow:
            self._link = target if _is_picture_file(target) else ""
            if self._link:
                self._put(Hit(target, title=line_in(given.get("title", ""))))

    def _img(self, given: dict[str, str]) -> None:
        image = self._image or _Image(_Sized("", 0.0))
        image.title = line_in(given.get("alt") or given.get("title", ""))
        sizes = [given.get(name, "").removesuffix("px") for name in ("width", "height")]
        image.is_icon = any(size.isascii() and size.isdigit() and int(size[:6]) < SMALLEST_PX for size in sizes)
        self._better(image, given)
        if not image.best.address:
            lazy = next((given[name] for name in _LAZY if given.get(name)), "")
            image.best = _Sized(lazy or given.get("src", ""), 1.0)
        if self._image is None:
            self._put_image(image)

    def _better(self, image: _Image, given: dict[str, str]) -> None:
        address, size = max(map(largest_of, (given.get("srcset", ""), given.get("data-srcset", ""))), key=_second)
        if size > image.best.size:
            image.best = _Sized(address, size)

    def _end_picture(self) -> None:
        image, self._image = self._image, None
        if image is not None:
            self._put_image(image)

    def _put_image(self, image: _Image) -> None:
        if image.is_icon:
            return
        if not self._link:
            self._put(Hit(image.best.address, title=image.title))
        elif image.title and not self.seen.found[self._link].title:
            self.seen.found[self._link] = self.seen.found[self._link]._replace(title=image.title)

    def _put(self, hit: Hit) -> None:
        if hit.address and not hit.address.lower().startswith(("data:", "javascript:", "blob:", "about:")):
            old = self.seen.found.setdefault(hit.address, hit)
            self.seen.found[hit.address] = Hit(
                hit.address, "", old.licence or hit.licence, old.author or hit.author, old.title or hit.title
            )


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _is_picture_file(target: str) -> bool:
    try:
        path = urlsplit(target).path
        return "." in path and claims_picture(path)
    except ValueError:  # half an IPv6 address: no address at all
        return False


def _whole(base: str, written: str) -> str:
    """The address in full, "" for what cannot be fetched or is a drawing (SVG)."""
    try:
        url = parse_url(urljoin(base, written) if len(written) <= _LONGEST else written)
    except (PictureError, ValueError):  # a stranger's page may name anything; what is no address is passed over
        return ""
    return "" if url.target.partition("?")[0].lower().endswith((".svg", ".ico")) else url.text


def _json_hits(text: str) -> Iterator[Hit]:
    """Images in a piece of JSON-LD: `image` of anything, and ImageObjects with their licence and creator."""
    try:
        waiting: list[Any] = [json.loads(text[:_MOST_JSON])]
    except (ValueError, RecursionError):  # broken pieces are common: the page has other ways to name its pictures
        return
    looked_at = 0
    while waiting and looked_at < _MOST_NODES:
        node = waiting.pop()
        looked_at += 1
        if isinstance(node, list):
            waiting += reversed(node)
        elif isinstance(node, dict):
            if "ImageObject" in str(node.get("@type", ""))[:200]:
                yield from _image_object(node)
            for key, value in node.items():
                if key == "image":
                    yield from (Hit(one) for one in (value if isinstance(value, list) else [value])
                                if isinstance(one, str))  # fmt: skip
                if isinstance(value, (dict, list)):
                    waiting.append(value)


def _image_object(node: dict[str, Any]) -> Iterator[Hit]:
    address = node.get("contentUrl") or node.get("url")
    if isinstance(address, str):
        maker = node.get("creator") or node.get("author")
        maker = maker[0] if isinstance(maker, list) and maker else maker
        author = text_in(maker.get("name") if isinstance(maker, dict) else maker) or text_in(node.get("creditText"))
        title = text_in(node.get("caption")) or text_in(node.get("name"))
        yield Hit(address, "", licence_of(text_in(node.get("license"))), author, title)
