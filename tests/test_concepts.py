"""The DAG: checked against brute force on random graphs, its lint on small ones that are ill by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pictus
from pictus import concepts
from pictus.concepts import LiveTaxonomy, Taxonomy, concept_of, load_taxonomy, plain
from pictus.errors import UserError
from pictus.records import Concept, Label, Source
from pictus.tables import table_of


def concept(concept_id: str, *parents: str, names: tuple[str, ...] = (), is_class: bool = False) -> Concept:
    return Concept(concept_id, names or (concept_id,), "", parents, is_class)


def graph_of(n: int, links: set[tuple[int, int]]) -> Taxonomy:
    return Taxonomy.of(
        concept(f"c{child}", *(f"c{parent}" for parent, to in sorted(links) if to == child)) for child in range(n)
    )


@st.composite
def dags(draw: st.DrawFn) -> tuple[int, set[tuple[int, int]]]:
    """(n, {(parent, child)}) with parent < child: no cycle can be."""
    n = draw(st.integers(1, 12))
    pairs = [(parent, child) for parent in range(n) for child in range(parent + 1, n)]
    return n, set(draw(st.lists(st.sampled_from(pairs), max_size=24))) if pairs else set()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, set[tuple[int, int]]]:
    n = draw(st.integers(1, 9))
    pairs = [(parent, child) for parent in range(n) for child in range(n)]
    return n, set(draw(st.lists(st.sampled_from(pairs), max_size=18)))


def closure_of(n: int, links: set[tuple[int, int]]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """reaches[a, b]: a path of one link or more leads from a down to b (Warshall)."""
    reaches = np.zeros((n, n), dtype=bool)
    for parent, child in links:
        reaches[parent, child] = True
    for middle in range(n):
        reaches |= reaches[:, middle : middle + 1] & reaches[middle : middle + 1, :]
    return reaches


def heights_of(n: int, links: set[tuple[int, int]]) -> list[int]:
    heights = [0] * n
    for _ in range(n):  # Bellman-Ford on longest paths
        for parent, child in links:
            heights[parent] = max(heights[parent], heights[child] + 1)
    return heights


@given(dags())
def test_ancestors_heights_and_depths_equal_brute_force(dag: tuple[int, set[tuple[int, int]]]) -> None:
    n, links = dag
    taxonomy, reaches = graph_of(n, links), closure_of(n, links)
    heights = heights_of(n, links)
    depths = heights_of(n, {(child, parent) for parent, child in links})
    for node in range(n):
        assert taxonomy.ancestors(f"c{node}") == {f"c{above}" for above in range(n) if reaches[above, node]}
        assert taxonomy.descendants(f"c{node}") == {f"c{below}" for below in range(n) if reaches[node, below]}
        assert taxonomy.height(f"c{node}") == heights[node]
        assert taxonomy.depth(f"c{node}") == depths[node]
    assert taxonomy.cycles == ()


@given(dags())
def test_lca_heights_equal_brute_force_one_by_one_and_as_a_matrix(dag: tuple[int, set[tuple[int, int]]]) -> None:
    n, links = dag
    taxonomy, heights = graph_of(n, links), heights_of(n, links)
    upwards = closure_of(n, links) | np.eye(n, dtype=bool)  # a concept is its own ancestor
    n_roots = n - len({child for _, child in links})
    above_all = max(heights) + (n_roots > 1)
    names = [f"c{node}" for node in range(n)]
    matrix = taxonomy.lca_height_matrix(names)
    assert matrix.dtype == np.float32
    for a in range(n):
        for b in range(n):
            common = [heights[node] for node in range(n) if upwards[node, a] and upwards[node, b]]
            expected = 0 if a == b else min(common, default=above_all)
            assert taxonomy.lca_height(names[a], names[b]) == expected
            assert matrix[a, b] == expected
    assert taxonomy.greatest_height == above_all


@given(graphs())
def test_each_knot_of_a_random_graph_gives_one_true_cycle(graph: tuple[int, set[tuple[int, int]]]) -> None:
    n, links = graph
    taxonomy, reaches = graph_of(n, links), closure_of(n, links)
    knots = {frozenset(b for b in range(n) if reaches[a, b] and reaches[b, a]) for a in range(n) if reaches[a, a]}
    assert len(taxonomy.cycles) == len(knots)
    for cycle in taxonomy.cycles:
        nodes = [int(name[1:]) for name in cycle]
        assert len(set(nodes)) == len(nodes)
        for here, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            assert (here, following) in links
        assert any(set(nodes) <= knot for knot in knots)


@given(graphs())
def test_lint_never_fails_and_is_the_same_in_any_order(graph: tuple[int, set[tuple[int, int]]]) -> None:
    n, links = graph
    taxonomy = graph_of(n, links)
    backwards = Taxonomy.of(reversed(list(taxonomy)))
    assert sorted(map(str, taxonomy.lint({}))) == sorted(map(str, backwards.lint({})))


def test_a_diamond_takes_its_lowest_common_ancestor() -> None:
    #      a
    #     / \
    #    b   c     d and e meet in b (height 1), d and f only in a (height 2)
    #   / \ / \
    #  d   e   f
    taxonomy = Taxonomy.of(
        [
            concept("a"), concept("b", "a"), concept("c", "a"), concept("d", "b"), concept("e", "b", "c"),
            concept("f", "c"),
        ]
    )  # fmt: skip
    assert taxonomy.lca_height("d", "e") == 1
    assert taxonomy.lca_height("e", "f") == 1
    assert taxonomy.lca_height("d", "f") == 2
    assert taxonomy.lca_height("d", "b") == 1  # b is its own ancestor
    assert taxonomy.lca_height_matrix(["d", "f", "d"]).tolist() == [[0, 2, 0], [2, 0, 2], [0, 2, 0]]


def test_two_roots_meet_in_a_virtual_one() -> None:
    taxonomy = Taxonomy.of([concept("a"), concept("b", "a"), concept("z")])
    assert taxonomy.roots == ("a", "z")
    assert taxonomy.lca_height("b", "z") == taxonomy.greatest_height == 2


def test_a_circle_has_no_height_and_says_why() -> None:
    taxonomy = Taxonomy.of([concept("a", "b"), concept("b", "a")])
    with pytest.raises(UserError, match=r"'a' \(a\) -> 'b' \(b\) -> 'a' \(a\)"):
        taxonomy.height("a")


def test_a_circle_of_thousands_is_found_and_shortened() -> None:
    taxonomy = Taxonomy.of(concept(f"c{i:05d}", f"c{(i + 1) % 5_000:05d}") for i in range(5_000))
    (problem,) = [one for one in taxonomy.lint() if one.kind == "cycle"]
    assert len(problem.concept_ids) == 5_000
    assert "… 4,990 more …" in problem.message


def test_classes_are_sorted_by_id() -> None:
    taxonomy = Taxonomy.of([concept("b", is_class=True), concept("c"), concept("a", is_class=True)])
    assert taxonomy.classes == ("a", "b")


def test_the_same_id_twice_is_a_bug() -> None:
    with pytest.raises(ValueError, match="'a' is given twice"):
        Taxonomy.of([concept("a"), concept("a")])


class TestResolve:
    taxonomy = Taxonomy.of(
        [
            concept("n1", names=("hunting dog",)),
            concept("n2", names=("crane",), is_class=True),
            concept("n3", names=("crane", "Lifter"), is_class=True),
            concept("n4", names=("dog", "hound"), is_class=True),
            concept("n5", names=("dog",)),
        ]
    )

    def test_takes_an_id_or_a_name_whatever_its_case(self) -> None:
        assert self.taxonomy.resolve("n1") == "n1"
        assert self.taxonomy.resolve("Hunting_Dog") == "n1"
        assert self.taxonomy.resolve(" lifter ") == "n3"

    def test_prefers_a_class_to_a_group_of_the_same_name(self) -> None:
        assert self.taxonomy.resolve("dog") == "n4"

    def test_lists_the_candidates_of_an_ambiguous_name(self) -> None:
        with pytest.raises(UserError, match=r"(?s)'crane' means 2 concepts.*n2.*n3  crane, Lifter"):
            self.taxonomy.resolve("crane")

    def test_proposes_near_names(self) -> None:
        with pytest.raises(UserError) as caught:
            self.taxonomy.resolve("huntign dog")
        assert caught.value.fix.startswith("did you mean hunting dog?    else: pictus taxonomy add")

    def test_finds_nothing_without_raising(self) -> None:
        assert self.taxonomy.find("unicorn") == ()
        with pytest.raises(UserError) as caught:
            self.taxonomy.resolve("unicorn")
        assert "pictus taxonomy add 'unicorn'" in caught.value.fix

    def test_proposes_near_names_among_very_many(self) -> None:
        many = Taxonomy.of(concept(f"x{i}", names=(f"thing number {i}",)) for i in range(6_000))
        with pytest.raises(UserError) as caught:
            many.resolve("thing numbr 4711")
        assert "thing number 4711" in caught.value.fix


class TestLint:
    def kinds(self, *concepts: Concept, pictures: dict[str, int] | None = None) -> list[tuple[str, tuple[str, ...]]]:
        return [(one.kind, one.concept_ids) for one in Taxonomy.of(concepts).lint(pictures)]

    def test_a_sound_tree_has_no_problem(self) -> None:
        assert self.kinds(concept("a"), concept("b", "a", is_class=True), concept("c", "a", is_class=True)) == []

    def test_tells_missing_parents(self) -> None:
        assert self.kinds(concept("a", "gone")) == [("missing-parent", ("a",))]

    def test_tells_circles_and_what_hangs_below_them(self) -> None:
        found = self.kinds(concept("a", "b"), concept("b", "a"), concept("c", "b"), concept("s", "s"))
        assert found == [("cycle", ("a", "b")), ("cycle", ("s",)), ("unreachable", ("c",))]

    def test_tells_classes_inside_classes_once_for_each_outer_one(self) -> None:
        found = self.kinds(
            concept("a", is_class=True), concept("b", "a"), concept("c", "b", is_class=True),
            concept("d", "b", is_class=True),
        )  # fmt: skip
        assert found == [("ancestor-descendant", ("a", "c", "d"))]

    def test_tells_twins_from_classes_that_share_one_name(self) -> None:
        found = self.kinds(
            concept("a", names=("Crane",), is_class=True), concept("b", names=("crane",), is_class=True),
            concept("c", names=("crane", "lifter"), is_class=True), concept("d", names=("crane",)),
        )  # fmt: skip
        assert found == [("twin", ("a", "b")), ("shared-name", ("a", "c")), ("shared-name", ("b", "c"))]

    def test_tells_thin_classes_and_pictures_of_concepts_that_are_gone(self) -> None:
        pictures = {"a": 19, "b": 20, "ghost": 3, "": 9}
        found = self.kinds(concept("a", is_class=True), concept("b", is_class=True), concept("c"), pictures=pictures)
        assert found == [("thin", ("a",)), ("orphan", ("ghost",))]
        assert self.kinds(concept("a", is_class=True)) == []  # nothing collected yet: nobody is thin

    def test_every_problem_says_what_to_type(self) -> None:
        taxonomy = Taxonomy.of(
            [concept("a", "b", is_class=True), concept("b", "a", is_class=True), concept("c", "gone", "b"),
             concept("d", names=("a",), is_class=True)]
        )  # fmt: skip
        problems = taxonomy.lint({"a": 1})
        assert {one.kind for one in problems} >= {"cycle", "missing-parent", "ancestor-descendant", "twin", "thin"}
        assert all(one.fix and one.message for one in problems)


def test_names_compare_without_case_underscores_and_spare_spaces() -> None:
    assert plain("  Great_White  Shark ") == plain("great white shark")


def test_a_taxonomy_comes_back_from_its_table(project: pictus.Project) -> None:
    assert len(load_taxonomy(project)) == 0
    concepts = [concept("b", "a", names=("B", "bee"), is_class=True), concept("a")]
    project.tables.replace("concepts", table_of("concepts", concepts))
    assert list(load_taxonomy(project)) == [concepts[1], concepts[0]]


def test_the_concept_of_a_picture_is_its_settled_label_else_the_first_claim(project: pictus.Project) -> None:
    assert concept_of(project).num_rows == 0
    claims = [("a", "owl"), ("a", "cup"), ("b", "cup"), ("c", ""), ("d", "cup"), ("d", "ant")]
    sources = [Source(one, f"x/{at}", "url", concept, "", "", "", "1") for at, (one, concept) in enumerate(claims)]
    project.tables.append("sources", table_of("sources", sources))
    said = [("b", "owl", 0.9, "rejected"), ("d", "jay", 0.6, "accepted"), ("d", "elm", 0.7, "accepted"),
            ("e", "bat", 0.5, "accepted"), ("e", "asp", 0.5, "accepted")]  # fmt: skip
    labels = [Label(one, concept, chance, 1, status, "x", "1") for one, concept, chance, status in said]
    project.tables.append("labels", table_of("labels", labels))
    rows = concept_of(project).to_pylist()
    assert {row["image_id"]: row["concept_id"] for row in rows} == {"a": "owl", "b": "cup", "d": "elm", "e": "asp"}


def test_swapped_letters_are_suggested() -> None:
    taxonomy = Taxonomy.of([Concept("n1", ("dog",)), Concept("n2", ("owl",)), Concept("n3", ("banana",))])
    for typed, meant in (("dgo", "dog"), ("olw", "owl"), ("bnaana", "banana")):
        with pytest.raises(UserError) as told:
            taxonomy.resolve(typed)
        assert told.value.fix.startswith(f"did you mean {meant}?"), typed


def test_a_live_taxonomy_is_read_again_exactly_when_it_changed(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(one: pictus.Project) -> Taxonomy:
        read.append(1)
        return load_taxonomy(one)

    monkeypatch.setattr(concepts, "load_taxonomy", counted)
    live = LiveTaxonomy(project)
    assert not live().concepts
    assert project.tables.stamp("concepts") == 0
    project.tables.replace("concepts", table_of("concepts", [Concept("owl", ("owl",))]))
    assert [set(live().concepts) for _ in range(3)] == [{"owl"}] * 3
    project.tables.replace("concepts", table_of("concepts", [Concept("wren", ("wren",))]))
    assert set(live().concepts) == {"wren"}
    assert len(read) == 3
