from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import pictus
from pictus import annotate, clean, collect, release, taxonomy
from pictus.records import Concept
from pictus.tables import table_of
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


PAGES = (
    "/", "/concepts", "/pictures", "/clean", "/clean/duplicates", "/clean/relevance", "/clean/privacy", "/coverage",
    "/releases", "/runs", "/search",
)  # fmt: skip


def title_of(text: str) -> str:
    return text.partition("<title>")[2].partition("</title>")[0]


@pytest.mark.parametrize("path", [*PAGES, "/search?text=owl"])
def test_every_page_answers_on_a_full_project(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text[:400]
    assert "<main" in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_an_empty_project_says_what_to_type(project: pictus.Project, path: str) -> None:
    with TestClient(build_app(project), base_url="http://127.0.0.1") as client:
        answer = client.get(path)
    assert answer.status_code == 200
    main = answer.text.partition("<main")[2].partition("</main>")[0]  # the footer names a command on every page
    assert '<code class="command">pictus ' in main


def test_every_page_has_its_own_title_and_every_link_of_the_navigation_leads_somewhere(browser: TestClient) -> None:
    paths = [*PAGES, "/search?text=owl", "/nothing", "/pictures/ffffff", "/concepts/n9", "/runs/none"]
    titles = [title_of(browser.get(path).text) for path in paths]
    assert len(set(titles)) == len(titles), titles
    assert all(title.endswith(" · birds") for title in titles), "also where something is not there"
    navigation = browser.get("/").text.partition("<nav")[2].partition("</nav>")[0]
    links = [part.partition('"')[0] for part in navigation.split('href="')[1:]]
    assert {"/releases", "/runs"} <= set(links)
    assert [link for link in links if browser.get(link).status_code != 200] == []


def test_the_release_page_shows_counts_digest_licences_and_the_command(
    browser: TestClient, filled: pictus.Project
) -> None:
    from pictus.releases import find_release

    release = find_release(filled)
    text = browser.get("/releases").text
    for part in ("1.0.0", release.digest, "train", "unknown", "pictus release verify 1.0.0"):
        assert part in text
    counts = release.manifest["counts"]["splits"]
    assert all(f"<td>{split}</td><td>{number}</td>" in text for split, number in counts.items() if number)
    for name in ("datasheet.md", "licences.csv", "manifest.json", "croissant.json"):
        answer = browser.get(f"/releases/1.0.0/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] in ("text/plain", "application/json")


@pytest.mark.parametrize("path", ["1.0.0/pictures.parquet", "1.0.0/..%2f..%2fpictus.toml", "9.9.9/manifest.json"])
def test_other_files_of_a_release_are_not_given(browser: TestClient, path: str) -> None:
    assert browser.get(f"/releases/{path}").status_code == 404


def test_the_first_page_names_what_its_pictures_show_and_counts_them(
    browser: TestClient, filled: pictus.Project
) -> None:
    text = browser.get("/").text
    for name in ("owl", "cup"):
        assert f'<a href="/concepts/{pictus_id(filled, name)}">{name}</a> <span class="dim">12</span>' in text
    assert text.index(">cup</a>") < text.index(">owl</a>"), "siblings by name"


def test_concepts_are_listed_by_name_within_the_tree(project: pictus.Project) -> None:
    rows = [
        Concept("x1", ("tool",)), Concept("x2", ("saw",), parents=("x1",), is_class=True),
        Concept("x3", ("Axe",), parents=("x1",), is_class=True), Concept("x4", ("ape",), is_class=True),
    ]  # fmt: skip
    project.tables.replace("concepts", table_of("concepts", rows))
    with TestClient(build_app(project), base_url="http://127.0.0.1") as client:
        text = client.get("/concepts").text
        options = client.get("/pictures").text
    places = [text.index(f">{name}</a>") for name in ("ape", "tool", "Axe", "saw")]
    assert places == sorted(places)
    chosen = [options.index(f'value="{one}"') for one in ("x4", "x3", "x2")]
    assert chosen == sorted(chosen)


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
    assert 'src="data:image/jpeg;base64,' in text, "the picture asked with is shown"


def bomb() -> bytes:
    """A PNG of a few bytes that declares 60,000 × 60,000 px."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                    for kind, data in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"no picture", "cannot be used as a picture"),
        (b"", "That file is empty"),
        (bomb(), "too-many-pixels"),
        (b"\xff\xd8" + bytes(20_000_001), "larger than 20 MB"),
    ],
    ids=["text", "empty", "bomb", "huge"],
)
def test_what_is_wrong_with_a_picture_is_said_on_the_search_page(browser: TestClient, sent: bytes, said: str) -> None:
    answer = browser.post("/search", files={"image": ("x.jpg", sent, "image/jpeg")})
    assert answer.status_code == 400
    assert said in answer.text
    assert title_of(answer.text) == "Search · birds"
    assert '<form id="drop"' in answer.text, "one can try again"
    assert "/tmp" not in answer.text


def test_a_picture_to_search_with_that_is_not_there_is_not_drawn(browser: TestClient) -> None:
    text = browser.get("/search?like=zzz").text
    assert "/thumbnails/320/zzz" not in text
    assert '<p class="problem" id="problem" role="alert">' in text


def test_a_form_without_a_file_or_not_a_form_is_said_there_too(browser: TestClient) -> None:
    for answer in (
        browser.post("/search", files={"image": ("", b"", "application/octet-stream")}),
        browser.post("/search", data={"image": "text"}),
        browser.post("/search", content=b"nonsense", headers={"content-type": "multipart/form-data; boundary=x"}),
    ):
        assert answer.status_code == 400
        assert '<form id="drop"' in answer.text


def test_the_search_page_speaks_of_the_concepts_there_are(browser: TestClient, project: pictus.Project) -> None:
    text = browser.get("/search").text
    assert 'placeholder="cup, owl, …"' in text
    assert "<code>pictus search query --text cup</code> or <code>pictus search query --image x.jpg</code>" in text
    with TestClient(build_app(project), base_url="http://127.0.0.1") as client:
        assert "owl" not in client.get("/search").text


def test_small_pictures_are_shown_at_most_at_twice_their_size() -> None:
    from pictus.web.wall import cells, little

    assert not little({"width": 160, "height": 120})
    assert little({"width": 500, "height": 32})
    assert cells([{"width": 32, "height": 32}] * 3) == "cells-32"
    assert cells([{"width": 64, "height": 70}] * 3) == "cells-64"
    assert cells([{"width": 8, "height": 8}]) == "cells-16"
    assert cells([{"width": 160, "height": 120}]) == cells([]) == cells([{"width": 0, "height": 0}]) == ""


def test_pages_not_there_are_said(browser: TestClient) -> None:
    expected = {
        "/nothing": (404, "Not found"), "/concepts/n99999999": (404, "No such concept"),
        "/pictures/ffffff": (404, "No such picture"), "/runs/none": (404, "No such run"),
        "/pictures?sort=colour": (400, "That cannot be shown"),
        "/clean/duplicates?offset=x": (400, "That cannot be shown"),
    }  # fmt: skip
    for path, (status, title) in expected.items():
        answer = browser.get(path)
        assert (answer.status_code, title_of(answer.text)) == (status, f"{title} · birds"), path
    assert title_of(browser.post("/concepts").text) == "That cannot be done · birds"
    assert browser.post("/concepts").status_code == 405
    assert browser.get("/api/nothing").json()["error"]["fix"]


def test_static_files_load_nothing_from_outside() -> None:
    static = Path(pictus.__file__).parent / "web"
    for path in static.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")  # a name that SVG has, never asked for
            assert "http://" not in text, path.name
            assert "https://" not in text, path.name
