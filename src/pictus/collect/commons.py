"""Wikimedia Commons: https://www.mediawiki.org/wiki/API:Search with prop=imageinfo.

An answer holds up to 50 files. `continue` is an object to be sent back whole; it may continue the search
(gsroffset) or what is told of the same files (iistart), then some files come without `imageinfo` and with it
in the next answer. Errors come with status 200 and an object `error`. A search ends at 10,000 files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from pictus.collect.bodies import retry_after_s
from pictus.collect.licences import licence_of
from pictus.collect.searches import SEARCHES, Ask, BusyError, Engine, Hit, Results, json_of, text_in
from pictus.errors import PictureError, clipped

ENDPOINT = "https://commons.wikimedia.org/w/api.php"

MAX_LAG_S = 5
"""Manual:Maxlag parameter: what programs that are in no hurry should send."""

_MIMES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/tiff"})
_ASKED = {
    "action": "query", "format": "json", "formatversion": "2", "maxlag": str(MAX_LAG_S),
    "generator": "search", "gsrnamespace": "6", "gsrlimit": "50",
    "prop": "imageinfo", "iiprop": "url|mime|size|extmetadata", "iiextmetadatalanguage": "en",
    "iiextmetadatafilter": "License|LicenseShortName|LicenseUrl|Artist|ObjectName",
}  # fmt: skip
_LATER = frozenset({"maxlag", "ratelimited", "cirrussearch-too-busy-error", "readonly"})
_END = "cirrussearch-offset-too-large"
_LONGEST_CURSOR = 2_000


def search(endpoint: str, query: str, language: str, cursor: str, ask: Ask) -> Results:  # noqa: ARG001
    """One page of files whose text has the words, in any language: Commons describes a file in several."""
    words = {"gsrsearch": f"filetype:bitmap {_without_commands(query)}"}
    going_on = json.loads(cursor) if cursor else {}
    answer = ask(f"{endpoint}?{urlencode(_ASKED | words | going_on)}")
    found = json_of(answer)
    if (error := found.get("error")) and _end_of(error, retry_after_s(answer.headers)):
        return Results(())
    result = found.get("query", {})
    pages = result.get("pages", []) if isinstance(result, dict) else []
    files = list(pages.values()) if isinstance(pages, dict) else pages  # formatversion=1: by page id
    if not isinstance(files, list):
        raise PictureError("bad-answer", f"query.pages is {clipped(files, 60)}")
    return Results(tuple(_hits(files)), _cursor(found.get("continue")))


def _end_of(error: object, asked_to_wait_s: float | None) -> bool:
    """Whether the error only means that there is no more."""
    code = text_in(error.get("code")) if isinstance(error, dict) else ""
    info = text_in(error.get("info")) if isinstance(error, dict) else clipped(error)
    if code == _END:
        return True
    if code in _LATER:
        raise BusyError(MAX_LAG_S if asked_to_wait_s is None else asked_to_wait_s, f"{code}: {info}")
    raise PictureError("bad-answer", f"{code}: {info}".strip(": "))


def _hits(files: list[Any]) -> Iterator[Hit]:
    for file in files:
        info = file.get("imageinfo") if isinstance(file, dict) else None
        one = info[0] if isinstance(info, list) and info and isinstance(info[0], dict) else {}
        address, mime = one.get("url"), one.get("mime", "image/jpeg")
        if not isinstance(address, str) or mime not in _MIMES:
            continue
        told = one.get("extmetadata")
        said = {
            key: value.get("value") for key, value in (told.items() if isinstance(told, dict) else ())
            if isinstance(value, dict)
        }  # fmt: skip
        yield Hit(
            address,
            page=text_in(one.get("descriptionurl")),
            licence=licence_of(*(text_in(said.get(key)) for key in ("License", "LicenseShortName", "LicenseUrl"))),
            author=text_in(said.get("Artist")),
            title=text_in(said.get("ObjectName")) or text_in(file.get("title")).removeprefix("File:"),
        )


def _cursor(going_on: object) -> str:
    """What to send back, as text; only plain values of names that the API uses."""
    if not isinstance(going_on, dict):
        return ""
    kept = {
        key: value for key, value in going_on.items()
        if key == "continue" or key.startswith(("gsr", "ii")) if isinstance(value, (str, int))
    }  # fmt: skip
    text = json.dumps(kept, sort_keys=True)
    return text if kept and len(text) <= _LONGEST_CURSOR else ""


def _without_commands(query: str) -> str:
    """The words without the signs that CirrusSearch takes for commands (-word, insource:, "…", ~, *)."""
    return " ".join("".join(" " if sign in '"~*?!:\\/[]{}()|' else sign for sign in query).replace(" -", " ").split())


SEARCHES.register("commons")(Engine(ENDPOINT, search, interval_s=1.0, needs_contact=True))
