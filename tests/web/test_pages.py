from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import pictus
from pictus import annotate, clean, collect, release, taxonomy
from pictus.web.server import build_app

NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    """Two classes, 24 pictures, one of them twice in size, labelled from their folders and released."""
    folder = tmp_path_factory.mktemp("in")
    for index in range(24):
        place = folder / ("owl" if index % 2 else "cup")
        place.mkdir(exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    project = pictus.new(tmp_path_factory.mktemp("project") / "birds")
    taxonomy.import_(project, folders=folder)
    taxonomy.add(project, NASTY, gloss=NASTY)
    collect.add(project, (folder,), by_folder=True)
    clean.check(project)
    clean.dedupe(project)
    clean.screen(project)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    release.split(project, seed=1)
    release.cut(project, "1.0.0")
    return project


@pytest.fixture
def browser(filled: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(filled), base_url="http://127.0.0.1") as client:
        yield client


def first_id(project: pictus.Project) -> str:
    return str(project.tables.read("images", ["image_id"]).column("image_id")[0])


@pytest.mark.parametrize("path", ["/", "/concepts", "/pictures", "/clean", "/search", "/search?text=owl"])
def test_every_page_answers_on_a_full_project(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text[:400]
    assert "<main" in answer.text


@pytest.mark.parametrize("path", ["/", "/concepts", "/pictures", "/clean", "/search"])
def test_every_page_of_an_empty_project_says_what_to_type(project: pictus.Project, path: str) -> None:
    with TestClient(build_app(project), base_url="http://127.0.0.1") as client:
        answer = client.get(path)
    assert answer.status_code == 200
    assert "pictus " in answer.text


def test_one_picture_shows_its_whole_history(browser: TestClient, filled: pictus.Project) -> None:
    text = browser.get(f"/pictures/{first_id(filled)}").text
    for part in ("Found", "Measured", "Kept or dropped", "Votes", "release 1.0.0", "source:folder", "sharpness"):
        assert part in text


def test_names_from_outside_are_escaped(browser: TestClient) -> None:
    for path in ("/concepts", "/pictures", f"/pictures?text={NASTY}", f"/search?text={NASTY}"):
        assert NASTY not in browser.get(path).text, path


def test_filters_narrow_the_wall(browser: TestClient, filled: pictus.Project) -> None:
    everything = browser.get("/wall").json()
    owls = browser.get("/wall", params={"concept": pictus_id(filled, "owl")}).json()
    assert (everything["total"], owls["total"]) == (24, 12)
    assert browser.get("/wall", params={"text": first_id(filled)[:12]}).json()["total"] == 1
    assert browser.get("/wall", params={"verdict": "keep", "status": "accepted"}).json()["total"] == 24
    assert browser.get("/wall", params={"offset": "20"}).json()["count"] == 4
    assert browser.get("/wall", params={"sort": "colour"}).status_code == 400
    assert browser.get("/wall", params={"offset": "-1"}).status_code == 400


def pictus_id(project: pictus.Project, name: str) -> str:
    from pictus.concepts import load_taxonomy

    return load_taxonomy(project).resolve(name)


def test_thumbnails_are_made_once_and_only_in_known_sizes(browser: TestClient, filled: pictus.Project) -> None:
    image_id = first_id(filled)
    answer = browser.get(f"/thumbnails/160/{image_id}")
    assert answer.content[:2] == b"\xff\xd8"
    assert (filled.cache_dir / "thumbnails" / "160" / image_id[:2] / f"{image_id}.jpg").exists()
    assert browser.get(f"/thumbnails/161/{image_id}").status_code == 404
    assert browser.get("/thumbnails/160/nothing").status_code == 404
    assert browser.get("/thumbnails/160/..%2f..%2fpictus.toml").status_code == 404


def test_the_bytes_are_the_bytes(browser: TestClient, filled: pictus.Project) -> None:
    import hashlib

    image_id = first_id(filled)
    answer = browser.get(f"/bytes/{image_id}")
    assert hashlib.sha256(answer.content).hexdigest() == image_id
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_picture_can_be_searched_with(
    browser: TestClient, filled: pictus.Project, make_jpeg: Callable[..., bytes]
) -> None:
    from pictus import search

    search.index(filled, run="classical")
    sent = {"image": ("x.jpg", make_jpeg(160, 120, seed=3), "image/jpeg")}
    text = browser.post("/search", files=sent, headers={"origin": "http://127.0.0.1"}).text
    expected = filled.tables.read("sources", ["image_id"], where="address LIKE '%/3.jpg'").column("image_id")[0].as_py()
    assert text.index(expected) < text.index("tag")
    bad = browser.post("/search", files={"image": ("x.jpg", b"no picture", "image/jpeg")})
    assert bad.status_code == 400
    assert "cannot be used as a picture" in bad.text


def test_pages_not_there_are_said(browser: TestClient) -> None:
    assert browser.get("/nothing").status_code == 404
    assert browser.get("/concepts/n99999999").status_code == 400
    assert browser.get("/api/nothing").json()["error"]["fix"]


def test_static_files_load_nothing_from_outside() -> None:
    static = Path(pictus.__file__).parent / "web"
    for path in static.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            assert "http://" not in path.read_text(), path.name
            assert "https://" not in path.read_text(), path.name
