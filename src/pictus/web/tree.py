"""The order in which pages show concepts: kin together, and among siblings by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pictus.concepts import Taxonomy


def by_name(taxonomy: Taxonomy, concept_ids: Iterable[str]) -> list[str]:
    """Concepts as people look them up: by name whatever its case, by id where names are equal."""
    return sorted(concept_ids, key=lambda concept_id: (taxonomy.name(concept_id).casefold(), concept_id))


def in_order(taxonomy: Taxonomy) -> list[str]:
    """Every concept a root leads to, depth first, siblings by name; each where it is met first."""
    waiting = by_name(taxonomy, taxonomy.roots)[::-1]
    found: dict[str, None] = {}
    while waiting:
        concept_id = waiting.pop()
        if concept_id not in found:
            found[concept_id] = None
            waiting.extend(by_name(taxonomy, taxonomy.children(concept_id))[::-1])
    return list(found)


def chain(taxonomy: Taxonomy, concept_id: str) -> list[str]:
    """A concept and what hangs below it as long as that is one concept and it is no class itself."""
    found = [concept_id]
    while len(below := taxonomy.children(found[-1])) == 1 and not taxonomy.get(found[-1]).is_class:
        if below[0] in found:
            break
        found.append(below[0])
    return found


def counts_inside(taxonomy: Taxonomy, own: Counter[str]) -> dict[str, int]:
    """Concept -> pictures in it and below it."""
    return {
        node.concept_id: own[node.concept_id] + sum(own[below] for below in taxonomy.descendants(node.concept_id))
        for node in taxonomy
    }
