from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

import pictus
from pictus import collect, metadata
from pictus.clock import now
from pictus.records import Check, Faces, Picture, Safety
from pictus.tables import table_of
from pictus.web import server
from pictus.web.privacy import read_boxes
from pictus.web.server import build_app

SITE = "http://127.0.0.1"
A, B, C = (letter * 64 for letter in "abc")
NASTY = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture
def pool(project: pictus.Project) -> pictus.Project:
    """A: lying on its side, two faces, GPS and a hostile creator; B: no face, forbids mining; C: not looked at."""
    pictures = [Picture(one, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now()) for one in (A, B, C)]
    plain = Check(A, "", 48, 64, 7.0, 900.0, 120.0, 50.0, 0.0, 1.3, False, A, 0, 0, bytes(32), 100)
    checks = [
        replace(plain, metadata=("exif", "gps"), creator=NASTY),
        replace(plain, image_id=B, metadata=("xmp",), data_mining="prohibited"), replace(plain, image_id=C),
    ]  # fmt: skip
    faces = [
        Faces(A, "", 2, "[[1, 2, 10, 12, 5.0], [20, 30, 8, 9, 1.5]]", NASTY), Faces(B, "", 0, "[]", NASTY),
        Faces(C, "truncated", 0, "[]", NASTY),
    ]  # fmt: skip
    project.tables.append("images", table_of("images", pictures))
    project.tables.append("checks", table_of("checks", checks))
    project.tables.replace("faces", table_of("faces", faces))
    said = [Safety(B, "", NASTY, 0.9, "x"), Safety(C, "", "fine", 0.5, "x")]
    project.tables.replace("safety", table_of("safety", said))
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE) as client:
        yield client


def facts(text: str) -> str:
    return text.partition('<dl class="facts">')[2].partition("</dl>")[0]


def test_people_places_and_wishes_are_counted(browser: TestClient) -> None:
    told = facts(browser.get("/clean/privacy").text)
    for name, number in (("carry GPS", 1), ("carry EXIF", 1), ("carry C2PA", 0), ("prohibit data mining", 1)):
        assert f"<dt>{name}</dt><dd>{number}</dd>" in told
    assert '<dt>with a face</dt><dd>1 <span class="dim">of 2</span></dd>' in told


def test_faces_are_framed_in_the_upright_picture(browser: TestClient) -> None:
    text = browser.get("/clean/privacy").text
    assert 'viewBox="0 0 48 64"' in text
    assert '<rect x="1.0" y="2.0" width="10.0" height="12.0"/>' in text
    assert text.count("<rect") == 2
    assert "2 faces" in text


@pytest.mark.parametrize(
    ("view", "image_id"), [("gps", A), ("creator", A), ("opt-out", B), ("safety&label=fine", C), ("faces", A)]
)
def test_each_view_shows_its_pictures_only(browser: TestClient, view: str, image_id: str) -> None:
    text = browser.get(f"/clean/privacy?view={view}").text
    assert [one for one in (A, B, C) if f"/pictures/{one}" in text] == [image_id]


def test_hostile_creators_labels_and_detectors_are_escaped(browser: TestClient) -> None:
    for view in ("faces", "creator", "safety"):
        text = browser.get("/clean/privacy", params={"view": view, "label": NASTY if view == "safety" else ""}).text
        assert NASTY not in text
        assert "<img src=x" not in text
    assert "onerror" in browser.get("/clean/privacy?view=creator").text, "told, as text"


def test_a_wrong_view_is_told(browser: TestClient) -> None:
    answer = browser.get("/clean/privacy", params={"view": NASTY})
    assert answer.status_code == 400
    assert NASTY not in answer.text


def test_without_faces_the_page_says_what_to_type(project: pictus.Project) -> None:
    with TestClient(build_app(project), base_url=SITE) as client:
        assert '<code class="command">pictus' in client.get("/clean/privacy").text
        pictures = [Picture(A, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now())]
        project.tables.append("images", table_of("images", pictures))
        for view, command in (("faces", "clean faces"), ("safety", "clean safety"), ("gps", "clean check")):
            text = client.get("/clean/privacy", params={"view": view}).text
            assert f'<code class="command">pictus {command}' in text


@given(st.recursive(st.none() | st.floats() | st.text() | st.integers(), st.lists))
def test_boxes_of_any_shape_are_four_finite_numbers_each(boxes: object) -> None:
    for box in read_boxes(json.dumps(boxes)):
        assert len(box) == 4
        assert all(abs(one) < float("inf") for one in box)


def test_many_boxes_are_cut_off_and_no_json_is_no_box() -> None:
    assert len(read_boxes(json.dumps([[1, 2, 3, 4, 5]] * 5_000))) == 100
    assert read_boxes("no json") == read_boxes("{}") == read_boxes('["x"]') == ()


def test_others_see_no_place_no_list_of_faces_and_are_told_about(project: pictus.Project, tmp_path: Path) -> None:
    tags, out = Image.Exif(), io.BytesIO()
    tags[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0)}
    Image.new("RGB", (64, 48), (9, 90, 200)).save(out, "JPEG", exif=tags)
    (tmp_path / "one.jpg").write_bytes(out.getvalue())
    collect.add(project, (tmp_path,))
    (image_id,) = project.tables.ids("images")
    with TestClient(build_app(project), base_url=SITE) as own:
        assert own.get(f"/bytes/{image_id}").content == out.getvalue()
    with TestClient(build_app(project, frozenset()), base_url="http://x") as others:
        shown = others.get(f"/bytes/{image_id}")
        assert shown.status_code == 200
        assert "gps" in metadata.read(out.getvalue()).kinds
        assert "gps" not in metadata.read(shown.content).kinds
        assert others.get("/clean/privacy?view=gps").status_code == 404
        assert "/clean/privacy" not in others.get("/clean").text
    assert "without GPS, but with all faces as" in server.OPEN
