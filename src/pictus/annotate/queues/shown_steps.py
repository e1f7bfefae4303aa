"""Which pictures pages show, or have shown, as examples of a concept: none of them becomes a known answer later.

Known answers are no examples, so one that vanished from among the examples would be known to be one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa

from pictus.project import Project

SPARE = 16
"""So many of the surest pictures of a concept are kept at hand, so that those on the page itself can be left out."""


def surest(project: Project) -> Mapping[str, tuple[str, ...]]:
    """Concept -> settled pictures of it, the surest first, SPARE of each."""
    rows = project.tables.read("labels", ["image_id", "concept_id", "posterior"], where="status = 'accepted'")
    if not rows.num_rows:
        return {}
    rows = rows.sort_by([("concept_id", "ascending"), ("posterior", "descending"), ("image_id", "ascending")])
    codes = rows.column("concept_id").combine_chunks().dictionary_encode()
    code_N = codes.indices.to_numpy(zero_copy_only=False)
    first_N = np.searchsorted(code_N, code_N, side="left")  # sorted: where each concept begins
    chosen = rows.take(np.flatnonzero(np.arange(len(code_N)) - first_N < SPARE))
    found: dict[str, list[str]] = {}
    for row in chosen.to_pylist():
        found.setdefault(row["concept_id"], []).append(row["image_id"])
    return {concept_id: tuple(image_ids) for concept_id, image_ids in found.items()}


def seen(project: Project) -> frozenset[str]:
    """Pictures that people may have been shown as examples, now or ever; none while nobody has been lent a page."""
    with project.journal.reading() as connection:
        if connection.execute(sa.text("SELECT 1 FROM pages LIMIT 1")).first() is None:
            return frozenset()
        query = sa.text("SELECT image_id FROM examples UNION SELECT image_id FROM shown_examples")
        chosen = frozenset(connection.execute(query).scalars())
    return chosen.union(*surest(project).values())


def keep(project: Project, concept_id: str, image_id: str) -> None:
    """Write down for good that a picture was shown as an example: after the next settling it may be none."""
    query = "INSERT INTO shown_examples (concept_id, image_id) VALUES (:concept, :image) ON CONFLICT DO NOTHING"
    with project.journal.transaction() as connection:
        connection.execute(sa.text(query), {"concept": concept_id, "image": image_id})
