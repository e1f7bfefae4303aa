"""Which skeleton a concept has: chosen by the project, else that of its latest points, whoever brought them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id
from tests.annotate.desks import START

import pictus
from pictus import annotate
from pictus.annotate.shapes.skeleton_steps import offered
from pictus.errors import UserError


def put_points(project: pictus.Project, shape: Mapping[str, Any], place: int) -> None:
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
                " VALUES ('points', :image, 'owl', 'ada', :shape, 'file:a', :place, 0, :at)"
            ),
            {"image": image_id("owl0"), "shape": json.dumps(shape), "place": place, "at": START},
        )


def test_a_chosen_skeleton_is_the_only_one_and_every_choice_can_be_taken_back(world: pictus.Project) -> None:
    assert (offered(world, "owl")["chosen"], offered(world, "owl")["is_fixed"]) == ("", False)
    outcome = annotate.skeleton(world, "animal-17", concept=("owl",))
    assert outcome.summary["chosen"] == {"owl": "animal-17"}
    assert [row.name for row in outcome if "owl" in row.concepts] == ["animal-17"]
    found = offered(world, "owl")
    assert (found["chosen"], found["is_fixed"]) == ("animal-17", True)
    annotate.skeleton(world, "beak, tail", concept=("owl",))
    found = offered(world, "owl")
    points = {one["name"]: one["points"] for one in found["skeletons"]}
    assert points[found["chosen"]] == ["beak", "tail"], "the page asks the desk, and splits nothing itself"
    annotate.skeleton(world, "any", concept=("owl",))
    assert offered(world, "owl")["is_fixed"] is False


def test_what_is_meant_is_asked(world: pictus.Project) -> None:
    with pytest.raises(UserError, match="For which concept"):
        annotate.skeleton(world, "face-5")
    with pytest.raises(UserError, match="Which skeleton"):
        annotate.skeleton(world, concept=("owl",))
    with pytest.raises(UserError, match="skeleton 'fase-5'") as raised:
        annotate.skeleton(world, "fase-5", concept=("owl",))
    assert "face-5" in raised.value.fix
    with pytest.raises(UserError, match="concept"):
        annotate.skeleton(world, "face-5", concept=("nobody knows it",))
    assert annotate.skeleton(world).summary["chosen"] == {}


def test_the_latest_points_offer_theirs_and_a_files_own_name_is_never_offered(world: pictus.Project) -> None:
    put_points(world, {"skeleton": "face-5", "points": []}, 0)
    assert offered(world, "owl")["chosen"] == "face-5"
    put_points(world, {"skeleton": "person", "points": [[1, 1, 2], [2, 2, 2]], "names": ["left_eye", "tail"]}, 1)
    found = offered(world, "owl")
    assert found["chosen"] == "left_eye,tail"
    assert {"name": "left_eye,tail", "points": ["left_eye", "tail"], "lines": []} in found["skeletons"]
    put_points(world, {"skeleton": "person", "points": [[1, 1, 2]]}, 2)
    assert offered(world, "owl")["chosen"] == "", "the desk would refuse what is drawn with it"
    put_points(world, {"skeleton": "person", "points": [], "names": ["<b>", "<b>"]}, 3)
    assert offered(world, "owl")["chosen"] == ""
