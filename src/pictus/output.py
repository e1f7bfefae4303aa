"""How the command line speaks: results on stdout, talk (progress, warnings) on stderr."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from itertools import islice
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pictus.errors import UserError
from pictus.progress import Meter
from pictus.registry import Outcome

SHOWN_RECORDS = 50
"""Rows of a table for people; --jsonl gives all."""

UNCUT = 100_000
"""Columns where stdout is not a terminal: a file or another program has no width, nothing is cut for it."""

SHORTEST = 24
"""No column of text is made narrower."""

QUIET_S = 5.0
"""Seconds between two lines of progress in a log: quick work ends without any."""

GAP = 2
"""Spaces between two columns."""

PART = " · "
"""Between the parts of a note."""

ROOMY = 100
"""Columns from which on a bar has its full length."""

UNKNOWN = "–"

HIDDEN_COLUMNS = frozenset({"pdq", "phash", "dhash", "pixel_sha256", "concepts"})


class _BarMeter:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, count: int = 1) -> None:
        self._bars.advance(self._task, count)

    def say(self, note: str) -> None:
        self._bars.update(self._task, note=note)


class TerminalProgress:
    """Bars with count, rate and time left on stderr; plain lines where stderr is not a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def track(self, label: str, total: int | None) -> Iterator[Meter]:
        if not self._console.is_terminal:
            with _LineMeter(label, total, self._console).telling() as meter:
                yield meter
            return
        is_narrow = self._console.width < ROOMY
        columns = (
            SpinnerColumn(), TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10 if is_narrow else 24), TaskProgressColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(),
        )  # fmt: skip
        with _Bars(*columns, console=self._console, transient=True) as bars:
            yield _BarMeter(bars, bars.add_task(in_the_middle(label, 22) if is_narrow else label, total=total, note=""))


class _Bars(Bars):
    """Bars with the note of each below it, broken between its parts where the terminal is narrow."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["note"]:
                yield Text("\n".join(folded(task.fields["note"], self.console.width)), style="dim")


def folded(note: str, width: int) -> list[str]:
    """A note of parts with ` · ` between in lines of at most `width`, as far as its parts are no longer."""
    lines: list[str] = []
    for part in note.split(PART):
        if lines and cell_len(lines[-1]) + cell_len(PART) + cell_len(part) <= width:
            lines[-1] += PART + part
        else:
            lines.append(part)
    return lines


class _LineMeter:
    """One line at each tenth, and no sooner than QUIET_S after the last: readable in a log.

    Of work without tenths one line once it has taken QUIET_S; of quick work none at all.
    """

    def __init__(
        self, label: str, total: int | None, console: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._total, self._console = label, total, console
        self._clock, self._said_at = clock, clock()
        self._done, self._tenth, self._note = 0, 0, ""

    @contextmanager
    def telling(self, wait_s: float = QUIET_S) -> Iterator["_LineMeter"]:
        """While it lasts: says that work without tenths goes on."""
        timer = threading.Timer(wait_s, self._say_it_goes_on)
        timer.daemon = True
        if self._total is None:
            timer.start()
        try:
            yield self
        finally:
            timer.cancel()

    def _say_it_goes_on(self) -> None:
        self._console.print(f"{self._label} …", markup=False, highlight=False)

    def advance(self, count: int = 1) -> None:
        self._done += count
        if not self._total or self._done * 10 // self._total <= self._tenth:
            return
        if (at := self._clock()) - self._said_at >= QUIET_S:
            self._said_at, self._tenth = at, self._done * 10 // self._total
            note = f"  {self._note}" if self._note else ""
            self._console.print(f"{self._label} {self._done:,}/{self._total:,}{note}", markup=False, highlight=False)

    def say(self, note: str) -> None:
        self._note = note


def talk() -> Console:
    """Where progress, warnings and errors go: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)  # `:x:` in a file stays what it is


def print_error(error: UserError, *, as_json: bool) -> None:
    """What is wrong and what to type, on stderr; with `as_json` as data on stdout, in the HTTP API's shape."""
    if as_json:
        sys.stdout.write(json.dumps({"error": {"what": error.what, "fix": error.fix}}) + "\n")
        return
    console = talk()
    console.print(f"[bold red]error:[/] {escape(error.what)}")
    if error.fix:
        console.print(f"[bold]fix:[/] {escape(error.fix)}")


def outcome_json(outcome: Outcome[Any]) -> dict[str, Any]:
    """The one JSON shape of a step's result, for --json and for the HTTP API."""
    return {
        "step": outcome.step,
        "headline": outcome.headline,
        "summary": _plain(outcome.summary),
        "problems": list(outcome.problems),
        "next": list(outcome.next),
    }


