"""What a door needs to know of a step, read from its signature and docstring.

The command line, the HTTP API and the reference page are derived from a `Form`; none of them
says anything about a step that the step does not say itself.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictus.errors import UserError
from pictus.registry import STEPS, Step, kind_of

STAGES: dict[str, str] = {
    "taxonomy": "The concepts: WordNet, ILSVRC lists, your own trees",
    "collect": "Pictures in: folders, archives, lists of addresses",
    "clean": "Measure, find duplicates, keep or drop with a reason",
    "annotate": "Labels and votes in; what is true, and how sure",
    "release": "Frozen, versioned data sets to train on and publish",
    "train": "From a release to a recogniser",
    "evaluate": "How good is it: top-1, top-5, per class, with intervals",
    "challenge": "Score and rank predictions, ILSVRC style",
    "serve": "A model as an endpoint, or offline over files",
    "search": "Find pictures by picture or by word",
}
"""Stage -> one line for --help. The order is the journey."""

REQUIRED: Any = inspect.Parameter.empty

_NO_SIGN = re.compile("[\0\ud800-\udfff]")
"""NUL ends a path early; half a sign, as JSON can spell it, has no bytes."""

_KINDS: dict[type, str] = {str: "a text", Path: "a path", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Field:
    """One parameter of a step. `kind` is the element type of a tuple when `many`."""

    name: str
    kind: type
    many: bool
    choices: tuple[str, ...]
    default: Any
    is_option: bool
    may_be_none: bool
    text: str

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def default_says_something(self) -> bool:
        """Whether a person should see the default: no empty one, and none that the text explains ("when left out")."""
        is_empty = self.required or self.many or self.default in ("", None)
        return not is_empty and not (self.kind is int and self.default == 0 and "left out" in self.text)

    @property
    def flag(self) -> str:
        return "--" + self.name.rstrip("_").replace("_", "-")


@dataclass(frozen=True)
class Form:
    """One step as a door shows it."""

    step: Step
    summary: str
    description: str
    fields: tuple[Field, ...]
    examples: tuple[str, ...]

    @property
    def stage(self) -> str:
        return self.step.name.partition(" ")[0]

    @property
    def verb(self) -> str:
        return self.step.name.partition(" ")[2] or self.step.name


def stage_forms(stage: str) -> list[Form]:
    """The steps of one stage, in the order they are written: `steps.py` first, then its other files of steps."""
    first = f"pictus.{stage}.steps" if stage in STAGES else "pictus.overview"
    importlib.import_module(first)  # and with it the stage, which imports all of its steps
    own = [found for found in STEPS.values() if found.name.partition(" ")[0] == stage]
    return [form_of(found) for found in sorted(own, key=lambda found: found.function.__module__ != first)]


def all_forms() -> list[Form]:
    """Every step of every stage, in journey order, then the overviews."""
    return [form for stage in (*STAGES, "status", "show") for form in stage_forms(stage)]


def form_of(step: Step) -> Form:
    """Read a step's signature and docstring."""
    hints = typing.get_type_hints(step.function)
    parameters = list(inspect.signature(step.function).parameters.values())[1:]
    return form_from(step, inspect.getdoc(step.function) or "", parameters, hints)


def form_from(
    step: Step, docstring: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]
) -> Form:  # fmt: skip
    """The form of a step whose signature and docstring these are; without the project, which comes first."""
    names = {parameter.name.rstrip("_") for parameter in parameters}
    summary, description, texts, examples = _docstring(docstring, names)
    fields = tuple(_field(parameter, hints[parameter.name], texts) for parameter in parameters)
    return Form(step, summary, description, fields, examples)


def values_from(form: Form, given: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON or query values -> arguments of the step; every wrong one is reported."""
    known = {field.name.rstrip("_"): field for field in form.fields}
    problems = [f"unknown parameter {name!r}" for name in given if name not in known]
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in given:
            if field.required:
                problems.append(f"parameter {name!r} is missing")
            continue
        try:
            values[field.name] = _value(field, given[name])
        except (TypeError, ValueError) as error:
            problems.append(f"parameter {name!r}: {error}")
    if problems:
        expected = ", ".join(f"{name}{'' if field.required else '?'}" for name, field in known.items())
        raise UserError(f"{form.step.name}: {'; '.join(problems)}.", fix=f"parameters: {expected or 'none'}")
    return values


def _field(parameter: inspect.Parameter, hint: Any, texts: dict[str, str]) -> Field:  # noqa: ANN401  a type form
    kind, many, choices = kind_of(hint)
    is_option = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    text = texts.get(parameter.name.rstrip("_"), "")
    may_be_none = type(None) in typing.get_args(hint)
    return Field(parameter.name, kind, many, choices, parameter.default, is_option, may_be_none, text)


def _value(field: Field, given: Any) -> Any:  # noqa: ANN401  JSON in, typed value out
    if field.many:
        items = given if isinstance(given, (list, tuple)) else [given]
        return tuple(_one(field, item) for item in items)
    return None if given is None and field.may_be_none else _one(field, given)


def _one(field: Field, given: Any) -> Any:  # noqa: ANN401
    if field.kind is bool:
        if isinstance(given, bool):
            return given
        if str(given).lower() in ("true", "1", "yes", "on", "false", "0", "no", "off", ""):
            return str(given).lower() in ("true", "1", "yes", "on")
        message = f"{given!r} is neither true nor false"
        raise ValueError(message)
    if given is None or isinstance(given, (dict, list, bool)):
        message = f"{_KINDS[field.kind]} expected, found {json.dumps(given)[:80]}"
        raise TypeError(message)
    if field.choices and given not in field.choices:
        message = f"{given!r} is not one of {', '.join(field.choices)}"
        raise ValueError(message)
    return _number(field, given) if field.kind in (int, float) else field.kind(_text(given))


def _text(given: Any) -> Any:  # noqa: ANN401
    """What is given for a text or a path, where it can be stored, printed and opened."""
    if isinstance(given, str) and (found := _NO_SIGN.search(given)):
        message = f"{found[0]!a} is no sign of a text"
        raise ValueError(message)
    return given


def _number(field: Field, given: str | float) -> float:
    """The very number that was given: 5.0 is a whole number, 5.7 is none."""
    try:
        found: float = field.kind(given)
        is_exact = math.isfinite(found) and (isinstance(given, str) or found == given)
    except (ValueError, OverflowError):
        is_exact = False
    if not is_exact:
        message = f"{_KINDS[field.kind]} expected, found {str(given)[:80]!r}"
        raise ValueError(message)
    return found


def _docstring(text: str, names: set[str]) -> tuple[str, str, dict[str, str], tuple[str, ...]]:
    body, _, example_text = text.partition("Examples:")
    examples = tuple(line.strip().removeprefix("$ ") for line in example_text.splitlines() if line.strip())
    summary, *rest = body.strip().splitlines() or [""]
    texts: dict[str, str] = {}
    free: list[str] = []
    last = ""
    for line in rest:
        match = re.match(r"^([a-z][a-z0-9_]*): (.+)$", line)
        if match and match[1].rstrip("_") in names:
            last = match[1].rstrip("_")
            texts[last] = match[2].strip()
        elif last and line.startswith(" ") and line.strip():
            texts[last] += " " + line.strip()
        else:
            last = ""
            free.append(line)
    return summary.strip(), "\n".join(free).strip(), texts, examples
