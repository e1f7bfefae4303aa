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
route and the reference page. Called from Python, a step takes a path as a text, one thing where
several may stand, and any list for a tuple.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar, Union, cast

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
        return sorted({*self._found, *(point.name for point in self._points())})

    def get(self, name: str) -> T:
        """The item, or a UserError that proposes the nearest names."""
        if name in self._found:
            return self._found[name]
        for point in self._points():
            if point.name == name:
                self._found[name] = self._loaded(point)
                return self._found[name]
        raise unknown(self.kind, name, self.names())

    def usable(self) -> tuple[dict[str, T], tuple[str, ...]]:
        """All there is, by name; and what is to be told of each plugin that cannot be imported: all else goes on."""
        found, broken = {}, []
        for name in self.names():
            try:
                found[name] = self.get(name)
            except UserError as error:
                broken.append(f"{error.what} {error.fix}")
        return found, tuple(broken)

    def _loaded(self, point: metadata.EntryPoint) -> T:
        try:
            return cast("T", point.load())
        except (Exception, SystemExit) as error:  # whatever somebody else's module does
            package = point.dist.name if point.dist else point.value
            raise UserError(
                f"The {self.kind} {point.name!r} of {package} cannot be imported: {type(error).__name__}: {error}.",
                fix=f"pip install --upgrade {package}    or    pip uninstall {package}",
            ) from error

    def _points(self) -> tuple[metadata.EntryPoint, ...]:
        return _installed(metadata.entry_points, self._entry_points) if self._entry_points else ()


@functools.cache
def _installed(look: Callable[..., Iterable[metadata.EntryPoint]], group: str) -> tuple[metadata.EntryPoint, ...]:
    """Looked for once, which takes 5 ms and more: what is installed does not change while this runs."""
    return tuple(look(group=group))


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
    them cost nothing until someone asks. `is_vain`: all of it failed and nothing came in; the command line says
    so as an error, and exits with 1.
    """

    step: str
    summary: Summary
    headline: str = ""
    problems: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    source: Callable[[], Iterator[T]] = field(default=lambda: iter(()), repr=False)
    is_vain: bool = False

    def __iter__(self) -> Iterator[T]:
        return self.source()


@dataclass(frozen=True)
class Step:
    """One registered step. `changes` is False for those that only read; without `needs_project` a
    release folder is enough, and the step gets a bare project rooted in the current folder. Where it
    `shows_records`, the command line prints them, as of all that only read.
    """

    name: str
    function: Callable[..., Outcome[Any]]
    changes: bool
    needs_project: bool = True
    shows_records: bool = False


STEPS: dict[str, Step] = {}


def step(
    name: str, *, changes: bool, needs_project: bool = True, shows_records: bool = False
) -> Callable[[Function], Function]:
    """Register a step under the words a user types ("clean check"). Its arguments are fitted to its types."""

    def put(function: Function) -> Function:
        if name in STEPS:
            message = f"step {name!r} is registered twice"
            raise ValueError(message)
        kinds = functools.cache(lambda: _kinds(function))  # at the first call: a step is made before its types are

        @functools.wraps(function)
        def fitted(*given: Any, **named: Any) -> Outcome[Any]:  # noqa: ANN401  the step's own arguments
            known = kinds()
            first = [_fitted(known[at], value) if at in known else value for at, value in enumerate(given)]
            rest = {at: _fitted(known[at], value) if at in known else value for at, value in named.items()}
            try:
                outcome: Outcome[Any] = function(*first, **rest)
            except SystemExit as error:  # no step does: a plugin, or what it was built on, which would end all silently
                raise UserError(
                    f"{name!r} was ended from within: something that it called, such as a plugin, did "
                    f"sys.exit({error.code!r}).",
                    fix="mend the plugin, or leave it out; what was done before is safe",
                ) from error
            return outcome

        STEPS[name] = Step(name, fitted, changes, needs_project, shows_records or not changes)
        return cast("Function", fitted)

    return put


class Kind(NamedTuple):
    """The type of a step's parameter: of one element when `many`, str with `choices` for a Literal."""

    kind: type
    many: bool
    choices: tuple[str, ...]


def kind_of(hint: Any) -> Kind:  # noqa: ANN401  a type form
    """Read the annotation of a parameter."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return kind_of(next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return Kind(kind_of(arguments[0]).kind, many=True, choices=())
    if origin is Literal:
        return Kind(str, many=False, choices=tuple(arguments))
    if hint in (str, int, float, bool, Path):
        return Kind(hint, many=False, choices=())
    message = f"a step cannot take {hint!r}: use str, int, float, bool, Path, Literal, or a tuple of one of them"
    raise TypeError(message)


def _kinds(function: Callable[..., Any]) -> dict[int | str, Kind]:
    """By name, and by place for those that may be given so; the project is left as it is."""
    hints = typing.get_type_hints(function)
    found: dict[int | str, Kind] = {}
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if place and parameter.name in hints:
            found[parameter.name] = kind_of(hints[parameter.name])
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                found[place] = found[parameter.name]
    return found


def _fitted(kind: Kind, given: Any) -> Any:  # noqa: ANN401  what a person wrote in Python
    """`given` as the step wants it; what cannot be fitted is left for the step to refuse."""
    if kind.many and isinstance(given, (str, os.PathLike)):
        return (_one(kind, given),)
    if kind.many and isinstance(given, Iterable):
        return tuple(_one(kind, item) for item in given)
    return _one(kind, given)


def _one(kind: Kind, given: Any) -> Any:  # noqa: ANN401
    if kind.kind is Path and isinstance(given, (str, os.PathLike)):
        return Path(given)
    return os.fspath(given) if kind.kind is str and isinstance(given, os.PathLike) else given
