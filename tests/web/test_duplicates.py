from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

import pictus
from pictus.clock import now
from pictus.records import Duplicate, Picture, Verdict
from pictus.tables import one_of, table_of
from pictus.web import duplicates
from pictus.web.server import build_app

A, B, C, D = (letter * 64 for letter in "abcd")
SITE = "http://127.0.0.1"


@pytest.fixture
def pool(project: pictus.Project) -> pictus.Project:
    """Four pictures in one group: B near, C nearer, D the same pixels; A stays."""
    pictures = [Picture(one, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now()) for one in (A, B, C, D)]
    rows = [
        Duplicate(A, A, is_keeper=True, relation="near", distance=0, evidence_id="", reason="kept: the largest"),
        Duplicate(C, A, is_keeper=False, relation="near", distance=9, evidence_id=A,
                  reason="9 of 384 bits differ from aaaa, which has more pixels (9 × 9)"),
        Duplicate(B, A, is_keeper=False, relation="near", distance=70, evidence_id=C,
                  reason="70 of 384 bits differ from cccc; its keeper aaaa has more pixels"),
        Duplicate(D, A, is_keeper=False, relation="pixels", distance=0, evidence_id=A, reason="same pixels as aaaa"),
    ]  # fmt: skip
    verdicts = [
        Verdict(A, "keep", "", "fine", 0.0, 0.0, now()),
        *(Verdict(one, "drop", "duplicate", "it is one", 9.0, 76.0, now()) for one in (B, C, D)),
    ]
    project.tables.append("images", table_of("images", pictures))
    project.tables.replace("duplicates", table_of("duplicates", rows))
    project.tables.replace("verdicts", table_of("verdicts", verdicts))
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE, follow_redirects=False) as client:
        yield client


def test_the_widest_apart_come_first_and_pages_follow_each_other(pool: pictus.Project) -> None:
    found, total = duplicates.pairs(pool, 0, 10)
    assert [pair.other["image_id"] for pair in found] == [B, C, D]
    assert {pair.keeper["image_id"] for pair in found} == {A}
    assert total == 3
    assert [pair.other["image_id"] for pair in duplicates.pairs(pool, 1, 1)[0]] == [C]
    assert duplicates.pairs(pool, 9, 10) == ([], 3)


def test_a_reason_names_the_better_picture_by_its_place_where_it_stands_beside(pool: pictus.Project) -> None:
    found, _ = duplicates.pairs(pool, 0, 10)
    assert found[1].reason == "the left one has more pixels (9 × 9)"
    assert found[0].reason.startswith("70 of 384 bits differ from cccc"), "matched with another member: said in full"


@pytest.mark.parametrize(
    ("path", "words"), [("/clean", "70 bits apart"), ("/clean/duplicates", "70 of 384 bits differ")]
)
def test_pairs_are_shown_with_distance_fate_and_a_way_back(browser: TestClient, path: str, words: str) -> None:
    text = browser.get(path).text
    assert words in text
    assert "same pixels" in text
    assert text.count('<button class="quiet" title="It stays') == 3
    assert text.index(f'id="p-{B[:16]}') < text.index(f'id="p-{C[:16]}')


def test_one_pair_is_taken_back_in_the_singular(browser: TestClient, pool: pictus.Project) -> None:
    said = "<code>pictus clean restore --rule duplicate</code> takes {} back"
    assert said.format("all of them") in browser.get("/clean").text
    rows = pool.tables.read("duplicates", where=one_of("image_id", [A, C]))
    pool.tables.replace("duplicates", rows)
    assert said.format("it") in browser.get("/clean").text


def test_restore_keeps_one_picture_and_leads_back_to_its_pair(browser: TestClient, pool: pictus.Project) -> None:
    sent = {"image": B, "back": "/clean/duplicates?offset=0"}
    answer = browser.post("/clean/restore", data=sent, headers={"origin": SITE})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/clean/duplicates?offset=0#p-{B[:16]}")
    assert fates(pool) == {B: "restored", C: "dropped", D: "dropped"}
    assert browser.get("/clean/duplicates").text.count("It stays") == 2


def fates(project: pictus.Project) -> dict[str, str]:
    return {pair.other["image_id"]: pair.other["fate"] for pair in duplicates.pairs(project, 0, 10)[0]}


def test_another_site_cannot_restore(browser: TestClient, pool: pictus.Project) -> None:
    for origin in ("https://evil.example", "null", "http://[", "[", "http://"):
        answer = browser.post("/clean/restore", data={"image": B}, headers={"origin": origin})
        assert answer.status_code == 403
    for place in ("cross-site", "same-site"):
        answer = browser.post("/clean/restore", data={"image": B}, headers={"sec-fetch-site": place})
        assert answer.status_code == 403
    assert set(fates(pool).values()) == {"dropped"}


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/clean/duplicates?offset=0\r\nx: y", ""])
def test_the_way_back_stays_on_this_site(browser: TestClient, back: str) -> None:
    answer = browser.post("/clean/restore", data={"image": B, "back": back}, headers={"origin": SITE})
    assert answer.headers["location"] == f"/pictures/{B}#p-{B[:16]}"


def test_a_form_without_a_picture_is_told(browser: TestClient) -> None:
    for image in ("", "b", B.upper(), "e" * 64):
        answer = browser.post("/clean/restore", data={"image": image}, headers={"origin": SITE})
        assert answer.status_code == 400, image
        assert "<title>That cannot be done" in answer.text
    assert browser.post("/clean/restore", data={"image": "b" * 20_000}, headers={"origin": SITE}).status_code == 400


def test_open_to_others_nothing_can_be_restored_and_the_command_is_shown(pool: pictus.Project) -> None:
    with TestClient(build_app(pool, frozenset()), base_url="http://example.org") as client:
        assert client.post("/clean/restore", data={"image": B}).status_code in (404, 405)
        text = client.get("/clean/duplicates").text
    assert '<form class="do"' not in text
    assert f"pictus clean restore {B[:16]}" in text
    assert set(fates(pool).values()) == {"dropped"}


def test_a_keeper_that_another_rule_dropped_is_not_called_kept(pool: pictus.Project) -> None:
    pool.tables.upsert("verdicts", table_of("verdicts", [Verdict(A, "drop", "blurred", "no edge", 1.0, 30.0, now())]))
    with TestClient(build_app(pool), base_url=SITE) as client:
        assert "dropped: blurred" in client.get("/clean/duplicates").text


def test_the_strip_beside_a_line_shows_what_lies_on_both_sides(
    project: pictus.Project, make_jpeg: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from pictus import clean, collect

    folder = tmp_path_factory.mktemp("in")
    for index in range(6):
        (folder / f"{index}.jpg").write_bytes(make_jpeg(120 + 20 * index, 90, seed=index))
    collect.add(project, (folder,))
    clean.check(project)
    clean.screen(project, line=("tiny=95",))
    with TestClient(build_app(project), base_url=SITE) as client:
        text = client.get("/clean").text
    assert 'title="short side 90: beyond the line"' in text
    assert ": within the line" in text
