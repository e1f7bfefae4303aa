from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

import pictus
from pictus import clean, collect
from pictus.concepts import load_taxonomy
from pictus.records import Label
from pictus.tables import table_of
from pictus.web.review import FATES, KEPT, RESTORED, Line, Review, Sheet, histogram, line_of, measure_columns
from pictus.web.server import build_app
from pictus.web.wall import Wall

SITE = "http://127.0.0.1"
LINE = Line("blurred", "sharpness", is_upper=False, line=30.0, origin="pool", edges=(1.0, 10.0, 100.0))

values = st.lists(st.floats(-1e6, 1e6, allow_nan=False) | st.integers(0, 4).map(float), min_size=1, max_size=40)


def sheet(found: list[float], *, is_upper: bool = False, fates: list[int] | None = None) -> Sheet:
    ordered = np.sort(np.array(found))[:: -1 if is_upper else 1].copy()
    kinds = np.array(fates or [KEPT] * len(found), np.uint8)
    before = np.zeros((len(FATES), len(found) + 1), np.uint32)
    for fate in range(len(FATES)):
        np.cumsum(kinds == fate, out=before[fate, 1:])
    return Sheet(ordered, np.arange(len(found), dtype=np.uint32), kinds, before, is_upper)


@given(values, st.booleans(), st.integers(0, 40))
def test_the_line_before_a_place_cuts_off_exactly_what_lies_before_it(
    found: list[float], is_upper: bool, place: int
) -> None:
    one = sheet(found, is_upper=is_upper)
    place = min(place, len(found))
    line = one.line_before(place)
    cut = sum(value > line if is_upper else value < line for value in found)
    assert cut == one.beyond(line), "as `clean screen` decides: under, or over, and never at the line"
    is_between_equals = 0 < place < len(found) and one.values[place] == one.values[place - 1]
    assert cut < place if is_between_equals else cut == place


@given(values, st.booleans(), st.integers(-50, 50), st.floats(-10, 10))
def test_a_moved_line_goes_the_way_it_was_sent_and_never_out_of_the_pool(
    found: list[float], is_upper: bool, by: int, start: float
) -> None:
    one = sheet(found, is_upper=is_upper)
    before = one.beyond(start)
    after = one.beyond(one.moved(start, by))
    if by > 0:
        assert after > before or before == len(found)
    elif by < 0:
        assert after < before or before == 0
    else:
        assert after == before


def test_a_sheet_takes_29_bytes_a_picture(pool: pictus.Project) -> None:
    found = Review(pool, Wall(pool)).sheet(LINE)
    count = len(found.values)
    assert count == 12
    parts = (found.values, found.rows, found.fates, found.before)
    assert sum(part.nbytes for part in parts) == 29 * count + 4 * len(FATES)


def test_a_line_is_a_number_that_can_be_typed() -> None:
    assert sheet([1.0, 28.123456, 31.987654, 99.0]).line_before(2) == 30
    assert sheet([0.5101, 0.5109, 3.0]).line_before(1) == 0.5105
    assert sheet([5, 5, 5, 9]).line_before(3) == 7
    assert sheet([5, 5, 5, 9]).line_before(2) == 5, "among equal ones it stays before the first"


def test_counts_tell_what_changes_and_what_stays() -> None:
    fates = [1, 1, 2, 3, 0, 0]  # dropped by it, dropped by it, by another rule, restored, kept, kept
    found = sheet([1, 2, 3, 4, 5, 6], fates=fates)
    counts = found.counts(5.5, 2.5, is_off=False)
    assert counts == {
        "beyond": 5, "by_it": 2, "dropped": 4, "change": 2, "newly": 1, "elsewhere": 1, "restored": 1, "back": 0,
        "total": 6,
    }  # fmt: skip
    assert found.counts(1.5, 2.5, is_off=False)["back"] == 1
    assert found.counts(5.5, 2.5, is_off=True)["change"] == 4, "a rule that is off drops nothing now"
    assert FATES[RESTORED] == "restored"


def test_nothing_measured_has_a_line_and_counts_all_the_same() -> None:
    empty = sheet([])
    assert (empty.line_before(3), empty.moved(7.0, 2), empty.counts(7.0, 7.0, is_off=False)["total"]) == (0.0, 7.0, 0)
    assert histogram(empty, LINE) == ([], [])


