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
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from pictus.errors import PictureError
from pictus.pixels import Segments, jpeg_segments
from pictus.tiff import EXIF, Directory, Entry, Shape, all_directories, directory_at, first_offset, numbers, shape_of

KINDS = ("exif", "gps", "iptc", "xmp", "c2pa", "icc")
MAX_TEXT = 500
"""Characters kept of a creator or of rights: longer ones are licences pasted whole."""

_MAX_INFLATED = 2**20  # bytes of a compressed PNG text
_MAX_CHUNKS = 100_000
_MAX_LOOSE = 1_000  # blocks; real files have under 20
_MAX_GPS_VALUE = 4_096  # bytes; GPSProcessingMethod, the longest, has under 200
_MAX_XMP = 4 * 2**20  # looked through for places; larger ones that name any are emptied whole

_PNG_MAGIC, _RAW_PROFILE, _PNG_XMP = b"\x89PNG\r\n\x1a\n", b"Raw profile type ", b"XML:com.adobe.xmp\0"
_XMP_HEAD, _MORE_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = {0x0404: "iptc", 0x0422: "exif", 0x0424: "xmp"}
_ARTIST, _COPYRIGHT, _GPS, _XMP = 0x013B, 0x8298, 0x8825, 700
_APP1, _APP2, _APP11, _APP13 = 0xE1, 0xE2, 0xEB, 0xED
_TIFF_BLOCKS = {_XMP: "xmp", 33723: "iptc", 34675: "icc"}
_PIXEL_TAGS = {273: 279, 324: 325, 513: 514}  # offsets -> byte counts of strips, tiles, thumbnail

_PACKET = re.compile(rb"<x:xmpmeta\b.*?</x:xmpmeta>", re.DOTALL)
_LOOSE_EXIF = re.compile(rb"(?:Exif\0\0|\0\0\0\0)(?=II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08)")
_ANY_APP1 = re.compile(rb"\xff\xe1(..)(Exif\0\0|http://ns\.adobe\.com/x(?:ap/1\.0|mp/extension)/\0)", re.DOTALL)
_ANY_RESOURCE = re.compile(rb"8BIM\x04[\x22\x24]")
_VIDEO_PLACE = re.compile(rb"\xa9xyz.{4}([+-][0-9.+-]{1,60}/?)", re.DOTALL)  # of the film in a "motion photo"
_ITEM = re.compile(rb"<rdf:li\b[^>]{0,200}>([^<]{1,2000})<")
_LINKED = re.compile(rb"rdf:resource\s{0,9}=\s{0,9}[\"']([^\"'<]{1,2000})")
_MINING = re.compile(rb"DMI-([A-Z]{4,20}(?:-[A-Z]{1,40})?)")
_REFUSAL = re.compile(rb"(?:ai_(?:generative_)?training|data_mining|ai_inference).{0,40}?notAllowed", re.DOTALL)
_PLACE_NAME = re.compile(rb":(?:gps\w{0,60}|lat_long|lat|long|alt)\b", re.IGNORECASE)
_PLACE_PREFIX = re.compile(rb"[A-Za-z0-9_.-]{1,64}\Z")


class Metadata(NamedTuple):
    """What a file carries. `data_mining`: "" or the word of PLUS in small letters: "prohibited-aimltraining"."""

    kinds: tuple[str, ...] = ()  # of KINDS, in their order
    creator: str = ""
    rights: str = ""
    data_mining: str = ""


class _Block(NamedTuple):
    """Bytes start..end of a file: exif (from its TIFF header on), xmp, more-xmp, iptc, c2pa, icc, a PNG's text …"""

    kind: str
    start: int
    end: int


