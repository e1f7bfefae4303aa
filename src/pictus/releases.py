"""Opens a release folder: rows, splits, picture bytes. Only tar, Parquet and JSON: no project, table or database.

    releases/1.0.0/
      manifest.json      format, name, version, digest, counts, sha256 of every other file
      pictures.parquet   one row per picture, see PICTURES
      concepts.parquet   the classes and all their ancestors, see CONCEPTS
      shards/*.tar       the bytes; a row's picture is at [offset : offset + size] of its shard
      licences.csv  datasheet.md  croissant.json
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from pictus.errors import UserError, clipped
from pictus.journey import first_command
from pictus.project import Project
from pictus.records import Concept
from pictus.registry import unknown
from pictus.shards import ShardReader

FORMAT = 1
_MOST_NAME = 255
MANIFEST = "manifest.json"
SPLITS = ("train", "val", "test")
OTHER_SPLIT_NAMES = {
    "training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test",
}  # fmt: skip


def _columns(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


_S, _I, _L, _F = pa.string(), pa.int32(), pa.int64(), pa.float64()

PICTURES = _columns(
    image_id=_S, key=_S, shard=_S, offset=_L, size=_L, width=_I, height=_I, format=_S, split=_S, concept_id=_S,
    label=_I, posterior=_F, n_votes=_I, group_id=_S, licence=_S, author=_S, address=_S, origin_id=_S, changes=_S,
)  # fmt: skip
"""`key`: the member's name in its shard. `label`: position of concept_id among the sorted classes.
`group_id`: pictures that are duplicates of each other share it; one that stands alone is its own group.
`image_id` is the sha256 of the bytes that lie in the release, `origin_id` that of the bytes as they were found: they
differ where `changes` says what was done for the release ("gps removed, 2 faces blurred"), and nowhere else. `address`
is empty where faces were blurred."""


CONCEPTS = _columns(
    concept_id=_S, names=pa.list_(_S), gloss=_S, parents=pa.list_(_S), is_class=pa.bool_(), source=_S, label=_I
)
"""`label` is -1 for an ancestor that is no class itself."""


LABELS = pa.schema([
    *_columns(image_id=_S, concept_id=_S, posterior=_F, n_votes=_I, n_yes=_I, status=_S), pa.field("quality", _F)
])  # fmt: skip
"""One row for each (picture, concept) that people were asked about, named or settled; sorted by both. `posterior`:
that the picture shows the concept. `n_votes` people were asked, `n_yes` said or named it. `status`: accepted, rejected,
or unsettled. `quality` of the picture's own label where a model doubted it, 0 to 1 (`pictus annotate suspects`)."""

LABELS_NAME = "labels.parquet"


def split_of_folder(name: str) -> str:
    """The split a folder's name stands for ("validation" -> "val"), "" for any other folder."""
    plain = name.lower()
    return plain if plain in SPLITS else OTHER_SPLIT_NAMES.get(plain, "")


@dataclass(frozen=True, slots=True)
class ReleasedPicture:
    """One row of PICTURES."""

    image_id: str
    key: str
    shard: str
    offset: int
    size: int
    width: int
    height: int
    format: str
    split: str
    concept_id: str
    label: int
    posterior: float
    n_votes: int
    group_id: str
    licence: str
    author: str
    address: str
    origin_id: str
    changes: str


@dataclass(frozen=True, eq=False)
class Release:
    """One opened release. `classes` are sorted concept_ids; a class's label is its position there."""

    root: Path
    name: str
    version: str
    digest: str
    pictures: pa.Table = field(repr=False)
    concepts: tuple[Concept, ...] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)


