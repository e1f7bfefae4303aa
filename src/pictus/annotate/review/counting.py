"""What people said, as it was counted last: counted anew where votes came, beside who looks where that takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from pictus.annotate.review.said_steps import Said, vote_mark, votes_of_people
from pictus.project import Project

FRESH_S = 20.0
"""Seconds for which votes are not looked at again: counting a million takes some seconds."""
LONG_S = 0.3
"""Nobody waits for a count that took longer the last time: they see the last one meanwhile."""


class Counting:
    """One project's votes, for callers that take turns. `clock`: seconds that never go back."""

    def __init__(self, project: Project, clock: Callable[[], float]) -> None:
        self._project = project
        self._clock = clock
        self._looked = -FRESH_S
        self._took_s = 0.0
        self._beside: threading.Thread | None = None
        self._found: tuple[object, Said | None] | None = None  # by a count beside
        self.mark: object = None  # equal while the votes that were counted are
        self.said: Said | None = None

    def look(self) -> bool:
        """Take in what was counted, and count if it is time. Whether it was time to look."""
        self._take_in()
        if self._clock() - self._looked < FRESH_S:
            return False
        is_counting = self._beside is not None and self._beside.is_alive()
        mark = self.mark if is_counting else vote_mark(self._project)
        if mark != self.mark:
            if self._took_s > LONG_S:
                self._beside = threading.Thread(target=self._count_beside, args=(mark,), name="votes", daemon=True)
                self._beside.start()
            else:
                self._count(mark)
                self._take_in()
        self._looked = self._clock()
        return True

    def _take_in(self) -> None:
        if self._found is not None:
            (self.mark, self.said), self._found = self._found, None

    def _count_beside(self, mark: object) -> None:
        with suppress(Exception):  # it is tried again at the next look; a database that is away is told there
            self._count(mark)

    def _count(self, mark: object) -> None:
        begun = self._clock()
        said = votes_of_people(self._project)
        self._took_s = self._clock() - begun
        self._found = (mark, said)
