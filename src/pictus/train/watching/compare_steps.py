"""The verb: compare."""

from __future__ import annotations

from functools import partial

from pictus import models
from pictus.errors import UserError
from pictus.journey import first_command
from pictus.models import Run
from pictus.project import Project, write_text
from pictus.registry import Outcome, step
from pictus.run_files import printable
from pictus.train.kept import card as cards
from pictus.train.kept import logbook
from pictus.train.watching import comparison, comparison_page
from pictus.train.watching.comparison import ComparedRun
from pictus.train.watching.comparison_page import share

PAGE = "compare.html"
NEWEST = 6
MOST = 24
"""Lines that can still be told apart on one chart, with room to spare."""

_STILL = "{} is running still: its figures are of what it has learned so far"


@step("train compare", changes=True, needs_project=False, shows_records=True)
def compare(project: Project, runs: tuple[str, ...] = ()) -> Outcome[ComparedRun]:
    """Runs side by side: settings that differ, figures with intervals, time, weights; and a page with their curves.

    runs: by name or folder; the newest six when left out

    Examples:
        pictus train compare
        pictus train compare small-cnn-1.0.0 small-cnn-1.0.0-2
    """
    found, broken = models.opened_runs(project) if not runs else ([], [])
    chosen = [models.find_run(project, name) for name in dict.fromkeys(runs)] or found[-NEWEST:]
    chosen = list({run.root: run for run in chosen}.values())
    if len(chosen) < 2:  # noqa: PLR2004
        there = f"this is one: {chosen[0].name}" if chosen else "there is none yet"
        raise UserError(
            f"Two runs or more are compared; {there}.",
            fix="pictus train list" if chosen else first_command(project, "run"),
        )
    if len(chosen) > MOST:
        raise UserError(f"At most {MOST} runs are compared at once, not {len(chosen)}.", fix="name fewer")
    rows = comparison.rows(chosen)
    command = " ".join(("pictus train compare", *(row.run for row in rows)))
    path = project.models_dir / PAGE
    write_text(path, comparison_page.page(rows, [logbook.readable(run.root) for run in chosen], command))
    summary = {"runs": [run.name for run in chosen], "page": str(path), "differ": _differ(chosen)}
    problems = (*_problems(chosen, rows), *(f"{error.what} {error.fix}" for error in broken))
    return Outcome("train compare", summary, _headline(rows), problems, (f"look at {path}",), partial(iter, rows))


def _differ(runs: list[Run]) -> dict[str, list[str]]:
    found = comparison.differing(runs)
    return {printable(name): [comparison.told(one) for one in values] for name, values in found.items()}


def _headline(rows: list[ComparedRun]) -> str:
    """The best on test where all were tested, else on validation."""
    if all(row.test_top1 is not None for row in rows):
        best = max(rows, key=lambda row: row.test_top1 or 0.0)
        return f"best on test: {best.run}, top-1 {share(best.test_top1, best.test_low, best.test_high)}"
    known = [row for row in rows if row.val_top1 is not None]
    taught = [row for row in known if row.scored_by != comparison.NEIGHBOURS]  # neighbours' votes are another figure
    known = taught or known
    if not known:
        return "no run has been validated yet"
    best = max(known, key=lambda row: row.val_top1 or 0.0)
    return f"best on validation: {best.run}, top-1 {share(best.val_top1, best.val_low, best.val_high)}"


def _problems(runs: list[Run], rows: list[ComparedRun]) -> tuple[str, ...]:
    found = [
        problem for run, row in zip(runs, rows, strict=True)
        for problem in ((_STILL.format(run.name),) if row.status == cards.RUNNING else models.unfinished(run))
    ]  # fmt: skip
    digests = {str((run.card.get("release") or {}).get("digest", "")) for run in runs}
    if len(digests) > 1:
        found.append("not all were trained and validated on the same release: their figures are of other pictures")
    untested = [row.run for row in rows if row.test_top1 is None and row.status == "finished"]
    if untested and len(untested) < len(rows):
        found.append(f"not evaluated on test: {', '.join(untested)} (pictus evaluate run --run {untested[0]})")
    return tuple(found)
