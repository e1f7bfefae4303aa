from __future__ import annotations

from pictus.concepts import Taxonomy
from pictus.records import Concept
from pictus.web.tree import by_name, chain, in_order


def taxonomy(*rows: tuple[str, str, tuple[str, ...]]) -> Taxonomy:
    return Taxonomy.of(Concept(concept_id, (name,), parents=parents) for concept_id, name, parents in rows)


ZOO = taxonomy(
    ("n1", "tool", ()), ("n2", "Animal", ()), ("n3", "saw", ("n1",)), ("n4", "wren", ("n2",)), ("n5", "ape", ("n2",)),
    ("n6", "axe", ("n1",)), ("n7", "gibbon", ("n5", "n1")),
)  # fmt: skip


def test_siblings_are_ordered_by_name_not_by_id() -> None:
    assert by_name(ZOO, ("n1", "n2")) == ["n2", "n1"]
    assert by_name(ZOO, ("n3", "n6")) == ["n6", "n3"]


def test_kin_stand_together_and_a_concept_with_two_parents_comes_once() -> None:
    # Animal: ape (gibbon), wren; tool: axe, saw (gibbon was met below ape)
    assert in_order(ZOO) == ["n2", "n5", "n7", "n4", "n1", "n6", "n3"]


def test_a_chain_ends_at_a_fork_and_at_a_circle() -> None:
    forked = taxonomy(("a", "a", ()), ("b", "b", ("a",)), ("c", "c", ("b",)), ("d", "d", ("b",)))
    assert chain(forked, "a") == ["a", "b"]
    assert chain(taxonomy(("a", "a", ("b",)), ("b", "b", ("a",))), "a") == ["a", "b"]
