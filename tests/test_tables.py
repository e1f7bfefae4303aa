from __future__ import annotations

from collections.abc import Generator
from dataclasses import fields

import pyarrow as pa
import pytest

import pictus
from pictus import records
from pictus.records import Concept, Split
from pictus.tables import SCHEMAS, equals, one_of, table_of

KINDS = {
    "concepts": records.Concept, "images": records.Picture, "sources": records.Source, "fetches": records.Attempt,
    "checks": records.Check, "duplicates": records.Duplicate, "verdicts": records.Verdict, "labels": records.Label,
    "splits": records.Split,
}  # fmt: skip


def splits(*ids: str, split: str = "train") -> pa.Table:
    return table_of("splits", [Split(image_id, split, "n1", image_id) for image_id in ids])


def test_every_table_has_the_columns_of_its_record() -> None:
    assert KINDS.keys() == SCHEMAS.keys()
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
