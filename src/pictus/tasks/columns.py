"""Vectors that some network made of pictures, texts, sounds or sensors: a column of a file, a row to each id.

    image_id   string
    NAME       list<float>, large_list or fixed_size_list, all of one length; a row may be null: it has none

An .npz does as well: an array image_id and one of numbers, i.e. f32[M, D].

Legend: M rows of the column, N pictures asked about, D features.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus.errors import UserError, counted
from pictus.tasks.task import Floats

ID = "image_id"

MOST_BYTES = 16 * 2**30
"""A larger file of features is refused before it is read."""

_DAMAGES = (zipfile.BadZipFile, zlib.error, pa.ArrowException)
"""What the readers of .npz and .parquet raise besides the usual."""


@dataclass(frozen=True, eq=False)
class Column:
    """`values_MD`: f32[M, D], finite; `ids`: of each row, each once. `where` it was read, for people."""

    where: str
    ids: tuple[str, ...]
    values_MD: Floats


def read(path: Path, name: str = "") -> Column:
    """A column of an .npz or .parquet; `name` where there are several."""
    if not path.is_file():
        raise UserError(f"There is no file of features {path}.", fix="name an .npz or a .parquet file")
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is larger than {MOST_BYTES / 2**30:.0f} GiB.", fix="split it by columns")
    try:
        if path.suffix == ".npz":
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:  # pickles run code
                chosen = _chosen(str(path), [one for one in arrays.files if one != ID], name)
                ids, values = [str(one) for one in arrays[ID]], arrays[chosen]
            if values.dtype.kind not in "fiu":  # dates would be taken as numbers, of complex ones a half would be lost
                message = f"{chosen} holds {values.dtype}, not numbers"
                raise TypeError(message)  # noqa: TRY301  told as everything else that is wrong with it
            return checked(f"{path}:{chosen}", ids, np.asarray(values, np.float32))
        import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

        chosen = _chosen(str(path), lists_of(pq.read_schema(path)), name)
        return of_table(pq.read_table(path, columns=[ID, chosen]), f"{path}:{chosen}", chosen)
    except (OSError, LookupError, ValueError, TypeError, EOFError, MemoryError, *_DAMAGES) as error:
        why = (str(error) or "it ends too early").splitlines()[0]
        what = f"{path} cannot be read as features: {why}."
        raise UserError(what, fix=f"write {ID} and a column of lists of numbers") from error


def of_table(table: pa.Table, where: str, name: str) -> Column:
    """The list column `name` of a table; rows that are null are left out."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    table = table.filter(pc.is_valid(table.column(name)))
    widths = pc.unique(pc.list_value_length(table.column(name))).to_pylist()
    if len(widths) != 1 or not widths[0]:
        found = ", ".join(map(str, widths[:8])) or "no rows"
        raise UserError(
            f"{where}: the lists of a column are all of one length; found: {found}.",
            fix="write as many numbers for every row, or null",
        )
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).astype(np.float32) for chunk in table.column(name).chunks]
    return checked(where, table.column(ID).to_pylist(), np.concatenate(parts).reshape(-1, widths[0]))


def checked(where: str, ids: Sequence[str], values_MD: npt.NDArray[np.float32]) -> Column:
    """A column, if it is a row of numbers to each id."""
    if values_MD.ndim != 2 or len(values_MD) != len(ids) or not values_MD.shape[1]:  # noqa: PLR2004  rows and columns
        raise UserError(f"{where} has shape {values_MD.shape} for {counted(len(ids), 'id')}.", fix="a row to each id")
    if len(set(ids)) < len(ids):
        n_twice = len(ids) - len(set(ids))
        raise UserError(f"{where} has more than one row of an id, {n_twice:,} in all.", fix="a row to each id")
    bad = np.flatnonzero(~np.isfinite(values_MD).all(axis=1))
    if len(bad):
        raise UserError(
            f"{where}: of {counted(len(ids), 'row')} {len(bad):,} have numbers that are none (NaN or infinite), first"
            f" {str(ids[bad[0]])[:12]}.",
            fix="make them again, or write null for these rows",
        )
    return Column(where, tuple(ids), np.asarray(values_MD, np.float32))


def of_ids(column: Column, ids: Sequence[str]) -> Floats:
    """f32[N, D], the rows of these ids in their order; a row of NaN for one that has none."""
    row_of = {one: row for row, one in enumerate(column.ids)}
    rows_N = np.array([row_of.get(one, -1) for one in ids], np.int64)
    values_ND = np.full((len(ids), column.values_MD.shape[1]), np.nan, np.float32)
    values_ND[rows_N >= 0] = column.values_MD[rows_N[rows_N >= 0]]
    return values_ND


def lists_of(schema: pa.Schema) -> list[str]:
    """The columns of lists of numbers."""
    return [one.name for one in schema if _is_of_numbers(one.type)]


def _is_of_numbers(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _chosen(where: str, names: Sequence[str], asked: str) -> str:
    if asked in names or (len(names) == 1 and not asked):
        return asked or names[0]
    found = ", ".join(names) or "none"
    raise UserError(
        f"{where}: which column of features? It has {found}.",
        fix=f"--column {where}:{names[0]}" if names else f"write {ID} and a column of lists of numbers",
    )