def read(image_bytes: bytes, *, segments: Segments | None = None) -> Metadata:
    """What the file says beside its pixels. Never raises: what makes no sense is not there.

    `segments`: those of a JPEG where they were walked already.
    """
    kinds: set[str] = set()
    creators: list[str] = []
    rights: list[str] = []
    mining = ""
    for kind, start, end in _blocks(image_bytes, segments):
        data, first, last = image_bytes, start, end
        if kind == "text":
            kind, data = _unpacked(image_bytes[start:end])  # noqa: PLW2901  what the text holds
            first, last = 0, len(data)
        kinds.add(kind)
        if kind in ("exif", "tiff"):
            tags = _first_directory(data, first, last)
            creators.append(_text(tags.get(_ARTIST, b"")))
            rights.append(_text(tags.get(_COPYRIGHT, b"").replace(b"\0", b" ")))
            kinds |= {name for name, tag in (("gps", _GPS), ("exif", EXIF)) if tags.get(tag)}
        elif kind == "xmp":
            xmp = data[first : min(last, first + _MAX_XMP)]
            creators.append(_of_xmp(xmp, b"dc:creator"))
            rights += [_of_xmp(xmp, name) for name in (b"dc:rights", b"cc:license", b"xmpRights:WebStatement")]
            mining = mining or _mining(xmp)
            kinds |= {"gps"} if _names_place(xmp) else set()
        elif kind == "more-xmp":
            kinds |= {"gps"} if _names_place(data[first:last]) else set()
        elif kind == "iptc":
            creators.append(_of_iptc(data[first:last], 80))
            rights.append(_of_iptc(data[first:last], 116))
        elif kind in ("author", "copyright"):
            (creators if kind == "author" else rights).append(_text(data[first:last]))
        elif kind == "c2pa":
            mining = mining or ("prohibited" if _REFUSAL.search(data, first, last) else "")
    return Metadata(tuple(kind for kind in KINDS if kind in kinds), _joined(creators), _joined(rights), mining)


def without_gps(image_bytes: bytes) -> bytes:
    """The same file without where it was taken: same length, same pixels, everything else as it was.

    The GPS directory of EXIF and its values are zeroed and its pointer leaves directory 0; properties of XMP that
    hold co-ordinates become spaces, also in texts of a PNG that are deflated (one that no longer fits becomes an
    empty comment); the place of a film behind a JPEG goes too. Checksums of PNG are mended. Never raises.
    """
    changed = bytearray(image_bytes)
    is_jpeg = image_bytes[:2] == b"\xff\xd8"
    blocks = list(_loose_jpeg_blocks(image_bytes) if is_jpeg else _blocks(image_bytes))
    for kind, start, end in blocks:
        if kind in ("exif", "tiff"):
            _clear_tiff(changed, start, end)
        elif kind == "xmp":
            changed[start:end] = _placeless(bytes(changed[start:end]))
        elif kind == "text" and _tells_place(*_unpacked(image_bytes[start:end])):
            mended = _placeless_text(image_bytes[start:end])
            changed[start - 4 : end] = changed[start - 4 : start] + mended if mended else _nothing(end - start + 4)
    pieces = [(block.start, block.end) for block in blocks if block.kind == "more-xmp"]
    rest = _placeless(b"".join(changed[start:end] for start, end in pieces))  # a value may lie across two segments
    for start, end in pieces:
        changed[start:end], rest = rest[: end - start], rest[end - start :]
    for found in _VIDEO_PLACE.finditer(image_bytes) if is_jpeg else ():
        changed[found.start(1) : found.end(1)] = bytes(found.end(1) - found.start(1))
    if changed == image_bytes:
        return image_bytes
    if image_bytes.startswith(_PNG_MAGIC):
        _mend_png(changed)
    return bytes(changed)


# Containers: where the blocks lie.


def _blocks(image_bytes: bytes, segments: Segments | None = None) -> Iterator[_Block]:
    head = image_bytes[:16]
    if head[:2] == b"\xff\xd8":
        return _jpeg_blocks(image_bytes, jpeg_segments(image_bytes) if segments is None else segments)
    if head.startswith(_PNG_MAGIC):
        return _png_blocks(image_bytes)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_blocks(image_bytes)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff_blocks(image_bytes)
    return _loose_blocks(image_bytes)


