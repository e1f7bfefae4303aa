"""Files of addresses, by their endings: good, packed, bad and endless."""

from __future__ import annotations

import gzip
import json
import subprocess
import tracemalloc
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus.collect import list_files, parquet_pages
from pictus.collect.list_files import LISTS, read_list
from pictus.collect.lists import Row, wanted_of
from pictus.errors import UserError

ROW = Row(2, "http://a.example/1", "owl", "CC0", "Ann", "q")
CSV = "url,concept,licence,author,query\nhttp://a.example/1,owl,CC0,Ann,q\n"
OBJECT = {"URL": "http://a.example/1", "concept": "owl", "license": "CC0", "author": "Ann", "query": "q", "width": 3}


def anything(text: str) -> str:
    return text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("list.csv", CSV, 2), ("list.TSV", CSV.replace(",", "\t"), 2), ("list.txt", CSV, 2), ("list.list", CSV, 2),
        ("list.jsonl", "\n" + json.dumps(OBJECT) + "\n", 2), ("list.ndjson", json.dumps(OBJECT), 1),
    ],
)  # fmt: skip
def test_every_kind_of_text_is_read_packed_or_not(
    tmp_path: Path, name: str, text: str, first: int, packed: bool
) -> None:
    path = tmp_path / f"{name}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert list(read_list(path)) == [ROW._replace(line=first)]


def test_a_byte_order_mark_and_a_wrong_gz_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    (tmp_path / "b.csv.gz").write_bytes(CSV.encode())
    (tmp_path / "c.csv").write_bytes(gzip.compress(CSV.encode()))
    assert [list(read_list(tmp_path / name)) for name in ("a.csv", "b.csv.gz", "c.csv")] == [[ROW]] * 3


def test_an_empty_list_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_bytes(b"")
    (tmp_path / "none.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "header.csv").write_text("url\n")
    assert [list(read_list(path)) for path in sorted(tmp_path.iterdir())] == [[], [], []]
    pq.write_table(pa.table({"url": pa.array([], pa.string())}), tmp_path / "none.parquet")
    assert list(read_list(tmp_path / "none.parquet")) == []


def test_all_bad_lines_of_json_are_told_with_their_numbers(tmp_path: Path) -> None:
    lines = ['{"url": "http://a.example/"}', "{", "[1]", '{"link": "x"}', '{"url": ["x"]}', '{"url": 7, "concept": 3}',
             '{"url": "\\ud800"}', "[" * 100_000]  # fmt: skip
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"6 bad rows") as caught:
        wanted_of(read_list(path), anything, str(path))
    told = [line.strip() for line in caught.value.what.splitlines()[1:]]
    assert told[:5] == [
        "line 2: is not JSON: '{'", "line 3: is no object, {\"url\": …}: '[1]'", "line 4: no url; it holds 'link'",
        "line 5: url is '[\"x\"]', not a text", "line 7: is not UTF-8 text: '\\ud800'",
    ]  # fmt: skip
    assert told[5].startswith("line 8: is not JSON")
    assert f"sed '2d;3d;4d;5d;7d;8d' {path} > {tmp_path}/list-good.jsonl" in caught.value.fix


def test_the_proposed_command_works_for_a_packed_list(tmp_path: Path) -> None:
    path = tmp_path / "my list.csv.gz"
    path.write_bytes(gzip.compress(b"url,concept\nhttp://a/1\nhttp://a/2,owl\n"))
    with pytest.raises(UserError) as caught:
        wanted_of(read_list(path), anything, str(path))
    command = caught.value.fix.partition("go on without them: ")[2].partition(" && ")[0]
    subprocess.run(command, shell=True, check=True, timeout=10)
    assert (tmp_path / "my list-good.csv").read_text() == "url,concept\nhttp://a/2,owl\n"


def test_rows_that_are_not_utf8_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"url,author\nhttp://a/1,Ann\nhttp://a/\xe9,Ann\nhttp://a/3,Ren\xe9\n")
    rows = list(read_list(path))
    assert [(row.line, row.problem) for row in rows] == [
        (2, ""), (3, r"is not UTF-8 text: 'http://a/\udce9'"), (4, "is not UTF-8 text: 'http://a/3'"),
    ]  # fmt: skip
    path.write_bytes("url\nhttp://a/1\n".encode("utf-16"))
    with pytest.raises(UserError, match="is not UTF-8 text"):
        list(read_list(path))


@pytest.mark.parametrize("damage", [b"\x1f\x8b", b"\x1f\x8b nonsense", gzip.compress(CSV.encode() * 500)[:-20]])
def test_a_damaged_packed_list_is_told(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "list.csv.gz").write_bytes(damage)
    with pytest.raises(UserError, match="cannot be unpacked"):
        list(read_list(tmp_path / "list.csv.gz"))


