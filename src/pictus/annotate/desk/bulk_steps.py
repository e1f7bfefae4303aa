"""Statements about the rows of one page, at once: 48 of a row each cost PostgreSQL five times as much as one of 48.

What they cost here counts too: a list goes to PostgreSQL as one value, so that the words stay the same and it, its
driver and SQLAlchemy keep what they made of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

Columns = Sequence[tuple[str, str]]
"""Names with PostgreSQL's types. Both, and tables, are words of ours; only values come from outside, and are bound."""


def told(connection: sa.Connection, statement: str, given: Mapping[str, Any]) -> sa.CursorResult[*tuple[Any, ...]]:
    """Execute a statement of ours. Values may be lists of numbers or of texts, for `IN :name` and `NOT IN :name`."""
    lists = tuple((name, _kind(value)) for name, value in given.items() if isinstance(value, list | tuple))
    is_postgres = connection.dialect.name == "postgresql"
    if lists and is_postgres:  # which takes a tuple for a row
        given = {**given, **{name: list(given[name]) for name, _ in lists}}
    return connection.execute(_text(statement, lists, is_postgres=is_postgres), given)


@lru_cache(maxsize=512)
def _text(statement: str, lists: tuple[tuple[str, str], ...], *, is_postgres: bool) -> sa.TextClause:
    if not is_postgres:
        return sa.text(statement).bindparams(*(sa.bindparam(name, expanding=True) for name, _ in lists))
    for name, kind in lists:
        whole = f"(CAST(:{name} AS {kind}[]))"
        statement = re.sub(rf"\bNOT IN :{name}\b", f"<> ALL {whole}", statement)
        statement = re.sub(rf"\bIN :{name}\b", f"= ANY {whole}", statement)
    return sa.text(statement)


def _kind(values: Sequence[Any]) -> str:
    return "TEXT" if values and isinstance(values[0], str) else "BIGINT"


def insert_rows(
    connection: sa.Connection, table: str, columns: Columns, rows: Sequence[tuple[Any, ...]], *,
    skips_known: bool = False,
) -> None:  # fmt: skip
    """Add rows. With `skips_known` one whose key is there already leaves what is there; else it is an error."""
    if not rows:
        return
    ending = " ON CONFLICT DO NOTHING" if skips_known else ""
    names = ", ".join(name for name, _ in columns)
    if connection.dialect.name == "postgresql":
        values = list(zip(*rows, strict=True))
        # What all rows have alike goes there once; of a column at least the rows are counted.
        varies = [place for place, column in enumerate(values) if column.count(column[0]) < len(column)] or [0]
        alike = [place for place in range(len(columns)) if place not in varies]
        names = ", ".join(columns[place][0] for place in (*alike, *varies))
        once = "".join(f"%s::{columns[place][1]}, " for place in alike)
        arrays = _arrays([columns[place] for place in varies])
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) SELECT {once}new.* FROM unnest({arrays}) AS new{ending}",  # noqa: S608
            (*(values[place][0] for place in alike), *(list(values[place]) for place in varies)),
        )
    else:
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks}){ending}"  # noqa: S608
        connection.exec_driver_sql(statement, list(rows))


def update_rows(connection: sa.Connection, table: str, columns: Columns, rows: Sequence[tuple[Any, ...]]) -> None:
    """Set the columns after the first in the rows that the first, a key, names."""
    if not rows:
        return
    key, *others = [name for name, _ in columns]
    if connection.dialect.name == "postgresql":
        puts = ", ".join(f"{name} = new.{name}" for name in others)
        names = ", ".join(name for name, _ in columns)
        connection.exec_driver_sql(
            f"UPDATE {table} SET {puts} FROM unnest({_arrays(columns)}) AS new ({names})"  # noqa: S608
            f" WHERE {table}.{key} = new.{key}",
            _lists(rows),
        )
    else:
        puts = ", ".join(f"{name} = ?" for name in others)
        statement = f"UPDATE {table} SET {puts} WHERE {key} = ?"  # noqa: S608
        connection.exec_driver_sql(statement, [(*row[1:], row[0]) for row in rows])


def _arrays(columns: Columns) -> str:
    return ", ".join(f"%s::{kind}[]" for _, kind in columns)


def _lists(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
