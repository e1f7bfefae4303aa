"""What the exports share: release.json beside the pictures, and rows that come back as they went."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pictus.errors import UserError, bad_rows, clipped
from pictus.progress import Meter
from pictus.project import safe_name
from pictus.records import Concept
from pictus.release.contents import UNPACKED
from pictus.release.knowledge import is_probability, wrong_rows
from pictus.release.packing import ReadRow, file_sum, why_unreadable
from pictus.releases import (
    LABELS_NAME,
    MANIFEST,
    SPLITS,
    PictureReader,
    Release,
    checked_facts,
    open_release,
    read_labels,
    split_rows,
    stated_format,
)

PAPER = "release.json"
FORMAT = 1
COLUMNS = tuple(name for name in UNPACKED.names if name != "label")
"""The columns an export carries; the label is the class's position and is found again."""

_KEPT = ("name", "version", "digest", "created", "description", "creator", "url", "history")


class Loaded(NamedTuple):
    """A release read from another form. `read(n)` gives the bytes of row n.

    `rows`: COLUMNS, sorted by image_id. `paper`: name, description, digest …, {} for foreign folders.
    """

    rows: pa.Table
    read: ReadRow
    concepts: tuple[Concept, ...]
    paper: dict[str, Any]
    problems: tuple[str, ...] = ()
    labels: pa.Table | None = None  # LABELS, where the form holds them


Writer = Callable[[Release, Path, Meter], None]
"""Writes a release into an empty folder in another form."""


def paper_of(release: Release, form: str) -> str:
    """The text of release.json: everything that pictures and rows do not say."""
    kept = {key: release.manifest[key] for key in _KEPT if key in release.manifest}
    concepts = [asdict(one) for one in release.concepts]
    return json.dumps(
        {"format": FORMAT, "form": form, **kept, "concepts": concepts}, indent=1, ensure_ascii=False
    ) + "\n"


def read_paper(folder: Path) -> dict[str, Any]:
    """release.json of an export, checked."""
    path = folder / PAPER
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        found = stated_format(stated)
        paper = checked_facts(stated)
        form, concepts = paper["form"], concepts_of(paper)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read ({why(error)}).",
            fix="export the release again, or remove the file to import a plain folder",
        ) from error
    if found > FORMAT or not form or not concepts:
        raise UserError(f"{path} is of a newer format.", fix="pip install --upgrade pictus")
    return paper


def why(error: Exception) -> str:
    """What is wrong with a row or a paper, in words."""
    return f"{clipped(error.args[0])} is missing" if isinstance(error, KeyError) else f"{error}"[:200]


def carried(row: Mapping[str, Any], value: Callable[[str, Any], Any] = lambda _, found: found) -> dict[str, Any]:
    """COLUMNS of an exported row, each read by `value`; exports of before lack what is newer. KeyError for the rest."""
    row = {"origin_id": row["image_id"], "changes": "", **row}
    return {name: value(name, row[name]) for name in COLUMNS}


def concepts_of(paper: dict[str, Any]) -> tuple[Concept, ...]:
    """The concepts a release.json lists."""
    found = tuple(
        Concept(**{**one, "names": tuple(one["names"]), "parents": tuple(one["parents"])}) for one in paper["concepts"]
    )
    for one in found:
        if not all(isinstance(text, str) for text in (one.concept_id, one.gloss, one.source, *one.names, *one.parents)):
            message = f"concept {clipped(one.concept_id)} is not described in texts"
            raise TypeError(message)
    return found


def exported_rows(release: Release, split: str = "") -> Iterator[dict[str, Any]]:
    """The rows an export writes, in release order, with what is needed to find their bytes; read as they are asked."""
    rows = split_rows(release, split or "all")
    for batch in rows.to_batches(max_chunksize=1_000):
        yield from batch.to_pylist()


def checked_reader(release: Release) -> Callable[[dict[str, Any]], bytes]:
    """Reads a row's picture and refuses bytes that are not its own, and at once rows that no folder can be named by."""
    for column in ("split", "key", "concept_id"):
        for name in release.pictures.column(column).unique().to_pylist():
            safe_name(name, f"{column} of release {release.version}")
    reader = PictureReader(release)

    def read(row: dict[str, Any]) -> bytes:
        image_bytes, problem = why_unreadable(
            lambda _: reader.read(row["shard"], row["offset"], row["size"]), 0, row["image_id"]
        )
        if problem:
            raise UserError(
                f"Picture {row['image_id']} of release {release.version}: {problem}.",
                fix=f"pictus release verify {release.version}",
            )
        return image_bytes

    return read


def sorted_rows(rows: list[dict[str, Any]], places: list[Any], where: str) -> tuple[pa.Table, list[Any]]:
    """Rows and their places by image_id; a UserError for pictures that come twice."""
    order = sorted(range(len(rows)), key=lambda position: rows[position]["image_id"])
    ids = [rows[position]["image_id"] for position in order]
    twice = sorted({one for one, after in pairwise(ids) if one == after})
    if twice:
        raise bad_rows(where, [f"picture {one} is listed twice" for one in twice], fix="export the release again")
    schema = pa.schema([UNPACKED.field(name) for name in COLUMNS])
    try:
        table = pa.Table.from_pylist([rows[position] for position in order], schema=schema)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise bad_rows(where, [f"{error}"[:200]], fix="export the release again") from error
    _check_rows(table, where)
    return table, [places[position] for position in order]


def _check_rows(rows: pa.Table, where: str) -> None:
    """A UserError for splits that are none and posteriors that are no probability."""
    columns = (rows.column(name).to_pylist() for name in ("image_id", "split", "posterior"))
    bad = []
    for image_id, split, posterior in zip(*columns, strict=True):
        if split not in SPLITS:
            bad.append(f"picture {clipped(image_id)}: {clipped(split)} is no split")
        if not is_probability(posterior):
            bad.append(f"picture {clipped(image_id)}: the posterior {posterior} is not from 0 to 1")
    if bad:
        raise bad_rows(where, bad, fix="export the release again from where it is whole")


def load_release(folder: Path) -> Loaded:
    """A release folder as it is, for a copy under another version."""
    release = open_release(folder)
    for name in ("pictures.parquet", "concepts.parquet", *({LABELS_NAME} & release.manifest["files"].keys())):
        if file_sum(folder / name)["sha256"] != release.manifest["files"].get(name, {}).get("sha256"):
            raise UserError(
                f"{folder / name} is not the file that {MANIFEST} names: its sum differs.",
                fix=f"pictus release verify {folder}    then copy the folder again from where it is whole",
            )
    _check_rows(release.pictures, str(folder / "pictures.parquet"))
    reader = PictureReader(release)
    pictures = release.pictures.sort_by("image_id")
    shards, offsets, sizes = (pictures.column(name).to_pylist() for name in ("shard", "offset", "size"))

    def read(position: int) -> bytes:
        return reader.read(shards[position], offsets[position], sizes[position])

    labels = read_labels(release)
    if labels is not None:
        wrong = wrong_rows(labels, release.pictures, [one.concept_id for one in release.concepts])
        bad = [f"picture {clipped(image_id)}: {what}" for image_id, what in wrong]
        if bad:
            raise bad_rows(str(folder / LABELS_NAME), bad, fix="copy the release again from where it is whole")
    paper = {key: release.manifest.get(key, "") for key in _KEPT}
    return Loaded(pictures.select(list(COLUMNS)), read, release.concepts, paper, labels=labels)
