"""The hard-written tree is what WordNet says."""

from __future__ import annotations

import re
from pathlib import Path

from pictus.concepts import Taxonomy
from pictus.demo.tree import CLASSES, CONCEPTS
from pictus.demo.world import MOTIFS


def _nouns(folder: Path) -> dict[str, tuple[list[str], list[str], str]]:
    """wnid -> names, hypernyms, gloss: WordNet's data.noun, wndb(5WN)."""
    found = {}
    for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        head, _, gloss = line.partition(" | ")
        cells = head.split()
        words = int(cells[3], 16)
        names = [cells[4 + 2 * k].replace("_", " ") for k in range(words)]
        first = 4 + 2 * words
        pointers = [cells[first + 1 + 4 * k : first + 5 + 4 * k] for k in range(int(cells[first]))]
        found["n" + cells[0]] = (names, ["n" + p[1] for p in pointers if p[0] == "@"], gloss.strip())
    return found


def test_there_are_at_least_24_classes_and_each_can_be_drawn() -> None:
    assert len(CLASSES) >= 24
    assert set(CLASSES) == set(MOTIFS)


def test_the_tree_has_at_least_three_levels_above_some_class_and_one_root() -> None:
    taxonomy = Taxonomy.of(CONCEPTS)
    assert max(taxonomy.depth(concept) for concept in CLASSES) >= 3
    assert [concept.concept_id for concept in CONCEPTS if not concept.parents] == ["n00001740"]


def test_no_class_lies_under_another() -> None:
    taxonomy = Taxonomy.of(CONCEPTS)
    assert not [concept for concept in CLASSES if set(taxonomy.ancestors(concept)) & set(CLASSES)]


def test_names_glosses_and_parents_are_wordnets(wordnet_dir: Path) -> None:
    nouns = _nouns(wordnet_dir)

    def above(wnid: str) -> set[str]:
        parents = set(nouns[wnid][1])
        return parents.union(*(above(parent) for parent in parents)) if parents else set()

    for concept in CONCEPTS:
        names, _, gloss = nouns[concept.concept_id]
        assert set(concept.names) <= set(names), concept
        assert set(concept.parents) <= above(concept.concept_id), concept
        # A gloss may be shortened; its words are WordNet's, in WordNet's order.
        rest = iter(re.findall(r"\w+", gloss))
        assert all(word in rest for word in re.findall(r"\w+", concept.gloss)), (concept.gloss, gloss)
