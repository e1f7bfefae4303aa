from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console

from pictus import output
from pictus.errors import UserError
from pictus.output import Column, fitted, in_the_middle
from pictus.registry import Outcome

ADDRESS = "https://pictures.example.org/a/very/long/way/down/to/the/picture/of/an/owl/in/flight-0001.jpg"


@dataclass(frozen=True)
class Line:
    address: str
    cause: str
    n_tries: int
    share: float | None
    attempted_at: str


def printed(records: list[Line], width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, soft_wrap=True)
    output._print_records(console, Outcome("x", {}, source=lambda: iter(records)))
    return out.getvalue().splitlines()


def test_a_table_fits_the_terminal_and_an_address_keeps_both_ends() -> None:
    lines = printed([Line(ADDRESS, "timeout", 3, None, "2026-01-01T00:00:00Z")] * 2, 80)
    assert len(lines) == 4  # a header of two lines, since "n tries" breaks; no row is wrapped
    assert max(map(len, lines)) <= 80
    assert lines[2].startswith("https://pict")
    assert "light-0001.jpg  timeout" in lines[2]
    wide = printed([Line(ADDRESS, "timeout", 3, 0.5, "2026-01-01T00:00:00Z")], 160)
    assert ADDRESS in wide[1]


def test_what_is_unknown_is_a_dash_and_a_column_of_nothing_else_is_left_out() -> None:
    one, other = Line("a", "ok", 1, None, ""), Line("b", "ok", 1, 0.25, "")
    lines = printed([one, other], 80)
    assert [line.split()[-1] for line in lines] == ["share", "–", "0.25"]
    assert "share" not in printed([one], 80)[0]
    assert "nan" not in "".join(printed([Line("a", "ok", 1, float("nan"), ""), other], 80))


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(ADDRESS * 4, "timeout", 3, 0.5, "2026-01-01T00:00:00Z")
    output.print_outcome(Outcome("x", {}, "one", source=lambda: iter([line])), with_records=True)
    said = capsys.readouterr()
    headline, header, row = said.out.splitlines()
    assert (headline, header.split()[-2:], row.split()[0]) == ("one", ["attempted", "at"], ADDRESS * 4)
    assert said.err == ""


