"""Lists of addresses to fetch: rows of text with named columns, checked all at once."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

import pyarrow as pa

from pictus.collect.intake import Claim
from pictus.errors import UserError, bad_rows, clipped, counted

COLUMNS = ("url", "concept", "licence", "author", "query")
_LONGEST_NAME = 200
"""A longer text is no misspelt name: nothing near it is looked up."""

_DELETED = 40
"""For more bad lines than this, no command that leaves them out is proposed: nobody could read it."""

_ALSO_CALLED = {"license": "licence"}


class Wanted(NamedTuple):
    """One address to fetch and what the list claims of it."""

    address: str
    claim: Claim


class Row(NamedTuple):
    """One row as it stands in the list; `line` as a person counts them, the last of a row of several.

    `problem`: why the row cannot be read. `first`: its first line, where that is another.
    """

    line: int
    url: str
    concept: str
    licence: str
    author: str
    query: str
    problem: str = ""
    first: int = 0


def rows_of_csv(lines: Iterable[str], where: str) -> Iterator[Row]:
    """Rows of a CSV or TSV text; the header decides which (the delimiter that occurs in it)."""
    reader_lines = iter(lines)
    first = next(reader_lines, "")
    delimiter = max(",\t;", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    places = _places(header, where)
    end = 1
    reader = csv.reader(reader_lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            begin, end = end + 1, reader.line_num + 1
            if not cells:
                continue
            begin = begin if begin != end else 0
            if len(cells) == len(header):
                url, concept, licence, author, query = (cells[place].strip() if place >= 0 else "" for place in places)
                yield Row(end, url, concept, licence, author, query, first=begin)
            else:
                found = clipped(delimiter.join(cells))
                problem = f"{counted(len(cells), 'cell')}, the header has {len(header)}: {found}"
                yield Row(end, "", "", "", "", "", problem, begin)
    except csv.Error as error:
        what = f"{where} line {reader.line_num + 1} cannot be read: {error}."
        raise UserError(what, fix="save the list again as CSV") from error


def rows_of_table(table: pa.Table, where: str) -> Iterator[Row]:
    """Rows of a Parquet file; an empty cell may be null."""
    places = _places(table.column_names, where)
    count = table.num_rows
    columns = [_texts(table, place, where) if place >= 0 else [""] * count for place in places]
    for line, cells in enumerate(zip(*columns, strict=True), start=1):
        yield Row(line, *cells)


def wanted_of(rows: Iterable[Row], resolve: Callable[[str], str], where: str) -> tuple[list[Wanted], int]:
    """Rows with their concepts resolved, each address once (its first row) -> (wanted, repeated rows).

    Every row that cannot be read, empty address and unknown concept is told in one UserError, in the list's order.
    """
    wanted: dict[str, Wanted] = {}
    problems: dict[Row, str] = {}
    known: dict[str, str | UserError] = {"": ""}
    repeated = 0
    for row in rows:
        if row.concept not in known:
            known[row.concept] = _resolved(row.concept, resolve)
        concept = known[row.concept]
        if row.problem or not row.url:
            problems[row] = row.problem or "no url"
        elif isinstance(concept, UserError):
            problems[row] = in_one_line(concept)
        elif row.url in wanted:
            repeated += 1
        else:
            wanted[row.url] = Wanted(row.url, Claim(concept, row.query, row.licence, row.author))
    if problems:
        raise bad_rows(
            where, [f"line {row.line}: {problem}" for row, problem in problems.items()],
            fix="correct these lines (quote cells that hold the delimiter), or"
            " pictus taxonomy add NAME --parent CONCEPT" + _without(where, list(problems)),
        )  # fmt: skip
    return list(wanted.values()), repeated


def _without(where: str, rows: Sequence[Row]) -> str:
    """How to go on without some rows of a text."""
    path = PurePath(where)
    if path.suffix.lower() in {".parquet", ".pq"} or len(rows) > _DELETED:
        return ""
    lines = ";".join(f"{row.first},{row.line}d" if row.first else f"{row.line}d" for row in rows)
    good = path.with_name(f"{path.stem}-good{path.suffix}")
    return (
        f", or go on without them: sed '{lines}' {shlex.quote(where)} > {shlex.quote(str(good))}"
        f" && pictus collect fetch {shlex.quote(str(good))}"
    )


def in_one_line(error: UserError) -> str:
    """What is wrong with one concept's name, with the near ones, where many are listed under one fix."""
    near = error.fix.partition("    ")[0]
    return " ".join(error.what.split()) + (f" {near[0].upper()}{near[1:]}" if near.startswith("did you mean") else "")


def _resolved(text: str, resolve: Callable[[str], str]) -> str | UserError:
    if len(text) > _LONGEST_NAME:
        return UserError(f"There is no concept {clipped(text)}.")
    try:
        return resolve(text)
    except UserError as error:
        return error


def _places(header: Sequence[str], where: str) -> tuple[int, ...]:
    """Where each of COLUMNS stands, -1 for none."""
    names = [name.strip().removeprefix("\ufeff").lower() for name in header]
    names = [_ALSO_CALLED.get(name, name) for name in names]
    if "url" not in names:
        found = ", ".join(clipped(name) for name in header[:20]) or "nothing"
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
        name = clipped(table.column_names[place])
        raise UserError(f"{where}: the column {name} holds {column.type}, not text.", fix="store it as text")
    return [(text or "").strip() for text in column.to_pylist()]
