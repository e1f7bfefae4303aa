"""What one source has given and which of its queries are finished, on its way into the tables.

Candidates are committed before the row that says their query is finished: after a kill a query is asked
again from its start at worst, and what it gave already is known. One row per (address, concept).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pictus.collect.addresses import parse_url
from pictus.collect.searches import Hit, is_done
from pictus.errors import PictureError
from pictus.records import Candidate, Query, Searched
from pictus.tables import Tables, equals, one_of, table_of

COMMIT_EVERY_S = 5.0
"""A killed search loses at most this much work."""

_MOST_WAITING = 5_000  # rows
_KEY = ["source", "query", "concept_id"]
_AT_ONCE = 200  # concepts whose rows are deleted by one filter


class Ledger:
    """One source under way. `clock` tells seconds that only grow, `now` the time of day."""

    def __init__(self, tables: Tables, source: str, *, clock: Callable[[], float], now: Callable[[], str]) -> None:
        self._tables = tables
        self._source = source
        self._clock = clock
        self._now = now
        self._committed_at = clock()
        self._candidates: list[Candidate] = []
        self._searched: list[Searched] = []
        of_source = equals("source", source)
        self._present = set(tables.read("candidates", ["concept_id"])["concept_id"].unique().to_pylist())
        given = tables.read("candidates", ["concept_id"], of_source)["concept_id"].value_counts().to_pylist()
        self._counts = Counter({row["values"]: row["counts"] for row in given})
        ended = tables.read("searches", ["query", "concept_id", "cause"], of_source).to_pylist()
        self._ended = {(row["query"], row["concept_id"]): row["cause"] for row in ended}
        self._concept = ""
        self._known: set[str] = set()
        self.causes = Counter[str]()  # of this run
        self.found = self.known = self.unusable = 0  # hits of this run

    def is_finished(self, query: str, concept_id: str, limit: int) -> bool:
        """Whether this query need not be asked again for so many candidates."""
        cause = self._ended.get((query, concept_id), "")
        return is_done(cause) and (cause != "limit" or self.count(concept_id) >= limit)

    def count(self, concept_id: str) -> int:
        """Candidates of a concept from this source."""
        return self._counts[concept_id]

    def open(self, concept_id: str) -> None:
        """The concept that comes next: its addresses are looked up, whoever named them."""
        self._concept = concept_id
        self._known = set()
        if concept_id in self._present:  # the table is read through for each: not for those that are new
            found = self._tables.read("candidates", ["address"], equals("concept_id", concept_id))
            self._known = set(found["address"].to_pylist())

    def add(self, hit: Hit, query: Query) -> bool:
        """Take one hit -> whether it is new. What is no address that could be fetched is counted and left."""
        try:
            address = parse_url(hit.address).text
        except (PictureError, UnicodeError):  # half a sign, as JSON can spell it; counted, and told with the others
            self.unusable += 1
            return False
        if address in self._known:
            self.known += 1
            return False
        self._known.add(address)
        self._candidates.append(
            Candidate(
                address, self._concept, self._source, query.query, query.language, hit.licence, hit.author, hit.title,
                _page(hit.page), self._now(),
            )
        )  # fmt: skip
        self._counts[self._concept] += 1
        self.found += 1
        return True

    def end(self, query: str, found: int, cause: str, detail: str = "") -> None:
        """A query of the open concept has ended."""
        self._searched.append(
            Searched(self._source, query, self._concept, found, cause, _storable(detail), self._now())
        )  # fmt: skip
        self.causes[cause] += 1
        waiting = len(self._candidates) + len(self._searched)
        if waiting > _MOST_WAITING or self._clock() - self._committed_at > COMMIT_EVERY_S:
            self.commit()

    def pause(self) -> None:
        """Between two pages of one query: commit what has waited long."""
        if len(self._candidates) > _MOST_WAITING or self._clock() - self._committed_at > COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Into the tables, candidates first."""
        if self._candidates:
            self._tables.append("candidates", table_of("candidates", self._candidates))
            self._candidates = []
            self._tables.compact("candidates")
        if self._searched:
            again = [row for row in self._searched if (row.query, row.concept_id) in self._ended]
            first = [row for row in self._searched if (row.query, row.concept_id) not in self._ended]
            if again:
                self._tables.upsert("searches", table_of("searches", again), _KEY)
            if first:
                self._tables.append("searches", table_of("searches", first))
            self._ended |= {(row.query, row.concept_id): row.cause for row in self._searched}
            self._searched = []
            self._tables.compact("searches")
        self._committed_at = self._clock()

    def forget(self, concept_ids: list[str]) -> None:
        """Count no query of these concepts as finished, and what they have as none: limits are of new ones then."""
        for start in range(0, len(concept_ids), _AT_ONCE):
            these = one_of("concept_id", concept_ids[start : start + _AT_ONCE])
            self._tables.delete("searches", f"{equals('source', self._source)} AND {these}")
        gone = set(concept_ids)
        self._counts = Counter({one: count for one, count in self._counts.items() if one not in gone})
        self._ended = {key: cause for key, cause in self._ended.items() if key[1] not in gone}


def _storable(text: str) -> str:
    """Text as a table takes it: half signs replaced, not long."""
    return text[:500].encode(errors="replace").decode()


def _page(text: str) -> str:
    """Where people see the picture: an address, or "" for anything else (it becomes a link)."""
    try:
        return parse_url(text).text if text else ""
    except (PictureError, UnicodeError):  # a stranger's word for a page: without it the candidate is as good
        return ""
