"""TIFF's structure, which is also EXIF's: directories of tagged values, read without trusting a number (TIFF 6.0 §2).

Works on bytes and on a bytearray alike; places are positions in the whole file, so that nothing is copied.
Of 32 bits, or of 64 (BigTIFF). What points outside its block has no value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pictus.errors import PictureError
from pictus.pixels import MAX_BYTES

EXIF, SUB = 0x8769, 330
"""Tags that point to further directories."""

_MAX_LOOKED_AT = 100_000  # entries and pointers of one file: 2,500 pages of 20, looked at twice; 0.2 s
_MAX_ENTRIES = 1_000  # of a directory; real ones have under 100
_MAX_COUNT = 65_535  # that 16 bits can say
_LEADING = frozenset({EXIF, SUB, 0x8825, 700})  # to further directories, GPS, XMP
_MAX_BELOW = 16  # directories one tag may point to
_UNIT = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each type."""


class Allowance:
    """How much of one file is looked at: few bytes may stand for any amount of work, as values may share their bytes.

    PictureError `too-much-metadata` where a file asks for more.
    """

    def __init__(self, n_bytes: int = MAX_BYTES, entries: int = _MAX_LOOKED_AT) -> None:
        self.bytes_left = n_bytes
        self._entries_left = entries

    def spend_bytes(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise PictureError("too-much-metadata", "its metadata says the same bytes many times, or unpacks to a lot")

    def spend_entries(self, count: int) -> None:
        self._entries_left -= count
        if self._entries_left < 0:
            raise PictureError("too-much-metadata", f"over {_MAX_LOOKED_AT:,} tags")


class Entry(NamedTuple):
    tag: int
    at: int  # where the entry stands
    start: int  # its value's bytes; start = end where it lies outside the block
    end: int
    unit: int  # bytes of one of its values


class Directory(NamedTuple):
    at: int
    entries: tuple[Entry, ...]
    end: int  # behind the pointer to the next directory
    is_sane: bool  # every entry is of a known type: what is no directory hardly ever looks like that


class Shape(NamedTuple):
    """How numbers are written: little or big end first, 32-bit offsets or BigTIFF's 64."""

    order: str
    is_big: bool

    def number(self, data: bytes | bytearray, at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little" if self.order == "<" else "big")

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Bytes of a directory's count, of an entry, of an offset."""
        return (8, 20, 8) if self.is_big else (2, 12, 4)


def shape_of(data: bytes | bytearray, start: int) -> Shape | None:
    """How the block that begins at `start` writes its numbers; None where it is no TIFF."""
    magic = bytes(data[start : start + 4])
    order = {b"II": "<", b"MM": ">"}.get(magic[:2])
    if order is None or magic[2:] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
        return None
    return Shape(order, b"+" in magic[2:])


def directory_at(data: bytes | bytearray, shape: Shape, start: int, end: int, offset: int) -> Directory:
    """The directory at `offset` of the block start..end; entries only as far as they lie inside.

    Those beyond _MAX_ENTRIES are left; PictureError `too-much-metadata` when one of them leads to a place.
    """
    count_size, entry_size, offset_size = shape.sizes
    at = start + offset
    if offset < 8 or at + count_size > end:  # noqa: PLR2004  inside the header
        return Directory(at, (), at, is_sane=False)
    said = min(shape.number(data, at, count_size), (end - at - count_size) // entry_size)
    count = min(said, _MAX_ENTRIES)
    after = at + count_size + count * entry_size
    entries = []
    is_sane = True
    fields = struct.Struct(shape.order + ("HHQ8s" if shape.is_big else "HHI4s"))
    for place, (tag, kind, number, value) in enumerate(fields.iter_unpack(data[at + count_size : after])):
        entry_at = at + count_size + place * entry_size
        unit = _UNIT.get(kind, 1)
        is_sane &= kind in _UNIT
        size = unit * number
        first = entry_at + entry_size - offset_size
        if size > offset_size:
            first = start + int.from_bytes(value, "little" if shape.order == "<" else "big")
        is_inside = start <= first and first + size <= end
        entries.append(Entry(tag, entry_at, first, first + size if is_inside else first, unit))
    unseen = fields.iter_unpack(data[after : after + min(said - count, _MAX_COUNT) * entry_size])
    if any(tag in _LEADING and kind in _UNIT for tag, kind, _, _ in unseen):
        raise PictureError("too-much-metadata", f"over {_MAX_ENTRIES:,} tags in one directory")
    return Directory(at, tuple(entries), min(end, after + offset_size), is_sane)


def all_directories(data: bytes | bytearray, start: int, end: int, allowance: Allowance) -> Iterator[Directory]:
    """Every directory but the GPS ones: the chain, EXIF's and the ones below (thumbnails, pages)."""
    shape = shape_of(data, start)
    if not shape:
        return
    size = shape.sizes[2]
    waiting, seen = [first_offset(data, shape, start)], set[int]()
    while waiting:
        offset = waiting.pop()
        if offset in seen:
            continue
        seen.add(offset)
        found = directory_at(data, shape, start, end, offset)
        allowance.spend_entries(1 + len(found.entries))
        if not found.entries:
            continue
        yield found
        waiting.append(shape.number(data, found.end - size, size))
        for entry in found.entries:
            if entry.tag in (EXIF, SUB):
                below = numbers(data, shape, entry, _MAX_BELOW)
                allowance.spend_entries(len(below))
                waiting += below


def numbers(data: bytes | bytearray, shape: Shape, entry: Entry, most: int) -> list[int]:
    """The first `most` values of an entry of whole numbers."""
    places = range(entry.start, min(entry.end, entry.start + most * entry.unit), entry.unit)
    return [shape.number(data, at, entry.unit) for at in places]


def first_offset(data: bytes | bytearray, shape: Shape, start: int) -> int:
    """Where directory 0 of the block lies."""
    return shape.number(data, start + (8 if shape.is_big else 4), shape.sizes[2])
