"""Keep or drop: one verdict per picture with its rule, its reason, the value and the line. Pure.

Rules are tried in order; the first that is broken is the reason: broken, opt-out, leak, the lines of
`rules`, then duplicate. Flags stand on kept pictures. What a person restored stays as it was written.

    opt-out     nobody who shows the picture wants it used: the latest attempt at each of its addresses ended in
                robots, opt-out or tdm-reserved; or its own metadata forbids data mining (PLUS, C2PA)
    leak        it is in a set that models are tested on (`clean leaks`): to train on it would be to cheat

These two hold for all of a group: the same picture under another name is the same picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus.clean.duplicates import matched
from pictus.clean.relatives import COLLAGE
from pictus.clean.rules import Cut, Values, short
from pictus.tables import SCHEMAS

BROKEN, OPT_OUT, LEAK, DUPLICATE, RESTORED = "broken", "opt-out", "leak", "duplicate", "restored"
DROPPING = (BROKEN, OPT_OUT, LEAK, DUPLICATE)
"""The rules that drop pictures without a line of their own."""

REFUSALS = ("robots", "robots-ai", "opt-out", "tdm-reserved")
"""Causes of a fetch by which an owner says no."""

_PASSED = "passed every rule"
_SHORT = 12


class Measured(NamedTuple):
    """The pictures to judge, one row each."""

    image_ids: list[str]
    causes: list[str]  # "" or why it cannot be decoded
    sizes: npt.NDArray[np.int64]  # bytes
    values: dict[str, Values]  # by the rules' measures


class Own(NamedTuple):
    """A line for the pictures of one concept and what is below it."""

    rule: str
    value: float | None  # None: the rule is off for them
    concept: str
    rows: npt.NDArray[np.int64]
    text: str = ""  # as it was typed


class Beyond(NamedTuple):
    """Where a cut's lines lie for each picture, and who is beyond them."""

    is_beyond: npt.NDArray[np.bool_]
    lines: Values
    own: npt.NDArray[np.int64]  # which of the lines of concepts holds, -1 for the cut's


class Judged(NamedTuple):
    """What is decided elsewhere, by image_id: why."""

    opted_out: Mapping[str, str] = MappingProxyType({})
    leaked: Mapping[str, str] = MappingProxyType({})
    own: Sequence[Own] = ()  # the wider concept before the narrower: the later holds


class Grouped(NamedTuple):
    """Rows of the table of duplicates: of each group the keeper first, then the better before the worse."""

    image_ids: list[str]
    group_ids: list[str]
    is_keeper: list[bool]
    distances: list[int]
    reasons: list[str]
    relations: list[str]
    evidence_ids: list[str]


class Earlier(NamedTuple):
    """What was decided before about one picture."""

    verdict: str
    rule: str
    reason: str
    value: float
    threshold: float
    decided_at: str


class _Sheet:
    """The verdicts as columns while they are filled in."""

    def __init__(self, count: int) -> None:
        self.rule = np.full(count, "", dtype=object)
        self.is_dropped = np.zeros(count, dtype=np.bool_)
        self.is_restored = np.zeros(count, dtype=np.bool_)
        self.reason = np.full(count, _PASSED, dtype=object)
        self.value = np.zeros(count)
        self.threshold = np.zeros(count)

    def put(self, row: int, rule: str, reason: str, value: float, threshold: float, *, is_dropped: bool) -> None:
        self.rule[row], self.reason[row], self.is_dropped[row] = rule, reason, is_dropped
        self.value[row], self.threshold[row] = value, threshold

    def restore(self, row: int) -> None:
        self.is_restored[row], self.is_dropped[row] = True, False


