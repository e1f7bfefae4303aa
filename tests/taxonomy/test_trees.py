"""A user's own rows: flexible to read, strict in what they mean, all bad ones told."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.concepts import Taxonomy, plain
from pictus.errors import UserError
from pictus.records import Concept
from pictus.taxonomy.trees import Row, concepts_of, is_own_id, own_ids, parse_csv

NOTHING = Taxonomy.of(())


def concepts(text: str, existing: Taxonomy = NOTHING) -> dict[str, Concept]:
    """By first name."""
    found = concepts_of(parse_csv(text, "c.csv"), existing, "file:c.csv", "c.csv")
    return {concept.names[0]: concept for concept in found}


def test_columns_come_in_any_order_under_several_names() -> None:
    (row,) = parse_csv("\ufeffDefinition;Parent;Label;wnid\nnight bird;bird;barn owl|Tyto alba;n00000009\n", "c.csv")
    assert row == Row("line 2", ("barn owl", "Tyto alba"), "n00000009", ("bird",), "night bird")
    (row,) = parse_csv("name\tparents\nbarn_owl\tbird; pet\n", "c.csv")
    assert (row.names, row.parents) == (("barn owl",), ("bird", "pet"))


def test_quoted_cells_and_short_and_empty_lines_are_read() -> None:
    rows = parse_csv('name,parent,gloss\r\n"owl",,"a ""night"" bird,\nwith feathers"\r\n\r\n,,\r\nbird\r\n', "c.csv")
    assert [(row.position, row.names[0], row.gloss) for row in rows] == [
        ("line 3", "owl", 'a "night" bird, with feathers'),
        ("line 6", "bird", ""),
    ]


def test_leaves_are_classes_unless_said_otherwise() -> None:
    found = concepts("name,parent,is_class\nbird,,\nowl,bird,\nfinch,bird,no\nstuff,,yes\ngranite,stuff,\n")
    assert {name: concept.is_class for name, concept in found.items()} == {
        "bird": False, "owl": True, "finch": False, "stuff": True, "granite": True,
    }  # fmt: skip


def test_a_parent_is_an_id_or_a_name_of_a_row_or_of_the_taxonomy() -> None:
    existing = Taxonomy.of([Concept("n00000001", ("Animal",))])
    found = concepts("id,name,parent\nb_1,bird,animal\n,owl,b_1\n,night owl,OWL|n00000001\n", existing)
    assert found["bird"].parents == ("n00000001",)
    assert found["owl"].parents == ("b_1",)
    assert found["night owl"].parents == (found["owl"].concept_id, "n00000001")


def test_a_row_with_only_an_id_is_named_like_it() -> None:
    assert concepts("id\nowl-7\n")["owl-7"].concept_id == "owl-7"


def test_all_bad_rows_are_told_with_their_lines() -> None:
    text = "id,name,parent,is_class\n,owl,nobody,\n,,bird,\nbad id,finch,,\nx,gull,,perhaps\nx,tern,,\n,Owl,,\n"
    with pytest.raises(UserError) as caught:
        concepts(text)
    for part in ("5 bad rows", "line 3: no name", "line 4: the id 'bad id'", "line 5: is_class is 'perhaps'",
                 "line 6: the id 'x' stands at line 5 already", "line 7: 'Owl' stands at line 2 already"):  # fmt: skip
        assert part in caught.value.what
    with pytest.raises(UserError, match="line 2: the parent 'nobody' is no row and no concept"):
        concepts("name,parent\nowl,nobody\n")


def test_an_ambiguous_parent_is_told() -> None:
    with pytest.raises(UserError, match="line 4: the parent 'crane' means 2 concepts: a, b"):
        concepts("id,name,parent\na,crane,\nb,crane,\nc,wing,crane\n")


@pytest.mark.parametrize("text", ["", "owl,bird\n", "species,genus\nowl,bird\n"])
def test_a_csv_without_a_name_column_says_what_it_found(text: str) -> None:
    with pytest.raises(UserError, match="has no column 'name'") as caught:
        parse_csv(text, "c.csv")
    assert "id,name,parent,gloss" in caught.value.fix


def test_a_csv_of_only_a_header_and_open_quotes_are_told() -> None:
    with pytest.raises(UserError, match="has no concept"):
        concepts("name,parent\n")
    with pytest.raises(UserError, match=r"c\.csv line \d"):
        parse_csv('name\n"owl\n', "c.csv")


def test_ids_are_made_from_names_and_stay() -> None:
    # The first 8 bytes of sha256(b"barn owl\x000") as a number, its last 8 digits. Never to change: projects hold it.
    alone = own_ids(["Barn_Owl"], NOTHING)
    among = own_ids(["tern", "barn owl", "gull"], NOTHING)
    assert alone["barn owl"] == among["barn owl"] == "x04312228"
    assert is_own_id(alone["barn owl"])
    assert not is_own_id("n02091134")


@given(st.lists(st.text("abc é", min_size=1).filter(lambda name: plain(name) != ""), max_size=30), st.integers())
def test_ids_do_not_depend_on_the_order_and_never_meet(names: list[str], seed: int) -> None:
    mixed = names[:]
    random.Random(seed).shuffle(mixed)
    found = own_ids(names, NOTHING)
    assert found == own_ids(mixed, NOTHING)
    assert len(set(found.values())) == len({plain(name) for name in names})


def test_an_id_that_is_taken_by_another_name_is_not_used() -> None:
    wanted = own_ids(["owl"], NOTHING)["owl"]
    existing = Taxonomy.of([Concept(wanted, ("finch",))])
    assert own_ids(["owl"], existing)["owl"] != wanted
    assert own_ids(["owl"], Taxonomy.of([Concept(wanted, ("Owl",))]))["owl"] == wanted
    assert own_ids(["owl"], NOTHING, [wanted])["owl"] != wanted


def test_thirty_thousand_rows_are_read_at_once() -> None:
    lines = ["name,parent", "root,", *(f"thing {i},{'root' if i < 100 else f'thing {i // 3}'}" for i in range(30_000))]
    found = concepts("\n".join(lines))
    assert len(found) == len({concept.concept_id for concept in found.values()}) == 30_001
    assert found["thing 29999"].parents == (found["thing 9999"].concept_id,)


RICH = Taxonomy.of(
    [
        Concept("n1", ("animal",)),
        Concept("n2", ("owl", "bird of Minerva"), "hoots", ("n1",), is_class=True, source="wordnet-3.0"),
        Concept("n3", ("jay",), "", ("n1",), is_class=False),
    ]
)


@pytest.mark.parametrize(
    ("text", "names", "parents", "is_class"),
    [
        ("id,name\nn2,owl\n", ("owl", "bird of Minerva"), ("n1",), True),
        ("id,name\nn2,Owl|strix\n", ("Owl", "strix"), ("n1",), True),  # other names: the file's word
        ("id,name\nn2,bird of minerva\n", ("bird of minerva", "owl"), ("n1",), True),
        ("id,name,gloss\nn2,,it hoots\n", ("owl", "bird of Minerva"), ("n1",), True),
        ("id,gloss\nn2,it hoots\n", ("owl", "bird of Minerva"), ("n1",), True),
        ("id,name,parent\nn2,owl,\n", ("owl", "bird of Minerva"), (), True),  # an empty cell says: none
        ("id,name,is_class\nn2,owl,no\n", ("owl", "bird of Minerva"), ("n1",), False),
    ],
)
def test_what_a_file_has_no_column_for_stays(
    text: str, names: tuple[str, ...], parents: tuple[str, ...], is_class: bool
) -> None:
    (found,) = concepts_of(parse_csv(text, "c.csv"), RICH, "file:c.csv", "c.csv")
    assert (found.names, found.parents, found.is_class) == (names, parents, is_class)


def test_a_file_of_names_makes_no_class_of_a_group() -> None:
    (found,) = concepts_of(parse_csv("id,name\nn3,jay\n", "c.csv"), RICH, "file:c.csv", "c.csv")
    assert (found.is_class, found.parents) == (False, ("n1",))


@pytest.mark.parametrize("url", [
    "javascript:alert(1)", "ftp://example.org/x", "example.org/x", "https://", "https://ann:secret@example.org/",
    "https://exa mple.org/", "https://example.org/\u202e", "https://example.org:port/", "https://[::1", "//example.org",
    "https://example.org/" + "x" * 2_000,
])  # fmt: skip
def test_a_url_that_is_no_web_address_is_a_bad_row(url: str) -> None:
    rows = [*parse_csv("name,url\nsix,https://example.org/six\n", "good"), Row("line 3", ("five",), url=url)]
    with pytest.raises(UserError, match=r"line 3: the url .* is no web address"):
        concepts_of(rows, Taxonomy.of(()), "file:x", "x")
