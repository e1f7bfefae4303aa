"""ImageFolder: <split>/<concept_id>/<image_id>.<ext>, with metadata.csv, classes.csv and release.json.

`torchvision.datasets.ImageFolder(out / "train")` gives our labels (every class has its folder in
every split, empty ones too, so that positions agree); `load_dataset("imagefolder")` reads metadata.csv.
"""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath
from typing import Any

from pictus.errors import UserError, bad_rows
from pictus.progress import Meter
from pictus.project import safe_name, write_text
from pictus.release.contents import UNPACKED, as_csv
from pictus.release.exchange import (
    COLUMNS,
    PAPER,
    Loaded,
    carried,
    checked_reader,
    concepts_of,
    exported_rows,
    paper_of,
    read_paper,
    sorted_rows,
    why,
)
from pictus.releases import Release, class_names

METADATA = "metadata.csv"


def write(release: Release, out: Path, meter: Meter) -> None:
    """Write one file per picture into the empty folder `out`."""
    read = checked_reader(release)
    for split in sorted(release.pictures.column("split").unique().to_pylist()):
        for concept_id in release.classes:
            (out / split / safe_name(concept_id, "folder name")).mkdir(parents=True)
    listed = []
    for row in exported_rows(release):
        path = PurePosixPath(row["split"], row["concept_id"], row["key"])
        (out / path).write_bytes(read(row))
        listed.append({"file_name": str(path), **{name: row[name] for name in (*COLUMNS, "label")}})
        meter.advance()
    write_text(out / METADATA, as_csv(listed, ("file_name", *COLUMNS, "label")))
    classes = [
        {"label": label, "concept_id": concept_id, "name": name}
        for label, (concept_id, name) in enumerate(zip(release.classes, class_names(release), strict=True))
    ]
    write_text(out / "classes.csv", as_csv(classes, ("label", "concept_id", "name")))
    write_text(out / PAPER, paper_of(release, "imagefolder"))


def load(folder: Path) -> Loaded:
    """Read back what `write` wrote; every bad line of metadata.csv is reported."""
    paper = read_paper(folder)
    rows, places, bad = [], [], []
    if not (folder / METADATA).is_file():
        raise UserError(f"{folder} has a {PAPER} but no {METADATA}.", fix="export the release again")
    with (folder / METADATA).open(encoding="utf-8", newline="") as opened:
        for line, found in enumerate(csv.DictReader(opened), start=2):
            try:
                rows.append(carried(found, _value))
                places.append(_inside(folder, found["file_name"]))
            except (KeyError, TypeError, ValueError) as error:
                bad.append(f"line {line}: {why(error)}")
    if bad:
        raise bad_rows(str(folder / METADATA), bad, fix="export the release again")
    table, paths = sorted_rows(rows, places, str(folder / METADATA))

    def read(position: int) -> bytes:
        path: Path = paths[position]
        return path.read_bytes()

    return Loaded(table, read, concepts_of(paper), paper)


def _value(name: str, text: str) -> Any:  # noqa: ANN401  as the schema says
    kind = UNPACKED.field(name).type
    if str(kind).startswith("int"):
        return int(text)
    return float(text) if str(kind) == "double" else text


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        message = f"{name} lies outside the folder"
        raise ValueError(message)
    return folder / path