def judge(
    measured: Measured, cuts: Sequence[Cut], grouped: Grouped, earlier: Mapping[str, Earlier], *, radius: int, at: str,
    judged: Judged | None = None,
) -> pa.Table:  # fmt: skip
    """The table of verdicts, in the order of `measured`. A verdict that did not change keeps its time.

    `radius`: within which near-duplicates were looked for; `at`: the time of the new verdicts.
    """
    judged = judged or Judged()
    by_hand = {image_id for image_id, old in earlier.items() if old.rule == RESTORED}
    opted_out = _through_groups(judged.opted_out, grouped, by_hand)
    leaked = _through_groups(judged.leaked, grouped, by_hand)
    sheet = _Sheet(len(measured.image_ids))
    for row, (image_id, cause) in enumerate(zip(measured.image_ids, measured.causes, strict=True)):
        if cause:
            sheet.put(row, BROKEN, f"broken: {cause}", 0.0, 0.0, is_dropped=True)
        elif image_id in opted_out:
            sheet.put(row, OPT_OUT, opted_out[image_id], 0.0, 0.0, is_dropped=True)
        elif image_id in leaked:
            sheet.put(row, LEAK, leaked[image_id], 0.0, 0.0, is_dropped=True)
    is_whole = np.array([not cause for cause in measured.causes], dtype=np.bool_)
    for cut in sorted(cuts, key=lambda cut: cut.rule.is_flag):  # a flag stands only on what no rule drops
        own = [one for one in judged.own if one.rule == cut.rule.name]
        _apply(sheet, cut, measured.values[cut.rule.measure], is_whole, own)
    for row, image_id in enumerate(measured.image_ids):
        if image_id in by_hand:
            sheet.restore(row)  # before the groups: a keeper that is back needs nobody in its place
    _apply_duplicates(sheet, measured, grouped, radius)
    return _table(measured.image_ids, sheet, earlier, at)


def beyond(cut: Cut, values: Values, own: Sequence[Own] = ()) -> Beyond:
    """Who is beyond a cut's line, or beyond the line of a concept in its place (`own`: those of this rule)."""
    never = np.inf if cut.rule.is_upper else -np.inf
    lines = np.full(len(values), never if cut.origin == "off" else cut.line, dtype=np.float64)
    which = np.full(len(values), -1, dtype=np.int64)
    for place, one in enumerate(own):
        lines[one.rows] = never if one.value is None else one.value
        which[one.rows] = place
    return Beyond(values > lines if cut.rule.is_upper else values < lines, lines, which)


def taken(
    table: pa.Table, measured: Measured, cuts: Sequence[Cut], own: Sequence[Own] = ()
) -> Counter[tuple[str, str]]:
    """How many pictures of the table of verdicts each line takes: (rule, the text of a concept's line or "").

    A dropped picture counts for the rule that dropped it, a kept one for every flag whose line it is beyond.
    """
    rule = np.array(table.column("rule").to_pylist(), dtype=object)
    is_flagged = np.array([word == "keep" for word in table.column("verdict").to_pylist()], dtype=np.bool_)
    is_flagged &= rule != RESTORED
    found: Counter[tuple[str, str]] = Counter()
    for cut in cuts:
        lines = [one for one in own if one.rule == cut.rule.name]
        is_beyond, _, which = beyond(cut, measured.values[cut.rule.measure], lines)
        is_taken = is_flagged & is_beyond if cut.rule.is_flag else (rule == cut.rule.name)
        for place, count in zip(*np.unique(which[is_taken], return_counts=True), strict=True):
            found[cut.rule.name, lines[place].text if place >= 0 else ""] += int(count)
    return found


def restored(old: Earlier, at: str) -> Earlier:
    """The verdict a person overrules, with what it was."""
    was = f"; was: {old.reason}" if old.verdict == "drop" else ""
    return Earlier("keep", RESTORED, f"restored by hand{was}", old.value, old.threshold, at)


