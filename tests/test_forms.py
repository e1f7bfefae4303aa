from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from pictus.errors import UserError
from pictus.forms import all_forms, form_of, values_from
from pictus.project import Project
from pictus.registry import Outcome, Step


def sample(
    project: Project, files: tuple[Path, ...], *, method: Literal["a", "b"] = "a", import_: bool = False, seed: int = 7
) -> Outcome[Any]:
    """Do a thing to files.

    Some free text: with a colon.

    files: what to do it to,
        more than one
    method: which way
    import: whether to
    seed: of the draw

    Examples:
        pictus sample x.jpg
    """
    return Outcome("sample", {})


FORM = form_of(Step("sample do", sample, changes=True))


def test_a_form_says_what_the_step_says() -> None:
    assert FORM.summary == "Do a thing to files."
    assert FORM.description == "Some free text: with a colon."
    assert FORM.examples == ("pictus sample x.jpg",)
    files, method, flag, seed = FORM.fields
    assert (files.kind, files.many, files.required, files.is_option) == (Path, True, True, False)
    assert files.text == "what to do it to, more than one"
    assert (method.choices, method.default, method.is_option) == (("a", "b"), "a", True)
    assert (flag.flag, flag.text) == ("--import", "whether to")
    assert seed.kind is int


def test_json_values_become_arguments() -> None:
    values = values_from(FORM, {"files": ["x", "y"], "method": "b", "import": "true", "seed": "3"})
    assert values == {"files": (Path("x"), Path("y")), "method": "b", "import_": True, "seed": 3}


def test_every_wrong_parameter_is_reported() -> None:
    with pytest.raises(UserError) as caught:
        values_from(FORM, {"seed": "many", "method": "c", "colour": 1})
    for part in ("unknown parameter 'colour'", "'files' is missing", "'c' is not one of a, b", "'seed'"):
        assert part in caught.value.what
    assert "files, method?, import?, seed?" in caught.value.fix


def strict(
    project: Project, *, threshold: float = 0.9, count: int = 12, name: str = "", file: Path | None = None,
    seed: int | None = None, parts: tuple[str, ...] = (), is_new: bool = False,
) -> Outcome[Any]:  # fmt: skip
    """Nothing."""
    return Outcome("strict", {})


STRICT = form_of(Step("strict do", strict, changes=True))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threshold", None, "a number expected, found null"),
        ("threshold", "high", "a number expected, found 'high'"),
        ("threshold", True, "a number expected, found true"),
        ("threshold", float("nan"), "a number expected, found 'nan'"),
        ("threshold", float("inf"), "a number expected"),
        pytest.param("threshold", 10**400, "a number expected", id="beyond floats"),
        ("count", None, "a whole number expected, found null"),
        ("count", 5.7, "a whole number expected, found '5.7'"),
        ("count", "5.7", "a whole number expected, found '5.7'"),
        ("count", float("inf"), "a whole number expected"),
        ("count", False, "a whole number expected, found false"),
        ("name", None, "a text expected, found null"),
        ("name", ["a"], r'a text expected, found \["a"\]'),
        ("name", "\ud800", r"'\\ud800' is no sign of a text"),
        ("name", "a\0b", r"'\\x00' is no sign of a text"),
        ("file", "a\0b", r"'\\x00' is no sign of a text"),
        ("parts", ["a", "b\udfff"], r"'\\udfff' is no sign of a text"),
        ("parts", None, "a text expected, found null"),
        ("parts", ["a", None], "a text expected, found null"),
        ("is_new", None, "None is neither true nor false"),
        ("file", 5, "'file'"),
    ],
)
def test_a_value_of_another_kind_never_reaches_the_step(name: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        values_from(STRICT, {name: value})
    assert f"parameter {name!r}" in caught.value.what


def test_null_is_left_to_parameters_that_can_be_left_open() -> None:
    assert values_from(STRICT, {"file": None, "seed": None}) == {"file": None, "seed": None}


def test_numbers_are_those_that_were_given() -> None:
    given = {"threshold": 1, "count": 5.0, "seed": str(2**62 + 1), "name": 7}
    found = values_from(STRICT, given)
    assert found == {"threshold": 1.0, "count": 5, "seed": 2**62 + 1, "name": "7"}
    assert [type(value) for value in found.values()] == [float, int, str, int]
    assert values_from(STRICT, {"seed": 2**62 + 1}) == {"seed": 2**62 + 1}


def test_a_step_with_an_odd_parameter_type_is_a_bug() -> None:
    def odd(project: Project, what: dict[str, int]) -> Outcome[Any]:
        """Nothing."""
        return Outcome("odd", {})

    with pytest.raises(TypeError, match="a step cannot take"):
        form_of(Step("odd", odd, changes=False))


def test_a_zero_that_stands_for_something_else_is_never_shown_bare() -> None:
    for form in all_forms():
        for field in form.fields:
            if field.kind is int and field.default == 0 and field.default_says_something:
                assert field.name == "seed" or "0 " in field.text, f"{form.step.name} {field.flag}: what does 0 mean?"
    (run,) = (form for form in all_forms() if form.step.name == "train run")
    epochs = next(field for field in run.fields if field.name == "epochs")
    assert not epochs.default_says_something
    assert "when left out" in epochs.text
