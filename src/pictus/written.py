"""The forms of a stage as its files are written: nothing is imported for them, so that --help is there at once.

A stage brings all that its steps compute with: databases, arrays, networks. Their names, parameters and texts stand in
the lines between `@step` and the end of the docstring; those alone are read. tests/test_written.py holds them against
what the imported steps say (`forms.stage_forms`).
"""

from __future__ import annotations

import ast
import inspect
import re
import types
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pictus.forms import Form, form_from, stage_forms
from pictus.registry import STEPS, Step

_HERE = Path(__file__).parent
_STEP = re.compile(r'^@step\((?:.*?)\)\ndef .*?\n    """.*?"""', re.MULTILINE | re.DOTALL)
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "Path": Path}

MOST_LINES = 20
"""Of a constant or an alias."""


class UnreadableError(ValueError):
    """A signature says something that only an import can tell."""


def written_forms(stage: str) -> list[Form]:
    """The steps of one stage, or `status` and `show`; imported after all where they cannot be read."""
    try:
        return list(_read(stage))
    except UnreadableError:
        return stage_forms(stage)


def written_form(name: str) -> Form | None:
    """The form of one step ("taxonomy add"); None where there is none."""
    stage = name.partition(" ")[0]
    if stage not in ("status", "show") and not (_HERE / stage / "steps.py").exists():
        return None
    return next((form for form in written_forms(stage) if form.step.name == name), None)


@cache
def _read(stage: str) -> tuple[Form, ...]:
    files = sorted((_HERE / stage).rglob("*steps.py")) if (_HERE / stage).is_dir() else [_HERE / "overview.py"]
    found = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        for match in _STEP.finditer(text):
            node = ast.parse(match[0]).body[0]
            assert isinstance(node, ast.FunctionDef)  # the pattern asks for one
            form = _form(node, text, stage)
            if form.step.name.partition(" ")[0] == stage:
                found.append(form)
    if not found:
        raise UnreadableError(stage)
    return tuple(found)


def _form(node: ast.FunctionDef, text: str, stage: str) -> Form:
    said = node.decorator_list[0]
    assert isinstance(said, ast.Call)  # the pattern asks for one
    name = _value(said.args[0], text)
    how = {str(one.arg): _value(one.value, text) for one in said.keywords}

    def called(*given: Any, **named: Any) -> Any:  # noqa: ANN401  the step's own
        stage_forms(stage)
        return STEPS[name].function(*given, **named)

    called.__name__ = node.name
    changes = bool(how["changes"])
    step = Step(name, called, changes, how.get("needs_project", True), how.get("shows_records", False) or not changes)
    arguments = node.args
    by_place = [inspect.Parameter.empty] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    rows: list[tuple[ast.arg, Any, Any]] = [
        (one, default, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for one, default in list(zip(arguments.args, by_place, strict=True))[1:]
    ]
    rows += [(one, default or inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY)
             for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]  # fmt: skip
    parameters = [
        inspect.Parameter(
            one.arg, kind, default=_value(default, text) if isinstance(default, ast.expr) else inspect.Parameter.empty
        ) for one, default, kind in rows
    ]  # fmt: skip
    hints = {one.arg: _hint(one.annotation, text) for one, _, _ in rows}
    return form_from(step, ast.get_docstring(node) or "", parameters, hints)


def _hint(node: ast.expr | None, text: str) -> Any:  # noqa: ANN401  a type form
    """The annotation of a parameter, as `registry.kind_of` takes it."""
    if isinstance(node, ast.Name) and node.id in _TYPES:
        return _TYPES[node.id]
    if isinstance(node, ast.Name):
        return _hint(*_defined(node.id, text))
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _hint(node.left, text) | _hint(node.right, text)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if node.value.id == "tuple":
            return types.GenericAlias(tuple, (_hint(inside[0], text), ...))
        if node.value.id == "Literal":
            return Literal[tuple(_value(one, text) for one in inside)]
    raise UnreadableError(ast.unparse(node) if node else "no annotation")


def _value(node: ast.expr, text: str) -> Any:  # noqa: ANN401  whatever a default is
    """A literal, or a constant of this file or of the one it comes from."""
    if isinstance(node, ast.Name):
        return _value(*_defined(node.id, text))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return _value(*_defined(node.attr, _module(".".join(_origin(node.value.id, text)))))
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise UnreadableError(ast.unparse(node)) from error


def _defined(name: str, text: str) -> tuple[ast.expr, str]:
    """What a name stands for, and the text of the file that says so: this one, or the one it is imported from."""
    found = re.search(rf"^{name}(?:: [^=\n]+)? = ", text, re.MULTILINE)
    if not found:
        module, there = _origin(name, text)
        return _defined(there, _module(module))
    lines = text[found.end() :].splitlines()
    for many in range(1, MOST_LINES + 1):
        try:
            return ast.parse("\n".join(lines[:many]), mode="eval").body, text
        except SyntaxError:  # it goes on on the next line
            continue
    raise UnreadableError(name)


def _origin(name: str, text: str) -> tuple[str, str]:
    """The module that a name is imported from, and what it is called there."""
    for module, names in re.findall(r"^from (pictus[\w.]*) import (\([^)]*\)|.+)$", text, re.MULTILINE):
        for there, here in re.findall(r"(\w+)(?: as (\w+))?", names):
            if name == (here or there):
                return str(module), str(there)
    raise UnreadableError(name)


def _module(name: str) -> str:
    path = _HERE.joinpath(*name.split(".")[1:]).with_suffix(".py")
    if not path.is_file():
        raise UnreadableError(name)
    return path.read_text(encoding="utf-8")
