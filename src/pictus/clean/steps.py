"""The verbs of `clean` that decide: check, screen, preview, restore. Nothing is deleted; judgements are rows."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pictus import engine as engines
from pictus import shards
from pictus.clean import duplicates, released, rules, standing, verdicts
from pictus.clean.measurements import measure
from pictus.clock import now
from pictus.concepts import concept_of, load_taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.project import Project
from pictus.records import Check, Verdict
from pictus.registry import Outcome, step
from pictus.tables import equals, one_of, table_of

_PLACE = ("image_id", "shard", "offset", "size")
FEW = 3_000
"""Pictures that threads measure sooner than processes start: a second for each process, 1 ms for a picture."""
_MEMBERS = ("image_id", "group_id", "is_keeper", "distance", "reason", "relation", "evidence_id")
_DUPLICATES = "duplicates"  # subject of the event that says how the table came about


@step("clean check", changes=True)
def check(project: Project, *, engine: str = "local", workers: int = 0) -> Outcome[Check]:
    """Measure every picture once, in one decode pass: size, light, sharpness, colour, bars, writing, hashes.

    What the file says beside its pixels (EXIF, IPTC, XMP, C2PA, who made it) is read on the way.

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
        threads = engines.cpu_count() if rows.num_rows <= FEW and engine == "local" and not workers else 1
        compute = partial(measure_batch, project.shards_dir, threads=threads)
        processes = 1 if threads > 1 else workers
        measured = engines.run(project, "checks", rows, compute, engine=engine, workers=processes, label="check")
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

    Lines come from the pool's own distribution between fixed guards and are shown beside it. Dropped are:
    broken, opt-out, leak, tiny, dark, bright, blank, low-contrast, blurred, low-entropy, odd-aspect, duplicate.
    Kept and flagged are: text-heavy, overlay, borders, compressed, animated, grey. What was restored stays.

    A line that was set by hand, here or in the browser, holds for every later screen until it is set back.

    line: set a line yourself, RULE=NUMBER, RULE=off, or for a concept and what is below it CONCEPT:RULE=NUMBER;
        RULE=pool sets it back to the pool's own

    Examples:
        pictus clean screen
        pictus clean screen --line blurred=40 --line dark=off
        pictus clean screen --line whippet:blurred=15
        pictus clean screen --line blurred=pool
    """
    given = rules.read_lines(line)
    with project.lock("clean"):
        stands = _standing(project, given)
        lines = stands.lines
        decided = _decided(project, lines)
        table = decided.table
        if not project.tables.exists("verdicts") or not project.tables.read("verdicts").equals(table):
            project.tables.replace("verdicts", table)
        summary = _screened(decided, lines) | {"kept_lines": list(stands.kept)}
        project.journal.log("clean", "pictures_screened", **summary)
    return Outcome(
        step="clean screen",
        summary=summary,
        headline=_headline(summary, decided, lines),
        problems=stands.gone + decided.problems + _in_releases(project, table),
        next=("pictus status", "pictus clean restore --rule RULE"),
        source=lambda: project.tables.records("verdicts", Verdict),
    )


@step("clean preview", changes=False)
def preview(project: Project, *, line: tuple[str, ...]) -> Outcome[Verdict]:
    """Say what a screen with these lines would change, picture by picture; nothing is written.

    Lines that were set by hand before hold here as well.

    line: as for clean screen: RULE=NUMBER, RULE=off, RULE=pool or CONCEPT:RULE=NUMBER

    Examples:
        pictus clean preview --line blurred=40
        pictus clean preview --line blurred=40 --jsonl
    """
    lines = rules.read_lines(line)
    if not lines:
        raise UserError("Say which line to look at.", fix="pictus clean preview --line blurred=40")
    stands = _standing(project, lines)
    decided = _decided(project, stands.lines)
    earlier = _earlier(project)
    rows = [Verdict(**row) for row in decided.table.to_pylist()]
    plain = verdicts.Earlier("keep", "", "", 0.0, 0.0, "")
    changed = [row for row in rows if earlier.get(row.image_id, plain)[:2] != (row.verdict, row.rule)]
    dropped = [row for row in changed if row.verdict == "drop" and _was(earlier, row) == "keep"]
    back = [row for row in changed if row.verdict == "keep" and _was(earlier, row) == "drop"]
    taken = {one.text: decided.taken[one.rule, one.text if one.concept else ""]
             for one in lines if not (one.concept and one.is_pool)}  # fmt: skip
    summary = {
        "lines": taken, "changed": len(changed), "newly_dropped": len(dropped),
        "back": len(back), "rules": dict(Counter(row.rule for row in dropped).most_common()),
        "kept_lines": list(stands.kept),
    }  # fmt: skip
    told = ", ".join(f"{text} takes {count:,}" for text, count in taken.items()) or ", ".join(line)
    return Outcome(
        step="clean preview",
        summary=summary,
        headline=f"{told}: {counted(len(dropped), 'picture')} more would be dropped, {len(back):,} would come back"
        + (f"\n  with what was set before: {', '.join(stands.kept)}" if stands.kept else ""),
        problems=stands.gone + decided.problems,
        next=(f"pictus clean screen {' '.join('--line ' + shlex.quote(one.text) for one in lines)}",),
        source=lambda: iter(changed),
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
        earlier = _earlier(project, _beginnings(images) if not rule else None)
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


def measure_batch(shards_dir: Path, batch: pa.RecordBatch, *, threads: int = 1) -> pa.RecordBatch:
    """What the engine runs on every worker: (image_id, shard, offset, size) rows -> rows of `checks`."""
    places = zip(*(batch.column(name).to_pylist() for name in _PLACE), strict=True)
    pictures = ((image_id, shards.read(shards_dir, shard, offset, size)) for image_id, shard, offset, size in places)
    return table_of("checks", measure(pictures, threads=threads)).combine_chunks().to_batches()[0]


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
    names = {rule.measure for rule in rules.RULES.values()} & set(checks.column_names) | {"width", "height"}
    values = {name: checks.column(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in names}
    width, height, quality = values["width"], values["height"], values["jpeg_quality"]
    values["jpeg_quality"] = np.where(quality > 0, quality, 100.0)  # what is no JPEG was not compressed as one
    return {**values, "short side": np.minimum(width, height), "pixels": width * height}


def _grouped(project: Project, measured: int) -> tuple[verdicts.Grouped, int, tuple[str, ...]]:
    """The groups, the radius they were found with, and what is wrong with them for `measured` pictures."""
    table = project.tables.read("duplicates", _MEMBERS)
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
    problems = []
    if later > 0:
        problems.append(f"{counted(later, 'picture')} measured since duplicates were looked for: pictus clean dedupe")
    if data.get("likenesses", 0) != project.tables.version("likenesses"):
        problems.append("crops, turned and edited copies were matched since duplicates were looked for: "
                        "pictus clean dedupe")  # fmt: skip
    return grouped, int(data["radius"]), tuple(problems)


def _earlier(project: Project, where: str | None = None) -> dict[str, verdicts.Earlier]:
    table = project.tables.read("verdicts", ["image_id", *verdicts.Earlier._fields], where)
    columns = [column.to_pylist() for column in table.columns]
    return {row[0]: verdicts.Earlier(*row[1:]) for row in zip(*columns, strict=True)}


def _standing(project: Project, given: Sequence[rules.Line]) -> standing.Standing:
    """The lines that hold when `given` are set: with what was set by hand in the last screen."""
    found = project.journal.events(event="pictures_screened", limit=1)
    earlier = standing.set_before(found[0].data if found else {})
    resolve = load_taxonomy(project).resolve if any(line.concept for line in (*earlier, *given)) else str
    return standing.merged(earlier, given, resolve)


class _Decided(NamedTuple):
    """A screen before it is written."""

    table: pa.Table
    cuts: list[rules.Cut]
    problems: tuple[str, ...]
    taken: Counter[tuple[str, str]]  # by rule and line of a concept, as verdicts.taken counts


def _decided(project: Project, lines: Sequence[rules.Line]) -> _Decided:
    checks, sizes, unmeasured = _measured(project)
    whole = np.array([not cause for cause in checks.column("cause").to_pylist()], dtype=np.bool_)
    values = _values(checks)
    given = rules.of_all(lines)
    cuts = rules.draw({name: column[whole] for name, column in values.items()}, given)
    image_ids = checks.column("image_id").to_pylist()
    pictures = verdicts.Measured(image_ids, checks.column("cause").to_pylist(), sizes, values)
    own = _own(project, image_ids, lines)
    judged = verdicts.Judged(
        opted_out={} if verdicts.OPT_OUT in given else _opted_out(project, checks),
        leaked={} if verdicts.LEAK in given else _leaked(project),
        own=own,
    )
    grouped, radius, stale = _grouped(project, checks.num_rows)
    stale += () if verdicts.LEAK in given else _unlooked(project, int(whole.sum()))
    table = verdicts.judge(pictures, cuts, grouped, _earlier(project), radius=radius, at=now(), judged=judged)
    return _Decided(table, cuts, _unmeasured(unmeasured) + stale, verdicts.taken(table, pictures, cuts, own))


def _own(project: Project, image_ids: list[str], lines: Sequence[rules.Line]) -> list[verdicts.Own]:
    """The lines of concepts with their pictures: those whose concept it is, or something below it."""
    if not any(line.concept for line in lines):
        return []
    taxonomy = load_taxonomy(project)
    row_of = {image_id: row for row, image_id in enumerate(image_ids)}
    pictures_of: dict[str, set[int]] = defaultdict(set)
    for image_id, concept_id in zip(*(column.to_pylist() for column in concept_of(project).columns), strict=True):
        if image_id in row_of:
            pictures_of[concept_id].add(row_of[image_id])
    found, problems = [], []
    for line in lines:
        if line.concept:
            try:
                concept_id = taxonomy.resolve(line.concept)
            except UserError as error:
                problems.append(f"{line.text!r}: {error.what}")
                continue
            below = taxonomy.descendants(concept_id)
            rows = sorted(set().union(pictures_of[concept_id], *(pictures_of[one] for one in below)))
            places = np.array(rows, dtype=np.int64)
            own = verdicts.Own(line.rule, line.value, taxonomy.name(concept_id), places, line.text)
            found.append((len(below), own))
    if problems:
        raise bad_rows("--line", problems, fix="pictus taxonomy show NAME   tells what a concept is called")
    return [own for _, own in sorted(found, key=lambda item: -item[0])]  # the narrower concept holds


def _leaked(project: Project) -> dict[str, str]:
    table = project.tables.read("leaks", ["image_id", "reason"])
    return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _unlooked(project: Project, whole: int) -> tuple[str, ...]:
    """What keeps the leaks from being those of `whole` pictures and of the sets as they are now."""
    sets = project.tables.version("evaluation_hashes")
    if not sets or not project.tables.count("evaluation_hashes"):
        return ()
    found = project.journal.events("leaks", limit=1)
    data = found[0].data if found else {}
    later = whole - int(data.get("pictures", 0))
    if not found:
        words = "the pictures were not compared with the evaluation sets"
    elif data.get("version") != project.tables.version("leaks"):
        words = "the last search for leaks was stopped before its end"
    elif data.get("sets_version", sets) != sets:
        words = "an evaluation set was added since leaks were looked for"
    elif later > 0:
        words = f"{counted(later, 'picture')} measured since leaks were looked for"
    else:
        return ()
    return (f"{words}: pictus clean leaks",)


def _opted_out(project: Project, checks: pa.Table) -> dict[str, str]:
    """Whose picture it is says no: at each of its addresses, the last time it was asked, or in the file itself."""
    said = dict(zip(*(checks.column(name).to_pylist() for name in ("image_id", "data_mining")), strict=True))
    words = "its metadata says that it must not be mined or trained on"
    found = {image_id: f"{words} ({word})" for image_id, word in said.items() if word.startswith("prohibited")}
    attempts = project.tables.read("fetches", ["address", "cause", "attempted_at"])
    if not set(verdicts.REFUSALS) & set(attempts.column("cause").unique().to_pylist()):
        return found
    latest: dict[str, tuple[str, str]] = {}
    for address, cause, at in zip(*(column.to_pylist() for column in attempts.columns), strict=True):
        if at >= latest.get(address, ("", ""))[0]:  # of two in one second the later row
            latest[address] = at, cause
    answers: dict[str, list[str]] = defaultdict(list)
    sources = project.tables.read("sources", ["image_id", "address"])
    for image_id, address in zip(*(column.to_pylist() for column in sources.columns), strict=True):
        answers[image_id].append(latest.get(address, ("", ""))[1])
    for image_id, causes in answers.items():
        if image_id not in found and all(cause in verdicts.REFUSALS for cause in causes):
            where = "at its address" if len(causes) == 1 else f"at all its {len(causes)} addresses"
            found[image_id] = f"its owner does not want it used: {', '.join(dict.fromkeys(causes))} {where}"
    return found


def _was(earlier: Mapping[str, verdicts.Earlier], row: Verdict) -> str:
    return earlier[row.image_id].verdict if row.image_id in earlier else "keep"


def _in_releases(project: Project, table: pa.Table) -> tuple[str, ...]:
    """What of the leaks and opt-outs of a table of verdicts a release was cut with."""
    rows = zip(*(table.column(name).to_pylist() for name in ("image_id", "rule", "verdict")), strict=True)
    why = {image_id: rule for image_id, rule, verdict in rows
           if verdict == "drop" and rule in {verdicts.LEAK, verdicts.OPT_OUT}}  # fmt: skip
    return released.told(project, why)


def _screened(decided: _Decided, lines: Sequence[rules.Line]) -> dict[str, Any]:
    table, own = decided.table, [line for line in lines if line.concept]
    pairs = list(zip(table.column("verdict").to_pylist(), table.column("rule").to_pylist(), strict=True))
    dropped = Counter(rule for verdict, rule in pairs if verdict == "drop")
    flags: Counter[str] = Counter()
    for (rule, _), count in decided.taken.items():
        if rule in rules.RULES and rules.RULES[rule].is_flag:
            flags[rule] += count
    return {
        "pictures": len(pairs),
        "kept": len(pairs) - sum(dropped.values()),
        "dropped": sum(dropped.values()),
        "rules": dict(dropped.most_common()),
        "flags": dict(flags.most_common()),  # a picture may have several
        "lines": [rules.as_json(cut, (flags if cut.rule.is_flag else dropped)[cut.rule.name], own)
                  for cut in decided.cuts],
        "own_lines": [line.text for line in own],
        "switched_off": [line.text for line in lines if line.rule in rules.SWITCHES],
    }  # fmt: skip


def _headline(summary: dict[str, Any], decided: _Decided, lines: Sequence[rules.Line]) -> str:
    why = ", ".join(f"{count:,} {rule}" for rule, count in summary["rules"].items())
    flags = ", ".join(f"{count:,} {rule}" for rule, count in summary["flags"].items())
    first = f"{summary['kept']:,} kept, {summary['dropped']:,} dropped" + (f": {why}" if why else "")
    counts = {**summary["rules"], **summary["flags"]}
    strips = []
    for cut in decided.cuts:
        own = [line for line in lines if line.concept and line.rule == cut.rule.name]
        if not cut.rule.is_flag or own or cut.rule.name in summary["flags"]:
            strips.append(rules.as_line(cut, counts.get(cut.rule.name, 0)))
            strips += [rules.as_own_line(line, decided.taken[line.rule, line.text]) for line in own]
    if kept := summary["kept_lines"]:
        back = "".join(f" --line {shlex.quote(text.rpartition('=')[0] + '=pool')}" for text in kept)
        strips.append(f"as set before: {', '.join(kept)}    (set back with: pictus clean screen{back})")
    return "\n".join([first + (f"  (kept and flagged: {flags})" if flags else ""), *(f"  {text}" for text in strips)])


def _restored(count: int, again: int, rule: str) -> str:
    """How many, and why not more."""
    why = [f"{counted(again, 'was', 'were')} restored before"] if again else []
    if rule and not count:
        why.append(f"none is dropped by {rule!r}")
    return f"{counted(count, 'picture')} restored" + (("; " if count else ": ") + ", ".join(why) if why else "")


def _unmeasured(count: int) -> tuple[str, ...]:
    return (f"{counted(count, 'picture')} not measured yet: pictus clean check",) if count else ()


def _beginnings(images: Sequence[str]) -> str:
    """The SQL filter for the rows that any of these may name: a restore of one need not read a million."""
    given = [text.lower() for text in images if text.isascii() and text.isalnum()]
    return " OR ".join(f"starts_with(image_id, '{text}')" for text in given) or "false"


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
