"""What makes a picture unfit, and where the line lies. Pure: measurements in, cuts out.

A line is drawn from the pool itself: FENCE robust standard deviations (1.4826 × the median absolute
deviation) from the median, so that a clean pool loses nothing for being a pool, and is then held
between two guards, so that a bad pool does not excuse itself and a good one is not cut to its taste.
Measures that span decades (sharpness, aspect) are fenced on a log scale.

What is a fault of the picture drops it. What a person may want all the same (a frame can be cut off, a menu is a
page of text, an old file is compressed hard) or what is only guessed (an overlay) is a flag on a kept picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.errors import bad_rows
from pictus.registry import unknown

FENCE = 4.0
GREY_FROM = 0.99
"""Share of pixels without colour from which a picture is called grey. A flag: grey pictures are kept."""

_BINS = 40
_LINE_BINS = 24
_BARS = " ▁▂▃▄▅▆▇█"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """Drop what lies beyond the line: under it, or over it where `is_upper`. Guards: the line's least and most."""

    name: str
    measure: str
    words: str  # "is blurred: sharpness 3.1 is under 24.0"
    low_guard: float
    high_guard: float
    is_upper: bool = False
    is_log: bool = False
    share_of_median: float = 0.0  # instead of the fence
    is_flag: bool = False  # the picture is kept, and said to be so


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("tiny", "short side", "too few pixels", 16, 48, is_log=True, share_of_median=0.25),
        Rule("dark", "brightness", "almost black", 8, 14),
        Rule("bright", "brightness", "almost white", 245, 250, is_upper=True),
        Rule("blank", "contrast", "nothing to see", 3, 3),
        Rule("low-contrast", "contrast", "hardly any difference in light", 5, 8),
        Rule("blurred", "sharpness", "no sharp edge", 10, 30, is_log=True),
        Rule("low-entropy", "entropy", "few levels of light", 1, 2),
        Rule("odd-aspect", "aspect", "a strip", 3, 4, is_upper=True, is_log=True),
        Rule("text-heavy", "text_frac", "a page or a screenshot", 0.2, 0.2, is_upper=True, is_flag=True),
        Rule("overlay", "overlay", "writing laid over it", 0.2, 0.2, is_upper=True, is_flag=True),
        Rule("borders", "border_frac", "plain bars or a frame", 0.1, 0.1, is_upper=True, is_flag=True),
        Rule("compressed", "jpeg_quality", "compressed hard", 25, 25, is_flag=True),
        Rule("animated", "is_animated", "it moves, its first frame is judged", 0.5, 0.5, is_upper=True, is_flag=True),
        Rule("grey", "grey_frac", "no colour", GREY_FROM, GREY_FROM, is_upper=True, is_flag=True),
    )
}
"""In the order in which they are tried: the first that is broken is the reason. Sources: docs/clean.md."""

SWITCHES = ("opt-out", "leak")
"""Rules without a number, which `RULE=off` switches off."""


class Line(NamedTuple):
    """A line set by hand: of a rule, for every picture or for those of one concept. `value` None: the rule is off."""

    rule: str
    value: float | None
    concept: str = ""  # as it was typed
    is_pool: bool = False  # set back to what the pool itself gives; a switch: on again

    @property
    def text(self) -> str:
        """As it is typed after --line."""
        value = "pool" if self.is_pool else "off" if self.value is None else f"{self.value:.12g}"
        return f"{self.concept}:{self.rule}={value}" if self.concept else f"{self.rule}={value}"


class Cut(NamedTuple):
    """A rule with its line drawn, and the distribution it cuts."""

    rule: Rule
    line: float
    origin: str  # pool | guard | option | off
    median: float
    edges: list[float]  # of the histogram, one more than counts
    counts: list[int]

    def is_beyond(self, values: Values) -> npt.NDArray[np.bool_]:
        """bool[N]: which values the rule drops."""
        if self.origin == "off":
            return np.zeros(len(values), dtype=np.bool_)
        return values > self.line if self.rule.is_upper else values < self.line


def draw(measures: Mapping[str, Values], given: Mapping[str, float | None]) -> list[Cut]:
    """One cut per rule. `measures`: f64[N] by name; `given`: lines set by hand, None switches a rule off."""
    return [_cut(rule, measures[rule.measure], given) for rule in RULES.values()]


def read_lines(texts: Sequence[str]) -> list[Line]:
    """`("blurred=40", "dark=off", "whippet:blurred=20", "tiny=pool")` -> lines; all the wrong ones in one error."""
    lines: list[Line] = []
    problems = []
    for text in texts:
        left, equals, value = text.rpartition("=") if "=" in text else (text, "", "")
        concept, _, name = left.rpartition(":")
        if name not in RULES and name not in SWITCHES:
            missed = unknown("rule", name or text, [*RULES, *SWITCHES])
            problems.append(f"{text!r}: {missed.what} ({missed.fix})")
        elif name in SWITCHES and (value not in {"off", "pool"} or concept):
            problems.append(f"{text!r}: {name} has no line, it can only be {name}=off, for every picture, or back on: "
                            f"{name}=pool")  # fmt: skip
        elif not equals:
            problems.append(f"{text!r}: {name} wants =NUMBER, =off or =pool")
        elif value not in {"off", "pool"} and not _is_number(value):
            problems.append(f"{text!r}: {value!r} is neither a number nor off nor pool")
        elif value not in {"off", "pool"} and float(value) < 0:
            problems.append(f"{text!r}: no measure is under 0")
        elif any((line.rule, line.concept) == (name, concept) for line in lines):
            problems.append(f"{text!r}: {left} is given twice")
        else:
            number = None if value in {"off", "pool"} else float(value)
            lines.append(Line(name, number, concept, is_pool=value == "pool"))
    if problems:
        fix = f"[CONCEPT:]RULE=NUMBER, RULE=off or RULE=pool, with RULE one of {', '.join([*RULES, *SWITCHES])}"
        raise bad_rows("--line", problems, fix=fix)
    return lines


