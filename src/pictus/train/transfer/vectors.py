"""Columns of vectors for the pictures of a release: which column is meant, and whose rows they are.

Legend: N pictures of a split, D features of all kinds side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pictus.errors import UserError, counted
from pictus.models import Floats
from pictus.registry import unknown
from pictus.releases import split_rows
from pictus.tasks import columns, probe
from pictus.tasks.columns import ID, Column
from pictus.train.transfer import features
from pictus.train.transfer.features import Features

if TYPE_CHECKING:
    from pictus.project import Project
    from pictus.releases import Release

TABLES = "embeddings_"
"""Of a project: what `search index` made."""


class Fused(NamedTuple):
    """Of each split that was asked for; `widths`: columns of each kind; `notes`: what is left out."""

    parts: dict[str, Features]
    widths: tuple[int, ...]
    notes: tuple[str, ...]


def found(project: "Project", release: "Release", text: str) -> Column:
    """FILE:NAME, FILE where it has one column, a list column of the release's pictures, or a table of the project."""
    words = text.split(":")
    for end in range(len(words), 0, -1):  # a colon may be of the file's name, or of the column's
        file = Path(":".join(words[:end])).expanduser()
        if _is_file(file):
            return columns.read(file, ":".join(words[end:]))
    import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

    own = release.root / "pictures.parquet"
    its_own = columns.lists_of(pq.read_schema(own))
    if text in its_own:
        return columns.of_table(pq.read_table(own, columns=[ID, text]), f"release {release.version}:{text}", text)
    tables = [one for one in project.tables.names() if one.startswith(TABLES)] if project.exists else []
    if text in tables:
        table = project.tables.read(text)
        return columns.of_table(table, text, columns.lists_of(table.schema)[0])
    path, _, name = text.rpartition(":")
    if path or Path(text).suffix:
        raise UserError(f"There is no file of features {path or name}.", fix="--column FILE.parquet:NAME")
    raise unknown("column of features", text, [*its_own, *tables])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # longer than a name can be


def fused(
    release: "Release", given: Sequence[Column], splits: Sequence[str], more: Callable[[str], Floats] | None = None
) -> Fused:
    """The columns side by side, behind what `more` gives for a split (a network's features, NaN where there are none).
    A picture that lacks one of them is left out, and told.
    """
    parts: dict[str, Features] = {}
    widths: tuple[int, ...] = ()
    notes = [note for column in given if (note := _strangers(release, column))]
    for split in splits:
        kinds = [*([more(split)] if more else []), *(_of_split(release, split, column) for column in given)]
        values_ND, widths = probe.fused(kinds)
        part = features.those_there(values_ND, features.labels_of(release, split))
        if not len(part.labels_N):
            where = ", ".join(column.where for column in given)
            raise UserError(
                f"No {split} picture of release {release.version} has a vector in {where}.",
                fix=f"write a row for each picture, by {ID}; those of the release: {release.root / 'pictures.parquet'}",
            )
        if part.n_unreadable:
            total = len(part.labels_N) + part.n_unreadable
            notes.append(f"{part.n_unreadable:,} of {counted(total, f'{split} picture')} left out: without a vector")
        parts[split] = part._replace(n_unreadable=0)
    return Fused(parts, widths, tuple(notes))


def _of_split(release: "Release", split: str, column: Column) -> Floats:
    """f32[N, D]; a picture that was changed for the release is also found by what it was before."""
    rows = split_rows(release, split)
    ids, before = (rows.column(name).to_pylist() for name in (ID, "origin_id"))
    known = set(column.ids)
    return columns.of_ids(column, [now if now in known else old for now, old in zip(ids, before, strict=True)])


def _strangers(release: "Release", column: Column) -> str:
    """What is to be said of rows that are of no picture here."""
    known = {one for name in (ID, "origin_id") for one in release.pictures.column(name).to_pylist()}
    many = int(np.sum([one not in known for one in column.ids]))
    if not many:
        return ""
    of_all = f"{many:,} of {counted(len(column.ids), 'row')}"
    return f"{of_all} of {column.where} passed over: of no picture in release {release.version}"
