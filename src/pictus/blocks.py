"""Where metadata lies in a picture's file: the container is walked, nothing is decoded (formats: pictus/metadata.py).

What stops before it has seen everything raises a PictureError `too-much-metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from pictus.errors import PictureError
from pictus.pixels import Segments, jpeg_segments
from pictus.tiff import Allowance, all_directories

PNG_MAGIC, RAW_PROFILE, PNG_XMP = b"\x89PNG\r\n\x1a\n", b"Raw profile type ", b"XML:com.adobe.xmp\0"
XMP_HEAD, MORE_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"

_MAX_CHUNKS = 100_000
_MAX_LOOSE = 1_000  # blocks; real files have under 20
_LONGEST_KEYWORD = 80  # of a PNG's text, with its end (PNG §11.3.3.2)

_PHOTOSHOP = {0x0404: "iptc", 0x0422: "exif", 0x0424: "xmp"}
_APP1, _APP2, _APP11, _APP13 = 0xE1, 0xE2, 0xEB, 0xED
_TIFF_BLOCKS = {700: "xmp", 33723: "iptc", 34675: "icc"}

_PACKETS = ((b"<x:xmpmeta", b"</x:xmpmeta>"), (b"<rdf:RDF", b"</rdf:RDF>"))  # the outer may be left out (XMP part 1)
_LOOSE_EXIF = re.compile(rb"(?:Exif\0\0|\0\0\0\0|JpgTiffExif->JP2)(?=II\*\0..\0\0|MM\0\*\0\0..)", re.DOTALL)
_ANY_APP1 = re.compile(rb"\xff\xe1(..)(Exif\0\0|http://ns\.adobe\.com/x(?:ap/1\.0|mp/extension)/\0)", re.DOTALL)
_ANY_RESOURCE = re.compile(rb"8BIM\x04[\x22\x24]")
_PLACE_KEYWORD = re.compile(rb"(?:^|:)(?:gps|geo:l|lat_?long|latitude|longitude)", re.IGNORECASE)
"""ImageMagick repeats every tag of EXIF as a text of its own: exif:GPSLatitude."""


class Block(NamedTuple):
    """Bytes start..end of a file: exif (from its TIFF header on), xmp, more-xmp, iptc, c2pa, icc, a PNG's text …"""

    kind: str
    start: int
    end: int


def blocks_of(image_bytes: bytes, allowance: Allowance, segments: Segments | None = None) -> Iterator[Block]:
    """The blocks of a file of any format. `segments`: those of a JPEG where they were walked already."""
    head = image_bytes[:16]
    if head[:2] == b"\xff\xd8":
        return _jpeg_blocks(image_bytes, jpeg_segments(image_bytes) if segments is None else segments)
    if head.startswith(PNG_MAGIC):
        return _png_blocks(image_bytes)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_blocks(image_bytes)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff_blocks(image_bytes, allowance)
    return _loose_blocks(image_bytes)


def _jpeg_blocks(image_bytes: bytes, segments: Iterable[tuple[int, bytes, int]]) -> Iterator[Block]:
    try:
        for marker, body, end in segments:
            start = end - len(body)
            if marker == _APP1 and body.startswith(b"Exif\0\0"):
                yield Block("exif", start + 6, end)
            elif marker == _APP1 and body.startswith(XMP_HEAD):
                yield Block("xmp", start + len(XMP_HEAD), end)
            elif marker == _APP1 and body.startswith(MORE_XMP_HEAD):
                yield Block("more-xmp", start + len(MORE_XMP_HEAD) + 40, end)  # 32 of a name, two numbers
            elif marker == _APP2 and body.startswith(b"ICC_PROFILE\0"):
                yield Block("icc", start + 14, end)
            elif marker == _APP11 and body[:2] == b"JP" and b"c2pa" in body:
                yield Block("c2pa", start, end)
            elif marker == _APP13 and body.startswith(b"Photoshop 3.0\0"):
                yield from photoshop_blocks(image_bytes, start + 14, end)
    except PictureError:
        return  # cut in its header: what came before was found


def photoshop_blocks(image_bytes: bytes, at: int, end: int) -> Iterator[Block]:
    """Image resources: "8BIM", an id, a padded name, a size, padded data (Adobe Photoshop File Formats)."""
    for _ in range(_MAX_LOOSE):
        if image_bytes[at : at + 4] != b"8BIM" or at + 8 > end:
            return
        number = int.from_bytes(image_bytes[at + 4 : at + 6], "big")
        start = at + 6 + ((image_bytes[at + 6] + 2) & ~1) + 4
        size = int.from_bytes(image_bytes[start - 4 : start], "big")
        if number in _PHOTOSHOP:
            head = 6 * image_bytes.startswith(b"Exif\0\0", start)
            yield Block(_PHOTOSHOP[number], start + head, min(end, start + size))
        at = start + size + (size & 1)


