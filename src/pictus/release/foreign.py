"""Plain folders of pictures made by anyone: <split>/<class>/… or <class>/…, without our metadata.

Class folders are looked up in the taxonomy by id or name; the others become concepts of their own.
Without split folders the pictures are split .8/.1/.1 with seed 0.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pictus.concepts import Taxonomy
from pictus.errors import PictureError, UserError, bad_rows, counted
from pictus.pixels import decode_scaled, sniff
from pictus.progress import Meter
from pictus.records import Concept
from pictus.release.exchange import Loaded, sorted_rows
from pictus.release.redaction import Redaction, redact
from pictus.release.splits import Shares, draw, most_held_out
from pictus.releases import split_of_folder

_NO_PICTURES = {".csv", ".db", ".json", ".mat", ".md", ".pkl", ".py", ".tsv", ".txt", ".xml", ".yaml", ".yml"}
"""Companions of pictures in published sets: passed over without a word."""


class Found(NamedTuple):
    """One file below a class folder. `split` is "" without split folders."""

    path: Path
    split: str
    folder: str


def load(folder: Path, taxonomy: Taxonomy, meter_of: Callable[[int], Meter], asked: Redaction) -> Loaded:
    """Read every picture once: hash, header, class and split. What cannot be decoded is told and left out."""
    files = find(folder)
    if not files:
        raise UserError(
            f"{folder} holds no pictures in class folders.",
            fix="lay them out as SPLIT/CLASS/picture.jpg or CLASS/picture.jpg",
        )
    concepts = concepts_for(sorted({found.folder for found in files}), taxonomy)
    meter = meter_of(len(files))
    claims: dict[str, list[Found]] = {}
    facts: dict[str, dict[str, Any]] = {}
    problems = []
    for found in files:
        meter.advance()
        try:
            original = found.path.read_bytes()
            header = sniff(original)
            decode_scaled(original, 64)
            image_bytes, changes = redact("", original, asked)
        except (OSError, PictureError) as error:
            problems.append(f"{found.path.relative_to(folder)}: left out: {error}")
            continue
        image_id = hashlib.sha256(image_bytes).hexdigest()
        claims.setdefault(image_id, []).append(found)
        facts.setdefault(image_id, {
            "size": len(image_bytes), "width": header.width, "height": header.height, "format": header.format,
            "origin_id": hashlib.sha256(original).hexdigest(), "changes": changes,
        })  # fmt: skip
    rows, places, more = _settled(claims, facts, {name: one.concept_id for name, one in concepts.items()})
    if not rows:
        raise UserError(f"There is no usable picture in {folder}, of {counted(len(files), 'file')}.", fix=problems[0])
    table, paths = sorted_rows(_with_splits(rows), places, str(folder))

    def read(position: int) -> bytes:
        path: Path = paths[position]
        return redact("", path.read_bytes(), asked).image_bytes

    return Loaded(table, read, tuple(concepts.values()), {}, (*problems, *more))


def find(folder: Path) -> list[Found]:
    """The files in class folders, sorted; hidden files and known companions are passed over."""
    tops = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    splits = {path: split_of_folder(path.name) for path in tops}
    if not any(splits.values()):
        return [Found(path, "", top.name) for top in tops for path in _files(top)]
    strangers = [f"{path.name}/ is neither train, val nor test" for path, split in splits.items() if not split]
    if strangers:
        raise bad_rows(str(folder), strangers, fix="move these folders away, or into one of the splits")
    return [
        Found(path, split, classes.name)
        for top, split in splits.items()
        for classes in sorted(one for one in top.iterdir() if one.is_dir())
        for path in _files(classes)
    ]


def concepts_for(folders: Sequence[str], taxonomy: Taxonomy) -> dict[str, Concept]:
    """Folder name -> its concept: the one the taxonomy knows by that id or name, else a new one."""
    concepts: dict[str, Concept] = {}
    bad = []
    for folder in folders:
        known = taxonomy.find(folder)
        if len(known) > 1:
            bad.append(f"folder {folder!r} can mean {', '.join(known)}")
        else:
            concepts[folder] = taxonomy.get(known[0]) if known else _own(folder)
    by_id: dict[str, list[str]] = {}
    for folder, concept in concepts.items():
        by_id.setdefault(concept.concept_id, []).append(folder)
    bad += [f"folders {', '.join(names)} are one class, {one!r}" for one, names in by_id.items() if len(names) > 1]
    if bad:
        raise bad_rows("class folders", bad, fix="name each class's folder by its concept id")
    return concepts


def _own(folder: str) -> Concept:
    concept_id = re.sub(r"[^A-Za-z0-9._+-]+", "-", folder).strip("-.") or "class"
    return Concept(concept_id, (folder.replace("_", " "),), is_class=True, source="folder")


def _settled(
    claims: Mapping[str, Sequence[Found]], facts: Mapping[str, dict[str, Any]], concept_of: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[Path], list[str]]:
    """One row per picture. The same bytes in two classes are left out, in two splits held out."""
    rows, places, problems = [], [], []
    for image_id, found in claims.items():
        folders, splits = {one.folder for one in found}, {one.split for one in found}
        names = ", ".join(f"{one.split}/{one.folder}/{one.path.name}".lstrip("/") for one in found)
        if len(folders) > 1:
            problems.append(f"the same picture in several classes, left out: {names}")
            continue
        split = most_held_out(splits)
        if len(splits) > 1:
            problems.append(f"the same picture in several splits, kept in {split}: {names}")
        row = {
            "image_id": image_id, **facts[image_id], "split": split, "concept_id": concept_of[found[0].folder],
            "posterior": 1.0, "n_votes": 1, "group_id": image_id, "licence": "", "author": "",
            "address": f"{found[0].folder}/{found[0].path.name}",
        }  # fmt: skip
        rows.append(row)
        places.append(found[0].path)
    return rows, places, problems


def _with_splits(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(row["split"] for row in rows):
        return rows
    names = ("image_id", "concept_id", "group_id")
    drawn = draw(pa.table({name: [row[name] for row in rows] for name in names}), Shares(), seed=0)
    return [{**row, "split": split} for row, split in zip(rows, drawn.splits, strict=True)]


def _files(top: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() not in _NO_PICTURES:
                yield Path(folder, name)
