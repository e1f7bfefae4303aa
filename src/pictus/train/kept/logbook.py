"""The curve of a run: metrics.jsonl, and the loggers that the recipe names.

metrics.jsonl holds nothing that depends on the clock, so a run that was killed and resumed ends with
the very bytes of one that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pictus.errors import UserError
from pictus.run_files import MOST, is_share, parsed
from pictus.train.watching.loggers import Loggers

NAME = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a run; losses in nats, top-k as shares in 0..1 of the validation split."""

    epoch: int  # from 1
    step: int  # steps done
    lr: float
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    val_top5: float
    is_best: bool
    val_others: dict[str, float] = field(default_factory=dict)  # further figures of the task, by name
    train_others: dict[str, float] = field(default_factory=dict)  # and of the objective


class Logbook:
    """Appends to a run's curve, from `kept_bytes` on: what was written after the checkpoint is cut off."""

    def __init__(self, root: Path, *, kept_bytes: int, outlets: Loggers | None = None) -> None:
        self.path = root / NAME
        found_bytes = self.path.stat().st_size if self.path.is_file() else 0
        if found_bytes < kept_bytes:
            raise UserError(
                f"{self.path} has {found_bytes:,} bytes; when the checkpoint was written it had {kept_bytes:,}.",
                fix="restore the file from a copy, or train again under another --name",
            )
        self._file = self.path.open("ab")
        self._file.truncate(kept_bytes)
        self._file.seek(0, os.SEEK_END)
        self._outlets = outlets or Loggers()

    def step(self, step: int, epoch: int, loss: float, lr: float) -> None:
        """One line of the training curve; `step` counts steps done."""
        self._line({"kind": "step", "step": step, "epoch": epoch, "loss": loss, "lr": lr})
        self._outlets.scalars({"train/loss": loss, "train/learning rate": lr}, step)

    def epoch(self, record: Epoch, *, pictures_per_s: float) -> None:
        """One line per epoch, after its validation."""
        self._line({"kind": "epoch", **asdict(record)})
        values = (("train/top-1", record.train_top1), ("val/loss", record.val_loss), ("val/top-1", record.val_top1),
                  ("val/top-5", record.val_top5), ("train/pictures per second", pictures_per_s),
                  *((f"val/{name}", value) for name, value in record.val_others.items()),
                  *((f"train/{name}", value) for name, value in record.train_others.items()))  # fmt: skip
        self._outlets.scalars(dict(values), record.step)

    def sync(self) -> int:
        """Force what was written to the disk -> its length, for the checkpoint."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _write_error(self.path, error) from error
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()  # writes what a full disk did not take before
        except OSError as full:
            raise _write_error(self.path, full) from full

    def _line(self, values: dict[str, object]) -> None:
        try:
            self._file.write(json.dumps(values).encode() + b"\n")
        except OSError as error:
            raise _write_error(self.path, error) from error


def epochs(root: Path) -> Iterator[Epoch]:
    """The epochs of a run so far; what follows the last line break is still being written."""
    yield from _epochs(root, json.loads)


def _epochs(root: Path, read: Callable[[str], Any]) -> Iterator[Epoch]:
    path = root / NAME
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines():
        values = read(line)
        if values.pop("kind") == "epoch":
            yield Epoch(**values)


def readable(root: Path) -> list[Epoch]:
    """The epochs of a run so far; none where its curve is damaged, or of another Pictus. Losses and scores of a network
    that has diverged are nan.
    """
    try:
        found = list(_epochs(root, parsed))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []  # what else is known of the run is told all the same
    return found if all(map(_is_sound, found)) else []


def _is_sound(epoch: Epoch) -> bool:
    is_numbered = type(epoch.epoch) is int and 1 <= epoch.epoch <= MOST
    has_losses = {type(epoch.train_loss), type(epoch.val_loss)} <= {int, float}
    return is_numbered and has_losses and is_share(epoch.val_top1) and is_share(epoch.val_top5)


def _write_error(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} could not be written: {error.strerror or error}.",
        fix="free some space, then `pictus train resume`: the last checkpoint is whole",
    )
