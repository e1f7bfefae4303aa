from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import fields

import pyarrow as pa
import pytest

import pictus
from pictus import records
from pictus.records import Concept, Split
from pictus.tables import SCHEMAS, equals, one_of, table_of

KINDS = {
    "queries": records.Query, "concept_urls": records.ConceptUrl, "left_out": records.LeftOut,
    "candidates": records.Candidate, "searches": records.Searched,
    "concepts": records.Concept, "images": records.Picture, "sources": records.Source, "fetches": records.Attempt,
    "checks": records.Check, "duplicates": records.Duplicate, "verdicts": records.Verdict, "labels": records.Label,
    "splits": records.Split, "features": records.Features, "likenesses": records.Likeness, "leaks": records.Leak,
    "relevance": records.Relevance, "faces": records.Faces, "safety": records.Safety,
    "presences": records.Presence, "suspects": records.Suspect, "boxes": records.Box,
    "box_coverage": records.BoxCoverage, "masks": records.Mask, "keypoints": records.Keypoints,
}  # fmt: skip
WITHOUT_RECORD = {"matched", "evaluation_hashes"}
"""Read as columns only."""


def splits(*ids: str, split: str = "train") -> pa.Table:
    return table_of("splits", [Split(image_id, split, "n1", image_id) for image_id in ids])


def test_every_table_has_the_columns_of_its_record() -> None:
    assert KINDS.keys() | WITHOUT_RECORD == SCHEMAS.keys()
    for name, kind in KINDS.items():
        assert SCHEMAS[name].names == [field.name for field in fields(kind)]


def test_rows_come_back_as_records_in_the_order_written(project: pictus.Project) -> None:
    concepts = [Concept("n2", ("b", "c"), "gloss", ("n1",), True, "test"), Concept("n1", ("a",))]
    project.tables.append("concepts", table_of("concepts", concepts))
    assert list(project.tables.records("concepts", Concept)) == concepts


def test_a_table_not_written_yet_is_empty_not_an_error(project: pictus.Project) -> None:
    assert project.tables.count("images") == 0
    assert project.tables.read("images").schema == SCHEMAS["images"]
    assert list(project.tables.records("labels", records.Label)) == []
    assert project.tables.version("images") == 0


def test_upsert_replaces_by_key_and_adds_the_rest(project: pictus.Project) -> None:
    project.tables.append("splits", splits("a", "b"))
    project.tables.upsert("splits", splits("b", "c", split="val"))
    found = {row.image_id: row.split for row in project.tables.records("splits", Split)}
    assert found == {"a": "train", "b": "val", "c": "val"}


def test_missing_gives_the_rows_the_other_table_lacks(project: pictus.Project) -> None:
    project.tables.append("splits", splits("a", "b", "c"))
    assert project.tables.missing("labels", "splits", ["image_id"]).column("image_id").to_pylist() == ["a", "b", "c"]
    label = records.Label("b", "n1", 1.0, 1, "accepted", "test", "")
    project.tables.append("labels", table_of("labels", [label]))
    assert project.tables.missing("labels", "splits", ["image_id"]).column("image_id").to_pylist() == ["a", "c"]


def test_replace_is_one_commit_and_the_old_version_stays(project: pictus.Project) -> None:
    project.tables.append("splits", splits("a", "b"))
    before = project.tables.version("splits")
    project.tables.tag("splits", "cut-1")
    project.tables.replace("splits", splits("c"))
    assert project.tables.ids("splits") == {"c"}
    assert project.tables.version("splits") == before + 1
    import lance

    old = lance.dataset(str(project.root / "tables" / "splits.lance"), version="cut-1")
    assert old.count_rows() == 2


@pytest.mark.parametrize("value", ["plain", "it's", "'; DROP TABLE x; --", "ünï", '"', "a\\b", "%"])
def test_filters_quote_what_they_are_given(project: pictus.Project, value: str) -> None:
    project.tables.append("splits", splits("a", value))
    assert project.tables.read("splits", where=equals("image_id", value)).num_rows == 1
    assert project.tables.read("splits", where=one_of("image_id", [value, "zz"])).num_rows == 1
    assert project.tables.read("splits", where=one_of("image_id", [])).num_rows == 0


