"""What never changes of a page: whose it is, of which kind, its pictures. Looked up once: each of its pictures asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.bulk_steps import told

KEPT = 2_048
"""Pages, those asked for last, of some 6 kB each: what 250 people hold in two windows each."""


class Imprint(NamedTuple):
    """Of one page. `pictures`: their image_ids by position."""

    annotator: str
    kind: str
    pictures: tuple[str, ...]


class Imprints:
    """Those of one server, by page_id. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: OrderedDict[str, Imprint] = OrderedDict()

    def of(self, page_id: str, read: Callable[[], Imprint | None]) -> Imprint | None:
        """The imprint of a page, by `read` where it is not known yet; None where there is no such page."""
        with self._lock:
            if page_id in self._pages:
                self._pages.move_to_end(page_id)
                return self._pages[page_id]
        found = read()
        if found is not None:
            with self._lock:
                self._pages[page_id] = found
                if len(self._pages) > KEPT:
                    self._pages.popitem(last=False)
        return found


def imprint_of(connection: sa.Connection, page_id: str) -> Imprint | None:
    """Read it; None where there is no such page."""
    query = (
        "SELECT p.annotator, p.kind, i.image_id FROM pages p JOIN page_items i ON i.page_id = p.page_id"
        " WHERE p.page_id = :page ORDER BY i.position"
    )
    rows = told(connection, query, {"page": page_id}).all()
    return Imprint(rows[0].annotator, rows[0].kind, tuple(row.image_id for row in rows)) if rows else None
