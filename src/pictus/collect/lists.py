"""Lists of addresses to fetch: rows of text with named columns, checked all at once."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import pyarrow as pa

from pictus.collect import sidecars
from pictus.collect.addresses import parse_url
from pictus.collect.intake import Claim
from pictus.errors import PictureError, UserError, bad_rows, clipped, counted

COLUMNS = ("url", "concept", "licence", "author", "query")
_LONGEST_NAME = 200
"""A longer text is no misspelt name: nothing near it is looked up."""

_DELETED = 40
"""For more bad lines than this, no command that leaves them out is proposed: nobody could read it."""

_CALLED = {column: (column, *(name for name in sidecars.COLUMNS[column] if name != column)) for column in COLUMNS}
"""The names of each column, as beside pictures: LAION's TEXT is a query. The first that says something counts."""

_NAMES = frozenset(name for names in _CALLED.values() for name in names)


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


MAX_CELL = 131_072
"""Signs of a cell: csv's own limit, which is one for all that runs in a process and may have been raised by others."""


def rows_of_csv(lines: Iterable[str], where: str) -> Iterator[Row]:
    """Rows of a CSV or TSV text; the header decides which (the delimiter that occurs in it)."""
    reader_lines = iter(lines)
    first = next(reader_lines, "")
    if not first.strip():
        raise UserError(f"{where} is empty." if not first else f"{where} begins with an empty line.",
                        fix="let its first line name the columns: url, and if you like concept, licence, author, query")
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
            _check_cells(cells)
            begin = begin if begin != end else 0
            if len(cells) == len(header):
                url, concept, licence, author, query = (_first(cells, at) for at in places)
                yield _text_only(Row(end, url, concept, licence, author, query, first=begin))
            else:
                found = clipped(_shown(delimiter.join(cells)))
                problem = f"{counted(len(cells), 'cell')}, the header has {len(header)}: {found}"
                yield Row(end, "", "", "", "", "", problem, begin)
    except csv.Error as error:
        what = f"{where} line {reader.line_num + 1} cannot be read: {error}."
        raise UserError(what, fix="save the list again as CSV") from error


def _check_cells(cells: Sequence[str]) -> None:
    if max(map(len, cells)) > MAX_CELL:
        message = f"a cell has more than {MAX_CELL:,} signs"
        raise csv.Error(message)


