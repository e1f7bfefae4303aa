"""Columns of vectors: read by id from .npz and .parquet, and what is wrong with one in one message."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus.errors import UserError
from pictus.tasks import columns

IDS = ["d", "b", "a", "c"]
VALUES = np.arange(8, dtype=np.float32).reshape(4, 2)


def test_rows_are_found_by_id_and_one_without_a_vector_is_nan(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", image_id=np.array(IDS), vectors=VALUES)
    pq.write_table(pa.table({"image_id": IDS, "vector": VALUES.tolist()}), tmp_path / "f.parquet")
    for name in ("f.npz", "f.parquet"):
        found = columns.of_ids(columns.read(tmp_path / name), ["a", "z", "d"])
        assert found[[0, 2]].tolist() == VALUES[[2, 0]].tolist()
        assert np.isnan(found[1]).all()


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.int8(), 2)])
def test_lists_of_every_kind_are_read_and_null_is_no_vector(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"image_id": ["a", "b", "c"], "v": pa.array([[1, 2], None, [3, 4]], kind)})
    for part in (table, pa.concat_tables([table.slice(0, 1), table.slice(1)])):
        pq.write_table(part, tmp_path / "f.parquet", row_group_size=2)
        found = columns.read(tmp_path / "f.parquet")
        assert (found.ids, found.values_MD.tolist()) == (("a", "c"), [[1, 2], [3, 4]])


@pytest.mark.parametrize("lists", [[[1.0], [2.0, 3.0, 4.0]], [[], []], [None, None]])
def test_lists_of_other_lengths_are_told_before_numbers_go_to_another_id(lists: list[Any]) -> None:
    table = pa.table({"image_id": ["a", "b"], "v": pa.array(lists, pa.list_(pa.float64()))})
    with pytest.raises(UserError, match="all of one length"):
        columns.of_table(table, "f", "v")


@pytest.mark.parametrize(
    ("ids", "values", "told"),
    [
        (["a", "b"], [[1, 2], [np.nan, 1]], "of 2 rows 1 have numbers that are none"),
        (["a", "b"], [[1, np.inf], [2, 1]], "first a"),
        ([None, 5], [[np.nan, 2], [2, 1]], "first None"),
        (["a", "a"], [[1, 2], [2, 1]], "more than one row of an id, 1 in all"),
        (["a"], [[1, 2], [2, 1]], r"shape \(2, 2\) for 1 id"),
        (["a"], [1], r"shape \(1,\)"),
    ],
)
def test_rows_that_are_no_vectors_are_one_message(ids: list[Any], values: list[Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        columns.checked("f", ids, np.array(values, np.float32))


@pytest.mark.parametrize("values", [np.ones((1, 9), complex), np.zeros((1, 9), "datetime64[s]")])
def test_what_is_no_real_number_is_not_taken_for_one(tmp_path: Path, values: Any) -> None:
    np.savez(tmp_path / "a.npz", image_id=np.array(["a"]), vectors=values)
    with pytest.raises(UserError, match=r"vectors holds .*, not numbers"):
        columns.read(tmp_path / "a.npz")


def test_a_file_that_states_more_than_memory_holds_is_told(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**45, 9)})
    np.savez(tmp_path / "a.npz", image_id=np.array(["a"]))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as opened:
        opened.writestr("vectors.npy", header.getvalue())
    with pytest.raises(UserError, match="cannot be read as features"):
        columns.read(tmp_path / "a.npz")


def test_a_file_that_is_none_of_features_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", image_id=np.array(["a"]), vectors=np.ones((1, 9)))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-30])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.parquet").write_bytes(b"a,b")
    np.savez(tmp_path / "words.npz", image_id=np.array(["a"]), vectors=np.array([["x"]]))
    with (tmp_path / "array.npz").open("wb") as out:
        np.save(out, np.ones(3))
    for name in ("torn.npz", "empty.npz", "text.parquet", "array.npz", "words.npz"):
        with pytest.raises(UserError, match="cannot be read as features"):
            columns.read(tmp_path / name)
    with pytest.raises(UserError, match=r"which column of features\? It has vectors") as caught:
        columns.read(tmp_path / "whole.npz", "nothing")
    assert caught.value.fix.endswith("whole.npz:vectors")
