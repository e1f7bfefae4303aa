"""`train probe --column`: vectors of anything, by picture, alone, several together, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus import train
from pictus.errors import UserError
from pictus.releases import find_release, split_rows
from pictus.train.transfer import nearest, probing, vectors

Write = Callable[..., str]


@pytest.fixture
def write(stripes: pictus.Project, tmp_path: Path) -> Write:
    """write(name, informs=True, ids=…): vectors that tell the class of each picture, or nothing -> FILE:NAME."""
    rows = find_release(stripes).pictures

    def make(name: str, *, informs: bool = True, width: int = 3, change: Callable[[dict[str, Any]], None] | None = None,
             ids: list[str] | None = None) -> str:  # fmt: skip
        generator = np.random.default_rng(len(name))
        labels_N = np.array(rows.column("label").to_pylist())
        centres = generator.normal(0, 4 * informs, (3, width))
        values = (centres[labels_N] + generator.normal(0, 1, (len(labels_N), width))).astype(np.float32)
        table = {"image_id": ids or rows.column("image_id").to_pylist(), name: values.tolist()}
        if change:
            change(table)
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
        return f"{tmp_path / name}.parquet:{name}"

    return make


def test_a_column_of_anything_is_probed_as_a_network_is(stripes: pictus.Project, write: Write) -> None:
    outcome = train.probe(stripes, column=(write("sound"),))
    rows = list(outcome)
    assert [(row.method, row.split, row.pictures) for row in rows] == [("linear", "val", 12), ("knn", "val", 12)]
    assert min(row.top1 for row in rows) > 0.9
    assert outcome.problems == ()
    assert "sound.parquet:sound" in outcome.headline


def test_several_columns_are_used_together_however_wide_each_is(stripes: pictus.Project, write: Write) -> None:
    noise, telling = write("noise", informs=False, width=200), write("text")
    alone, both = (
        next(iter(train.probe(stripes, knn=True, column=given))).top1 for given in ((noise,), (noise, telling))
    )  # fmt: skip
    assert both > 0.9 > alone


def test_of_several_kinds_the_cosine_is_the_mean_of_their_cosines() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(5, 3)).astype(np.float32), 90 * generator.normal(size=(5, 8)).astype(np.float32)
    joined = nearest.unit(probing._of_length_1(np.concatenate([one, other], axis=1), (3, 8)))
    each = [nearest.unit(kind) @ nearest.unit(kind).T for kind in (one, other)]
    assert joined @ joined.T == pytest.approx(np.mean(each, axis=0), abs=1e-5)


def test_pictures_without_a_vector_are_left_out_and_rows_of_no_picture_passed_over(
    stripes: pictus.Project, write: Write
) -> None:
    def change(table: dict[str, Any]) -> None:
        ids = split_rows(find_release(stripes), "val").column("image_id").to_pylist()
        table["gappy"][table["image_id"].index(ids[0])] = None
        table["image_id"][table["image_id"].index(ids[1])] = "somebody"

    outcome = train.probe(stripes, knn=True, column=(write("gappy", change=change),))
    assert next(iter(outcome)).pictures == 10
    passed, left_out = outcome.problems
    assert passed.startswith("1 of 59 rows")
    assert passed.endswith("passed over: of no picture in release 1.0.0")
    assert left_out == "2 of 12 val pictures left out: without a vector"


def test_a_list_column_of_the_release_itself_is_found_by_its_name(stripes: pictus.Project, write: Write) -> None:
    release = find_release(stripes)
    vectors_of = pq.read_table(write("sensor").partition(":")[0]).column("sensor")
    path = release.root / "pictures.parquet"
    pq.write_table(pq.read_table(path).append_column("sensor", vectors_of), path)
    assert next(iter(train.probe(stripes, knn=True, column=("sensor",)))).top1 > 0.9
    with pytest.raises(UserError, match="senso"):
        vectors.found(stripes, release, "senso")


def test_a_name_with_a_colon_is_of_the_file_or_of_the_column(stripes: pictus.Project, write: Write) -> None:
    file = Path(write("sound").partition(":")[0])
    table = pq.read_table(file)
    named = file.with_name("a:b.parquet")
    pq.write_table(table.rename_columns(["image_id", "wav:2:vec"]), file)
    pq.write_table(table, named)
    release = find_release(stripes)
    for text in (f"{file}:wav:2:vec", str(file), f"{named}:sound", str(named)):
        assert len(vectors.found(stripes, release, text).ids) == 60, text
    with pytest.raises(UserError, match=r"which column of features\? It has wav:2:vec") as caught:
        vectors.found(stripes, release, f"{file}:wav")
    assert caught.value.fix == f"--column {file}:wav:2:vec", "what is told can be typed"


def test_a_column_is_judged_by_few_pictures_of_each_class_alone_and_with_others(
    stripes: pictus.Project, write: Write
) -> None:
    noise, telling = write("noise", informs=False, width=200), write("text")
    scores, reports = {}, set()
    for given in ((noise,), (telling,), (noise, telling)):
        outcome = train.few_shot(stripes, column=given, shots=(3,), draws=2)
        (row,) = outcome
        scores[given] = row.top1
        report = Path(str(outcome.summary["report"]))
        reports.add(report)
        assert report.is_relative_to(stripes.models_dir)
        assert f"{row.top1:.1%}" in report.read_text(encoding="utf-8")
    assert scores[telling,] > 0.9 > scores[noise,]
    assert scores[noise, telling] > scores[noise,], "200 columns of noise weigh as 3 that tell"
    assert len(reports) == 3
    following = train.probe(stripes, knn=True, column=(telling,)).next
    assert following == (f"pictus train few-shot --column {telling}",)
    with pytest.raises(UserError, match="There is no file of features nowhere"):
        train.few_shot(stripes, column=("nowhere.parquet:sound",))


def test_a_column_is_used_beside_a_network(stripes: pictus.Project, write: Write) -> None:
    train.run(stripes, name="a", epochs=1, set_=("batch_size=12", "size=32", "probe=false"))
    outcome = train.probe(stripes, network="a", knn=True, column=(write("sound"),))
    assert outcome.headline.startswith("a + ")
    assert next(iter(outcome)).pictures == 12


def test_what_cannot_be_used_is_one_message(stripes: pictus.Project, write: Write) -> None:
    def told(text: str) -> str:
        with pytest.raises(UserError) as caught:
            train.probe(stripes, knn=True, column=(text,))
        return caught.value.what

    def torn(table: dict[str, Any]) -> None:
        table["torn"][3] = [1.0]

    def infinite(table: dict[str, Any]) -> None:
        table["nan"][3][0] = float("nan")

    assert "all of one length; found: 3, 1" in told(write("torn", change=torn))
    assert "1 have numbers that are none" in told(write("nan", change=infinite))
    assert "No train picture of release 1.0.0 has a vector in" in told(write("other", ids=[f"z{n}" for n in range(60)]))
    assert "There is no file of features nowhere.parquet" in told("nowhere.parquet:sound")
    assert "column of features" in told("a" * 5000)
    known = split_rows(find_release(stripes), "train").column("image_id").to_pylist()

    def without_val(table: dict[str, Any]) -> None:
        table["train"] = [one if key in known else None for key, one in zip(*table.values(), strict=True)]

    assert "No val picture of release 1.0.0 has a vector in" in told(write("train", change=without_val))
