from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus.annotate.exchange.vote_files import Answers, read_answers
from pictus.errors import UserError


def read(tmp_path: Path, text: "str | bytes", name: str = "labels.csv", question: str = "") -> Answers:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_answers(path, question=question)


def rows(answers: Answers) -> list[tuple[str, str, str, str]]:
    columns = (answers.image, answers.annotator, answers.question, answers.answer)
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


@pytest.mark.parametrize(
    "header",
    ["image,label", "File Name,Class", "image_path,answer", "task-id,wnid", "URL,Category", "item,concept","key,vote"],
)
def test_labels_are_read_whatever_the_columns_are_called(tmp_path: Path, header: str) -> None:
    assert rows(read(tmp_path, f"{header}\n1.jpg,owl\n")) == [("1.jpg", "", "", "owl")]


@pytest.mark.parametrize(
    "header", ["worker,image,answer", "annotator,item,label", "User ID,picture,response", "rater,question_id,class"]
)
def test_votes_are_read_whatever_the_columns_are_called(tmp_path: Path, header: str) -> None:
    assert rows(read(tmp_path, f"{header}\nada,1.jpg,owl\n")) == [("1.jpg", "ada", "", "owl")]


def test_a_question_column_says_what_was_asked(tmp_path: Path) -> None:
    text = "answer,worker,concept,image\nyes,ada,owl,1.jpg\nno,bob,,1.jpg\n"
    assert rows(read(tmp_path, text)) == [("1.jpg", "ada", "owl", "yes"), ("1.jpg", "bob", "", "no")]


def test_a_question_given_outside_is_asked_in_every_row(tmp_path: Path) -> None:
    text = "worker,image,answer\nada,1.jpg,yes\nbob,1.jpg,no\n"
    assert [row[2] for row in rows(read(tmp_path, text, question="owl"))] == ["owl", "owl"]
    with pytest.raises(UserError, match="says what was asked"):
        read(tmp_path, "worker,image,question,answer\nada,1.jpg,owl,yes\n", question="owl")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'image,label\n"a,b.jpg",owl\n'),
        ("a.csv", '\ufeffimage;label\r\n"a,b.jpg"; owl \r\n'),
        ("a.tsv", "image\tlabel\na,b.jpg\towl\n"),
        ("a.txt", "image\tlabel\na,b.jpg\towl"),
        ("a.csv", "\n\nimage;label\n\na,b.jpg;owl\n\n"),
    ],
)
def test_separators_quotes_and_marks_are_understood(tmp_path: Path, name: str, text: str) -> None:
    assert rows(read(tmp_path, text, name)) == [("a,b.jpg", "", "", "owl")]


def test_numbers_stay_the_text_they_are(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "image,label\n007,1\n1e5,null\nNA,true\n")) == [
        ("007", "", "", "1"), ("1e5", "", "", "null"), ("NA", "", "", "true"),
    ]  # fmt: skip


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    answers = read(tmp_path, "image,label\n1.jpg,owl\n\n2.jpg,owl\n")
    assert [answers.place(number) for number in answers.row.to_pylist()] == ["labels.csv line 2", "labels.csv line 4"]


def test_a_cell_of_several_lines_moves_the_rows_below_it(tmp_path: Path) -> None:
    text = 'image,label,note\n1.jpg,owl,"two\nlines"\n2.jpg,owl,one\n3.jpg,owl\n4.jpg,owl,"a\nb\nc"\n5.jpg,owl,\n'
    answers = read(tmp_path, text)
    assert dict(zip(answers.image.to_pylist(), answers.row.to_pylist(), strict=True)) == {
        "1.jpg": 2, "2.jpg": 4, "4.jpg": 6, "5.jpg": 9,
    }  # fmt: skip
    assert list(answers.torn) == [5]  # 3.jpg, which has two cells of three


def test_parquet_is_read_with_any_column_types(tmp_path: Path) -> None:
    table = pa.table({
        "worker": pa.array(["ada", "bob"]).dictionary_encode(), "item": pa.array([7, 8]),
        "label": pa.array(["owl", None]),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "votes.parquet")
    answers = read_answers(tmp_path / "votes.parquet")
    assert rows(answers) == [("7", "ada", "", "owl"), ("8", "bob", "", "")]
    assert answers.place(answers.row[1].as_py()) == "votes.parquet row 2"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("picture,name\na.jpg,owl\n", "no column 'label' (or 'answer'); found 'picture', 'name'"),
        ("question,worker,answer\n1,ada,owl\n", "no column 'image'; found 'question', 'worker', 'answer'"),
        ("a.jpg,owl\nb.jpg,wren\n", "no column 'image' and 'label' (or 'answer'); found 'a.jpg', 'owl'"),
        ("", "labels.csv is empty"),
        (" \n", "labels.csv is empty"),
        ("image,label\n", "no rows"),
        ("image,image,label\n1,2,owl\n", "names 'image' more than once"),
        (b"\x00\x01\x02", "labels.csv is not a text file"),
        ("image,label\n\xe9.jpg,owl\n".encode("latin-1"), "not UTF-8"),
        ("image,label\n1.jpg,owl\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_message(tmp_path: Path, text: "str | bytes", part: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert part in error.value.what
    assert error.value.fix


def test_rows_of_another_length_are_set_aside_and_the_others_keep_their_lines(tmp_path: Path) -> None:
    answers = read(tmp_path, "image,label\n1.jpg,owl,x\n2.jpg,owl\n3.jpg\n\n4.jpg,wren\n")
    assert list(answers.torn) == [2, 4]
    assert answers.torn[2].startswith("3 columns where the header has 2: '1.jpg,owl,x'")
    assert answers.torn[4].startswith("1 column where")
    assert answers.row.to_pylist() == [3, 6]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "votes.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    wrong = {"votes.parquet": "Parquet", "labels.xlsx": "ending", "none.csv": "no file", "": "folder"}
    for name, part in wrong.items():
        with pytest.raises(UserError, match=part):
            read_answers(tmp_path / name)
