"""What a page says about its concept: names, gloss, where to read on, pictures that show it, and what it is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from pictus.concepts import Taxonomy
from pictus.errors import NotThereError
from pictus.project import Project

EXEMPLARS, SIBLINGS, OF_SIBLING = 5, 4, 3
SPARE = 16
"""So many of the surest pictures of a concept are known, so that those on the page itself can be left out."""
CLIMBS = 4
"""So far up is looked for what may be taken for a concept; what is farther is not like it."""
FRESH_S = 10.0
"""Seconds for which the labels are not looked at again: opening a table takes some milliseconds."""
WIKIPEDIA = "//en.wikipedia.org/wiki/Special:Search?go=Go&search="
"""Goes to the article of that name, else to what is like it. Only a link: nothing is loaded from there."""

Surest = Mapping[str, tuple[str, ...]]


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
        self._version = -1
        self._surest: Surest = {}
        self._known: frozenset[str] = frozenset()

    def card(self, concept_id: str, on_page: Collection[str] = ()) -> dict[str, Any]:
        """One concept as JSON. `on_page`: pictures that are asked about and so are not shown as examples.

        Addresses of pictures hold {side} where the page puts the size it needs.
        """
        taxonomy = self._taxonomy()
        names, gloss, source = [concept_id], "", ""  # it was removed after the question was planned
        if concept_id in taxonomy:
            concept = taxonomy.get(concept_id)
            names, gloss, source = list(concept.names) or names, concept.gloss, concept.source
        links = [{"word": "Wikipedia", "address": "https:" + WIKIPEDIA + quote(names[0].replace("_", " "), safe="")}]
        if source.startswith(("https:", "http:")):
            links.append({"word": "Source", "address": source})
        return {
            "concept_id": concept_id, "name": names[0], "names": names[1:], "gloss": gloss, "links": links,
            "siblings": self._siblings(taxonomy, concept_id, on_page),
            "exemplars": self._addresses(concept_id, EXEMPLARS, on_page),
        }  # fmt: skip

    def find(self, concept_id: str, place: int) -> str:
        """The image_id of one example picture."""
        found = self._shown(concept_id)
        if place >= len(found):
            raise NotThereError("There is no such example.")
        return found[place]

    def _siblings(self, taxonomy: Taxonomy, concept_id: str, on_page: Collection[str]) -> list[dict[str, Any]]:
        """Concepts that may be taken for it: with pictures before without, then by name."""
        if concept_id not in taxonomy:
            return []
        surest = self._now()
        beside = _beside(taxonomy, concept_id)
        nearest = sorted(beside, key=lambda one: (-len(surest.get(one, ())[:OF_SIBLING]), taxonomy.name(one)))
        return [
            {
                "concept_id": sibling, "name": taxonomy.name(sibling), "gloss": taxonomy.get(sibling).gloss,
                "pictures": self._addresses(sibling, OF_SIBLING, on_page),
            }
            for sibling in nearest[:SIBLINGS]
        ]  # fmt: skip

    def _addresses(self, concept_id: str, count: int, on_page: Collection[str]) -> list[str]:
        """Of pictures that are neither on the page nor known answers: who saw those here would know them there."""
        places = [place for place, one in enumerate(self._shown(concept_id)) if one not in on_page][:count]
        return [f"/desk/examples/{place}/{{side}}?concept={quote(concept_id, safe='')}" for place in places]

    def _shown(self, concept_id: str) -> list[str]:
        """The surest pictures but known answers: a number that was left out would tell of one."""
        found = self._now().get(concept_id, ())
        return [one for one in found if one not in self._known]

    def _now(self) -> Surest:
        """Concept -> its SPARE surest pictures, read anew after a settling."""
        with self._lock:
            if self._clock() - self._looked >= FRESH_S:
                version = self._project.tables.version("labels")
                if version != self._version:
                    self._surest, self._version = _surest(self._project), version
                self._known = _known(self._project)
                self._looked = self._clock()
            return self._surest


def _beside(taxonomy: Taxonomy, concept_id: str) -> set[str]:
    """Classes under the same parent, or where it has none there, under the nearest concept above that holds some."""
    level, kin = {concept_id}, taxonomy.ancestors(concept_id) | taxonomy.descendants(concept_id) | {concept_id}
    classes = set(taxonomy.classes)
    for _ in range(CLIMBS):
        level = {parent for one in level for parent in taxonomy.parents(one)}
        near = {child for parent in level for child in taxonomy.children(parent)} & classes
        found = (near or {below for parent in level for below in taxonomy.descendants(parent)} & classes) - kin
        if found or not level:
            return found
    return set()


def _known(project: Project) -> frozenset[str]:
    """Pictures by which people are tried; an index holds just these."""
    with project.journal.reading() as connection:
        return frozenset(connection.exec_driver_sql("SELECT image_id FROM questions WHERE known <> ''").scalars())


def _surest(project: Project) -> Surest:
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