def _jpeg_blocks(image_bytes: bytes, segments: Iterable[tuple[int, bytes, int]]) -> Iterator[_Block]:
    try:
        for marker, body, end in segments:
            start = end - len(body)
            if marker == _APP1 and body.startswith(b"Exif\0\0"):
                yield _Block("exif", start + 6, end)
            elif marker == _APP1 and body.startswith(_XMP_HEAD):
                yield _Block("xmp", start + len(_XMP_HEAD), end)
            elif marker == _APP1 and body.startswith(_MORE_XMP_HEAD):
                yield _Block("more-xmp", start + len(_MORE_XMP_HEAD) + 40, end)  # 32 of a name, two numbers
            elif marker == _APP2 and body.startswith(b"ICC_PROFILE\0"):
                yield _Block("icc", start + 14, end)
            elif marker == _APP11 and body[:2] == b"JP" and b"c2pa" in body:
                yield _Block("c2pa", start, end)
            elif marker == _APP13 and body.startswith(b"Photoshop 3.0\0"):
                yield from _photoshop_blocks(image_bytes, start + 14, end)
    except PictureError:
        return  # cut in its header: what came before was found


def _photoshop_blocks(image_bytes: bytes, at: int, end: int) -> Iterator[_Block]:
    """Image resources: "8BIM", an id, a padded name, a size, padded data (Adobe Photoshop File Formats)."""
    for _ in range(_MAX_LOOSE):
        if image_bytes[at : at + 4] != b"8BIM" or at + 8 > end:
            return
        number = int.from_bytes(image_bytes[at + 4 : at + 6], "big")
        start = at + 6 + ((image_bytes[at + 6] + 2) & ~1) + 4
        size = int.from_bytes(image_bytes[start - 4 : start], "big")
        if number in _PHOTOSHOP:
            head = 6 * image_bytes.startswith(b"Exif\0\0", start)
            yield _Block(_PHOTOSHOP[number], start + head, min(end, start + size))
        at = start + size + (size & 1)


def _loose_jpeg_blocks(image_bytes: bytes) -> Iterator[_Block]:
    """EXIF and XMP anywhere in a JPEG, also in thumbnails and in pictures behind the first.

    Between scans and inside coded data 0xFF is always followed by 0 or a restart marker: no pixel is mistaken.
    """
    for found in islice(_ANY_APP1.finditer(image_bytes), _MAX_LOOSE):
        end = min(len(image_bytes), found.start() + 2 + int.from_bytes(found[1], "big"))
        if found[2] == _MORE_XMP_HEAD:
            yield _Block("more-xmp", min(end, found.end() + 40), end)
        elif found.end() < end:
            yield _Block("exif" if found[2] == b"Exif\0\0" else "xmp", found.end(), end)
    for found in islice(_ANY_RESOURCE.finditer(image_bytes), _MAX_LOOSE):
        end = min(len(image_bytes), found.start() + 2**16)
        yield from islice(_photoshop_blocks(image_bytes, found.start(), end), 1)


def _png_chunks(image_bytes: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of each chunk's data."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(image_bytes):
            return
        start, size = at + 8, int.from_bytes(image_bytes[at : at + 4], "big")
        if start + size + 4 > len(image_bytes):
            return
        yield bytes(image_bytes[at + 4 : start]), start, start + size
        at = start + size + 4


def _png_blocks(image_bytes: bytes) -> Iterator[_Block]:
    for kind, start, end in _png_chunks(image_bytes):
        if kind == b"eXIf":
            yield _Block("exif", start, end)
        elif kind == b"iCCP":
            yield _Block("icc", start, end)
        elif kind == b"caBX":
            yield _Block("c2pa", start, end)
        elif kind == b"iTXt" and image_bytes.startswith(_PNG_XMP, start):
            flag = start + len(_PNG_XMP)
            if image_bytes[flag : flag + 1] == b"\0" and image_bytes[flag : flag + 4] == bytes(4):
                yield _Block("xmp", flag + 4, end)  # plain, no language, no translated keyword: what tools write
            else:
                yield _Block("text", start, end)
        elif kind == b"tEXt" and image_bytes.startswith(b"Author\0", start):
            yield _Block("author", start + 7, end)
        elif kind == b"tEXt" and image_bytes.startswith(b"Copyright\0", start):
            yield _Block("copyright", start + 10, end)
        elif kind in (b"zTXt", b"tEXt", b"iTXt") and image_bytes.startswith(_RAW_PROFILE, start):
            yield _Block("text", start, end)


def _webp_blocks(image_bytes: bytes) -> Iterator[_Block]:
    at = 12
    kinds = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "icc", b"C2PA": "c2pa"}
    for _ in range(_MAX_CHUNKS):
        name, size = image_bytes[at : at + 4], int.from_bytes(image_bytes[at + 4 : at + 8], "little")
        if len(name) < 4:  # noqa: PLR2004
            return
        start, end = at + 8, min(len(image_bytes), at + 8 + size)
        if name in kinds and start < end:
            yield _Block(kinds[name], start + 6 * image_bytes.startswith(b"Exif\0\0", start), end)
        at += 8 + size + (size & 1)


