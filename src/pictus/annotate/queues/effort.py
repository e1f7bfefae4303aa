"""How long what waits will take, and what it costs, from what people took so far. Pure.

    pace      median over pages of seconds / items, of each kind of question, over all people
    left      further answers expected * pace, summed over kinds; kinds that nobody has worked on are named
    cost      hours * pay; of one label: all seconds spent on a kind / questions of it that are decided

The median is of pages, so that one page left open over lunch moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pictus.errors import UserError, clipped, counted

HOUR_S = 3600

_AMOUNT = re.compile(r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?")
_LONGEST_CURRENCY = 12
_OWN: Mapping[str, str] = {}


class Pay(NamedTuple):
    """What people get for an hour. `currency` as it was typed, "" for none; `is_before`: it stood before the number."""

    an_hour: float
    currency: str
    is_before: bool = False

    def words(self, amount: float, places: int = 0) -> str:
        """An amount in it: "12.50 EUR", "€0.0042"; two digits that say something, two places at least. `places`: so
        many and no more, for a column of amounts.
        """
        places = places or (2 if amount >= 0.1 or not amount else 4 if amount >= 0.001 else 6)  # noqa: PLR2004  two digits
        text = f"{amount:,.{places}f}"
        gap = " " if self.currency[:1].isalpha() else ""
        return f"{self.currency}{gap}{text}" if self.is_before else f"{text}{gap}{self.currency}"

    def of(self, seconds: float) -> float:
        """What so many seconds cost."""
        return self.an_hour * seconds / HOUR_S


class Work(NamedTuple):
    """One kind of question: what was done, and what is to come."""

    kind: str
    expected: int  # further answers
    decided: int  # questions that are closed
    seconds: float  # spent on it by all
    pace_s: float | None  # median seconds of an answer; None where nobody has worked yet
    answers: int  # that the pace rests on
    people: int  # who gave them


def pay_of(text: str) -> Pay | None:
    """What --pay says: "15", "15 EUR", "€15", "12.50"; None for "". UserError for what is no amount."""
    if not text.strip():
        return None
    found = _AMOUNT.search(text)
    fix = '--pay 15    or    --pay "15 EUR"'
    if found is None or text.strip()[:1] == "-":
        raise UserError(f"--pay {clipped(text)} names no amount for an hour.", fix=fix)
    number, before, after = found[0], text[: found.start()].strip(), text[found.end() :].strip()
    if re.fullmatch(r"\d+,\d{1,2}", number):  # "12,50"
        number = number.replace(",", ".")
    amount = float(re.sub(r"[,' ]", "", number))
    currency = before or after
    is_odd = (before and after) or any(sign.isdigit() or not sign.isprintable() for sign in currency)
    if is_odd or len(currency) > _LONGEST_CURRENCY or not 0 < amount < 1e9:  # noqa: PLR2004  a yen has no more
        raise UserError(f"--pay {clipped(text)} is no amount for an hour.", fix=fix)
    return Pay(amount, currency, bool(before))


def left_s(works: Sequence[Work]) -> float | None:
    """Seconds that everything expected takes at the pace so far; None where no kind that waits has one."""
    known = [work.expected * work.pace_s for work in works if work.pace_s is not None and work.expected]
    return sum(known) if known else 0.0 if not any(work.expected for work in works) else None


def lasting(seconds: float) -> str:
    """A time in words, as exact as is of use: "77 seconds", "26 minutes", "3.5 hours"."""
    if seconds < 90:  # noqa: PLR2004  a minute and a half
        return counted(round(seconds), "second")
    if seconds < 1.5 * HOUR_S:
        return counted(round(seconds / 60), "minute")
    hours = seconds / HOUR_S
    return f"{hours:,.1f} hours" if hours < 100 else f"{hours:,.0f} hours"  # noqa: PLR2004  then a tenth says nothing


def words(works: Sequence[Work], pay: Pay | None = None, names: Mapping[str, str] = _OWN) -> list[str]:
    """The rest of the queue in sentences without full stops: time and what it rests on, what is not known, the cost.

    names: what pages call the kinds; without, by the words of the command line.
    """
    works = [work._replace(kind=f"\N{LEFT DOUBLE QUOTATION MARK}{names[work.kind]}\N{RIGHT DOUBLE QUOTATION MARK}")
             if work.kind in names else work for work in works]  # fmt: skip
    total = left_s(works)
    waiting = [work for work in works if work.expected]
    if not waiting:
        return []
    unknown = ", ".join(work.kind for work in waiting if work.pace_s is None)
    if total is None:
        return [f"how long it takes is told once somebody has worked on it ({unknown})"]
    timed = [work for work in waiting if work.pace_s is not None]
    rests = "; ".join(
        f"{_short(work.pace_s or 0.0)} an answer of {work.kind}, the median of {work.answers:,} by "
        f"{counted(work.people, 'person', 'people')}"
        for work in timed
    )  # fmt: skip
    told = [f"about {lasting(total)} of work left ({rests})"]
    if unknown:
        told.append(f"without {unknown}, which nobody has worked on yet")
    if pay:
        rest = f"at {pay.words(pay.an_hour)} an hour about {pay.words(pay.of(total))} for the rest"
        told.append(rest + _each(works, pay))
    return told


def _each(works: Sequence[Work], pay: Pay) -> str:
    """", 0.021 EUR for each decided question of grid so far"."""
    each = [
        f"{pay.words(pay.of(work.seconds / work.decided))} for each decided question of {work.kind}"
        for work in works if work.decided and work.seconds
    ]  # fmt: skip
    return f"; so far {', '.join(each)}" if each else ""


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  two digits