def open_release(path: str | Path, *, with_shards: bool = True) -> Release:
    """Open the release folder at `path`; its tables are read, its pictures are not. Without shards they may lie
    elsewhere.
    """
    root = Path(path).expanduser().resolve()
    manifest = read_manifest(root)
    pictures = _read_table(root, "pictures.parquet", PICTURES)
    _check_places(root, pictures)
    rows = _read_table(root, "concepts.parquet", CONCEPTS).to_pylist()
    concepts = tuple(
        Concept(
            row["concept_id"], tuple(row["names"]), row["gloss"], tuple(row["parents"]), row["is_class"], row["source"]
        )
        for row in rows
    )
    classes = tuple(row["concept_id"] for row in sorted(rows, key=lambda row: row["label"]) if row["label"] >= 0)
    missing = [shard for shard in pictures.column("shard").unique().to_pylist() if not _is_within(root, shard)]
    if missing and with_shards:
        raise _damaged(root, f"{len(missing)} of its shards are missing, first {missing[0]}")
    return Release(
        root, manifest["name"], manifest["version"], manifest["digest"], pictures, concepts, classes, manifest
    )


def find_release(project: Project, version_or_path: str | Path = "") -> Release:
    """A release by version or by folder; the newest of the project when nothing is named."""
    return open_release(find_root(project, version_or_path))


def find_root(project: Project, version_or_path: str | Path = "") -> Path:
    """The folder `find_release` would open."""
    text = str(version_or_path)
    known = versions(project.releases_dir)
    if not text:
        if (project.root / MANIFEST).is_file():
            return project.root
        if not known:
            raise UserError(f"There is no release in {project.root}.", fix=first_command(project, "release"))
        return project.releases_dir / known[-1]
    if text in known:
        return project.releases_dir / text
    for folder in (Path(text).expanduser(), project.root / text):
        if folder.is_dir():
            return folder.resolve()
    if not known:
        raise UserError(f"There is no release {text!r} in {project.root}.", fix=first_command(project, "release"))
    raise unknown("release", text, known)


def versions(releases_dir: Path) -> list[str]:
    """The versions cut in a folder of releases, oldest number first."""
    found = [path.parent.name for path in releases_dir.glob(f"*/{MANIFEST}") if _VERSION.fullmatch(path.parent.name)]
    return sorted(found, key=version_key)


def version_key(version: str) -> tuple[int, int, int, tuple[tuple[int, int, str], ...]]:
    """Sorts MAJOR.MINOR.PATCH[-PRE] as semver.org 2.0.0 §11 says; a UserError for anything else.

    1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-rc.2 < 1.0.0-rc.10 < 1.0.0 < 1.0.1 < 1.10.0
    """
    found = _VERSION.fullmatch(version)
    if not found:
        raise UserError(
            f"{version!r} is not a version: MAJOR.MINOR.PATCH is wanted.",
            fix="1.0.0 for the first; then MAJOR when pictures are removed or labels change meaning, MINOR when"
            " pictures are added, PATCH for corrections",
        )
    major, minor, patch, before = found.groups()
    parts = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in (before.split(".") if before else ())
    )
    return int(major), int(minor), int(patch), parts or ((2, 0, ""),)


