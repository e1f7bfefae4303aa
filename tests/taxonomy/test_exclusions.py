"""What nothing is searched for, and whose word counts."""

from __future__ import annotations

import pytest

from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.records import Concept, LeftOut
from pictus.taxonomy.exclusions import kept_notes, parse_exclusions, people_of, reasons
from pictus.taxonomy.lexicon import PERSON

TREE = Taxonomy.of(
    [
        Concept("n00000001", ("thing",)),
        Concept(PERSON, ("person",), "", ("n00000001",)),
        Concept("n10000001", ("diver",), "", (PERSON,), is_class=True),
        Concept("n10000002", ("nun",), "", (PERSON,), is_class=True),
        Concept("n20000001", ("owl",), "", ("n00000001",), is_class=True),
        Concept("n20000002", ("Sun",), "", ("n00000001",), is_class=True),
    ]
)
SUN = LeftOut("n20000002", "a named individual, no kind", "individual")


def out(*notes: LeftOut) -> dict[str, str]:
    return {TREE.name(one): note.source for one, note in reasons(TREE, notes).items()}


def included(concept_id: str) -> LeftOut:
    return LeftOut(concept_id, "", "included")


def listed(concept_id: str) -> LeftOut:
    return LeftOut(concept_id, "unsafe", "list")


def test_persons_and_individuals_are_out_until_somebody_says_otherwise() -> None:
    assert out(SUN) == {"diver": "person", "nun": "person", "Sun": "individual"}
    assert out(SUN, included("n10000001"), included("n20000002")) == {"nun": "person"}


def test_including_a_group_includes_all_below_but_what_a_list_names() -> None:
    assert out(included(PERSON)) == {}
    assert out(included(PERSON), listed("n10000002")) == {"nun": "list"}
    assert out(included("n10000002"), listed("n10000002")) == {"diver": "person"}


def test_a_listed_group_takes_all_below_with_it_and_says_so() -> None:
    found = reasons(TREE, [listed("n00000001"), included("n20000001")])
    assert set(found) == {"n10000001", "n10000002", "n20000002"}
    assert found["n20000002"].reason == "unsafe (said of thing)"


def test_a_list_names_concepts_by_wnid_or_name_with_a_reason_or_a_score() -> None:
    text = "concept,reason,score\nowl,looks at you,\nn10000001,,2.5\nnun,,4.5\nn99999999,unsafe,\nSun,far,1\n"
    found, elsewhere = parse_exclusions(text, TREE.resolve, "list.csv")
    assert [(row.concept_id, row.reason) for row in found] == [
        ("n20000001", "looks at you"), ("n10000001", "imageability 2.5, below 4"),
        ("n20000002", "far; imageability 1, below 4"),
    ]  # fmt: skip
    assert elsewhere == 1


def test_all_bad_rows_of_a_list_are_told() -> None:
    with pytest.raises(UserError) as caught:
        parse_exclusions("name;score\nowwl;1\nowl;nan\n;3\nowl;6\n", TREE.resolve, "list.csv")
    assert "4 bad rows" in caught.value.what
    assert "line 2: There is no concept 'owwl'." in caught.value.what
    assert "line 3: the score is imageability from 1 to 5; found 'nan'" in caught.value.what


def test_a_list_without_a_column_of_concepts_says_what_to_write() -> None:
    with pytest.raises(UserError, match="no column 'wnid' or 'concept'"):
        parse_exclusions("owl,unsafe\n", TREE.resolve, "list.csv")


def test_persons_of_a_taxonomy_of_ones_own_are_those_below_person() -> None:
    own = Taxonomy.of([
        Concept("person", ("person",)), Concept("nurse", ("nurse",), "", ("person",), is_class=True),
        Concept("cup", ("cup",), is_class=True),
    ])  # fmt: skip
    assert {one: note.source for one, note in reasons(own, []).items()} == {"nurse": "person"}
    assert people_of(Taxonomy.of([Concept("cup", ("cup",), is_class=True)])) == frozenset()


def test_an_inclusion_is_taken_back_and_a_list_emptied() -> None:
    before = [listed("n20000001"), included("n10000001"), included("n10000002"), SUN]
    assert kept_notes(before, [], [], {"n10000001"}).keys() == {("n10000002", "included"), ("n20000002", "individual")}


def test_a_new_list_replaces_the_old_and_inclusions_stay() -> None:
    before = [listed("n20000001"), included("n10000001"), SUN]
    assert kept_notes(before, None, []).keys() == {
        ("n20000001", "list"), ("n10000001", "included"), ("n20000002", "individual"),
    }  # fmt: skip
    assert ("n20000001", "list") not in kept_notes(before, [], ["n10000002"])