def loose_jpeg_blocks(image_bytes: bytes) -> Iterator[Block]:
    """EXIF and XMP anywhere in a JPEG, also in thumbnails and in pictures behind the first.

    Between scans and inside coded data 0xFF is always followed by 0 or a restart marker: no pixel is mistaken.
    """
    for number, found in enumerate(_ANY_APP1.finditer(image_bytes)):
        _counted(number)
        end = min(len(image_bytes), found.start() + 2 + int.from_bytes(found[1], "big"))
        if found[2] == MORE_XMP_HEAD:
            yield Block("more-xmp", min(end, found.end() + 40), end)
        elif found.end() < end:
            yield Block("exif" if found[2] == b"Exif\0\0" else "xmp", found.end(), end)
    for number, found in enumerate(_ANY_RESOURCE.finditer(image_bytes)):
        _counted(number)
        end = min(len(image_bytes), found.start() + 2**16)
        yield from islice(photoshop_blocks(image_bytes, found.start(), end), 1)


def png_chunks(image_bytes: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
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
    raise PictureError("too-much-metadata", f"over {_MAX_CHUNKS:,} chunks")


def _png_blocks(image_bytes: bytes) -> Iterator[Block]:
    kinds = {b"eXIf": "exif", b"iCCP": "icc", b"caBX": "c2pa"}
    for kind, start, end in png_chunks(image_bytes):
        if kind in kinds:
            head = 6 * (kind == b"eXIf" and image_bytes.startswith(b"Exif\0\0", start))  # against PNG; Pillow reads it
            yield Block(kinds[kind], start + head, end)
        elif kind in (b"zTXt", b"tEXt", b"iTXt"):
            block = _png_text(image_bytes, kind, start, end)
            if block.kind:
                yield block


def _png_text(image_bytes: bytes, kind: bytes, start: int, end: int) -> Block:
    keyword = image_bytes[start : min(end, start + _LONGEST_KEYWORD)].partition(b"\0")[0]
    if kind == b"iTXt" and image_bytes.startswith(PNG_XMP, start):
        flag = start + len(PNG_XMP)
        is_plain = image_bytes[flag : flag + 4] == bytes(4)  # not deflated, no language, no translated keyword
        return Block("xmp", flag + 4, end) if is_plain else Block("text", start, end)
    if kind == b"tEXt" and keyword in (b"Author", b"Copyright"):
        return Block(keyword.decode().lower(), start + len(keyword) + 1, end)
    if keyword.startswith(RAW_PROFILE) and kind != b"iTXt":
        return Block("text", start, end)
    if keyword.startswith(RAW_PROFILE) or keyword + b"\0" == PNG_XMP:  # in a kind of text in which no program writes it
        return Block("place", start, end)
    return Block("place" if _PLACE_KEYWORD.search(keyword) else "", start, end)


def _webp_blocks(image_bytes: bytes) -> Iterator[Block]:
    at = 12
    kinds = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "icc", b"C2PA": "c2pa"}
    for _ in range(_MAX_CHUNKS):
        name, size = image_bytes[at : at + 4], int.from_bytes(image_bytes[at + 4 : at + 8], "little")
        if len(name) < 4:  # noqa: PLR2004
            return
        start, end = at + 8, min(len(image_bytes), at + 8 + size)
        if name in kinds and start < end:
            yield Block(kinds[name], start + 6 * image_bytes.startswith(b"Exif\0\0", start), end)
        at += 8 + size + (size & 1)
    raise PictureError("too-much-metadata", f"over {_MAX_CHUNKS:,} chunks")


def _counted(number: int) -> int:
    """One more block that lies anywhere."""
    if number >= _MAX_LOOSE:
        raise PictureError("too-much-metadata", f"over {_MAX_LOOSE:,} blocks")
    return number + 1


def _tiff_blocks(image_bytes: bytes, allowance: Allowance) -> Iterator[Block]:
    yield Block("tiff", 0, len(image_bytes))
    seen = set[Block]()
    for directory in all_directories(image_bytes, 0, len(image_bytes), allowance):
        for entry in directory.entries:
            block = Block(_TIFF_BLOCKS.get(entry.tag, ""), entry.start, entry.end)
            if block.kind and block not in seen:
                seen.add(block)
                yield block


def _loose_blocks(image_bytes: bytes) -> Iterator[Block]:
    """GIF, AVIF, JPEG 2000 …: blocks that stand in the file uncompressed."""
    for first, last in _PACKETS:
        at, count = 0, 0
        while (start := image_bytes.find(first, at)) >= 0 and (end := image_bytes.find(last, start)) >= 0:
            at, count = end + len(last), _counted(count)
            yield Block("xmp", start, at)
    for number, found in enumerate(_LOOSE_EXIF.finditer(image_bytes)):
        _counted(number)
        yield Block("exif", found.end(), len(image_bytes))
