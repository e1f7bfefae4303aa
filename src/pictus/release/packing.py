"""Writes a release folder: shards, tables, papers, manifest. The folder appears whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pictus.errors import PictureError, UserError, bad_rows, counted
from pictus.pixels import sniff
from pictus.progress import Progress
from pictus.project import write_bytes, write_text
from pictus.release.contents import Contents, as_csv, concept_rows, counts, licences
from pictus.release.croissant import croissant
from pictus.release.datasheet import datasheet
from pictus.release.knowledge import counts_of, known_of
from pictus.release.redaction import FACES_BLURRED, FIRST_FRAME, Redacted, Redaction, kind_of, redact
from pictus.releases import FORMAT, LABELS_NAME, MANIFEST, PICTURES, content_digest
from pictus.shards import MAX_SHARD_BYTES, ShardWriter, extension_of

ReadRow = Callable[[int], bytes]
"""The bytes of the picture in row n of `Contents.pictures`."""

ROOM = 1.02
"""Free space asked for, relative to the pictures' own bytes: tar headers and tables come on top."""

LICENCE_COLUMNS = ("licence", "pictures", "authors")
MERGED = "same_once_changed"
"""In a release's history: pictures left out, because another was the same once both were changed."""

AS_FOUND = Redaction(keeps_gps=True)
_HELD_OUT = {"val": 1, "test": 2}
"""Of pictures that become the same the row of the greatest counts, that no test picture trains."""

_RELABEL = "give both one label: pictus annotate import labels.csv, then pictus annotate settle, and cut again"
_PART = ".part"


@contextmanager
def building(final: Path) -> Iterator[Path]:
    """A folder to build in, renamed to `final` when the block ends well and removed when it does not.

    A kill leaves `.<name>.part` beside it, which the next build of the same name empties first.
    """
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise UserError(f"{final} exists already and is not an empty folder.", fix="name another folder, or remove it")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.with_name(f".{final.name}{_PART}")
        part.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{final} cannot be made: {error.strerror}.", fix="name another folder") from error
    held = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process is building {final}.", fix="wait for it to end") from None
        _empty(part)
        try:
            yield part
            os.sync()  # one flush for thousands of files, before the name promises that they are there
            part.replace(final)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise _disk_error(final, error) from error
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    finally:
        os.close(held)


def sweep(folder: Path) -> None:
    """Remove what killed builds left. Only under the lock that every build in `folder` takes."""
    for part in folder.glob(f".*{_PART}"):
        shutil.rmtree(part, ignore_errors=True)


def pack(
    folder: Path, what: Contents, read: ReadRow, *, progress: Progress, fix: str, previous: str = "",
    asked: Redaction = AS_FOUND, max_shard_bytes: int = MAX_SHARD_BYTES,
) -> dict[str, Any]:  # fmt: skip
    """Write all of a release into `folder` -> its manifest. Every picture is hashed on its way.

    Damaged or missing pictures are all reported at once, with `fix`; nothing is released without them. What is
    `asked` is done to each picture before it is written, under the sha256 of what is written; of two that are the
    same afterwards one is written, with the row of the one that is held out; a UserError when their labels differ.
    """
    _check_room(folder, what)
    placed = _write_shards(
        folder / "shards", what.pictures, read, progress=progress, fix=fix, asked=asked,
        max_shard_bytes=max_shard_bytes,
    )  # fmt: skip
    manifest = head(what, placed, previous=previous)
    if merged := what.pictures.num_rows - placed.num_rows:
        manifest["history"] = {**manifest["history"], MERGED: merged, **_unscreened(what, placed)}
    licence_rows = licences(placed)
    write_bytes(folder / "pictures.parquet", _parquet(placed))
    write_bytes(folder / "concepts.parquet", _parquet(concept_rows(what.concepts, what.classes)))
    labels = known_of(what.labels, what.pictures, placed, what.concepts)
    if labels is not None:
        write_bytes(folder / LABELS_NAME, _parquet(labels))
        manifest["counts"]["labels"] = counts_of(labels)
    write_text(folder / "licences.csv", as_csv(licence_rows, LICENCE_COLUMNS))
    write_text(folder / "datasheet.md", datasheet(manifest, what.concepts, licence_rows))
    manifest["files"] = file_sums(folder)
    write_text(folder / "croissant.json", json.dumps(croissant(manifest, licence_rows), indent=1, ensure_ascii=False))
    manifest["files"] = dict(
        sorted({**manifest["files"], "croissant.json": file_sum(folder / "croissant.json")}.items())
    )
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    for path in _files(folder):
        path.chmod(0o444)
    return manifest


