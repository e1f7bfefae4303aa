"""When somebody is paused."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import median

import pytest

from pictus.annotate.desk.conduct import Known, Limits, Worked, is_guessing, latest_known, reason_to_pause

FINE = Worked(48, 60.0, "", "no,yes")
LIMITS = Limits()


@pytest.mark.parametrize(
    ("rights", "wrongs", "expected"),
    # 6.21 = log 500; a wrong one adds log(.5 / .25) = .693, a right one takes log(.75 / .5) = .405
    [(0, 8, False), (0, 9, True), (10, 14, False), (10, 15, True), (57, 43, True), (58, 42, False), (0, 0, False)],
)
def test_known_answers_are_weighed_as_wald_says(rights: int, wrongs: int, *, expected: bool) -> None:
    page = FINE._replace(golds=rights + wrongs, rights=rights)
    assert bool(reason_to_pause([page], LIMITS)) is expected
    assert is_guessing(Known(rights + wrongs, rights, 0), Limits(accuracy=0)) is False


def test_unsure_is_left_out_but_not_without_end() -> None:
    assert Known(10, 9, 20).wrongs == 1
    assert Known(10, 9, 23).wrongs == 4
    assert is_guessing(Known(0, 0, 9), LIMITS), "who never answers is judged too"
    told = reason_to_pause([FINE._replace(golds=20, rights=2, unsures=5)], LIMITS)
    assert told.startswith("2 of 25 pictures whose answer is known were answered right (5 were left unsure): of people")


def test_the_latest_known_answers_count_whole_pages_of_them() -> None:
    good, bad = FINE._replace(golds=4, rights=4), FINE._replace(golds=3, rights=0, unsures=1)
    assert latest_known([good] * 30, 100) == (100, 100, 0)
    assert latest_known([bad] * 20 + [good] * 300, 100) == (80, 20, 20)
    assert reason_to_pause([bad] * 20 + [good] * 300, LIMITS), "what was good long ago excuses nobody"
    assert not reason_to_pause([good] * 300 + [bad] * 20, LIMITS)


def paused_after(chance: random.Random, right: Callable[[int], float], unsure: float, pages: int) -> int:
    """Pages of four known answers until the pause; 0 for none. right: P(right) by how many were seen before."""
    done: list[Worked] = []
    for page in range(pages):
        said = [chance.random() >= unsure for _ in range(4)]
        rights = sum(one and chance.random() < right(4 * page + place) for place, one in enumerate(said))
        done.insert(0, FINE._replace(golds=sum(said), rights=rights, unsures=4 - sum(said)))
        if is_guessing(latest_known(done, LIMITS.latest), LIMITS):
            return page + 1
    return 0


@pytest.mark.parametrize(("accuracy", "unsure"), [(0.75, 0.0), (0.75, 0.3), (0.85, 0.3)])
def test_of_a_thousand_honest_people_at_most_ten_are_paused_within_a_hundred_pages(
    accuracy: float, unsure: float
) -> None:
    # By benchmarks/pauses.py 4 or 5 of a thousand at .75, none at .85; 250 people here.
    chance = random.Random(5)
    assert sum(paused_after(chance, lambda _: accuracy, unsure, 100) > 0 for _ in range(250)) <= 2


def test_who_is_half_right_is_paused_after_about_ten_pages() -> None:
    chance = random.Random(6)
    found = [paused_after(chance, lambda _: 0.5, 0.0, 100) for _ in range(500)]
    assert all(found), "all of them are, sooner or later"
    assert median(found) <= 11  # 18 by a 95 % interval that had to end below .6


@pytest.mark.parametrize(
    ("pages", "word"),
    [
        ([Worked(48, 7.1, "", "")] * 3, "too fast"),
        ([Worked(48, 7.3, "", "")] * 3, ""),
        ([Worked(48, 1.0, "", "")] * 2, ""),
        ([Worked(13, 1.0, "", "")] * 3, ""),
        ([Worked(48, 1.0, "", ""), FINE, FINE], ""),
        ([Worked(48, 1.0, "", "")] * 3 + [FINE] * 9, "too fast"),
        ([Worked(48, 60, "no", "no,yes")] * 3, "whatever was on the pictures"),
        ([Worked(48, 60, "no", "no")] * 3, ""),
        ([Worked(48, 60, "no", "yes"), Worked(48, 60, "yes", "no"), Worked(48, 60, "no", "")], ""),
    ],
)
def test_too_fast_and_always_the_same_look_back_on_three_pages(pages: list[Worked], word: str) -> None:
    found = reason_to_pause(pages, LIMITS)
    assert bool(found) == bool(word)
    assert word in found


def test_a_line_of_zero_is_not_drawn() -> None:
    assert reason_to_pause([Worked(48, 0.0, "", "")] * 3, Limits(fast_s=0)) == ""
    assert reason_to_pause([Worked(48, 0.0, "", "", 40, 0, 0)] * 3, Limits(accuracy=0, fast_s=0, pages=0)) == ""
