"""Is a release what its manifest says? Recomputes every sum, from the files up to the digest."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pictus import shards
from pictus.errors import UserError, counted
from pictus.release.contents import counts
from pictus.release.knowledge import counts_of, is_probability, wrong_rows
from pictus.release.packing import file_sum
from pictus.releases import (
    LABELS_NAME,
    MANIFEST,
    SPLITS,
    Release,
    content_digest,
    open_release,
    read_labels,
    read_manifest,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the manifest says. `image_id` is "" when it is about a whole file."""

    path: str
    image_id: str
    cause: str  # missing | size | sha256 | unlisted | unsafe-path | unreadable | digest | counts | label | split | …
    detail: str


def check_files(root: Path, *, quick: bool = False) -> Iterator[Finding]:
    """Every listed file is there with its size and sum, and no other is. `quick`: no sums of shards."""
    listed = read_manifest(root)["files"]
    for path, facts in sorted(listed.items()):
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or not parts or "\0" in path:
            yield Finding(path, "", "unsafe-path", "the manifest names a file outside the release")
        elif not (root / path).is_file():
            yield Finding(path, "", "missing", "")
        elif (size := (root / path).stat().st_size) != facts["size"]:
            yield Finding(path, "", "size", f"{size:,} bytes, not {facts['size']:,}")
        elif not (quick and path.endswith(".tar")) and file_sum(root / path)["sha256"] != facts["sha256"]:
            yield Finding(path, "", "sha256", "the file was changed")
    present = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    for path in sorted(present - set(listed) - {MANIFEST}):
        yield Finding(path, "", "unlisted", "the manifest does not know it")


def check_tables(root: Path) -> Iterator[Finding]:
    """The rows give the digest and the counts, labels agree with classes, splits are known ones."""
    try:
        release = open_release(root)
    except UserError as error:
        yield Finding("pictures.parquet", "", "unreadable", error.what)
        return
    pictures, classes = release.pictures, release.classes
    digest = content_digest(pictures, classes)
    if digest != release.digest:
        yield Finding("pictures.parquet", "", "digest", f"{digest}, the manifest says {release.digest}")
    for name, found in counts(pictures, classes).items():
        said = release.manifest["counts"].get(name)
        if found != said:
            yield Finding(MANIFEST, "", "counts", f"{name}: {_short(found)}, the manifest says {_short(said)}")
    yield from _check_rows(release)
    try:
        labels = read_labels(release)
    except UserError as error:
        yield Finding(LABELS_NAME, "", "unreadable", error.what)
        return
    found, said = counts_of(labels) if labels is not None else None, release.manifest["counts"].get("labels")
    if found != said:
        yield Finding(MANIFEST, "", "counts", f"labels: {_short(found)}, the manifest says {_short(said)}")
    if labels is not None:
        for image_id, what in wrong_rows(labels, release.pictures, [one.concept_id for one in release.concepts]):
            yield Finding(LABELS_NAME, image_id, "label", what)


def check_pictures(release: Release) -> Iterator[Finding]:
    """Every row's bytes hash to its image_id, and every shard's own headers say the same as the rows."""
    for damage in shards.verify(release.root, release.pictures):
        yield Finding(damage.shard, damage.image_id, damage.cause, "the picture's bytes are not what its row says")
    columns = (release.pictures.column(name).to_pylist() for name in ("shard", "key", "offset", "size"))
    rows: dict[str, set[tuple[str, int, int]]] = {}
    for shard, *place in zip(*columns, strict=True):
        rows.setdefault(shard, set()).add((place[0], place[1], place[2]))
    for shard, wanted in sorted(rows.items()):
        try:
            found = {(member.name, member.offset, member.size) for member in shards.members(release.root / shard)}
        except (OSError, tarfile.TarError) as error:
            yield Finding(shard, "", "unreadable", f"no tar archive: {error}")
            continue
        if found != wanted:
            yield Finding(shard, "", "members", f"{len(found ^ wanted):,} members differ from the rows")


def _check_rows(release: Release) -> Iterator[Finding]:
    pictures = release.pictures
    repeated = pictures.num_rows - pc.count_distinct(pictures.column("image_id")).as_py()
    if repeated:
        yield Finding("pictures.parquet", "", "repeated", f"{counted(repeated, 'picture')} with two rows")
    unlikely = sum(not is_probability(one) for one in pictures.column("posterior").to_pylist())
    if unlikely:
        yield Finding("pictures.parquet", "", "posterior", f"{counted(unlikely, 'posterior')} not from 0 to 1")
    said = pc.not_equal(pictures.column("changes"), "")
    differs = pc.not_equal(pictures.column("origin_id"), pictures.column("image_id"))
    for image_id in pictures.filter(pc.not_equal(said, differs)).column("image_id").to_pylist():
        detail = "its row says that it was changed and names itself as its origin, or the other way round"
        yield Finding("pictures.parquet", image_id, "changes", detail)
    strangers = set(pictures.column("split").unique().to_pylist()) - set(SPLITS)
    if strangers:
        yield Finding("pictures.parquet", "", "split", f"unknown splits: {', '.join(sorted(strangers))}")
    labels = pc.index_in(pictures.column("concept_id"), value_set=pa.array(release.classes, pa.string()))
    right = pc.fill_null(pc.equal(labels, pictures.column("label")), False)
    wrong = pictures.filter(pc.invert(right))
    for image_id, concept_id, label in zip(
        *(wrong.column(name).to_pylist() for name in ("image_id", "concept_id", "label")), strict=True
    ):
        yield Finding("pictures.parquet", image_id, "label", f"label {label} is not that of class {concept_id!r}")


def _short(value: Any) -> str:  # noqa: ANN401  any JSON value
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004  a line's worth
