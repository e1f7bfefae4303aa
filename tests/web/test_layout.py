from __future__ import annotations

import pytest

import pictus
from pictus import taxonomy
from pictus.errors import UserError
from pictus.web.layout import TEMPLATES, Shell, number, pager


def test_the_taxonomy_is_read_anew_only_when_it_changed(project: pictus.Project) -> None:
    shell = Shell(project, is_open=False)
    taxonomy.add(project, "owl")
    first = shell.taxonomy()
    assert shell.taxonomy() is first
    taxonomy.add(project, "wren")
    assert len(shell.taxonomy()) == len(first) + 1


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1e999", "1,5", "<b>"])
def test_what_is_no_measured_value_is_told(text: str) -> None:
    with pytest.raises(UserError, match="is not a number"):
        number(text, "line")


def test_a_pager_knows_where_the_pages_before_and_after_begin() -> None:
    assert pager(0, 20, 45, 20) == {"offset": 0, "shown": 20, "total": 45, "before": -1, "after": 20}
    assert pager(40, 5, 45, 20)["after"] == -1
    assert pager(10, 20, 45, 20)["before"] == 0
    assert pager(99, 0, 45, 20)["after"] == -1, "past the end there is nothing further"


def test_measures_are_named_as_a_person_would() -> None:
    say = TEMPLATES.filters["measure"]
    assert (say("border_frac"), say("sharpness"), say("some_new_one")) == (
        "share of border", "sharpness", "some new one"
    )  # fmt: skip
