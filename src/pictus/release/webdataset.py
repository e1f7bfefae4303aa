"""WebDataset: <split>-000000.tar …, each sample three members <image_id>.jpg, .cls (label), .json (the row).

Samples are in the order of their sha256, so that every shard holds all classes mixed.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pictus.errors import UserError, bad_rows
from pictus.progress import Meter
from pictus.project import write_text
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
from pictus.releases import Release
from pictus.shards import MAX_SHARD_BYTES, Member, ShardReader, members


def write(release: Release, out: Path, meter: Meter, *, max_bytes: int = MAX_SHARD_BYTES) -> None:
    """Write the shards of every split into the empty folder `out`."""
    read = checked_reader(release)
    for split in sorted(release.pictures.column("split").unique().to_pylist()):
        samples = (
            (row["image_id"], _members(row, read(row))) for row in exported_rows(release, split)
        )
        for _ in _write_split(out, split, samples, max_bytes):
            meter.advance()
    write_text(out / PAPER, paper_of(release, "webdataset"))


def load(folder: Path) -> Loaded:
    """Read back what `write` wrote; every incomplete sample is reported."""
    paper = read_paper(folder)
    reader = ShardReader(folder)
    rows, places, bad = [], [], []
    for path in sorted(folder.glob("*.tar")):
        for key, sample in _samples(path):
            picture = [ending for ending in sample if ending not in ("cls", "json")]
            if "json" not in sample or len(picture) != 1:
                bad.append(f"{path.name}: sample {key} has {', '.join(sorted(sample))}")
                continue
            try:
                row = json.loads(reader.read(path.name, sample["json"].offset, sample["json"].size))
                rows.append(carried(row))
            except (ValueError, KeyError, TypeError) as error:
                bad.append(f"{path.name}: {key}.json: {why(error)}")
                continue
            places.append((path.name, sample[picture[0]]))
    if bad:
        raise bad_rows(str(folder), bad, fix="export the release again")
    table, where = sorted_rows(rows, places, str(folder))

    def read(position: int) -> bytes:
        shard, member = where[position]
        return reader.read(shard, member.offset, member.size)

    return Loaded(table, read, concepts_of(paper), paper)


def _members(row: dict[str, Any], image_bytes: bytes) -> dict[str, bytes]:
    facts = {name: row[name] for name in (*COLUMNS, "label")}
    return {
        row["key"].rpartition(".")[2]: image_bytes,
        "cls": str(row["label"]).encode(),
        "json": json.dumps(facts, ensure_ascii=False).encode(),
    }


def _write_split(
    out: Path, split: str, samples: Iterator[tuple[str, dict[str, bytes]]], max_bytes: int
) -> Iterator[str]:
    """Whole samples only in one shard; yields each key when it is written."""
    number = 0
    archive: tarfile.TarFile | None = None
    try:
        for key, parts in samples:
            if archive is not None and archive.offset >= max_bytes:
                archive.close()
                archive = None
            if archive is None:
                archive = tarfile.open(out / f"{split}-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
                number += 1
            for ending, data in parts.items():
                entry = tarfile.TarInfo(f"{key}.{ending}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
            yield key
    finally:
        if archive is not None:
            archive.close()


def _samples(path: Path) -> Iterator[tuple[str, dict[str, Member]]]:
    """Members that stand together under one key (what is before the first dot)."""
    key, sample = "", dict[str, Member]()
    try:
        for member in members(path):
            stem, _, ending = re.sub(r"^\./", "", member.name).partition(".")
            if stem != key and sample:
                yield key, sample
                sample = {}
            key = stem
            sample[ending] = member
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"{path} is no tar archive: {error}.", fix="export the release again") from error
    if sample:
        yield key, sample
