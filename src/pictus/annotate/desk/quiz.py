"""The definition quiz before somebody's first page of a concept: which of these says what it is? Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

from pictus.concepts import Taxonomy
from pictus.lookalikes import alike

CHOICES = 4
"""Glosses shown: the right one and up to three others, as in ImageNet's quiz of definitions."""
LOOKED_AT = 1_000
"""Of the most like it, where the nearest have no gloss of their own."""


@dataclass(frozen=True, slots=True)
class Quiz:
    """Which gloss is the concept's? The place of the right one stays with the desk."""

    concept_id: str
    name: str
    choices: tuple[str, ...]


def quiz_of(taxonomy: Taxonomy, concept_id: str, person: str) -> tuple[Quiz, int] | None:
    """The quiz, and which choice is right; None where glosses are missing. The same person is shown the same order.

    The wrong ones are of the concepts that are most like it (lookalikes): who only skims takes one for the other.
    """
    if concept_id not in taxonomy or not taxonomy.get(concept_id).gloss.strip():
        return None
    right = taxonomy.get(concept_id).gloss.strip()
    wrong = _glosses(taxonomy, alike(taxonomy, concept_id, 4 * (CHOICES - 1)), right)
    if len(wrong) < CHOICES - 1:
        wrong = _glosses(taxonomy, alike(taxonomy, concept_id, LOOKED_AT), right)
    if not wrong:
        return None
    choices = [right, *wrong[: CHOICES - 1]]
    # A sentence seeds it, so that every server shows the same; it keeps nothing secret.
    chance = Random(hashlib.sha256(f"{person}\n{concept_id}".encode()).digest())  # noqa: S311
    chance.shuffle(choices)
    return Quiz(concept_id, taxonomy.name(concept_id), tuple(choices)), choices.index(right)


def _glosses(taxonomy: Taxonomy, concepts: list[str], besides: str) -> list[str]:
    found = dict.fromkeys(taxonomy.get(concept_id).gloss.strip() for concept_id in concepts)
    return [gloss for gloss in found if gloss and gloss != besides]
