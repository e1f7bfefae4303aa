from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

import pictus
from pictus.clock import now
from pictus.records import Check, Duplicate, Likeness, Picture, Verdict
from pictus.tables import SCHEMAS, table_of
from pictus.web import clean, groups
from pictus.web.server import build_app

SITE = "http://127.0.0.1"
A, B, C, D, E, F = (letter * 64 for letter in "abcdef")
NASTY = "<script>alert('x')</script>"
CROP = {"part": "image", "x": 0.1, "y": 0.2, "width": 0.5, "height": 0.4, "turn": "0", "mirrored": False}
TURN = {"part": "image", "x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0, "turn": "-90", "mirrored": True}


def member(image_id: str, keeper: str, relation: str, likeness: float = 1.0, detail: object = "") -> Duplicate:
    text = detail if isinstance(detail, str) else json.dumps(detail)
    bits = round((1 - likeness) * 384) if relation == "near" else 0
    return Duplicate(image_id, keeper, is_keeper=False, relation=relation, distance=bits, evidence_id=keeper,
                     reason=NASTY, similarity=likeness, detail=text)  # fmt: skip


def keeper(image_id: str) -> Duplicate:
    return Duplicate(image_id, image_id, is_keeper=True, relation="near", distance=0, evidence_id="", reason="kept: it")


@pytest.fixture
def pool(project: pictus.Project) -> pictus.Project:
    """A keeps B (near, 40 bits) and C (a crop, .9 alike); D keeps E (mirrored and turned) and F (the same pixels)."""
    pictures = [Picture(one, "x.tar", 0, 1, 64, 48, "jpeg", "RGB", now()) for one in (A, B, C, D, E, F)]
    rows = [
        keeper(A), member(B, A, "near", 1 - 40 / 384), member(C, A, "crop", 0.9, CROP),
        keeper(D), member(E, D, "turned", 0.99, TURN), member(F, D, "pixels"),
    ]  # fmt: skip
    checks = [
        Check(one, "", 64, 48, 7.0, 900.0, 120.0, 50.0, 0.0, 1.3, False, one, phash, 0, bytes(32), 100)
        for one, phash in ((A, 0), (B, 0b101))
    ]  # fmt: skip
    project.tables.append("images", table_of("images", pictures))
    project.tables.append("checks", table_of("checks", checks))
    project.tables.replace("duplicates", table_of("duplicates", rows))
    drops = [Verdict(one, "drop", "duplicate", "it is one", 9.0, 76.0, now()) for one in (B, C, E, F)]
    project.tables.replace("verdicts", table_of("verdicts", drops))
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE, follow_redirects=False) as client:
        yield client


def test_the_group_with_the_most_doubtful_member_comes_first(pool: pictus.Project) -> None:
    found = groups.page(pool, 0, 10)
    assert [group.group_id for group in found.groups] == [A, D]
    assert [one.side["image_id"] for one in found.groups[0].others] == [B, C], "40 of 384 bits are more than a tenth"
    assert [group.group_id for group in groups.page(pool, 0, 10, order="likest").groups] == [D, A]
    assert (found.total, found.pictures, found.relations["near"]) == (2, 4, 1)


def test_pages_follow_each_other_and_end(pool: pictus.Project) -> None:
    assert [group.group_id for group in groups.page(pool, 1, 1).groups] == [D]
    assert groups.page(pool, 9, 10).groups == []


def test_only_groups_with_the_relation_asked_for_are_shown(pool: pictus.Project, browser: TestClient) -> None:
    assert [group.group_id for group in groups.page(pool, 0, 10, relation="turned").groups] == [D]
    assert groups.page(pool, 0, 10, relation=NASTY).total == 0
    text = browser.get("/clean/duplicates", params={"relation": NASTY}).text
    assert NASTY not in text
    assert "All groups" in text


def test_every_member_says_its_evidence_in_words(pool: pictus.Project) -> None:
    words = [one.evidence.words for group in groups.page(pool, 0, 10).groups for one in group.others if one.evidence]
    assert words == [
        "40 of 384 bits differ", "a part of it, 50 × 40 %, 90 % alike", "mirrored, turned by 90°, 99 % alike",
        "same pixels",
    ]  # fmt: skip


