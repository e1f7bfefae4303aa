"""What the HTTP side answers by itself; test_doors.py compares it with the command line."""

from __future__ import annotations

import pickle

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import pictus
from pictus import api, overview
from pictus.errors import NotThereError, UserError


@pytest.mark.parametrize(("kind", "status"), [(NotThereError, 404), (UserError, 400)])
def test_what_is_not_there_is_404_and_every_other_mistake_400(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch, kind: type[UserError], status: int
) -> None:
    def refuse(*_: object) -> str:
        raise kind("No picture 'ffffffff'.", fix="look again")

    monkeypatch.setattr(overview, "find_image", refuse)
    with TestClient(Starlette(routes=list(api.routes(project)))) as client:
        answer = client.get("/api/show", params={"image": "ffffffff"})
    assert answer.status_code == status
    assert answer.json() == {"error": {"what": "No picture 'ffffffff'.", "fix": "look again"}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/clean/check", '{"records": 1e999}'),
        ("/api/clean/check", '{"records": NaN}'),
        ("/api/taxonomy/add", r'{"name": "\ud800", "parent": ""}'),
        ("/api/collect/add", r'{"places": ["a\u0000b"]}'),
        ("/api/clean/check", r'{"\ud800": 1}'),
    ],
)
def test_values_that_no_step_can_use_are_mistakes_in_the_one_error_shape(
    project: pictus.Project, path: str, body: str
) -> None:
    with TestClient(Starlette(routes=list(api.routes(project)))) as client:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].keys() == {"what", "fix"}


def test_what_is_not_there_survives_the_way_back_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(NotThereError("a", fix="b")))
    assert (type(error), error.what, error.fix) == (NotThereError, "a", "b")