def split_rows(release: Release, split: str) -> pa.Table:
    """The pictures of one split, in release order; "all" for every picture."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    if split == "all":
        return release.pictures
    rows = release.pictures.filter(pc.equal(release.pictures.column("split"), split))
    if not rows.num_rows:
        present = sorted(set(release.pictures.column("split").to_pylist()))
        raise UserError(
            f"Release {release.version} has no pictures in split {split!r}.", fix=f"one of: {', '.join(present)}, all"
        )
    return rows


def read_labels(release: Release) -> pa.Table | None:
    """The rows of LABELS; None where a release knows one label to a picture and no more."""
    if LABELS_NAME not in release.manifest["files"]:
        return None
    return _read_table(release.root, LABELS_NAME, LABELS)


def released_pictures(release: Release) -> Iterator[ReleasedPicture]:
    """The rows as records, streamed."""
    for batch in release.pictures.to_batches():
        for row in batch.to_pylist():
            yield ReleasedPicture(**row)


def class_names(release: Release) -> tuple[str, ...]:
    """What people call each class, in label order: its first name."""
    names = {concept.concept_id: concept.names[0] if concept.names else "" for concept in release.concepts}
    return tuple(names[concept_id] or concept_id for concept_id in release.classes)


def content_digest(pictures: pa.Table, classes: tuple[str, ...]) -> str:
    """What a release says, independent of packing and row order.

    sha256 over the lines `image_id TAB split TAB concept_id LF`, sorted by their bytes, then
    `class TAB concept_id LF` for the classes in label order.
    """
    columns = [pictures.column(name).to_pylist() for name in ("image_id", "split", "concept_id")]
    state = hashlib.sha256()
    for line in sorted("\t".join(row).encode() for row in zip(*columns, strict=True)):
        state.update(line + b"\n")
    for concept_id in classes:
        state.update(f"class\t{concept_id}\n".encode())
    return state.hexdigest()


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a release folder, checked for what everything else relies on."""
    path = root / MANIFEST
    if not path.is_file():
        what = f"{root} is not a release: it has no {MANIFEST}." if root.is_dir() else f"{root} does not exist."
        raise UserError(what, fix="name a folder that `pictus release cut` made; `pictus release list` shows them")
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
        found = stated_format(manifest)
        if found > FORMAT:
            raise UserError(
                f"{root} has release format {found}; this Pictus reads up to {FORMAT}.",
                fix="pip install --upgrade pictus",
            )
        facts = checked_facts(manifest)
        _check_counts(facts)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(root, f"{MANIFEST} cannot be read ({error})") from error
    return facts


def stated_format(stated: object) -> int:
    """The format that a manifest or a release.json says it has; a ValueError when it says none."""
    found = stated.get("format") if isinstance(stated, dict) else None
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        message = f"it states the format {clipped(found)}, not a whole number from 1"
        raise ValueError(message)
    return found


def checked_facts(stated: dict[str, Any]) -> dict[str, Any]:
    """What a release says of itself in a manifest or a release.json; an error that names what is wrong."""
    lacking = [key for key in ("name", "version", "digest") if key not in stated]
    if lacking:
        message = f"it lacks {', '.join(lacking)}"
        raise ValueError(message)
    for key in _TEXTS:
        if not isinstance(found := stated.get(key, ""), str) or _SURROGATE.search(found):
            message = f"{key} is {clipped(json.dumps(found))}, not a text"
            raise ValueError(message)
    if not _VERSION.fullmatch(stated["version"]):
        message = f"version is {clipped(stated['version'])}, not MAJOR.MINOR.PATCH"
        raise ValueError(message)
    if not isinstance(stated.get("history", {}), dict):
        raise TypeError("history is not an object")
    return stated


def _check_counts(manifest: dict[str, Any]) -> None:
    counts, files = manifest.get("counts"), manifest.get("files")
    if not isinstance(counts, dict):
        raise TypeError("it lacks counts" if counts is None else "counts is not an object")
    lacking = [name for name in ("pictures", "classes") if name not in counts]
    if lacking:
        message = f"it lacks {', '.join(f'counts.{name}' for name in lacking)}"
        raise ValueError(message)
    splits = counts.get("splits", {})
    if not isinstance(splits, dict):
        raise TypeError("counts.splits is not an object")
    numbers = {name: counts.get(name, 0) for name in ("pictures", "classes", "bytes", "groups", "torn_groups")}
    for name, found in (numbers | {f"splits.{name}": found for name, found in splits.items()}).items():
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            message = f"counts.{name} is {clipped(json.dumps(found))}, not a whole number"
            raise ValueError(message)
    sums = files.values() if isinstance(files, dict) else [None]
    if not all(
        isinstance(one, dict) and isinstance(one.get("sha256"), str) and isinstance(one.get("size"), int)
        for one in sums
    ):
        raise ValueError("it lacks the sums of its files")