def test_bins_hold_every_picture_and_the_line() -> None:
    edges, counts = histogram(sheet([3.0, 30.0, 300.0]), LINE)
    assert sum(counts) == 3
    assert math.isclose(edges[1] / edges[0], edges[-1] / edges[-2]), "a log scale where the rule has one"
    far = LINE._replace(line=5000.0, edges=(0.0, 1.0, 2.0))
    assert histogram(sheet([3.0]), far)[0][-1] >= 5000


def test_a_measure_is_found_among_the_columns_or_not_at_all() -> None:
    assert measure_columns("short side") == ("width", "height")
    assert measure_columns("sharpness") == ("sharpness",)
    assert measure_columns("image_id") == measure_columns("no such thing") == ()


def test_a_move_over_a_million_pictures_takes_well_under_a_tenth_of_a_second() -> None:
    million = sheet(list(np.random.default_rng(1).lognormal(6, 1, 1_000_000)))
    started = time.perf_counter()
    line = 30.0
    for _ in range(20):
        line = million.moved(line, 1)
        million.counts(line, 30.0, is_off=False)
    assert (time.perf_counter() - started) / 20 < 0.05


@pytest.fixture
def pool(
    project: pictus.Project, make_jpeg: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> pictus.Project:
    """Twelve screened pictures of sides 60, 65 … 115, two classes by folder."""
    from pictus import taxonomy

    folder = tmp_path_factory.mktemp("in")
    for index in range(12):
        place = folder / ("owl" if index % 2 else "cup")
        place.mkdir(exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(160, 60 + 5 * index, seed=index))
    taxonomy.import_(project, folders=folder)
    collect.add(project, (folder,), by_folder=True)
    clean.check(project)
    clean.screen(project)
    return project


@pytest.fixture
def browser(pool: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(pool), base_url=SITE, follow_redirects=False) as client:
        yield client


def test_the_wall_of_a_rule_goes_from_the_worst_to_the_best(browser: TestClient) -> None:
    found = browser.get("/wall/clean/tiny").json()
    sides = [row[3] for row in found["pictures"]]
    assert sides == [60 + 5 * index for index in range(12)]
    assert found["total"] == 12
    part = browser.get("/wall/clean/tiny", params={"offset": 10, "count": 5}).json()
    assert [row[3] for row in part["pictures"]] == [110, 115]
    assert browser.get("/wall/clean/tiny", params={"offset": 99}).json()["pictures"] == []


def test_a_line_says_what_it_drops_and_where_it_goes_by_pictures(browser: TestClient) -> None:
    found = browser.get("/wall/clean/tiny/line", params={"line": 81}).json()
    assert (found["dropped"], found["change"], found["newly"]) == (5, 5, 5)
    moved = browser.get("/wall/clean/tiny/line", params={"line": 81, "by": 3}).json()
    assert moved["dropped"] == 8
    assert browser.get("/wall/clean/tiny/line", params={"line": 81, "by": -99}).json()["dropped"] == 0
    assert browser.get("/wall/clean/tiny/line", params={"line": 81, "by": 99}).json()["dropped"] == 12


@pytest.mark.parametrize("asked", [{"line": "nan"}, {"line": "x"}, {"line": "1", "by": "1.5"}, {"line": "inf"}])
def test_what_is_no_line_is_told_as_json(browser: TestClient, asked: dict[str, str]) -> None:
    answer = browser.get("/wall/clean/tiny/line", params=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["what"]


def test_within_a_concept_only_its_pictures_count(browser: TestClient) -> None:
    assert browser.get("/wall/clean/tiny", params={"concept": "owl"}).json()["total"] == 6
    text = browser.get("/clean/tiny", params={"concept": "owl"}).text
    assert 'data-total="6"' in text
    assert browser.get("/clean/tiny", params={"concept": "dragon"}).status_code == 400


def test_an_accepted_line_writes_verdicts_and_keeps_the_other_lines(browser: TestClient, pool: pictus.Project) -> None:
    clean.screen(pool, line=("dark=1", "odd-aspect=off"))
    promised = browser.get("/wall/clean/tiny/line", params={"line": 81}).json()["dropped"]
    answer = browser.post("/clean/tiny/line", data={"line": "81", "back": "/clean/tiny"}, headers={"origin": SITE})
    assert (answer.status_code, answer.headers["location"]) == (303, "/clean/tiny")
    dropped = pool.tables.read("verdicts", ["rule", "threshold"], where="verdict = 'drop'").to_pylist()
    assert dropped == [{"rule": "tiny", "threshold": 81.0}] * promised
    lines = {line["rule"]: line for line in pool.journal.events(event="pictures_screened", limit=1)[0].data["lines"]}
    assert (lines["dark"]["line"], lines["dark"]["origin"], lines["odd-aspect"]["origin"]) == (1.0, "option", "off")
    text = browser.get("/clean/tiny").text
    assert "pictus clean screen <span" in text, "the other lines hold without being typed"
    assert f"set by you; {promised} dropped by it" in text
    assert f"{promised} beyond the line" in text
    assert "Back to the pool’s own line" in text


def test_undo_gives_the_rule_back_to_the_pool(browser: TestClient, pool: pictus.Project) -> None:
    clean.screen(pool, line=("tiny=81", "dark=1"))
    browser.post("/clean/tiny/line", data={"line": "", "back": "/clean/tiny"}, headers={"origin": SITE})
    assert pool.tables.count("verdicts", "verdict = 'drop'") == 0
    lines = {line["rule"]: line for line in pool.journal.events(event="pictures_screened", limit=1)[0].data["lines"]}
    assert lines["tiny"]["origin"] in ("pool", "guard")
    assert lines["dark"]["origin"] == "option"


def test_a_rule_is_switched_off_and_its_line_still_shown(browser: TestClient, pool: pictus.Project) -> None:
    browser.post("/clean/tiny/line", data={"line": "off"}, headers={"origin": SITE})
    text = browser.get("/clean/tiny").text
    assert "switched off" in text
    assert pool.tables.count("verdicts", "verdict = 'drop'") == 0


def test_no_other_site_and_nobody_else_moves_a_line(browser: TestClient, pool: pictus.Project) -> None:
    for origin in ("https://evil.example", "null"):
        assert browser.post("/clean/tiny/line", data={"line": "81"}, headers={"origin": origin}).status_code == 403
    with TestClient(build_app(pool, frozenset()), base_url="http://example.org") as client:
        assert client.post("/clean/tiny/line", data={"line": "81"}).status_code in (404, 405)
        assert client.get("/wall/clean/tiny/preview", params={"line": "81"}).status_code == 404
        text = client.get("/clean/tiny").text
    assert '<form id="accept-form"' not in text
    assert "--line tiny=" in text
    assert pool.tables.count("verdicts", "verdict = 'drop'") == 0


@pytest.mark.parametrize("line", ["nan", "1e999", "<b>", "12; dark=1"])
def test_a_line_that_is_no_number_changes_nothing(browser: TestClient, pool: pictus.Project, line: str) -> None:
    before = pool.tables.version("verdicts")
    answer = browser.post("/clean/tiny/line", data={"line": line}, headers={"origin": SITE})
    assert answer.status_code == 400
    assert "<b>'" not in answer.text
    assert pool.tables.version("verdicts") == before


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/clean/tiny\r\nx: y", "/clean/../api"])
def test_the_way_back_from_a_line_stays_here(browser: TestClient, back: str) -> None:
    answer = browser.post("/clean/tiny/line", data={"line": "61", "back": back}, headers={"origin": SITE})
    assert answer.headers["location"] == "/clean/tiny"


def test_a_rule_that_was_never_drawn_is_not_there(browser: TestClient, project: pictus.Project) -> None:
    assert browser.get("/clean/nothing").status_code == 404
    assert browser.get("/wall/clean/nothing").json()["error"]["fix"]
    assert browser.post("/clean/nothing/line", data={"line": "1"}, headers={"origin": SITE}).status_code == 404


def test_a_restored_picture_is_not_counted_as_dropped(browser: TestClient, pool: pictus.Project) -> None:
    clean.screen(pool, line=("tiny=81",))
    first = browser.get("/wall/clean/tiny").json()["pictures"][0]
    clean.restore(pool, (first[0],))
    found = browser.get("/wall/clean/tiny/line", params={"line": 81}).json()
    assert (found["beyond"], found["dropped"], found["restored"], found["change"]) == (5, 4, 1, 0)
    assert browser.get("/wall/clean/tiny").json()["pictures"][0][4] == "restored"


def test_a_line_of_the_journal_is_read_back() -> None:
    written = {"rule": "dark", "measure": "brightness", "is_upper": False, "line": 8, "origin": "pool", "edges": [0, 1]}
    assert line_of(written) == Line("dark", "brightness", False, 8.0, "pool", (0.0, 1.0))




def test_a_line_of_one_concept_is_accepted_for_its_pictures_alone(browser: TestClient, pool: pictus.Project) -> None:
    promised = browser.get("/wall/clean/tiny/line", params={"line": 81, "concept": "owl"}).json()["dropped"]
    assert promised == 2, "65 and 75 px"
    sent = {"line": "81", "concept": "owl", "back": "/clean/tiny?concept=owl"}
    answer = browser.post("/clean/tiny/line", data=sent, headers={"origin": SITE})
    assert answer.headers["location"] == "/clean/tiny?concept=owl"
    assert pool.tables.count("verdicts", "verdict = 'drop' AND rule = 'tiny'") == promised
    own = browser.get("/clean/tiny", params={"concept": "owl"}).text
    assert "tiny: short side under" in own
    assert "set by you" in own
    whole = browser.get("/clean/tiny").text
    assert 'data-total="6"' in whole, "those with a line of their own are left out of the pool's"
    assert "with lines of their own" in whole
    browser.post("/clean/dark/line", data={"line": "1"}, headers={"origin": SITE})
    assert pool.tables.count("verdicts", "verdict = 'drop' AND rule = 'tiny'") == promised, "another line keeps it"
    browser.post("/clean/tiny/line", data={"line": "", "concept": "owl"}, headers={"origin": SITE})
    assert pool.tables.count("verdicts", "verdict = 'drop' AND rule = 'tiny'") == 0


def test_all_rules_together_are_asked_before_a_line_is_accepted(browser: TestClient, pool: pictus.Project) -> None:
    found = browser.get("/wall/clean/tiny/preview", params={"line": 81}).json()
    assert (found["newly_dropped"], found["back"]) == (5, 0)
    assert pool.tables.count("verdicts", "verdict = 'drop'") == 0, "nothing is written"


def test_a_flag_marks_and_does_not_drop(browser: TestClient, pool: pictus.Project) -> None:
    answer = browser.post("/clean/compressed/line", data={"line": "101"}, headers={"origin": SITE})
    assert answer.status_code == 303
    text = browser.get("/clean/compressed").text
    assert "12 flagged" in text
    assert "it is kept" in text
    assert "JPEG quality under" in text
    assert pool.tables.count("verdicts", "verdict = 'drop'") == 0


def test_a_settled_label_goes_before_a_claim_on_the_page_and_in_the_screen(
    pool: pictus.Project, browser: TestClient
) -> None:
    rows = pool.tables.read("sources", ["image_id", "concept_id"]).sort_by("image_id").to_pylist()
    owl, cup = (load_taxonomy(pool).resolve(name) for name in ("owl", "cup"))
    owls = [row["image_id"] for row in rows if row["concept_id"] == owl]
    said = [(owls[0], cup, "accepted"), (owls[1], cup, "accepted"), (owls[2], cup, "rejected")]
    labels = [Label(one, concept, 0.9, 3, status, "x", "2026-01-01T00:00:00Z") for one, concept, status in said]
    pool.tables.append("labels", table_of("labels", labels))
    asked = {"concept": "owl", "line": "100000"}
    page = browser.get("/wall/clean/blurred/line", params=asked).json()
    preview = clean.preview(pool, line=("owl:blurred=100000",))
    assert page["beyond"] == page["total"] == preview.summary["newly_dropped"] == 4
    assert {row.image_id for row in preview} == set(owls[2:])
