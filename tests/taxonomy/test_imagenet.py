"""The real lists of ImageNet against the real WordNet: everything resolved, the devkit's own numbers reproduced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pictus
from pictus import taxonomy
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.taxonomy.files import read_packed, text_of
from pictus.taxonomy.lexicon import Lexicon, chosen, lexicon_of_lists
from pictus.taxonomy.lists import parse_list, parse_meta
from pictus.taxonomy.queries import parent_words, queries
from pictus.taxonomy.wordnet import parse_nouns

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def lists(real_data: Callable[[str], Path]) -> Path:
    return real_data("imagenet_taxonomy")


@pytest.fixture(scope="module")
def wordnet(wordnet_dir: Path) -> Lexicon:
    return parse_nouns((wordnet_dir / "data.noun").read_bytes(), "data.noun")


def text(path: Path) -> str:
    return text_of(read_packed(path, ""), path)


@pytest.fixture(scope="module")
def ilsvrc(lists: Path, wordnet: Lexicon) -> Taxonomy:
    listed = parse_list(text(lists / "imagenet_synsets.txt"), "list")
    return Taxonomy.of(chosen(wordnet, [entry.wnid for entry in listed]))


@pytest.mark.parametrize(
    ("name", "n_classes"),
    [
        ("imagenet_synsets.txt", 1_000),
        ("class_info.json", 1_000),
        ("imagenet_a_synsets.txt", 200),
        ("mini_imagenet_synsets.txt", 100),
        ("imagenet12k_synsets.txt.xz", 11_821),
        ("imagenet21k_miil_synsets.txt.xz", 11_221),
        ("imagenet22k_synsets.txt.xz", 21_841),
    ],
)
def test_every_wnid_of_every_list_is_resolved(lists: Path, wordnet: Lexicon, name: str, n_classes: int) -> None:
    listed = parse_list(text(lists / name), name)
    found = Taxonomy.of(chosen(wordnet, [entry.wnid for entry in listed]))
    assert len(found.classes) == len(listed) == n_classes
    assert found.cycles == ()
    assert all(concept.names and concept.gloss for concept in found)


def test_the_1000_classes_have_no_ancestor_among_them(ilsvrc: Taxonomy) -> None:
    kinds = {problem.kind for problem in ilsvrc.lint()}
    assert kinds == {"twin", "shared-name"}  # crane and crane, polecat and polecat …: names, no structure


def test_the_devkit_tells_the_same_tree_names_and_glosses_as_wordnet(lists: Path, ilsvrc: Taxonomy) -> None:
    devkit = Taxonomy.of(parse_meta((lists / "ilsvrc2012_devkit" / "meta.mat").read_bytes(), "meta.mat"))
    assert set(devkit.concepts) == set(ilsvrc.concepts)
    assert len(devkit) == 1_860
    assert devkit.classes == ilsvrc.classes
    for concept in devkit:
        same = ilsvrc.get(concept.concept_id)
        assert (concept.names, concept.gloss, set(concept.parents)) == (same.names, same.gloss, set(same.parents))
    assert np.array_equal(devkit.lca_height_matrix(devkit.classes), ilsvrc.lca_height_matrix(ilsvrc.classes))


def test_heights_in_wordnet_are_the_devkits(lists: Path, wordnet: Lexicon) -> None:
    from scipy.io import loadmat

    synsets = loadmat(lists / "ilsvrc2012_devkit" / "meta.mat", squeeze_me=True)["synsets"]
    kinds = Taxonomy.of(concept for wnid, concept in wordnet.concepts.items() if wnid not in wordnet.individuals)
    different = [row["WNID"] for row in synsets if kinds.height(str(row["WNID"])) != int(row["wordnet_height"])]
    assert len(synsets) == 1_860
    assert different == []


def test_lca_heights_of_1000_classes_equal_those_one_by_one(ilsvrc: Taxonomy) -> None:
    heights = ilsvrc.lca_height_matrix(ilsvrc.classes)
    assert heights.shape == (1_000, 1_000)
    assert np.array_equal(heights, heights.T)
    assert heights.max() == ilsvrc.greatest_height == 18
    pairs = np.random.default_rng(5).integers(0, 1_000, (300, 2))
    for a, b in pairs:
        assert heights[a, b] == ilsvrc.lca_height(ilsvrc.classes[a], ilsvrc.classes[b])


def test_imagenets_own_lists_say_the_same_as_wordnet(lists: Path, ilsvrc: Taxonomy) -> None:
    words, is_a, glosses = (
        text(lists / f"{name}.txt.xz") for name in ("words", "wordnet.is_a", "imagenet_synset_to_definition")
    )
    lexicon = lexicon_of_lists(words, is_a, glosses, "lists")
    assert len(lexicon.concepts) == 82_115
    found = Taxonomy.of(chosen(lexicon, ilsvrc.classes))
    assert set(found.concepts) == set(ilsvrc.concepts)
    for concept in found:
        same = ilsvrc.get(concept.concept_id)
        assert (concept.names, set(concept.parents)) == (same.names, set(same.parents))


def test_imagenets_query_rule_on_the_1000_classes(ilsvrc: Taxonomy) -> None:
    # 937 classes have an ancestor's word in their gloss; of these 781 get a query that is not a synonym
    # already (an "Irish terrier" gets no second "terrier").
    assert [query.query for query in queries(ilsvrc, "n02091134")] == ["whippet", "whippet greyhound", "whippet dog"]
    n_worded = sum(any(parent_words(ilsvrc, ilsvrc.get(one))) for one in ilsvrc.classes)
    n_expanded = sum(any(query.because for query in queries(ilsvrc, one)) for one in ilsvrc.classes)
    assert (n_worded, n_expanded) == (937, 781)


def test_a_project_takes_21841_classes_and_takes_them_again(
    project: pictus.Project, lists: Path, wordnet_dir: Path
) -> None:
    path = lists / "imagenet22k_synsets.txt.xz"
    outcome = taxonomy.import_(project, ilsvrc=path, wordnet=wordnet_dir)
    assert outcome.summary["classes"] == 21_841
    # 2,832 kinds of person (the published count, Yang et al. 2020), three individuals, and person.
    assert "2,836 classes are persons" in outcome.problems[0]
    version = project.tables.version("concepts")
    again = taxonomy.import_(project, ilsvrc=path, wordnet=wordnet_dir)
    assert (again.summary["added"], again.summary["changed"]) == (0, 0)
    assert project.tables.version("concepts") == version
    assert len(load_taxonomy(project).classes) == 21_841