def rows_of_jsonl(lines: Iterable[str]) -> Iterator[Row]:
    """Rows of JSON Lines: one object in each line, with the names of the columns in any case; other names are free."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError):
            yield _bad(number, f"is not JSON: {clipped(_shown(line))}")
            continue
        if isinstance(facts, dict):
            yield _row_of(number, facts)
        else:
            yield _bad(number, f'is no object, {{"url": …}}: {clipped(_shown(line))}')


def rows_of_table(table: pa.Table, where: str, after: int = 0) -> Iterator[Row]:
    """Rows of a Parquet file, or of a part of it `after` so many rows; an empty cell may be null."""
    kinds = zip(table.column_names, table.schema.types, strict=True)
    places = _places([name if _may_be_told(name, kind) else "" for name, kind in kinds], where, table.column_names)
    columns = [_told(table, at, where) for at in places]
    for line, cells in enumerate(zip(*columns, strict=True), start=after + 1):
        yield Row(line, *cells)


def columns_of(schema: pa.Schema) -> list[str]:
    """The columns of a table that are read as a list."""
    return [field.name for field in schema if _name(field.name) in _NAMES and _may_be_told(field.name, field.type)]


def wanted_of(rows: Iterable[Row], resolve: Callable[[str], str], where: str) -> tuple[list[Wanted], int]:
    """Rows with their concepts resolved, each address once (its first row) -> (wanted, repeated rows).

    Every row that cannot be read, empty address and unknown concept is told in one UserError, in the list's order.
    """
    wanted: dict[str, Wanted] = {}  # by the one spelling of each address
    claims: dict[Claim, Claim] = {}  # each once: a list says the same of thousands of pictures
    problems: list[str] = []
    bad: list[Row] = []  # the first of them: a list of a million bad rows has nothing else to tell
    known: dict[str, str | UserError] = {"": ""}
    repeated = 0
    for row in rows:
        if row.concept not in known:
            known[row.concept] = _resolved(row.concept, resolve)
        concept = known[row.concept]
        problem = row.problem or ("" if row.url else "no url")
        if not problem and isinstance(concept, UserError):
            problem = in_one_line(concept)
        if problem:
            problems.append(f"line {row.line}: {problem}" if len(bad) <= _DELETED else "")
            bad += [row] if len(bad) <= _DELETED else []
        elif (spelling := _spelling(row.url)) in wanted:
            repeated += 1
        else:
            claim = Claim(str(concept), row.query, row.licence, row.author)
            wanted[spelling] = Wanted(row.url, claims.setdefault(claim, claim))
    if problems:
        raise bad_rows(
            where, problems, fix="correct these lines (quote cells that hold the delimiter), or"
            " pictus taxonomy add NAME --parent CONCEPT" + _without(where, bad),
        )  # fmt: skip
    return list(wanted.values()), repeated


def _spelling(url: str) -> str:
    """The one spelling of an address; what is none stands for itself, and is told when it is fetched."""
    try:
        text = parse_url(url).text
    except PictureError:  # told where it is fetched
        return url
    return url if text == url else text  # the same text is held once


def _without(where: str, rows: Sequence[Row]) -> str:
    """How to go on without some rows of a text."""
    path = PurePath(where)
    if path.suffix.lower() in {".parquet", ".pq"} or len(rows) > _DELETED:
        return ""
    lines = ";".join(f"{row.first},{row.line}d" if row.first else f"{row.line}d" for row in rows)
    is_packed = path.suffix.lower() == ".gz"
    plain = path.with_suffix("") if is_packed else path
    good = shlex.quote(str(plain.with_name(f"{plain.stem}-good{plain.suffix}")))
    taken = f"gzip -dc {shlex.quote(where)} | sed '{lines}'" if is_packed else f"sed '{lines}' {shlex.quote(where)}"
    return f", or go on without them: {taken} > {good} && pictus collect fetch {good}"


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


def _row_of(line: int, facts: Mapping[str, Any]) -> Row:
    """One row from a JSON object."""
    cells: dict[str, str] = {}
    for name, value in facts.items():
        called = _name(name)
        if called not in _NAMES or value is None:
            continue
        if not isinstance(value, (bool, list, dict)):
            cells[called] = str(value).strip()
        elif called in COLUMNS:
            return _bad(line, f"{called} is {clipped(json.dumps(value), 40)}, not a text")
    url, concept, licence, author, query = (
        next((cells[name] for name in _CALLED[column] if cells.get(name)), "") for column in COLUMNS
    )
    if not url:
        return _bad(line, f"no url; it holds {clipped(', '.join(facts) or 'nothing')}")
    return _text_only(Row(line, url, concept, licence, author, query))


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _bad(line: int, problem: str) -> Row:
    return Row(line, "", "", "", "", "", problem)


def _text_only(row: Row) -> Row:
    """The row, or why it cannot be stored: half a sign, which is what bytes that are not UTF-8 have become."""
    try:
        "".join(row[1:6]).encode()
    except UnicodeEncodeError:
        return Row(row.line, "", "", "", "", "", f"is not UTF-8 text: {clipped(_shown(row.url))}", row.first)
    return row


def _name(written: str) -> str:
    return written.strip().removeprefix("\ufeff").lower()


def _may_be_told(name: str, kind: pa.DataType) -> bool:
    """Whether a column is text. One with a name of COLUMNS must be, which is told; another is passed over."""
    return _name(name) in COLUMNS or _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_null(value))


def _first(cells: Sequence[str], places: Sequence[int]) -> str:
    for place in places:
        if cell := cells[place].strip():
            return cell
    return ""


def _places(header: Sequence[str], where: str, shown: Sequence[str] = ()) -> tuple[tuple[int, ...], ...]:
    """Where each of COLUMNS stands, under each of its names."""
    names = [_name(name) for name in header]
    if not any(name in names for name in _CALLED["url"]):
        found = ", ".join(clipped(_shown(name)) for name in (shown or header)[:20]) or "nothing"
        raise UserError(
            f"{where} has no column 'url'; its first row holds {found[:500]}.",
            fix="name the column of addresses 'url'; optional columns: concept, licence, author, query",
        )
    if twice := sorted({name for name in names if name in _NAMES and names.count(name) > 1}):
        raise UserError(f"{where} has the column {', '.join(twice)} more than once.", fix="keep one of each")
    return tuple(tuple(names.index(name) for name in _CALLED[column] if name in names) for column in COLUMNS)


def _told(table: pa.Table, places: Sequence[int], where: str) -> list[str]:
    """One of COLUMNS: in each row the first of these cells that says something."""
    columns = [_texts(table, place, where) for place in places]
    if len(columns) == 1:
        return columns[0]
    return [next(filter(None, cells), "") for cells in zip(*columns, strict=True)] or [""] * table.num_rows


def _texts(table: pa.Table, place: int, where: str) -> list[str]:
    column = table.column(place)
    if not _is_text(column.type):
        name = clipped(table.column_names[place])
        raise UserError(f"{where}: the column {name} holds {column.type}, not text.", fix="store it as text")
    return [(text or "").strip() for text in column.to_pylist()]
