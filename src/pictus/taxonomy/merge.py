"""What an import does to the concepts that are there: nothing is removed, the user's word is final."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.records import Concept
from pictus.taxonomy.lexicon import FROM_LISTS
from pictus.taxonomy.lists import FROM_DEVKIT
from pictus.taxonomy.wordnet import FROM_WORDNET

DERIVED = frozenset({FROM_WORDNET, FROM_LISTS, FROM_DEVKIT})
"""Sources that tell the same WordNet: their parents add up. Any other source is a user's own word."""


class Merge(NamedTuple):
    """The concepts after an import, sorted by id, and how many are new or not as before."""

    taxonomy: Taxonomy
    n_added: int
    n_changed: int


def merged(old: Taxonomy, incoming: Iterable[Concept], where: str) -> Merge:
    """Put `incoming` over `old`. Importing the same again changes nothing; a cycle is refused with its concepts."""
    after = dict(old.concepts)
    n_added = n_changed = 0
    for concept in incoming:
        before = after.get(concept.concept_id)
        after[concept.concept_id] = concept if before is None else _one(before, concept)
        n_added += before is None
        n_changed += before is not None and before != after[concept.concept_id]
    result = Taxonomy.of(after[concept_id] for concept_id in sorted(after))
    if result.cycles:
        circles = [f"  {result.circle(cycle)}" for cycle in result.cycles[:20]]
        more = [f"  … and {len(result.cycles) - 20:,} more"] if len(result.cycles) > 20 else []  # noqa: PLR2004  as bad_rows
        raise UserError(
            "\n".join([f"{where}: these concepts would contain themselves (parent -> child):", *circles, *more]),
            fix="correct the parents, then run the same command again; nothing was changed",
        )
    return Merge(result, n_added, n_changed)


def _one(before: Concept, concept: Concept) -> Concept:
    if concept.source not in DERIVED:
        return replace(concept, gloss=concept.gloss or before.gloss)
    if before.source not in DERIVED:
        return before
    parents = tuple(dict.fromkeys((*before.parents, *concept.parents)))
    gloss = before.gloss or concept.gloss
    return replace(before, gloss=gloss, parents=parents, is_class=before.is_class or concept.is_class)
