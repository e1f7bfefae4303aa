"""Tables of pictures as Hugging Face writes them, and tables that are damaged or hold something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus.collect import parquet_pages
from pictus.collect.found import Found, Said
from pictus.collect.parquets import look_in_table

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["jay", "owl"], "_type": "ClassLabel"}}}}


def write(path: Path, columns: dict[str, Any], features: object = None, **options: Any) -> Path:
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path, **options)
    return path


def images(*held: bytes | None) -> pa.Array:
    return pa.array([{"bytes": one, "path": None} for one in held], IMAGE)


def read(path: Path, how: str = "", *, with_bytes: bool = True, is_named: bool = True) -> list[Found]:
    return list(look_in_table(path, how, with_bytes=with_bytes, is_named=is_named))


def test_rows_are_pictures_and_numbers_are_named_by_the_schema(tmp_path: Path) -> None:
    pictures = pa.array([{"bytes": b"0", "path": "a/wren/0.jpg"}, {"bytes": b"1", "path": None}], IMAGE)
    columns = {"image": pictures, "label": pa.array([1, -1]), "License": ["CC0", None]}
    path = write(tmp_path / "train.parquet", columns, NAMES)
    folder = tmp_path.name
    assert read(path) == [
        Found(f"{path}#row=0", "parquet", "wren", b"0", said=Said("owl", licence="CC0")),
        Found(f"{path}#row=1", "parquet", folder, b"1"),
    ]
    assert [(one.address, one.folder) for one in read(path, with_bytes=False)] == [
        (f"{path}#row=0", "wren"), (f"{path}#row=1", folder),
    ]  # fmt: skip


def test_rows_without_bytes_are_causes(tmp_path: Path) -> None:
    held = pa.array([None, {"bytes": None, "path": "gone.jpg"}, {"bytes": b"", "path": None}], IMAGE)
    found = read(write(tmp_path / "a.parquet", {"image": held}))
    assert [(one.cause, one.detail) for one in found] == [
        ("empty", "the row has none"), ("empty", "the row has only a path: gone.jpg"), ("", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "labels", "features", "concepts"),
    [
        ("label", ["owl", None], None, ["owl", ""]),
        ("label", [1, 9], NAMES, ["owl", "9"]),
        ("label", [1, 0], None, ["wren", "gull"]),  # classes.txt beside the table
        ("breed", [1, 0], {"info": {"features": {"breed": {"names": ["jay", "owl"], "_type": "ClassLabel"}}}},
         ["owl", "jay"]),
        ("label", [1, 0], {"info": {"features": {"label": {"names": 3, "_type": "ClassLabel"}}}}, ["wren", "gull"]),
        ("label", [1, 0], [[]], ["wren", "gull"]),
    ],
)  # fmt: skip
def test_labels_are_texts_or_numbers_with_names(
    tmp_path: Path, column: str, labels: list[Any], features: object, concepts: list[str]
) -> None:
    (tmp_path / "classes.txt").write_text("gull\nwren\n")
    path = write(tmp_path / "a.parquet", {"image": images(b"0", b"1"), column: labels}, features)
    assert [one.said.concept for one in read(path)] == concepts


def test_plain_bytes_are_taken_by_their_usual_name_or_the_one_that_is_said(tmp_path: Path) -> None:
    held = pa.array([b"0"], pa.large_binary())
    assert [one.image_bytes for one in read(write(tmp_path / "a.parquet", {"jpg": held, "cls": ["x"]}))] == [b"0"]
    path = write(tmp_path / "b.parquet", {"thumb": held, "thumb2": pa.array([b"1"])})
    (nothing,) = read(path)
    assert (nothing.cause, nothing.address) == ("no-pictures", str(path))
    assert "its columns: thumb, thumb2" in nothing.detail
    assert [one.image_bytes for one in read(path, "thumb2")] == [b"1"]
    (wrong,) = read(path, "thumb3")
    assert "there is no column 'thumb3'" in wrong.detail
    assert len(read(path, with_bytes=False)) == 1
    assert len(read(path, "thumb", with_bytes=False)) == 1


def test_of_several_columns_the_image_is_taken_and_a_choice_of_equals_is_told(tmp_path: Path) -> None:
    both = {"mask": images(b"m"), "image": images(b"i")}
    assert [one.image_bytes for one in read(write(tmp_path / "a.parquet", both))] == [b"i"]
    (unclear,) = read(write(tmp_path / "b.parquet", {"left": images(b"l"), "right": images(b"r")}))
    assert (unclear.cause, "several columns" in unclear.detail) == ("no-pictures", True)


def test_a_table_without_pictures_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "meta.parquet", {"url": ["x"], "image": [3]})
    assert read(path, is_named=False) == []
    assert [one.cause for one in read(path)] == ["no-pictures"]


def test_an_empty_table_has_no_pictures(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.parquet", {"image": images()})) == []


def test_a_damaged_table_gives_what_is_before_the_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": images(*(bytes([n]) * 5_000 for n in range(100)))},
                 row_group_size=25, use_dictionary=False, compression="zstd")  # fmt: skip
    whole = path.read_bytes()
    assert len(read(path)) == 100
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    path.write_bytes(whole[:start] + b"\xff" * 400 + whole[start + 400 :])
    found = read(path)
    assert found[-1].cause == "broken-table"
    assert [one.cause for one in found[:-1]] == [""] * 50
    for data in (b"", b"PAR1", b"PAR1 but not really PAR1", whole[: len(whole) // 2], whole[: -1]):
        path.write_bytes(data)
        assert [one.cause for one in read(path)] == ["broken-table"]


def test_a_large_row_group_is_not_held_in_memory(tmp_path: Path) -> None:
    """Arrow's own memory, which Python does not see: 40 MB of pictures in one group, in pages of 1 MB."""
    one = bytes(range(256)) * 400
    path = write(tmp_path / "a.parquet", {"image": images(*(one[n:] + one[:n] for n in range(400)))},
                 use_dictionary=False, compression="none", data_page_size=2**20, write_batch_size=16)  # fmt: skip
    pool = pa.default_memory_pool()
    before, most = pool.bytes_allocated(), 0
    for _ in look_in_table(path, with_bytes=True):
        most = max(most, pool.bytes_allocated() - before)
    assert most < 12e6