def test_quiet_says_nothing_but_that_it_was_in_vain(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [Line(str(number), "ok", 1, 0.5, "") for number in range(output.SHOWN_RECORDS + 1)]
    outcome: Outcome[Any] = Outcome("x", {}, "done", ("it leaks",), ("pictus status",), source=lambda: iter(lines))
    output.print_outcome(outcome, with_records=True)
    loud = capsys.readouterr()
    output.print_outcome(outcome, with_records=True, is_quiet=True)
    quiet = capsys.readouterr()
    assert (quiet.out, quiet.err) == (loud.out, "")
    assert loud.err.splitlines() == ["the first 50; --jsonl gives all", "! it leaks", "next: pictus status"]
    output.print_outcome(Outcome("x", {}, "nothing came", is_vain=True), with_records=False, is_quiet=True)
    assert capsys.readouterr().err == "error: nothing came\n"


def test_a_log_hears_of_work_without_an_end_only_when_it_takes_long() -> None:
    told = io.StringIO()
    with output._LineMeter("planning", None, Console(file=told)).telling() as meter:
        meter.advance()
    assert told.getvalue() == ""
    said = threading.Event()

    class Log(io.StringIO):
        def write(self, text: str) -> int:
            said.set()
            return super().write(text)

    log = Log()
    with output._LineMeter("planning", None, Console(file=log)).telling(wait_s=0.0):
        assert said.wait(30)
    assert log.getvalue().split() == ["planning", "…"]


def test_columns_that_cannot_fit_go_from_the_right() -> None:
    columns = [Column(f"number {place}", ("1234567",), True) for place in range(20)]
    found = fitted(columns, 80)
    assert [column.header for column in found] == [f"number\n{place}" for place in range(len(found))]
    roomy = fitted([Column("n compared", ("7",), True), Column("who", ("a" * 40,), False)], 80)
    assert [column.header for column in roomy] == ["n compared", "who"], "there is room for it on one line"
    counts = [Column("n compared", ("7",), True), Column("n copied", ("7",), True)]
    broken = fitted([*counts, Column("who", ("a" * 60,), False)], 80)
    assert [column.header for column in broken] == ["n\ncompared", "n copied", "who"], "no more than is needed"
    assert sum(column.width + 2 for column in found) - 2 <= 80
    assert len(found) == 9  # 9 * 7 + 8 * 2 = 79


def test_the_middle_of_a_text_goes_first() -> None:
    assert in_the_middle("abcdefghij", 10) == "abcdefghij"
    assert in_the_middle("abcdefghij", 6) == "abc…ij"
    assert in_the_middle("abcdefghij", 5) == "ab…ij"


def test_what_is_not_a_number_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ({"loss": float("nan"), "tree": {"low": [float("-inf"), 1.5]}},)
    outcome: Outcome[Any] = Outcome("x", {"loss": float("inf"), "n": 1}, source=lambda: iter(rows))
    output.print_json(outcome)
    output.print_jsonl(outcome)
    first, second = capsys.readouterr().out.splitlines()
    assert '"summary": {"loss": null, "n": 1}' in first
    assert second == '{"loss": null, "tree": {"low": [null, 1.5]}}'


def test_colons_are_never_made_into_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (Line("root:x:0:0", ":dog:", 1, None, ""),)
    outcome: Outcome[Any] = Outcome("x", {}, "a concept :dog:", (":x:",), (":cat:",), source=lambda: iter(lines))
    output.print_outcome(outcome, with_records=True)
    said = capsys.readouterr()
    assert "a concept :dog:" in said.out
    assert "root:x:0:0  :dog:" in said.out
    assert "! :x:" in said.err
    assert "next: :cat:" in said.err
    output.print_error(UserError(":dog: is not there", fix=":owl:"), as_json=False)
    assert "error: :dog: is not there" in capsys.readouterr().err
    told = io.StringIO()
    console = Console(file=told, width=120, force_terminal=True, emoji=False)
    with output.TerminalProgress(console).track("reading :dog: [red]", 2) as meter:
        meter.say(":x: [bold]")
        meter.advance()
    assert "reading :dog: [red]" in told.getvalue()
    assert ":x: [bold]" in told.getvalue()


def test_what_was_in_vain_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_outcome(Outcome("x", {}, "nothing came", is_vain=True), with_records=False)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "error: nothing came\n")


def test_a_log_hears_of_long_work_now_and_then_and_of_quick_work_nothing() -> None:
    told, at = io.StringIO(), [0.0]
    meter = output._LineMeter("adding", 100, Console(file=told), clock=lambda: at[0])
    for _ in range(100):
        meter.advance()
    assert told.getvalue() == ""
    told, at = io.StringIO(), [0.0]
    meter = output._LineMeter("adding", 100, Console(file=told), clock=lambda: at[0])
    for _ in range(100):
        at[0] += 0.4
        meter.advance()
    assert told.getvalue().splitlines() == [f"adding {done}/100" for done in (13, 26, 39, 52, 65, 78, 91)]


def test_a_long_note_stands_below_its_bar_and_breaks_between_its_parts() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None, legacy_windows=False)
    note = "epoch 15/118 · loss 1.23 · best top-1 73.1% · 1,234 pictures/s · 1.2 GB · waits 3% · 3.2 min left"
    with output.TerminalProgress(console).track("train a-run-with-a-long-name", 12345) as meter:
        meter.advance(4321)
        meter.say(note)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split("[\r\n]", out.getvalue())]
    assert max(map(len, lines)) <= 80
    first, second = output.folded(note, 80)
    assert (first.endswith("1.2 GB"), second) == (True, "waits 3% · 3.2 min left")
    assert {first, second} <= {line.rstrip() for line in lines}
    assert output.folded("one part that is longer", 8) == ["one part that is longer"]
