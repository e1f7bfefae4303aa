"""How long work tells how far it is. Steps report; doors decide how that looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Meter(Protocol):
    """One bar: `advance` it as items are done, `say` a short live note beside it."""

    def advance(self, count: int = 1) -> None: ...

    def say(self, note: str) -> None: ...


class Progress(Protocol):
    """Opens a meter for one piece of work of `total` items (None: unknown)."""

    def track(self, label: str, total: int | None) -> AbstractContextManager[Meter]: ...


class _SilentMeter:
    def advance(self, count: int = 1) -> None:
        """Count nothing: nobody looks."""

    def say(self, note: str) -> None:
        """Say nothing: nobody listens."""


class Silent:
    """The default from Python and in tests."""

    @contextmanager
    def track(self, label: str, total: int | None) -> Iterator[Meter]:  # noqa: ARG002  the protocol's
        yield _SilentMeter()
