"""Prediction files and truth files as they come: rows of class tokens, with or without picture names.

text (ILSVRC's devkit)  a line per picture: up to 5 guesses, best first, separated by blanks; an empty
                        line = no guess; the picture's name may come first
.csv                    header `image_id,guess1,…,guess5` (no image_id: by position)
.npy, .npz              int[N, G], G <= 5, -1 = no guess; an .npz holds one such array per model
.parquet                columns `image_id` and `guesses` (a list), as `pictus evaluate run` writes

A truth file is text (one or more labels per line), .csv (`image_id,label`), .npy or .npz (int[N], key
`labels`), or JSON (a list of labels or of lists of labels; an empty list leaves the picture out, as in ReaL).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pictus.errors import UserError, bad_rows

MAX_GUESSES = 5
GUESS_COLUMNS = tuple(f"guess{number}" for number in range(1, MAX_GUESSES + 1))
NAME_COLUMNS = ("image_id", "image", "picture", "key", "file", "filename")
TRUTH_KEY = "labels"
GREATEST_NUMBER = 2**31 - 1
"""Of a class: labels are kept in 32 bits, and a greater one must not be cut to one that exists."""

_NAME = re.compile(r"[0-9a-f]{64}|\S*[/.]\S*|\S+_\d{5,}")
"""Looks like a picture's name, not a class: a sha256, a path or file name, ILSVRC2012_val_00000001."""

