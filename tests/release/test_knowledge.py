"""labels.parquet: what people said of a picture beyond its one label goes into a release and stays right there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus import release
from pictus.errors import UserError
from pictus.records import Presence, Vote
from pictus.release.knowledge import knowledge, known_of
from pictus.releases import LABELS, find_release, open_release, read_labels
from pictus.tables import SCHEMAS, table_of

AT = "2026-01-01T00:00:00Z"
Fill = Callable[..., list[str]]


def own(*rows: tuple[str, str, float, int]) -> pa.Table:
    return pa.table(dict(zip(("image_id", "concept_id", "posterior", "n_votes"), zip(*rows, strict=True), strict=True)))


def votes(*rows: tuple[str, str, str]) -> pa.Table:
    """(picture, annotator, named concept)"""
    return table_of("presences", []) if not rows else pa.table({
        "image_id": [row[0] for row in rows], "annotator": [row[1] for row in rows], "question": [""] * len(rows),
        "answer": [row[2] for row in rows],
    })  # fmt: skip


NONE = SCHEMAS["presences"].empty_table()
NO_SUSPECTS = SCHEMAS["suspects"].empty_table()


def test_what_people_named_beside_the_label_shares_what_its_posterior_leaves() -> None:
    said = votes(("a", "1", "cat"), ("a", "2", "cat"), ("a", "3", "dog"), ("a", "4", "owl"), ("a", "source:x", "owl"),
                 ("a", "5", "unsure"))  # fmt: skip
    found = knowledge(own(("a", "cat", 0.8, 4)), NONE, said, NO_SUSPECTS)
    assert found is not None
    assert found.column("concept_id").to_pylist() == ["cat", "dog", "owl"]
    assert found.column("posterior").to_pylist() == pytest.approx([0.8, 0.1, 0.1])  # 0.2 shared by one vote each
    assert found.column("n_yes").to_pylist() == [2, 1, 1]
    assert found.column("n_votes").to_pylist() == [4, 4, 4]
    assert found.column("status").to_pylist() == ["accepted", "unsettled", "unsettled"]


def test_where_nobody_disputes_a_label_there_is_no_table() -> None:
    agreed = votes(("a", "1", "cat"), ("a", "2", "cat"))
    assert knowledge(own(("a", "cat", 1.0, 2)), NONE, agreed, NO_SUSPECTS) is None


def test_a_doubt_of_a_model_is_kept_with_the_label_it_is_about() -> None:
    doubt = pa.table({"image_id": ["a", "b"], "given_id": ["cat", "cat"], "quality": [0.1, 0.2]})
    found = knowledge(own(("a", "cat", 1.0, 2), ("b", "dog", 1.0, 2)), NONE, votes(("a", "1", "cat")), doubt)
    assert found is not None
    assert found.column("quality").to_pylist() == [0.1, None], "b was labelled anew since"


def test_rows_follow_pictures_to_the_ids_they_have_in_the_release() -> None:
    rows = pa.table({"image_id": ["a", "b"], "origin_id": ["a", "b"]})
    placed = pa.table({"origin_id": ["b"], "image_id": ["z"]})  # a was the same as b once changed
    labels = pa.table({"image_id": ["a", "b", "b"], "concept_id": ["cat", "cat", "moon"], "posterior": [1.0, 1.0, 0.0],
                       "n_votes": [1, 1, 1], "n_yes": [1, 1, 0], "status": ["accepted", "accepted", "rejected"],
                       "quality": [None, None, None]}, schema=LABELS)  # fmt: skip
    found = known_of(labels, rows, placed, [pictus.records.Concept("cat", ("cat",))])
    assert found is not None
    assert found.select(["image_id", "concept_id"]).to_pylist() == [{"image_id": "z", "concept_id": "cat"}]


@pytest.fixture
def asked(project: pictus.Project, fill: Fill, two_classes: list[tuple[str, str]]) -> pictus.Project:
    """30 dogs and 20 cats; of every dog it was asked whether there is a cat too: half of them say yes."""
    ids = fill(two_classes)
    rows = [Presence(one, "n02", 0.9, 3, 3, 1.0, "accepted", "one-coin", AT) for one in ids[:30]]
    rows += [
        Presence(one, "n03", 0.97 if place % 2 else 0.02, 3, 3 * (place % 2), place % 2, "accepted" if place % 2 else
                 "rejected", "one-coin", AT)
        for place, one in enumerate(ids[:30])
    ]  # fmt: skip
    project.tables.append("presences", table_of("presences", rows))
    project.journal.add_votes([Vote(ids[40], "ann", "", "n02", "test", AT)])
    release.split(project)
    return project


def test_a_release_holds_what_was_asked_and_is_verified(asked: pictus.Project) -> None:
    outcome = release.cut(asked, "1.0.0")
    opened = find_release(asked)
    labels = read_labels(opened)
    assert labels is not None
    assert labels.num_rows == 50 + 30 + 1
    assert opened.manifest["counts"]["labels"] == {
        "rows": 81, "pictures": 50, "status": {"accepted": 65, "unsettled": 1, "rejected": 15}, "several": 15
    }  # fmt: skip
    assert "labels.parquet" in opened.manifest["files"]
    assert "81 pairs of picture and concept" in (opened.root / "datasheet.md").read_text()
    release.verify(asked)
    for form in ("imagefolder", "webdataset"):
        release.export(asked, "1.0.0", asked.root / form, format=form)
        assert release.import_(asked, asked.root / form).summary["digest"] == outcome.summary["digest"]


@pytest.mark.filterwarnings("ignore")  # the loader's own, of packages it uses
def test_a_loader_of_croissant_reads_the_table_of_labels(asked: pictus.Project) -> None:
    loader = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    release.cut(asked, "1.0.0")
    opened = find_release(asked)
    data = loader.Dataset(jsonld=str(opened.root / "croissant.json"))
    assert not data.metadata.issues.errors
    assert next(iter(data.records("picture-bytes")))["picture-bytes/picture"].size == (24, 16)
    read, own = list(data.records("labels")), read_labels(opened)
    assert own is not None
    assert len(read) == own.num_rows
    assert {row["labels/status"] for row in read} == {b"accepted", b"unsettled", b"rejected"}


def test_a_copy_of_a_release_keeps_its_labels(asked: pictus.Project, tmp_path: Path) -> None:
    release.cut(asked, "1.0.0")
    other = pictus.new(tmp_path / "other")
    release.import_(other, asked.releases_dir / "1.0.0", "2.0.0")
    copied, first = (read_labels(find_release(one)) for one in (other, asked))
    assert copied == first
    release.verify(other)


def test_a_changed_table_of_labels_is_found(asked: pictus.Project) -> None:
    release.cut(asked, "1.0.0")
    path = asked.releases_dir / "1.0.0" / "labels.parquet"
    rows = pq.read_table(path)
    path.chmod(0o644)
    pq.write_table(rows.set_column(2, "posterior", pa.array([2.0] * rows.num_rows)), path)
    with pytest.raises(UserError, match=r"labels\.parquet"):
        release.verify(asked)
    manifest = path.with_name("manifest.json")
    stated = json.loads(manifest.read_text())
    stated["files"]["labels.parquet"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(stated))
    with pytest.raises(UserError, match=r"the posterior 2\.0 is not from 0 to 1"):
        release.import_(asked, path.parent, "2.0.0")


def test_a_release_of_before_knows_one_label_to_a_picture(
    project: pictus.Project, fill: Fill, two_classes: list[tuple[str, str]]
) -> None:
    fill(two_classes)
    release.split(project)
    release.cut(project, "1.0.0")
    opened = open_release(project.releases_dir / "1.0.0")
    assert read_labels(opened) is None
    assert "labels" not in opened.manifest["counts"]
