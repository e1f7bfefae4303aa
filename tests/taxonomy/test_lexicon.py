"""Choosing from a lexicon: by list, by root; what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictus.errors import UserError
from pictus.taxonomy.lexicon import Lexicon, below, check_known, chosen, lexicon_of_lists, resolve_root
from pictus.taxonomy.wordnet import parse_nouns

Tiny = tuple[Path, dict[str, str]]


@pytest.fixture
def lexicon(tiny_wordnet: Tiny) -> Lexicon:
    return parse_nouns((tiny_wordnet[0] / "data.noun").read_bytes(), "data.noun")


@pytest.fixture
def wnid(tiny_wordnet: Tiny) -> dict[str, str]:
    return tiny_wordnet[1]


def test_chosen_concepts_are_classes_and_their_ancestors_groups(lexicon: Lexicon, wnid: dict[str, str]) -> None:
    concepts = {concept.concept_id: concept for concept in chosen(lexicon, [wnid["whippet"], wnid["owl"]])}
    keys = ("whippet", "greyhound", "dog", "animal", "pet", "organism", "entity", "owl", "bird")
    assert set(concepts) == {wnid[key] for key in keys}
    assert {one for one, concept in concepts.items() if concept.is_class} == {wnid["whippet"], wnid["owl"]}


def test_a_chosen_concept_above_another_stays_a_class(lexicon: Lexicon, wnid: dict[str, str]) -> None:
    concepts = {concept.concept_id: concept for concept in chosen(lexicon, [wnid["whippet"], wnid["dog"]])}
    assert concepts[wnid["dog"]].is_class


def test_below_a_root_leaves_are_classes_and_the_root_is_cut_free(lexicon: Lexicon, wnid: dict[str, str]) -> None:
    choice = below(lexicon, [wnid["dog"]])
    concepts = {concept.concept_id: concept for concept in choice.concepts}
    assert set(concepts) == {wnid[key] for key in ("dog", "greyhound", "whippet")}
    assert [one for one, concept in concepts.items() if concept.is_class] == [wnid["whippet"]]
    assert concepts[wnid["dog"]].parents == ()
    assert (choice.n_individuals, choice.n_people) == (1, 0)  # Laika


def test_people_and_individuals_are_left_out_and_counted(lexicon: Lexicon, wnid: dict[str, str]) -> None:
    choice = below(lexicon, [wnid["entity"]])
    assert (choice.n_individuals, choice.n_people) == (1, 3)  # Laika; person, scientist, Curie
    assert len(choice.concepts) == 12


def test_a_root_that_is_a_person_or_an_individual_is_meant(lexicon: Lexicon, wnid: dict[str, str]) -> None:
    assert [one.concept_id for one in below(lexicon, [wnid["scientist"]]).concepts] == [wnid["scientist"]]
    assert [one.concept_id for one in below(lexicon, [wnid["laika"]]).concepts] == [wnid["laika"]]


def test_a_root_may_be_a_wnid_a_sense_or_a_name(lexicon: Lexicon, wnid: dict[str, str], tiny_wordnet: Tiny) -> None:
    index = (tiny_wordnet[0] / "index.noun").read_text(encoding="ascii")
    assert resolve_root(lexicon, index, wnid["dog"]) == wnid["dog"]
    assert resolve_root(lexicon, index, "domestic_dog.n.01") == wnid["dog"]
    assert resolve_root(lexicon, index, "Crane.n.02") == wnid["crane_machine"]
    assert resolve_root(lexicon, index, "domestic dog") == wnid["dog"]


def test_a_root_with_several_senses_lists_them(lexicon: Lexicon, wnid: dict[str, str], tiny_wordnet: Tiny) -> None:
    index = (tiny_wordnet[0] / "index.noun").read_text(encoding="ascii")
    with pytest.raises(UserError, match=f"(?s)'crane' means 2 concepts.*{wnid['crane_machine']}"):
        resolve_root(lexicon, index, "crane")
    with pytest.raises(UserError, match=r"(?s)'crane' has no sense 3.*crane\.n\.02  lifts and moves"):
        resolve_root(lexicon, index, "crane.n.03")
    with pytest.raises(UserError, match="no noun 'unicorn'"):
        resolve_root(lexicon, index, "unicorn.n.01")


def test_every_unknown_wnid_is_told_with_its_place(lexicon: Lexicon, wnid: dict[str, str]) -> None:
    listed = [("line 1", wnid["dog"]), ("line 2", "n99999999"), ("line 5", "n99999998")]
    with pytest.raises(UserError, match=r"(?s)2 bad rows.*line 2: n99999999 is not in wordnet-3\.0.*line 5"):
        check_known(lexicon, listed, "classes.txt")


def test_imagenets_lists_make_the_same_lexicon() -> None:
    words = "n00000001\tdog, domestic dog\nn00000002\twhippet\n"
    lexicon = lexicon_of_lists(words, "n00000001 n00000002\n", "n00000002\tsmall slender dog\n", "lists")
    whippet = lexicon.concepts["n00000002"]
    assert (whippet.names, whippet.parents, whippet.gloss) == (("whippet",), ("n00000001",), "small slender dog")
    assert lexicon.concepts["n00000001"].names == ("dog", "domestic dog")


def test_bad_lines_of_both_lists_are_told() -> None:
    with pytest.raises(UserError, match=r"(?s)2 bad rows.*is-a list line 2.*words list line 1"):
        lexicon_of_lists("dog\n", "n00000001 n00000002\nn1 n2\n", "", "lists")
