"""How a process is ended: Ctrl-C and SIGTERM let a step finish, so that a checkpoint can be written, and a second one
stops at once; a helper leaves with the process that started it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def leave_with(parent: int) -> None:
    """End this process once the one that started it, of this id, is gone, also by kill -9."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether the process was asked to stop. Outside the main thread: never."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
