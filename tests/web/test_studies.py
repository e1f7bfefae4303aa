"""Studies of settings on the page of runs: one line each, and the way to the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import pictus
from pictus.web import studies
from pictus.web.server import build_app

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def browser(project: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(project), base_url="http://127.0.0.1") as found:
        yield found


def make_study(project: pictus.Project, name: str, *, told: object = None, report: str = "") -> Path:
    root = project.models_dir / name
    root.mkdir(parents=True)
    (root / "study.sqlite").touch()
    if told is not None:
        (root / "study.json").write_text(json.dumps(told))
    if report:
        (root / "report.html").write_text(report)
    return root


def note(**told: Any) -> dict[str, Any]:
    return {"format": 1, "recipe": "small-cnn", "release": "1.0.0", "trials": 12, "given_up": 3, "failed": 1,
            "best": 4, "score": 0.731} | told  # fmt: skip


def test_a_study_is_one_line_with_its_best_and_the_way_to_its_report(
    project: pictus.Project, browser: TestClient
) -> None:
    root = make_study(project, "tune-small-cnn-1.0.0", told=note(), report="<p>importance</p>")
    page = browser.get("/runs").text
    assert "1 study of settings" in page
    assert "small-cnn on release 1.0.0, 12 trials, 3 given up, 1 failed" in page
    assert "best validation, trial 4</dt><dd>73.1" in page
    assert "at work" not in page
    answer = browser.get("/studies/tune-small-cnn-1.0.0")
    assert '<a href="/studies/tune-small-cnn-1.0.0">' in page
    assert answer.text == "<p>importance</p>"
    assert "sandbox" in answer.headers["content-security-policy"]
    with replace(project, root=root).lock("tune"):
        assert "at work" in browser.get("/runs").text


def test_what_a_study_does_not_tell_is_left_out(project: pictus.Project, browser: TestClient) -> None:
    old = make_study(project, "a")  # by a Pictus that wrote no study.json
    for number in range(2):
        (old / f"trial-{number:03d}").mkdir()
    make_study(project, "b", told=note(trials=0, given_up=0, failed=0, best=None, score=None))
    make_study(project, "c", told=note(recipe=EVIL, release=[EVIL], trials="7", failed=-1, score="1"))
    make_study(project, "d", told=[1])
    found = {one.name: one for one in studies.studies(project)}
    assert [(one.n_trials, one.n_failed, one.score) for one in found.values()] == [
        (2, 0, None), (0, 0, None), (0, 0, None), (0, 0, None),
    ]  # fmt: skip
    page = browser.get("/runs").text
    assert EVIL not in page
    assert "2 trials" in page
    assert "/studies/a" not in page
    assert "best validation" not in page


def test_a_report_is_of_the_study_itself(project: pictus.Project, browser: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("secret")
    (make_study(project, "linked", told=note()) / "report.html").symlink_to(tmp_path / "secret.html")
    for name in ("linked", "gone", "..%2flinked"):
        answer = browser.get(f"/studies/{name}")
        assert answer.status_code == 404, name
        assert "secret" not in answer.text