def record_json(record: Any) -> dict[str, Any]:  # noqa: ANN401  any record
    """One record as plain JSON: bytes in hex, tuples as lists, what is not a number as null."""
    values = asdict(record) if is_dataclass(record) and not isinstance(record, type) else dict(record)
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401  any part of a record
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no nan and no infinity
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value.hex() if isinstance(value, bytes) else value


def print_json(outcome: Outcome[Any]) -> None:
    sys.stdout.write(json.dumps(outcome_json(outcome), default=str, allow_nan=False) + "\n")


def print_jsonl(outcome: Outcome[Any]) -> None:
    for record in outcome:
        sys.stdout.write(json.dumps(record_json(record), default=str, allow_nan=False) + "\n")


def print_outcome(
    outcome: Outcome[Any], *, with_records: bool, says_next: bool = True, is_quiet: bool = False
) -> None:
    """For people: the headline, the records of a reading step, problems, what to type next.

    is_quiet: nothing on stderr but that it was in vain.

    A headline of several lines is a step's own drawing of its records: no table is added to it.
    """
    console = Console(
        highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else UNCUT
    )
    if outcome.is_vain:
        talk().print(f"[bold red]error:[/] {escape(outcome.headline)}")
    elif outcome.headline:
        console.print(outcome.headline, markup=False)
    else:
        for name, value in outcome.summary.items():
            if not isinstance(value, (dict, list)):
                console.print(f"  {name.replace('_', ' ')}: {value}", markup=False)
    if with_records and "\n" not in outcome.headline:
        _print_records(console, outcome, is_quiet=is_quiet)
    if is_quiet:
        return
    warn = talk()
    for problem in outcome.problems:
        warn.print(f"[yellow]![/] {escape(problem)}")
    for index, command in enumerate(outcome.next if says_next else ()):
        warn.print(f"[dim]{'next:' if index == 0 else '     '}[/] {escape(command)}")


def _print_records(console: Console, outcome: Outcome[Any], *, is_quiet: bool = False) -> None:
    records = list(islice(iter(outcome), SHOWN_RECORDS + 1))
    if not records:
        return
    names = [entry.name for entry in fields(records[0]) if entry.name not in HIDDEN_COLUMNS]
    columns = [
        Column(
            name.replace("_", " "), tuple(_cell(getattr(record, name)) for record in records[:SHOWN_RECORDS]),
            any(isinstance(getattr(record, name), (int, float)) for record in records[:SHOWN_RECORDS]),
        )
        for name in names
    ]  # fmt: skip
    full = [column for column in columns if set(column.cells) - {"", UNKNOWN}]
    shown = fitted(full, console.width)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in shown:
        table.add_column(
            escape(column.header), justify="right" if column.is_number else "left", overflow="fold",
            no_wrap=column.is_number,
        )  # fmt: skip
    for row in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*map(escape, row))
    console.print(table, soft_wrap=False)
    hidden = ", ".join(column.header for column in full[len(shown) :])
    more = [f"the first {SHOWN_RECORDS}"] if len(records) > SHOWN_RECORDS else []
    more += [f"too narrow for: {hidden}"] if hidden else []
    if more and not is_quiet:
        talk().print(f"[dim]{escape('; '.join(more))}; --jsonl gives all[/]")


class Column(NamedTuple):
    """One column of a table for people."""

    header: str
    cells: tuple[str, ...]
    is_number: bool

    @property
    def width(self) -> int:
        return max(cell_len(line) for text in (self.header, *self.cells) for line in text.split("\n"))


def fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns made to fit: long texts lose their middle, headers break at spaces, the last columns go."""
    found = list(columns)
    while _total(found) > width:
        tall = max(range(len(found)), key=lambda number: _saved(found[number]))
        if not _saved(found[tall]):
            break
        found[tall] = _broken(found[tall])
    while _total(found) > width:
        texts = [number for number, column in enumerate(found) if not column.is_number and column.width > SHORTEST]
        if texts:
            widest = max(texts, key=lambda number: found[number].width)
            column = found[widest]
            others = [found[number].width for number in texts if found[number].width < column.width]
            most = max(SHORTEST, column.width - (_total(found) - width), max(others, default=0))
            cells = tuple(in_the_middle(cell, min(most, column.width - 1)) for cell in column.cells)
            found[widest] = column._replace(cells=cells, header=column.header[:most])
        elif len(found) > 1:
            found.pop()
        else:
            break
    return found


def _broken(column: Column) -> Column:
    return column._replace(header=column.header.replace(" ", "\n"))


def _saved(column: Column) -> int:
    """Columns of the terminal that its header gives back when it breaks at spaces."""
    return column.width - _broken(column).width


def in_the_middle(text: str, most: int) -> str:
    """A text of at most `most` signs: an address keeps its host and its file's name."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _cell(value: Any) -> str:  # noqa: ANN401  any field
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else UNKNOWN
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    text = str(value)
    return text[:12] if len(text) == 64 and all(c in "0123456789abcdef" for c in text) else text  # noqa: PLR2004  a sha256
