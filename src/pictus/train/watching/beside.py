"""What later steps found out about a run, beside its card: how it stands up to attacks, what became of a larger one.

    models/<run>/robustness.json, fitted.json      format, split, rows of the step
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pictus import run_files
from pictus.errors import counted
from pictus.project import write_text
from pictus.train.watching.words import Fact

FORMAT = 1
ROBUSTNESS, FITTED = "robustness", "fitted"


def keep(root: Path, what: str, split: str, rows: Sequence[Any]) -> None:
    """What was measured on a split, rows of a step, in place of what was before."""
    found = {"format": FORMAT, "split": split, "rows": [asdict(row) for row in rows]}
    write_text(root / f"{what}.json", json.dumps(found, indent=1) + "\n")


def facts(root: Path) -> Iterator[Fact]:
    """A line for each; what is not there, or of another form, is left out."""
    for what, about, tell in ((FITTED, "made smaller", _fitted), (ROBUSTNESS, "attacked", _robust)):
        try:
            yield Fact(about, tell(run_files.read(root / f"{what}.json")))
        except (OSError, TypeError, ValueError, LookupError, ArithmeticError):
            continue  # none, or somebody else wrote it


def _robust(found: dict[str, Any]) -> str:
    clean, attacked = found["rows"]
    return (
        f"top-1 on {counted(clean['pictures'], 'picture')} of {found['split']}: {_score(clean)} as they are,"
        f" {_score(attacked)} changed for the worst within {attacked['bound']:g} of 255"
        f" ({counted(attacked['steps'], 'step')})"
    )


def _fitted(found: dict[str, Any]) -> str:
    before, after = found["rows"][0], found["rows"][-1]
    return (
        f"{after['bytes'] / before['bytes']:.0%} of the bytes and {after['cpu_ms'] / before['cpu_ms']:.0%} of the"
        f" processor time of {before['run']}; top-1 on {found['split']} {_score(after)}, before {_score(before)}"
    )


def _score(row: dict[str, Any]) -> str:
    return f"{row['top1']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
