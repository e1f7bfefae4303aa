"""What a fetch asks for and what it makes of the answers: the candidates of a search, and pictures made small."""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

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


def test_a_picture_that_cannot_be_made_small_ends_alone(
    project: Project, web: Any, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    strip = io.BytesIO()
    Image.new("L", (300, 80_000)).save(strip, "PNG")  # 256 x 68,267 once small, and a JPEG has 65,500 at most
    web.put("/strip.png", strip.getvalue())
    web.put("/owl.jpg", make_jpeg(width=400, height=300))
    path = write_list("url", web.url("/strip.png"), web.url("/owl.jpg"))
    fetch(project, path, resize=256)
    causes = {row["address"].rpartition("/")[2]: row["cause"] for row in project.tables.read("fetches").to_pylist()}
    assert causes == {"strip.png": "too-many-pixels", "owl.jpg": "ok"}


@pytest.mark.parametrize("where", ["pictus.collect.fetching.made_small", "pictus.collect.intake.checked_header"])
def test_a_bug_met_by_one_picture_costs_the_others_nothing(
    birds: Project, web: Any, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    odd = make_jpeg(width=90, height=70, seed=1)
    module, _, name = where.rpartition(".")
    real = getattr(importlib.import_module(module), name)

    def stumbles(image_bytes: bytes, *rest: Any) -> Any:
        if image_bytes == odd:
            raise ZeroDivisionError("odd")
        return real(image_bytes, *rest)

    monkeypatch.setattr(where, stumbles)
    web.put("/odd.jpg", odd)
    web.put("/owl.jpg", make_jpeg(width=40, height=30))
    rows = [found(web.url(path)) for path in ("/odd.jpg", "/owl.jpg")]
    birds.tables.append("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))
    fetch(birds, resize=200)
    ends = {row["address"].rpartition("/")[2]: row for row in birds.tables.read("fetches").to_pylist()}
    assert {name: row["cause"] for name, row in ends.items()} == {"odd.jpg": "error", "owl.jpg": "ok"}
    assert ends["odd.jpg"]["detail"] == "ZeroDivisionError: odd"


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


def test_addresses_that_robots_txt_forbids_cost_time_in_proportion_to_their_number(
    project: Project, web: Any, write_list: WriteList
) -> None:
    web.put("/robots.txt", b"User-agent: *\nDisallow: /")

    def seconds(count: int) -> float:
        addresses = [web.url(f"/{count}/{number}") for number in range(count)]
        path = write_list("url", *addresses)
        started = time.process_time()
        assert fetch(project, path).summary["causes"] == {"robots": count}
        return time.process_time() - started

    seconds(100)  # imports, tables
    few, many = seconds(4_000), seconds(16_000)
    assert web.asked() == []
    assert many / few < 8  # four times as many take four times as long, and in quadratic time sixteen times


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


def test_addresses_of_one_host_are_scheduled_in_time_in_proportion_to_their_number() -> None:
    def seconds(count: int) -> float:
        schedule: Schedule[int] = Schedule(4, 0.0)
        started = time.process_time()
        for number in range(count):
            schedule.add("a", number, number)
        taken = 0
        while schedule.open:
            assert schedule.take(0.0) == ("a", taken)
            schedule.done("a")
            taken += 1
        assert taken == count
        return time.process_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (20_000, 80_000))
    assert many / few < 8  # four times as many; in quadratic time sixteen times as long
