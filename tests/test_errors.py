from __future__ import annotations

import copy

from pictus.errors import PictureError, UserError, bad_rows


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
