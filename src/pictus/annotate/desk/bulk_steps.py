"""Rows of one page written at once: 48 statements of a row each cost PostgreSQL five times as much as one of 48."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

Columns = Sequence[tuple[str, str]]
"""Names with PostgreSQL's types. Both, and tables, are words of ours; only values come from outside, and are bound."""


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
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) SELECT * FROM unnest({_arrays(columns)}){ending}",  # noqa: S608
            _lists(rows),
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
