"""When somebody is paused."""

from __future__ import annotations

import pytest

from pictus.annotate.desk.conduct import Limits, Worked, reason_to_pause

FINE = Worked(48, 60.0, "", "no,yes")


@pytest.mark.parametrize(
    ("golds", "rights", "expected"),
    [(19, 0, False), (20, 0, True), (20, 12, False), (100, 48, True), (100, 52, False), (0, 0, False)],
)
def test_wrong_is_only_who_surely_is(golds: int, rights: int, *, expected: bool) -> None:
    # Wilson's upper end: 12 of 20 -> .78, 48 of 100 -> .577, 52 of 100 -> .615; the line is .6
    assert bool(reason_to_pause(golds, rights, [FINE], Limits())) is expected


@pytest.mark.parametrize(
    ("pages", "word"),
    [
        ([Worked(48, 7.1, "", "")] * 3, "too fast"),
        ([Worked(48, 7.3, "", "")] * 3, ""),
        ([Worked(48, 1.0, "", "")] * 2, ""),
        ([Worked(13, 1.0, "", "")] * 3, ""),
        ([Worked(48, 1.0, "", ""), FINE, FINE], ""),
        ([Worked(48, 60, "no", "no,yes")] * 3, "whatever was on the pictures"),
        ([Worked(48, 60, "no", "no")] * 3, ""),
        ([Worked(48, 60, "no", "yes"), Worked(48, 60, "yes", "no"), Worked(48, 60, "no", "")], ""),
    ],
)
def test_too_fast_and_always_the_same_look_back_on_three_pages(pages: list[Worked], word: str) -> None:
    found = reason_to_pause(0, 0, pages, Limits())
    assert bool(found) == bool(word)
    assert word in found


def test_a_line_of_zero_is_not_drawn() -> None:
    assert reason_to_pause(0, 0, [Worked(48, 0.0, "", "")] * 3, Limits(fast_s=0)) == ""
