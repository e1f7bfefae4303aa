from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import pictus
from pictus.clock import now
from pictus.records import Concept, Picture, Relevance, Verdict
from pictus.tables import table_of
from pictus.web.server import build_app

SITE = "http://127.0.0.1"
A, B, C, D = (letter * 64 for letter in "abcd")
MODEL = "classical"
NASTY = "<script>alert('x')</script>"


@pytest.fixture
def pool(project: pictus.Project) -> pictus.Project:
    """A and B are called owls, C and D cups; B looks like a cup, D is C's twin."""
    pictures = [Picture(one, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now()) for one in (A, B, C, D)]
    concepts = [Concept("n1", ("owl",), is_class=True), Concept("n2", (NASTY,), is_class=True)]
    rows = [
        Relevance(A, "n1", 0.2, "", 0.0, "", 0.0, MODEL), Relevance(B, "n1", 0.97, "n2", 0.4, "", 0.0, MODEL),
        Relevance(C, "n2", 0.1, "", 0.0, "", 0.0, MODEL), Relevance(D, "n2", 0.6, "n1", -0.2, C, 0.98, MODEL),
    ]  # fmt: skip
    project.tables.append("images", table_of("images", pictures))
    project.tables.replace("concepts", table_of("concepts", concepts))
    project.tables.replace("relevance", table_of("relevance", rows))
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE) as client:
        yield client


def main_of(text: str) -> str:
    return text.partition("<main")[2].partition("</main>")[0]


def test_the_concept_with_the_most_suspects_comes_first_with_its_least_typical_picture(browser: TestClient) -> None:
    text = main_of(browser.get("/clean/relevance").text)
    assert [text.index(f"/pictures/{one}") for one in (B, A, D, C)] == sorted(
        text.index(f"/pictures/{one}") for one in (A, B, C, D)
    )
    assert "1 suspect" in text
    assert "by classical" in text


def test_one_concept_is_shown_alone_by_name_or_id(browser: TestClient) -> None:
    for name in ("owl", "n1"):
        text = main_of(browser.get("/clean/relevance", params={"concept": name}).text)
        assert text.index(f"/pictures/{B}") < text.index(f"/pictures/{A}")
        assert C not in text
    assert browser.get("/clean/relevance", params={"concept": "dragon"}).status_code == 400


def test_a_suspect_stands_beside_the_most_typical_picture_of_the_other_concept(browser: TestClient) -> None:
    text = main_of(browser.get("/clean/relevance?view=suspects").text)
    assert text.index(f"/pictures/{B}") < text.index(f"/pictures/{C}")
    assert text.count('class="twin"') == 1, "a margin below 0 speaks for the own concept"
    assert "0.40" in text


def test_a_twin_stands_beside_the_one_that_stays(browser: TestClient) -> None:
    text = main_of(browser.get("/clean/relevance?view=twins").text)
    assert text.index(f"/pictures/{D}") < text.index(f"/pictures/{C}")
    assert "0.98" in text


def test_names_are_escaped_and_a_wrong_view_is_told(browser: TestClient) -> None:
    for path in ("/clean/relevance", "/clean/relevance?view=suspects", "/clean/relevance?concept=n2"):
        assert NASTY not in browser.get(path).text
    answer = browser.get("/clean/relevance", params={"view": NASTY})
    assert answer.status_code == 400
    assert NASTY not in answer.text


def test_what_was_dropped_can_be_taken_back_here_and_nothing_else_is_done(
    browser: TestClient, pool: pictus.Project
) -> None:
    assert "/clean/restore" not in browser.get("/clean/relevance?view=suspects").text
    pool.tables.replace("verdicts", table_of("verdicts", [Verdict(B, "drop", "blurred", "so", 1.0, 30.0, now())]))
    assert "/clean/restore" in browser.get("/clean/relevance?view=suspects").text


def test_without_scores_the_page_says_what_to_type(project: pictus.Project) -> None:
    with TestClient(build_app(project), base_url=SITE) as client:
        assert '<code class="command">pictus taxonomy import' in client.get("/clean/relevance").text
        pictures = [Picture(A, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now())]
        project.tables.append("images", table_of("images", pictures))
        assert '<code class="command">pictus clean relevance' in client.get("/clean/relevance").text


def test_scores_written_later_are_shown(browser: TestClient, pool: pictus.Project) -> None:
    browser.get("/clean/relevance")
    pool.tables.replace("relevance", table_of("relevance", [Relevance(A, "n1", 0.2, "", 0.0, "", 0.0, "new-model")]))
    text = browser.get("/clean/relevance").text
    assert "1 picture compared with its concept" in text
    assert "new-model" in text


def test_a_twin_that_is_gone_leaves_its_place_empty(browser: TestClient, pool: pictus.Project) -> None:
    pool.tables.replace("relevance", table_of("relevance", [Relevance(A, "n1", 0.2, "gone", 0.3, "f" * 64, 0.97, "m")]))
    for view in ("twins", "suspects", "outliers"):
        assert browser.get("/clean/relevance", params={"view": view}).status_code == 200
