"""The verbs of `clean` that decide: check, screen, restore. Nothing is deleted; judgements are rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pictus import engine as engines
from pictus import shards
from pictus.clean import duplicates, rules, verdicts
from pictus.clean.measurements import measure
from pictus.clock import now
from pictus.errors import UserError, bad_rows, counted
from pictus.project import Project
from pictus.records import Check, Verdict
from pictus.registry import Outcome, step
from pictus.tables import equals, one_of, table_of

_PLACE = ("image_id", "shard", "offset", "size")
_DUPLICATES = "duplicates"  # subject of the event that says how the table came about


@step("clean check", changes=True)
def check(project: Project, *, engine: str = "local", workers: int = 0) -> Outcome[Check]:
    """Measure every picture once, in one decode pass: size, light, sharpness, colour, hashes.

    Pictures that cannot be decoded get a cause (truncated, not-an-image, …) and the run goes on.
    What is measured already is skipped; a stopped run continues where it was.

    engine: where to compute, `local` or `ray`
    workers: processes at once, 0 for one per CPU

    Examples:
        pictus clean check
        pictus clean check --engine ray
    """
    if not project.tables.count("images"):
        raise UserError("There are no pictures in this project yet.", fix="pictus collect add FOLDER")
    with project.lock("clean"):
        rows = project.tables.missing("checks", "images", _PLACE)
        compute = partial(measure_batch, project.shards_dir)
        measured = engines.run(project, "checks", rows, compute, engine=engine, workers=workers, label="check")
        causes = Counter(project.tables.read("checks", ["cause"], where="cause != ''").column("cause").to_pylist())
        if measured:
            project.journal.log("clean", "pictures_checked", measured=measured, broken=dict(causes), engine=engine)
    total, broken = project.tables.count("checks"), sum(causes.values())
    why = ": " + ", ".join(f"{count:,} {cause}" for cause, count in causes.most_common()) if causes else ""
    return Outcome(
        step="clean check",
        summary={"pictures": total, "measured": measured, "broken": broken, "causes": dict(causes)},
        headline=f"{counted(measured, 'picture')} measured, {total:,} in all; {broken:,} cannot be decoded{why}",
        next=("pictus clean dedupe",),
        source=lambda: project.tables.records("checks", Check),
    )


@step("clean screen", changes=True)
def screen(project: Project, *, line: tuple[str, ...] = ()) -> Outcome[Verdict]:
    """Give every picture a verdict, keep or drop, with the rule, the value and the line it crossed.

    Lines come from the pool's own distribution between fixed guards and are shown beside it. Rules:
    tiny, dark, bright, blank, low-contrast, blurred, odd-aspect; and broken, duplicate. Grey pictures
    are flagged and kept. What was restored stays.

    line: set a rule's line yourself, RULE=NUMBER, or RULE=off

    Examples:
        pictus clean screen
        pictus clean screen --line blurred=40 --line dark=off
    """
    given = rules.read_lines(line)
    with project.lock("clean"):
        checks, sizes, unmeasured = _measured(project)
        whole = np.array([not cause for cause in checks.column("cause").to_pylist()], dtype=np.bool_)
        values = _values(checks)
        cuts = rules.draw({name: column[whole] for name, column in values.items()}, given)
        pictures = verdicts.Measured(
            checks.column("image_id").to_pylist(), checks.column("cause").to_pylist(), sizes, values
        )
        grouped, radius, stale = _grouped(project, checks.num_rows)
        table = verdicts.judge(pictures, cuts, grouped, _earlier(project), radius=radius, at=now())
        if not project.tables.exists("verdicts") or not project.tables.read("verdicts").equals(table):
            project.tables.replace("verdicts", table)
        summary = _screened(table, cuts)
        project.journal.log("clean", "pictures_screened", **summary)
    return Outcome(
        step="clean screen",
        summary=summary,
        headline=_headline(summary, cuts),
        problems=_unmeasured(unmeasured) + stale,
        next=("pictus status", "pictus clean restore --rule RULE"),
        source=lambda: project.tables.records("verdicts", Verdict),
    )


@step("clean restore", changes=True)
def restore(project: Project, images: tuple[str, ...] = (), *, rule: str = "") -> Outcome[Verdict]:
    """Keep pictures whatever the screen says, now and after every later screen.

    images: image ids or the first letters of them
    rule: every picture dropped by this rule

    Examples:
        pictus clean restore 3fd1a0
        pictus clean restore --rule odd-aspect
    """
    if not images and not rule:
        raise UserError("Say which pictures to restore.", fix="pictus clean restore IMAGE…   or   --rule RULE")
    if not project.tables.exists("verdicts"):
        raise UserError("Nothing has been dropped: there are no verdicts yet.", fix="pictus clean screen")
    with project.lock("clean"):
        earlier = _earlier(project)
        chosen = _resolved(images, list(earlier))
        if rule:
            rules.one_rule(rule, verdicts.DROPPING)
            chosen += [key for key, old in earlier.items() if old.verdict == "drop" and old.rule == rule]
        again = [key for key in dict.fromkeys(chosen) if earlier[key].rule == verdicts.RESTORED]
        chosen = [key for key in dict.fromkeys(chosen) if earlier[key].rule != verdicts.RESTORED]
        at = now()
        rows = [Verdict(key, *verdicts.restored(earlier[key], at)) for key in chosen]
        if rows:
            project.tables.upsert("verdicts", table_of("verdicts", rows))
        for row in rows if images else ():
            project.journal.log("clean", "picture_restored", row.image_id, reason=row.reason)
        if rule:
            project.journal.log("clean", "pictures_restored", rule=rule, restored=len(rows))
    return Outcome(
        step="clean restore",
        summary={"restored": len(rows), "dropped": project.tables.count("verdicts", equals("verdict", "drop"))},
        headline=_restored(len(rows), len(again), rule),
        next=("pictus status",),
        source=lambda: project.tables.records("verdicts", Verdict, one_of("image_id", chosen)),
    )


def measure_batch(shards_dir: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the engine runs on every worker: (image_id, shard, offset, size) rows -> rows of `checks`."""
    places = zip(*(batch.column(name).to_pylist() for name in _PLACE), strict=True)
    pictures = ((image_id, shards.read(shards_dir, shard, offset, size)) for image_id, shard, offset, size in places)
    return table_of("checks", measure(pictures)).combine_chunks().to_batches()[0]


