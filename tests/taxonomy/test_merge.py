"""What an import does to what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.records import Concept
from pictus.taxonomy.merge import merged

SOURCES = st.sampled_from(["wordnet-3.0", "imagenet-lists", "file:a.csv", "user"])


@st.composite
def concept_lists(draw: st.DrawFn) -> list[Concept]:
    """Concepts c0..c7 whose parents have smaller numbers, so that any mixture is free of circles."""
    concepts = []
    for number in sorted(draw(st.sets(st.integers(0, 7)))):
        parents = draw(st.lists(st.integers(0, 7), max_size=2, unique=True))
        above = tuple(f"c{parent}" for parent in parents if parent < number)
        name = draw(st.sampled_from(["dog", "owl"]))
        concepts.append(Concept(f"c{number}", (name,), "", above, draw(st.booleans()), draw(SOURCES)))
    return concepts


@given(concept_lists(), concept_lists())
def test_importing_the_same_again_changes_nothing(old: list[Concept], new: list[Concept]) -> None:
    once = merged(Taxonomy.of(old), new, "test")
    twice = merged(once.taxonomy, new, "test")
    assert twice.taxonomy.concepts == once.taxonomy.concepts
    assert (twice.n_added, twice.n_changed) == (0, 0)
    assert set(once.taxonomy.concepts) == {concept.concept_id for concept in (*old, *new)}
    assert list(once.taxonomy.concepts) == sorted(once.taxonomy.concepts)


@given(concept_lists())
def test_counts_are_those_of_the_difference(new: list[Concept]) -> None:
    merge = merged(Taxonomy.of(new[:3]), new, "test")
    assert (merge.n_added, merge.n_changed) == (len(new[3:]), 0)


def wordnet(*parents: str, is_class: bool = False) -> Concept:
    return Concept("n1", ("dog",), "a dog", parents, is_class, "wordnet-3.0")


def test_two_parts_of_wordnet_add_their_parents_and_classes() -> None:
    merge = merged(Taxonomy.of([wordnet("n2", is_class=True)]), [wordnet("n3")], "test")
    assert merge.taxonomy.get("n1").parents == ("n2", "n3")
    assert merge.taxonomy.get("n1").is_class
    assert merge.n_changed == 1


def test_wordnet_does_not_overrule_what_a_user_said() -> None:
    own = replace(wordnet("n9"), source="user", gloss="my dog")
    assert merged(Taxonomy.of([own]), [wordnet("n2", is_class=True)], "test").taxonomy.get("n1") == own


def test_a_file_overrules_everything() -> None:
    said = Concept("n1", ("hound",), "my dog", (), is_class=True, source="file:a.csv")
    assert merged(Taxonomy.of([wordnet("n2")]), [said], "test").taxonomy.get("n1") == said


def test_a_file_without_glosses_leaves_those_that_are_there() -> None:
    said = Concept("n1", ("hound",), source="file:a.csv")
    assert merged(Taxonomy.of([wordnet()]), [said], "test").taxonomy.get("n1").gloss == "a dog"


def test_circles_are_refused_and_drawn() -> None:
    old = Taxonomy.of([Concept("a", ("ant",)), Concept("b", ("bee",), "", ("a",))])
    with pytest.raises(UserError, match=r"'ant' \(a\) -> 'bee' \(b\) -> 'ant' \(a\)") as caught:
        merged(old, [Concept("a", ("ant",), "", ("b",), source="file:a.csv")], "a.csv")
    assert "nothing was changed" in caught.value.fix
