"""Known answers and their near-duplicates: what is asked stands with those like it as one tile, a known answer alone.

Were both on pages, or two that are known, those that came apart would be known.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from pictus.project import Project

Pair = tuple[str, str]
"""(image_id, concept_id)."""

_KNOWN, _OPEN = "known <> ''", "known = '' AND state = 'open' AND fold <> ''"


def apart(project: Project, pairs: Iterable[Pair]) -> set[Pair]:
    """Which of these must not become known: a near-duplicate is asked the same, or is known, or stands before them."""
    groups = _groups(project)
    taken: dict[Pair, set[str]] = {}
    for image_id, concept_id in [*_queued(project, _OPEN), *_queued(project, _KNOWN)] if groups else ():
        taken.setdefault((groups.get(image_id, image_id), concept_id), set()).add(image_id)
    found: set[Pair] = set()
    for image_id, concept_id in pairs if groups else ():
        there = taken.setdefault((groups.get(image_id, image_id), concept_id), set())
        if there - {image_id}:
            found.add((image_id, concept_id))
        else:
            there.add(image_id)
    return found


def beside_known(project: Project, *, or_open: bool = False) -> set[Pair]:
    """Pairs whose picture has a near-duplicate of which the same is known; or is asked."""
    groups = _groups(project)
    members: dict[str, list[str]] = {}
    for image_id, group in groups.items():
        members.setdefault(group, []).append(image_id)
    found = [*_queued(project, _KNOWN), *(_queued(project, _OPEN) if or_open else ())] if groups else []
    return {
        (other, concept_id)
        for image_id, concept_id in found
        for other in members.get(groups.get(image_id, ""), ()) if other != image_id
    }  # fmt: skip


def _groups(project: Project) -> dict[str, str]:
    rows = project.tables.read("duplicates", ["image_id", "group_id"])
    return dict(zip(rows.column("image_id").to_pylist(), rows.column("group_id").to_pylist(), strict=True))


def _queued(project: Project, which: str) -> list[Pair]:
    query = f"SELECT image_id, concept_id FROM questions WHERE kind = 'grid' AND {which}"  # noqa: S608  ours
    with project.journal.reading() as connection:
        return [(row.image_id, row.concept_id) for row in connection.execute(sa.text(query))]
