"""Concepts that may be taken for one."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.desk.quiz import quiz_of
from pictus.concepts import Taxonomy
from pictus.lookalikes import alike, nearness
from pictus.records import Concept
from pictus.taxonomy import lexicon, lists


def of(*lines: str) -> Taxonomy:
    """Of lines "id < parent, parent: gloss"; what is nobody's parent is a class."""
    rows = []
    for line in lines:
        head, _, gloss = line.partition(":")
        concept_id, _, above = head.partition("<")
        rows.append((concept_id.strip(), tuple(one.strip() for one in above.split(",") if one.strip()), gloss.strip()))
    groups = {parent for _, parents, _ in rows for parent in parents}
    return Taxonomy.of(Concept(one, (one,), gloss, above, one not in groups) for one, above, gloss in rows)


WORLD = of(
    "thing", "living < thing", "animal < living", "chordate < animal", "mammal < chordate", "feline < mammal",
    "cat < feline", "tabby < cat", "siamese < cat", "lion < feline", "dog < mammal", "whippet < dog",
    "fish < chordate", "goldfish < fish", "made < thing", "rack < made", "horn < made", "plant < living",
    "fern < plant",
)  # fmt: skip


def test_nearness_is_wu_and_palmers() -> None:
    # depths (root 1): tabby 8, siamese 8, cat 7; lion 7, feline 6; rack 3, thing 1
    assert nearness(WORLD, "tabby", "siamese") == 2 * 7 / (8 + 8)
    assert nearness(WORLD, "tabby", "lion") == 2 * 6 / (8 + 7)
    assert nearness(WORLD, "tabby", "rack") == 2 * 1 / (8 + 3)
    assert nearness(of("a", "b"), "a", "b") == 0


def test_the_nearest_in_the_tree_come_first_and_nothing_above_or_below() -> None:
    assert alike(WORLD, "tabby", 3) == ["siamese", "lion", "whippet"]
    assert alike(WORLD, "goldfish", 2)[0] not in ("rack", "horn")
    assert not {"fish", "chordate", "animal", "living", "thing"} & set(alike(WORLD, "goldfish", 99))
    assert not {"feline", "lion", "tabby", "goldfish"} & set(alike(WORLD, "animal", 99))


def test_a_group_is_set_beside_groups_of_its_height_each_branch_once() -> None:
    assert alike(WORLD, "animal", 2) == ["plant", "made"]
    assert alike(WORLD, "living", 1) == ["made"]


def test_what_is_confused_comes_first_and_then_what_is_rather_wanted_among_the_equally_near() -> None:
    assert alike(WORLD, "tabby", 2, confused={"whippet": 3, "cat": 9, "gone": 5}) == ["whippet", "siamese"]
    flock = of("bird", "crow < bird", "owl < bird", "wren < bird")
    assert alike(flock, "owl", 2) == ["crow", "wren"]
    assert alike(flock, "owl", 2, rather=["wren"]) == ["wren", "crow"]


def test_in_a_flat_list_words_in_common_tell_and_else_the_id() -> None:
    flat = of("lemon: a yellow sour fruit", "car: runs on wheels", "lime: a green sour fruit", "bus: long, on wheels")
    assert alike(flat, "lemon", 1) == ["lime"]
    assert alike(flat, "car", 1) == ["bus"]
    assert alike(of("one", "three", "two"), "two", 3) == ["one", "three"]


def test_where_nothing_is_near_nothing_is_alike_when_that_is_asked() -> None:
    flat = of("golf ball", "cat", "ladle", "ping-pong ball", "washer")
    assert alike(flat, "cat", 4, only_near=True) == []
    assert alike(flat, "golf ball", 4, only_near=True) == ["ping-pong ball"]
    assert alike(flat, "cat", 4, confused={"washer": 2}, only_near=True) == ["washer"]
    assert alike(of("bird", "crow < bird", "owl < bird"), "owl", 4, only_near=True) == ["crow"]


def test_a_circle_has_no_depths_and_breaks_nothing() -> None:
    assert alike(of("a < b", "b < a", "c: see", "d: see"), "c", 2)[0] == "d"


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20), st.integers(0, 11))
def test_the_nearest_are_those_that_looking_at_all_pairs_finds(pairs: list[tuple[int, int]], asked: int) -> None:
    parents: dict[int, list[str]] = {number: [] for number in range(12)}
    for one, other in pairs:
        if one != other:
            parents[max(one, other)].append(f"c{min(one, other):02}")
    taxonomy = Taxonomy.of(
        Concept(f"c{number:02}", (f"c{number:02}",), "", tuple(above), is_class=True)
        for number, above in parents.items()
    )
    me = f"c{asked:02}"
    kin = taxonomy.ancestors(me) | taxonomy.descendants(me) | {me}
    every = sorted(set(taxonomy.concepts) - kin, key=lambda one: (-nearness(taxonomy, me, one), one))
    found = alike(taxonomy, me, 12)
    assert sorted(found) == sorted(every)
    assert found[:1] == every[:1]


RealData = Callable[[str], Path]


def test_of_imagenets_classes_the_nearest_are_of_their_family(real_data: RealData) -> None:
    folder = real_data("imagenet_taxonomy")
    words, is_a, glosses = (
        lzma.decompress((folder / f"{name}.xz").read_bytes()).decode()
        for name in ("words.txt", "wordnet.is_a.txt", "imagenet_synset_to_definition.txt")
    )
    listed = lists.parse_list((folder / "imagenet_synsets.txt").read_text(), "list")
    chosen = lexicon.chosen(lexicon.lexicon_of_lists(words, is_a, glosses, "lists"), [one.wnid for one in listed])
    taxonomy = Taxonomy.of(chosen)
    feline = taxonomy.resolve("feline")
    for name in ("tabby", "lion"):
        near = alike(taxonomy, taxonomy.resolve(name), 4)
        assert all(feline in taxonomy.ancestors(one) for one in near), [taxonomy.name(one) for one in near]
    carnivore = taxonomy.resolve("carnivore")
    near = alike(taxonomy, taxonomy.resolve("domestic cat"), 6)
    assert all(carnivore in taxonomy.ancestors(one) for one in near), [taxonomy.name(one) for one in near]
    animal = alike(taxonomy, taxonomy.resolve("animal"), 3)
    assert {"plant", "fungus"} <= {taxonomy.name(one) for one in animal}
    for concept_id in taxonomy.classes[::50]:
        assert quiz_of(taxonomy, concept_id, "ada") == quiz_of(taxonomy, concept_id, "ada")
