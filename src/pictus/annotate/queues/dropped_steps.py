"""Pictures that `clean` decided to drop: nobody is asked about them, and nothing is drawn from them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pictus.project import Project


def dropped(project: Project) -> pa.Array:
    """Their image_ids, string[N]."""
    rows = project.tables.read("verdicts", ["image_id"], where="verdict = 'drop'")
    return rows.column("image_id").combine_chunks()


def standing(project: Project, rows: pa.Table) -> pa.Table:
    """The rows of other pictures. Column image_id."""
    return rows.filter(pc.invert(pc.is_in(rows.column("image_id"), value_set=dropped(project))))
