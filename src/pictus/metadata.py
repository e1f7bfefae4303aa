"""What a picture's file says beside its pixels: EXIF, GPS, IPTC, XMP, C2PA, ICC; and the file without its GPS.

Nothing is decoded and no XML is parsed: blocks are found by walking the container, values by looking for their
names, so that entities, depth and size of a stranger's XML cost nothing.

    JPEG    APP1 (EXIF, XMP, extended XMP), APP2 (ICC), APP11 (C2PA in JUMBF), APP13 (Photoshop resources: IPTC)
    PNG     eXIf, iTXt (XMP), iCCP, caBX (C2PA), and the "Raw profile type" texts of ImageMagick
    WebP    EXIF, XMP, ICCP, C2PA
    TIFF    directory 0: tags 700 (XMP), 33723 (IPTC), 34675 (ICC), 34853 (GPS)
    others  XMP packets and EXIF blocks that lie in the file as they are

Sources: EXIF 2.32 §4.6, XMP part 3, IPTC-IIM 4.2, C2PA 2.1 annex A, PLUS LDF 2.0.1 (DataMining), PNG §11.
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.blocks import (
    PNG_MAGIC,
    PNG_XMP,
    RAW_PROFILE,
    XMP_HEAD,
    blocks_of,
    loose_jpeg_blocks,
    photoshop_blocks,
    png_chunks,
)
from pictus.errors import PictureError
from pictus.pixels import Segments
from pictus.tiff import (
    EXIF,
    Allowance,
    Directory,
    Entry,
    Shape,
    all_directories,
    directory_at,
    first_offset,
    shape_of,
)

KINDS = ("exif", "gps", "iptc", "xmp", "c2pa", "icc")
MAX_TEXT = 500
"""Characters kept of a creator or of rights: longer ones are licences pasted whole."""

_MAX_READ = 16 * 2**20  # bytes that `read` looks at: 0.2 s
_MAX_GPS_VALUE = 4_096  # bytes; GPSProcessingMethod, the longest, has under 200
_MAX_XMP = 4 * 2**20  # looked through for places; larger ones that name any are emptied whole
_MAX_PLACES = 2_000  # of one packet; one that names more is emptied whole
_LEAST = 4_096  # bytes that a block is counted as: its own cost
_COPIES = 4  # an inflated text is held in its digits, their bytes, and once more

_ARTIST, _COPYRIGHT, _GPS, _XMP = 0x013B, 0x8298, 0x8825, 700
_PIXEL_TAGS = {273: 279, 324: 325, 513: 514}  # offsets -> byte counts of strips, tiles, thumbnail

_VIDEO_PLACE = re.compile(rb"\xa9xyz.{4}([+-][0-9.+-]{1,60}/?)", re.DOTALL)  # of the film in a "motion photo"
_VIDEO_KEY = b"com.apple.quicktime.location.ISO6709"
_ISO_6709 = re.compile(rb"([+-]\d{2,6}(?:\.\d{1,12})?[+-]\d{3,7}(?:\.\d{1,12})?(?:[+-]\d{1,8}(?:\.\d{1,12})?)?)/")
_VIDEO_BOX = re.compile(rb"(\0\0..)loci\0{4}", re.DOTALL)  # 3GPP TS 26.244 §8.2: size, name, version and flags
_SIGNED_PLACE = re.compile(rb"exif:GPS(?:Lat|Long)itude(?:Ref)?")  # of the assertion stds.exif of C2PA
_JSON_VALUE = re.compile(rb"\"\s{0,9}:\s{0,9}(\"[^\"]{0,200}\"|[-+.0-9eE]{1,40})")
_ITEM = re.compile(rb"<rdf:li\b[^>]{0,200}>([^<]{1,2000})<")
_LINKED = re.compile(rb"rdf:resource\s{0,9}=\s{0,9}[\"']([^\"'<]{1,2000})")
_MINING = re.compile(rb"DMI-([A-Z]{4,20}(?:-[A-Z]{1,40})?)")
_REFUSAL = re.compile(rb"(?:ai_(?:generative_)?training|data_mining|ai_inference).{0,40}?notAllowed", re.DOTALL)
_PLACE_NAME = re.compile(
    rb":(?:(gps\w{0,60}|latitude|longitude)|lat_long|lat|long|alt|point|line|polygon|box|circle|where)\b", re.IGNORECASE
)
_PLACE_PREFIXES = (b"geo", b"wgs84_pos", b"georss")  # W3C Basic Geo under both its names, OGC GeoRSS
_PLACE_WORD = re.compile(
    rb":(?:gps|latitude|longitude)|(?:geo|wgs84_pos):(?:lat|long)|georss:(?:[pl]|box|c|w)"
    rb"|G\0P\0S|\0G\0P|G\0\0\0P", re.IGNORECASE
)
_PLACE_PREFIX = re.compile(rb"[A-Za-z0-9_.-]{1,64}\Z")


class Metadata(NamedTuple):
    """What a file carries. `data_mining`: "" or the word of PLUS in small letters: "prohibited-aimltraining"."""

    kinds: tuple[str, ...] = ()  # of KINDS, in their order
    creator: str = ""
    rights: str = ""
    data_mining: str = ""


def read(image_bytes: bytes, *, segments: Segments | None = None) -> Metadata:
    """What the file says beside its pixels. Never raises: what makes no sense is not there.

    `segments`: those of a JPEG where they were walked already. Of a file with more metadata than any camera or
    program writes, only what comes first is told.
    """
    found = _Found(set(), [], [], [])
    allowance = Allowance(_MAX_READ)
    with suppress(PictureError):  # more than any file needs: what was found so far counts
        for kind, start, end in blocks_of(image_bytes, allowance, segments):
            allowance.spend_bytes(_LEAST)
            if kind == "text":
                kind, data = _unpacked(image_bytes[start:end], allowance)  # noqa: PLW2901  what the text holds
                _look(found, kind, data, (0, len(data)), allowance)
            else:
                _look(found, kind, image_bytes, (start, end), allowance)
    kinds = tuple(kind for kind in KINDS if kind in found.kinds)
    return Metadata(kinds, _joined(found.creators), _joined(found.rights), next(filter(None, found.mining), ""))


class _Found(NamedTuple):
    kinds: set[str]
    creators: list[str]
    rights: list[str]
    mining: list[str]


def _look(found: _Found, kind: str, data: bytes, place: tuple[int, int], allowance: Allowance) -> None:
    """Add what one block says."""
    first, last = place
    found.kinds.add(kind)
    if kind in ("exif", "tiff"):
        tags = _first_directory(data, first, last, allowance)
        found.creators.append(_text(tags.get(_ARTIST, b"")))
        found.rights.append(_text(tags.get(_COPYRIGHT, b"").replace(b"\0", b" ")))
        found.kinds.update(name for name, tag in (("gps", _GPS), ("exif", EXIF)) if tags.get(tag))
    elif kind == "xmp":
        xmp = data[first : min(last, first + _MAX_XMP)]
        allowance.spend_bytes(len(xmp))
        found.creators.append(_of_xmp(xmp, b"dc:creator"))
        found.rights.extend(_of_xmp(xmp, name) for name in (b"dc:rights", b"cc:license", b"xmpRights:WebStatement"))
        found.mining.append(_mining(xmp))
        found.kinds.update({"gps"} if _names_place(xmp) else ())
    elif kind == "more-xmp":
        found.kinds.update({"gps"} if _names_place(data[first:last]) else ())
    elif kind == "iptc":
        allowance.spend_bytes(last - first)
        found.creators.append(_of_iptc(data[first:last], 80))
        found.rights.append(_of_iptc(data[first:last], 116))
    elif kind in ("author", "copyright"):
        said = _text(data[first : min(last, first + 4 * MAX_TEXT)])
        (found.creators if kind == "author" else found.rights).append(said)
    elif kind == "c2pa":
        allowance.spend_bytes(last - first)
        found.mining.append("prohibited" if _REFUSAL.search(data, first, last) else "")
        found.kinds.update({"gps"} if any(_signed_places(data, first, last)) else ())
    elif kind == "place":
        found.kinds.add("gps")


def without_gps(image_bytes: bytes) -> bytes:
    """The same file without where it was taken: same length, same pixels, everything else as it was.

    The GPS directory of EXIF and its values are zeroed and its pointer leaves directory 0; properties of XMP that
    hold co-ordinates become spaces, also in texts of a PNG that are deflated (one that no longer fits becomes an
    empty comment); texts of a PNG named after a place go, the place of a film behind a JPEG, and the co-ordinates of a
    C2PA assertion. Names of places (IPTC's city and sub-location, XMP's, titles, comments) stay. Checksums of PNG
    are mended. PictureError `too-much-metadata` for a file that cannot be looked through in reasonable time.
    """
    changed = bytearray(image_bytes)
    allowance = Allowance()
    is_jpeg = image_bytes[:2] == b"\xff\xd8"
    blocks = list(loose_jpeg_blocks(image_bytes) if is_jpeg else blocks_of(image_bytes, allowance))
    for kind, start, end in blocks:
        if kind in ("exif", "tiff"):
            _clear_tiff(changed, start, end, allowance)
        elif kind == "xmp":
            allowance.spend_bytes(end - start)
            changed[start:end] = _placeless(bytes(changed[start:end]))
        elif kind == "place":
            changed[start - 4 : end] = _nothing(end - start + 4)
        elif kind == "text" and _tells_place(*_unpacked(image_bytes[start:end], allowance), allowance):
            mended = _placeless_text(image_bytes[start:end], allowance)
            changed[start - 4 : end] = changed[start - 4 : start] + mended if mended else _nothing(end - start + 4)
    pieces = [(block.start, block.end) for block in blocks if block.kind == "more-xmp"]
    pieces.sort(key=lambda piece: (image_bytes[piece[0] - 40 : piece[0] - 8], image_bytes[piece[0] - 4 : piece[0]]))
    rest = _placeless(b"".join(changed[start:end] for start, end in pieces))  # a value may lie across two segments
    at = 0
    for start, end in pieces:
        changed[start:end] = rest[at : at + end - start]
        at += end - start
    for start, end, filler in (*_film_places(image_bytes), *_signed_places(image_bytes, 0, len(image_bytes))):
        changed[start:end] = filler * (end - start)
    if changed == image_bytes:
        return image_bytes
    if image_bytes.startswith(PNG_MAGIC):
        _mend_png(changed)
    return bytes(changed)


def _film_places(image_bytes: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where the film behind a JPEG says where it was taken, as Android, Apple and 3GPP write it."""
    if not image_bytes.startswith(b"\xff\xd8"):
        return
    found = [one.span(1) for one in _VIDEO_PLACE.finditer(image_bytes)]
    if (at := image_bytes.find(_VIDEO_KEY)) >= 0:
        found += [one.span(1) for one in _ISO_6709.finditer(image_bytes, at)]
    for one in _VIDEO_BOX.finditer(image_bytes):
        found.append((one.end(), min(len(image_bytes), one.start() + int.from_bytes(one[1], "big"))))
    yield from ((first, last, b"\0") for first, last in found if first < last)


