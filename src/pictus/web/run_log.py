"""A run's metrics.jsonl as its page draws it. It is read on from where it was left: a look costs what is new."""

from __future__ import annotations

import os
import threading
from array import array
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.errors import UserError, clipped
from pictus.reports import MOST_POINTS
from pictus.run_files import UnreadableError, is_number, is_share, parsed

COLUMNS = ("step", "loss", "lr")
SHARES = ("train_top1", "val_top1", "val_top5")
KINDS = (b'"kind": "step"', b'"kind": "epoch"')
MOST_EPOCHS = 20_000
MOST_LOGS = 16
"""Logs that are kept in memory, 24 bytes a step, the latest looked at."""
_PIECE = 4 << 20
_TAIL = 4096


class Log(NamedTuple):
    """Epochs and steps by number; of one that a resumed run wrote twice the later. steps: f64[N, COLUMNS]."""

    epochs: list[dict[str, Any]]
    steps: npt.NDArray[np.float64]

    def points(self, column: str, per_epoch: float) -> list[tuple[float, float]]:
        """(epochs, value) of at most MOST_POINTS means of neighbours, the last one too: one step says little."""
        rows = self.steps[:, (0, COLUMNS.index(column))]
        rows = rows[np.isfinite(rows[:, 1])]
        if not len(rows):
            return []
        firsts = np.arange(0, len(rows), -(-len(rows) // MOST_POINTS))
        sizes = np.diff(np.append(firsts, len(rows)))
        means = np.add.reduceat(rows[:, 1], firsts) / sizes
        return list(zip((rows[firsts + sizes - 1, 0] / per_epoch).tolist(), means.tolist(), strict=True))


class _Reader:
    """One file, as far as it was read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._inode, self._at, self._tail = 0, 0, b""
        self._epochs: dict[int, dict[str, Any]] = {}
        self._steps = array("d")

    def log(self, path: Path) -> Log:
        with path.open("rb") as opened:
            found = os.fstat(opened.fileno())
            opened.seek(max(0, self._at - len(self._tail)))
            if found.st_ino != self._inode or opened.read(len(self._tail)) != self._tail:
                self._forget()  # another file, or one that was cut off
                self._inode = found.st_ino
            opened.seek(self._at)
            while self._go_on(opened):
                pass
        rows = np.frombuffer(self._steps, np.float64).reshape(-1, len(COLUMNS)).copy()
        if (np.diff(rows[:, 0]) <= 0).any():
            last_first = rows[::-1]
            rows = last_first[np.unique(last_first[:, 0], return_index=True)[1]]
        return Log([self._epochs[number] for number in sorted(self._epochs)], rows)

    def _go_on(self, opened: BinaryIO) -> bool:
        """The next lines; what follows the last line break is still being written."""
        piece = opened.read(_PIECE)
        whole = piece[: piece.rfind(b"\n") + 1]
        if not whole:
            if len(piece) == _PIECE:
                message = f"a line has more than {_PIECE:,} bytes"
                raise UnreadableError(message)
            return False
        lines = [parsed(line) for line in whole.split(b"\n") if any(kind in line for kind in KINDS)]
        steps = [_step(line) for line in lines if line["kind"] == "step"]
        epochs = {line["epoch"]: _epoch(line) for line in lines if line["kind"] == "epoch"}
        if len(self._epochs) + len(epochs) > MOST_EPOCHS:
            message = f"it has more than {MOST_EPOCHS:,} epochs"
            raise UnreadableError(message)
        self._epochs |= epochs
        for step in steps:
            self._steps.extend(step)
        self._at += len(whole)
        self._tail = whole[-_TAIL:]
        opened.seek(self._at)
        return True


_READERS: dict[Path, _Reader] = {}
_READERS_LOCK = threading.Lock()


def read_log(path: Path) -> Log:
    """The log of a run, empty where there is none; a UserError for one that is damaged."""
    if not path.is_file():
        return Log([], np.zeros((0, len(COLUMNS))))
    with _READERS_LOCK:
        reader = _READERS[path] = _READERS.pop(path, _Reader())
        while len(_READERS) > MOST_LOGS:
            del _READERS[next(iter(_READERS))]
    try:
        with reader.lock:
            return reader.log(path)
    except KeyError as error:
        why = f"a line has no {error}"
    except (OSError, ValueError, TypeError) as error:
        why = str(error)
    raise UserError(f"{path} is damaged: {why}.", fix="restore it from a copy, or train again")


def _step(line: dict[str, Any]) -> list[float]:
    if not is_number(line["step"]):
        raise _wrong(line, "step", "a number")
    values = [line.get(name) for name in COLUMNS]
    return [float(value) if isinstance(value, (int, float)) else np.nan for value in values]


def _epoch(line: dict[str, Any]) -> dict[str, Any]:
    """With what a page needs, each of the right form; other figures as they are."""
    if isinstance(line["epoch"], bool) or not isinstance(line["epoch"], int) or line["epoch"] < 1:
        raise _wrong(line, "epoch", "a whole number from 1")
    if not is_number(line["step"]):
        raise _wrong(line, "step", "a number")
    for name in SHARES:
        if not is_share(line[name]):
            raise _wrong(line, name, "a share")
    if not isinstance(line["is_best"], bool):
        raise _wrong(line, "is_best", "true or false")
    others = line.get("val_others") or {}
    if not isinstance(others, dict):
        raise _wrong(line, "val_others", "an object")
    names = ("epoch", "step", *SHARES, "is_best", "val_loss")
    return {name: line.get(name) for name in names} | {"val_others": others}


def _wrong(line: dict[str, Any], name: str, wanted: str) -> UnreadableError:
    return UnreadableError(f"{name} is {clipped(line[name])}, not {wanted}")
