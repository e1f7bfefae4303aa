"""Processes that rank 0 starts itself, on its own machine, for `processes=N`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from pictus.train.devices import meeting
from pictus.train.devices.meeting import Brief, Store

REAP_S = 5.0
"""A killed process is reaped a moment after its connections have closed."""

LEAVE_S = 10.0

PREFIX = "pictus-meeting-"

YOUNG_S = 60.0
"""A folder's owner has locked it by then."""


class Helper(NamedTuple):
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]


class Helpers(NamedTuple):
    """Those of one run: where they meet, and which of them is gone."""

    store: Store
    started: list[Helper]

    def gone(self, patience_s: float = 0.0) -> str:
        """Which process has ended or failed, with its last words; "" where all are there."""
        until = time.monotonic() + patience_s
        while True:
            world = len(self.started) + 1
            if words := meeting.words_of(self.store, world):
                return words
            for number, helper in enumerate(self.started, 2):
                if helper.process.poll() is not None:
                    return f"Process {number} of {world} ended with {helper.process.returncode}{_said(helper)}"
            if time.monotonic() >= until:
                return ""
            time.sleep(meeting.LOOK_S)


@contextmanager
def started(brief: Brief, world: int) -> Iterator[Helpers]:
    """All of `world` but rank 0: they end with the context, and have not begun yet."""
    with _place() as folder:
        found: list[Helper] = []
        try:
            found.extend(_started(brief, rank, world, folder) for rank in range(1, world))
            yield Helpers(meeting.in_folder(folder, world), found)
        except BaseException:
            for helper in found:
                helper.process.kill()  # it keeps nothing, and could wait for rank 0 where connections outlive the group
            raise
        finally:
            for helper in found:
                _ended(helper)


@contextmanager
def _place() -> Iterator[str]:
    """A folder that nobody else may look into; a port would be open to the network. A lock tells that its owner lives,
    so that those of processes that were killed can go.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, a living process's, or gone by now
            if time.time() - left.lstat().st_mtime > YOUNG_S:
                with _locked(left):
                    shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with _locked(folder):
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Until its end, or this process's; an OSError where another has it."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def _started(brief: Brief, rank: int, world: int, folder: str) -> Helper:
    told = {**brief._asdict(), "rank": rank, "world": world, "folder": folder, "parent": os.getpid()}
    errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in _ended
    command = [sys.executable, "-m", "pictus.train.devices.helper", json.dumps(told)]
    return Helper(
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors),  # noqa: S603
        errors,
    )


def _said(helper: Helper) -> str:
    """": " and its last words, "" where it said none."""
    helper.errors.seek(0)
    lines = helper.errors.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:300].removesuffix('.')}" if lines else ""


def _ended(helper: Helper) -> None:
    try:
        helper.process.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        helper.process.kill()
        helper.process.wait()
    helper.errors.close()
