"""Forms read from the text of steps are those that the steps themselves give."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from pictus import written
from pictus.forms import STAGES, Form, stage_forms
from pictus.registry import STEPS, Outcome


def told(forms: list[Form]) -> dict[str, Any]:
    return {form.step.name: replace(form, step=replace(form.step, function=nothing)) for form in forms}


def nothing(*_given: Any) -> Outcome[Any]:
    return Outcome("nothing", {})


@pytest.mark.parametrize("stage", [*STAGES, "status", "show"])
def test_what_is_read_is_what_the_steps_say(stage: str) -> None:
    found, read = told(stage_forms(stage)), told(list(written._read(stage)))
    assert read.keys() == found.keys()
    for name, form in found.items():
        assert read[name] == form


def test_a_form_that_was_read_calls_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    form = written.written_form("taxonomy show")
    assert form is not None
    monkeypatch.setitem(STEPS, "taxonomy show", replace(STEPS["taxonomy show"], function=nothing))
    assert form.step.function(1, "owl").step == "nothing"
    assert written.written_form("taxonomy fly") is None
    assert written.written_form("nothing at all") is None


def test_help_imports_no_stage() -> None:
    program = (
        "import sys\nfrom pictus.cli import root\n"
        "for words in (['annotate', '--help'], ['annotate', 'plan', '--help'], ['train', '-h']):\n"
        "    root.main(words, standalone_mode=False)\n"
        "print([one for one in ('numpy', 'pyarrow', 'sqlalchemy', 'pictus.annotate', 'pictus.train')"
        " if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "--starving" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
