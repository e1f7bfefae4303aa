"""The verbs `hashes` and `leaks`: hash lists out and in, and which pictures are in a set that tests models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from pictus.clean import duplicates, hash_lists, leakage, released, verdicts
from pictus.errors import UserError, counted
from pictus.project import Project, safe_name, write_bytes
from pictus.records import Leak
from pictus.registry import Outcome, step
from pictus.tables import table_of

_COLUMNS = ("image_id", "cause", "pixel_sha256", "phash", "dhash", "pdq", "pdq_quality")


@step("clean hashes", changes=True)
def hashes(
    project: Project, action: Literal["export", "add", "list", "remove"], file: Path | None = None, *, set_: str = ""
) -> Outcome[None]:
    """Write the pool's hashes to a file, or take in the hashes of an evaluation set; no pictures change hands.

    A set that is added again replaces what it was. With a set its leaks are removed.

    action: `export` the hashes of every measured picture, `add` a list as a set, `list` the sets, or `remove` one
    file: .parquet, .csv, or for `add` also text with one PDQ hash a line
    set_: the name of the set to add or remove

    Examples:
        pictus clean hashes export birds.parquet
        pictus clean hashes add imagenet-val.csv --set imagenet-val
        pictus clean hashes add needles.txt --set needles
        pictus clean hashes list
        pictus clean hashes remove --set needles
    """
    if action == "list":
        return _listed(project)
    with project.lock("clean"):
        if action == "remove":
            return _removed(project, set_)
        if file is None:
            more = "" if action == "export" else f" --set {set_ or 'NAME'}"
            raise UserError(f"Say which file to {action}.", fix=f"pictus clean hashes {action} FILE.csv{more}")
        if action == "export":
            return _exported(project, file)
        if not set_:
            raise UserError("Say what the set is called.", fix=f"pictus clean hashes add {file} --set NAME")
        return _added(project, file, safe_name(set_, "name of a set"))


def _exported(project: Project, file: Path) -> Outcome[None]:
    kind = file.suffix.lower().removeprefix(".")
    if kind not in {"parquet", "csv"}:
        raise UserError(f"{file} ends neither in .parquet nor in .csv.", fix="pictus clean hashes export FILE.parquet")
    checks = project.tables.read("checks", _COLUMNS, where="cause = ''")
    if not checks.num_rows:
        raise UserError("No picture has been measured yet.", fix="pictus clean check")
    write_bytes(file, hash_lists.written(checks, kind))
    project.journal.log("clean", "hashes_exported", file=file.name, pictures=checks.num_rows)
    return Outcome(
        step="clean hashes",
        summary={"action": "export", "file": str(file), "pictures": checks.num_rows},
        headline=f"Hashes of {counted(checks.num_rows, 'picture')} written to {file}",
        next=(f"pictus clean hashes add {file.name} --set NAME    (in another project)",),
    )


def _added(project: Project, file: Path, name: str) -> Outcome[None]:
    rows = hash_lists.read(file, name)
    held = project.tables.read("evaluation_hashes")
    is_other = pa.array([found != name for found in held.column("set").to_pylist()], pa.bool_())
    before = held.num_rows
    held = held.filter(is_other)
    project.tables.replace("evaluation_hashes", pa.concat_tables([held, rows]))
    replaced = before - held.num_rows
    project.journal.log("clean", "hashes_added", set=name, items=rows.num_rows, replaced=replaced)
    also = f", in place of {replaced:,} before" if replaced else ""
    return Outcome(
        step="clean hashes",
        summary={"action": "add", "set": name, "items": rows.num_rows, "replaced": replaced},
        headline=f"{counted(rows.num_rows, 'hash', 'hashes')} in the set {name}{also}",
        next=("pictus clean leaks",),
    )


def _sets(project: Project) -> Counter[str]:
    return Counter(project.tables.read("evaluation_hashes", ["set"]).column("set").to_pylist())


def _listed(project: Project) -> Outcome[None]:
    sets = _sets(project)
    leaked = Counter(project.tables.read("leaks", ["set"]).column("set").to_pylist())
    lines = [
        f"  {name}  {counted(sets[name], 'hash', 'hashes')}, {counted(leaked[name], 'picture')} found in it"
        for name in sorted(sets)
    ]  # fmt: skip
    return Outcome(
        step="clean hashes",
        summary={
            "action": "list", "sets": {name: {"items": sets[name], "leaks": leaked[name]} for name in sorted(sets)}
        },
        headline="\n".join([counted(len(sets), "evaluation set"), *lines]),
        next=("pictus clean leaks" if sets else "pictus clean hashes add FILE --set NAME",),
    )


def _removed(project: Project, name: str) -> Outcome[None]:
    """Takes a set out with the leaks found in it; what is left is as current as it was."""
    sets = _sets(project)
    if name not in sets:
        known = ", ".join(sorted(sets))
        words = f"There is no evaluation set {name!r}." if name else "Say which set to remove."
        fix = f"pictus clean hashes remove --set NAME, one of {known}" if known else "pictus clean hashes list"
        raise UserError(words, fix=fix)
    last = project.journal.events("leaks", limit=1)
    was = project.tables.version("leaks"), project.tables.version("evaluation_hashes")
    leaks_before = 0
    for table in ("leaks", "evaluation_hashes"):
        if project.tables.exists(table):
            held = project.tables.read(table)
            is_other = pa.array([found != name for found in held.column("set").to_pylist()], pa.bool_())
            leaks_before += held.num_rows - held.filter(is_other).num_rows if table == "leaks" else 0
            project.tables.replace(table, held.filter(is_other))
    data = last[0].data if last else {}
    is_current = (data.get("version"), data.get("sets_version", was[1])) == was
    now = {"version": project.tables.version("leaks"), "sets_version": project.tables.version("evaluation_hashes")}
    about = {**data, **now} if is_current else {}
    about |= {"set": name, "items": sets[name], "leaks_removed": leaks_before}
    project.journal.log("clean", "hashes_removed", "leaks" if is_current else "", **about)
    return Outcome(
        step="clean hashes",
        summary={"action": "remove", "set": name, "items": sets[name], "leaks": leaks_before},
        headline=f"The set {name} is removed: {counted(sets[name], 'hash', 'hashes')}, with"
        f" {counted(leaks_before, 'picture')} found in it",
        next=("pictus clean screen",),
    )


@step("clean leaks", changes=True)
def leaks(project: Project, *, radius: int = duplicates.RADIUS) -> Outcome[Leak]:
    """Find the pictures that are in an evaluation set, or near one that is; `clean screen` then drops them.

    By the sha256 of bytes and pixels and by the three hashes; by PDQ alone (31 bits) where a set has no more.
    Crops, turned and mirrored copies of a set's pictures are not looked for: hashes of whole pictures do not see them.

    radius: how many of the 384 bits of two pictures' hashes may differ

    Examples:
        pictus clean leaks
        pictus clean leaks --radius 60
    """
    if not 0 <= radius <= duplicates.HASH_BITS // 3:
        raise UserError(
            f"--radius {radius} is not between 0 and {duplicates.HASH_BITS // 3}: unrelated pictures differ in more.",
            fix=f"pictus clean leaks --radius {duplicates.RADIUS}",
        )
    with project.lock("clean"):
        sets = project.tables.read("evaluation_hashes")
        if not sets.num_rows:
            words = "There is no evaluation set to compare with."
            raise UserError(words, fix="pictus clean hashes add FILE --set NAME")
        checks = project.tables.read("checks", _COLUMNS, where="cause = ''")
        if not checks.num_rows:
            raise UserError("No picture has been measured yet.", fix="pictus clean check")
        pool = _pool_side(checks)
        names = sorted(set(sets.column("set").to_pylist()))
        found: list[Leak] = []
        with project.progress.track("leaks", len(names)) as meter:
            for name in names:
                found += leakage.find(pool, _set_side(sets, name), name, radius=radius)
                meter.advance()
        table = table_of("leaks", found)
        if not project.tables.exists("leaks") or not project.tables.read("leaks").equals(table):
            project.tables.replace("leaks", table)
        by_set = Counter(row.set for row in found)
        pictures = len({row.image_id for row in found})
        summary = {
            "pictures": checks.num_rows, "leaks": pictures, "sets": {name: by_set[name] for name in names},
            "relations": dict(Counter(row.relation for row in found)), "radius": radius,
        }  # fmt: skip
        project.journal.log(
            "clean", "leaks_found", "leaks", **summary, version=project.tables.version("leaks"),
            sets_version=project.tables.version("evaluation_hashes"),
        )  # fmt: skip
    listed = ", ".join(f"{by_set[name]:,} in {name}" for name in names)
    return Outcome(
        step="clean leaks",
        summary=summary,
        headline=f"{counted(pictures, 'picture')} of {checks.num_rows:,} {'is' if pictures == 1 else 'are'} in"
        f" {counted(len(names), 'evaluation set')}: {listed}\n  by hashes of whole pictures: crops, turned and"
        " mirrored copies of a set's pictures were not looked for",
        problems=released.told(project, dict.fromkeys((row.image_id for row in found), verdicts.LEAK)),
        next=("pictus clean screen",),
        source=lambda: project.tables.records("leaks", Leak),
    )


def _pool_side(checks: pa.Table) -> leakage.Side:
    ids = checks.column("image_id").to_pylist()
    return leakage.Side(
        ids, ids, checks.column("pixel_sha256").to_pylist(), _stacked(checks),
        checks.column("pdq_quality").to_numpy().astype(np.int64), np.ones(len(ids), dtype=np.bool_),
    )  # fmt: skip


def _set_side(sets: pa.Table, name: str) -> leakage.Side:
    rows = sets.filter(pa.array([found == name for found in sets.column("set").to_pylist()], pa.bool_()))
    words = _stacked(rows)
    return leakage.Side(
        rows.column("item").to_pylist(), rows.column("sha256").to_pylist(), rows.column("pixel_sha256").to_pylist(),
        words, rows.column("pdq_quality").to_numpy().astype(np.int64), (words[:, :2] != 0).any(axis=1),
    )  # fmt: skip


def _stacked(rows: pa.Table) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    found: np.ndarray[tuple[int, int], np.dtype[np.uint64]] = duplicates.stack(
        rows.column("phash").to_numpy(), rows.column("dhash").to_numpy(), rows.column("pdq").to_pylist()
    )
    return found
