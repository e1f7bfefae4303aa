"""The definition quiz before somebody's first page of a concept: which of these says what it is? Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

from pictus.concepts import Taxonomy

CHOICES = 4
"""Glosses shown: the right one and up to three others, as in ImageNet's quiz of definitions."""


@dataclass(frozen=True, slots=True)
class Quiz:
    """Which gloss is the concept's? The place of the right one stays with the desk."""

    concept_id: str
    name: str
    choices: tuple[str, ...]


def quiz_of(taxonomy: Taxonomy, concept_id: str, person: str) -> tuple[Quiz, int] | None:
    """The quiz, and which choice is right; None where glosses are missing. The same person is shown the same order."""
    if concept_id not in taxonomy or not taxonomy.get(concept_id).gloss.strip():
        return None
    right = taxonomy.get(concept_id).gloss.strip()
    siblings = sorted(
        {child for parent in taxonomy.parents(concept_id) for child in taxonomy.children(parent)} - {concept_id}
    )
    # A sentence seeds it, so that every server shows the same; it keeps nothing secret.
    chance = Random(hashlib.sha256(f"{person}\n{concept_id}".encode()).digest())  # noqa: S311
    wrong = _glosses(taxonomy, siblings, right)
    chance.shuffle(wrong)
    if len(wrong) < CHOICES - 1:
        kin = taxonomy.ancestors(concept_id) | taxonomy.descendants(concept_id) | {concept_id}
        others = [one for one in sorted(taxonomy.concepts) if one not in kin]
        more = [gloss for gloss in _glosses(taxonomy, chance.sample(others, min(len(others), 200)), right)
                if gloss not in wrong]  # fmt: skip
        wrong += more[: CHOICES - 1 - len(wrong)]
    if not wrong:
        return None
    choices = [right, *wrong[: CHOICES - 1]]
    chance.shuffle(choices)
    return Quiz(concept_id, taxonomy.name(concept_id), tuple(choices)), choices.index(right)


def _glosses(taxonomy: Taxonomy, concepts: list[str], besides: str) -> list[str]:
    found = dict.fromkeys(taxonomy.get(concept_id).gloss.strip() for concept_id in concepts)
    return [gloss for gloss in found if gloss and gloss != besides]
