"""What the pages of a Parquet file would take in memory, from their headers, before one of them is unpacked.

The sums in a file's footer are whatever its writer says; a page is unpacked to the size in its own header (Parquet
format, PageHeader; Thrift compact protocol). One value in a dictionary may stand in any number of rows, and so may the
beginning of a value in DELTA_BYTE_ARRAY: rows that repeat such values are read so few at a time that all stay small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from pictus.errors import PictureError

FREE_BYTES = 64 * 2**20
MAX_RATIO = 20
"""A page may unpack to FREE_BYTES, and beyond that to so many bytes for each of its own. Pictures hardly shrink; lists
of addresses shrink 3- to 10-fold, in pages of 1 MB."""

BATCH_BYTES = 64 * 2**20
"""Of repeated values in the rows that are read at a time."""

_MAX_PAGES = 100_000  # of a column of a row group
_WINDOW, _LONGEST_HEADER = 2**12, 2**24  # a header holds the least and the greatest value of its page
_DICTIONARY_PAGE, _DELTA_BYTE_ARRAY = 2, 7
_MAX_DEPTH = 8


class _Page(NamedTuple):
    packed: int
    unpacked: int
    is_repeated: bool  # a value of it may stand in many rows


def rows_at_once(
    file: BinaryIO, group: Any, columns: Sequence[str], most: int, *, n_bytes: int = BATCH_BYTES, is_near: bool = True  # noqa: ANN401  pyarrow
) -> int:
    """How many rows of a row group may be read at a time, at most `most`; PictureError `bomb` for pages of a bomb.

    Not `is_near`: headers would be fetched over a network, so that what the footer says must do.
    """
    repeated = 0
    for number in range(group.num_columns):
        column = group.column(number)
        if any(column.path_in_schema == name or column.path_in_schema.startswith(f"{name}.") for name in columns):
            pages = _pages(file, column) if is_near else iter([_as_the_footer_says(column)])
            repeated += max((page.unpacked for page in map(_checked, pages) if page.is_repeated), default=0)
    return max(1, min(most, n_bytes // repeated)) if repeated else most


def _checked(page: _Page) -> _Page:
    if page.unpacked > FREE_BYTES + MAX_RATIO * page.packed:
        raise PictureError("bomb", f"a page of {page.packed:,} bytes unpacks to {page.unpacked:,}")
    return page


def _as_the_footer_says(column: Any) -> _Page:  # noqa: ANN401
    is_repeated = any("DICTIONARY" in name or name == "DELTA_BYTE_ARRAY" for name in column.encodings)
    return _Page(column.total_compressed_size, column.total_uncompressed_size, is_repeated)


def _pages(file: BinaryIO, column: Any) -> Iterator[_Page]:  # noqa: ANN401
    """The pages of a column; ValueError where no header of one stands."""
    at = min(offset for offset in (column.dictionary_page_offset, column.data_page_offset) if offset)
    end = at + column.total_compressed_size
    for _ in range(_MAX_PAGES):
        if at >= end:
            return
        fields, length = _header_at(file, at)
        kind, unpacked, packed = (fields.get(number) for number in (1, 2, 3))
        if not (isinstance(unpacked, int) and isinstance(packed, int) and unpacked >= 0 and packed >= 0):
            raise ValueError("a page without its size")
        encodings = [held.get(place) for name, place in ((5, 2), (8, 4)) if isinstance(held := fields.get(name), dict)]
        yield _Page(packed, unpacked, kind == _DICTIONARY_PAGE or _DELTA_BYTE_ARRAY in encodings)
        at += length + packed
    raise PictureError("bomb", f"over {_MAX_PAGES:,} pages in one row group")


def _header_at(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """The header's fields by their numbers, and how long it is."""
    window = _WINDOW
    while True:
        file.seek(at)
        data = file.read(window)
        try:
            return _struct(data, 0, 0)
        except IndexError as error:  # it does not end in this window
            if len(data) < window or window >= _LONGEST_HEADER:
                raise ValueError("a page's header is cut or longer than any") from error
            window *= 16


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """A Thrift struct that begins at `at` -> (its numbers and structs by field, where it ends)."""
    fields: dict[int, Any] = {}
    number = 0
    if depth > _MAX_DEPTH:
        raise ValueError("a page's header is nested deeper than any")
    while (head := data[at]) & 15:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _number(data, at)
        kind = head & 15
        if kind in (4, 5, 6):  # whole numbers
            fields[number], at = _number(data, at)
        elif kind == 12:  # noqa: PLR2004  a struct
            fields[number], at = _struct(data, at, depth + 1)
        elif kind == 8:  # noqa: PLR2004  bytes: passed over
            size, at = _varint(data, at)
            at += size
        elif kind == 3:  # noqa: PLR2004
            at += 1
        elif kind not in (1, 2):  # yes and no stand in the head
            raise ValueError("no header of a page")
    return fields, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004
            return value, at
    raise ValueError("a number longer than any")