def _tiff_blocks(image_bytes: bytes) -> Iterator[_Block]:
    yield _Block("tiff", 0, len(image_bytes))
    for directory in all_directories(image_bytes, 0, len(image_bytes)):
        for entry in directory.entries:
            if entry.tag in _TIFF_BLOCKS:
                yield _Block(_TIFF_BLOCKS[entry.tag], entry.start, entry.end)


def _loose_blocks(image_bytes: bytes) -> Iterator[_Block]:
    """GIF, AVIF, JPEG 2000 …: blocks that stand in the file uncompressed."""
    for found in islice(_PACKET.finditer(image_bytes), _MAX_LOOSE):
        yield _Block("xmp", *found.span())
    for found in islice(_LOOSE_EXIF.finditer(image_bytes), _MAX_LOOSE):
        yield _Block("exif", found.end(), len(image_bytes))


def _unpacked(chunk: bytes) -> tuple[str, bytes]:
    """What a PNG's text chunk holds: (kind of block or "", bytes)."""
    _, text, _ = _opened(chunk)
    if chunk.startswith(_PNG_XMP):
        return "xmp", text
    name = chunk[len(_RAW_PROFILE) :].partition(b"\0")[0].decode("latin-1")
    held = _from_digits(text)
    for head, kind in ((b"Exif\0\0", "exif"), (_XMP_HEAD, "xmp")):
        if held.startswith(head):
            return kind, held.removeprefix(head)
    for kind, start, end in _photoshop_blocks(held, 14 * held.startswith(b"Photoshop 3.0\0"), len(held)):
        return kind, held[start:end]
    return {"exif": "exif", "xmp": "xmp", "iptc": "iptc", "icc": "icc", "icm": "icc"}.get(name, ""), held


def _opened(chunk: bytes) -> tuple[int, bytes, bool]:
    """Of a text chunk: how long its head is, its text, and whether that was deflated."""
    at = chunk.find(b"\0") + 1
    if chunk.startswith(_PNG_XMP):  # iTXt: deflated?, method, language, translated keyword
        is_packed = chunk[at : at + 1] == b"\1"
        at = chunk.find(b"\0", chunk.find(b"\0", at + 2) + 1) + 1
    else:
        is_packed = not chunk[at : at + 16].strip(b"\n").isascii() or b"\n" not in chunk[at : at + 16]
        at += is_packed  # zTXt: the method
    return at, _inflated(chunk[at:]) if is_packed else chunk[at:], is_packed


def _nothing(size: int) -> bytes:
    """An empty comment in the room of a chunk's kind and data."""
    return b"tEXtComment\0".ljust(size)


def _from_digits(text: bytes) -> bytes:
    """A raw profile: its name, its length, and hexadecimal digits."""
    words = text.split(None, 2)
    try:
        return bytes.fromhex(words[2].decode("ascii")) if len(words) > 2 else b""  # noqa: PLR2004
    except ValueError:  # no digits: no profile
        return b""


def _placeless_text(chunk: bytes) -> bytes | None:
    """A text chunk's data without places, as long as before; None when it does not fit (deflated once more)."""
    at, text, is_packed = _opened(chunk)
    if chunk.startswith(_PNG_XMP):
        text = _placeless(text)
    else:
        held = bytearray(_from_digits(text))
        start = 6 * held.startswith(b"Exif\0\0")
        if shape_of(held, start):
            _clear_tiff(held, start, len(held))
        name, length, _ = text.split(None, 2)
        text = b"\n%s\n%8s\n%s\n" % (name, length, _placeless(bytes(held)).hex().encode())
    packed = zlib.compress(text, 9) if is_packed else text
    room = len(chunk) - at
    return chunk[:at] + packed.ljust(room, b"\0" if is_packed else b"\n") if len(packed) <= room else None


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_INFLATED)
    except zlib.error:  # damaged: nothing can be read from it
        return b""


