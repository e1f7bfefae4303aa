"""Time and money that are left, in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pictus
from pictus.annotate.queues.effort import Pay, Work, lasting, left_s, pay_of, words

GRID = Work("grid", 300, 50, 400.0, 2.0, 192, 3)
BOX = Work("box", 10, 0, 0.0, None, 0, 0)


@pytest.mark.parametrize(
    ("typed", "pay"),
    [
        ("15", Pay(15, "")), ("15 EUR", Pay(15, "EUR")), ("€15", Pay(15, "€", is_before=True)), ("15€", Pay(15, "€")),
        ("12,50", Pay(12.5, "")), ("1,200 JPY", Pay(1200, "JPY")), ("EUR 15", Pay(15, "EUR", is_before=True)),
        ("12.50 USD", Pay(12.5, "USD")),
    ],
)  # fmt: skip
def test_pay_is_read_as_people_type_it(typed: str, pay: Pay) -> None:
    assert pay_of(typed) == pay


def test_no_pay_is_none_and_nonsense_is_refused() -> None:
    assert pay_of("") is None
    for typed in ("much", "0", "-3", "1e999", "15 EUR 16", "nan", "3 4"):
        with pytest.raises(pictus.UserError, match="--pay"):
            pay_of(typed)


@given(st.text(max_size=40))
def test_whatever_is_typed_is_an_amount_or_refused(typed: str) -> None:
    try:
        found = pay_of(typed)
    except pictus.UserError:
        return
    assert found is None or 0 < found.an_hour < 1e9


def test_money_has_the_currency_where_it_was_typed_and_digits_that_say_something() -> None:
    assert Pay(15, "EUR").words(3.2) == "3.20 EUR"
    assert Pay(15, "€", is_before=True).words(1234.5) == "€1,234.50"
    assert Pay(15, "").words(0.0042) == "0.0042"
    assert Pay(15, "EUR").words(0.0313, 2) == "0.03 EUR", "beside 0.13 in a column"
    assert Pay(15, "€").words(0.5) == "0.50€"


def test_times_are_in_words() -> None:
    assert [lasting(one) for one in (1, 77, 26 * 60, 3.5 * 3600, 500 * 3600)] == [
        "1 second", "77 seconds", "26 minutes", "3.5 hours", "500 hours"
    ]  # fmt: skip


def test_the_rest_is_what_is_expected_at_the_pace_with_what_that_rests_on() -> None:
    assert left_s([GRID, BOX]) == 600
    assert words([GRID, BOX]) == [
        "about 10 minutes of work left (2.0 s an answer of grid, the median of 192 by 3 people)",
        "without box, which nobody has worked on yet",
    ]


def test_the_cost_is_of_the_rest_and_of_each_decided_question() -> None:
    # 600 s are a sixth of an hour; 400 s / 50 decided = 8 s of 15 EUR an hour
    told = words([GRID], Pay(15, "EUR"))
    assert told[1] == (
        "at 15.00 EUR an hour about 2.50 EUR for the rest; so far 0.0333 EUR for each decided question of grid"
    )


def test_nothing_is_guessed_where_nobody_has_worked() -> None:
    assert left_s([BOX]) is None
    assert words([BOX]) == ["how long it takes is told once somebody has worked on it (box)"]
    assert words([]) == []
    assert "an answer of \N{LEFT DOUBLE QUOTATION MARK}Is it?" in words([GRID], names={"grid": "Is it?"})[0]
    assert left_s([]) == 0
