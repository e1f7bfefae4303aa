"""What to type into an image search for a concept, by ImageNet's rule (Deng et al. 2009, section 3.1).

The queries are the synonyms; and each synonym with a word of an ancestor appended, if that word
occurs in the gloss. Whippet, "small slender dog of greyhound type developed in England", gives
whippet, whippet dog, whippet greyhound. The word may stand in the plural in the gloss ("small
freshwater fishes"); one that the synonym has already ("hammerhead shark") is not appended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pictus.concepts import Taxonomy, plain
from pictus.records import Concept, Query


def queries(taxonomy: Taxonomy, concept_id: str) -> Iterator[Query]:
    """The queries of one concept: synonyms first, then expansions by the nearest ancestor first."""
    concept = taxonomy.get(concept_id)
    yield from (Query(concept_id, name, "") for name in concept.names)
    given = {plain(name) for name in concept.names}
    for word, above in parent_words(taxonomy, concept):
        for name in concept.names:
            query = f"{name} {word}"
            if plain(query) not in given and not _has(word, name):
                given.add(plain(query))
                yield Query(concept_id, query, above)


def in_languages(concept: Concept, words: Iterable[tuple[str, str]]) -> Iterator[Query]:
    """Queries from (language, word) pairs; a word that is one of the concept's names, or came before, is no new one."""
    given = {plain(name) for name in concept.names}
    for language, word in words:
        if plain(word) not in given:
            given.add(plain(word))
            yield Query(concept.concept_id, word, "", language)


def parent_words(taxonomy: Taxonomy, concept: Concept) -> Iterator[tuple[str, str]]:
    """(word, ancestor's id) for each name of an ancestor that occurs in the gloss; nearest (lowest) ancestor first."""
    definition = definition_of(concept.gloss)
    above = sorted(taxonomy.ancestors(concept.concept_id), key=lambda one: (taxonomy.height(one), one))
    for ancestor in above:
        for name in taxonomy.concepts[ancestor].names:
            if _has(name, definition):
                yield name, ancestor


def definition_of(gloss: str) -> str:
    """The gloss without its example sentences."""
    return re.split(r'; "', gloss, maxsplit=1)[0]


def _has(name: str, text: str) -> bool:
    """Whether `name` stands in `text` as whole words, singular or regular plural, whatever the case."""
    stem = name.removesuffix("y")
    ending = "(?:y|ies)" if name.endswith("y") else "(?:s|es)?"
    return re.search(rf"\b{re.escape(stem)}{ending}\b", text, re.IGNORECASE) is not None
