"""The whole journey through a drawn world: acts in order, each played once, then the report.

What an act found is kept in `demo.json`; a second run of the same command plays only the acts
that are missing, and those continue where they stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pictus.demo import acts, labelling
from pictus.demo.acts import FULL, SMALL, Scale, Stage
from pictus.demo.findings import Facts
from pictus.demo.report import write_report
from pictus.errors import UserError
from pictus.progress import Meter, Progress
from pictus.project import CONFIG_NAME, Project, new, open_project, write_text

LEDGER = "demo.json"
REPORT = "report.html"

ACTS: tuple[tuple[str, Callable[[Stage], Facts]], ...] = (
    ("world", acts.draw_world),
    ("collect", acts.collect_pictures),
    ("clean", acts.clean_pictures),
    ("annotate", labelling.annotate_pictures),
    ("release", acts.release_pictures),
    ("train", acts.train_model),
    ("evaluate", acts.evaluate_model),
    ("challenge", acts.rank_rivals),
    ("serve", acts.serve_model),
    ("search", acts.search_pictures),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: what a stage found, and how that compares with the truth."""

    stage: str
    found: str
    true: str


@dataclass(frozen=True)
class DemoResult:
    """What the journey came to."""

    folder: Path
    report: Path
    opening: str
    rows: tuple[Row, ...]
    seconds: float
    facts: dict[str, Facts]

    def as_text(self) -> str:
        """The table for a terminal."""
        wide = [
            max(len(text) for text in column)
            for column in zip(*((row.stage, row.found) for row in self.rows), strict=True)
        ]
        lines = [f"  {'stage':<{wide[0]}}  {'found':<{wide[1]}}  true"]
        lines += [f"  {row.stage:<{wide[0]}}  {row.found:<{wide[1]}}  {row.true}".rstrip() for row in self.rows]
        following = f"report: {self.report}      next: pictus web {self.folder} · pictus serve start -C {self.folder}"
        return "\n".join([self.opening, "", *lines, "", following])

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"folder": str(self.folder), "report": str(self.report), "opening": self.opening,
                "rows": [asdict(row) for row in self.rows], "seconds": self.seconds, "facts": self.facts}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Progress that says which act it belongs to: "3/10 check"."""

    progress: Progress
    number: str

    def track(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        """The same meter under a longer label."""
        return self.progress.track(f"{self.number} {label}", total)


def run(folder: Path, *, is_small: bool, seed: int, progress: Progress) -> DemoResult:
    """Play what has not been played, write the report, return the table."""
    project = replace(_project(folder.expanduser().resolve()), progress=progress)
    scale = SMALL if is_small else FULL
    with project.lock("demo"):
        ledger = _ledger(project, is_small=is_small, seed=seed)
        stage = Stage(project, scale, seed)
        for number, (name, act) in enumerate(ACTS, start=1):
            if name in ledger["acts"]:
                continue
            started = time.monotonic()
            facts = act(replace(stage, project=replace(project, progress=Scene(progress, f"{number}/{len(ACTS)}"))))
            ledger["acts"][name] = {"seconds": round(time.monotonic() - started, 1), "facts": facts}
            write_text(project.root / LEDGER, json.dumps(ledger, indent=1))
        facts = {name: entry["facts"] for name, entry in ledger["acts"].items()}
        seconds = {name: entry["seconds"] for name, entry in ledger["acts"].items()}
        result = DemoResult(
            folder, project.root / REPORT, opening(facts, scale), tuple(table(facts)),
            round(sum(seconds.values()), 1), facts,
        )  # fmt: skip
        write_report(stage, result.opening, [(row.stage, row.found, row.true) for row in result.rows], facts)
    return result


def _project(root: Path) -> Project:
    if (root / CONFIG_NAME).is_file():
        return open_project(root)
    if root.is_dir() and any(root.iterdir()):
        raise UserError(
            f"{root} holds other files; the demo wants a folder of its own.", fix="pictus demo ANOTHER-FOLDER"
        )
    return new(root)


def _ledger(project: Project, *, is_small: bool, seed: int) -> dict[str, Any]:
    path = project.root / LEDGER
    wanted = {"seed": seed, "small": is_small}
    if not path.exists():
        if project.tables.names():
            raise UserError(f"{project.root} is a project of its own, not a demo.", fix="pictus demo ANOTHER-FOLDER")
        write_text(path, json.dumps({**wanted, "acts": {}}))
    try:
        ledger: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = {"seed": ledger["seed"], "small": ledger["small"]}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}.", fix="remove the folder and run pictus demo again") from error
    if found != wanted:
        size = "small" if found["small"] else "whole"
        flags = f" --seed {found['seed']}" + (" --small" if found["small"] else "")
        raise UserError(
            f"{project.root} holds the {size} demo of seed {found['seed']}.",
            fix=f"pictus demo {project.root}{flags}    or    pictus demo ANOTHER-FOLDER",
        )
    return ledger


def opening(facts: dict[str, Facts], scale: Scale) -> str:
    """The sentence the story begins with."""
    world = facts["world"]
    return (
        f"Pictus drew a world of {world['concepts']} concepts and {world['candidates']:,} candidate pictures, "
        f"{world['bad']:,} of them bad on purpose, and hired {scale.annotators} annotators, 3 of them spammers."
    )


def table(facts: dict[str, Facts]) -> list[Row]:
    """Found against true, one line for each stage (two where two things were looked for)."""
    got, kept, asked = facts["collect"], facts["clean"], facts["annotate"]
    copies, poor, skills = kept["duplicates"], kept["poor"], asked["skills"]
    cut, trained, scored, found = facts["release"], facts["train"], facts["evaluate"], facts["search"]
    rivals = {one["name"]: one for one in facts["challenge"]["scores"]}
    order = sorted(rivals.values(), key=lambda one: one["rank"])
    splits = " / ".join(f"{cut['splits'].get(name, 0):,}" for name in ("train", "val", "test"))
    return [
        Row("collect", f"{got['arrived']:,} pictures, {got['failures']:,} failures",
            f"each failure's cause right: {got['causes_right']}/{got['doomed']}"),
        Row("clean", f"{copies['found']:,} copies, besides {copies['same_bytes']:,} of equal bytes", _rates(copies)),
        Row("", f"{poor['found']:,} poor or broken", _rates(poor)),
        Row("annotate", f"{asked['accepted']:,} labels, {asked['votes_each']:.1f} votes each",
            f"precision {_share(asked['precision'])}   "
            f"fixed-10 would have asked {asked['fixed_10']:,}, we asked {asked['votes']:,}"),
        Row("", f"an audit of {asked['audit']['presence']['n']:,} says {_audited(asked['audit']['presence'])}",
            f"in fact {asked['precision'][0] * 100:.1f} %" if asked["precision"] else ""),
        Row("", f"{skills['annotators']} annotators judged, {len(skills['paused'])} paused by the desk",
            f"spammers found {skills['spammers_found']}/{len(skills['spammers'])}, "
            f"skill off by {(skills['mae'] or 0) * 100:.1f} points"),
        Row("release", f"{cut['version']}: {splits}", _groups(cut)),
        Row("train", f"small-cnn, {trained['epochs']} epochs, {trained['wall_s']:.0f} s",
            f"validation top-1 {trained['val_top1'] * 100:.1f} %"),
        Row("evaluate", f"top-1 {_share(_three(scored['top1']))}",
            f"top-5 {scored['top5']['estimate'] * 100:.1f} %   "
            f"hierarchical error {scored['hierarchical_error']['estimate']:.3f}"),
        Row("challenge", f"{order[0]['name']} {order[0]['top1'] * 100:.1f} %",
            f"{order[-1]['name']} {order[-1]['top1'] * 100:.1f} %"),
        Row("serve", f"{facts['serve']['right']} of {facts['serve']['pictures']} new pictures named right",
            _share(facts["serve"]["top1"])),
        Row("search", f"recall@10 {found['recall_at_10'][0]:.2f}",
            f"{found['precision_at_10'] * 100:.0f} % of all ten are right"),
    ]  # fmt: skip


def _three(interval: dict[str, float]) -> list[float]:
    return [interval["estimate"], interval["low"], interval["high"]]


def _share(interval: list[float] | None) -> str:
    if interval is None:
        return "of nothing"
    estimate, low, high = (value * 100 for value in interval)
    return f"{estimate:.1f} % (95 % CI {low:.1f}-{high:.1f})"


def _audited(presence: Facts) -> str:
    return _share(None if presence["estimate"] is None else [presence[name] for name in ("estimate", "low", "high")])


def _rates(found: Facts) -> str:
    recall, precision = found["recall"], found["precision"]
    parts = [
        f"{name} {value[0] * 100:.1f} %" for name, value in (("recall", recall), ("precision", precision)) if value
    ]
    return "  ".join(parts) or "there are none"


def _groups(cut: Facts) -> str:
    found, missed = cut["cut_groups"], cut["missed_across"]
    text = f"{found} duplicate groups across splits" if found else "no duplicate group across splits"
    return f"{text} (missed copies that are: {missed})" if missed else text