def test_a_value_that_many_rows_repeat_is_not_held_many_times(tmp_path: Path) -> None:
    """A file of 1.4 KB took 1.5 GB: one value of 30 MB in a dictionary, in 16 rows."""
    path = write(tmp_path / "a.parquet", {"image": images(*[bytes(30 * 2**20)] * 16)}, compression="zstd")
    assert path.stat().st_size < 20_000
    pool = pa.default_memory_pool()
    before, most, count = pool.bytes_allocated(), 0, 0
    for one in look_in_table(path, with_bytes=True):
        count += len(one.image_bytes) == 30 * 2**20
        most = max(most, pool.bytes_allocated() - before)
    assert count == 16
    assert most < 150e6


def test_a_page_that_unpacks_without_bound_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "FREE_BYTES", 2**20)
    for options in ({"use_dictionary": False}, {}, {"data_page_version": "2.0", "use_dictionary": False}):
        path = write(tmp_path / "a.parquet", {"image": images(b"fine", bytes(16 * 2**20))}, compression="zstd",
                     row_group_size=1, **options)  # fmt: skip
        pool = pa.default_memory_pool()
        before = pool.bytes_allocated()
        good, bad = read(path)
        assert (good.image_bytes, bad.cause, bad.detail[:16]) == (b"fine", "bomb", "row 1: a page of")
        assert pool.bytes_allocated() - before < 2**20


def test_a_file_that_cannot_be_opened_is_a_cause(tmp_path: Path) -> None:
    assert [one.cause for one in read(tmp_path / "gone.parquet")] == ["unreadable"]
