"""The project's own exports when they come back: where the form has lost something, taking them in would double all.

The journal keeps the digest of every export. One that somebody changed since is another file, and is taken in; one in a
form that keeps everything adds nothing by itself, and is read as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pictus.annotate.exchange.formats.documents import bundle_of
from pictus.annotate.exchange.output_steps import digest_of
from pictus.errors import UserError, clipped
from pictus.project import Project
from pictus.records import Vote
from pictus.registry import Outcome

Row = TypeVar("Row")

LOSSY = ("yolo", "voc")
"""Formats that have no place for who drew a shape, or for parts of a pixel: what comes back is not what went out."""
SETTLED = ("labels", "shapes")
"""What votes and marks were settled on, and nobody has said: taken in, it would stand beside them as one more voice."""

_MANY = 10_000


def foreign(project: Project, files: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The files but those that are such exports of this very project, and a line about each of these."""
    known = {
        str(event.data["content"]): f"{event.data.get('what', '')} as {event.data.get('format', '')}"
        for event in project.journal.events(limit=_MANY, event="exported")
        if event.data.get("content")
        and (event.data.get("format") in LOSSY or event.data.get("what") in SETTLED)
    }  # fmt: skip
    if not known:
        return tuple(files), ()
    ours = {path: known[content] for path in files if (content := content_of(path)) in known}
    told = tuple(
        f"{clipped(path.name)} is what this project wrote itself ({what}), and is left out: taken in, everything in it "
        "would stand there twice"
        for path, what in ours.items()
    )  # fmt: skip
    return tuple(path for path in files if path not in ours), told


def are_own(project: Project, files: Sequence[Path]) -> bool:
    """Whether all of them are exports of this very project as they were written: their names stand in it already."""
    written = {event.data.get("content", "") for event in project.journal.events(limit=_MANY, event="exported")}
    return bool(files) and all(path.is_file() and content_of(path) in written for path in files)


def content_of(path: Path) -> str:
    """A digest of what a file, or the files of annotations in a folder, hold; "" where there is nothing."""
    if path.is_file():
        return digest_of(path)
    with suppress(UserError):  # nothing in it, or nothing there: said when it is read
        return bundle_of(path).digest if path.is_dir() else ""
    return ""


def nothing(told: Sequence[str]) -> Outcome[Vote]:
    """What `import` gives where every file is the project's own."""
    return Outcome(
        step="annotate import", summary={"votes": 0, "added": 0, "marks": 0, "already_there": 0, "own": len(told)},
        headline="nothing new", problems=tuple(told), next=("pictus annotate settle",), is_vain=True,
    )  # fmt: skip


def telling(outcome: Outcome[Row], told: Sequence[str]) -> Outcome[Row]:
    """The same outcome that also tells what was left out."""
    return replace(outcome, problems=(*told, *outcome.problems)) if told else outcome
