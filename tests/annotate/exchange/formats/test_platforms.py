"""Results of Mechanical Turk and Toloka as they come, and tables of boxes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import annotate
from pictus.errors import UserError

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]

MTURK = ("HITId", "WorkerId", "AssignmentStatus", "Input.image_url", "Input.question")


def write(tmp_path: Path, header: tuple[str, ...], *rows: tuple[str, ...], name: str = "batch.csv") -> Path:
    path = tmp_path / name
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter="\t" if name.endswith(".tsv") else ",").writerows([header, *rows])
    return path


def test_a_batch_becomes_votes_of_pseudonyms(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    ids = shelve(project, {"1.jpg": (9, 9), "2.jpg": (9, 9)}, start="https://example.org/")
    one, two = ("https://example.org/1.jpg", "https://example.org/2.jpg")
    path = write(
        tmp_path, (*MTURK, "Answer.comment", "Answer.label"), ("H1", "A1", "Approved", one, "owl", "fine", "yes"),
        ("H1", "A2", "Submitted", one, "owl", "", "no"), ("H2", "A1", "Approved", two, "", "", "wren"),
        ("H2", "A3", "Rejected", two, "", "", "nonsense"),
    )  # fmt: skip
    outcome = annotate.import_(project, (path,))
    votes = said(project)
    assert {(vote[0], vote[2], vote[3]) for vote in votes} == {
        (ids["1.jpg"], "cowl", "yes"), (ids["1.jpg"], "cowl", "no"), (ids["2.jpg"], "", "cwren"),
    }  # fmt: skip
    assert len({vote[1] for vote in votes}) == 2
    assert not {vote[1] for vote in votes} & {"A1", "A2"}
    assert outcome.problems == ("1 answer left out that the file itself rejects",)
    event = project.journal.events(event="votes_imported")[0]
    assert "A1" not in json.dumps(event.data)
    assert (project.root / "pseudonyms.key").stat().st_mode & 0o077 == 0


def test_another_project_gives_other_pseudonyms(tmp_path: Path, shelve: Shelve, said: Read) -> None:
    names = set()
    for number in range(2):
        project = pictus.new(tmp_path / str(number))
        shelve(project, {"1.jpg": (9, 9)})
        path = write(tmp_path, (*MTURK, "Answer.label"), ("H1", "A1", "Approved", "1.jpg", "owl", "yes"))
        annotate.import_(project, (path,))
        names |= {vote[1] for vote in said(project)}
    assert len(names) == 2


def test_crowd_forms_answers_are_read(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read, kept: Read
) -> None:
    shelve(project, {"1.jpg": (200, 100)})
    box = {"left": 10, "top": 20, "width": 30, "height": 40, "label": "owl"}
    boxes = [{"annotatedResult": {"boundingBoxes": [box], "inputImageProperties": {"width": 200, "height": 100}}}]
    path = write(
        tmp_path, (*MTURK, "Answer.taskAnswers"),
        ("H1", "A1", "Approved", "1.jpg", "", json.dumps([{"category": {"label": "owl"}}])),
        ("H1", "A2", "Approved", "1.jpg", "", json.dumps([{"owl": {"on": False}, "wren": {"on": True}}])),
        ("H1", "A3", "Approved", "1.jpg", "", json.dumps(boxes)),
    )  # fmt: skip
    annotate.import_(project, (path,), keep_names=True)
    assert {vote[1:] for vote in said(project)} == {("A1", "", "cowl"), ("A2", "", "cwren")}
    assert [(mark.annotator, mark.shape) for mark in kept(project)] == [("A3", {"box": [10, 20, 40, 60]})]


def test_bad_assignments_are_told_by_their_lines(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    shelve(project, {"1.jpg": (9, 9)})
    path = write(
        tmp_path, (*MTURK, "Answer.label", "Answer.taskAnswers"), ("H1", "", "Approved", "1.jpg", "", "owl", ""),
        ("H1", "A1", "Approved", "", "", "owl", ""), ("H1", "A1", "Approved", "1.jpg", "", "", ""),
        ("H1", "A1", "Approved", "1.jpg", "owl", "perhaps", ""), ("H1", "A1", "Approved", "1.jpg", "", "", "{NaN"),
        ("H1", "A1", "Approved", "1.jpg", "", "owl\nwren", ""), ("H1", "A1", "Approved", "1.jpg", "", "ovl", "", "x"),
    )  # fmt: skip
    with pytest.raises(UserError, match="7 bad rows") as raised:
        annotate.import_(project, (path,))
    told = raised.value.what
    for words in (
        "batch.csv line 2: no WorkerId", "line 3: no Input column with a picture", "line 4: no answer among",
        "line 5: answer 'perhaps' is none of yes, no, unsure", "line 6: Answer.taskAnswers '{NaN' is no JSON",
        "line 7: class 'owl wren' is not in the taxonomy", "line 9: 8 columns where the header has 7",
    ):  # fmt: skip
        assert words in told
    assert said(project) == set()


def test_a_grid_page_that_marks_what_was_not_shown_is_told(
    project: pictus.Project, tmp_path: Path, shelve: Shelve
) -> None:
    shelve(project, {"1.jpg": (9, 9)})
    header = ("HITId", "WorkerId", "AssignmentStatus", "Input.concept", "Input.image_1", "Answer.yes", "Answer.seen")
    path = write(tmp_path, header, ("H1", "A1", "Approved", "owl", "1.jpg", "1 2", "1"))
    with pytest.raises(UserError, match="marks the picture 2, which was not shown"):
        annotate.import_(project, (path,))


def test_tolokas_assignments_become_votes_and_known_answers(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read, known: Read
) -> None:
    ids = shelve(project, {"1.jpg": (9, 9), "2.jpg": (9, 9)})
    header = ("INPUT:image", "INPUT:question", "OUTPUT:result", "GOLDEN:result", "HINT:text", "ASSIGNMENT:worker_id",
              "ASSIGNMENT:status")  # fmt: skip
    path = write(
        tmp_path, header, ("1.jpg", "owl", "yes", "", "", "w1", "APPROVED"),
        ("2.jpg", "owl", "no", "false", "", "w1", ""),
        ("1.jpg", "owl", "no", "", "", "w2", "REJECTED"), ("2.jpg", "", "wren", "wren", "", "w2", "SUBMITTED"),
        name="assignments.tsv",
    )  # fmt: skip
    outcome = annotate.import_(project, (path,), keep_names=True)
    assert said(project) == {
        (ids["1.jpg"], "w1", "cowl", "yes"), (ids["2.jpg"], "w1", "cowl", "no"), (ids["2.jpg"], "w2", "", "cwren"),
    }  # fmt: skip
    assert known(project) == {("cowl", ids["2.jpg"], "rejected", "no"), ("cwren", ids["2.jpg"], "accepted", "yes")}
    assert (outcome.summary["known"], outcome.summary["rejected"]) == (2, 1)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("", "owl", "yes", "", "w1"), "no INPUT column with a picture"),
        (("1.jpg", "owl", "", "", ""), "neither an answer"),
        (("1.jpg", "owl", "yes", "", ""), "no worker_id"), (("1.jpg", "owl", "", "maybe", ""), "neither yes nor no"),
    ],
)  # fmt: skip
def test_bad_assignments_of_toloka_are_told(
    row: tuple[str, ...], told: str, project: pictus.Project, tmp_path: Path, shelve: Shelve
) -> None:
    shelve(project, {"1.jpg": (9, 9)})
    header = ("INPUT:image", "INPUT:question", "OUTPUT:result", "GOLDEN:result", "ASSIGNMENT:worker_id")
    with pytest.raises(UserError, match=told):
        annotate.import_(project, (write(tmp_path, header, row, name="a.tsv"),))


def test_a_table_of_boxes_is_read_by_its_columns_in_any_order(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (200, 100)})
    header = ("filename", "cell_type", "xmin", "xmax", "ymin", "ymax")
    annotate.import_(project, (write(tmp_path, header, ("1.jpg", "owl", "1", "20", "3", "40")),))
    shares = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
    annotate.import_(project, (write(tmp_path, shares, ("1.jpg", "owl", "0,1", "0.5", "0", "1", "1"), name="b.csv"),))
    assert [mark.shape for mark in kept(project)] == [
        {"box": [1, 3, 20, 40]}, {"box": [20, 0, 100, 100], "words": {"IsGroupOf": "1"}},
    ]  # fmt: skip


def test_a_plain_table_of_votes_is_what_it_was(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    ids = shelve(project, {"1.jpg": (9, 9)})
    path = write(tmp_path, ("worker", "image", "answer"), ("ada", "1.jpg", "owl"))
    annotate.import_(project, (path,))
    assert said(project) == {(ids["1.jpg"], "ada", "", "cowl")}
    with pytest.raises(UserError, match="take them in one after the other"):
        annotate.import_(project, (path, write(tmp_path, (*MTURK, "Answer.label"), name="m.csv")))


def test_words_of_a_box_that_are_no_words_are_told(project: pictus.Project, tmp_path: Path, shelve: Shelve) -> None:
    shelve(project, {"1.jpg": (200, 100)})
    header = ("image", "label", "xmin", "ymin", "xmax", "ymax", "words")
    box = ("1.jpg", "owl", "1", "1", "9", "9")
    path = write(tmp_path, header, (*box, "{torn"), (*box, '{"pose": 3}'), (*box, '{"a":' * 100_000))
    with pytest.raises(UserError, match="no JSON") as raised:
        annotate.import_(project, (path,))
    assert "line 3: its words" in raised.value.what
    assert "line 4: its words" in raised.value.what