def head(what: Contents, pictures: pa.Table, *, previous: str = "") -> dict[str, Any]:
    """The manifest without its list of files."""
    found = counts(pictures, what.classes)
    about = what.about
    sizes = f"{counted(found['pictures'], 'picture')} of {counted(found['classes'], 'class', 'classes')}"
    default = f"{sizes}, each labelled with one of them."
    return {
        "format": FORMAT,
        "name": about.name,
        "version": about.version,
        "digest": content_digest(pictures, what.classes),
        "created": about.created,
        "description": about.description or default,
        "creator": about.creator or f"the makers of {about.name}",
        "url": about.url,
        "pictus": metadata.version("pictus"),
        "previous": previous,
        "counts": found,
        "history": what.history,
    }


def file_sums(folder: Path) -> dict[str, dict[str, Any]]:
    """Path inside the folder -> size and sha256 of every file but the manifest, sorted by path."""
    return {
        path.relative_to(folder).as_posix(): file_sum(path)
        for path in _files(folder)
        if path != folder / MANIFEST
    }


def file_sum(path: Path) -> dict[str, Any]:
    """Size and sha256 of one file."""
    with path.open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "size": path.stat().st_size}


def why_unreadable(read: ReadRow, position: int, image_id: str) -> tuple[bytes, str]:
    """A picture's bytes and "", or b"" and what is wrong with them."""
    try:
        image_bytes = read(position)
    except (UserError, PictureError, OSError) as error:
        return b"", str(error).splitlines()[0]
    if hashlib.sha256(image_bytes).hexdigest() != image_id:
        return b"", "the bytes are not those that were added (their sha256 differs)"
    return image_bytes, ""


def _redacted(read: ReadRow, position: int, image_id: str, asked: Redaction) -> tuple[Redacted, str]:
    """A picture as it is released and "", or nothing and why it cannot be."""
    image_bytes, problem = why_unreadable(read, position, image_id)
    if not problem:
        try:
            return redact(image_id, image_bytes, asked), ""
        except PictureError as error:  # where it was taken may still be in it, or its faces
            problem = str(error)
    return Redacted(b"", ""), problem


def _write_shards(
    folder: Path, pictures: pa.Table, read: ReadRow, *, progress: Progress, fix: str, asked: Redaction,
    max_shard_bytes: int,
) -> pa.Table:  # fmt: skip
    """Write the pictures in the order of their rows -> the rows of what was written, by the image_id it has now."""
    image_ids, formats = pictures.column("image_id").to_pylist(), pictures.column("format").to_pylist()
    bad, keys, shards = list[str](), list[str](), list[str]()
    rows, offsets = list[int](), list[int]()
    changed: dict[int, dict[str, Any]] = {}  # position among `rows` -> what its row says otherwise
    same = _Same.of(pictures)
    with (
        ShardWriter(folder, max_bytes=max_shard_bytes) as writer,
        progress.track("copying pictures", len(image_ids)) as meter,
    ):
        for position, (image_id, name) in enumerate(zip(image_ids, formats, strict=True)):
            meter.advance()
            found, problem = _redacted(read, position, image_id, asked)
            if problem:
                bad.append(f"{image_id}: {problem}")
            if bad:
                continue
            new_id, extension = image_id, extension_of(name)
            facts = _facts(found) if found.changes else {}
            if facts:
                new_id, extension = facts["image_id"], extension_of(facts["format"])
            place = same.placed.get(new_id)
            if same.loses(new_id, position):
                continue
            if place is not None:  # its bytes lie there already
                rows[place], changed[place] = position, facts
                continue
            if facts:
                changed[len(rows)] = facts
            same.placed[new_id] = len(rows)
            placed = writer.add(new_id, extension, found.image_bytes)
            rows.append(position)
            keys.append(f"{new_id}.{extension}")
            shards.append(f"{folder.name}/{placed.shard}")
            offsets.append(placed.offset)
    if bad:
        raise bad_rows(f"Of {counted(len(image_ids), 'picture')} not all can be copied", bad, fix=fix)
    if same.unlike:
        what = f"Of {counted(len(image_ids), 'picture')} not all can be released: some are the same once changed"
        raise bad_rows(what, same.unlike, fix=_RELABEL)
    table = pictures.take(pa.array(rows, pa.int64())) if len(rows) < len(image_ids) else pictures
    table = table.append_column("key", pa.array(keys, pa.string()))
    table = table.append_column("shard", pa.array(shards, pa.string()))
    table = table.append_column("offset", pa.array(offsets, pa.int64()))
    return (_restated(table, changed) if changed else table).select(PICTURES.names).cast(PICTURES)


