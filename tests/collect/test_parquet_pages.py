"""Sizes of pages, as their own headers say them."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect import parquet_pages
from pictus.collect.parquet_pages import _header_at, _pages, rows_at_once
from pictus.errors import PictureError

TEXTS = pa.table({
    "url": [f"http://a.example/{number}" for number in range(5_000)], "same": ["owl"] * 5_000,
    "part": pa.array([{"bytes": b"x" * (n % 90), "path": None} for n in range(5_000)],
                     pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
})  # fmt: skip


def written(table: pa.Table, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file


@pytest.mark.parametrize(
    ("compression", "version", "dictionary"),
    list(itertools.product(["none", "snappy", "zstd"], ["1.0", "2.0"], [True, False])),
)
def test_pages_and_their_headers_fill_each_column(compression: str, version: str, dictionary: bool) -> None:
    """What the footer of an honest writer says in sum is what the headers say one by one."""
    file = written(TEXTS, compression=compression, data_page_version=version, use_dictionary=dictionary,
                   data_page_size=10_000, row_group_size=2_000)  # fmt: skip
    metadata = pq.ParquetFile(file).metadata
    for group, number in itertools.product(range(3), range(4)):
        column = metadata.row_group(group).column(number)
        pages = list(_pages(file, column))
        heads = column.total_compressed_size - sum(page.packed for page in pages)
        assert 10 * len(pages) <= heads <= 200 * len(pages)
        assert column.total_uncompressed_size == heads + sum(page.unpacked for page in pages)
        assert pages[0].is_repeated is column.has_dictionary_page
        assert not any(page.is_repeated for page in pages[1:])


def test_rows_are_fewer_where_they_may_repeat_a_large_value() -> None:
    large = pa.table({"a": [b"x" * 10_000_000] * 5, "b": ["y"] * 5})
    group = pq.ParquetFile(file := written(large)).metadata.row_group(0)
    assert rows_at_once(file, group, ["a", "b"], 16) == 6  # 64 MiB of 10 MB each
    assert rows_at_once(file, group, ["b"], 16) == 16
    assert rows_at_once(file, group, ["a"], 16, is_near=False) == 6
    assert rows_at_once(file, group, ["a"], 16, n_bytes=5_000_000) == 1
    options = {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}}
    delta = written(pa.table({"a": ["y" * 10**7] * 5}), **options)
    assert rows_at_once(delta, pq.ParquetFile(delta).metadata.row_group(0), ["a"], 16) < 16
    plain = written(pa.table({"a": [b"x" * 10**6] * 5}), use_dictionary=False)
    assert rows_at_once(plain, pq.ParquetFile(plain).metadata.row_group(0), ["a"], 16) == 16


def test_pages_without_number_are_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(TEXTS, data_page_size=100, use_dictionary=False)
    monkeypatch.setattr(parquet_pages, "_MAX_PAGES", 3)
    with pytest.raises(PictureError, match="bomb: over 3 pages"):
        rows_at_once(file, pq.ParquetFile(file).metadata.row_group(0), ["url"], 16)


def test_a_header_longer_than_the_first_window_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the least and the greatest value of its page."""
    table = pa.table({"a": [b"x" * 20_000, b"y" * 20_000]})
    monkeypatch.setattr(parquet_pages, "_WINDOW", 8)
    file = written(table, use_dictionary=False, write_statistics=True)
    column = pq.ParquetFile(file).metadata.row_group(0).column(0)
    assert [page.unpacked // 1_000 for page in _pages(file, column)] == [40]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_none(data: bytes) -> None:
    try:
        fields, length = _header_at(io.BytesIO(data), 0)
    except ValueError:
        return
    assert length <= len(data) or length > 0
    assert all(isinstance(number, int) for number in fields)
