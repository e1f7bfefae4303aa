"""Checkpoints that survive a kill or a full disk: tensors in safetensors, numbers in JSON, no pickle.

Each generation is two files, written under temporary names, forced to the disk and renamed; the
JSON comes last and holds the sha256 of both, so a generation is whole or does not count. Two
generations are kept: a damaged one is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictus.errors import UserError
from pictus.extras import need
from pictus.project import write_bytes

if TYPE_CHECKING:
    import torch

FORMAT = 1
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """One generation. `values` are plain JSON."""

    step: int
    tensors: dict[str, "torch.Tensor"]
    values: dict[str, Any]
    problems: tuple[str, ...] = field(default=())


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write one generation, then drop those beyond the newest two. The newest stays whole if this fails."""
    safetensors = need("safetensors.torch", "train")
    name = f"step-{checkpoint.step:09d}"
    body = safetensors.save({key: value.contiguous() for key, value in checkpoint.tensors.items()})
    head = {"format": FORMAT, "step": checkpoint.step, "values": checkpoint.values, "tensors_sha256": _sha256(body)}
    head["sha256"] = _sha256(_canonical(head))
    try:
        _drop_older(folder, KEPT)
        write_bytes(folder / f"{name}.safetensors", body)
        write_bytes(folder / f"{name}.json", json.dumps(head, indent=1).encode())
        _sync(folder)
        _drop_older(folder, KEPT)
    except (UserError, OSError) as error:
        reason = error.what if isinstance(error, UserError) else f"{folder / name}: {error.strerror or error}."
        raise UserError(
            f"The checkpoint of step {checkpoint.step:,} could not be kept. {reason}",
            fix="free some space, then `pictus train resume`: the checkpoint before it is whole",
        ) from error


def load(folder: Path) -> Checkpoint | None:
    """The newest whole generation; None when none was ever written; a UserError when all are damaged."""
    problems: list[str] = []
    for path in _heads(folder):
        try:
            step, values, body = _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"checkpoint {path.stem} is damaged ({error}); the one before it is used")
            continue
        tensors = need("safetensors.torch", "train").load(body)
        for newer in _heads(folder)[: len(problems)]:
            newer.unlink()  # or it would count as a newer generation than the next good one
        return Checkpoint(step, tensors, values, tuple(problems))
    if problems:
        raise UserError(
            f"Every checkpoint in {folder} is damaged:\n  " + "\n  ".join(problems),
            fix="restore the folder from a copy, or train again under another --name",
        )
    return None


def _read(path: Path) -> tuple[int, dict[str, Any], bytes]:
    head = json.loads(path.read_bytes())
    stated = head.pop("sha256")
    if _sha256(_canonical(head)) != stated:
        message = "its numbers are not what was written"
        raise ValueError(message)
    if head["format"] != FORMAT:
        message = f"format {head['format']}, this Pictus reads {FORMAT}"
        raise ValueError(message)
    body = path.with_suffix(".safetensors").read_bytes()
    if _sha256(body) != head["tensors_sha256"]:
        message = "its tensors are not what was written"
        raise ValueError(message)
    return int(head["step"]), head["values"], body


def _heads(folder: Path) -> list[Path]:
    """The JSON files, newest step first."""
    return sorted(folder.glob("step-*.json"), reverse=True)


def _drop_older(folder: Path, kept: int) -> None:
    """Remove what is older than the newest `kept` generations, and what a kill left half written."""
    for path in _heads(folder)[kept:]:
        path.unlink(missing_ok=True)
        path.with_suffix(".safetensors").unlink(missing_ok=True)
    whole = {path.stem for path in _heads(folder)}
    for path in [*folder.glob("step-*.safetensors"), *folder.glob(".step-*.tmp")]:
        if path.stem not in whole:
            path.unlink(missing_ok=True)


def _canonical(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