class _Same(NamedTuple):
    """Which pictures become the same. `holder`: image_id -> whose row (a position) has it; `placed`: row written."""

    holder: dict[str, int]
    placed: dict[str, int]
    unlike: list[str]
    labels: Sequence[str]
    splits: Sequence[str]
    image_ids: Sequence[str]

    @classmethod
    def of(cls, pictures: pa.Table) -> _Same:
        labels, splits, ids = (pictures.column(name).to_pylist() for name in ("concept_id", "split", "image_id"))
        return cls({image_id: position for position, image_id in enumerate(ids)}, {}, [], labels, splits, ids)

    def loses(self, new_id: str, position: int) -> bool:
        """Whether another picture has this id and counts instead; where their labels differ, that is noted."""
        other = self.holder.setdefault(new_id, position)
        if other == position:
            return False
        if self.labels[position] != self.labels[other]:
            said = (f"{self.image_ids[at]} is labelled {self.labels[at]}" for at in (other, position))
            self.unlike.append(", ".join(said) + ": the same picture once changed")
        elif _HELD_OUT.get(self.splits[position], 0) > _HELD_OUT.get(self.splits[other], 0):
            self.holder[new_id] = position
            return False
        return True


def _unscreened(what: Contents, placed: pa.Table) -> dict[str, Any]:
    """The history of cleaning with the number of pictures never screened among those that were not left out."""
    cleaned = what.history.get("cleaned")
    if not cleaned or not what.unscreened:
        return {}
    count = len(what.unscreened.intersection(placed.column("origin_id").to_pylist()))
    return {"cleaned": {**cleaned, "unscreened": count}}


def _facts(found: Redacted) -> dict[str, Any]:
    """What the row of a changed picture says otherwise."""
    header = sniff(found.image_bytes)
    return {
        "image_id": hashlib.sha256(found.image_bytes).hexdigest(), "changes": found.changes,
        "size": len(found.image_bytes), "width": header.width, "height": header.height, "format": header.format,
        **({"address": ""} if {FACES_BLURRED, FIRST_FRAME} & {*map(kind_of, found.changes.split(","))} else {}),
    }  # fmt: skip


def _restated(table: pa.Table, changed: dict[int, dict[str, Any]]) -> pa.Table:
    """The rows with what changed, sorted by the image_id they have now; groups are named by theirs."""
    renamed = {table.column("image_id")[row].as_py(): facts["image_id"] for row, facts in changed.items() if facts}
    groups = [renamed.get(group_id, group_id) for group_id in table.column("group_id").to_pylist()]
    names = dict.fromkeys(name for facts in changed.values() for name in facts)
    columns = {"group_id": groups, **{name: table.column(name).to_pylist() for name in names}}
    for row, facts in changed.items():
        for name, value in facts.items():
            columns[name][row] = value
    for name, values in columns.items():
        column = pa.array(values, PICTURES.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table.sort_by("image_id").combine_chunks()


def _check_room(folder: Path, what: Contents) -> None:
    needed = int(sum(what.pictures.column("size").to_pylist()) * ROOM)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"The release needs {needed / 1e6:,.0f} MB, but the disk of {folder.parent} has {free / 1e6:,.0f} MB free.",
            fix="free some space, then run the same command again",
        )


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=100_000)
    return bytes(sink.getvalue())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _disk_error(final: Path, error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UserError(
            f"The disk is full: {final} could not be written; nothing of it was kept.",
            fix="free some space, then run the same command again",
        )
    if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EROFS, errno.EPERM}:
        return UserError(f"{final} could not be written: {error.strerror}.", fix="name another folder")
    return error
