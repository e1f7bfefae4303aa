"""`clean relevance` on a project whose index is written by hand."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

import pictus
from pictus import clean
from pictus.records import Concept, Label, Picture, Source, Verdict
from pictus.tables import table_of

AT = "2026-01-01T00:00:00Z"
COUNT = 120
INDEX = pa.schema([pa.field("image_id", pa.string(), nullable=False), ("embedding", pa.list_(pa.float32(), 16))])


def picture(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


@pytest.fixture
def pool(project: pictus.Project) -> list[str]:
    """120 pictures of three concepts; 5 claims another, 7 and 10 are twins, 8 has no vector, 9 was dropped."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((3, 16))
    ids = [picture(number) for number in range(COUNT)]
    vectors = centres[np.arange(COUNT) % 3] + 0.4 * generator.standard_normal((COUNT, 16))
    vectors[10] = vectors[7] + 0.01
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = [None if number == 8 else row.astype(np.float32) for number, row in enumerate(vectors)]
    tables = project.tables
    concepts = [Concept(f"n{number}", (name,), is_class=True) for number, name in enumerate(("owl", "wren", "kite"))]
    tables.append("concepts", table_of("concepts", concepts))
    images = [Picture(one, "pictures-00000.tar", 0, 1, 8, 8, "jpeg", "RGB", AT) for one in ids]
    tables.append("images", table_of("images", images))
    claims = ["n1" if number == 5 else f"n{number % 3}" for number in range(COUNT)]
    sources = [Source(one, f"{n}.jpg", "folder", claims[n], "", "", "", AT) for n, one in enumerate(ids)]
    tables.append("sources", table_of("sources", sources))
    tables.append("verdicts", table_of("verdicts", [Verdict(ids[9], "drop", "dark", "", 1, 8, AT)]))
    tables.append("embeddings_classical", pa.table({"image_id": ids, "embedding": embeddings}, schema=INDEX))
    return ids


def test_a_wrong_claim_is_told_and_nothing_is_dropped(project: pictus.Project, pool: list[str]) -> None:
    before = project.tables.version("verdicts")
    outcome = clean.relevance(project)
    rows = {row.image_id: row for row in outcome}
    assert set(rows) == {one for number, one in enumerate(pool) if number not in (8, 9)}
    wrong = rows[pool[5]]
    assert (wrong.concept_id, wrong.suspect_id, wrong.model) == ("n1", "n2", "classical")
    assert wrong.margin == max(row.margin for row in rows.values()) > 0
    assert wrong.outlier > 0.99
    assert sum(bool(row.suspect_id) for row in rows.values()) == outcome.summary["suspects"] == 1
    assert f"suspect   {pool[5][:12]}  wren, looks like kite" in outcome.headline
    assert "Nothing was dropped" in outcome.headline
    assert project.tables.version("verdicts") == before
    assert any("1 picture without a vector of 'classical'" in one for one in outcome.problems)


def test_twins_name_the_one_that_stays(project: pictus.Project, pool: list[str]) -> None:
    rows = {row.image_id: row for row in clean.relevance(project, twins=0.999)}
    pair = [rows[pool[7]], rows[pool[10]]]
    assert sorted(bool(row.twin_id) for row in pair) == [False, True]
    gone = next(row for row in pair if row.twin_id)
    assert {gone.image_id, gone.twin_id} == {pool[7], pool[10]}
    assert 0.999 <= gone.similarity <= 1
    assert sum(bool(row.twin_id) for row in rows.values()) == 1


def test_a_settled_label_goes_before_a_claim(project: pictus.Project, pool: list[str]) -> None:
    labels = [Label(pool[5], "n2", 0.9, 3, "accepted", "one-coin", AT)]
    project.tables.append("labels", table_of("labels", labels))
    rows = {row.image_id: row for row in clean.relevance(project)}
    assert (rows[pool[5]].concept_id, rows[pool[5]].suspect_id) == ("n2", "")


def test_the_same_index_gives_the_same_table_and_writes_it_once(project: pictus.Project, pool: list[str]) -> None:
    clean.relevance(project)
    version, first = project.tables.version("relevance"), project.tables.read("relevance")
    clean.relevance(project)
    assert project.tables.version("relevance") == version
    assert first.column("image_id").to_pylist() == sorted(first.column("image_id").to_pylist())


def test_without_an_index_or_a_concept_it_says_what_to_type(project: pictus.Project, pool: list[str]) -> None:
    with pytest.raises(pictus.UserError, match="no index 'first'") as found:
        clean.relevance(project, run="first")
    assert "pictus search index --run first" in found.value.fix
    assert "classical" in found.value.fix
    with pytest.raises(pictus.UserError, match="not between"):
        clean.relevance(project, twins=2)
    project.tables.drop("embeddings_classical")
    with pytest.raises(pictus.UserError, match="no vectors yet") as found:
        clean.relevance(project)
    assert found.value.fix.startswith("pictus search index")


def test_pictures_without_any_claim_are_told(project: pictus.Project, pool: list[str]) -> None:
    project.tables.drop("sources")
    with pytest.raises(pictus.UserError, match="No picture has a concept yet"):
        clean.relevance(project)


def test_vectors_that_tell_nothing_are_said_to(project: pictus.Project, pool: list[str]) -> None:
    noise = np.random.default_rng(1).standard_normal((COUNT, 16)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    index = pa.table({"image_id": pool, "embedding": list(noise)}, schema=INDEX)
    project.tables.replace("embeddings_classical", index)
    outcome = clean.relevance(project)
    assert outcome.summary["agreement"] < 0.5
    assert any("hardly tell the concepts apart" in one for one in outcome.problems)
