"""The drawn tree: what is counted, opened and left closed."""

from __future__ import annotations

from pictus.concepts import Taxonomy
from pictus.records import Concept
from pictus.taxonomy.outline import counts, outline, preorder


def concept(concept_id: str, *parents: str, is_class: bool = False) -> Concept:
    return Concept(concept_id, (concept_id.upper(),), "", parents, is_class)


#     a
#    / \
#   b   c        b and c share e
#  / \ / \
# d   e   f      f has one child: g
TAXONOMY = Taxonomy.of(
    [
        concept("a"), concept("b", "a"), concept("c", "a"), concept("d", "b", is_class=True),
        concept("e", "b", "c", is_class=True), concept("f", "c"), concept("g", "f", is_class=True),
    ]
)  # fmt: skip


def test_what_has_two_parents_is_counted_once_above_them() -> None:
    counted = counts(TAXONOMY, {"e": 10, "g": 5, "b": 1})
    assert counted.classes == {"a": 3, "b": 2, "c": 2, "d": 1, "e": 1, "f": 1, "g": 1}
    assert counted.pictures == {"a": 16, "b": 11, "c": 15, "d": 0, "e": 10, "f": 5, "g": 5}


def test_preorder_gives_each_concept_once_after_a_parent() -> None:
    assert list(preorder(TAXONOMY, ["a"])) == ["a", "b", "d", "e", "c", "f", "g"]
    assert list(preorder(TAXONOMY, ["c"])) == ["c", "e", "f", "g"]


def test_preorder_opens_the_roots_by_name_as_the_drawn_tree_does() -> None:
    named = (("n1", "tool"), ("n2", "Animal"), ("n3", "fungus"))
    forest = Taxonomy.of(Concept(concept_id, (name,)) for concept_id, name in named)
    assert list(preorder(forest, forest.roots)) == ["n2", "n3", "n1"]


def test_the_tree_is_drawn_with_counts_chains_and_second_places() -> None:
    assert outline(TAXONOMY, ["a"], counts(TAXONOMY, {"e": 1, "d": 1200})) == [
        "A  a · 3 classes · 1,201 pictures",
        "├ B  b · 2 classes · 1,201 pictures",
        "│ ├ D  d · 1,200 pictures",
        "│ └ E  e · 1 picture",
        "└ C  c · 2 classes · 1 picture",
        "  ├ E  (see above)",
        "  └ F › G  g",
    ]


def test_few_lines_open_few_levels() -> None:
    assert outline(TAXONOMY, ["a"], counts(TAXONOMY, {}), limit=4) == [
        "A  a · 3 classes",
        "├ B  b · 2 classes",
        "└ C  c · 2 classes",
    ]


def test_a_level_wider_than_the_lines_is_cut_and_said() -> None:
    flat = Taxonomy.of([concept("r"), *(concept(f"c{i:03d}", "r", is_class=True) for i in range(100))])
    lines = outline(flat, ["r"], counts(flat, {}), limit=10)
    assert len(lines) == 11
    assert lines[-1] == "… 91 more"


def test_a_group_without_classes_says_so() -> None:
    assert outline(Taxonomy.of([concept("r")]), ["r"], counts(Taxonomy.of([concept("r")]), {})) == ["R  r · no class"]
