"""Where the processes of a run leave words for each other before they are a group, and where one fails: a torch store.

    brief      what is trained: written by rank 0, read by all others
    over       rank 0 has ended, and there was nothing to help with
    ready-N    process of rank N could begin
    words-N    why it could not, or could not go on
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pictus.errors import UserError
from pictus.extras import need

Store = Any
"""A torch.distributed.Store."""

LONGEST = timedelta(days=1)
"""Others wait so long for rank 0 to validate; one that is gone is noticed at once, by its closed connection."""

JOIN_S = 600.0
"""A process that has not read its release after this long never will."""

LOOK_S = 0.05

BRIEF, OVER = "brief", "over"


class Brief(NamedTuple):
    """What a further process has to know: folders that it sees under the same path."""

    run: str
    release: str


def in_folder(folder: str, world: int) -> Store:
    """A file in a folder of rank 0's, for processes on one machine."""
    store = need("torch", "train").distributed.FileStore(str(Path(folder, "store")), world)
    store.set_timeout(LONGEST)
    return store


def of_torchrun(rank: int, world: int) -> Store:
    """The one that torchrun holds at MASTER_ADDR, or rank 0 where nobody does."""
    rendezvous = need("torch.distributed.rendezvous", "train").rendezvous
    store = next(rendezvous("env://", rank, world, timeout=timedelta(seconds=JOIN_S)))[0]
    store.set_timeout(LONGEST)
    return store


def call(store: Store, brief: Brief) -> None:
    """Rank 0 has work for all."""
    if store.check([BRIEF]):
        raise UserError(
            "The processes that torchrun started have served one run, and ended with it.",
            fix="start torchrun anew for each run",
        )
    store.set(BRIEF, json.dumps(brief._asdict()))


def called(store: Store) -> Brief | None:
    """Waits for rank 0 -> its brief, or None where it has ended."""
    while not store.check([BRIEF]):
        if store.check([OVER]):
            return None
        time.sleep(LOOK_S)
    return Brief(**json.loads(store.get(BRIEF)))


def ready(store: Store, rank: int) -> None:
    """This process could begin."""
    store.set(f"ready-{rank}", "1")


def fail(store: Store, rank: int, error: BaseException) -> None:
    """Leave the last words of a process, one line, to be told by rank 0; where that is gone, nobody is told."""
    what = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    try:
        store.set(f"words-{rank}", what.strip().partition("\n")[0][:300])
    except RuntimeError:
        return  # rank 0 held the store, and is gone


def words_of(store: Store, world: int) -> str:
    """Which process has failed, and its last words; "" where none has said so."""
    for rank in range(1, world):
        if store.check([f"words-{rank}"]):
            return f"Process {rank + 1} of {world} failed: {store.get(f'words-{rank}').decode().removesuffix('.')}"
    return ""


def wait_for(store: Store, world: int, gone: Callable[[], str]) -> None:
    """Until every other process has read the release and the state. `gone`: which one will not any more."""
    began = time.monotonic()
    for rank in range(1, world):
        while not store.check([f"ready-{rank}"]):
            is_late = time.monotonic() - began > JOIN_S
            words = f"Process {rank + 1} of {world} has not begun after {JOIN_S:,.0f} s" if is_late else gone()
            if words:
                raise UserError(
                    f"{words}. Nothing was trained.",
                    fix="pictus train resume, or with one process: pictus train resume --processes 1",
                )
            time.sleep(LOOK_S)
