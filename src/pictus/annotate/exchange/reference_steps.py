"""The project's pictures by what people and files call them."""

from __future__ import annotations

from collections.abc import Iterable

from pictus.annotate.exchange.references import Resolved, resolve
from pictus.project import Project


def pictures_named(project: Project, texts: Iterable[str], among: Iterable[str] | None = None) -> Resolved:
    """The picture that each text means. among: only these image_ids; all of the project without."""
    rows = project.tables.read("sources", ["address", "image_id"])
    pairs = list(zip(rows.column("address").to_pylist(), rows.column("image_id").to_pylist(), strict=True))
    return resolve(texts, frozenset(project.tables.ids("images") if among is None else among), pairs)
