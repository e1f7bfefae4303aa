"""Commands are shown in the order of work."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pictus.chapters import CHAPTERS, LAST, chapters
from pictus.cli import root
from pictus.forms import STAGES, stage_forms


@pytest.mark.parametrize("stage", list(CHAPTERS))
def test_every_command_of_a_stage_has_its_place(stage: str) -> None:
    verbs = [form.verb for form in stage_forms(stage)] + ["serve"] * (stage == "annotate")
    listed = [name for names in CHAPTERS[stage].values() for name in names]
    assert sorted(listed) == sorted(verbs)
    assert len(chapters_of(stage, verbs)) == len(CHAPTERS[stage]) > 1


def chapters_of(stage: str, verbs: list[str]) -> dict[str, list[str]]:
    return dict(chapters(stage, verbs))


def test_a_command_that_is_not_named_comes_last_and_a_stage_without_headings_has_one() -> None:
    assert chapters_of("release", ["shuffle", "cut"]) == {"Make": ["cut"], LAST: ["shuffle"]}
    assert chapters_of("search", ["index", "query"]) == {"Commands": ["index", "query"]}


def test_help_of_a_stage_goes_from_preparing_to_exchange() -> None:
    text = CliRunner().invoke(root, ["annotate", "--help"]).output
    words = ["Prepare:", "  plan ", "People:", "  invite ", "Work:", "  serve ", "Decide:", "  settle ", "Exchange:"]
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    for stage in STAGES:
        assert CliRunner().invoke(root, [stage, "--help"]).exit_code == 0
