"""Rows of CSV and TSV files with their lines, for formats whose columns have names of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pictus.annotate.exchange.formats.contents import Bad, Read
from pictus.annotate.exchange.formats.documents import Document
from pictus.annotate.exchange.formats.figures import WrongFigureError, refuse
from pictus.annotate.exchange.formats.formulas import unguarded
from pictus.errors import UserError, counted

MAX_CELL = 16 * 2**20
"""A drawn mask in one cell; Python's own limit is 128 KB."""


class Line(NamedTuple):
    """`wrong`: "" or why its cells do not fit the header."""

    number: int
    cells: dict[str, str]
    wrong: str


def header(document: Document) -> list[str]:
    """The names of the columns; none where the file is no table."""
    text = document.head.decode("utf-8-sig", errors="replace").lstrip("\r\n")
    first = text.splitlines()[0] if text.strip() else ""
    if "\x00" in first:
        return []
    try:
        return next(csv.reader(io.StringIO(text), delimiter=_delimiter(first)), [])
    except csv.Error:
        return []  # no table


def lines(document: Document) -> Iterator[Line]:
    """Every row below the header; empty ones are passed over."""
    names = header(document)
    text = document.head.decode("utf-8-sig", errors="replace").lstrip("\r\n")
    csv.field_size_limit(MAX_CELL)
    with document.open() as file:
        wrapped = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        reader = csv.reader(wrapped, delimiter=_delimiter(text.splitlines()[0] if text else ""))
        try:
            at, is_first = 0, True
            for row in reader:
                before, at = at, reader.line_num
                if not any(cell.strip() for cell in row):
                    continue
                if is_first:
                    is_first = False
                    continue
                wrong = ""
                if len(row) > len(names):
                    wrong = f"{counted(len(row), 'column')} where the header has {len(names)}"
                cells = [unguarded(cell.strip()) for cell in row] + [""] * (len(names) - len(row))
                yield Line(before + 1, dict(zip(names, cells, strict=False)), wrong)
        except (csv.Error, UnicodeDecodeError) as error:
            why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise UserError(f"{document.name} cannot be read as CSV: {why}.", fix="save it as CSV in UTF-8") from error


def rows(documents: Iterable[Document], read: Callable[[str, Mapping[str, str]], Iterator[Read]]) -> Iterator[Read]:
    """What `read` makes of each row, given its place and its cells by column; rows that are wrong are told."""
    for document in documents:
        for number, cells, wrong in lines(document):
            place = f"{document.name} line {number:,}"
            try:
                if wrong:
                    refuse(wrong)
                yield from read(place, cells)
            except WrongFigureError as error:
                yield Bad(place, str(error))


def _delimiter(first: str) -> str:
    return "\t" if "\t" in first else ";" if first.count(";") > first.count(",") else ","
