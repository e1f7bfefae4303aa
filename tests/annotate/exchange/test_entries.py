from __future__ import annotations

import pyarrow as pa
import pytest

from pictus.annotate.exchange.entries import claims, entries_of, without_known
from pictus.annotate.exchange.references import Resolved
from pictus.annotate.exchange.vote_files import Answers
from pictus.concepts import Taxonomy
from pictus.records import Concept

TAXONOMY = Taxonomy.of([
    Concept("owl", ("owl", "bird of Minerva"), is_class=True),
    Concept("c1", ("crane",), is_class=True),
    Concept("c2", ("crane",), is_class=True),
])  # fmt: skip
PICTURES = Resolved({"1.jpg": "a" * 64, "2.jpg": "b" * 64}, {"x.jpg": "no picture 'x.jpg' in the project"})


def answers(*rows: tuple[str, str, str, str], has_annotator: bool = True) -> Answers:
    image, annotator, question, answer = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
    columns = {"image": "image", "answer": "answer"} | ({"annotator": "worker"} if has_annotator else {})
    row = pa.array(range(2, len(rows) + 2))
    return Answers("votes.csv", "line", row, image, annotator, question, answer, columns, {})


def votes(*rows: tuple[str, str, str, str]) -> pa.Table:
    names = ("image_id", "annotator", "question", "answer")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def test_rows_become_votes_with_ids() -> None:
    found = entries_of(
        answers(
            ("1.jpg", "ada", "", "Bird_of_Minerva"), ("2.jpg", "ada", "owl", "Y"), ("2.jpg", "bob", "", "not sure")
        ),
        TAXONOMY, PICTURES, "source:votes.csv",
    )  # fmt: skip
    assert found.bad_rows == found.unknown_pictures == {}
    assert found.votes.to_pylist() == votes(
        ("a" * 64, "ada", "", "owl"), ("b" * 64, "ada", "owl", "yes"), ("b" * 64, "bob", "", "unsure")
    ).to_pylist()


def test_a_list_of_labels_is_one_annotator() -> None:
    found = entries_of(answers(("1.jpg", "", "", "owl"), has_annotator=False), TAXONOMY, PICTURES, "source:labels.csv")
    assert found.votes.column("annotator").to_pylist() == ["source:labels.csv"]
    assert found.bad_rows == {}


def test_every_bad_row_is_told_with_its_line_and_all_its_faults() -> None:
    found = entries_of(
        answers(
            ("1.jpg", "ada", "", "owl"), ("1.jpg", "ada", "", "owll"), ("1.jpg", "", "", "crane"),
            ("1.jpg", "ada", "owl", "perhaps"), ("1.jpg", "ada", "dragon", "hm"), ("1.jpg", "ada", "", ""),
            ("x.jpg", "ada", "", "owl"), ("", "ada", "", "owl"),
        ),
        TAXONOMY, PICTURES, "",
    )  # fmt: skip
    assert found.bad_rows == {
        3: "class 'owll' is not in the taxonomy (did you mean owl?)",
        4: "class 'crane' means 2 concepts: c1, c2; nobody is named as its annotator",
        5: "answer 'perhaps' is none of yes, no, unsure",
        6: "the question 'dragon' is not in the taxonomy; answer 'hm' is none of yes, no, unsure",
        7: "there is no answer",
    }
    assert found.unknown_pictures == {8: "no picture 'x.jpg' in the project", 9: "no picture is named"}
    assert found.votes.num_rows == 1


def test_only_what_is_new_is_added() -> None:
    current = votes(("a", "ada", "", "owl"), ("b", "ada", "owl", "yes"))
    table = votes(("a", "ada", "", "owl"), ("a", "ada", "owl", "yes"), ("b", "ada", "owl", "no"))
    assert without_known(table, current).to_pylist() == table.to_pylist()[1:]
    assert without_known(table, current.slice(0, 0)).num_rows == 3


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0)])
def test_each_kind_of_source_has_one_voice_and_is_unsure_where_it_contradicts_itself(order: tuple[int, ...]) -> None:
    rows = [("a", "folder", "owl"), ("a", "folder", "owl"), ("a", "url", "c1"), ("b", "folder", "owl"),
            ("b", "folder", "c1"), ("c", "folder", "gone")]  # fmt: skip
    names = ("image_id", "kind", "concept_id")
    sources = pa.table(dict(zip(names, map(list, zip(*(rows[k] for k in order), strict=True)), strict=True)))
    found, left_out = claims(sources, TAXONOMY)
    assert left_out == 1
    assert sorted((row["image_id"], row["annotator"], row["answer"]) for row in found.to_pylist()) == [
        ("a", "source:folder", "owl"), ("a", "source:url", "c1"), ("b", "source:folder", "unsure"),
    ]  # fmt: skip
