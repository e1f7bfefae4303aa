"""The command reference, written from the steps: `python -m pictus.reference > docs/reference.md`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from pictus.forms import REQUIRED, STAGES, Field, Form, stage_forms


def reference() -> str:
    """docs/reference.md, whole."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Command reference"
    yield ""
    yield "Written from the code by `make docs`; a test keeps it true. Every command here also takes"
    yield "`--project FOLDER` (or `-C`), `--json` (one object), `--jsonl` (every record as a line) and `--quiet`"
    yield "(or `-q`); `pictus new`, `pictus demo` and `pictus web` take `-q` too."
    yield "Exit codes: 0 done, 1 something you can fix, 2 wrong usage, 130 interrupted."
    for stage, text in (*STAGES.items(), ("status", "Where everything stands"), ("show", "One picture's history")):
        yield ""
        yield f"## {stage}"
        yield f"{text}."
        for form in stage_forms(stage):
            yield from _form_lines(form)
        if stage == "annotate":
            yield from _desk_lines()


def _form_lines(form: Form) -> Iterator[str]:
    arguments = [field for field in form.fields if not field.is_option]
    words = " ".join(f"{field.name.rstrip('_').upper()}{'…' if field.many else ''}" for field in arguments)
    module = f"pictus.{form.stage}" if form.stage in STAGES else "pictus.overview"
    yield ""
    yield f"### pictus {form.step.name}{' ' + words if words else ''}"
    yield ""
    yield form.summary
    if form.description:
        yield ""
        yield form.description
    if form.fields:
        yield ""
        yield "| parameter | type | default | |"
        yield "|---|---|---|---|"
        yield from (_field_line(field) for field in form.fields)
    yield ""
    method = "POST" if form.step.changes else "GET"
    path = form.step.name.replace(" ", "/")
    yield f"Python: `{module}.{form.step.function.__name__}(project, …)` · HTTP: `{method} /api/{path}`"
    if form.examples:
        yield ""
        yield "```"
        yield from form.examples
        yield "```"


_KINDS = {"text": "str", "integer range": "int", "float": "float", "boolean": "bool"}
"""Types of the command line's options as the other tables call them."""


def _desk_lines() -> Iterator[str]:
    """`annotate serve`, which is no step: it runs until somebody stops it."""
    from pictus.cli import desk_command  # noqa: PLC0415  the command line itself never needs this page

    yield ""
    yield "### pictus annotate serve"
    yield ""
    yield from inspect.cleandoc(desk_command.help or "").splitlines()
    yield ""
    yield "| parameter | type | default | |"
    yield "|---|---|---|---|"
    for option in desk_command.params:
        if isinstance(option, click.Option) and not {"--project", "--quiet"} & set(option.opts):
            default = f"`{option.default}`" if option.show_default else ""
            yield f"| `{option.opts[0]}` | {_KINDS[option.type.name]} | {default} | {option.help} |"
    yield ""
    yield "On the command line alone, without `--json` and `--jsonl`: it runs until you stop it."
    yield ""
    yield "```"
    yield from (line.strip() for line in (desk_command.epilog or "").splitlines() if "pictus" in line)
    yield "```"


def _field_line(field: Field) -> str:
    name = f"`{field.flag}`" if field.is_option else f"`{field.name.rstrip('_').upper()}`"
    kind = " \\| ".join(field.choices) if field.choices else field.kind.__name__ + ("…" if field.many else "")
    default = f"`{field.default}`" if field.default_says_something else ""
    shown = "required" if field.default is REQUIRED else default
    return f"| {name} | {kind} | {shown} | {field.text} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