def ids_of_origin(project: Project, origin_id: str) -> dict[str, dict[str, str]]:
    """Version -> image_id there -> its split, of one of the project's pictures: changed ones have another id there."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    found: dict[str, dict[str, str]] = {}
    for version in versions(project.releases_dir):
        path = project.releases_dir / version / "pictures.parquet"
        column = "origin_id" if "origin_id" in pq.read_schema(path).names else "image_id"
        rows = pq.read_table(path, columns=["image_id", "split"], filters=[(column, "=", origin_id)])
        if rows.num_rows:
            found[version] = dict(zip(*(rows.column(name).to_pylist() for name in ("image_id", "split")), strict=True))
    return found


def origins(project: Project, digits: str) -> set[str]:
    """The origin_ids of pictures that were changed for a release and whose image_id there begins with `digits`."""
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    found: set[str] = set()
    for version in versions(project.releases_dir):
        path = project.releases_dir / version / "pictures.parquet"
        if "origin_id" in pq.read_schema(path).names:
            rows = pq.read_table(path, columns=["image_id", "origin_id"], filters=[("changes", "!=", "")])
            found |= set(rows.filter(pc.starts_with(rows.column("image_id"), digits)).column("origin_id").to_pylist())
    return found


class PictureReader(ShardReader):
    """Reads pictures by (shard, offset, size) of a release's rows; any number of threads may share one."""

    def __init__(self, release: Release) -> None:
        super().__init__(release.root)


_NEWER = {"origin_id", "changes"}
"""Columns of PICTURES that releases of before lack."""

_TEXTS = ("name", "version", "digest", "created", "description", "creator", "url", "previous")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a sign, as JSON can spell it: nothing can print or store it."""

_NUMBER, _PART = r"(0|[1-9]\d*)", r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PART}(?:\.{_PART})*))?", re.ASCII)


def _is_within(root: Path, name: str) -> bool:
    """Whether the release has this file; a way out of its folder, or none at all, is no file of it."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and (root / path).is_file()


def is_file_name(name: str) -> bool:
    """Whether a file can be called so, in folders or without: no sign that ends it, no part longer than 255 bytes."""
    return "\0" not in name and all(len(part.encode()) <= _MOST_NAME for part in name.split("/"))


def _check_places(root: Path, pictures: pa.Table) -> None:
    """What no shard can hold is told before anything is read from one."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    for name in pictures.column("shard").unique().to_pylist():
        if not is_file_name(name):
            raise _damaged(root, f"it names a shard {clipped(name)!r}, which no file can be called")
    for column in ("offset", "size"):
        if pictures.num_rows and (low := pc.min(pictures.column(column)).as_py()) < 0:
            raise _damaged(root, f"a picture has the {column} {low:,}")


def _read_table(root: Path, name: str, schema: pa.Schema) -> pa.Table:
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        lacking = _NEWER - set(pq.read_schema(root / name).names)
        columns = [column for column in schema.names if column not in lacking]
        rows = pq.read_table(root / name, columns=columns, memory_map=False)
        return (with_newer(rows) if schema is PICTURES else rows).select(schema.names).cast(schema)
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise _damaged(root, f"{name} cannot be read ({str(error).splitlines()[0]})") from error


def with_newer(rows: pa.Table) -> pa.Table:
    """Rows of PICTURES with the columns that releases of before lack: nothing was changed in those."""
    if "origin_id" not in rows.column_names:
        rows = rows.append_column("origin_id", rows.column("image_id"))
    if "changes" not in rows.column_names:
        rows = rows.append_column("changes", pa.array([""] * rows.num_rows, pa.string()))
    return rows


def _damaged(root: Path, what: str) -> UserError:
    return UserError(
        f"The release {root} is damaged: {what}.",
        fix=f"pictus release verify {root.name}    then copy the folder again from where it is whole",
    )
