from __future__ import annotations

import copy

from pictus.errors import PictureError, UserError, bad_rows, clipped, counted


def test_an_error_says_what_and_what_to_type() -> None:
    assert str(UserError("It is broken.", fix="mend it")) == "It is broken.\nfix: mend it"
    assert str(UserError("It is broken.")) == "It is broken."


def test_bad_rows_shows_the_first_twenty_and_the_count() -> None:
    text = bad_rows("labels.csv", [f"line {line}: no such class" for line in range(1, 31)], fix="correct them").what
    assert text.startswith("labels.csv: 30 bad rows.")
    assert "line 20" in text
    assert "line 21" not in text
    assert text.endswith("… and 10 more")


def test_errors_survive_the_way_back_from_a_worker() -> None:
    user, picture = copy.copy(UserError("a", fix="b")), copy.copy(PictureError("truncated", "at byte 7"))
    assert (user.what, user.fix) == ("a", "b")
    assert (picture.cause, picture.detail) == ("truncated", "at byte 7")


def test_an_echoed_value_is_short_one_line_and_plain() -> None:
    assert clipped("owl") == "'owl'"
    assert clipped(b"owl \xff") == "'owl \N{REPLACEMENT CHARACTER}'"
    assert clipped("two\nlines\x00") == "'two lines\N{REPLACEMENT CHARACTER}'"
    assert clipped("x" * 80) == f"'{'x' * 80}'"
    assert clipped("x" * 300_000) == f"'{'x' * 60}…' (300,000 characters)"


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(count, "picture") for count in (0, 1, 2, 1200)] == [
        "0 pictures", "1 picture", "2 pictures", "1,200 pictures"
    ]  # fmt: skip
    assert counted(2, "class", "classes") == "2 classes"
    assert bad_rows("labels.csv", ["line 2: no"], fix="mend").what.startswith("labels.csv: 1 bad row.")
