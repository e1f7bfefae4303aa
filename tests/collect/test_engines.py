"""Wikimedia Commons and Openverse, on answers of their real shape with contents of our own."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pictus.collect import commons, openverse
from pictus.collect.addresses import parse_url
from pictus.collect.asking import Answer
from pictus.collect.searches import BusyError, Hit, Results
from pictus.errors import PictureError

FILE = "https://upload.example.org/wikipedia/commons/1/12/"


class Asked:
    """An `ask` that answers as told and notes what was asked."""

    def __init__(self, *answers: object, **headers: str) -> None:
        self._answers = [json.dumps(one).encode() if not isinstance(one, bytes) else one for one in answers]
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.asked: list[dict[str, str]] = []

    def __call__(self, address: str) -> Answer:
        self.asked.append({key: value[0] for key, value in parse_qs(urlsplit(address).query).items()})
        return Answer(parse_url(address), self._headers, self._answers.pop(0))


def commons_file(number: int, **changed: Any) -> dict[str, Any]:
    """One page of `query.pages` as formatversion=2 gives it."""
    info = {
        "size": 2_345_678, "width": 4_000, "height": 3_000, "url": f"{FILE}Owl_{number}.jpg",
        "descriptionurl": f"https://commons.example.org/wiki/File:Owl_{number}.jpg",
        "descriptionshorturl": f"https://commons.example.org/w/index.php?curid={number}", "mime": "image/jpeg",
        "extmetadata": {
            "ObjectName": {"value": f"Owl {number}", "source": "mediawiki-metadata", "hidden": ""},
            "Artist": {
                "value": '<a href="//commons.example.org/wiki/User:Ann%26Bo" title="User:Ann&amp;Bo">Ann &amp; Bo</a>',
                "source": "commons-desc-page",
            },
            "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons-desc-page", "hidden": ""},
            "LicenseUrl": {"value": "https://creativecommons.org/licenses/by-sa/4.0", "source": "commons-desc-page"},
            "License": {"value": "cc-by-sa-4.0", "source": "commons-templates", "hidden": ""},
        },
    } | changed  # fmt: skip
    return {
        "pageid": number, "ns": 6, "title": f"File:Owl {number}.jpg", "index": number, "imagerepository": "local",
        "imageinfo": [info],
    }  # fmt: skip


def search_commons(ask: Asked, query: str = "owl", cursor: str = "") -> Results:
    return commons.search("https://commons.example.org/w/api.php", query, "", cursor, ask)


def search_openverse(ask: Asked, cursor: str = "") -> Results:
    return openverse.search("https://openverse.example.org/v1/images/", "owl", "", cursor, ask)


class TestCommons:
    def test_a_page_of_files_with_what_is_said_of_them(self) -> None:
        ask = Asked(
            {"batchcomplete": True, "continue": {"gsroffset": 50, "continue": "gsroffset||"},
             "query": {"pages": [commons_file(1)]}},
            {"batchcomplete": True, "query": {"pages": [commons_file(2)]}},
        )  # fmt: skip
        first = search_commons(ask, "barn owl")
        page = "https://commons.example.org/wiki/File:Owl_1.jpg"
        assert first.hits == (Hit(f"{FILE}Owl_1.jpg", page, "CC-BY-SA-4.0", "Ann & Bo", "Owl 1"),)
        second = search_commons(ask, "barn owl", first.cursor)
        assert second.cursor == ""
        assert ask.asked[0]["gsrsearch"] == "filetype:bitmap barn owl"
        assert ask.asked[0]["gsrnamespace"] == "6"
        assert ask.asked[0]["maxlag"] == "5"
        assert "gsroffset" not in ask.asked[0]
        assert (ask.asked[1]["gsroffset"], ask.asked[1]["continue"]) == ("50", "gsroffset||")

    def test_files_told_of_in_the_next_answer_are_waited_for(self) -> None:
        bare = {"pageid": 1, "ns": 6, "title": "File:Owl 1.jpg", "index": 1}  # its imageinfo comes with iistart
        ask = Asked({"continue": {"iistart": "2009-01-01", "continue": "||"}, "query": {"pages": [bare]}})
        found = search_commons(ask)
        assert found.hits == ()
        assert json.loads(found.cursor) == {"iistart": "2009-01-01", "continue": "||"}

    def test_the_older_shape_by_page_id_is_read_too(self) -> None:
        ask = Asked({"batchcomplete": "", "query": {"pages": {"7": commons_file(7)}}})
        assert [hit.address for hit in search_commons(ask).hits] == [f"{FILE}Owl_7.jpg"]

    def test_missing_fields_and_other_kinds_of_file_cost_nothing(self) -> None:
        files: list[object] = [
            commons_file(1, mime="image/svg+xml"), commons_file(2, mime="application/pdf"),
            commons_file(3, extmetadata=[]),
            commons_file(4, extmetadata={"Artist": "text", "License": {"value": None}}), commons_file(5, url=None),
            {"pageid": 6, "missing": True}, {"imageinfo": []}, "nonsense", None,
        ]  # fmt: skip
        hits = search_commons(Asked({"query": {"pages": files}})).hits
        assert [(hit.address[-5], hit.licence, hit.author) for hit in hits] == [("3", "", ""), ("4", "", "")]
        assert hits[0].title == "Owl 3.jpg"

    def test_nothing_found_is_an_empty_page(self) -> None:
        assert search_commons(Asked({"batchcomplete": True})) == Results(())

    def test_a_lagging_database_asks_to_come_back_later(self) -> None:
        error = {"code": "maxlag", "info": "Waiting for 192.0.2.1: 6.2 seconds lagged.", "lag": 6.2, "type": "db"}
        with pytest.raises(BusyError, match="seconds lagged") as caught:
            search_commons(Asked({"error": error, "servedby": "mw1"}, retry_after="7"))
        assert caught.value.wait_s == 7.0
        with pytest.raises(BusyError) as caught:
            search_commons(Asked({"error": {"code": "ratelimited", "info": "slower"}}, retry_after="²"))
        assert caught.value.wait_s == commons.MAX_LAG_S

    def test_the_end_of_a_search_is_no_error(self) -> None:
        error = {"code": "cirrussearch-offset-too-large", "info": "Up to 10000 search results are supported"}
        assert search_commons(Asked({"error": error})) == Results(())

    @pytest.mark.parametrize(
        "answer",
        [
            {"error": {"code": "internal_api_error_DBQueryError", "info": "x"}}, {"error": "text"},
            {"query": {"pages": "text"}}, b"<!DOCTYPE html><html>Wikimedia Error</html>",
        ],
    )  # fmt: skip
    def test_what_is_no_answer_is_said(self, answer: object) -> None:
        with pytest.raises(PictureError) as caught:
            search_commons(Asked(answer))
        assert caught.value.cause == "bad-answer"

    def test_a_hostile_cursor_asks_for_nothing_else(self) -> None:
        ask = Asked({"continue": {"gsroffset": 50, "ii": {"a": 1}, "gsrx": "y" * 9_000}, "query": {}})
        assert search_commons(ask).cursor == ""  # longer than any cursor is
        ask = Asked({"continue": {"action": "delete", "gsroffset": 50, "continue": "a"}, "query": {}})
        assert json.loads(search_commons(ask).cursor) == {"continue": "a", "gsroffset": 50}
        assert search_commons(Asked({"continue": "text", "query": {}})).cursor == ""

    def test_signs_that_are_commands_to_the_search_are_taken_out(self) -> None:
        ask = Asked({})
        search_commons(ask, 'insource:"x" -owl C++ jack-o-lantern*')
        assert ask.asked[0]["gsrsearch"] == "filetype:bitmap insource x owl C++ jack-o-lantern"


def openverse_row(number: int, **changed: Any) -> dict[str, Any]:
    """One of `results` as /v1/images/ gives it."""
    return {
        "id": f"00000000-0000-0000-0000-{number:012d}", "title": f"Owl {number}", "indexed_on": "2020-01-01T00:00:00Z",
        "foreign_landing_url": f"https://photos.example.org/{number}", "url": f"https://live.example.org/{number}_b.jpg",
        "creator": "Ann", "creator_url": "https://photos.example.org/ann", "license": "by-sa", "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/2.0/", "provider": "flickr", "source": "flickr",
        "category": None, "filesize": None, "filetype": None, "tags": [{"name": "owl", "accuracy": None}],
        "attribution": "…", "fields_matched": ["title"], "mature": False, "height": 683, "width": 1024,
        "thumbnail": "https://openverse.example.org/t/", "detail_url": "https://openverse.example.org/d/",
        "related_url": "https://openverse.example.org/r/", "unstable__sensitivity": [],
    } | changed  # fmt: skip


def openverse_page(page: int, *rows: object, pages: object = 12) -> dict[str, Any]:
    return {"result_count": 240, "page_count": pages, "page_size": 20, "page": page, "results": list(rows)}


class TestOpenverse:
    def test_a_page_of_pictures_with_what_is_said_of_them(self) -> None:
        ask = Asked(openverse_page(1, openverse_row(1)), openverse_page(2, openverse_row(2)))
        first = search_openverse(ask)
        assert first.hits == (
            Hit("https://live.example.org/1_b.jpg", "https://photos.example.org/1", "CC-BY-SA-2.0", "Ann", "Owl 1"),
        )
        assert search_openverse(ask, first.cursor).hits[0].title == "Owl 2"
        assert ask.asked == [{"q": "owl", "page": "1", "page_size": "20"}, {"q": "owl", "page": "2", "page_size": "20"}]

    def test_it_is_never_asked_for_more_than_anybody_may_read(self) -> None:
        assert search_openverse(Asked(openverse_page(12, openverse_row(1), pages=500)), "12").cursor == ""
        assert search_openverse(Asked(openverse_page(1, openverse_row(1), pages=1))).cursor == ""
        assert search_openverse(Asked(openverse_page(1, openverse_row(1), pages="many"))).cursor == ""
        assert search_openverse(Asked(openverse_page(3))).cursor == ""

    def test_missing_fields_drawings_and_mature_pictures_cost_nothing(self) -> None:
        rows = [
            openverse_row(1, mature=True), openverse_row(2, filetype="svg"), openverse_row(3, url=None), "x", None,
            openverse_row(4, creator=None, title=None, license="cc0", license_version="1.0", license_url=None),
            {"url": "https://live.example.org/5.jpg"},
            openverse_row(6, license="pdm", license_url=None, license_version="1.0"),
        ]  # fmt: skip
        hits = search_openverse(Asked(openverse_page(1, *rows))).hits
        assert [(hit.licence, hit.author, hit.title) for hit in hits] == [
            ("CC0-1.0", "", ""), ("", "", ""), ("PDM", "Ann", "Owl 6"),
        ]  # fmt: skip

    @pytest.mark.parametrize("detail", ["Not found.", {"page_size": ["Value must be at most 20."]}])
    def test_an_error_is_told_in_its_own_words(self, detail: object) -> None:
        with pytest.raises(PictureError, match=r"Not found|at most 20") as caught:
            search_openverse(Asked({"detail": detail}))
        assert caught.value.cause == "bad-answer"
