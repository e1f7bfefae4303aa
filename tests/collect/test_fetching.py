"""What a fetch asks for and what it makes of the answers: the candidates of a search, and pictures made small."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pictus import Project, collect, shards
from pictus.collect.fetcher import Limits
from pictus.collect.fetching import limits_of
from pictus.collect.schedule import Schedule
from pictus.errors import UserError
from pictus.pixels import sniff
from pictus.tables import SCHEMAS

WriteList = Callable[..., Path]
MakeJpeg = Callable[..., bytes]


def fetch(project: Project, path: Path | None = None, **options: Any) -> Any:
    return collect.fetch(project, path, allow_host=("127.0.0.1",), rate=0, **options)


def found(address: str, **said: str) -> dict[str, str]:
    return dict.fromkeys(SCHEMAS["candidates"].names, "") | {"address": address} | said


def test_without_a_list_the_candidates_of_a_search_are_fetched(birds: Project, web: Any, make_jpeg: MakeJpeg) -> None:
    for number in range(2):
        web.put(f"/{number}.jpg", make_jpeg(width=60, height=40, seed=number))
    rows = [
        found(web.url("/0.jpg"), concept_id="n01621127", query="owl", licence="CC-BY-4.0", author="A. Person"),
        found(web.url("/0.jpg"), concept_id="n01580077", query="jay"),
        found(web.url("/1.jpg"), concept_id="n01580077", query="jay"),
    ]
    birds.tables.append("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))
    outcome = fetch(birds)
    assert (outcome.summary["listed"], outcome.summary["added"]) == (2, 2)
    assert "1 candidate of 1 class had been found for another class" in outcome.problems[-1]
    sources = {row["address"]: row for row in birds.tables.read("sources").to_pylist()}
    said = [sources[web.url("/0.jpg")][name] for name in ("concept_id", "query", "licence", "author")]
    assert said == ["n01621127", "owl", "CC-BY-4.0", "A. Person"]
    assert fetch(birds).summary["skipped"] == 2


def test_without_list_and_candidates_it_is_told_what_to_type(project: Project) -> None:
    with pytest.raises(UserError, match="no candidate has been found") as caught:
        fetch(project)
    assert "pictus collect find" in caught.value.fix


def test_pictures_can_be_made_small_on_the_way(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    small = make_jpeg(width=64, height=48)
    pages = {"/big.jpg": make_jpeg(width=400, height=300), "/small.jpg": small, "/broken.jpg": b"\xff\xd8 no picture"}
    for path, body in pages.items():
        web.put(path, body)
    outcome = fetch(project, write_list("url", *[web.url(path) for path in pages]), resize=64)
    attempts = {row["address"].rpartition("/")[2]: row for row in project.tables.read("fetches").to_pylist()}
    assert (attempts["big.jpg"]["cause"], attempts["big.jpg"]["detail"]) == ("ok", "resized from 400x300")
    assert (attempts["small.jpg"]["cause"], attempts["small.jpg"]["detail"]) == ("ok", "")
    assert attempts["broken.jpg"]["cause"] in {"damaged", "truncated"}
    assert outcome.summary["added"] == 2
    for row in project.tables.read("images").to_pylist():
        image_bytes = shards.read(project.shards_dir, row["shard"], row["offset"], row["size"])
        assert min(sniff(image_bytes).upright) in {64, 48}
        assert (row["width"], row["height"]) == sniff(image_bytes).upright


def test_a_web_page_and_a_bomb_are_not_read_to_their_ends(project: Project, web: Any, write_list: WriteList) -> None:
    """Their first bytes say enough; the rest, which never comes, is not waited for."""

    def begins(head: bytes) -> Callable[[Any], None]:
        def page(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "9000000")
            handler.end_headers()
            handler.wfile.write(head)
            handler.stall()

        return page

    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(40)
    web.pages["/page"] = begins(b"<!doctype html><html><head><title>Not found</title>")
    web.pages["/bomb"] = begins(png)
    started = time.monotonic()
    fetch(project, write_list("url", web.url("/page"), web.url("/bomb")))
    assert time.monotonic() - started < 5
    causes = {row["address"].rpartition("/")[2]: row["cause"] for row in project.tables.read("fetches").to_pylist()}
    assert causes == {"page": "not-an-image", "bomb": "too-many-pixels"}


def test_a_picture_that_changes_between_tries_is_what_came_whole(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try breaks off in the middle of one picture; the second brings another whole."""
    monkeypatch.setattr("pictus.collect.steps.limits_of", lambda _: Limits(interval_s=0.0, back_off_s=0.01))
    first, second = make_jpeg(width=90, height=60, seed=1), make_jpeg(width=90, height=60, seed=2)
    tries = []

    def page(handler: Any) -> None:
        tries.append(1)
        if len(tries) > 1:
            handler.answer(200, second, ETag='"2"')
        else:
            handler.answer(200, first[: len(first) // 2], Content_Length=str(len(first)), ETag='"1"')
            handler.close_connection = True

    web.pages["/owl.jpg"] = page
    assert fetch(project, write_list("url", web.url("/owl.jpg"))).summary["added"] == 1
    (picture,) = project.tables.read("images").to_pylist()
    assert shards.read(project.shards_dir, picture["shard"], picture["offset"], picture["size"]) == second
    (attempt,) = project.tables.read("fetches").to_pylist()
    assert (attempt["tries"], attempt["etag"]) == (2, '"2"')


def test_a_robots_txt_of_10_mb_costs_its_first_half_megabyte(project: Project, web: Any, write_list: WriteList) -> None:
    line = b"Disallow: /" + b"x" * 1_000 + b"\n"
    web.put("/robots.txt", b"User-agent: *\nDisallow: /private\n" + line * 10_000)
    started = time.monotonic()
    fetch(project, write_list("url", web.url("/private/x"), web.url("/open")))
    assert time.monotonic() - started < 10
    causes = {row["address"].rpartition("/")[2]: row["cause"] for row in project.tables.read("fetches").to_pylist()}
    assert causes == {"x": "robots", "open": "http-404"}


def test_a_hundred_thousand_addresses_that_robots_txt_forbids_are_told_soon(
    project: Project, web: Any, write_list: WriteList
) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /")
    count = 20_000  # a fifth, for the suite's sake: what is looked at is that the time grows with the number only
    addresses = [web.url(f"/{number}") for number in range(count)]
    started = time.process_time()
    summary = fetch(project, write_list("url", *addresses)).summary
    assert summary["causes"] == {"robots": count}
    assert web.asked() == []
    assert time.process_time() - started < 30  # about 3 s


def test_a_negative_size_is_told(project: Project, write_list: WriteList) -> None:
    with pytest.raises(UserError, match="--resize -1 is negative"):
        fetch(project, write_list("url"), resize=-1)


def test_there_are_no_more_connections_than_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    wanted: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: wanted.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 1_048_576))
    assert limits_of(5.0).connections == Limits.connections
    assert wanted == [(Limits.connections + 512 + 256, 1_048_576)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 1_024))
    assert limits_of(0).connections == 256


def test_a_hundred_thousand_addresses_of_one_host_are_scheduled_at_once() -> None:
    started = time.process_time()
    schedule: Schedule[int] = Schedule(4, 0.0)
    for number in range(100_000):
        schedule.add("a", number, number)
    taken = 0
    while schedule.open:
        assert schedule.take(0.0) == ("a", taken)
        schedule.done("a")
        taken += 1
    assert taken == 100_000
    assert time.process_time() - started < 10  # about 0.5 s; quadratic time would be minutes
