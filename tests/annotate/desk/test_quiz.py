"""The definition quiz."""

from __future__ import annotations

from pictus.annotate.desk.quiz import quiz_of
from pictus.concepts import Taxonomy
from pictus.records import Concept


def tree(*glosses: str) -> Taxonomy:
    children = [Concept(f"c{number}", (f"name {number}",), gloss, ("top",)) for number, gloss in enumerate(glosses)]
    return Taxonomy.of([Concept("top", ("top",), "the whole"), *children])


def test_the_right_gloss_is_among_up_to_four_and_each_person_has_an_order() -> None:
    taxonomy = tree("zero", "one", "two", "three", "four")
    orders = set()
    for person in ("ada", "bob", "cyd", "dan", "eve", "fay"):
        found = quiz_of(taxonomy, "c0", person)
        assert found is not None
        quiz, right = found
        assert quiz.choices[right] == "zero"
        assert len(set(quiz.choices)) == 4
        assert "the whole" not in quiz.choices, "what is above it fits as well"
        assert quiz_of(taxonomy, "c0", person) == found
        orders.add(quiz.choices)
    assert len(orders) > 1


def test_there_is_none_where_glosses_are_missing_or_alike() -> None:
    assert quiz_of(tree("", "one"), "c0", "ada") is None
    assert quiz_of(tree("zero", ""), "c0", "ada") is None
    assert quiz_of(tree("zero", "zero "), "c0", "ada") is None
    assert quiz_of(tree("zero", "one"), "unknown", "ada") is None


def test_others_help_out_where_siblings_are_few() -> None:
    taxonomy = Taxonomy.of([
        Concept("a", ("a",), "alpha", ("top",)), Concept("top", ("top",), "the whole"), Concept("x", ("x",), "ex"),
        Concept("y", ("y",), "why", ("x",)),
    ])  # fmt: skip
    found = quiz_of(taxonomy, "a", "ada")
    assert found is not None
    assert set(found[0].choices) == {"alpha", "ex", "why"}


def test_the_wrong_glosses_are_those_of_the_nearest_for_everybody_the_same() -> None:
    taxonomy = Taxonomy.of([
        Concept("thing", ("thing",), "whatever is"), Concept("animal", ("animal",), "what moves", ("thing",)),
        Concept("feline", ("feline",), "claws", ("animal",)), Concept("goods", ("goods",), "what is sold", ("thing",)),
        Concept("cat", ("cat",), "purrs", ("feline",), is_class=True),
        Concept("lion", ("lion",), "roars", ("feline",), is_class=True),
        Concept("newt", ("newt",), "is slimy", ("animal",), is_class=True),
        Concept("scorpion", ("scorpion",), "stings", ("animal",), is_class=True),
        *(Concept(f"rack{number}", ("rack",), f"holds {number}", ("goods",), is_class=True) for number in range(50)),
    ])  # fmt: skip
    for person in ("ada", "bob", "cyd"):
        found = quiz_of(taxonomy, "cat", person)
        assert found is not None
        assert set(found[0].choices) == {"purrs", "roars", "is slimy", "stings"}
