"""Lists of addresses to fetch: rows of text with named columns, checked all at once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from pictus.collect.intake import Claim
from pictus.errors import UserError, bad_rows

COLUMNS = ("url", "concept", "licence", "author", "query")
_ALSO_CALLED = {"license": "licence"}


class Wanted(NamedTuple):
    """One address to fetch and what the list claims of it."""

    address: str
    claim: Claim


class Row(NamedTuple):
    """One row as it stands in the list; `line` as a person counts them."""

    line: int
    url: str
    concept: str
    licence: str
    author: str
    query: str


def rows_of_csv(lines: Iterable[str], where: str) -> Iterator[Row]:
    """Rows of a CSV or TSV text; the header decides which (the delimiter that occurs in it)."""
    reader_lines = iter(lines)
    first = next(reader_lines, "")
    delimiter = max(",\t;", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    places = _places(header, where)
    short: list[str] = []
    reader = csv.reader(reader_lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if len(cells) == len(header):
                yield Row(reader.line_num + 1, *(cells[place].strip() if place >= 0 else "" for place in places))
            elif cells:
                short.append(f"line {reader.line_num + 1}: {len(cells)} cells, the header has {len(header)}")
    except csv.Error as error:
        raise UserError(f"{where} line {reader.line_num + 1}: {error}.", fix="save the list again as CSV") from error
    if short:
        raise bad_rows(where, short, fix="correct these lines (quote cells that hold the delimiter)")


def rows_of_table(table: pa.Table, where: str) -> Iterator[Row]:
    """Rows of a Parquet file; an empty cell may be null."""
    places = _places(table.column_names, where)
    count = table.num_rows
    columns = [_texts(table, place, where) if place >= 0 else [""] * count for place in places]
    for line, cells in enumerate(zip(*columns, strict=True), start=1):
        yield Row(line, *cells)


def wanted_of(rows: Iterable[Row], resolve: Callable[[str], str], where: str) -> tuple[list[Wanted], int]:
    """Rows with their concepts resolved, each address once (its first row) -> (wanted, repeated rows).

    Every empty address and unknown concept is told in one UserError.
    """
    wanted: dict[str, Wanted] = {}
    problems: list[str] = []
    known: dict[str, str | UserError] = {"": ""}
    repeated = 0
    for row in rows:
        if row.concept not in known:
            known[row.concept] = _resolved(row.concept, resolve)
        concept = known[row.concept]
        if not row.url:
            problems.append(f"line {row.line}: no url")
        elif isinstance(concept, UserError):
            problems.append(f"line {row.line}: {in_one_line(concept)}")
        elif row.url in wanted:
            repeated += 1
        else:
            wanted[row.url] = Wanted(row.url, Claim(concept, row.query, row.licence, row.author))
    if problems:
        raise bad_rows(where, problems, fix="correct these lines, or pictus taxonomy add NAME --parent CONCEPT")
    return list(wanted.values()), repeated


def in_one_line(error: UserError) -> str:
    """What is wrong with one concept's name, with the near ones, where many are listed under one fix."""
    near = error.fix.partition("    ")[0]
    return " ".join(error.what.split()) + (f" {near[0].upper()}{near[1:]}" if near.startswith("did you mean") else "")


def _resolved(text: str, resolve: Callable[[str], str]) -> str | UserError:
    try:
        return resolve(text)
    except UserError as error:
        return error


def _places(header: Sequence[str], where: str) -> tuple[int, ...]:
    """Where each of COLUMNS stands, -1 for none."""
    names = [name.strip().removeprefix("\ufeff").lower() for name in header]
    names = [_ALSO_CALLED.get(name, name) for name in names]
    if "url" not in names:
        found = ", ".join(repr(name) for name in header[:20]) or "nothing"
        raise UserError(
            f"{where} has no column 'url'; its first row holds {found[:500]}.",
            fix="name the column of addresses 'url'; optional columns: concept, licence, author, query",
        )
    if twice := sorted({name for name in names if name in COLUMNS and names.count(name) > 1}):
        raise UserError(f"{where} has the column {', '.join(twice)} more than once.", fix="keep one of each")
    return tuple(names.index(name) if name in names else -1 for name in COLUMNS)


def _texts(table: pa.Table, place: int, where: str) -> list[str]:
    column = table.column(place)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise UserError(
            f"{where}: the column {table.column_names[place]!r} holds {column.type}, not text.", fix="store it as text"
        )
    return [(text or "").strip() for text in column.to_pylist()]
