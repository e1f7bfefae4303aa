"""Lance tables: schemas, append, upsert, anti-join, tags. One table per owner, rows never hold bytes.

Every write is one atomic commit: after a kill the table is as it was before or after it.
Lance is not fork-safe; workers are started by forkserver or spawn.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from pictus.errors import UserError, counted

Record = TypeVar("Record")

FILE_FORMAT = "2.2"
"""Written into every table, so that a newer pylance does not change files silently."""

_IMAGE = pa.field("image_id", pa.string(), nullable=False)
_CONCEPT = pa.field("concept_id", pa.string(), nullable=False)


def _columns(**types: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in types.items()]


_S, _I, _L, _F, _B = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()

SCHEMAS: dict[str, pa.Schema] = {
    # taxonomy
    "concepts": pa.schema(
        [_CONCEPT, *_columns(names=pa.list_(_S), gloss=_S, parents=pa.list_(_S), is_class=_B, source=_S)]
    ),
    "concept_urls": pa.schema([_CONCEPT, *_columns(url=_S)]),
    "queries": pa.schema([_CONCEPT, *_columns(query=_S, because=_S, language=_S)]),
    "left_out": pa.schema([_CONCEPT, *_columns(reason=_S, source=_S)]),
    # collect
    "candidates": pa.schema(
        _columns(
            address=_S, concept_id=_S, source=_S, query=_S, language=_S, licence=_S, author=_S, title=_S, page=_S,
            found_at=_S,
        )
    ),
    "searches": pa.schema(
        _columns(source=_S, query=_S, concept_id=_S, found=_I, cause=_S, detail=_S, searched_at=_S)
    ),
    "images": pa.schema(
        [_IMAGE, *_columns(shard=_S, offset=_L, size=_L, width=_I, height=_I, format=_S, mode=_S, added_at=_S)]
    ),
    "sources": pa.schema(
        [_IMAGE, *_columns(address=_S, kind=_S, concept_id=_S, query=_S, licence=_S, author=_S, found_at=_S)]
    ),
    "fetches": pa.schema(
        _columns(
            address=_S, kind=_S, cause=_S, detail=_S, image_id=_S, concept_id=_S, status=_I, tries=_I, size=_L,
            elapsed_s=_F, etag=_S, last_modified=_S, attempted_at=_S,
        )
    ),
    # clean
    "checks": pa.schema(
        [
            _IMAGE,
            *_columns(
                cause=_S, width=_I, height=_I, entropy=_F, sharpness=_F, brightness=_F, contrast=_F, grey_frac=_F,
                aspect=_F, is_animated=_B, pixel_sha256=_S, phash=pa.uint64(), dhash=pa.uint64(), pdq=pa.binary(32),
                pdq_quality=_I, border_frac=_F, text_frac=_F, overlay=_F, jpeg_quality=_I, metadata=pa.list_(_S),
                creator=_S, rights=_S, data_mining=_S,
            ),
        ]
    ),
    "duplicates": pa.schema(
        [
            _IMAGE,
            *_columns(
                group_id=_S, is_keeper=_B, relation=_S, distance=_I, evidence_id=_S, reason=_S, similarity=_F, detail=_S
            ),
        ]
    ),
    "evaluation_hashes": pa.schema(
        _columns(
            set=_S, item=_S, sha256=_S, pixel_sha256=_S, phash=pa.uint64(), dhash=pa.uint64(), pdq=pa.binary(32),
            pdq_quality=_I,
        )
    ),
    "leaks": pa.schema([_IMAGE, *_columns(set=_S, item=_S, relation=_S, distance=_I, reason=_S)]),
    "features": pa.schema(
        [
            _IMAGE,
            *_columns(
                cause=_S, width=_I, height=_I, points=pa.binary(), codes=pa.binary(), mirrored_points=pa.binary(),
                mirrored_codes=pa.binary(), turns=pa.binary(), quality=_I,
            ),
        ]
    ),
    "matched": pa.schema([_IMAGE]),
    "likenesses": pa.schema([_IMAGE, *_columns(other_id=_S, relation=_S, similarity=_F, detail=_S)]),
    "relevance": pa.schema(
        [_IMAGE, _CONCEPT, *_columns(outlier=_F, suspect_id=_S, margin=_F, twin_id=_S, similarity=_F, model=_S)]
    ),
    "faces": pa.schema([_IMAGE, *_columns(cause=_S, n_faces=_I, boxes=_S, detector=_S)]),
    "safety": pa.schema([_IMAGE, *_columns(cause=_S, label=_S, score=_F, classifier=_S)]),
    "verdicts": pa.schema([_IMAGE, *_columns(verdict=_S, rule=_S, reason=_S, value=_F, threshold=_F, decided_at=_S)]),
    # annotate
    "labels": pa.schema(
        [_IMAGE, *_columns(concept_id=_S, posterior=_F, n_votes=_I, status=_S, method=_S, settled_at=_S)]
    ),
    "presences": pa.schema(
        [
            _IMAGE, _CONCEPT,
            *_columns(posterior=_F, n_votes=_I, n_yes=_I, selection=_F, status=_S, method=_S, settled_at=_S),
        ]
    ),
    "suspects": pa.schema([_IMAGE, *_columns(given_id=_S, suggested_id=_S, quality=_F, model=_S, reason=_S)]),
    "boxes": pa.schema(
        [
            _IMAGE, _CONCEPT,
            *_columns(
                mark_id=_L, x1=_F, y1=_F, x2=_F, y2=_F, spread=_F, posterior=_F, n_good=_I, n_bad=_I, n_drew=_I,
                n_looked=_I, drawn_by=pa.list_(_S), verified_by=pa.list_(_S), status=_S, method=_S, reason=_S,
                settled_at=_S,
            ),
        ]
    ),
    "box_coverage": pa.schema(
        [
            _IMAGE, _CONCEPT,
            *_columns(coverage=_S, n_boxes=_I, n_covered=_I, n_missing=_I, reason=_S, settled_at=_S),
        ]
    ),
    "masks": pa.schema(
        [
            _IMAGE, _CONCEPT,
            *_columns(
                mark_id=_L, height=_I, width=_I, counts=_S, area=_L, x1=_F, y1=_F, x2=_F, y2=_F, agreement=_F,
                n_drew=_I, drawn_by=pa.list_(_S), status=_S, method=_S, reason=_S, settled_at=_S,
            ),
        ]
    ),
    "keypoints": pa.schema(
        [
            _IMAGE, _CONCEPT,
            *_columns(
                mark_id=_L, skeleton=_S, points=pa.list_(_F), spreads=pa.list_(_F), agreement=_F, n_drew=_I,
                drawn_by=pa.list_(_S), status=_S, method=_S, reason=_S, settled_at=_S,
            ),
        ]
    ),
    # release
    "splits": pa.schema([_IMAGE, *_columns(split=_S, concept_id=_S, group_id=_S)]),
}  # fmt: skip


class Tables:
    """The folder of one project's tables. Names are keys of SCHEMAS, or `embeddings_<model>`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self, name: str) -> bool:
        """Whether the table has ever been committed; its folder alone (a killed first write) is not enough."""
        return any((self.root / f"{name}.lance" / "_versions").glob("*.manifest"))

    def names(self) -> list[str]:
        """The tables that exist, sorted."""
        return sorted(path.stem for path in self.root.glob("*.lance") if self.exists(path.stem))

    def count(self, name: str, where: str | None = None) -> int:
        """Rows, or rows that match an SQL filter; 0 for a table not written yet."""
        with _guarded(self.root / f"{name}.lance"):
            return self._open(name).count_rows(where) if self.exists(name) else 0

    def read(
        self, name: str, columns: Sequence[str] | None = None, where: str | None = None, limit: int | None = None,
        offset: int | None = None,
    ) -> pa.Table:  # fmt: skip
        """Rows as an Arrow table; the empty table of its schema when not written yet.

        `where` is Lance SQL: build it with `equals` or `one_of`, never by pasting text.
        """
        if not self.exists(name):
            empty = SCHEMAS[name].empty_table() if name in SCHEMAS else pa.table({})
            return empty.select(list(columns)) if columns and name in SCHEMAS else empty
        chosen = list(columns) if columns else None
        with _guarded(self.root / f"{name}.lance"):
            return self._open(name).to_table(columns=chosen, filter=where, limit=limit, offset=offset)

    def take(self, name: str, rows: Sequence[int]) -> pa.Table:
        """Rows by their numbers, in this order, all columns: of many the table is opened once."""
        with _guarded(self.root / f"{name}.lance"):
            return self._open(name).take(list(rows))

    def batches(self, name: str, columns: Sequence[str] | None = None, rows: int = 8192) -> Iterator[pa.RecordBatch]:
        """The table in batches, in the order written, for what must not hold all of it."""
        if self.exists(name):
            # Lance reads 16 batches of every fragment ahead by default: 0.4 GB more at 1 M × 384 for no speed.
            chosen = list(columns) if columns else None
            with _guarded(self.root / f"{name}.lance"):
                read = iter(self._open(name).to_batches(
                    columns=chosen, batch_size=rows, batch_readahead=4, fragment_readahead=1
                ))  # fmt: skip
            while True:
                with _guarded(self.root / f"{name}.lance"):  # around the reading only, not what the caller does
                    batch = next(read, None)
                if batch is None:
                    return
                yield batch

    def records(self, name: str, kind: type[Record], where: str | None = None) -> Iterator[Record]:
        """Rows as records of `kind`, streamed."""
        names = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
        if not self.exists(name):
            return
        with _guarded(self.root / f"{name}.lance"):
            for batch in self._open(name).to_batches(columns=names, filter=where):
                for row in batch.to_pylist():
                    shaped = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
                    yield kind(**shaped)

    def append(self, name: str, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows in one atomic commit."""
        self._write(name, rows, "append" if self.exists(name) else "create")

    def replace(self, name: str, rows: pa.Table) -> None:
        """Make `rows` the whole table in one atomic commit; earlier versions stay readable."""
        self._write(name, rows, "overwrite" if self.exists(name) else "create")

    def upsert(self, name: str, rows: pa.Table, key: str | Sequence[str] = "image_id") -> None:
        """Insert rows, replacing those with the same key, in one atomic commit."""
        if not self.exists(name):
            self.append(name, rows)
            return
        if rows.num_rows:
            keys = [key] if isinstance(key, str) else list(key)
            with _guarded(self.root / f"{name}.lance"):
                merge = self._open(name).merge_insert(keys).when_matched_update_all().when_not_matched_insert_all()
                merge.execute(self._shaped(name, rows))

    def delete(self, name: str, where: str) -> None:
        """Remove the rows that match; they stay in earlier versions."""
        if self.exists(name):
            with _guarded(self.root / f"{name}.lance"):
                self._open(name).delete(where)

    def drop(self, name: str) -> None:
        """Remove a table whole: how a stage is redone."""
        if self.exists(name):
            gone = self.root / f"{name}.dropped"  # renamed first: a kill must not leave half a table
            shutil.rmtree(gone, ignore_errors=True)
            (self.root / f"{name}.lance").rename(gone)
            shutil.rmtree(gone)

    def ids(self, name: str, column: str = "image_id") -> set[str]:
        """Every value of a string column."""
        return set(self.read(name, [column]).column(column).to_pylist()) if self.exists(name) else set()

    def missing(self, name: str, source: str, columns: Sequence[str], key: str = "image_id") -> pa.Table:
        """Anti-join: the rows of `source` whose key the table `name` does not have, in source order."""
        rows = self.read(source, columns)
        if not self.exists(name) or not rows.num_rows:
            return rows
        import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

        done = self.read(name, [key]).column(key)
        return rows.filter(pc.invert(pc.is_in(rows.column(key), value_set=done.combine_chunks())))

    def compact(self, name: str, fragments: int = 64) -> None:
        """Join a table's fragments when it has that many; rows and their order stay. For steps that commit often."""
        with _guarded(self.root / f"{name}.lance"):
            if self.exists(name) and len((dataset := self._open(name)).get_fragments()) >= fragments:
                dataset.optimize.compact_files()

    def version(self, name: str) -> int:
        """The table's version number, 0 before it exists; grows with every commit."""
        with _guarded(self.root / f"{name}.lance"):
            return int(self._open(name).version) if self.exists(name) else 0

    def stamp(self, name: str) -> int:
        """Another number after every commit, 0 before the table exists; `version` for who asks with every page.

        A look at one folder, 5 µs, where opening the table takes 0.7 ms.
        """
        try:
            return (self.root / f"{name}.lance" / "_versions").stat().st_mtime_ns
        except FileNotFoundError:
            return 0  # not written yet

    def tag(self, name: str, tag: str) -> None:
        """Name the present version, so that it is kept and can be read back."""
        with _guarded(self.root / f"{name}.lance"):
            self._open(name).tags.create(tag, self.version(name))

    def _open(self, name: str) -> Any:  # noqa: ANN401  lance has no stubs
        import lance  # noqa: PLC0415  90 MB that --help does not pay

        path = self.root / f"{name}.lance"
        dataset = lance.dataset(str(path))
        lacking = set(SCHEMAS[name].names if name in SCHEMAS else ["image_id"]) - set(dataset.schema.names)
        if lacking:  # a manifest of zeros opens as a table without columns or rows
            raise _damaged(path, f"it lacks {counted(len(lacking), 'column')}, {', '.join(sorted(lacking))}")
        return dataset

    def _write(self, name: str, rows: pa.Table | pa.RecordBatch, mode: str) -> None:
        import lance  # noqa: PLC0415

        self.root.mkdir(parents=True, exist_ok=True)
        with _guarded(self.root / f"{name}.lance"):
            if mode == "append":
                self._open(name)  # checked before it grows
            lance.write_dataset(
                self._shaped(name, rows), str(self.root / f"{name}.lance"), mode=mode, data_storage_version=FILE_FORMAT
            )

    def _shaped(self, name: str, rows: pa.Table | pa.RecordBatch) -> pa.Table:
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        schema = SCHEMAS.get(name)
        if schema is None:
            return table
        return table.select(schema.names).cast(schema.with_metadata(table.schema.metadata))  # what a stage notes there


def table_of(name: str, records: Iterable[Any]) -> pa.Table:
    """Records of one kind as an Arrow table in the schema of `name`."""
    rows, schema = list(records), SCHEMAS[name]
    return pa.table({column: [getattr(row, column) for row in rows] for column in schema.names}, schema=schema)


def equals(column: str, value: str) -> str:
    """The SQL filter `column = 'value'`, quoted."""
    return f"{column} = {_quoted(value)}"


def one_of(column: str, values: Iterable[str]) -> str:
    """The SQL filter `column IN (…)`, quoted; matches nothing for no values."""
    listed = ", ".join(_quoted(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_FULL = ("No space left", "os error 28", "StorageFull", "File too large", "os error 27")

_BROKEN = ("LanceError", "not appear to be a Lance file", "External error", "Encountered corrupt")


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """A full disk or a damaged table becomes a message; anything else stays what it is."""
    try:
        yield
    except (OSError, ValueError) as error:
        text = str(error)
        if any(word in text for word in _FULL):
            free_mb = shutil.disk_usage(path.parent).free // 2**20
            raise UserError(
                f"The disk is full: {path} could not be written ({free_mb:,} MB free). What was committed is safe.",
                fix="free some space, then run the same command again: it continues where it stopped",
            ) from error
        if any(words in text for words in _BROKEN) or isinstance(error, pa.ArrowInvalid):
            raise _damaged(path, text[:200]) from error
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Lance's, no Exception and in no module that can be imported
            raise
        raise _damaged(path, f"{error}"[:200]) from error


_MADE_BY = {
    "checks": "clean check", "duplicates": "clean dedupe", "verdicts": "clean screen", "labels": "annotate settle",
    "presences": "annotate settle",
    "features": "clean match", "matched": "clean match", "likenesses": "clean match",
    "relevance": "clean relevance", "faces": "clean faces", "safety": "clean safety",
    "leaks": "clean leaks",
    "suspects": "annotate suspects",
    "boxes": "annotate shapes", "box_coverage": "annotate shapes", "masks": "annotate shapes",
    "keypoints": "annotate shapes",
    "splits": "release split",
}  # fmt: skip
"""The step that makes a table anew; the other tables hold what no step can find again."""


def _damaged(path: Path, why: str) -> UserError:
    step = "search index" if path.stem.startswith("embeddings_") else _MADE_BY.get(path.stem, "")
    copy = "restore that folder from a copy"
    return UserError(
        f"The table {path} is damaged or cannot be read: {why}.",
        fix=f"{copy}; or make it anew:    rm -r {shlex.quote(str(path))} && pictus {step}" if step else copy,
    )
