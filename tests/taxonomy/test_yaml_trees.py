"""YAML in each of its natural shapes, and hostile."""

from __future__ import annotations

import pytest

from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.taxonomy.trees import concepts_of
from pictus.taxonomy.yaml_trees import parse_yaml

NAMES = """\
bird:
  owl: [barn owl, snowy owl]
  penguin:
machine: crane
"""

CONCEPTS = """\
- name: bird
  children:
    - name: owl
      gloss: nocturnal bird
      children:
        - barn owl
        - id: n00000009
          names: [snowy owl, Nyctea scandiaca]
          is_class: no
    - penguin
- id: m1
  name: machine
- name: crane
  parent: m1
"""


def edges(text: str) -> set[tuple[str, str]]:
    concepts = concepts_of(parse_yaml(text, "t.yaml"), Taxonomy.of(()), "file:t.yaml", "t.yaml")
    name = {concept.concept_id: concept.names[0] for concept in concepts}
    return {(name[parent], concept.names[0]) for concept in concepts for parent in concept.parents}


EDGES = {("bird", "owl"), ("owl", "barn owl"), ("owl", "snowy owl"), ("bird", "penguin"), ("machine", "crane")}


@pytest.mark.parametrize("text", [NAMES, CONCEPTS])
def test_a_tree_of_names_and_a_list_of_concepts_mean_the_same(text: str) -> None:
    assert edges(text) == EDGES


def test_a_concept_keeps_its_columns_and_line() -> None:
    rows = {row.names[0]: row for row in parse_yaml(CONCEPTS, "t.yaml")}
    assert rows["owl"].gloss == "nocturnal bird"
    assert rows["owl"].position == "line 3"
    snowy = rows["snowy owl"]
    assert (snowy.concept_id, snowy.names, snowy.is_class) == ("n00000009", ("snowy owl", "Nyctea scandiaca"), "no")


def test_a_flat_list_is_a_list_of_classes() -> None:
    rows = parse_yaml("- owl\n- penguin\n", "t.yaml")
    assert [(row.names, row.parents) for row in rows] == [(("owl",), ()), (("penguin",), ())]


def test_a_name_that_is_a_column_elsewhere_may_be_a_branch() -> None:
    assert edges("label:\n  class: [gloss]\n") == {("label", "class"), ("class", "gloss")}


def test_a_key_that_is_not_known_is_told_with_its_line() -> None:
    told = r"(?s)2 bad rows.*line 2: 'colour' is none of children, class.*line 3: 'gloss' wants"
    with pytest.raises(UserError, match=told):
        parse_yaml("- name: owl\n  colour: grey\n  gloss: {a: b}\n", "t.yaml")


def test_what_is_no_yaml_says_where() -> None:
    with pytest.raises(UserError, match=r"t\.yaml is not YAML: .*line 2"):
        parse_yaml("a: [b\nc: d", "t.yaml")


def test_aliases_are_refused_so_that_a_small_file_stays_small() -> None:
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    bomb = "a: &a [x1, x2]\n" + "".join(f"{key}: &{key} [*{before}, *{before}]\n" for before, key in pairs)
    with pytest.raises(UserError, match=r"aliases \(\*name\) are not read"):
        parse_yaml(bomb, "t.yaml")


def test_what_is_too_deep_is_refused() -> None:
    deep = "\n".join("  " * level + f"c{level}:" for level in range(250))
    with pytest.raises(UserError, match=r"t\.yaml line \d+ is nested more than 200 levels deep"):
        parse_yaml(deep, "t.yaml")


@pytest.mark.parametrize("deep", ["[" * 50_000, "{a: " * 50_000, "- " * 50_000])
def test_a_file_of_brackets_is_refused_not_followed(deep: str) -> None:
    with pytest.raises(UserError):
        parse_yaml(deep, "t.yaml")


def test_a_name_at_the_top_of_a_tree_says_nothing_of_its_parents() -> None:
    first = Taxonomy.of(
        concepts_of(parse_yaml("bird:\n  owl: [barn owl]\n", "t.yaml"), Taxonomy.of(()), "file:t.yaml", "t.yaml")
    )
    found = concepts_of(parse_yaml("owl: [snowy owl]\n", "u.yaml"), first, "file:u.yaml", "u.yaml")
    parents = {concept.names[0]: [first.concepts.get(one) for one in concept.parents] for concept in found}
    assert [one.names[0] for one in parents["owl"] if one] == ["bird"]
    assert [one.names[0] for one in parents["snowy owl"] if one] == ["owl"]
