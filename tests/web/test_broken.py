"""Pages of a pool in which not everything went well: a picture that cannot be decoded, addresses that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import pictus
from pictus import clean, collect, overview, taxonomy
from pictus.clock import now
from pictus.records import Attempt
from pictus.tables import Tables, table_of
from pictus.web.charts import placeholder
from pictus.web.server import build_app

SITE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    """Four pictures, one of them a JPEG whose second half was cut off after it had been collected."""
    folder: Path = tmp_path_factory.mktemp("in")
    for index in range(3):
        (folder / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    whole = make_jpeg(320, 240, seed=9)
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    project = pictus.new(tmp_path_factory.mktemp("project") / "birds")
    collect.add(project, (folder,))
    clean.check(project)
    clean.screen(project)
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE) as client:
        yield client


def ids(project: pictus.Project, where: str) -> list[str]:
    return [str(found) for found in project.tables.read("checks", ["image_id"], where).column("image_id").to_pylist()]


def attempt(address: str, cause: str) -> Attempt:
    return Attempt(address, "url", cause, "", "", "", 0, 1, 0, 0.1, "", "", now())


def test_a_picture_that_cannot_be_decoded_is_drawn_as_such_with_its_cause(
    browser: TestClient, pool: pictus.Project
) -> None:
    broken = ids(pool, "cause != ''")
    assert len(broken) == 1
    answer = browser.get(f"/thumbnails/320/{broken[0]}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "truncated" in answer.text
    assert not list(pool.cache_dir.rglob(f"{broken[0]}*")), "a mended decoder shows it at once"


def test_the_page_of_a_broken_picture_says_why_once_and_offers_no_search(
    browser: TestClient, pool: pictus.Project
) -> None:
    broken, good = ids(pool, "cause != ''")[0], ids(pool, "cause = ''")[0]
    text = browser.get(f"/pictures/{broken}").text
    assert "<b>drop</b> by the rule broken: truncated" in text
    assert "find similar" not in text
    assert "find similar" in browser.get(f"/pictures/{good}").text


def test_a_picture_that_cannot_be_decoded_is_not_offered_for_restoring(
    browser: TestClient, pool: pictus.Project
) -> None:
    text = browser.get("/clean").text
    assert "cannot be decoded, so no release takes it" in text
    assert "restore --rule broken" not in text
    broken = ids(pool, "cause != ''")[0]
    page = browser.get(f"/pictures/{broken}").text
    assert "clean restore" not in page
    assert "/clean/restore" not in page


def test_the_words_of_a_broken_picture_stay_clear_of_the_badge_on_its_tile() -> None:
    # the badge covers the lower 22 px of a tile, from 96 px on: the last 37 of the drawing's 160
    feet = [float(y) for y in re.findall(r'<text[^>]* y="(\d+)"', placeholder("truncated"))]
    feet += [feet[-1] + float(dy) for dy in re.findall(r'dy="(\d+)"', placeholder("truncated"))]
    assert len(feet) == 2
    assert max(feet) + 4 < 160 - 37, "4 for what hangs below the line"


def test_counts_beside_concepts_leave_the_dropped_pictures_out(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    place = tmp_path / "in" / "owl"
    place.mkdir(parents=True)
    for index in range(3):
        (place / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    (place / "cut.jpg").write_bytes(make_jpeg(160, 120, seed=9)[:2000])
    project = pictus.new(tmp_path / "project")
    taxonomy.import_(project, folders=tmp_path / "in")
    collect.add(project, (tmp_path / "in",), by_folder=True)
    with TestClient(build_app(project), base_url=SITE) as client:
        assert beside(client, "/", "owl") == beside(client, "/concepts", "owl") == 4, "nothing dropped yet"
        clean.check(project)
        clean.screen(project)
        assert beside(client, "/", "owl") == beside(client, "/concepts", "owl") == 3
        assert "4 pictures</a>, 1 of them dropped and not counted above" in client.get("/").text
        assert "without the dropped ones" in client.get("/concepts").text
        owl = re.findall(r'href="(/concepts/[^"]+)">owl', client.get("/concepts").text)[0]
        assert "<h2>4 pictures, 1 of them dropped</h2>" in client.get(owl).text


def beside(client: TestClient, path: str, name: str) -> int:
    return int(re.findall(rf'">{name}</a> <span class="dim">(\d+)</span>', client.get(path).text)[0])


def test_a_restored_picture_is_no_longer_counted_as_dropped_beside_its_rule(
    tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    for index in range(6):
        (tmp_path / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    (tmp_path / "small.jpg").write_bytes(make_jpeg(8, 8, seed=9))
    project = pictus.new(tmp_path / "project")
    collect.add(project, tuple(tmp_path.glob("*.jpg")))
    clean.check(project)
    clean.screen(project)
    row = project.tables.read("verdicts", where="verdict = 'drop'").to_pylist()
    assert len(row) == 1
    link = f'<a href="/pictures?rule={row[0]["rule"]}&amp;verdict=drop">1 dropped</a>'
    with TestClient(build_app(project), base_url=SITE) as client:
        assert link in client.get("/clean").text
        clean.restore(project, (row[0]["image_id"],))
        text = client.get("/clean").text
    assert "1 dropped</a>" not in text
    assert f"<b>{row[0]['rule']}</b>" in text, "the rule is still drawn"


def test_times_are_written_as_people_write_them(browser: TestClient, pool: pictus.Project) -> None:
    found = pool.tables.read("sources", ["image_id", "found_at"], limit=1).to_pylist()[0]
    text = browser.get(f"/pictures/{found['image_id']}").text
    assert found["found_at"].replace("T", " ").rstrip("Z") in text
    assert found["found_at"] not in text


def test_a_thumbnail_and_a_pictures_bytes_do_not_search_the_table(
    browser: TestClient, pool: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Tables.records

    def refused(tables: Tables, name: str, *rest: Any) -> Any:
        assert name != "images", "a scan of the whole table for one picture"
        return records(tables, name, *rest)

    monkeypatch.setattr(Tables, "records", refused)
    for image_id in ids(pool, "cause = ''"):
        assert browser.get(f"/thumbnails/160/{image_id}").headers["content-type"] == "image/jpeg"
        assert browser.get(f"/bytes/{image_id}").status_code == 200


def test_causes_count_addresses_by_their_latest_attempt_and_add_up_to_the_heading(
    project: pictus.Project
) -> None:
    tries = (("a", "timeout"), ("a", "dns"), ("b", "timeout"), ("b", "ok"), ("c", "ok"), ("c", "unchanged"))
    attempts = [attempt(f"http://example.org/{name}", cause) for name, cause in (*tries, ("d", "dns"))]
    project.tables.append("fetches", table_of("fetches", attempts))
    with TestClient(build_app(project), base_url=SITE) as client:
        text = client.get("/").text
    assert "Why 2 addresses gave no picture" in text
    section = text.partition("gave no picture")[2].partition("</section>")[0]
    assert "<dt>dns</dt><dd>2</dd>" in section
    assert "timeout" not in section
    assert "unchanged" not in section


def test_every_failed_address_is_in_the_list_of_causes(project: pictus.Project) -> None:
    causes = [f"http-{status}" for status in range(400, 415)]
    attempts = [attempt(f"http://example.org/{cause}", cause) for cause in causes]
    project.tables.append("fetches", table_of("fetches", attempts))
    with TestClient(build_app(project), base_url=SITE) as client:
        section = client.get("/").text.partition("Why 15 addresses")[2].partition("</section>")[0]
    assert sum(map(int, re.findall(r"<dd>(\d+)</dd>", section))) == 15
    assert "<dt>other causes</dt><dd>3</dd>" in section


def test_the_first_page_does_not_propose_to_open_itself(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = replace(overview.status(project), next=("pictus search query --text NAME", "pictus web"))
    monkeypatch.setattr(overview, "status", lambda _project: outcome)
    with TestClient(build_app(project), base_url=SITE) as client:
        text = client.get("/").text
    assert '<code class="command">pictus search query --text NAME</code>' in text
    assert '<code class="command">pictus web</code>' not in text


def test_without_pictures_clean_says_how_to_collect_some(project: pictus.Project) -> None:
    with TestClient(build_app(project), base_url=SITE) as client:
        text = client.get("/clean").text
    assert '<code class="command">pictus clean</code>' not in text


def test_what_the_status_warns_of_is_on_the_first_page(project: pictus.Project) -> None:
    root = project.models_dir / "half"
    root.mkdir(parents=True)
    seen = {"size": 8, "resize": 8, "mean": [0, 0, 0], "std": [1, 1, 1]}
    card = {"format": 1, "name": "half", "status": "running", "model": "m", "classes": ["a"], "class_names": ["a"]}
    (root / "run.json").write_text(json.dumps({**card, "preprocessing": seen}))
    with TestClient(build_app(project), base_url=SITE) as client:
        said = client.get("/api/status").json()["problems"]
        assert said
        assert said[0] in client.get("/").text


def test_charts_stay_however_much_happened_since_the_screen(pool: pictus.Project) -> None:
    for number in range(1001):
        pool.journal.log("clean", "picture_restored", f"{number:064x}")
    with TestClient(build_app(pool), base_url=SITE) as client:
        assert "Where each rule cuts" in client.get("/clean").text


def test_a_picture_that_is_not_there_is_told_without_a_command_that_is_none(browser: TestClient) -> None:
    answer = browser.get("/pictures/" + "f" * 64)
    assert answer.status_code == 404
    assert "There is no picture" in answer.text
    assert '<code class="command">' not in answer.text