_FORMAT_FIX = (
    "one line per picture with up to 5 guesses, best first, separated by blanks; see `pictus challenge score --help`"
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """One file's rows, read but not yet understood. `rows`: tokens of every line, or int[N, G] with -1
    for no guess. `pictures`: a name per row, or None when rows are told by position.
    """

    name: str
    where: str
    rows: list[list[str]] | NDArray[np.int64]
    pictures: list[str] | None = None
    first_line: int = 1

    def __len__(self) -> int:
        return len(self.rows)


def parse_predictions(data: bytes, path: Path, known_pictures: frozenset[str] = frozenset()) -> list[Sheet]:
    """The prediction sheets of one file: one, or one per model for an .npz.

    known_pictures: names the truth has; the first column of a text file is taken for names when
    one of them stands in it.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return list(_array_sheets(data, path))
    if suffix == ".csv":
        return [_csv_sheet(data, path, GUESS_COLUMNS)]
    if suffix == ".parquet":
        return [_parquet_sheet(data, path)]
    rows = _lines(data, path)
    named = any(row and row[0] in known_pictures for row in rows)
    sheet = _text_sheet(rows, path, named=named)
    _check_width(sheet)
    return [sheet]


def parse_truth(data: bytes, path: Path) -> Sheet:
    """The rows of one truth file: labels per picture, and names where the file has them."""
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        arrays = _arrays(data, path)
        labels = arrays.get(TRUTH_KEY, next(iter(arrays.values()))) if len(arrays) == 1 else arrays.get(TRUTH_KEY)
        if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
            what = f"{path} has no row of true labels (int[N]{f', key {TRUTH_KEY!r}' if suffix == '.npz' else ''})."
            raise UserError(what, fix=f"np.savez(path, {TRUTH_KEY}=labels) with one class number per picture")
        bad = [f"row {row}: {labels[row]}" for row in np.flatnonzero((labels < 0) | (labels > GREATEST_NUMBER))]
        if bad:
            raise bad_rows(str(path), bad, fix=f"number the classes from 0, up to {GREATEST_NUMBER:,}")
        return Sheet(path.stem, str(path), labels.astype(np.int64)[:, None])
    if suffix == ".json":
        return _json_truth(data, path)
    if suffix == ".csv":
        sheet = _csv_sheet(data, path, ("label",))
    else:
        rows = _lines(data, path)
        named = all(len(row) > 1 and _NAME.fullmatch(row[0]) for row in rows)
        sheet = _text_sheet(rows, path, named=named)
    empty = [f"line {number}: no label" for number, row in enumerate(sheet.rows, sheet.first_line) if not len(row)]
    if empty:
        raise bad_rows(str(path), empty, fix="give every picture its label; in JSON an empty list leaves a picture out")
    return sheet


def _lines(data: bytes, path: Path) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file: {error}.", fix=_FORMAT_FIX) from None
    rows = [line.split() for line in text.splitlines()]
    if not any(rows):
        raise UserError(f"{path} is empty.", fix=_FORMAT_FIX)
    return rows


def _text_sheet(rows: list[list[str]], path: Path, *, named: bool) -> Sheet:
    if not named:
        return Sheet(path.stem, str(path), rows)
    blank = [f"line {number}: empty, but other lines name a picture" for number, row in enumerate(rows, 1) if not row]
    if blank:
        raise bad_rows(str(path), blank, fix="write the picture's name alone where there is no guess")
    return Sheet(path.stem, str(path), [row[1:] for row in rows], [row[0] for row in rows])


def _check_width(sheet: Sheet) -> None:
    long = [
        f"line {number}: {len(row)} guesses, first {' '.join(row[:MAX_GUESSES])} …"
        for number, row in enumerate(sheet.rows, start=sheet.first_line)
        if len(row) > MAX_GUESSES
    ]
    if long:
        fix = f"at most {MAX_GUESSES} guesses per picture; only class names or numbers, no boxes, no scores"
        raise bad_rows(sheet.where, long, fix=fix)


def _csv_sheet(data: bytes, path: Path, columns: tuple[str, ...]) -> Sheet:
    fix = f"header image_id,{','.join(columns)}"
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file: {error}.", fix=fix) from None
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if columns[0] not in header:
        raise UserError(f"{path} has no column {columns[0]}; its header is {', '.join(header) or 'empty'}.", fix=fix)
    found = [header.index(name) for name in columns if name in header]
    short = [
        f"line {number}: {len(row)} columns, the header has {len(header)}"
        for number, row in enumerate(rows[1:], start=2)
        if row and len(row) != len(header)
    ]
    if short:
        raise bad_rows(str(path), short, fix="give every line as many columns as the header")
    body = [row for row in rows[1:] if row]
    name_column = next((header.index(name) for name in NAME_COLUMNS if name in header), None)
    tokens = [[row[index].strip() for index in found if row[index].strip()] for row in body]
    names = None if name_column is None else [row[name_column].strip() for row in body]
    return Sheet(path.stem, str(path), tokens, names, first_line=2)


def _parquet_sheet(data: bytes, path: Path) -> Sheet:
    import pyarrow as pa  # noqa: PLC0415  0.1 s that text files do not pay
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(io.BytesIO(data), columns=["image_id", "guesses"])
        if table.num_columns != 2:  # noqa: PLR2004  columns that are not there are left out silently
            missing = {"image_id", "guesses"} - set(table.column_names)
            raise UserError(f"{path} lacks the column {', '.join(sorted(missing))}.", fix="image_id, guesses (a list)")
        rows = [[str(guess) for guess in guesses or ()] for guesses in table.column("guesses").to_pylist()]
    except (pa.ArrowException, OSError, TypeError) as error:
        what = f"{path} cannot be read as predictions: {str(error).splitlines()[0]}."
        raise UserError(what, fix="a Parquet file with the columns image_id and guesses (a list)") from None
    sheet = Sheet(path.stem, str(path), rows, [str(name) for name in table.column("image_id").to_pylist()])
    _check_width(sheet)
    return sheet


def _array_sheets(data: bytes, path: Path) -> Iterator[Sheet]:
    arrays = _arrays(data, path)
    tables = {name: array for name, array in arrays.items() if array.ndim == 2}  # noqa: PLR2004  [N, G]
    if not tables:
        shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items())
        raise UserError(f"{path} has no array int[N, G] of guesses; it has {shapes or 'nothing'}.", fix=_array_fix())
    for name, array in tables.items():
        where = f"{path} [{name}]" if path.suffix.lower() == ".npz" else str(path)
        if array.dtype.kind not in "iu" or not 1 <= array.shape[1] <= MAX_GUESSES:
            raise UserError(f"{where} is {array.dtype}{list(array.shape)}, not int[N, 1..5].", fix=_array_fix())
        strange_R = ((array < -1) | (array > GREATEST_NUMBER)).any(axis=1)
        bad = [f"row {row}: {array[row].tolist()}" for row in np.flatnonzero(strange_R)]
        if bad:
            raise bad_rows(where, bad, fix=f"class numbers from 0, up to {GREATEST_NUMBER:,}; -1 for no guess")
        yield Sheet(name if len(tables) > 1 else path.stem, where, array.astype(np.int64), first_line=0)


def _arrays(data: bytes, path: Path) -> dict[str, NDArray[Any]]:
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: loaded}
        return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise UserError(f"{path} is not a NumPy file of numbers: {error}.", fix=_array_fix()) from None


def _array_fix() -> str:
    return "np.save(path, np.argsort(-scores, axis=1)[:, :5]): the 5 best class numbers of every picture, best first"


def _json_truth(data: bytes, path: Path) -> Sheet:
    fix = "[[65], [970, 795], [], …]: the acceptable labels of every picture, in order"
    try:
        found = json.loads(data)
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.", fix=fix) from None
    if not isinstance(found, list) or not found:
        raise UserError(f"{path} is not a list of labels.", fix=fix)
    rows, bad = [], []
    for number, entry in enumerate(found):
        labels = entry if isinstance(entry, list) else [entry]
        if all(isinstance(label, (int, str)) and not isinstance(label, bool) for label in labels):
            rows.append([str(label) for label in labels])
        else:
            bad.append(f"entry {number}: {json.dumps(entry)[:80]}")
    if bad:
        raise bad_rows(str(path), bad, fix=fix)
    return Sheet(path.stem, str(path), rows, first_line=0)