def test_a_bomb_is_refused_before_it_is_unpacked_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_files, "FREE_BYTES", 2**20)
    path = tmp_path / "list.csv.gz"
    path.write_bytes(gzip.compress(b"url\n" + b"\n" * 2**25))
    with pytest.raises(UserError, match=r"unpacks to .* no list does that") as caught:
        list(read_list(path))
    assert int(caught.value.what.split()[4].replace(",", "")) < 2**24


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_files, "MAX_LINE", 1_000)
    for name in ("list.csv", "list.jsonl"):
        (tmp_path / name).write_text("url\n" + "x" * 5_000)
        with pytest.raises(UserError, match="line 2 is longer than 1,000 characters"):
            list(read_list(tmp_path / name))


def test_parquet_may_have_other_columns_of_any_kind_and_bad_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": ["a", None], "box": [[1], [2]], "License": ["x", ""]}), path)
    assert [(row.line, row.url, row.licence) for row in read_list(path)] == [(1, "a", "x"), (2, "", "")]
    pq.write_table(pa.table({"url": [1]}), path)
    with pytest.raises(UserError, match="the column 'url' holds int64, not text"):
        list(read_list(path))
    not_text = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    pq.write_table(pa.table({"url": not_text}), path)
    with pytest.raises(UserError, match="after row 0 stands a text that is not UTF-8"):
        list(read_list(path))
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match="is not a Parquet file"):
        list(read_list(path))
    (tmp_path / "x.parquet.gz").write_bytes(b"")
    with pytest.raises(UserError, match="is a packed Parquet file"):
        list(read_list(tmp_path / "x.parquet.gz"))


def test_a_parquet_list_cannot_unpack_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8,192 equal addresses of 100 KB in a file of 450 bytes took 2.5 GB."""
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": pa.array(["http://a/" + "x" * 10**6] * 1_000).dictionary_encode()}), path,
                   compression="zstd", store_schema=False)  # fmt: skip
    pool = pa.default_memory_pool()
    before, most = pool.bytes_allocated(), 0
    for _ in read_list(path):
        most = max(most, pool.bytes_allocated() - before)
    assert most < 300e6  # and 1 GB without a bound
    monkeypatch.setattr(parquet_pages, "FREE_BYTES", 2**22)
    for size, found in ((2**20 + 1, "has a cell of 1,048,577 bytes"), (2**24, "unpacks to 16,777,")):
        pq.write_table(pa.table({"url": ["x" * size]}), path, compression="zstd", use_dictionary=False)
        with pytest.raises(UserError, match=found):
            list(read_list(path))


def test_only_the_columns_of_a_list_are_read(tmp_path: Path) -> None:
    """A column of pictures beside the addresses stays where it is, even a damaged one."""
    path = tmp_path / "list.parquet"
    table = pa.table({"picture": [bytes(10**6)], "url": ["http://a/"], "TEXT": ["owl"]})
    pq.write_table(table, path, use_dictionary=False, compression="none")
    data = bytearray(path.read_bytes())
    data[100:200_000] = b"\xff" * 199_900
    data[4:100] = b"\xff" * 96
    path.write_bytes(data)
    assert [row[1:6] for row in read_list(path)] == [("http://a/", "", "", "", "owl")]


def test_a_parquet_list_cut_in_its_middle_tells_how_far_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": [f"http://a/{n}" for n in range(20_000)]}), path, row_group_size=8192,
                   use_dictionary=False, compression="none")  # fmt: skip
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60_000] = b"\xff" * 60_000
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"breaks off after row 8,192|not UTF-8"):
        list(read_list(path))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_a_long_list_is_read_in_little_memory(tmp_path: Path, kind: str) -> None:
    path, count = tmp_path / f"list.{kind}", 60_000
    urls = [f"http://a.example/{number}.jpg" for number in range(count)]
    if kind == "parquet":
        pq.write_table(pa.table({"url": urls}), path)
    else:
        lines = ["url", *urls] if "csv" in kind else [f'{{"url": "{url}"}}' for url in urls]
        data = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(data, 1) if kind.endswith("gz") else data)
    del urls
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_list(path)) == count
        assert tracemalloc.get_traced_memory()[1] < 6e6  # all rows at once take 20 MB and more
    finally:
        tracemalloc.stop()


def test_another_kind_of_list_comes_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plugins(*, group: str) -> tuple[metadata.EntryPoint, ...]:
        point = metadata.EntryPoint("plain", f"{__name__}:read_plain", group)
        return (point,) if group == "pictus.lists" else ()

    monkeypatch.setattr(metadata, "entry_points", plugins)
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda _: read_plain)
    monkeypatch.setattr(LISTS, "_found", dict(LISTS._found))
    (tmp_path / "list.plain").write_text("http://a/1\nhttp://a/2\n")
    assert [row.url for row in read_list(tmp_path / "list.plain")] == ["http://a/1", "http://a/2"]


def read_plain(path: Path) -> Iterator[Row]:
    for line, url in enumerate(path.read_text().splitlines(), start=1):
        yield Row(line, url, "", "", "", "")
