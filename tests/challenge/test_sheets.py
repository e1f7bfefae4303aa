from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.challenge.sheets import Sheet, parse_predictions, parse_truth
from pictus.errors import UserError

TEXT = Path("team.txt")


def one(data: bytes, path: Path = TEXT, known: frozenset[str] = frozenset()) -> Sheet:
    (sheet,) = parse_predictions(data, path, known)
    return sheet


def saved(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_devkit_text_has_up_to_five_guesses_per_line() -> None:
    assert one(b"65 795 12\n\n970\n").rows == [["65", "795", "12"], [], ["970"]]


def test_first_column_is_names_when_the_truth_knows_one_of_them() -> None:
    sheet = one(b"val/1.jpg 3 4\nval/2.jpg 5\n", known=frozenset({"val/2.jpg"}))
    assert sheet.pictures == ["val/1.jpg", "val/2.jpg"]
    assert sheet.rows == [["3", "4"], ["5"]]


def test_six_guesses_are_refused_with_every_line_told() -> None:
    with pytest.raises(UserError, match=r"2 bad rows") as caught:
        one(b"1 2 3 4 5 6\n1\n1 2 3 4 5 6 7\n")
    assert "line 1: 6 guesses" in caught.value.what
    assert "line 3: 7 guesses" in caught.value.what


def test_localisation_boxes_are_refused() -> None:
    with pytest.raises(UserError, match="10 guesses") as caught:
        one(b"65 10 10 80 80 795 1 1 9 9\n")
    assert "no boxes" in caught.value.fix


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n\x00\x00\xff"])
def test_what_is_no_text_is_told(data: bytes) -> None:
    with pytest.raises(UserError, match=r"empty|not a text file"):
        one(data)


def test_csv_with_and_without_names() -> None:
    path = Path("team.csv")
    named = one(b"image_id,guess1,guess2\na,n02,n03\nb,n05,\n", path)
    assert (named.pictures, named.rows) == (["a", "b"], [["n02", "n03"], ["n05"]])
    unnamed = one(b"guess1\nn02\n", path)
    assert (unnamed.pictures, unnamed.rows) == (None, [["n02"]])


def test_csv_without_its_column_and_with_ragged_lines() -> None:
    with pytest.raises(UserError, match="no column guess1; its header is image_id, class"):
        one(b"image_id,class\na,n02\n", Path("team.csv"))
    with pytest.raises(UserError, match="line 3: 1 columns, the header has 2"):
        one(b"image_id,guess1\na,n02\nb\n", Path("team.csv"))


def test_arrays_keep_minus_one_for_no_guess() -> None:
    sheet = one(npy(np.array([[1, 2], [3, -1]], np.int16)), Path("a.npy"))
    assert np.asarray(sheet.rows).tolist() == [[1, 2], [3, -1]]


def test_an_npz_holds_one_sheet_per_model() -> None:
    data = saved(labels=np.zeros(2, int), alexnet=np.ones((2, 5), int), vgg=np.ones((2, 5), int))
    assert [sheet.name for sheet in parse_predictions(data, Path("all.npz"))] == ["alexnet", "vgg"]


def test_scores_instead_of_guesses_are_told_what_to_type() -> None:
    with pytest.raises(UserError, match=r"float64\[2, 5\]") as caught:
        one(npy(np.ones((2, 5))), Path("a.npy"))
    assert "argsort" in caught.value.fix
    with pytest.raises(UserError, match=r"int64\[2, 1000\]"):
        one(npy(np.ones((2, 1000), int)), Path("a.npy"))
    with pytest.raises(UserError, match="no array"):
        one(npy(np.ones(2, int)), Path("a.npy"))
    with pytest.raises(UserError, match=r"row 1: \[-2\]"):
        one(npy(np.array([[0], [-2]])), Path("a.npy"))


@pytest.mark.parametrize("number", [2**31, 2**32 + 5, -(2**31) - 5, 2**63 + 5])
def test_class_numbers_that_do_not_fit_are_refused_and_never_cut(number: int) -> None:
    dtype = np.uint64 if number >= 2**63 else np.int64
    guesses = np.array([[5, 1], [5, number], [5, 2]], dtype)
    with pytest.raises(UserError, match=rf"1 bad row.\n  row 1: \[5, {number}\]") as caught:
        one(npy(guesses), Path("a.npy"))
    assert "2,147,483,647" in caught.value.fix
    with pytest.raises(UserError, match=rf"1 bad row.\n  row 1: {number}"):
        parse_truth(npy(guesses[:, 1]), Path("t.npy"))
    assert one(npy(np.array([[2**31 - 1]])), Path("a.npy")).rows == [[2**31 - 1]]


def test_pickled_arrays_are_never_executed() -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("a pickle was executed",)

    with pytest.raises(UserError, match="not a NumPy file of numbers"):
        one(npy(np.array([Evil()], dtype=object)), Path("a.npy"))
    with pytest.raises(UserError, match="not a NumPy file of numbers"):
        one(saved(model=np.array([[Evil()]], dtype=object)), Path("a.npz"))
    with pytest.raises(UserError, match="not a NumPy file of numbers"):
        one(b"not an array", Path("a.npz"))


def test_parquet_without_its_columns_is_told() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"image_id": ["a", "b"], "guesses": [["n02", "n03"], []]}), buffer)
    sheet = one(buffer.getvalue(), Path("a.parquet"))
    assert (sheet.pictures, sheet.rows) == (["a", "b"], [["n02", "n03"], []])
    lacking = io.BytesIO()
    pq.write_table(pa.table({"image_id": ["a"], "label": [1]}), lacking)
    with pytest.raises(UserError, match="guesses"):
        one(lacking.getvalue(), Path("a.parquet"))
    with pytest.raises(UserError, match="cannot be read as predictions"):
        one(b"PAR1", Path("a.parquet"))


