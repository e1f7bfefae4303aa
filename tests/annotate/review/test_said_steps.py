"""What people and models have said: which concepts the newest evaluations take for each other."""

from __future__ import annotations

from tests.annotate.runs import Fill, evaluated, filled, words

import pictus
from pictus.annotate.review.said_steps import by_models


def test_what_a_run_takes_for_another_is_a_pair_and_pictures_it_could_not_read_are_none(
    project: pictus.Project, fill: Fill
) -> None:
    ids = filled(project, fill)
    evaluated(project, words(ids))
    mark, found = by_models(project, ((), {}))
    assert found == {("owl", "wren"): [ids[2]]}
    assert by_models(project, (mark, found))[1] is found


def test_a_project_without_runs_has_no_such_pairs(project: pictus.Project) -> None:
    assert by_models(project, ((), {}))[1] == {}
