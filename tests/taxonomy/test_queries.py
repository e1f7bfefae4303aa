"""ImageNet's rule for search queries, on its own example and around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictus.concepts import Taxonomy
from pictus.records import Concept
from pictus.taxonomy.queries import definition_of, queries
from pictus.taxonomy.wordnet import parse_nouns

Tiny = tuple[Path, dict[str, str]]


def queries_of(gloss: str, names: tuple[str, ...], *ancestors: tuple[str, ...]) -> list[str]:
    """Queries of a concept below a chain of ancestors, nearest first."""
    chain = [Concept("c0", names, gloss, ("c1",) if ancestors else (), is_class=True)]
    for number, above in enumerate(ancestors, start=1):
        chain.append(Concept(f"c{number}", above, "", (f"c{number + 1}",) if number < len(ancestors) else ()))
    return [query.query for query in queries(Taxonomy.of(chain), "c0")]


def test_whippet_gives_whippet_dog_and_whippet_greyhound(tiny_wordnet: Tiny) -> None:
    folder, wnid = tiny_wordnet
    taxonomy = parse_nouns((folder / "data.noun").read_bytes(), "data.noun").taxonomy
    found = [(query.query, query.because) for query in queries(taxonomy, wnid["whippet"])]
    expected = [("whippet", ""), ("whippet greyhound", wnid["greyhound"]), ("whippet dog", wnid["dog"])]
    assert found == expected


def test_every_synonym_takes_the_parents_word() -> None:
    found = queries_of("a small fish of ponds", ("goldfish", "Carassius auratus"), ("cyprinid",), ("fish",))
    assert found == ["goldfish", "Carassius auratus", "goldfish fish", "Carassius auratus fish"]


@pytest.mark.parametrize(
    ("gloss", "parent", "expected"),
    [
        ("nocturnal birds of prey", "bird", "owl bird"),
        ("any of several foxes", "fox", "owl fox"),
        ("various small lories", "lory", "owl lory"),
        ("A Bird of the night", "bird", "owl bird"),
        ("plays a musical instrument", "musical instrument", "owl musical instrument"),
    ],
)
def test_the_word_may_stand_in_the_plural_and_in_any_case(gloss: str, parent: str, expected: str) -> None:
    assert queries_of(gloss, ("owl",), (parent,)) == ["owl", expected]


@pytest.mark.parametrize(
    ("gloss", "parent"),
    [
        ("a catalogue of stars", "cat"),  # no part of a word
        ("large and grey", "animal"),  # not there
        ('of the night; "a bird sang"', "bird"),  # in an example only
        ("a barn owl", "owl"),  # the synonym has it
    ],
)
def test_other_words_add_nothing(gloss: str, parent: str) -> None:
    assert queries_of(gloss, ("barn owl",), (parent,)) == ["barn owl"]


def test_no_query_comes_twice() -> None:
    found = queries_of("a shark of the sea", ("hammerhead", "hammerhead shark"), ("shark",))
    assert found == ["hammerhead", "hammerhead shark"]


def test_names_with_signs_are_taken_literally() -> None:
    assert queries_of("a C++ (language)", ("owl",), ("c++",), ("(",)) == ["owl"]


def test_examples_are_no_part_of_the_definition() -> None:
    assert definition_of('a dog; of any breed; "the dog barked"; "my dog"') == "a dog; of any breed"
