"""A rule's review: every whole picture from the worst to the best, where the line lies, and what it drops there.

Sorted once per state of the tables (29 bytes a picture); each question about a line is then a binary search,
so that a line can be moved over 1 M pictures as fast as a key repeats.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pictus.project import Project
from pictus.tables import SCHEMAS
from pictus.web.wall import Wall

KEPT, DROPPED, ELSEWHERE, RESTORED = range(4)
"""What holds for a picture now: kept, dropped or flagged by this rule, dropped by another one, restored by a person."""

FATES = ("kept", "dropped", "elsewhere", "restored")
BINS = 40
SHEETS = 6
"""So many orders are kept: a person looks at a few rules at a time."""
DIGITS = 12
NUMBERS = (pa.float64(), pa.float32(), pa.int32(), pa.int64(), pa.bool_())

Values = npt.NDArray[np.float64]


class Line(NamedTuple):
    """One rule as the last screen drew it. `origin`: pool | guard | option | off, a word of `clean screen`."""

    rule: str
    measure: str
    is_upper: bool
    line: float
    origin: str
    edges: tuple[float, ...]
    is_flag: bool = False  # what lies beyond is kept and said to be so

    @property
    def is_log(self) -> bool:
        """Whether the histogram's bins grow by a factor and not by a step."""
        if len(self.edges) < 3 or self.edges[0] <= 0:  # noqa: PLR2004  two bins tell a factor from a step
            return False
        first, last = (self.edges[one + 1] - self.edges[one] for one in (0, len(self.edges) - 2))
        return last > 1.001 * first


@dataclass(frozen=True)
class Sheet:
    """The pictures of one rule, the worst first. values f64[N]; rows u32[N] of the wall's table; fates u8[N]."""

    values: Values
    rows: npt.NDArray[np.uint32]
    fates: npt.NDArray[np.uint8]
    before: npt.NDArray[np.uint32]  # [4, N + 1]: how many of each fate lie before a place
    is_upper: bool
    is_flag: bool = False

    def beyond(self, line: float) -> int:
        """How many pictures the line cuts off."""
        if self.is_upper:  # from high to low
            return int(np.searchsorted(-self.values, -line, side="left"))
        return int(np.searchsorted(self.values, line, side="left"))

    def line_before(self, place: int) -> float:
        """The shortest number that cuts off the first `place` pictures; between equal ones the cut goes before them."""
        total = len(self.values)
        place = min(max(place, 0), total)
        if not total:
            return 0.0
        outwards = 1 if self.is_upper else -1
        if place == total:  # all of them: a line past the last one
            last = float(self.values[-1])
            return _short(last - outwards * (abs(last) * 0.01 + 1e-6), last)
        kept = float(self.values[place])
        cut = float(self.values[place - 1]) if place else kept + outwards * (abs(kept) * 0.01 + 1e-6)
        return _short(kept, cut)

    def moved(self, line: float, by: int) -> float:
        """The line that lies `by` pictures further in; over equal ones it steps as a whole."""
        now = self.beyond(line)
        wanted = min(max(now + by, 0), len(self.values))
        if not by or not len(self.values):
            return line
        found = self.beyond(self.line_before(wanted))
        if found <= now and by > 0:  # among equal ones: past the last of them
            wanted = self._after(wanted)
        return self.line_before(wanted)

    def _after(self, place: int) -> int:
        """The first place whose value differs from the one at `place - 1`."""
        value = self.values[max(place - 1, 0)]
        if self.is_upper:
            return int(np.searchsorted(-self.values, -value, side="right"))
        return int(np.searchsorted(self.values, value, side="right"))

    def counts(self, line: float, now: float, *, is_off: bool) -> dict[str, int]:
        """What a line drops or flags, beside the line `now` (nothing where the rule is off)."""
        place, held = self.beyond(line), 0 if is_off else self.beyond(now)
        within = {name: int(self.before[fate, place]) for fate, name in enumerate(FATES)}
        return {
            "beyond": place, "by_it": int(self.before[DROPPED, -1]),  # now, as the verdicts say
            "dropped": self._taken(place), "change": self._taken(place) - self._taken(held),
            "newly": within["kept"],
            "elsewhere": within["elsewhere"], "restored": within["restored"],
            "back": int(self.before[DROPPED, -1]) - within["dropped"], "total": len(self.values),
        }  # fmt: skip

    def _taken(self, place: int) -> int:
        """How many before a place the rule takes: not what was restored, and a flag stands on nothing dropped."""
        spared = int(self.before[RESTORED, place])
        return place - spared - (int(self.before[ELSEWHERE, place]) if self.is_flag else 0)


class Review:
    """The sheets of one project, kept until something is written."""

    def __init__(self, project: Project, wall: Wall) -> None:
        self._project = project
        self._wall = wall
        self._rows: pa.Table | None = None
        self._measures: dict[str, Values] = {}
        self._sheets: dict[tuple[str, bool, tuple[str, ...], tuple[str, ...]], Sheet] = {}
        self._lock = threading.Lock()

    def sheet(self, line: Line, concepts: Sequence[str] = (), without: Sequence[str] = ()) -> Sheet:
        """Every whole picture of the pool, or of `concepts`, by this rule's measure; not those of `without`."""
        key = (line.rule, line.is_upper, tuple(concepts), tuple(without))
        with self._lock:
            rows = self._wall.rows()
            if rows is not self._rows:
                self._rows, self._measures, self._sheets = rows, {}, {}
            found = self._sheets.pop(key, None)
            if found is None:
                if line.measure not in self._measures:
                    self._measures[line.measure] = _measured(self._project, rows, line.measure)
                found = _sorted(rows, self._measures[line.measure], line, (concepts, without))
            self._sheets[key] = found
            while len(self._sheets) > SHEETS:
                del self._sheets[next(iter(self._sheets))]
            return found

    def pictures(self, sheet: Sheet, offset: int, count: int) -> list[dict[str, Any]]:
        """What the wall shows of `count` pictures from a place on."""
        chosen = sheet.rows[offset : offset + count]
        columns = ["image_id", "width", "height", "rule", "label", "claim"]
        rows = self._wall.rows().select(columns).take(pa.array(chosen)).to_pylist()
        places = range(offset, offset + len(rows))
        return [
            row | {"value": float(sheet.values[place]), "fate": FATES[sheet.fates[place]]}
            for row, place in zip(rows, places, strict=True)
        ]


