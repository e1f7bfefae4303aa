"""Leaks, opt-outs and broken pictures have a page each, with the reason beside the picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import pictus
from pictus.clock import now
from pictus.records import Leak, Picture, Verdict
from pictus.tables import table_of
from pictus.web.server import build_app

SITE = "http://127.0.0.1"
A, B, C = (letter * 64 for letter in "abc")


@pytest.fixture
def browser(project: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(project), base_url=SITE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def judged(project: pictus.Project) -> pictus.Project:
    """One leak, one opt-out, one kept."""
    pictures = [Picture(one, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now()) for one in (A, B, C)]
    verdicts = [
        Verdict(A, "drop", "leak", "the same file as <7> of val", 0.0, 0.0, now()),
        Verdict(B, "drop", "opt-out", "its owner does not want it used: robots at its address", 0.0, 0.0, now()),
        Verdict(C, "keep", "", "fine", 0.0, 0.0, now()),
    ]
    project.tables.append("images", table_of("images", pictures))
    project.tables.replace("verdicts", table_of("verdicts", verdicts))
    project.tables.replace("leaks", table_of("leaks", [Leak(A, "val", "<7>", "bytes", 0, "the same file")]))
    return project


def test_a_leak_and_an_opt_out_are_shown_with_their_reasons(browser: TestClient, judged: pictus.Project) -> None:
    leak, refused = browser.get("/clean/leak").text, browser.get("/clean/opt-out").text
    assert "the same file as &lt;7&gt; of val" in leak
    assert f"/pictures/{A}" in leak
    assert B not in leak
    assert "robots at its address" in refused
    assert A not in refused
    assert 'href="/clean/leak"' in browser.get("/clean").text
    sent = {"image": A, "back": "/clean/leak?offset=0"}
    answer = browser.post("/clean/restore", data=sent, headers={"origin": SITE})
    assert answer.headers["location"].startswith("/clean/leak?offset=0#p-")
    assert judged.tables.count("verdicts", "rule = 'restored'") == 1
    assert A not in browser.get("/clean/leak").text


def test_an_empty_page_says_what_to_type_next(browser: TestClient, project: pictus.Project) -> None:
    for rule in ("leak", "opt-out", "broken"):
        answer = browser.get(f"/clean/{rule}")
        assert answer.status_code == 200
        assert "pictus taxonomy" in answer.text or "pictus collect" in answer.text
    project.journal.log("clean", "pictures_screened", switched_off=["leak=off"])
    assert "pictus clean screen --line leak=pool" in browser.get("/clean/leak").text


def test_open_to_others_nothing_can_be_restored_there(judged: pictus.Project) -> None:
    with TestClient(build_app(judged, frozenset()), base_url="http://example.org") as client:
        text = client.get("/clean/leak").text
    assert '<form class="do"' not in text
    assert f"pictus clean restore {A[:16]}" in text
