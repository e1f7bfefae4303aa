"""From tables to what is known of every candidate question."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.queues.evidence import World, folds_of, looked_up, settled_of, votes_of_persons

WORLD = World(pa.array(["a", "b", "c"]), ("owl", "wren"))


def votes(*rows: tuple[str, str, str, str]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    names = ("image_id", "annotator", "question", "answer")
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})


def settled(*rows: tuple[str, str, float, str]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    kinds = (pa.string(), pa.string(), pa.float64(), pa.string())
    names = ("image_id", "concept_id", "posterior", "status")
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)})


def test_pairs_sort_by_concept_then_picture_and_what_is_unknown_is_none() -> None:
    keys = WORLD.keys(pa.array(["a", "c", "b", "x", "a"]), pa.array(["owl", "owl", "wren", "owl", "eagle"]))
    assert keys.tolist() == [0, 2, 4, -1, -1]
    concept, image = WORLD.pairs(keys[:3])
    assert (concept.tolist(), image.tolist()) == ([0, 0, 1], [0, 2, 1])


@given(st.dictionaries(st.integers(0, 50), st.floats(0, 1), max_size=20), st.lists(st.integers(0, 50), max_size=20))
def test_looking_up_is_what_a_dictionary_does(table: dict[int, float], keys: list[int]) -> None:
    ordered = sorted(table)
    found = looked_up(
        np.array(keys, np.int64), np.array(ordered, np.int64), np.array([table[key] for key in ordered]), -1.0
    )
    assert found.tolist() == [table.get(key, -1.0) for key in keys]


def test_persons_are_counted_and_lists_are_not() -> None:
    said = votes_of_persons(WORLD, votes(
        ("a", "ada", "owl", "yes"), ("a", "bob", "owl", "no"), ("a", "cyd", "owl", "unsure"),
        ("a", "source:folder", "", "owl"), ("b", "ada", "", "wren"), ("x", "ada", "owl", "yes"),
    ))  # fmt: skip
    assert said.keys.tolist() == [0, 4]
    assert (said.yes.tolist(), said.no.tolist()) == ([1, 1], [1, 0])
    assert votes_of_persons(WORLD, votes()).keys.size == 0


def test_a_ruling_goes_before_the_votes_and_a_withdrawn_one_does_not() -> None:
    rows = settled(("a", "owl", 0.9, "accepted"), ("b", "owl", 0.2, "unsettled"), ("c", "owl", 0.1, "rejected"))
    found = settled_of(WORLD, rows, {("a", "owl"): "is-not", ("b", "wren"): "is", ("c", "owl"): "withdrawn"})
    assert found.keys.tolist() == [0, 1, 2, 4]
    assert found.posterior.tolist() == [0.0, 0.2, 0.1, 1.0]
    assert found.is_accepted.tolist() == [False, False, False, True]
    assert found.is_rejected.tolist() == [True, False, True, False]


def test_a_group_of_which_one_is_left_is_no_fold() -> None:
    groups = pa.table({"image_id": ["a", "b", "c", "x"], "group_id": ["g", "g", "h", "h"]})
    assert folds_of(WORLD, groups) == {0: "g", 1: "g"}
