"""Files that hold lists of addresses: one registered reader for each ending; .gz of all that is text.

Read as a stream: a line at a time, a part of a Parquet row group at a time. A third party adds a reader by an entry
point of the group `pictus.lists`, named by the ending it reads.
"""

from __future__ import annotations

import gzip
import io
import re
import shlex
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import pyarrow as pa

from pictus.archives import FREE_BYTES, MAX_RATIO
from pictus.collect.lists import Row, columns_of, rows_of_csv, rows_of_jsonl, rows_of_table
from pictus.collect.parquet_pages import rows_at_once
from pictus.errors import PictureError, UserError, clipped, counted
from pictus.registry import Registry

MAX_LINE = 2**20
"""Characters of one line; an address has at most some thousands."""

_ROWS = 8_192
_BATCH_BYTES = 128 * 2**20  # of repeated texts in them: dictionaries of 1 MB, which are usual, allow 60 rows and more

_WEB = re.compile(r"(https?):/+", re.IGNORECASE)

ReadList = Callable[[Path], Iterator[Row]]
"""The rows of one file, streamed; UserError where nothing of it can be read, a Row with a `problem` for a bad row."""

LISTS: Registry[ReadList] = Registry("kind of list", "pictus.lists")


def read_list(path: Path) -> Iterator[Row]:
    """The rows of a list of addresses, by the file's ending; one that nobody knows is read as CSV."""
    path = path.expanduser()
    if (scheme := _WEB.match(str(path))) and not path.is_file():
        address = f"{scheme[1]}://{str(path)[scheme.end():]}"  # a path has lost one of its two slashes
        what = f"{clipped(address, 200)} is an address, not a list of addresses."
        raise UserError(what, fix=f"pictus collect find {shlex.quote(address)}    looks for pictures on a web page;"
                        " one picture's address: a CSV file with the column url, then pictus collect fetch LIST.csv")
    if not path.is_file():
        raise UserError(f"There is no file {path}.", fix="pictus collect fetch LIST.csv")
    name = path.name.lower().removesuffix(".gz")
    ending = name.rpartition(".")[2]
    if ending in _PARQUET and name != path.name.lower():
        raise UserError(f"{path} is a packed Parquet file.", fix=f"gzip -d {path}")
    yield from LISTS.get(ending if ending in LISTS.names() else "csv")(path)


def _csv(path: Path) -> Iterator[Row]:
    with _text(path) as lines:
        yield from rows_of_csv(_lines(lines, path), str(path))


def _jsonl(path: Path) -> Iterator[Row]:
    with _text(path) as lines:
        yield from rows_of_jsonl(_lines(lines, path))


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq  # noqa: PLC0415  needed for this kind of list only

    row = 0
    try:
        with path.open("rb") as file:
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=MAX_LINE)
            yield from rows_of_table(table.schema_arrow.empty_table(), str(path))  # its columns, told before any row
            columns = columns_of(table.schema_arrow)  # others may hold the pictures themselves
            for group in range(table.num_row_groups):
                size = rows_at_once(file, table.metadata.row_group(group), columns, _ROWS, n_bytes=_BATCH_BYTES)
                for batch in table.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
                    _check_cells(batch, f"{path} after row {row:,}")
                    yield from rows_of_table(pa.Table.from_batches([batch]), str(path), row)
                    row += batch.num_rows
    except UnicodeDecodeError as error:
        what = f"{path}: after row {row:,} stands a text that is not UTF-8."
        raise UserError(what, fix="write the file again") from error
    except PictureError as error:
        what = f"{path} after row {row:,}: {error.detail}: no list does that."
        raise UserError(what, fix="look at where it comes from, or write it again without packing") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        what = f"{path} breaks off after row {row:,}" if row else f"{path} is not a Parquet file"
        raise UserError(f"{what}: {why}.", fix="write it again") from error


def _check_cells(batch: pa.RecordBatch, where: str) -> None:
    """A cell is at most as long as a line of text."""
    import pyarrow.compute as pc  # noqa: PLC0415  needed for this kind of list only

    for column in batch.columns:
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        longest = 0 if pa.types.is_null(texts.type) else pc.max(pc.binary_length(texts)).as_py() or 0
        if longest > MAX_LINE:
            what = f"{where} has a cell of {counted(longest, 'byte')}, at most {MAX_LINE:,}."
            raise UserError(what, fix="one address in each row")


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """The file as text, unpacked when it is packed, whatever it is called. Bytes that are no text become half signs."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source = io.BufferedReader(_Unpacked(file)) if is_packed else file
            with io.TextIOWrapper(source, "utf-8-sig", "surrogateescape", newline="") as lines:
                yield lines
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be unpacked: {error}.", fix="fetch it again, or pack it again") from error


def _lines(lines: TextIO, path: Path) -> Iterator[str]:
    number = 0
    while line := lines.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            what = f"{path} line {number} is longer than {counted(MAX_LINE, 'character')}."
            raise UserError(what, fix="one address in each line")
        if number == 1 and "\0" in line:
            raise UserError(f"{path} is not UTF-8 text.", fix="save it as UTF-8 CSV, or as Parquet")
        yield line


class _Unpacked(io.RawIOBase):
    """A packed file unpacked as it is read; refused once it gives more than any list does."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=file))
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        into = memoryview(cast("bytearray", buffer))
        data = self._unpacked.read(len(into))
        into[: len(data)] = data
        self._given += len(data)
        if self._given > FREE_BYTES and self._given > MAX_RATIO * self._file.tell():
            raise UserError(
                f"The list unpacks to {self._given:,} bytes and more, out of {self._file.tell():,}: no list does that.",
                fix="unpack it, look at it, and fetch the parts that are lists",
            )
        return len(data)


_PARQUET = ("parquet", "pq")
for _ending in ("csv", "tsv", "txt"):
    LISTS.register(_ending)(_csv)
for _ending in ("jsonl", "ndjson"):
    LISTS.register(_ending)(_jsonl)
for _ending in _PARQUET:
    LISTS.register(_ending)(_parquet)