def of_all(lines: Sequence[Line]) -> dict[str, float | None]:
    """The lines that are set for every picture, by rule; of two for one rule the later."""
    return {line.rule: line.value for line in lines if not (line.concept or line.is_pool)}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:  # no number
        return False


def one_rule(name: str, more: Sequence[str]) -> str:
    """`name` if a picture can be dropped by it, else the error with the nearest names."""
    if name not in RULES and name not in more:
        raise unknown("rule", name, [*RULES, *more])
    return name


def as_json(cut: Cut, dropped: int, own: Sequence[Line] = ()) -> dict[str, Any]:
    """What a page needs to draw the line beside the distribution. `dropped`: kept and flagged, of a flag.

    The strip of pictures around the cut is the rows of `checks` sorted by `measure`. `own`: lines of concepts.
    """
    return {
        "rule": cut.rule.name, "measure": cut.rule.measure, "line": cut.line, "origin": cut.origin,
        "is_upper": cut.rule.is_upper, "median": cut.median, "edges": cut.edges, "counts": cut.counts,
        "dropped": dropped, "is_flag": cut.rule.is_flag, "low_guard": cut.rule.low_guard,
        "high_guard": cut.rule.high_guard, "own": [line.text for line in own if line.rule == cut.rule.name],
    }  # fmt: skip


def as_line(cut: Cut, dropped: int) -> str:
    """One line for a terminal: what is cut, where, from what distribution.

    blurred       sharpness under 30.0       ▏│ ▁▂▅▇█▆▃▁        ▕  12 dropped
    """
    rule = cut.rule
    if cut.origin == "off":
        return f"{rule.name:<13} off"
    what = f"{rule.measure} {'over' if rule.is_upper else 'under'} {short(cut.line)}"
    return f"{rule.name:<13} {what:<24} {_strip(cut)}  {dropped:,} {'flagged' if rule.is_flag else 'dropped'}"


def as_own_line(line: Line, taken: int) -> str:
    """One line for a terminal: the line of one concept.

    blurred       of whippet: under 15.0     3 dropped
    """
    rule = RULES[line.rule]
    where = "off" if line.value is None else f"{'over' if rule.is_upper else 'under'} {short(line.value)}"
    what = f"of {line.concept}: {where}"
    return f"{rule.name:<13} {what:<24} {taken:,} {'flagged' if rule.is_flag else 'dropped'}"


def _cut(rule: Rule, values: Values, given: Mapping[str, float | None]) -> Cut:
    median = float(np.median(values)) if len(values) else 0.0
    line, origin = _line(rule, values, median)
    if rule.name in given:
        chosen = given[rule.name]
        line, origin = (line, "off") if chosen is None else (chosen, "option")
    edges, counts = _histogram(rule, values, line)
    return Cut(rule, line, origin, median, edges, counts)


def _line(rule: Rule, values: Values, median: float) -> tuple[float, str]:
    if not len(values):
        return (rule.low_guard if rule.is_upper else rule.high_guard), "guard"
    if rule.share_of_median:
        fence = rule.share_of_median * median
    else:
        scaled = np.log(np.maximum(values, 1e-6)) if rule.is_log else values
        centre = float(np.median(scaled))
        spread = 1.4826 * float(np.median(np.abs(scaled - centre)))
        fence = centre + (FENCE if rule.is_upper else -FENCE) * spread
        fence = math.exp(min(fence, 700.0)) if rule.is_log else fence
    held = min(max(fence, rule.low_guard), rule.high_guard)
    return held, "pool" if held == fence else "guard"


def _histogram(rule: Rule, values: Values, line: float) -> tuple[list[float], list[int]]:
    """40 bins that hold all values and the line, equally wide on the rule's scale."""
    if not len(values):
        return [], []
    low, high = min(float(values.min()), line), max(float(values.max()), line)
    if rule.is_log:
        low, high = max(low, 1e-3), max(high, 2e-3)
        edges = np.geomspace(low, max(high, low * 1.01), _BINS + 1)
    else:
        edges = np.linspace(low, max(high, low + 1e-6), _BINS + 1)
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return [float(edge) for edge in edges], [int(count) for count in counts]


def _strip(cut: Cut) -> str:
    if not cut.counts:
        return ""
    edges = np.array(cut.edges)
    places = np.minimum(np.arange(_BINS) * _LINE_BINS // _BINS, _LINE_BINS - 1)
    heights = np.bincount(places, weights=cut.counts, minlength=_LINE_BINS)
    # Square root: the few that are cut stay visible beside the many that are not.
    levels = np.ceil(np.sqrt(heights / max(heights.max(), 1)) * (len(_BARS) - 1)).astype(int)
    bars = [_BARS[level] for level in levels]
    at = int(np.clip(np.searchsorted(edges, cut.line, side="right") - 1, 0, _BINS)) * _LINE_BINS // _BINS
    bars.insert(min(at + (1 if cut.rule.is_upper else 0), _LINE_BINS), "│")
    return f"▏{''.join(bars)}▕"


def short(value: float) -> str:
    """A measured value for a sentence: 1,516 or 3.1 or 0.23."""
    if abs(value) >= 100 or value == int(value):  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"