def _mend_png(changed: bytearray) -> None:
    for _, start, end in list(_png_chunks(changed)):
        changed[end : end + 4] = zlib.crc32(memoryview(changed)[start - 4 : end]).to_bytes(4, "big")


def _first_directory(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Tag -> value of directory 0; the GPS tag's value is empty unless its directory says more than a version."""
    shape = shape_of(data, start)
    if not shape:
        return {}
    first = directory_at(data, shape, start, end, first_offset(data, shape, start))
    wanted = {entry.tag: entry for entry in first.entries if entry.tag in (_ARTIST, _COPYRIGHT, _GPS, EXIF)}
    tags = {tag: data[entry.start : min(entry.end, entry.start + 4 * MAX_TEXT)] for tag, entry in wanted.items()}
    if _GPS in tags:
        offset = int.from_bytes(tags[_GPS], "little" if shape.order == "<" else "big")
        if not any(entry.tag for entry in directory_at(data, shape, start, end, offset).entries):
            tags[_GPS] = b""
    return tags


def _clear_tiff(changed: bytearray, start: int, end: int) -> None:
    """Zero the GPS directories of the block, take their pointers out of their directories, blank XMP's places."""
    shape = shape_of(changed, start)
    directories = list(all_directories(changed, start, end))
    if not shape:
        return
    kept = _kept(changed, shape, start, directories)
    for directory in directories:
        for entry in (entry for entry in directory.entries if entry.tag == _XMP):
            changed[entry.start : entry.end] = _placeless(bytes(changed[entry.start : entry.end]))
        for entry in reversed([entry for entry in directory.entries if entry.tag == _GPS]):
            offset = shape.number(changed, entry.start, entry.end - entry.start)
            found = directory_at(changed, shape, start, end, offset)
            values = [(one.start, one.end) for one in found.entries if one.end - one.start <= _MAX_GPS_VALUE]
            for first, last in (*values, (found.at, found.end)) if found.is_sane else ():
                if not any(first < other_end and other < last for other, other_end in kept):
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


def _kept(changed: bytearray, shape: Shape, start: int, directories: list[Directory]) -> list[tuple[int, int]]:
    """Ranges that no hostile GPS entry may zero: the header, directories, coded pixels."""
    kept = [(start, start + 8), *((one.at, one.end) for one in directories)]
    for directory in directories:
        by_tag = {entry.tag: entry for entry in directory.entries}
        for tag, sizes_tag in _PIXEL_TAGS.items():
            if tag in by_tag and sizes_tag in by_tag:
                places = [start + place for place in numbers(changed, shape, by_tag[tag], 2**16)]
                sizes = numbers(changed, shape, by_tag[sizes_tag], 2**16)
                kept += [(place, place + size) for place, size in zip(places, sizes, strict=False)]
    return kept


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
    return any(word in xmp for word in (b":GPS", b":Gps", b":gps", b"geo:lat", b"geo:long", b"G\0P\0S", b"\0G\0P"))


def _tells_place(kind: str, data: bytes) -> bool:
    if kind == "exif":
        return bool(_first_directory(data, 0, len(data)).get(_GPS))
    return kind == "xmp" and _names_place(data)


def _placeless(xmp: bytes) -> bytes:
    """The same bytes with every property that holds co-ordinates (exif:GPS…, drone-dji:Gps…, geo:lat) as spaces."""
    if not _names_place(xmp) and not _PLACE_NAME.search(xmp):
        return xmp
    if b"\0G\0P" in xmp or b"G\0P\0S" in xmp or len(xmp) > _MAX_XMP:  # UTF-16, or more than is looked through
        return b" " * len(xmp)
    changed = bytearray(xmp)
    for found in _PLACE_NAME.finditer(xmp):
        prefix = _PLACE_PREFIX.search(xmp, max(0, found.start() - 64), found.start())
        if not prefix or (found[0][:4].lower() != b":gps" and prefix[0] != b"geo"):
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
