from __future__ import annotations

import pytest

from pictus.collect import causes


@pytest.mark.parametrize(
    ("cause", "is_final"),
    [
        ("http-404", True), ("http-403", True), ("http-408", False), ("http-429", False), ("http-500", False),
        ("http-203", False), ("http-206", False), ("http-304", True),
        ("http-503", False), ("robots", True), ("robots-unreachable", False), ("timeout", False), ("dns", False),
        ("not-an-image", True), ("truncated", False), ("private-address", True), ("a-new-cause", False),
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again(cause: str, is_final: bool) -> None:
    assert causes.is_final(cause) is is_final


def test_failures_are_told_most_frequent_first_with_what_to_change() -> None:
    told = causes.told({"ok": 90, "unchanged": 3, "dns": 2, "robots": 5, "http-404": 2})
    assert [line.partition(":")[0] for line in told] == ["5 × robots", "2 × dns", "2 × http-404"]
    assert told[2] == "2 × http-404: the picture is gone: correct the address or leave it out"


def test_an_answer_without_the_whole_picture_is_not_called_a_refusal() -> None:
    assert "whole picture" in causes.advice("http-206")
    assert "refuses" in causes.advice("http-403")


def test_a_bug_of_ours_is_told_as_one() -> None:
    assert causes.told({"ok": 9, "error": 1})[0].startswith("1 × error: a bug of Pictus: report")
    assert not causes.is_final("error")


def test_an_unknown_cause_leads_to_the_command_that_shows_its_details() -> None:
    assert causes.advice("a-new-cause").endswith("pictus collect status --jsonl")


def test_counts_stand_in_one_order_whatever_came_first() -> None:
    found = causes.counted(["b", "a", "c", "c"])
    assert list(found.items()) == [("c", 2), ("a", 1), ("b", 1)]