def histogram(sheet: Sheet, line: Line) -> tuple[list[float], list[int]]:
    """(edges, counts): the rule's own bins where it has them, stretched to hold every picture and the line."""
    if not len(sheet.values):
        return [], []
    held = [*line.edges[:1], *line.edges[-1:], *([line.line] if line.origin != "off" else [])]
    low, high = min(float(sheet.values.min()), *held), max(float(sheet.values.max()), *held)
    if line.is_log and high > 0:
        low = max(low, 1e-3)
        edges = np.geomspace(low, max(high, low * 1.01), BINS + 1)
    else:
        edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    counts = np.histogram(np.clip(sheet.values, edges[0], edges[-1]), edges)[0]
    return [float(edge) for edge in edges], [int(count) for count in counts]


def line_of(found: Mapping[str, Any]) -> Line:
    """One entry of `lines` in the event pictures_screened."""
    return Line(
        str(found["rule"]), str(found["measure"]), bool(found["is_upper"]), float(found["line"]),
        str(found["origin"]), tuple(float(edge) for edge in found["edges"]), bool(found.get("is_flag", False)),
    )  # fmt: skip


def measure_columns(measure: str) -> tuple[str, ...]:
    """The columns of `checks` that a rule's measure is made of; none where it is not known here."""
    if measure == "short side":
        return ("width", "height")
    schema = SCHEMAS["checks"]
    name = measure.replace(" ", "_").replace("-", "_")
    return (name,) if name in schema.names and schema.field(name).type in NUMBERS else ()


def values_of(checks: pa.Table, measure: str) -> Values:
    """f64[N]: a rule's measure of every row."""
    columns = [
        checks.column(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in measure_columns(measure)
    ]
    if measure == "jpeg_quality":  # 0 says that it is no JPEG: not compressed as one, as `clean screen` takes it
        columns[0][columns[0] == 0] = 100
    found: Values = np.minimum(*columns) if len(columns) == 2 else columns[0]  # noqa: PLR2004  both sides
    return found


def _measured(project: Project, rows: pa.Table, measure: str) -> Values:
    """f64[N] for the wall's N pictures; NaN for what is not measured or cannot be decoded."""
    names = ["image_id", *measure_columns(measure)]
    checks = project.tables.read("checks", names, where="cause = ''")
    found = np.full(rows.num_rows, np.nan)
    place = pc.index_in(rows.column("image_id"), value_set=checks.column("image_id").combine_chunks())
    place = place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place
    is_there = pc.is_valid(place).to_numpy(zero_copy_only=False)
    found[is_there] = values_of(checks, measure)[pc.drop_null(place).to_numpy()]
    return found


def _sorted(rows: pa.Table, values: Values, line: Line, within: tuple[Sequence[str], Sequence[str]]) -> Sheet:
    chosen = np.isfinite(values)
    for concepts, is_wanted in zip(within, (True, False), strict=True):
        if concepts:
            ids = pa.array(concepts, pa.string())
            chosen &= pc.is_in(rows.column("own_concept"), value_set=ids).to_numpy(zero_copy_only=False) == is_wanted
    numbers = np.flatnonzero(chosen)
    order = np.argsort(-values[numbers] if line.is_upper else values[numbers], kind="stable")
    numbers = numbers[order]
    fates = _fates(rows, line.rule)[numbers]
    before = np.zeros((len(FATES), len(fates) + 1), np.uint32)
    for fate in range(len(FATES)):
        np.cumsum(fates == fate, dtype=np.uint32, out=before[fate, 1:])
    return Sheet(values[numbers], numbers.astype(np.uint32), fates, before, line.is_upper, line.is_flag)


def _fates(rows: pa.Table, rule: str) -> npt.NDArray[np.uint8]:
    is_dropped = pc.equal(rows.column("verdict"), "drop").to_numpy(zero_copy_only=False)
    is_own = pc.equal(rows.column("rule"), rule).to_numpy(zero_copy_only=False)
    is_restored = pc.equal(rows.column("rule"), "restored").to_numpy(zero_copy_only=False)
    fates = np.where(is_own, DROPPED, np.where(is_dropped, ELSEWHERE, KEPT)).astype(np.uint8)
    fates[is_restored] = RESTORED
    return fates


def _short(kept: float, cut: float) -> float:
    """A number of few digits from `kept` (itself allowed) towards `cut` (not allowed), so that it can be typed."""
    middle = (kept + cut) / 2
    first = -math.floor(math.log10(max(abs(middle), 1e-9)))
    for digits in range(first, first + DIGITS):
        found = round(middle, digits)
        if min(kept, cut) < found < max(kept, cut) or found == kept:
            return found
    return kept
