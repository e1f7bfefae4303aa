"""What the drawing pages ask the desk for: masks from clicks, skeletons; only of pages that one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.web.desk.drawing import HEIGHT, WIDTH, ask, desk_project, emptied, images

import pictus
from pictus.annotate.desk.conduct import Limits
from pictus.annotate.desk.desk_steps import Desk, open_desk
from pictus.annotate.shapes import rle
from pictus.annotate.shapes.turns import BusyError
from pictus.annotate.tasks import Given
from pictus.web.desk.app import build_desk_app

HEADERS = {"x-pictus": "desk"}


class Place(NamedTuple):
    project: pictus.Project
    desk: Desk
    client: TestClient
    page_id: str

    def segment(self, **body: Any) -> Any:
        return self.client.post(f"/desk/pages/{self.page_id}/segment", json=body, headers=HEADERS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    return desk_project(tmp_path_factory.mktemp("desk"), make_jpeg, 2)


@pytest.fixture
def place(project: pictus.Project) -> Iterator[Place]:
    """Somebody who holds a page with one picture to be masked."""
    emptied(project)
    ask(project, "mask", images(project)[:1])
    ask(project, "points", images(project)[:1])
    desk = open_desk(project, rule="fixed", limits=Limits(fast_s=0.0))
    with TestClient(build_desk_app(project, desk, is_kiosk=True), base_url="http://localhost") as client:
        assert client.post("/desk/join", json={"token": "", "name": "ada"}, headers=HEADERS).status_code == 200
        page = client.post("/desk/next", json={"kind": "mask"}, headers=HEADERS).json()["page"]
        yield Place(project, desk, client, page["page_id"])


def test_a_click_gives_a_mask_of_the_picture_that_holds_it(place: Place) -> None:
    answer = place.segment(position=0, clicks=[[100, 80, 1], [300, 220, 0]])
    assert answer.status_code == 200
    found = answer.json()
    assert found["size"] == [HEIGHT, WIDTH]
    mask = rle.decode(rle.from_json(found))
    assert mask[80, 100]
    assert not mask[219, 299]
    assert found["tool"] in ("grabcut", "regions")
    around = rle.decode(rle.from_polygons(found["polygons"], HEIGHT, WIDTH))
    assert (mask ^ around).sum() < 0.1 * mask.sum() + 20


def test_a_box_alone_is_enough_and_no_click_only_prepares(place: Place) -> None:
    assert place.segment(position=0, clicks=[]).json() == {}
    mask = rle.decode(rle.from_json(place.segment(position=0, clicks=[], box=[40, 30, 200, 180]).json()))
    rows, columns = np.nonzero(mask)
    assert rows.size
    assert (rows.min() >= 26, rows.max() <= 184, columns.min() >= 36, columns.max() <= 204) == (True,) * 4


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"position": 0, "clicks": [[100, 80, 0]]}, "on the thing itself first"),
        ({"position": 0, "clicks": [[400, 80, 1]]}, "outside the picture"),
        ({"position": 0, "clicks": [[-1, 80, 1]]}, "outside the picture"),
        ({"position": 0, "clicks": [[1, 2]]}, "A click is"),
        ({"position": 0, "clicks": [["1", 2, 1]]}, "A click is"),
        ({"position": 0, "clicks": [[1, 2, 3]]}, "A click is"),
        ({"position": 0, "clicks": [[1, 2, 1]] * 201}, "at most 200"),
        ({"position": 0, "clicks": [], "box": [1, 2, 3]}, "The box is"),
        ({"position": 0, "clicks": [], "box": [500, 2, 600, 90]}, "outside the picture"),
        ({"position": 0, "clicks": [], "box": "all"}, "not a list"),
        ({"position": -1, "clicks": []}, "position"),
        ({"position": 0, "clicks": {}}, "not a list"),
        ({"position": 0, "clicks": [], "image_id": "x"}, "Unknown field"),
    ],
)
def test_what_cannot_be_is_refused_in_words(place: Place, body: dict[str, Any], words: str) -> None:
    answer = place.segment(**body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["what"]


def test_pages_of_others_pictures_that_are_not_on_it_and_other_sites_are_refused(place: Place) -> None:
    assert place.segment(position=1, clicks=[[1, 1, 1]]).status_code == 404
    address = f"/desk/pages/{place.page_id}/segment"
    assert place.client.post(address, json={"position": 0, "clicks": []}).status_code == 403
    stranger = TestClient(place.client.app, base_url="http://localhost")
    assert stranger.post(address, json={"position": 0, "clicks": []}, headers=HEADERS).status_code == 401
    assert stranger.get("/desk/skeletons").status_code == 401
    stranger.post("/desk/join", json={"token": "", "name": "eve"}, headers=HEADERS)
    assert stranger.post(address, json={"position": 0, "clicks": []}, headers=HEADERS).status_code == 404


def test_a_concept_keeps_the_skeleton_of_its_latest_points(place: Place) -> None:
    first = place.client.get("/desk/skeletons?concept=owl").json()
    assert first["chosen"] == ""
    names = {one["name"]: one for one in first["skeletons"]}
    assert names["face-5"]["points"][0] == "left eye"
    assert all(0 <= end < len(one["points"]) for one in names.values() for line in one["lines"] for end in line)
    page = place.client.post("/desk/next", json={"kind": "points"}, headers=HEADERS).json()["page"]
    person = place.desk.person(place.desk.kiosk("ada"))
    assert person is not None
    shape = {"skeleton": "beak,left eye,right eye", "points": [[10, 10, 2], [20, 20, 1], [0, 0, 0]]}
    place.desk.submit(person, page["page_id"], 1, [Given(0, "points", {"shapes": [shape]})], 5.0)
    assert place.client.get("/desk/skeletons?concept=owl").json()["chosen"] == "beak,left eye,right eye"
    assert place.client.get("/desk/skeletons?concept=wren").json()["chosen"] == ""


def test_things_are_found_on_pages_of_outlines_only(place: Place) -> None:
    page = place.client.post("/desk/next", json={"kind": "points"}, headers=HEADERS).json()["page"]
    address = f"/desk/pages/{page['page_id']}/segment"
    answer = place.client.post(address, json={"position": 0, "clicks": [[100, 80, 1]]}, headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["what"]) == (400, "Things are found on pages of outlines only.")


def test_too_many_clicks_at_once_are_asked_to_try_again_and_others_pages_go_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictus.annotate.shapes import click_steps

    def busy(*_: object) -> None:
        what = "Many people are finding things at once."
        raise BusyError(what, fix="try again in a moment, or draw it")

    monkeypatch.setattr(click_steps.Finder, "find", busy)
    answer = place.segment(position=0, clicks=[[100, 80, 1]])
    assert answer.status_code == 503
    told = "Many people are finding things at once. Try again in a moment, or draw it."
    assert answer.json()["error"]["what"] == told
    assert place.client.get("/desk/progress").status_code == 200
