"""One annotator's record: pages over time, known answers, repeats, pace, pauses and appeals. Reads only."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus.annotate.desk.people import Worker
from pictus.annotate.desk.session_steps import named
from pictus.annotate.desk.work_steps import workers
from pictus.annotate.tasks import Person
from pictus.errors import NotThereError, clipped
from pictus.project import Project
from pictus.stats import Interval, clopper_pearson

BINS = 24
"""So many spans of time at most: what can be told apart in a chart 640 px wide."""
MOST_PAGES = 20_000
EVENTS = ("person_joined", "person_paused", "person_resumed", "appeal_made", "person_readmitted")


class Span(NamedTuple):
    """The pages handed in during one span of time."""

    begins: str
    ends: str
    pages: int
    pictures: int
    known: Interval  # share of known answers given right; nan where none was asked
    n_known: int
    pace_s: float  # median seconds a picture; 0 where there was no page


class Record(NamedTuple):
    """What one person did. `events`: (when, what, text), oldest first."""

    person: Person
    pages: int
    pictures: int
    seconds: float
    known: Interval  # exact interval (Clopper and Pearson)
    n_known: int
    repeats: Interval
    n_repeats: int
    pace_s: float
    spans: list[Span]
    events: list[tuple[str, str, str]]


class Handed(NamedTuple):
    """One page as it was handed in last."""

    submitted_at: str
    seconds: float
    items: int
    golds: int
    rights: int
    repeats: int
    sames: int


def everybody(project: Project) -> list[Worker]:
    """Who ever came in and what they did."""
    with project.journal.reading() as connection:
        return workers(connection)


def record_of(project: Project, name: str) -> Record:
    """Read one person's record; NotThereError for a name nobody has."""
    with project.journal.reading() as connection:
        person = named(connection, name)
        if person is None:
            raise nobody(connection, name)
        query = sa.text(
            "SELECT submitted_at, seconds, items, golds, rights, repeats, sames FROM pages WHERE annotator = :me"
            " AND state = 'submitted' ORDER BY submitted_at DESC, page_id LIMIT :most"
        )
        pages = [Handed(*row) for row in connection.execute(query, {"me": name, "most": MOST_PAGES})][::-1]
    found = [event for event in project.journal.events(name, limit=200) if event.event in EVENTS]
    events = [(event.at, event.event, _told(event.event, event.data)) for event in reversed(found)]
    known = (sum(one.rights for one in pages), sum(one.golds for one in pages))
    repeats = (sum(one.sames for one in pages), sum(one.repeats for one in pages))
    return Record(
        person, len(pages), sum(one.items for one in pages), sum(one.seconds for one in pages),
        clopper_pearson(*known), known[1], clopper_pearson(*repeats), repeats[1], pace(pages), spans(pages), events,
    )  # fmt: skip


def check_known(project: Project, name: str) -> None:
    """NotThereError for a name under which nobody came in and nobody's votes are kept."""
    votes = sa.text("SELECT 1 FROM votes WHERE annotator = :me LIMIT 1")
    with project.journal.reading() as connection:
        if named(connection, name) is None and connection.execute(votes, {"me": name}).first() is None:
            raise nobody(connection, name)


def nobody(connection: sa.Connection, name: str) -> NotThereError:
    """The error for a name that nobody has, with the nearest names."""
    known = connection.execute(sa.text("SELECT name FROM annotators ORDER BY name LIMIT 10000")).scalars().all()
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    fix = f"did you mean {' or '.join(near)}?" if near else "pictus annotate people    lists who came in"
    return NotThereError(f"Nobody is called {clipped(name)}.", fix=fix)


def spans(pages: Sequence[Handed]) -> list[Span]:
    """Pages in spans of equal time, from the first to the last; as many as there are pages where those are few."""
    if not pages:
        return []
    times = [datetime.fromisoformat(one.submitted_at).timestamp() for one in pages]
    many = min(BINS, len(pages))
    wide = max((times[-1] - times[0]) / many, 1.0)
    found = []
    for number in range(many):
        begins = times[0] + number * wide
        of = [
            one for one, at in zip(pages, times, strict=True)
            if begins <= at < begins + wide or (number == many - 1 and at >= begins + wide)
        ]  # fmt: skip
        golds = sum(one.golds for one in of)
        first, last = (datetime.fromtimestamp(at, UTC) for at in (begins, begins + wide))
        found.append(Span(
            first.isoformat(timespec="minutes"), last.isoformat(timespec="minutes"), len(of),
            sum(one.items for one in of), clopper_pearson(sum(one.rights for one in of), golds), golds, pace(of),
        ))  # fmt: skip
    return found


def pace(pages: Sequence[Handed]) -> float:
    """Median seconds a picture; 0 without pages."""
    return median(one.seconds / one.items for one in pages if one.items) if any(one.items for one in pages) else 0.0


def _told(event: str, data: dict[str, Any]) -> str:
    return str(data.get("text" if event == "appeal_made" else "reason", ""))
