from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from pictus.collect.intake import Claim
from pictus.collect.lists import Row, Wanted, rows_of_csv, rows_of_jsonl, rows_of_table, wanted_of
from pictus.errors import UserError


def resolve(text: str) -> str:
    if text != "owl":
        raise UserError(f"There is no concept {text!r}.", fix="did you mean owl?")
    return "n01621127"


def test_columns_are_found_by_name_in_any_order_and_case() -> None:
    lines = ["Licence,URL,extra,Author\n", "CC0, http://a.example/1 ,x,Ann\n", '"CC BY","http://a.example/2,3",,""\n']
    assert list(rows_of_csv(lines, "list.csv")) == [
        Row(2, "http://a.example/1", "", "CC0", "Ann", ""), Row(3, "http://a.example/2,3", "", "CC BY", "", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_delimiter_is_the_headers(delimiter: str) -> None:
    cells = [("url", "concept", "license", "query"), ("http://a.example/", "owl", "x", "q")]
    found = list(rows_of_csv([delimiter.join(row) + "\n" for row in cells], "x"))
    assert found == [Row(2, "http://a.example/", "owl", "x", "", "q")]


def test_a_quoted_cell_may_hold_lines_and_blank_lines_do_not_count() -> None:
    lines = ["url,author\n", "\n", '"http://a.example/1","two\n', 'lines"\n', "http://a.example/2,x\n"]
    assert [(row.line, row.author) for row in rows_of_csv(lines, "x")] == [(4, "two\nlines"), (5, "x")]


def test_a_list_without_the_column_url_tells_what_it_found() -> None:
    with pytest.raises(UserError, match=r"list\.csv has no column 'url'; .* 'link', 'concept'") as caught:
        list(rows_of_csv(["link,concept\n"], "list.csv"))
    assert "name the column of addresses 'url'" in caught.value.fix
    with pytest.raises(UserError, match="is empty"):
        list(rows_of_csv([], "list.csv"))
    with pytest.raises(UserError, match="url more than once"):
        list(rows_of_csv(["url,URL\n"], "list.csv"))


def test_all_bad_rows_are_told_in_the_order_of_the_list_with_a_way_to_go_on() -> None:
    lines = ["url,concept\n", "a\n", "a,owl\n", "a,b,c\n", ",owl\n", "b,awl\n", '"c\n', 'c",owl,d\n', "d,owl\n"]
    with pytest.raises(UserError, match=r"5 bad rows") as caught:
        wanted_of(rows_of_csv(lines, "lists/list.csv"), resolve, "lists/list.csv")
    assert [line.strip() for line in caught.value.what.splitlines()[1:]] == [
        "line 2: 1 cell, the header has 2: 'a'", "line 4: 3 cells, the header has 2: 'a,b,c'", "line 5: no url",
        "line 6: There is no concept 'awl'. Did you mean owl?", "line 8: 3 cells, the header has 2: 'c c,owl,d'",
    ]  # fmt: skip
    assert caught.value.fix.endswith(
        "sed '2d;4d;5d;6d;7,8d' lists/list.csv > lists/list-good.csv && pictus collect fetch lists/list-good.csv"
    )


def test_the_proposed_command_leaves_out_the_bad_rows_and_only_them(tmp_path: Path) -> None:
    text = 'url,concept\nhttp://a/1\nhttp://a/2,owl\n"http://a/\n3",owl,x\nhttp://a/4,owl\n'
    path = tmp_path / "my list.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        wanted_of(rows_of_csv(text.splitlines(keepends=True), str(path)), resolve, str(path))
    command = caught.value.fix.partition("go on without them: ")[2].partition(" && ")[0]
    subprocess.run(command, shell=True, check=True, timeout=10)
    assert (tmp_path / "my list-good.csv").read_text() == "url,concept\nhttp://a/2,owl\nhttp://a/4,owl\n"


def test_a_huge_cell_is_not_echoed_whole() -> None:
    lines = ["url,concept\n", f"a,{'x' * 100_000}\n", f"a,b,{'y' * 100_000}\n"]
    with pytest.raises(UserError, match="2 bad rows") as caught:
        wanted_of(rows_of_csv(lines, "list.csv"), resolve, "list.csv")
    assert len(caught.value.what) < 500
    with pytest.raises(UserError, match="line 2 cannot be read") as caught:
        list(rows_of_csv(["url\n", "x" * 300_000], "list.csv"))
    assert len(caught.value.what) < 500


def test_a_quote_that_never_ends_is_told() -> None:
    with pytest.raises(UserError, match=r"list\.csv line 2"):
        list(rows_of_csv(["url\n", '"http://a.example/\n'], "list.csv"))


def test_parquet_rows_may_hold_nulls_but_not_numbers() -> None:
    table = pa.table({"url": ["http://a.example/1", None], "concept": pa.array(["owl", None]).dictionary_encode()})
    assert [row[:3] for row in rows_of_table(table, "x")] == [(1, "http://a.example/1", "owl"), (2, "", "")]
    with pytest.raises(UserError, match="the column 'url' holds int64, not text"):
        list(rows_of_table(pa.table({"url": [1]}), "x"))


def test_concepts_are_resolved_and_each_address_stands_once() -> None:
    rows = [Row(2, "a", "owl", "CC0", "Ann", "q"), Row(3, "b", "", "", "", ""), Row(4, "a", "", "", "", "")]
    assert wanted_of(rows, resolve, "x") == (
        [Wanted("a", Claim("n01621127", "q", "CC0", "Ann")), Wanted("b", Claim())], 1,
    )  # fmt: skip


def test_all_empty_addresses_and_unknown_concepts_are_told_at_once() -> None:
    rows = [Row(2, "", "", "", "", ""), Row(3, "a", "awl", "", "", ""), Row(4, "b", "owl", "", "", "")]
    rows += [Row(line, "c", "awl", "", "", "") for line in range(5, 40)]
    with pytest.raises(UserError, match=r"list\.csv: 37 bad rows") as caught:
        wanted_of(rows, resolve, "list.csv")
    assert "line 2: no url" in caught.value.what
    assert "line 3: There is no concept 'awl'. Did you mean owl?" in caught.value.what
    assert "… and 17 more" in caught.value.what


def test_one_address_in_several_spellings_is_fetched_once() -> None:
    urls = ["http://A.example/x", "http://a.example:80/x", "http://a.example/x#top", " http://a.example./x",
            "http://a.example/y"]  # fmt: skip
    wanted, repeated = wanted_of([Row(n, url, "", "", "", "") for n, url in enumerate(urls)], resolve, "x")
    assert ([one.address for one in wanted], repeated) == (["http://A.example/x", "http://a.example/y"], 3)
    odd = [Row(n, url, "", "", "", "") for n, url in enumerate(["ftp://a/", "ftp://a/", "http://a/\ud800"])]
    assert wanted_of(odd, resolve, "x")[1] == 1  # what is no address is told when it is fetched


def test_columns_have_the_names_that_they_have_beside_pictures() -> None:
    """LAION's TEXT, img2dataset's caption: a list said less than the same words in a JSON beside the picture."""
    from pictus.collect.sidecars import COLUMNS

    for column, names in COLUMNS.items():
        for name in names:
            if column == "url":
                (row,) = rows_of_csv([f"{name.upper()}\n", "x\n"], "list.csv")
            else:
                (row,) = rows_of_csv([f"url,{name.upper()}\n", "http://a/,x\n"], "list.csv")
                (same,) = rows_of_jsonl([json.dumps({"url": "http://a/", name: "x"})])
                (also,) = rows_of_table(pa.table({"url": ["http://a/"], name: ["x"]}), "list.parquet")
                assert row[1:6] == same[1:6] == also[1:6]
            assert getattr(row, column) == "x"
    lines = ["url,text,query\n", "http://a/,seen,\n", "http://a/,seen,asked\n"]
    assert [row.query for row in rows_of_csv(lines, "x")] == ["seen", "asked"]  # the first that says something


def test_only_columns_that_are_known_must_hold_text() -> None:
    table = pa.table({"url": ["http://a/"], "label": [3], "image_url": [[1]]})
    assert [row[1:6] for row in rows_of_table(table, "x")] == [("http://a/", "", "", "", "")]
    (row,) = rows_of_jsonl(['{"url": "http://a/", "labels": ["a", "b"], "text": null}'])
    assert row[1:7] == ("http://a/", "", "", "", "", "")
    with pytest.raises(UserError, match="the column 'concept' holds int64, not text"):
        list(rows_of_table(pa.table({"url": ["a"], "concept": [1]}), "x"))
