"""The demo's desk: the application of `pictus annotate serve`, in a process of its own, by a clock that is played.

    python -m pictus.demo.desk FOLDER SOCKET RULE

Simulated people take as long for a page as people do, and nobody waits for it: the clock that the desk measures them
by is a file of the project, crowd/clock, which is set by who plays the people. Ends when its standard input does: with
the process that started it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pictus.project import Project, open_project

SEED = 5
"""Of which pictures are mixed in and where: a desk for real people takes chance that nobody can guess."""

BEFORE_S = 12 * 3600.0
_SIGNS = len("2026-01-01T00:00:00Z")


def clock_path(root: Path) -> Path:
    """Where the time stands that the demo's desk goes by."""
    return root / "crowd" / "clock"


class Clock:
    """Seconds since 1970 that only go where they are set, written where the desk reads them.

    It goes on where a demo was stopped; the first time it begins `BEFORE_S` ago, so that nothing lies in the future, at
    a whole minute: what the desk sees are whole seconds, rounded alike in every run.
    """

    def __init__(self, root: Path) -> None:
        path = clock_path(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        text = self._file.read(_SIGNS).decode("ascii", "replace")
        first = (datetime.now(UTC) - timedelta(seconds=BEFORE_S)).replace(second=0, microsecond=0)
        begun = datetime.fromisoformat(text) if len(text) == _SIGNS else first
        self.seconds = begun.timestamp()
        self.set(self.seconds)

    def set(self, seconds: float) -> None:
        """Never back."""
        self.seconds = max(self.seconds, seconds)
        text = datetime.fromtimestamp(self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        os.pwrite(self._file.fileno(), text.encode("ascii"), 0)

    def close(self) -> None:
        """The time stays where it is."""
        self._file.close()


@contextmanager
def open_to_all(project: Project, rule: str) -> Iterator[tuple[int, Clock]]:
    """Serve the project's desk on loopback -> its port, and the clock it goes by."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, closing(Clock(project.root)) as clock:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        port, number = int(listener.getsockname()[1]), listener.fileno()
        command = [sys.executable, "-m", "pictus.demo.desk", str(project.root), str(number), rule]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(number,))  # noqa: S603  our own module
        listener.close()  # else whoever calls a server that has died would wait
        try:
            yield port, clock
        finally:
            if server.stdin:
                server.stdin.close()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    import uvicorn  # noqa: PLC0415  only the process that serves needs it

    from pictus.annotate.desk.desk_steps import open_desk  # noqa: PLC0415
    from pictus.web.desk.app import build_desk_app  # noqa: PLC0415

    folder, listener, rule = arguments
    project = open_project(Path(folder))
    clock = os.open(clock_path(project.root), os.O_RDONLY)
    desk = open_desk(project, rule=rule, seed=SEED, clock=lambda: os.pread(clock, _SIGNS, 0).decode("ascii"))
    config = uvicorn.Config(
        build_desk_app(project, desk), log_level="critical", access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=int(listener))])


if __name__ == "__main__":
    main(sys.argv[1:])
