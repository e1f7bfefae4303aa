"""How sure boxes are and whether pictures are covered: worked out by hand."""

from __future__ import annotations

import json

import pytest

from pictus.annotate.shapes.settled_boxes import Mark, Said, box_records, coverages, sure_of, verifiers


def said(kind: str, answer: str, who: str, mark: int = 1, *, role: str = "ask", known: str = "") -> Said:
    return Said(kind, "p", "owl", mark, who, answer, role, known)


def mark(number: int, box: tuple[float, ...] = (0, 0, 10, 10), who: str = "ada", *, here: bool = True) -> Mark:
    return Mark(number, "box", "p", "owl", who, json.dumps({"box": list(box)}), here)


def test_known_answers_tell_how_good_a_verifier_is() -> None:
    answers = [said("box-quality", "good", "bob", role="gold", known="bad") for _ in range(8)]
    answers += [said("box-quality", "good", "eve", role="gold", known="good") for _ in range(10)]
    # (9 + 0) / (10 + 8) and (9 + 10) / (10 + 10).
    assert verifiers(answers) == pytest.approx({"bob": 0.5, "eve": 0.95})
    assert sure_of(answers) == {}, "known answers are about nothing that is asked"


def test_a_good_answer_of_one_person_by_hand() -> None:
    # One good answer and 4 : 1 before give 5 : 1; a verifier right 9 times in 10: 45 / 46.
    found = sure_of([said("box-quality", "good", "bob")])[1]
    assert found.posterior == pytest.approx(45 / 46)
    changed = sure_of([said("box-quality", "good", "bob"), said("box-quality", "bad", "bob")])[1]
    assert (changed.good, changed.bad) == ((), ("bob",)), "the last answer counts"


def test_more_good_than_bad_is_accepted_and_a_tie_is_not_settled() -> None:
    words = {1: ("good", "good", "bad"), 2: ("good", "bad"), 3: ("bad",), 4: ()}
    answers = [
        said("box-quality", word, f"v{at}", number) for number, given in words.items() for at, word in enumerate(given)
    ]
    found = box_records([mark(number) for number in words], answers, frozenset(), 0.9, "now")
    assert [one.status for one in found] == ["accepted", "unsettled", "rejected", "unsettled"]
    assert found[0].reason == "good to 2 people, bad to 1 person"
    assert found[3].reason == "drawn, and not verified yet"


def test_where_the_loop_has_a_box_merged_ones_give_way() -> None:
    marks = [mark(1), mark(2, who="x", here=False), mark(3, (0, 0, 10, 11), "y", here=False)]
    answers = [said("box-quality", "good", "bob", 1)]
    assert [one.method for one in box_records(marks, answers, frozenset(), 0.9, "now")] == ["loop"]
    assert [one.method for one in box_records(marks[1:], [], frozenset(), 0.9, "now")] == ["consensus"]


@pytest.mark.parametrize(
    ("answers", "coverage"),
    [
        ([], "open"),
        ([("box-coverage", "covered", 1)], "covered"),
        ([("box-coverage", "missing", 1)], "missing"),
        ([("box-coverage", "missing", 1), ("box", "none", -1)], "undecided"),
        ([("box-coverage", "missing", 1), ("box", "none", -1), ("box-coverage", "covered", -1)], "covered"),
        ([("box-coverage", "missing", 1), ("box", "none", -1), ("box-coverage", "missing", -1)], "undecided"),
        ([("box-coverage", "covered", 1), ("box-quality", "good", 2)], "open"),
        ([("box-quality", "bad", 2), ("box", "none", 2)], "open"),
    ],
)
def test_what_was_said_after_the_last_box_decides(answers: list[tuple[str, str, int]], coverage: str) -> None:
    first = [said("box", "box", "ada", 0), said("box-quality", "good", "bob", 1)]
    more = [said(kind, answer, f"v{at}", number) for at, (kind, answer, number) in enumerate(answers)]
    boxes = box_records([mark(1)], first, frozenset(), 0.9, "now")
    assert [one.coverage for one in coverages([mark(1)], first + more, boxes, "now")] == [coverage]
