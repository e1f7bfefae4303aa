"""Name -> function, with "did you mean"; plugins come in by entry point. And the registry of steps.

A step is a function from a project and a few plain values to an `Outcome`. It registers once:

    @step("clean check", changes=True)
    def check(project: Project, *, engine: str = "local") -> Outcome[Check]:
        '''Measure every picture once: size, sharpness, brightness, hashes.

        engine: `local` or `ray`.

        Examples:
            pictus clean check
        '''

and the doors derive from it the CLI command (positional parameters become arguments,
keyword-only ones options; `name: text` lines of the docstring become their help), the JSON
route and the reference page.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Generic, TypeVar

from pictus.errors import UserError

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])

Summary = dict[str, Any]  # plain JSON values only


class Registry(Generic[T]):
    """A dict with a good miss. `kind` names what it holds in messages ("method", "recipe")."""

    def __init__(self, kind: str, entry_points: str = "") -> None:
        self.kind = kind
        self._found: dict[str, T] = {}
        self._entry_points = entry_points

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: `@METHODS.register("dawid-skene")`."""

        def put(item: T) -> T:
            if name in self._found:
                message = f"{self.kind} {name!r} is registered twice"
                raise ValueError(message)
            self._found[name] = item
            return item

        return put

    def names(self) -> list[str]:
        """Every name, sorted, plugins included."""
        return sorted({*self._found, *(point.name for point in self._plugins())})

    def get(self, name: str) -> T:
        """The item, or a UserError that proposes the nearest names."""
        if name in self._found:
            return self._found[name]
        for point in self._plugins():
            if point.name == name:
                self._found[name] = point.load()
                return self._found[name]
        raise unknown(self.kind, name, self.names())

    def _plugins(self) -> tuple[metadata.EntryPoint, ...]:
        return tuple(metadata.entry_points(group=self._entry_points)) if self._entry_points else ()


def unknown(kind: str, name: str, known: list[str]) -> UserError:
    """The error for a name that is not there: nearest names first, else the first few."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return UserError(f"There is no {kind} {name!r}.", fix="did you mean " + " or ".join(near) + "?")
    some = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")  # noqa: PLR2004  a line's worth
    return UserError(f"There is no {kind} {name!r}.", fix=f"one of: {some}" if some else f"no {kind} exists yet")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a step did. Iterate it for the records, read `summary` for the numbers.

    The work is done when the step returns; records are read back lazily, so that a million of
    them cost nothing until someone asks.
    """

    step: str
    summary: Summary
    headline: str = ""
    problems: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    source: Callable[[], Iterator[T]] = field(default=lambda: iter(()), repr=False)

    def __iter__(self) -> Iterator[T]:
        return self.source()


@dataclass(frozen=True)
class Step:
    """One registered step. `changes` is False for those that only read; without `needs_project` a
    release folder is enough, and the step gets a bare project rooted in the current folder.
    """

    name: str
    function: Callable[..., Outcome[Any]]
    changes: bool
    needs_project: bool = True


STEPS: dict[str, Step] = {}


def step(name: str, *, changes: bool, needs_project: bool = True) -> Callable[[Function], Function]:
    """Register a step under the words a user types ("clean check")."""

    def put(function: Function) -> Function:
        if name in STEPS:
            message = f"step {name!r} is registered twice"
            raise ValueError(message)
        STEPS[name] = Step(name, function, changes, needs_project)
        return function

    return put
