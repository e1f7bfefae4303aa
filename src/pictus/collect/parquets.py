"""Tables that hold pictures: Parquet as Hugging Face writes it, or any with a column of encoded pictures.

Read a few rows at a time, page after page, so that memory does not grow with the table. (A page holds at most the
1,024 rows that writers put into one, or a row group.) What its pages would unpack to is looked at before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from pictus.collect.found import Found
from pictus.collect.members import class_names_beside, stored
from pictus.collect.parquet_pages import rows_at_once
from pictus.collect.sidecars import COLUMNS, NAMES, plain_text, said_in
from pictus.errors import PictureError

ENDINGS = (".parquet", ".pq")
ROWS = 16
"""Read at a time: 2 MB of usual photos; fewer where rows repeat large values (parquet_pages.py)."""

_BUFFER_BYTES = 2**20
_USUAL = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "image_bytes", "bytes", "content", "data")
"""Names that a column of plain bytes must have to be taken for pictures; and which of several is meant, best first."""


def is_table(name: str) -> bool:
    """Whether a file's name says it is a table."""
    return name.lower().endswith(ENDINGS)


def look_in_table(path: Path, how: str = "", *, with_bytes: bool, is_named: bool = True) -> Iterator[Found]:
    """The pictures of one table; `how` names their column. Not `is_named`: without pictures it is passed over."""
    address = stored(path)
    try:
        with path.open("rb") as file:
            names = class_names_beside(path)
            reading = in_table(
                file, address, path.parent.name, how, with_bytes=with_bytes, is_named=is_named, class_names=names
            )
            yield from reading
    except OSError as error:
        yield Found(address, "parquet", path.parent.name, b"", "unreadable", error.strerror or str(error)[:200])


def in_table(
    file: BinaryIO, address: str, folder: str, how: str = "", *, with_bytes: bool, is_named: bool = True,
    class_names: Sequence[str] = (), is_near: bool = True,
) -> Iterator[Found]:  # fmt: skip
    """The pictures of an open table, told apart as `address#row=N`, the first is 0. `is_near`: on this machine."""
    import pyarrow.parquet as pq  # noqa: PLC0415  needed for this kind of place only

    row = 0
    try:
        table = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        layout = _layout(table.schema_arrow, how)
        if not layout.column:
            if is_named:
                yield Found(address, "parquet", folder, b"", "no-pictures", layout.problem)
            return
        fewer = partial(rows_at_once, file, is_near=is_near)
        for facts in _rows(table, layout, fewer, with_bytes=with_bytes):
            at = f"{address}#row={row}"
            yield _found(facts, layout, at, folder, class_names) if with_bytes else _place(facts, layout, at, folder)
            row += 1
    except PictureError as error:
        yield Found(address, "parquet", folder, b"", error.cause, f"row {row:,}: {error.detail}")
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        # UnicodeDecodeError is a ValueError; a damaged page may announce any size
        yield Found(address, "parquet", folder, b"", "broken-table", f"row {row:,}: {_first_line(error)}")


class _Layout(NamedTuple):
    """Where the pictures are: a column of bytes, or of a struct. `class_names`: of the columns of numbers.

    `parts`: the fields of the struct, () for plain bytes. `problem`: why there is no column.
    """

    column: str
    parts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    class_names: Mapping[str, Sequence[str]] = {}
    problem: str = ""


def _rows(
    table: Any, layout: _Layout, fewer: Callable[[Any, Sequence[str], int], int], *, with_bytes: bool  # noqa: ANN401
) -> Iterator[dict[str, Any]]:
    """The rows with what is needed of them: without bytes a struct's path, or nothing."""
    columns = [layout.column, *layout.others] if with_bytes else []
    if not with_bytes and "path" in layout.parts:
        columns = [f"{layout.column}.path"]
    if not columns:
        yield from ({} for _ in range(table.metadata.num_rows))
        return
    size = ROWS if with_bytes else 8192
    for group in range(table.num_row_groups):  # one by one, so that damage in one costs no row of another
        rows = fewer(table.metadata.row_group(group), columns, size)
        for batch in table.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
            yield from batch.to_pylist()


def _layout(schema: pa.Schema, how: str) -> _Layout:
    features = _features(schema)
    held = {field.name: kind for field in schema if (kind := _kind(field))}
    candidates = [how] if how in held else [] if how else _candidates(held)
    if len(candidates) != 1:
        names = ", ".join(schema.names[:20])
        if how:
            what = f"the column {how!r} holds no pictures" if how in schema.names else f"there is no column {how!r}"
        else:
            what = "several columns of pictures" if candidates else (
                "no column of pictures (struct<bytes, path>, or binary with a name like image)"
            )
        return _Layout("", problem=f"{what}; its columns: {names}"[:500])
    (column,) = candidates
    known = {name: tuple(names) for name, names in features.items() if name in schema.names}
    others = [name for name in schema.names if name.lower() in NAMES and name != column]
    if not any(name.lower() in COLUMNS["concept"] for name in others) and len(known) == 1:
        others.append(next(iter(known)))
    kind = schema.field(column).type
    parts = tuple(kind.field(at).name for at in range(kind.num_fields)) if pa.types.is_struct(kind) else ()
    return _Layout(column, parts, tuple(others), known)


def _candidates(held: Mapping[str, str]) -> list[str]:
    """The columns that may be the pictures: the only struct, else the one with the most usual name."""
    structs = [name for name, kind in held.items() if kind == "struct"]
    usual = {name.lower(): name for name in structs or held}
    named = [usual[name] for name in _USUAL if name in usual]
    return structs if len(structs) == 1 else named[:1] or structs


def _kind(field: pa.Field) -> str:
    """Whether a column may hold encoded pictures: "struct", "bytes", or "" for neither."""
    kind = field.type
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return "struct" if at >= 0 and _is_bytes(kind.field(at).type) else ""
    return "bytes" if _is_bytes(kind) else ""


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _features(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes of each ClassLabel column, from what Hugging Face's `datasets` writes into the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        labels = {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
        return {name: [plain_text(label) for label in names] for name, names in labels.items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):  # written by something else
        return {}


def _found(
    facts: dict[str, Any], layout: _Layout, address: str, folder: str, class_names: Sequence[str]
) -> Found:  # fmt: skip
    found = _place(facts, layout, address, folder)
    held = facts.pop(layout.column)
    image_bytes = (held or {}).get("bytes") if layout.parts else held
    if image_bytes is None:
        path = plain_text((held or {}).get("path")) if layout.parts else ""
        return found._replace(cause="empty", detail=f"the row has only a path: {path}" if path else "the row has none")
    named = {name: _label(value, layout.class_names.get(name, ())) for name, value in facts.items()}
    if strange := [name for name in layout.class_names if name in named and name.lower() not in NAMES]:
        named["label"] = named[strange[0]]
    return found._replace(image_bytes=image_bytes, said=said_in(named, class_names))


def _place(facts: dict[str, Any], layout: _Layout, address: str, folder: str) -> Found:
    held = facts.get(layout.column)
    path = plain_text(held.get("path")) if layout.parts and held else ""
    return Found(address, "parquet", path.rpartition("/")[0].rpartition("/")[2] or folder, b"")


def _label(value: Any, names: Sequence[str]) -> Any:  # noqa: ANN401  whatever the column holds
    """A class's name for its number; -1 is Hugging Face's word for "not said"."""
    if names and isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else ("" if value < 0 else value)
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


