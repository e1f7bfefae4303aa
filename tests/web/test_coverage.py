from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

import pictus
from pictus import annotate, clean, collect, taxonomy
from pictus.concepts import load_taxonomy
from pictus.records import Concept
from pictus.tables import SCHEMAS, table_of
from pictus.web import coverage
from pictus.web.server import build_app

SITE = "http://127.0.0.1"
NASTY = "<script>alert('x')</script>"


@pytest.fixture
def pool(
    project: pictus.Project, make_jpeg: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> pictus.Project:
    """Owls: 5 pictures of which one is too small, and a file that is none; cups: 3; nothing shows a dragon."""
    folder = tmp_path_factory.mktemp("in")
    for name, count in (("owl", 5), ("cup", 3)):
        (folder / name).mkdir()
        for index in range(count):
            (folder / name / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=10 * count + index))
    (folder / "owl" / "4.jpg").write_bytes(make_jpeg(12, 9, seed=1))
    (folder / "owl" / "5.jpg").write_bytes(b"<html>not found</html>")
    taxonomy.import_(project, folders=folder)
    dragon = Concept("x9", (f"dragon {NASTY}",), is_class=True)
    project.tables.append("concepts", table_of("concepts", [dragon]))
    collect.add(project, (folder,), by_folder=True)
    clean.check(project)
    clean.screen(project)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE) as client:
        yield client


def counts_of(project: pictus.Project) -> dict[str, list[int]]:
    found = coverage.count(project)
    return {name[:6]: row for name, row in zip(found.names, found.counts.tolist(), strict=True)}


def test_a_concept_is_followed_from_what_was_found_to_what_is_labelled(pool: pictus.Project) -> None:
    assert counts_of(pool) == {"cup": [3, 3, 3, 3, 3], "owl": [6, 5, 5, 4, 4], "dragon": [0, 0, 0, 0, 0]}


def test_an_address_that_gave_no_picture_was_found_all_the_same(pool: pictus.Project) -> None:
    owl = load_taxonomy(pool).resolve("owl")
    row: dict[str, object] = dict.fromkeys(SCHEMAS["fetches"].names, "")
    row |= {"concept_id": owl, "cause": "http-404", "status": 404, "tries": 1, "size": 0, "elapsed_s": 0.0}
    before = counts_of(pool)["owl"][0]
    rows = [row | {"address": f"https://x.example/{one}.jpg"} for one in range(7)]
    pool.tables.append("fetches", pa.Table.from_pylist(rows, schema=SCHEMAS["fetches"]))
    assert counts_of(pool)["owl"][0] == before + 7


def test_bars_lie_in_each_other() -> None:
    assert coverage.Funnel("n1", "owl", (6, 5, 5, 4, 5), is_starving=True).bars == (6, 5, 5, 4, 4)


def test_candidates_that_were_not_fetched_yet_count_as_found(pool: pictus.Project) -> None:
    owl = load_taxonomy(pool).resolve("owl")
    names = SCHEMAS["candidates"].names
    row = dict.fromkeys(names, "") | {"concept_id": owl}
    rows = [row | {"address": f"https://x.example/{one}.jpg"} for one in range(9)]
    pool.tables.append("candidates", pa.Table.from_pylist(rows, schema=SCHEMAS["candidates"]))
    assert counts_of(pool)["owl"][0] >= 9


def test_the_page_shows_totals_causes_and_what_to_do(browser: TestClient) -> None:
    text = browser.get("/coverage").text
    assert "3 concepts, 3 starving" in text
    assert "not-an-image" in text
    assert "the bytes are not a picture" in text
    assert text.index("dragon") < text.index(">cup</a>") < text.index(">owl</a>"), "the hungriest first"
    assert NASTY not in text


def test_concepts_are_found_by_name_whatever_its_case_and_ordered(browser: TestClient) -> None:
    text = browser.get("/coverage", params={"text": "OWL"}).text
    assert ">owl</a>" in text
    assert ">cup</a>" not in text
    by_name = browser.get("/coverage", params={"order": "name"}).text
    assert by_name.index(">cup</a>") < by_name.index("dragon") < by_name.index(">owl</a>")
    lost = browser.get("/coverage", params={"order": "lost"}).text
    assert lost.index(">owl</a>") < lost.index(">cup</a>")
    assert browser.get("/coverage", params={"order": "colour"}).status_code == 400
    nothing = browser.get("/coverage", params={"text": f"no {NASTY}"}).text
    assert "No concept is called so" in nothing
    assert NASTY not in nothing


def test_an_empty_project_says_what_to_type(project: pictus.Project) -> None:
    with TestClient(build_app(project), base_url=SITE) as client:
        assert '<code class="command">pictus taxonomy import' in client.get("/coverage").text


def test_what_is_written_later_is_counted(browser: TestClient, pool: pictus.Project) -> None:
    assert ">4</span>" in browser.get("/coverage", params={"text": "owl"}).text
    clean.restore(pool, rule="tiny")
    assert ">4</span>" not in browser.get("/coverage", params={"text": "owl"}).text


def test_all_of_wordnets_classes_are_paged_within_a_second(project: pictus.Project) -> None:
    rows = [Concept(f"n{number:08d}", (f"thing {number}",), is_class=True) for number in range(21_841)]
    project.tables.replace("concepts", table_of("concepts", rows))
    with TestClient(build_app(project), base_url=SITE) as client:
        client.get("/coverage")  # counted once
        started = time.perf_counter()
        text = client.get("/coverage", params={"text": "thing 2", "order": "name", "offset": "100"}).text
        assert time.perf_counter() - started < 1
    assert text.count('class="who"') == 100


def test_the_classes_that_starve_are_those_that_the_command_names(pool: pictus.Project) -> None:
    report = collect.coverage(pool)
    counts = coverage.count(pool)
    named = {row.concept_id for row in report if row.is_starving}
    told = zip(counts.concept_ids, counts.is_starving, strict=True)
    assert {one for one, is_starving in told if is_starving} == named
    assert counts.wanted == report.summary["wanted"]


def test_a_picture_of_two_classes_counts_once_and_one_of_none_is_said(
    pool: pictus.Project, browser: TestClient
) -> None:
    before = coverage.count(pool)
    rows = pool.tables.read("sources").to_pylist()
    owl, cup = (load_taxonomy(pool).resolve(name) for name in ("owl", "cup"))
    twice = next(row for row in rows if row["concept_id"] == owl)
    loose = twice | {"image_id": "f" * 64, "concept_id": "", "address": "file:loose.jpg"}
    pool.tables.append("sources", pa.Table.from_pylist([twice | {"concept_id": cup}, loose], schema=SCHEMAS["sources"]))
    after = coverage.count(pool)
    assert after.counts[:, 1].sum() == before.counts[:, 1].sum() + 1
    assert after.totals[1] == before.totals[1]
    assert (before.unclaimed, after.unclaimed) == (0, 1)
    assert "1 more picture claims no class" in browser.get("/coverage").text