def test_a_likeness_told_from_the_other_side_is_turned_round(pool: pictus.Project) -> None:
    rows = [Likeness(A, C, "crop", 0.9, ""), Likeness(D, E, "turned", 0.99, "")]
    pool.tables.replace("likenesses", table_of("likenesses", rows))
    crop, turned = (
        one.evidence for group in groups.page(pool, 0, 10).groups for one in group.others
        if one.evidence and one.evidence.relation in ("crop", "turned")
    )  # fmt: skip
    assert crop is not None
    assert crop.whole["image_id"] == C, "the keeper A is the part: the frame is drawn on C"
    assert crop.words == "holds it as 50 × 40 %, 90 % alike"
    assert turned is not None
    assert (turned.turn, turned.is_inverse) == (90, True), "D is mirrored and turned to lie on E; E goes the way back"
    assert turned.transform == "translate(32 24) scale(-1 1) rotate(90)"


def test_a_turned_picture_is_drawn_as_it_lies_on_the_other(pool: pictus.Project) -> None:
    turned = groups.page(pool, 0, 1, relation="turned").groups[0].others[0].evidence
    assert turned is not None
    assert turned.is_turned
    assert turned.inner_size == (48, 64), "on its side before it is turned"
    assert turned.transform == "translate(32 24) rotate(-90) scale(-1 1)"


def test_the_bits_that_differ_are_drawn_where_they_are() -> None:
    svg = groups.differing(bytes(48), b"\x80" + bytes(46) + b"\x01")
    assert "2 of 384 bits differ" in svg
    assert 'd="M0 0h1v1h-1zM33 15h1v1h-1z"' in svg, "the first bit of pHash, the last one of PDQ"


def test_bits_are_drawn_only_for_pictures_that_have_hashes(pool: pictus.Project, browser: TestClient) -> None:
    found = {one.side["image_id"]: one.evidence for group in groups.page(pool, 0, 9).groups for one in group.others}
    assert [image_id for image_id, evidence in found.items() if evidence and evidence.bits] == [B]
    assert browser.get("/clean/duplicates").text.count('class="bits"') == 1


words = st.sampled_from(["x", "y", "scale", "width", "height", "turn", "part", "mirrored"])
anything = st.recursive(
    st.none() | st.floats() | st.text() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(words, inner)
)


@given(anything)
def test_a_detail_of_any_shape_is_a_frame_within_the_picture_or_none(detail: object) -> None:
    found = groups.frame_of(groups.read_detail(json.dumps(detail)))
    if found is not None:
        x, y, width, height = found
        assert 0 <= x < 1
        assert 0 <= y < 1
        assert 0 < width <= 1 - x
        assert 0 < height <= 1 - y


def test_what_a_table_says_is_escaped(browser: TestClient) -> None:
    text = browser.get("/clean/duplicates").text
    assert NASTY not in text
    assert "&lt;script&gt;" in text


def test_the_pager_is_there_only_where_there_is_another_page(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'class="pager"' not in browser.get("/clean/duplicates").text
    monkeypatch.setattr(clean, "GROUPS_PAGE", 1)
    assert 'rel="next"' in browser.get("/clean/duplicates").text
    assert 'rel="prev"' in browser.get("/clean/duplicates?offset=1").text


def test_a_wrong_order_and_a_wrong_offset_are_told(browser: TestClient) -> None:
    assert browser.get("/clean/duplicates?order=colour").status_code == 400
    assert browser.get("/clean/duplicates?offset=-1").status_code == 400


def test_restoring_leads_back_to_the_same_page_of_groups(browser: TestClient) -> None:
    back = "/clean/duplicates?relation=near&order=largest&offset=0"
    answer = browser.post("/clean/restore", data={"image": B, "back": back}, headers={"origin": SITE})
    assert answer.headers["location"] == f"{back}#p-{B[:16]}"


def test_ten_thousand_groups_are_paged_within_a_second(project: pictus.Project) -> None:
    names = [f"{number:064x}" for number in range(20_000)]
    columns = {
        "image_id": names, "group_id": [names[number // 2 * 2] for number in range(20_000)],
        "is_keeper": [number % 2 == 0 for number in range(20_000)], "relation": ["near"] * 20_000,
        "distance": pa.array([number % 77 for number in range(20_000)], pa.int32()),
        "evidence_id": ["" if number % 2 == 0 else names[number - 1] for number in range(20_000)],
        "reason": [""] * 20_000, "similarity": [1 - number % 77 / 384 for number in range(20_000)],
        "detail": [""] * 20_000,
    }  # fmt: skip
    project.tables.replace("duplicates", pa.table(columns, schema=SCHEMAS["duplicates"]))
    groups.page(project, 0, 1)  # opens what is opened once
    started = time.perf_counter()
    found = groups.page(project, 5_000, 20)
    assert time.perf_counter() - started < 1
    assert (found.total, len(found.groups)) == (10_000, 20)
