"""What goes on a page."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.desk.pages import Candidate, Mixed, arranged, beside, fold_numbers, mixed, shared, taken


def ask(number: int, fold: str = "", score: float = 0.0, role: str = "ask") -> Candidate:
    return Candidate(number, f"p{number}", 0, score, fold, "", role)


@pytest.mark.parametrize(
    ("per_page", "asks", "expected"),
    [(48, 96, Mixed(4, 2)), (48, 48, Mixed(4, 2)), (48, 20, Mixed(2, 0)), (48, 1, Mixed(1, 0)), (24, 99, Mixed(2, 1))],
)
def test_one_in_twelve_is_known_and_one_in_twenty_four_a_repeat(per_page: int, asks: int, expected: Mixed) -> None:
    assert mixed(per_page, asks, Random(1)) == expected


def test_on_pages_of_one_item_chance_decides() -> None:
    chance = Random(1)
    golds = sum(mixed(1, 9, chance).golds for _ in range(12_000))
    assert golds == pytest.approx(1000, abs=120)


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=40), st.integers(1, 20))
def test_folds_are_taken_whole_and_no_page_is_too_long(folds: list[str], room: int) -> None:
    asks = [ask(number, fold) for number, fold in enumerate(folds)]
    found = taken(asks, room)
    assert len(found) <= room
    assert len({one.question_id for one in found}) == len(found)
    assert bool(found) == bool(asks)
    sizes = {fold: folds.count(fold) for fold in set(folds) - {""}}
    for fold, size in sizes.items():
        there = sum(one.fold == fold for one in found)
        assert there in (0, size) or (there == room and len({one.fold for one in found}) == 1)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from([0.0, 0.2, 0.9])), max_size=30))
def test_an_arranged_page_holds_what_was_chosen_with_likely_ones_first(rows: list[tuple[str, float]]) -> None:
    chosen = [ask(number, fold, score) for number, (fold, score) in enumerate(rows)]
    found = arranged(chosen, Random(3))
    assert sorted(found) == sorted(chosen)
    scores = [one.score for one in found if one.score > 0 and not one.fold]
    assert scores == sorted(scores, reverse=True)
    numbers = fold_numbers([one.fold for one in found])
    for number in set(numbers) - {0}:
        places = [place for place, one in enumerate(numbers) if one == number]
        assert places == list(range(places[0], places[-1] + 1))


def test_a_known_answer_is_never_folded_into_others() -> None:
    found = arranged([ask(1, "a"), ask(2, "a"), ask(3, "a", role="gold")], Random(0))
    assert [one.role for one in found] in (["ask", "ask", "gold"], ["gold", "ask", "ask"])


def test_every_fourth_is_with_somebody_else_and_the_rest_comes_last() -> None:
    assert shared("abcdef", "XYZ") == list("XabcYdefZ")
    assert shared("abcdef", "") == list("abcdef")
    assert shared("", "XY") == ["X", "Y"]


def test_who_is_asked_the_same_is_mixed_in_the_same_and_the_secret_decides_what() -> None:
    known = range(1000, 1040)
    found = beside(known, range(44), b"secret", 4)
    assert beside(reversed(known), list(range(44))[::-1], b"secret", 4) == found
    assert len(set(found) & set(known)) == 4
    assert beside(known, range(44), b"another", 4) != found
    assert beside(known, range(44), b"secret", 3) == found[:3]


def test_of_other_questions_other_known_answers_come_as_often_as_questions_do() -> None:
    known = range(10_000, 11_000)
    pages = [range(start, start + 44) for start in (0, 22, 500)]
    first, half, none = (set(beside(known, page, b"s", 22)) for page in pages)
    assert 4 <= len(first & half) <= 18, "half of the questions are on both"
    assert len(first & none) <= 3


def test_few_known_answers_and_few_questions_do() -> None:
    assert beside([], range(44), b"s", 4) == []
    assert beside([7, 9], [1], b"s", 4) in ([7, 9], [9, 7])
    assert beside([7, 9], [], b"s", 4) == []
