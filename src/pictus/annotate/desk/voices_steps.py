"""Under which names votes and shapes stand, as names are compared; nobody who comes may have one that looks like it."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from pictus.annotate.desk.names import alike


class Voices:
    """Read whole once, and from then on what came since. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._alike: set[str] = set()
        self._read_to = {("votes", "vote_id"): 0, ("marks", "mark_id"): 0}

    def __contains__(self, compared: str) -> bool:
        return compared in self._alike

    def read(self, connection: sa.Connection) -> None:
        """Take in what was added since the last call."""
        with self._lock:
            for (table, number), low in self._read_to.items():
                newest = f"SELECT COALESCE(MAX({number}), 0) FROM {table}"  # noqa: S608  our names
                high = int(connection.execute(sa.text(newest)).scalar_one())
                if high == low:
                    continue
                names = f"SELECT DISTINCT annotator FROM {table} WHERE {number} > :low AND {number} <= :high"  # noqa: S608
                found = set(connection.execute(sa.text(names), {"low": low, "high": high}).scalars()) - self._names
                self._names |= found
                self._alike.update(alike(name) for name in found)
                self._read_to[table, number] = high