def _signed_places(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Values of GPS in a C2PA assertion, as JSON or CBOR (RFC 8949 §3), that say anything: (first, last, filler)."""
    for found in _SIGNED_PLACE.finditer(data, start, end):
        at = found.end()
        if said := _JSON_VALUE.match(data, at, end):
            is_text = said[1].startswith(b'"')
            first, last, filler = said.start(1) + is_text, said.end(1) - is_text, b" " if is_text else b"0"
        else:
            head = data[at] if at < end else 0
            is_text = 0x60 <= head <= 0x78  # noqa: PLR2004  a text; from 0x78 on its length follows
            size = {0xF9: 2, 0xFA: 4, 0xFB: 8}.get(head, head - 0x60 if is_text else 0)
            first = at + 1
            if head == 0x78:  # noqa: PLR2004
                size, first = int.from_bytes(data[first : first + 1], "big"), at + 2
            last, filler = min(end, first + size), b" " if is_text else b"\0"
        if data[first:last].strip(filler):
            yield first, last, filler


def _unpacked(chunk: bytes, allowance: Allowance) -> tuple[str, bytes]:
    """What a PNG's text chunk holds: (kind of block or "", bytes)."""
    _, text, _ = _opened(chunk, allowance)
    if chunk.startswith(PNG_XMP):
        return "xmp", text
    name = chunk[len(RAW_PROFILE) :].partition(b"\0")[0].decode("latin-1")
    held = _from_digits(text)
    for head, kind in ((b"Exif\0\0", "exif"), (XMP_HEAD, "xmp")):
        if held.startswith(head):
            return kind, held.removeprefix(head)
    for kind, start, end in photoshop_blocks(held, 14 * held.startswith(b"Photoshop 3.0\0"), len(held)):
        return kind, held[start:end]
    return {"exif": "exif", "xmp": "xmp", "iptc": "iptc", "icc": "icc", "icm": "icc"}.get(name, ""), held


def _opened(chunk: bytes, allowance: Allowance) -> tuple[int, bytes, bool]:
    """Of a text chunk: how long its head is, its text, and whether that was deflated."""
    at = chunk.find(b"\0") + 1
    if chunk.startswith(PNG_XMP):  # iTXt: deflated?, method, language, translated keyword
        is_packed = chunk[at : at + 1] == b"\1"
        at = chunk.find(b"\0", chunk.find(b"\0", at + 2) + 1) + 1
    else:
        is_packed = not chunk[at : at + 16].strip(b"\n").isascii() or b"\n" not in chunk[at : at + 16]
        at += is_packed  # zTXt: the method
    text = _inflated(chunk[at:], allowance.bytes_left) if is_packed else chunk[at:]
    allowance.spend_bytes(_COPIES * len(text))
    return at, text, is_packed


def _nothing(size: int) -> bytes:
    """An empty comment in the room of a chunk's kind and data."""
    smallest = b"tEXtComment\0"
    return (smallest if size >= len(smallest) else b"tEXtC\0").ljust(size)


def _from_digits(text: bytes) -> bytes:
    """A raw profile: its name, its length, and hexadecimal digits."""
    words = text.split(None, 2)
    try:
        return bytes.fromhex(words[2].decode("ascii")) if len(words) > 2 else b""  # noqa: PLR2004
    except ValueError:  # no digits: no profile
        return b""


def _placeless_text(chunk: bytes, allowance: Allowance) -> bytes | None:
    """A text chunk's data without places, as long as before; None when it does not fit (deflated once more)."""
    at, text, is_packed = _opened(chunk, allowance)
    if chunk.startswith(PNG_XMP):
        text = _placeless(text)
    else:
        held = bytearray(_from_digits(text))
        start = 6 * held.startswith(b"Exif\0\0")
        if shape_of(held, start):
            _clear_tiff(held, start, len(held), allowance)
        name, length, _ = text.split(None, 2)
        text = b"\n%s\n%8s\n%s\n" % (name, length, _placeless(bytes(held)).hex().encode())
    packed = zlib.compress(text, 9) if is_packed else text
    room = len(chunk) - at
    return chunk[:at] + packed.ljust(room, b"\0" if is_packed else b"\n") if len(packed) <= room else None


def _inflated(packed: bytes, most: int) -> bytes:
    """The text, or its first bytes, which are then more than the allowance."""
    try:
        return zlib.decompressobj().decompress(packed, most // _COPIES + 1)
    except zlib.error:  # damaged: nothing can be read from it
        return b""


def _mend_png(changed: bytearray) -> None:
    for _, start, end in list(png_chunks(changed)):
        changed[end : end + 4] = zlib.crc32(memoryview(changed)[start - 4 : end]).to_bytes(4, "big")


def _first_directory(data: bytes, start: int, end: int, allowance: Allowance) -> dict[int, bytes]:
    """Tag -> value of directory 0; the GPS tag's value is empty unless its directory says more than a version."""
    shape = shape_of(data, start)
    if not shape:
        return {}
    first = directory_at(data, shape, start, end, first_offset(data, shape, start))
    allowance.spend_entries(1 + len(first.entries))
    wanted = {entry.tag: entry for entry in first.entries if entry.tag in (_ARTIST, _COPYRIGHT, _GPS, EXIF)}
    tags = {tag: data[entry.start : min(entry.end, entry.start + 4 * MAX_TEXT)] for tag, entry in wanted.items()}
    if _GPS in tags:
        offset = int.from_bytes(tags[_GPS], "little" if shape.order == "<" else "big")
        place = directory_at(data, shape, start, end, offset)
        allowance.spend_entries(len(place.entries))
        if not any(entry.tag for entry in place.entries):
            tags[_GPS] = b""
    return tags


def _clear_tiff(changed: bytearray, start: int, end: int, allowance: Allowance) -> None:
    """Zero the GPS directories of the block, take their pointers out of their directories, blank XMP's places."""
    shape = shape_of(changed, start)
    directories = list(all_directories(changed, start, end, allowance))
    if not shape:
        return
    tags = {entry.tag for directory in directories for entry in directory.entries}
    if _XMP in tags:
        packets = {(one.start, one.end) for directory in directories for one in directory.entries if one.tag == _XMP}
        for first, last in packets:
            allowance.spend_bytes(last - first)
            changed[first:last] = _placeless(bytes(changed[first:last]))
    if _GPS not in tags:
        return
    kept = _kept(changed, shape, start, directories, allowance)
    for directory in directories:
        for entry in reversed([entry for entry in directory.entries if entry.tag == _GPS]):
            offset = shape.number(changed, entry.start, entry.end - entry.start)
            found = directory_at(changed, shape, start, end, offset)
            allowance.spend_entries(1 + len(found.entries))
            values = [(one.start, one.end) for one in found.entries if one.end - one.start <= _MAX_GPS_VALUE]
            for first, last in (*values, (found.at, found.end)) if found.is_sane else ():
                if not kept.overlaps(first, last):
                    changed[first:last] = bytes(last - first)
            if directory.is_sane:
                _take_out(changed, shape, directory, entry)
            else:  # no directory perhaps, but coded pixels: nothing is moved, the pointer alone is emptied
                _, size, room = shape.sizes
                changed[entry.at + size - room : entry.at + size] = bytes(room)


def _take_out(changed: bytearray, shape: Shape, directory: Directory, entry: Entry) -> None:
    """One entry leaves a directory: the later ones and the pointer to the next move up; no offset changes."""
    count_size, entry_size, _ = shape.sizes
    changed[entry.at : directory.end] = changed[entry.at + entry_size : directory.end] + bytes(entry_size)
    left = shape.number(changed, directory.at, count_size) - 1
    written = left.to_bytes(count_size, "little" if shape.order == "<" else "big")
    changed[directory.at : directory.at + count_size] = written


class _Ranges:
    """Ranges of bytes, asked in the time of a search whether one of them overlaps another."""

    def __init__(self, ranges_N2: npt.NDArray[np.int64]) -> None:
        in_order = ranges_N2[np.argsort(ranges_N2[:, 0])]
        self._starts = in_order[:, 0]
        self._ends = np.maximum.accumulate(in_order[:, 1])  # the largest so far

    def overlaps(self, first: int, last: int) -> bool:
        count = int(np.searchsorted(self._starts, last))  # of those that begin before `last`
        return count > 0 and int(self._ends[count - 1]) > first


def _kept(
    changed: bytearray, shape: Shape, start: int, directories: list[Directory], allowance: Allowance
) -> _Ranges:  # fmt: skip
    """Ranges that no hostile GPS entry may zero: the header, directories, coded pixels."""
    own = [(start, start + 8), *((one.at, one.end) for one in directories)]
    parts = [np.array(own, np.int64)]
    seen = set[tuple[int, int, int, int]]()  # pages may share their strips
    for directory in directories:
        by_tag = {entry.tag: entry for entry in directory.entries}
        for tag, sizes_tag in _PIXEL_TAGS.items():
            if tag not in by_tag or sizes_tag not in by_tag:
                continue
            places, sizes = by_tag[tag], by_tag[sizes_tag]
            if (key := (places.start, places.end, sizes.start, sizes.end)) in seen:
                continue
            seen.add(key)
            allowance.spend_bytes(_LEAST + _COPIES * (places.end - places.start + sizes.end - sizes.start))
            starts_N, sizes_N = _positions(changed, shape, places), _positions(changed, shape, sizes)
            count = min(len(starts_N), len(sizes_N))
            starts_N = start + starts_N[:count]
            parts.append(np.stack((starts_N, starts_N + sizes_N[:count]), axis=1))
    return _Ranges(np.concatenate(parts))


def _positions(changed: bytearray, shape: Shape, entry: Entry) -> npt.NDArray[np.int64]:
    """All the whole numbers of an entry; those beyond the file's end as that."""
    values = np.frombuffer(bytes(changed[entry.start : entry.end]), f"{shape.order}u{entry.unit}").astype(np.uint64)
    return np.minimum(values, np.uint64(len(changed))).astype(np.int64)


# XMP and IPTC: values by name.


def _of_xmp(xmp: bytes, name: bytes) -> str:
    """The value of a property, as an attribute, a list, a link or plain text; "" where there is none."""
    at = xmp.find(name)
    if at < 0:
        return ""
    after = at + len(name)
    rest = xmp[after : after + 4_096]
    if xmp[at - 1 : at] != b"<":
        quoted = re.match(rb"\s{0,9}=\s{0,9}([\"'])(.{0,2000}?)\1", rest, re.DOTALL)
        return _text(html.unescape(quoted[2].decode("utf-8", "replace")).encode()) if quoted else ""
    inner = rest.partition(b"</" + name)[0]
    tag = inner.partition(b">")[0]
    if tag.endswith(b"/"):
        inner = tag  # it holds nothing but its attributes
    found = _ITEM.findall(inner) or _LINKED.findall(inner) or [inner.partition(b">")[2].partition(b"<")[0]]
    return ", ".join(filter(None, (_text(html.unescape(one.decode("utf-8", "replace")).encode()) for one in found)))


def _mining(xmp: bytes) -> str:
    at = xmp.find(b"DataMining")
    found = _MINING.search(xmp, at, at + 400) if at >= 0 else None
    word = found[1].decode("ascii").lower() if found else ""
    return "" if word.startswith("unspecified") else word


def _of_iptc(iptc: bytes, dataset: int) -> str:
    """Every value of one dataset of record 2 (IPTC-IIM §1.5): 0x1C, record, dataset, size, data."""
    found: list[str] = []
    at, head = 0, bytes((0x1C, 2, dataset))
    while len(found) < 10 and (at := iptc.find(head, at)) >= 0:  # noqa: PLR2004
        size = int.from_bytes(iptc[at + 3 : at + 5], "big")
        found.append(_text(iptc[at + 5 : at + 5 + min(size, 4 * MAX_TEXT)]))
        at += 5
    return ", ".join(filter(None, found))


def _names_place(xmp: bytes) -> bool:
    return bool(_PLACE_WORD.search(xmp))


def _tells_place(kind: str, data: bytes, allowance: Allowance) -> bool:
    if kind == "exif":
        return bool(_first_directory(data, 0, len(data), allowance).get(_GPS))
    return kind == "xmp" and _names_place(data)


def _placeless(xmp: bytes) -> bytes:
    """The same bytes with every property that holds co-ordinates (exif:GPS…, drone-dji:Gps…, geo:lat) as spaces."""
    if not _names_place(xmp) and not _PLACE_NAME.search(xmp):
        return xmp
    is_wide = any(word in xmp for word in (b"\0G\0P", b"G\0P\0S", b"G\0\0\0P"))
    if is_wide or len(xmp) > _MAX_XMP:  # UTF-16 or -32, or more than is looked through
        return b" " * len(xmp)
    changed = bytearray(xmp)
    for number, found in enumerate(_PLACE_NAME.finditer(xmp)):
        if number >= _MAX_PLACES:
            return b" " * len(xmp)
        prefix = _PLACE_PREFIX.search(xmp, max(0, found.start() - 64), found.start())
        if not prefix or not (found[1] or prefix[0] in _PLACE_PREFIXES):
            continue
        first = prefix.start()
        if changed[first] == ord(" "):
            continue  # inside what has gone already
        last = _property_end(xmp, first, found.end())
        first -= xmp[first - 1 : first] == b"<"
        changed[first:last] = b" " * (last - first)
    return bytes(changed)


def _property_end(xmp: bytes, first: int, after: int) -> int:
    """Where the attribute or the element that is named first..after ends; `after` for a name that stands alone."""
    if xmp[first - 1 : first] != b"<":
        quoted = re.compile(rb"\s{0,20}=\s{0,20}([\"'])").match(xmp, after)
        closed = xmp.find(quoted[1], quoted.end()) if quoted else -1
        return closed + 1 if closed >= 0 else after
    tag_end = xmp.find(b">", after)
    if tag_end < 0 or xmp[tag_end - 1 : tag_end] == b"/":
        return tag_end + 1 if tag_end >= 0 else len(xmp)
    closing = xmp.find(b"</" + xmp[first:after], tag_end)
    closed = xmp.find(b">", closing) if closing >= 0 else -1
    return closed + 1 if closed >= 0 else len(xmp)


def _text(value: bytes) -> str:
    """Bytes of any hand -> one line: UTF-8, else Latin-1, without control characters."""
    try:
        text = value.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        text = value.rstrip(b"\0").decode("latin-1")
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:MAX_TEXT]


def _joined(texts: list[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))[:MAX_TEXT]