def test_truth_text_with_names_is_told_from_truth_with_several_labels() -> None:
    named = parse_truth(b"val/00000001.jpg 15\nval/00000002.jpg 3\n", TEXT)
    assert (named.pictures, named.rows) == (["val/00000001.jpg", "val/00000002.jpg"], [["15"], ["3"]])
    several = parse_truth(b"15 16\n3\n", TEXT)
    assert (several.pictures, several.rows) == (None, [["15", "16"], ["3"]])
    assert parse_truth(b"ILSVRC2012_val_00000001 n01751748\n", TEXT).pictures == ["ILSVRC2012_val_00000001"]
    assert parse_truth(b"n01440764 n01443537\n", TEXT).pictures is None


def test_truth_with_an_empty_line_is_refused() -> None:
    with pytest.raises(UserError, match="line 2: no label"):
        parse_truth(b"15\n\n3\n", TEXT)


def test_truth_from_csv_json_and_arrays() -> None:
    csv = parse_truth(b"image,label\na.jpg,n02\n", Path("t.csv"))
    assert (csv.pictures, csv.rows) == (["a.jpg"], [["n02"]])
    assert parse_truth(b"[[65], [], [1, 2]]", Path("real.json")).rows == [["65"], [], ["1", "2"]]
    assert np.asarray(parse_truth(saved(labels=np.array([3, 4])), Path("t.npz")).rows).tolist() == [[3], [4]]
    assert np.asarray(parse_truth(npy(np.array([3, 4])), Path("t.npy")).rows).tolist() == [[3], [4]]


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"{}", "t.json", "not a list"),
        (b"[", "t.json", "not JSON"),
        (b"[[1.5], [true], 3]", "t.json", "2 bad rows"),
        (b"image,class\na,b\n", "t.csv", "no column label"),
    ],
)
def test_bad_truth_is_told(data: bytes, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_truth(data, Path(name))


def test_truth_arrays_must_be_a_row_of_labels() -> None:
    with pytest.raises(UserError, match="key 'labels'"):
        parse_truth(saved(a=np.ones((2, 5), int), b=np.ones((2, 5), int)), Path("t.npz"))
    with pytest.raises(UserError, match=r"1 bad row.\n  row 1: -1"):
        parse_truth(npy(np.array([1, -1])), Path("t.npy"))


@given(st.lists(st.lists(st.integers(0, 999), max_size=5), min_size=1).filter(any))
def test_text_round_trip(rows: list[list[int]]) -> None:
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    assert one(text.encode()).rows == [[str(guess) for guess in row] for row in rows]
