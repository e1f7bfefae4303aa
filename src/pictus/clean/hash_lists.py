"""Hash lists as files: what a set holds, told without its pictures.

Parquet or CSV with the columns item, sha256, pixel_sha256, phash, dhash, pdq (hexadecimal, empty where not known) and
quality (PDQ's, 0..100), pHash and dHash being compared together with PDQ or not at all; or text with one PDQ hash a
line, as Meta's tools write, its quality behind a comma or not.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pictus.errors import UserError, bad_rows
from pictus.tables import SCHEMAS

COLUMNS = ("item", "sha256", "pixel_sha256", "phash", "dhash", "pdq", "quality")
DIGITS = {"sha256": 64, "pixel_sha256": 64, "phash": 16, "dhash": 16, "pdq": 64}

_UNKNOWN = -1  # quality: there is no such hash
_FULL = 100
_FIX = f"a table with some of the columns {', '.join(COLUMNS)}, or one PDQ hash of 64 hexadecimal digits a line"


class Listed(NamedTuple):
    """One row of a list and where it stands: "list.csv line 7"."""

    place: str
    fields: Mapping[str, str]


def written(checks: pa.Table, kind: str) -> bytes:
    """Rows of `checks` as the bytes of a list, `kind` parquet or csv."""
    def digits(name: str, width: int) -> list[str]:
        return [f"{value:0{width}x}" for value in checks.column(name).to_pylist()]

    ids = checks.column("image_id").to_pylist()
    table = pa.table({
        "item": ids, "sha256": ids, "pixel_sha256": checks.column("pixel_sha256").to_pylist(),
        "phash": digits("phash", 16), "dhash": digits("dhash", 16),
        "pdq": [value.hex() for value in checks.column("pdq").to_pylist()],
        "quality": checks.column("pdq_quality").to_pylist(),
    })  # fmt: skip
    sink = io.BytesIO()
    if kind == "parquet":
        from pyarrow import parquet  # noqa: PLC0415  only where such a file is written

        parquet.write_table(table, sink)
    else:
        from pyarrow import csv  # noqa: PLC0415

        csv.write_csv(table, sink)
    return sink.getvalue()


def read(path: Path, name: str) -> pa.Table:
    """The list at `path` as rows of `evaluation_hashes` of set `name`; every bad row is told."""
    rows, problems = [], []
    for number, listed in enumerate(_rows(path), 1):
        wrong = _wrong(listed.fields)
        if wrong:
            problems.append(f"{listed.place}: {wrong}")
        else:
            rows.append(_row(listed.fields, name, number))
    if problems:
        raise bad_rows(f"The hash list {path}", problems, fix=_FIX)
    if not rows:
        raise UserError(f"The hash list {path} has no rows.", fix=_FIX)
    return pa.Table.from_pylist(rows, schema=SCHEMAS["evaluation_hashes"])


def _rows(path: Path) -> Iterator[Listed]:
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            from pyarrow.parquet import ParquetFile  # noqa: PLC0415

            with ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names)
                rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
                for number, row in enumerate(rows, 1):
                    yield Listed(f"row {number}", _fields(row))
            return
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"There is no hash list {path}.", fix="check the spelling") from error
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise UserError(f"The hash list {path} cannot be read: {str(error)[:200]}.", fix=_FIX) from error
    head = re.split(r"[\r\n,]", text, maxsplit=1)[0]
    if _is_digits(head.strip(), DIGITS["pdq"]):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                pdq, _, rest = line.partition(",")
                quality = rest.split(",")[0].strip()
                known = quality if quality.isascii() and quality.isdigit() else ""
                yield Listed(f"line {number}", {"item": f"line {number}", "pdq": pdq, "quality": known})
        return
    import csv  # noqa: PLC0415

    reader = csv.DictReader(io.StringIO(text, newline=""))  # a name may hold any sign, also a line's end in quotes
    try:
        _check_columns(path, reader.fieldnames or [])
        for row in reader:
            yield Listed(f"line {reader.line_num}", _fields(row))
    except csv.Error as error:
        raise UserError(f"The hash list {path} cannot be read: {str(error)[:200]}.", fix=_FIX) from error


def _fields(row: Mapping[Any, Any]) -> dict[str, str]:
    return {name: "" if row.get(name) is None else str(row[name]).strip() for name in COLUMNS}


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if not {"sha256", "pixel_sha256", "pdq"} & set(names):
        found = ", ".join(names[:10]) or "none"
        raise UserError(f"The hash list {path} has no column sha256, pixel_sha256 or pdq; found: {found}.", fix=_FIX)


def _wrong(fields: Mapping[str, str]) -> str:
    """What is wrong with a row, "" when nothing is."""
    for name, digits in DIGITS.items():
        text = fields.get(name, "").strip()
        if text and not _is_digits(text, digits):
            return f"{name} {text[:20]!r} is not {digits} hexadecimal digits"
    quality = fields.get("quality", "")
    if quality and not re.fullmatch(r"100|[0-9]{1,2}", quality):
        return f"quality {quality[:20]!r} is not a number from 0 to 100"
    if any(fields.get(name) for name in ("sha256", "pixel_sha256", "pdq")):
        return ""
    if fields.get("phash") or fields.get("dhash"):
        return "phash and dhash alone say too little: pdq is missing"
    return "no hash stands there"


def _is_digits(text: str, count: int) -> bool:
    return bool(re.fullmatch(rf"[0-9a-fA-F]{{{count}}}", text))


def _row(fields: Mapping[str, str], name: str, number: int) -> dict[str, Any]:
    texts = {key: fields.get(key, "").strip().lower() for key in DIGITS}
    has_all = bool(texts["phash"] and texts["dhash"])
    return {
        "set": name, "item": fields.get("item") or texts["sha256"] or f"row {number}", "sha256": texts["sha256"],
        "pixel_sha256": texts["pixel_sha256"], "phash": int(texts["phash"] or "0", 16) if has_all else 0,
        "dhash": int(texts["dhash"] or "0", 16) if has_all else 0, "pdq": bytes.fromhex(texts["pdq"] or "00" * 32),
        "pdq_quality": int(fields.get("quality") or _FULL) if texts["pdq"] else _UNKNOWN,
    }  # fmt: skip
