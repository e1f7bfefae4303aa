"""WordNet's own file: a tiny one written here, and the real one where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.taxonomy.lexicon import Lexicon
from pictus.taxonomy.wordnet import parse_nouns

Tiny = tuple[Path, dict[str, str]]


def read(folder: Path) -> Lexicon:
    return parse_nouns((folder / "data.noun").read_bytes(), "data.noun")


def test_a_noun_has_its_words_gloss_and_parents(tiny_wordnet: Tiny) -> None:
    folder, wnid = tiny_wordnet
    dog = read(folder).concepts[wnid["dog"]]
    assert dog.names == ("dog", "domestic dog")
    assert dog.gloss == 'a member of the genus Canis; "the dog barked"'
    assert dog.parents == (wnid["animal"], wnid["pet"])
    assert not dog.is_class
    assert dog.source == "wordnet-3.0"


def test_individuals_are_told_from_kinds(tiny_wordnet: Tiny) -> None:
    folder, wnid = tiny_wordnet
    lexicon = read(folder)
    assert lexicon.individuals == {wnid["curie"], wnid["laika"]}
    assert lexicon.concepts[wnid["laika"]].parents == (wnid["dog"],)


def test_people_are_person_and_all_below(tiny_wordnet: Tiny) -> None:
    folder, wnid = tiny_wordnet
    assert read(folder).people == {"n00007846", wnid["scientist"], wnid["curie"]}


def test_another_version_is_refused_by_name(tiny_wordnet: Tiny) -> None:
    data = (tiny_wordnet[0] / "data.noun").read_bytes().replace(b"WordNet 3.0", b"WordNet 3.1")
    with pytest.raises(UserError, match=r"is not the noun file of WordNet 3\.0: it says WordNet 3\.1"):
        parse_nouns(data, "data.noun")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 a picture", b"id,name\n1,dog\n"])
def test_what_is_no_wordnet_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="its licence text is missing"):
        parse_nouns(data, "data.noun")


def test_a_file_with_changed_line_ends_is_refused_with_every_bad_line(tiny_wordnet: Tiny) -> None:
    data = (tiny_wordnet[0] / "data.noun").read_bytes().replace(b"\n", b"\r\n")
    with pytest.raises(UserError, match=r"(?s)16 bad rows.*line 4: not a noun at byte 7,849: '00007846"):
        parse_nouns(data, "data.noun")


def test_a_cut_line_is_told_with_its_number(tiny_wordnet: Tiny) -> None:
    data = (tiny_wordnet[0] / "data.noun").read_bytes()
    with pytest.raises(UserError, match=r"1 bad row\.\n  line 19: not a noun"):
        parse_nouns(data[:-60], "data.noun")


@pytest.fixture(scope="module")
def real(wordnet_dir: Path) -> Lexicon:
    return read(wordnet_dir)


def test_the_real_file_has_82115_nouns(real: Lexicon) -> None:
    assert len(real.concepts) == 82_115
    # 7,730 nouns have an instance pointer; five of them (Alabama …) are kinds as well.
    assert len(real.individuals) == 7_725
    n_several = sum(len(one.parents) > 1 for wnid, one in real.concepts.items() if wnid not in real.individuals)
    assert n_several == 1_422  # as in the published is-a list
    assert real.concepts["n02091134"].names == ("whippet",)


def test_the_real_file_is_a_dag_of_one_root_and_depth_19(real: Lexicon) -> None:
    assert real.taxonomy.cycles == ()
    assert real.taxonomy.roots == ("n00001740",)
    assert real.taxonomy.depth("n00001740") == 0
    assert max(real.taxonomy.depth(one) for one in real.concepts) == 19


@pytest.fixture(scope="module")
def kinds(real: Lexicon) -> Taxonomy:
    return Taxonomy.of(concept for wnid, concept in real.concepts.items() if wnid not in real.individuals)


def test_height_of_entity_is_the_longest_path_of_kinds(kinds: Taxonomy) -> None:
    assert kinds.height("n00001740") == 19
    assert kinds.lca_height("n02091134", "n02091032") == 1  # whippet and Italian greyhound meet in greyhound