def _apply(sheet: _Sheet, cut: Cut, values: Values, is_whole: npt.NDArray[np.bool_], own: Sequence[Own]) -> None:
    rule = cut.rule
    is_beyond, lines, which = beyond(cut, values, own)
    side = "over" if rule.is_upper else "under"
    for row in np.flatnonzero(is_whole & ~sheet.is_dropped & is_beyond).tolist():
        value, line = float(values[row]), float(lines[row])
        if rule.is_flag and sheet.rule[row]:
            sheet.reason[row] += f"; also {rule.name}"
            continue
        whose = f" (the line of {own[which[row]].concept})" if which[row] >= 0 else ""
        words = f"{rule.words}: {rule.measure} {short(value)} is {side} {short(line)}{whose}"
        kept = f"kept, flagged as {rule.name}: " if rule.is_flag else ""
        sheet.put(row, rule.name, kept + words, value, line, is_dropped=not rule.is_flag)


def _through_groups(why: Mapping[str, str], grouped: Grouped, by_hand: AbstractSet[str]) -> dict[str, str]:
    """The same for everyone in a group with one of `why`; but what a person restored speaks for itself alone."""
    found = dict(why)
    first: dict[str, str] = {}
    for image_id, group_id in zip(grouped.image_ids, grouped.group_ids, strict=True):
        if image_id in why and image_id not in by_hand:
            first.setdefault(group_id, image_id)
    for image_id, group_id in zip(grouped.image_ids, grouped.group_ids, strict=True):
        if group_id in first and image_id not in why:
            one = first[group_id]
            found[image_id] = f"the same picture as {one[:_SHORT]}: {why[one]}"
    return found


def _apply_duplicates(sheet: _Sheet, measured: Measured, grouped: Grouped, radius: int) -> None:
    """Drop the members of a group but one: its keeper, or the best of the others when the keeper is dropped.

    What was restored stays as well, and then nobody takes a dropped keeper's place. Nor does a collage: it shows
    more than the picture whose place it would take.
    """
    row_of = {image_id: row for row, image_id in enumerate(measured.image_ids)}
    groups: dict[str, list[int]] = {}
    for place, group_id in enumerate(grouped.group_ids):
        if grouped.image_ids[place] in row_of:
            groups.setdefault(group_id, []).append(place)
    for group_id, places in groups.items():
        keeper = row_of.get(group_id)
        rows = {place: row_of[grouped.image_ids[place]] for place in places}
        by_hand = [place for place in places if sheet.is_restored[rows[place]]]
        left = [place for place in places if not sheet.is_dropped[rows[place]] and grouped.relations[place] != COLLAGE]
        instead = -1
        if keeper is None or sheet.is_dropped[keeper]:
            instead = next(iter(by_hand or left), -1)
        for place, row in rows.items():
            if sheet.is_dropped[row] or sheet.is_restored[row] or grouped.is_keeper[place]:
                continue
            if place == instead:
                sheet.reason[row] = f"kept in place of {group_id[:_SHORT]}, which is dropped"
                continue
            reason = grouped.reasons[place] if instead < 0 else _why_not(grouped, place, instead)
            sheet.put(row, DUPLICATE, reason, float(grouped.distances[place]), float(radius), is_dropped=True)


def _why_not(grouped: Grouped, place: int, instead: int) -> str:
    """Why one is dropped when another than the group's keeper stays."""
    match = matched(grouped.relations[place], grouped.distances[place], grouped.evidence_ids[place])
    stays, keeper = grouped.image_ids[instead][:_SHORT], grouped.group_ids[place][:_SHORT]
    return f"{match}; {stays} is kept in place of {keeper}, which is dropped"


def _table(image_ids: list[str], sheet: _Sheet, earlier: Mapping[str, Earlier], at: str) -> pa.Table:
    columns: list[list[object]] = [[], [], [], [], [], []]
    for row, image_id in enumerate(image_ids):
        old = earlier.get(image_id)
        new = Earlier(
            "drop" if sheet.is_dropped[row] else "keep", sheet.rule[row], sheet.reason[row], float(sheet.value[row]),
            float(sheet.threshold[row]), at,
        )  # fmt: skip
        if old and (old.rule == RESTORED or old[:5] == new[:5]):
            new = old
        for column, field in zip(columns, new, strict=True):
            column.append(field)
    schema = SCHEMAS["verdicts"]
    return pa.table([image_ids, *columns], schema=schema)
