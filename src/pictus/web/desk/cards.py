"""What a page says about its concept: names, gloss, where to read on, pictures that show it, and what it is not."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from pictus.annotate.desk.example_steps import chosen_examples
from pictus.annotate.queues.shown_steps import keep, surest
from pictus.concepts import Taxonomy
from pictus.errors import NotThereError
from pictus.lookalikes import alike
from pictus.project import Project
from pictus.records import Concept, ConceptUrl

EXEMPLARS, SIBLINGS, OF_SIBLING = 5, 4, 3
TOLD = EXEMPLARS + OF_SIBLING
"""Examples of a concept that have an address: five, and some for those that the page itself asks about."""
CONFUSED = 2
"""Pictures from which two concepts count as mixed up: one may be a slip."""
FRESH_S = 10.0
"""Seconds for which the tables are not looked at again: opening one takes some milliseconds."""
WIKIPEDIA = "//en.wikipedia.org/w/index.php?title=Special:Search&search="
"""Only a link: nothing is loaded from there. With &go=Go it leads to the article of that name, where there is one."""

_WNID = re.compile(r"n\d{8}")

Pictures = Mapping[str, tuple[str, ...]]


class _Now(NamedTuple):
    """What is known at a moment, by concept."""

    chosen: Pictures  # examples, in the order in which somebody chose them
    surest: Pictures  # settled pictures, the surest first, SPARE of each
    known: frozenset[str]  # pictures by which people are tried: never shown
    confused: Mapping[str, Mapping[str, int]]  # on how many pictures it was taken for which other
    urls: Mapping[str, str]


class Cards:
    """The concepts of one project as pages tell them. `clock`: seconds that never go back."""

    def __init__(
        self, project: Project, taxonomy: Callable[[], Taxonomy], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._project = project
        self._taxonomy = taxonomy
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = -FRESH_S
        self._settled = -1
        self._linked = -1
        self._has_begun = False
        self._kept: set[tuple[str, str]] = set()
        self._now = _Now({}, {}, frozenset(), {}, {})

    def card(self, concept_id: str, on_page: Collection[str] = ()) -> dict[str, Any]:
        """One concept as JSON. `on_page`: pictures that are asked about and so are not shown as examples.

        Addresses of pictures hold {side} where the page puts the size it needs.
        """
        taxonomy = self._taxonomy()
        # else it was removed after the question was planned
        concept = taxonomy.get(concept_id) if concept_id in taxonomy else Concept(concept_id, ())
        names = list(concept.names) or [concept_id]
        return {
            "concept_id": concept_id, "name": names[0], "names": names[1:], "gloss": concept.gloss,
            "links": links(concept, self._looked_up().urls.get(concept_id, "")),
            "siblings": self._siblings(taxonomy, concept_id, on_page),
            "exemplars": self._addresses(concept_id, EXEMPLARS, on_page),
        }  # fmt: skip

    def served(self, concept_id: str, place: int) -> str:
        """The same as `find`, from the first page on that anybody is lent, and written down for good: `gold` leaves out
        what people may have seen by then, and nothing before.
        """
        if not self._has_begun:
            with self._project.journal.reading() as connection:
                self._has_begun = connection.exec_driver_sql("SELECT 1 FROM pages LIMIT 1").first() is not None
        if not self._has_begun:
            raise NotThereError("There is no such example.")
        image_id = self.find(concept_id, place)
        if (concept_id, image_id) not in self._kept:
            keep(self._project, concept_id, image_id)
            self._kept.add((concept_id, image_id))
        return image_id

    def find(self, concept_id: str, place: int) -> str:
        """The image_id of one example picture."""
        found = self._shown(concept_id)[:TOLD]
        if place >= len(found):
            raise NotThereError("There is no such example.")
        return found[place]

    def _siblings(self, taxonomy: Taxonomy, concept_id: str, on_page: Collection[str]) -> list[dict[str, Any]]:
        """What may be taken for it: what people took for it, then the nearest, of equals those with pictures.

        None where nothing speaks for any: people would learn not to look there.
        """
        if concept_id not in taxonomy:
            return []
        now = self._looked_up()
        pictured = now.chosen.keys() | now.surest.keys()
        nearest = alike(
            taxonomy, concept_id, SIBLINGS, confused=now.confused.get(concept_id, {}), rather=pictured, only_near=True
        )  # fmt: skip
        return [
            {
                "concept_id": sibling, "name": taxonomy.name(sibling), "gloss": taxonomy.get(sibling).gloss,
                "pictures": self._addresses(sibling, OF_SIBLING, on_page),
            }
            for sibling in nearest
        ]  # fmt: skip

    def _addresses(self, concept_id: str, count: int, on_page: Collection[str]) -> list[str]:
        """Of pictures that are neither on the page nor known answers: who saw those here would know them there."""
        places = [place for place, one in enumerate(self._shown(concept_id)[:TOLD]) if one not in on_page][:count]
        return [f"/desk/examples/{place}/{{side}}?concept={quote(concept_id, safe='')}" for place in places]

    def _shown(self, concept_id: str) -> list[str]:
        """The chosen examples, then the surest pictures; no known answers: a number left out would tell of one."""
        now = self._looked_up()
        found = dict.fromkeys((*now.chosen.get(concept_id, ()), *now.surest.get(concept_id, ())))
        return [one for one in found if one not in now.known]

    def _looked_up(self) -> _Now:
        """As it is now, or was FRESH_S ago; labels are read anew after a settling only."""
        with self._lock:
            if self._clock() - self._looked >= FRESH_S:
                tables, now = self._project.tables, self._now
                with self._project.journal.reading() as connection:
                    known = connection.exec_driver_sql("SELECT image_id FROM questions WHERE known <> ''").scalars()
                    now = now._replace(known=frozenset(known))
                    chosen = chosen_examples(connection)
                now = now._replace(chosen={one: tuple(found) for one, found in chosen.items()})
                settled, linked = tables.version("labels"), tables.version("concept_urls")
                if settled != self._settled:
                    now = now._replace(surest=surest(self._project), confused=_confused(self._project))
                if linked != self._linked:
                    urls = tables.records("concept_urls", ConceptUrl)
                    now = now._replace(urls={one.concept_id: one.url for one in urls})
                self._now, self._settled, self._linked, self._looked = now, settled, linked, self._clock()
            return self._now


def links(concept: Concept, url: str = "") -> list[dict[str, str]]:
    """Where to read on: the address somebody gave, by its host; else Wikipedia.

    A concept of WordNet leads to the article of its name. A project's own may be called "five" or "RBC", and whatever
    has that name there is not meant: it leads to a search.
    """
    found = []
    if url.startswith(("https:", "http:")):
        found.append({"word": urlsplit(url).hostname or "Page", "address": url})
    else:
        address = "https:" + WIKIPEDIA + quote((concept.names or (concept.concept_id,))[0].replace("_", " "), safe="")
        is_wordnet = _WNID.fullmatch(concept.concept_id) is not None
        found.append(
            {"word": "Wikipedia", "address": address + "&go=Go"} if is_wordnet
            else {"word": "Search Wikipedia", "address": address + "&fulltext=1"}
        )  # fmt: skip
    if concept.source.startswith(("https:", "http:")):
        found.append({"word": "Source", "address": concept.source})
    return found


def _confused(project: Project) -> Mapping[str, Mapping[str, int]]:
    """Of pictures that were asked about as one concept, found not to show it, and settled as another."""
    columns = ["image_id", "concept_id"]
    refused = project.tables.read("presences", columns, where="status = 'rejected'")
    labels = project.tables.read("labels", columns, where="status = 'accepted'")
    place = pc.index_in(refused.column("image_id"), value_set=labels.column("image_id").combine_chunks())
    is_there = pc.is_valid(place)
    label = labels.column("concept_id").take(pc.filter(place, is_there))
    pairs = pa.table({"asked": refused.column("concept_id").filter(is_there), "label": label})
    counts = pairs.group_by(["asked", "label"]).aggregate([([], "count_all")])
    found: dict[str, Counter[str]] = {}
    for row in counts.to_pylist():
        for one, other in ((row["asked"], row["label"]), (row["label"], row["asked"])):
            found.setdefault(one, Counter())[other] += row["count_all"]
    return {one: {other: n for other, n in others.items() if n >= CONFUSED} for one, others in found.items()}
