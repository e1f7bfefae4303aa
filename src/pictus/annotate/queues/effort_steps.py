"""What people took so far and what is still expected of them, read from the desk's tables."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from pictus.annotate.queues.effort import Work, lasting, pay_of, words
from pictus.project import Project

__all__ = ["lasting", "pay_of", "words", "works"]  # doors import steps only

LATEST = 1_000
"""Pages of each kind that its pace rests on: what people do by now, not how they began."""

_SUMS = sa.text(
    "SELECT kind, sum(CASE WHEN state <> 'open' OR known <> '' THEN 0 WHEN wanted > votes THEN wanted - votes"
    " ELSE 1 END) AS expected,"
    " sum(CASE WHEN state IN ('accepted', 'rejected', 'undecided') AND known = '' AND votes > 0"
    " THEN 1 ELSE 0 END) AS decided FROM questions GROUP BY kind"
)
_SPENT = sa.text("SELECT kind, sum(seconds) AS seconds FROM pages WHERE state = 'submitted' GROUP BY kind")
_PAGES = sa.text(
    "SELECT seconds, items, annotator FROM pages WHERE kind = :kind AND state = 'submitted' AND seconds > 0"
    " AND items > 0 ORDER BY submitted_at DESC, page_id LIMIT :latest"
)


def works(project: Project, kind: str = "") -> list[Work]:
    """Every kind of question that was ever put in, or only the one that is named."""
    found = []
    with project.journal.reading() as connection:
        spent = {row.kind: float(row.seconds) for row in connection.execute(_SPENT)}
        for row in connection.execute(_SUMS).all():
            if kind in ("", row.kind):
                pages = connection.execute(_PAGES, {"kind": row.kind, "latest": LATEST}).all()
                pace_s = float(np.median([page.seconds / page.items for page in pages])) if pages else None
                found.append(Work(
                    row.kind, int(row.expected), int(row.decided), spent.get(row.kind, 0.0), pace_s,
                    sum(int(page.items) for page in pages), len({page.annotator for page in pages}),
                ))  # fmt: skip
    return sorted(found)
