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


def test_what_is_not_there_survives_the_way_back_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(NotThereError("a", fix="b")))
    assert (type(error), error.what, error.fix) == (NotThereError, "a", "b")