def test_a_full_disk_is_said_in_words(project: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import lance

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lance, "write_dataset", refuse)
    with pytest.raises(pictus.UserError, match="The disk is full") as caught:
        project.tables.append("splits", splits("a"))
    assert "continues where it stopped" in caught.value.fix


def test_a_damaged_table_is_said_in_words_however_it_is_read(project: pictus.Project) -> None:
    project.tables.append("splits", splits(*(f"{row:064x}" for row in range(5000))))
    for path in (project.root / "tables" / "splits.lance" / "data").iterdir():
        path.write_bytes(b"\xff" * path.stat().st_size)
    for read in (
        lambda: project.tables.read("splits"),
        lambda: list(project.tables.batches("splits")),
        lambda: list(project.tables.records("splits", Split)),
        lambda: project.tables.upsert("splits", splits("0" * 64)),
    ):
        with pytest.raises(pictus.UserError, match="is damaged"):
            read()


@pytest.mark.parametrize("damage", [lambda data: bytes(len(data)), lambda data: data[: len(data) // 2]])
@pytest.mark.parametrize("name", ["splits", "embeddings_first"])
def test_a_manifest_of_zeros_or_cut_in_half_is_a_damaged_table(
    project: pictus.Project, name: str, damage: Callable[[bytes], bytes]
) -> None:
    tables = project.tables
    tables.append(name, splits("a", "b"))
    for path in (project.root / "tables" / f"{name}.lance" / "_versions").glob("*.manifest"):
        path.write_bytes(damage(path.read_bytes()))
    for use in (
        lambda: tables.count(name),
        lambda: tables.count(name, "image_id = 'a'"),
        lambda: tables.read(name, ["image_id"]),
        lambda: list(tables.batches(name)),
        lambda: list(tables.records(name, Split)),
        lambda: tables.version(name),
        lambda: tables.tag(name, "mine"),
        lambda: tables.upsert(name, splits("a")),
        lambda: tables.append(name, splits("c")),
        lambda: tables.delete(name, "image_id = 'a'"),
        lambda: tables.compact(name),
    ):
        with pytest.raises(pictus.UserError, match=rf"{name}\.lance is damaged") as caught:
            use()
        assert re.search(r"rm -r .*\.lance && pictus (release split|search index)$", caught.value.fix)


def test_a_manifest_cut_anywhere_is_a_damaged_table_even_where_lance_panics(project: pictus.Project) -> None:
    project.tables.append("splits", splits("a"))
    path = next((project.root / "tables/splits.lance/_versions").glob("*.manifest"))
    data, causes = path.read_bytes(), set()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(pictus.UserError, match="is damaged") as caught:
            project.tables.count("splits")
        causes.add(type(caught.value.__cause__).__name__)
    assert "PanicException" in causes  # a few lengths of some hundreds: the end looks like a footer


def test_what_no_step_finds_again_is_never_proposed_for_removal(project: pictus.Project) -> None:
    project.tables.append("concepts", table_of("concepts", [Concept("n1", ("a",))]))
    for path in (project.root / "tables/concepts.lance/_versions").glob("*.manifest"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(pictus.UserError, match="is damaged") as caught:
        project.tables.read("concepts")
    assert caught.value.fix == "restore that folder from a copy"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_end_that_was_asked_for_is_no_damaged_table(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    import lance

    def end(*_: object) -> None:
        raise kind

    project.tables.append("splits", splits("a"))
    monkeypatch.setattr(lance, "dataset", end)
    with pytest.raises(kind):
        project.tables.count("splits")


def test_a_mistake_made_while_reading_batches_stays_the_callers_own(project: pictus.Project) -> None:
    project.tables.append("splits", splits("a"))
    batches = project.tables.batches("splits")
    assert isinstance(batches, Generator)
    next(batches)
    with pytest.raises(pa.ArrowInvalid):
        batches.throw(pa.ArrowInvalid("mine"))


def test_what_a_stage_notes_in_a_tables_metadata_is_replaced_with_its_rows(project: pictus.Project) -> None:
    tables = project.tables
    for noted in (b"1", b"2"):
        tables.replace("splits", SCHEMAS["splits"].empty_table().replace_schema_metadata({b"noted": noted}))
        assert tables.read("splits", ["image_id"], limit=1).schema.metadata[b"noted"] == noted
