"""Where the processes of a run leave words for each other before they are a group, and where one fails: a torch store.

    brief      what is trained: written by rank 0, read by all others
    over       rank 0 has ended, and there was nothing to help with
    ready-N    process of rank N could begin
    words-N    why it could not, or could not go on
"""

from __future__ import annotations

import functools
import ipaddress
import json
import os
import socket
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

LONGEST_WORDS = 300

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
    """The one that torchrun holds at MASTER_ADDR, or rank 0 where nobody does; a UserError where none can be had."""
    rendezvous = need("torch.distributed.rendezvous", "train").rendezvous
    host, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    is_held_here = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and _is_loopback(host)
    try:
        if is_held_here:
            store = _held_once(host, int(port), world)
        else:
            store = next(rendezvous("env://", rank, world, timeout=timedelta(seconds=JOIN_S)))[0]
    except (OSError, RuntimeError) as error:  # torch's own are RuntimeErrors
        why = _line(str(error)).removesuffix(".")
        raise UserError(
            f"Processes cannot meet at MASTER_ADDR {host}, MASTER_PORT {port}: {why}.",
            fix="name the machine of rank 0 and a port that is free there, or let torchrun choose: --standalone",
        ) from error
    store.set_timeout(LONGEST)
    return store


def held(host: str, port: int = 0, world: int = 0) -> Store:
    """One in this process, which waits for `world` processes. At a loopback address no other machine reaches it: torch
    by itself would listen on all interfaces.
    """
    store = functools.partial(
        need("torch", "train").distributed.TCPStore, world_size=world or None, is_master=True,
        wait_for_workers=world > 0, timeout=timedelta(seconds=JOIN_S),
    )  # fmt: skip
    if not _is_loopback(host):
        return store(host, port)
    family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was used a moment ago is free
        listener.bind(place)
        listener.listen()
        return store(host, listener.getsockname()[1], master_listen_fd=listener.detach())


@functools.cache
def _held_once(host: str, port: int, world: int) -> Store:
    """A process asks for its own more than once."""
    return held(host, port, world)


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False  # nobody of that name
    return all(ipaddress.ip_address(one[4][0]).is_loopback for one in found)


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
    try:
        found = Brief(**json.loads(store.get(BRIEF)))
    except (ValueError, TypeError, RecursionError):
        found = None  # told below
    if found is None or not all(isinstance(one, str) for one in found):
        raise UserError("What rank 0 says is trained cannot be read.", fix="start all processes with the same Pictus")
    return found


def ready(store: Store, rank: int) -> None:
    """This process could begin."""
    store.set(f"ready-{rank}", "1")


def fail(store: Store, rank: int, error: BaseException) -> None:
    """Leave the last words of a process, one line, to be told by rank 0; where that is gone, nobody is told."""
    what = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    try:
        store.set(f"words-{rank}", _line(what))
    except RuntimeError:
        return  # rank 0 held the store, and is gone


def words_of(store: Store, world: int) -> str:
    """Which process has failed, and its last words; "" where none has said so."""
    for rank in range(1, world):
        if store.check([f"words-{rank}"]):
            words = _line(store.get(f"words-{rank}").decode(errors="replace"))
            return f"Process {rank + 1} of {world} failed: {words.removesuffix('.')}"
    return ""


def _line(text: str) -> str:
    """The first line of what another process or program says, without what would steer a terminal."""
    line = text.strip().partition("\n")[0][:LONGEST_WORDS]
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)


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
