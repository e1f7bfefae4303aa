"""Asked again: unchanged, changed, gone, withdrawn; and what becomes of the pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pictus import Project, clean, collect, overview, shards
from pictus.collect import drift

WriteList = Callable[..., Path]
MakeJpeg = Callable[..., bytes]


def fetch(project: Project, path: Path, **options: Any) -> Any:
    return collect.fetch(project, path, allow_host=("127.0.0.1",), rate=0, **options)


def test_the_kinds() -> None:
    assert drift.kind_of("unchanged", is_same=True) == "unchanged"
    assert drift.kind_of("ok", is_same=True) == "unchanged"
    assert drift.kind_of("ok", is_same=False) == "changed"
    assert drift.kind_of("http-410", is_same=False) == "gone"
    assert drift.kind_of("tdm-reserved", is_same=False) == "withdrawn"
    assert drift.kind_of("timeout", is_same=False) == "unanswered"
    assert drift.told({}) == ()


def test_a_refresh_tells_what_is_unchanged_changed_gone_withdrawn_and_unanswered(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    pictures = [make_jpeg(width=60, height=40, seed=number) for number in range(7)]
    for number in range(6):
        web.put(f"/{number}.jpg", pictures[number])
    web.pages["/late.jpg"] = lambda handler: handler.answer(404)
    path = write_list("url", *[web.url(f"/{number}.jpg") for number in range(6)], web.url("/late.jpg"))
    first = fetch(project, path)
    assert "refreshed" not in first.summary
    web.put("/1.jpg", pictures[6])  # other bytes
    web.put("/2.jpg", b"", 410)
    web.put("/3.jpg", pictures[3], X_Robots_Tag="noai")
    web.put("/4.jpg", b"<!doctype html><p>log in", 200)
    web.put("/robots.txt", b"User-agent: *\nDisallow: /5")
    outcome = fetch(project, path, refresh=True)
    assert outcome.summary["refreshed"] == {
        "unchanged": 1, "changed": 1, "gone": 1, "withdrawn": 2, "unanswered": 1,
    }  # fmt: skip
    told = "\n".join(outcome.problems)
    assert "2 addresses withdrawn by the owner" in told
    assert "pictus clean screen" in told
    assert "pictus clean restore" in told
    assert "1 address with other bytes than before" in told
    assert project.tables.count("images") == 7  # both pictures of the changed address are kept


@pytest.mark.parametrize("way", ["robots.txt", "robots.txt for AI", "header", "header of TDMRep", "tdmrep.json"])
def test_what_an_owner_withdraws_is_dropped_by_screen_and_comes_back_when_allowed_again(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg, way: str
) -> None:
    picture, other = make_jpeg(width=200, height=150, seed=1), make_jpeg(width=200, height=150, seed=2)

    def allow() -> None:
        web.pages.clear()
        web.put("/owl.jpg", picture, ETag='"1"')
        web.put("/other/jay.jpg", other)

    def withdraw() -> None:
        if way == "robots.txt":
            web.put("/robots.txt", b"User-agent: *\nDisallow: /owl")
        elif way == "robots.txt for AI":
            web.put("/robots.txt", b"User-agent: GPTBot\nDisallow: /owl")
        elif way == "header":
            web.put("/owl.jpg", picture, X_Robots_Tag="noai")
        elif way == "header of TDMRep":
            web.put("/owl.jpg", picture, tdm_reservation="1")
        else:
            rules = [{"location": "/owl*", "tdm-reservation": 1}]
            web.put("/.well-known/tdmrep.json", json.dumps(rules).encode())

    allow()
    path = write_list("url", web.url("/owl.jpg"), web.url("/other/jay.jpg"))
    assert fetch(project, path).summary["added"] == 2
    clean.check(project, workers=1)
    image_id = hashlib.sha256(picture).hexdigest()

    def verdict() -> tuple[str, str]:
        clean.screen(project)
        rows = project.tables.read("verdicts").to_pylist()
        return next((row["verdict"], row["rule"]) for row in rows if row["image_id"] == image_id)

    assert verdict() == ("keep", "")
    withdraw()
    assert fetch(project, path).summary["skipped"] == 2  # only a refresh asks again
    outcome = fetch(project, path, refresh=True)
    assert outcome.summary["refreshed"]["withdrawn"] == 1
    assert verdict() == ("drop", "opt-out")
    assert any("its owner does not want it used" in moment.why for moment in moments(project, image_id))
    allow()
    again = fetch(project, path, refresh=True)  # also what was withdrawn is asked again
    assert again.summary["refreshed"]["unchanged"] == 2
    assert verdict() == ("keep", "")


def test_a_changed_picture_is_a_new_one_and_the_old_one_says_so(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    old, new = (make_jpeg(width=60, height=40, seed=seed) for seed in (1, 2))
    web.put("/owl.jpg", old, ETag='"1"')
    path = write_list("url", web.url("/owl.jpg"))
    fetch(project, path)
    web.put("/owl.jpg", new, ETag='"2"')
    assert fetch(project, path, refresh=True).summary["refreshed"]["changed"] == 1
    stored = {}
    for row in project.tables.read("images").to_pylist():
        image_bytes = shards.read(project.shards_dir, row["shard"], row["offset"], row["size"])
        assert hashlib.sha256(image_bytes).hexdigest() == row["image_id"]
        stored[row["image_id"]] = image_bytes
    assert sorted(stored.values()) == sorted([old, new])
    latest = project.tables.read("fetches").to_pylist()[-1]
    old_id, new_id = (hashlib.sha256(one).hexdigest() for one in (old, new))
    assert (latest["image_id"], latest["etag"]) == (new_id, '"2"')
    assert any(f"gives another picture now: {new_id[:12]}" in moment.why for moment in moments(project, old_id))
    assert not any("another picture" in moment.why for moment in moments(project, new_id))
    web.put("/owl.jpg", b"", 404)
    assert fetch(project, path, refresh=True).summary["refreshed"]["gone"] == 1
    assert any("http-404" in moment.why for moment in moments(project, new_id))


def test_a_failure_in_between_forgets_neither_the_picture_nor_its_marks(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    web.put("/owl.jpg", make_jpeg(seed=1), ETag='"1"')
    path = write_list("url", web.url("/owl.jpg"))
    fetch(project, path)
    web.put("/owl.jpg", b"", 404)
    fetch(project, path, refresh=True)
    web.put("/owl.jpg", b"", 304, ETag='"1"')
    outcome = fetch(project, path, refresh=True)
    assert web.requests[-1].headers["if-none-match"] == '"1"'
    assert outcome.summary["refreshed"]["unchanged"] == 1
    assert project.tables.read("fetches").to_pylist()[-1]["image_id"] != ""


def moments(project: Project, image_id: str) -> list[Any]:
    return list(overview.show(project, image_id))