def _measured(project: Project) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.int64]], int]:
    """Checks in the order their pictures were added, the pictures' bytes, and how many are not measured yet."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    pictures = project.tables.read("images", ["image_id", "size"])
    checks = project.tables.read("checks", [entry.name for entry in fields(Check)])
    place = pc.index_in(pictures.column("image_id"), value_set=checks.column("image_id").combine_chunks())
    has_check = pc.is_valid(place)
    if not pc.any(has_check).as_py():
        raise UserError("No picture has been measured yet.", fix="pictus clean check")
    sizes = pictures.column("size").filter(has_check).to_numpy()
    rows = checks.take(place.filter(has_check)).combine_chunks()
    return rows, sizes, int(pictures.num_rows - rows.num_rows)


def _values(checks: pa.Table) -> dict[str, rules.Values]:
    """Every measure a rule asks for, f64[N]."""
    names = ("contrast", "brightness", "sharpness", "aspect", "grey_frac")
    values = {name: checks.column(name).to_numpy().astype(np.float64) for name in names}
    width, height = (checks.column(name).to_numpy().astype(np.float64) for name in ("width", "height"))
    return {**values, "short side": np.minimum(width, height), "pixels": width * height}


def _grouped(project: Project, measured: int) -> tuple[verdicts.Grouped, int, tuple[str, ...]]:
    """The groups, the radius they were found with, and what is wrong with them for `measured` pictures."""
    table = project.tables.read("duplicates", ["image_id", "group_id", "is_keeper", "distance", "reason"])
    grouped = verdicts.Grouped(*(column.to_pylist() for column in table.columns))
    version = project.tables.version("duplicates")
    found = project.journal.events(_DUPLICATES, limit=1)
    if not version:
        return grouped, duplicates.RADIUS, ("duplicates were not looked for: pictus clean dedupe",)
    if not found or found[0].data.get("version", version) != version:
        words = "the last search for duplicates was stopped before its end: pictus clean dedupe"
        return grouped, duplicates.RADIUS, (words,)
    data = found[0].data
    later = measured - int(data["pictures"])
    words = f"{counted(later, 'picture')} measured since duplicates were looked for: pictus clean dedupe"
    return grouped, int(data["radius"]), (words,) if later > 0 else ()


def _earlier(project: Project) -> dict[str, verdicts.Earlier]:
    table = project.tables.read("verdicts", ["image_id", *verdicts.Earlier._fields])
    columns = [column.to_pylist() for column in table.columns]
    return {row[0]: verdicts.Earlier(*row[1:]) for row in zip(*columns, strict=True)}


def _screened(table: pa.Table, cuts: Sequence[rules.Cut]) -> dict[str, Any]:
    pairs = list(zip(table.column("verdict").to_pylist(), table.column("rule").to_pylist(), strict=True))
    dropped = Counter(rule for verdict, rule in pairs if verdict == "drop")
    flags = Counter(rule for verdict, rule in pairs if verdict == "keep" and rule)
    return {
        "pictures": len(pairs),
        "kept": len(pairs) - sum(dropped.values()),
        "dropped": sum(dropped.values()),
        "rules": dict(dropped.most_common()),
        "flags": dict(flags),
        "lines": [rules.as_json(cut, dropped[cut.rule.name]) for cut in cuts],
    }


def _headline(summary: dict[str, Any], cuts: Sequence[rules.Cut]) -> str:
    why = ", ".join(f"{count:,} {rule}" for rule, count in summary["rules"].items())
    flags = ", ".join(f"{count:,} {rule}" for rule, count in summary["flags"].items())
    first = f"{summary['kept']:,} kept, {summary['dropped']:,} dropped" + (f": {why}" if why else "")
    lines = [rules.as_line(cut, summary["rules"].get(cut.rule.name, 0)) for cut in cuts]
    return "\n".join([first + (f"  (kept and flagged: {flags})" if flags else ""), *(f"  {text}" for text in lines)])


def _restored(count: int, again: int, rule: str) -> str:
    """How many, and why not more."""
    why = [f"{counted(again, 'was', 'were')} restored before"] if again else []
    if rule and not count:
        why.append(f"none is dropped by {rule!r}")
    return f"{counted(count, 'picture')} restored" + (("; " if count else ": ") + ", ".join(why) if why else "")


def _unmeasured(count: int) -> tuple[str, ...]:
    return (f"{counted(count, 'picture')} not measured yet: pictus clean check",) if count else ()


def _resolved(images: Sequence[str], known: Sequence[str]) -> list[str]:
    """Ids or unique beginnings of ids -> ids; all the wrong ones in one error."""
    chosen, problems = [], []
    for text in images:
        found = [image_id for image_id in known if image_id.startswith(text.lower())] if text else []
        if len(found) == 1:
            chosen.append(found[0])
        elif found:
            problems.append(f"{text!r} is the beginning of {len(found):,} ids: {', '.join(found[:3])} …")
        else:
            problems.append(f"{text!r} is not the id of a screened picture")
    if problems:
        raise bad_rows("Pictures to restore", problems, fix="take the ids from: pictus clean screen --jsonl")
    return chosen
