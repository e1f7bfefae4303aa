"""What a release says of itself: datasheet, Croissant, numbers, history."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.records import Concept, Duplicate, Label, Source, Verdict
from pictus.release.candidates import described, eligible, first_of_each, shortened, torn_groups, whole_groups
from pictus.release.contents import About, Contents, contents, counts, licences
from pictus.release.croissant import croissant
from pictus.release.datasheet import datasheet
from pictus.release.history import cleaned, collected, labelled
from pictus.release.numbering import advice, next_version, version_before
from pictus.release.packing import head
from pictus.releases import PICTURES
from pictus.tables import SCHEMAS, table_of

AT = "2026-01-01T00:00:00Z"
TREE = (
    Concept("n1", ("animal",)),
    Concept("n2", ("dog",), parents=("n1",)),
    Concept("n3", ("cat|feline",), parents=("n1",)),
)


def row(number: int, concept_id: str, split: str, **other: Any) -> dict[str, Any]:
    image_id = f"{number:064x}"
    return {
        "image_id": image_id, "size": 1000, "width": 64 + number, "height": 48, "format": "jpeg", "split": split,
        "concept_id": concept_id, "posterior": 1.0, "n_votes": 1, "group_id": image_id, "licence": "", "author": "",
        "address": "", **other,
    }  # fmt: skip


@pytest.fixture
def four() -> Contents:
    """Three dogs (train, train, test: two of them one group), one cat in train; one stated licence."""
    group = f"{0:064x}"
    rows = [
        row(0, "n2", "train"), row(1, "n2", "train", group_id=group), row(2, "n2", "test", licence="CC0", author="a"),
        row(3, "n3", "train"),
    ]  # fmt: skip
    about = About("drawn", "1.2.0", AT, url="https://example.org/drawn")
    return contents(about, pa.Table.from_pylist(rows), Taxonomy.of(TREE), {})


def manifest_of(what: Contents, **history: Any) -> dict[str, Any]:
    return {**head(what, what.pictures, previous="1.1.0"), "history": history}


def test_classes_are_those_with_pictures_and_ancestors_come_along(four: Contents) -> None:
    assert four.classes == ("n2", "n3")
    assert [(one.concept_id, one.is_class) for one in four.concepts] == [("n1", False), ("n2", True), ("n3", True)]
    assert four.pictures.column("label").to_pylist() == [0, 0, 0, 1]


def test_rows_out_of_order_are_a_bug() -> None:
    rows = pa.Table.from_pylist([row(1, "n2", "train"), row(0, "n2", "train")])
    with pytest.raises(ValueError, match="sorted by image_id"):
        contents(About("drawn", "1.0.0", AT), rows, Taxonomy.of(TREE), {})


def test_counts_are_worked_out(four: Contents) -> None:
    assert counts(four.pictures, four.classes) == {
        "pictures": 4, "classes": 2, "bytes": 4000, "splits": {"train": 3, "test": 1},
        "by_class": {"n2": {"test": 1, "train": 2}, "n3": {"train": 1}}, "formats": {"jpeg": 4},
        "short_side_px": [48, 48, 48, 48, 48], "groups": 1, "torn_groups": 0,
    }  # fmt: skip


def test_licences_count_pictures_and_authors(four: Contents) -> None:
    assert licences(four.pictures) == [
        {"licence": "unknown", "pictures": 3, "authors": 0}, {"licence": "CC0", "pictures": 1, "authors": 1},
    ]  # fmt: skip


def test_the_datasheet_states_counts_and_gaps(four: Contents) -> None:
    said = datasheet(manifest_of(four), four.concepts, licences(four.pictures))
    for line in (
        "# drawn 1.2.0",
        "4 pictures of 2 classes, each labelled with one of them.",
        "Home: <https://example.org/drawn>.",
        "| dog | n2 | 2 | 0 | 1 |",
        "| cat\\|feline | n3 | 1 | 0 | 0 |",  # a bar in a name does not break the table
        "| unknown | 3 | 0 |",
        "- No stated licence: 3 pictures.",
        "- Fewer than 20 pictures: 2 classes (dog, cat|feline).",
        "- No picture in test: 1 class (cat|feline).",
        "1 duplicate group, each whole in one split.",
        "Follows 1.1.0; `pictus release diff 1.1.0 1.2.0` lists what changed.",
        "The splits came with the pictures.",
    ):
        assert line in said


def test_the_datasheet_tells_how_it_came_to_be(four: Contents) -> None:
    facts = {
        "collected": {
            "pictures": 9, "kinds": {"url": 9}, "hosts": {"a.org": 9}, "more_hosts": 3, "attempts": {"ok": 9, "dns": 4},
            "first_found": "2026-01-01T00:00:00Z", "last_found": "2026-02-01T00:00:00Z",
        },
        "cleaned": {
            "screened": 9, "dropped": {"tiny": 2}, "thresholds": {"tiny": 32.0}, "duplicate_groups": 1, "duplicates": 1,
        },
        "labelled": {
            "status": {"accepted": 4}, "methods": {"one-coin": 4}, "votes": 12, "annotators": 3,
            "mean_posterior": 0.98765, "mean_votes": 3.0, "people": 2, "answers": 9, "agreement": 0.8123,
            "votes_per_label": {"2": 3, "3": 1},
            "selection": {"pictures": 4, "mean": 0.9, "all": 0.75, "below_07": 0.25},
        },
        "audit": {
            "audit_id": "0001-labels", "at": "2026-03-01T00:00:00Z", "population": 4, "drawn": 4, "seed": 7,
            "presence": {"words": "99.7 %, 95 % CI 99.2-99.9, n = 1,500"}, "best": {"words": "94.0 %"},
        },
        "split": {"seed": 7, "shares": {"train": 0.8, "val": 0.1, "test": 0.1}, "given": ["val=test"]},
        "classes_without_pictures": ["n9"],
    }  # fmt: skip
    said = datasheet(manifest_of(four, **facts), four.concepts, licences(four.pictures))
    for line in (
        "9 different pictures taken in, 2026-01-01 to 2026-02-01. Sources: url 9.",
        "Hosts: a.org 9, and 3 more hosts.",
        "Attempts that brought nothing: dns 4.",
        "| tiny | 2 | 32 |",
        "12 votes of 3 annotators",
        "Mean posterior of the accepted 0.9877, mean votes 3.00.",
        "9 answers came from 2 people, who agree beyond chance by 0.81 (Krippendorff's alpha).",
        "| 2 | 3 |",
        "looked at: mean 0.900; all say yes of 75.0 %; below 0.7 are 25.0 %.",
        "4 labels of 4, drawn at random with seed 7, were looked at by people who",
        "- The picture shows the concept: 99.7 %, 95 % CI 99.2-99.9, n = 1,500.",
        "Drawn per class with seed 7 at 0.8 / 0.1 / 0.1 (train / val / test).",
        "Given by folder names and kept: val=test.",
        "- Left out, because they have no picture: 1 class (n9).",
    ):
        assert line in said
    assert "was not measured by an independent audit" not in said


def test_the_datasheet_of_many_classes_lists_the_thinnest() -> None:
    rows = [row(number, f"c{number // 2:03d}", "train") for number in range(120)]
    tree = Taxonomy.of(Concept(f"c{number:03d}", (f"class {number}",)) for number in range(60))
    what = contents(About("many", "1.0.0", AT), pa.Table.from_pylist(rows), tree, {})
    said = datasheet(manifest_of(what), what.concepts, licences(what.pictures))
    assert said.count("| class ") == 50 + 1
    assert "manifest.json counts all 60" in said


def test_croissant_has_what_version_1_1_requires(four: Contents) -> None:
    names = ("pictures.parquet", "concepts.parquet", "licences.csv", "datasheet.md", "shards/pictures-00000.tar")
    files = {name: {"sha256": "0" * 64, "size": 1} for name in names}
    document = croissant({**manifest_of(four), "files": files}, licences(four.pictures))
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    required = ("@context", "@type", "description", "license", "name", "url", "creator", "datePublished")
    assert all(document[name] for name in required)
    assert document["license"] == ["unknown", "CC0"]
    files_said = {one["@id"]: one for one in document["distribution"] if one["@type"] == "cr:FileObject"}
    assert files_said.keys() == files.keys()
    assert files_said["shards/pictures-00000.tar"]["encodingFormat"] == "application/x-tar"
    (file_set,) = (one for one in document["distribution"] if one["@type"] == "cr:FileSet")
    assert file_set["includes"] == "*.jpg"
    by_name = {records["name"]: records for records in document["recordSet"]}
    assert [entry["name"] for entry in by_name["pictures"]["field"]] == PICTURES.names
    types = {entry["name"]: entry["dataType"] for entry in by_name["pictures"]["field"]}
    assert (types["offset"], types["posterior"], types["split"]) == ("sc:Integer", "sc:Float", "sc:Text")
    listed = next(entry for entry in by_name["concepts"]["field"] if entry["name"] == "names")
    assert listed["isArray"] is True
    ids = [entry["@id"] for records in by_name.values() for entry in records["field"]]
    assert len(ids) == len(set(ids))


def test_croissant_describes_the_table_of_labels_where_there_is_one(four: Contents) -> None:
    fact = {"sha256": "0" * 64, "size": 1}
    document = croissant({**manifest_of(four), "files": {"labels.parquet": fact}}, [])
    (labels,) = (one for one in document["recordSet"] if one["name"] == "labels")
    assert {entry["name"]: entry["dataType"] for entry in labels["field"]} == {
        "image_id": "sc:Text", "concept_id": "sc:Text", "posterior": "sc:Float", "n_votes": "sc:Integer",
        "n_yes": "sc:Integer", "status": "sc:Text", "quality": "sc:Float",
    }  # fmt: skip
    assert labels["key"] == [{"@id": "labels/image_id"}, {"@id": "labels/concept_id"}], "neither alone is one row's"
    assert {entry["source"]["fileObject"]["@id"] for entry in labels["field"]} == {"labels.parquet"}
    without = croissant({**manifest_of(four), "files": {}}, [])
    assert "labels" not in {one["name"] for one in without["recordSet"]}


def test_a_croissant_without_a_home_has_the_digest_as_its_address(four: Contents) -> None:
    manifest = {**manifest_of(four), "files": {}, "url": ""}
    assert croissant(manifest, [])["url"] == f"urn:sha256:{manifest['digest']}"


@pytest.mark.parametrize(
    ("known", "proposed"),
    [([], "1.0.0"), (["1.0.0"], "1.1.0"), (["1.9.3", "2.0.4"], "2.1.0"), (["2.0.0-rc.1"], "2.0.0")],
)
def test_the_next_version_is_proposed(known: list[str], proposed: str) -> None:
    assert next_version(known) == proposed


def test_the_version_before_is_by_number() -> None:
    assert version_before(["1.0.0", "1.1.0", "2.0.0"], "1.2.0") == "1.1.0"
    assert version_before(["1.0.0"], "0.9.0") == ""


@pytest.mark.parametrize(
    ("version", "kept", "more", "said"),
    [
        ("1.0.1", 4, 0, ""),
        ("1.0.1", 4, 1, "1 added; by convention that is a new MINOR"),
        ("1.1.0", 4, 1, ""),
        ("1.1.0", 3, 1, "1 removed, 1 added; by convention that is a new MAJOR"),
        ("2.0.0", 3, 1, ""),
    ],
)
def test_the_number_must_tell_what_changed(version: str, kept: int, more: int, said: str) -> None:
    old = pa.Table.from_pylist([row(number, "n2", "train") for number in range(4)])
    new = pa.Table.from_pylist([row(number, "n2", "train") for number in (*range(kept), *range(10, 10 + more))])
    found = advice("1.0.0", old, version, new)
    assert said in found
    assert bool(said) == bool(found)


def labels_of(*found: tuple[str, str, float, str]) -> pa.Table:
    return table_of("labels", [Label(one, concept, p, 2, status, "one-coin", AT) for one, concept, p, status in found])


def test_eligible_is_accepted_not_dropped_once_each_with_its_group() -> None:
    labels = labels_of(
        ("c", "n2", 0.9, "accepted"), ("a", "n2", 0.9, "accepted"), ("b", "n2", 0.6, "accepted"),
        ("b", "n3", 0.7, "accepted"), ("d", "n2", 0.5, "unsettled"), ("e", "n3", 0.9, "accepted"),
    )  # fmt: skip
    drop, keep = Verdict("c", "drop", "tiny", "", 1, 2, AT), Verdict("a", "keep", "", "", 0, 0, AT)
    verdicts = table_of("verdicts", [drop, keep])
    duplicates = table_of(
        "duplicates", [Duplicate(one, "a", one == "a", "near", 1, "", "") for one in ("a", "e", "zz")]
    )
    found = eligible(labels, verdicts, duplicates, SCHEMAS["checks"].empty_table())
    rows = [(one["image_id"], one["concept_id"], one["group_id"]) for one in found.rows.to_pylist()]
    assert rows == [("a", "n2", "a"), ("b", "n3", "b"), ("e", "n3", "a")]
    assert (found.dropped, found.several, found.unsettled) == (1, 1, 1)


def test_eligible_of_tables_never_written() -> None:
    empty = {name: SCHEMAS[name].empty_table() for name in ("labels", "verdicts", "duplicates", "checks")}
    assert eligible(*empty.values()).rows.num_rows == 0


def test_of_several_provenances_the_first_with_a_licence_counts() -> None:
    none = [SCHEMAS[name].empty_table() for name in ("verdicts", "duplicates", "checks")]
    rows = eligible(labels_of(("a", "n2", 1, "accepted")), *none).rows
    image = {"image_id": "a", "shard": "s", "offset": 0, "size": 1, "width": 1, "height": 1, "format": "png"}
    sources = [
        Source("a", "https://one.org/x.png", "url", "", "", "", "nobody", "2026-01-01T00:00:00Z"),
        Source("a", "https://two.org/x.png", "url", "", "", "CC0", "somebody", "2026-01-02T00:00:00Z"),
        Source("a", "https://three.org/x.png", "url", "", "", "CC-BY", "other", "2026-01-03T00:00:00Z"),
    ]
    (found,) = described(rows, pa.Table.from_pylist([image]), table_of("sources", sources)).to_pylist()
    assert (found["licence"], found["author"], found["address"]) == ("CC0", "somebody", "https://two.org/x.png")


def test_local_addresses_lose_the_machine() -> None:
    assert shortened("/home/me/photos/dog/1.jpg") == "dog/1.jpg"
    assert shortened("C:\\photos\\dog\\1.jpg") == "dog/1.jpg"
    assert shortened("1.jpg") == "1.jpg"


def test_first_of_each_across_chunks() -> None:
    parts = [pa.table({"key": ["b", "a"], "value": [1, 2]}), pa.table({"key": ["a", "c", "b"], "value": [1, 5, 0]})]
    found = first_of_each(pa.concat_tables(parts), "key", [("value", "ascending")])
    assert found.to_pydict() == {"key": ["a", "b", "c"], "value": [1, 0, 5]}


def test_groups_are_whole_or_torn() -> None:
    splits = ["train", "train", "val", "test", "val"]
    rows = pa.table({"image_id": list("abcde"), "group_id": list("aaccx"), "split": splits})
    assert (whole_groups(rows), torn_groups(rows)) == (2, ["c"])


def test_a_class_outside_the_taxonomy_is_told_for_all() -> None:
    rows = pa.Table.from_pylist([row(0, "n7", "train"), row(1, "n8", "train")])
    with pytest.raises(UserError, match="2 bad rows"):
        contents(About("drawn", "1.0.0", AT), rows, Taxonomy.of(TREE), {})


def test_history_is_counted() -> None:
    sources = table_of("sources", [
        Source("a", "https://one.org/1", "url", "", "", "", "", "2026-01-02T00:00:00Z"),
        Source("b", "https://one.org/2", "url", "", "", "", "", "2026-01-01T00:00:00Z"),
        Source("b", "/home/me/2.jpg", "folder", "", "", "", "", "2026-01-03T00:00:00Z"),
    ])  # fmt: skip
    found = collected(2, sources, pa.table({"cause": ["ok", "ok", "dns"]}))
    assert found["hosts"] == {"one.org": 2}
    assert found["attempts"] == {"ok": 2, "dns": 1}
    assert (found["first_found"], found["last_found"]) == ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z")
    drop, keep = Verdict("a", "drop", "tiny", "", 1, 32, AT), Verdict("b", "keep", "", "", 0, 0, AT)
    verdicts = table_of("verdicts", [drop, keep])
    duplicates = table_of("duplicates", [Duplicate(one, "a", one == "a", "near", 1, "", "") for one in ("a", "b")])
    assert cleaned(verdicts, duplicates, 5) == {
        "screened": 2, "unscreened": 5, "dropped": {"tiny": 1}, "thresholds": {"tiny": 32.0}, "duplicate_groups": 1,
        "duplicates": 1,
    }  # fmt: skip
    votes = pa.table({
        "image_id": ["a", "a", "b", "b"], "question": ["n2"] * 4, "annotator": ["x", "y", "x", "source:list"],
        "answer": ["yes", "yes", "no", "yes"],
    })  # fmt: skip
    said = labelled(labels_of(("a", "n2", 0.8, "accepted"), ("b", "n2", 0.5, "unsettled")), votes)
    assert (said["votes"], said["annotators"], said["mean_posterior"]) == (4, 3, 0.8)
    assert (said["people"], said["answers"], said["agreement"], said["selection"]) == (2, 3, None, {})
    assert sum(said["votes_per_label"].values()) == 1
    asked = pa.table({"status": ["accepted", "accepted", "accepted", "rejected"], "n_votes": [3, 2, 1, 9],
                      "selection": [2 / 3, 1.0, 1.0, 0.0]})  # fmt: skip
    selection = labelled(SCHEMAS["labels"].empty_table(), votes, asked)["selection"]
    assert selection == {"pictures": 2, "mean": 0.8333, "all": 0.5, "below_07": 0.5}
    assert labelled(SCHEMAS["labels"].empty_table(), votes)["mean_posterior"] is None
