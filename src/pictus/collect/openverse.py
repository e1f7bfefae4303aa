"""Openverse: https://api.openverse.org/v1/, pictures under open licences from many places.

Without a key a page has at most 20 results (more is answered 401) and a search ends after 240, one request a
second; `page_count` says how many pages there are. Errors are an object with `detail`, a text or an object.
Its terms of use forbid copying the catalogue: ask for what you need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from pictus.collect.licences import licence_of
from pictus.collect.searches import SEARCHES, Ask, Engine, Hit, Results, json_of, text_in
from pictus.errors import PictureError, clipped

ENDPOINT = "https://api.openverse.org/v1/images/"

PAGE_SIZE = 20
MAX_PAGES = 12  # 240 results: what anybody may read of one search

_FILES = frozenset({"", "jpg", "jpeg", "png", "gif", "webp", "tif", "tiff"})


def search(endpoint: str, query: str, language: str, cursor: str, ask: Ask) -> Results:  # noqa: ARG001
    """One page of pictures; nothing that is marked as mature."""
    page = int(cursor or "1")
    found = json_of(ask(f"{endpoint}?{urlencode({'q': query, 'page': page, 'page_size': PAGE_SIZE})}"))
    rows = found.get("results")
    if not isinstance(rows, list):
        raise PictureError("bad-answer", f"there are no results; found {clipped(found.get('detail', found), 200)}")
    pages = found.get("page_count")
    last = min(pages, MAX_PAGES) if isinstance(pages, int) else page
    return Results(tuple(_hits(rows)), str(page + 1) if rows and page < last else "")


def _hits(rows: list[Any]) -> Iterator[Hit]:
    for row in rows:
        if not isinstance(row, dict) or row.get("mature") is True or not isinstance(row.get("url"), str):
            continue
        if text_in(row.get("filetype")).lower() not in _FILES:
            continue
        named = f"{text_in(row.get('license'))} {text_in(row.get('license_version'))}".strip()
        yield Hit(
            row["url"],
            page=text_in(row.get("foreign_landing_url")),
            licence=licence_of(text_in(row.get("license_url")), named),
            author=text_in(row.get("creator")),
            title=text_in(row.get("title")),
        )


SEARCHES.register("openverse")(Engine(ENDPOINT, search, interval_s=1.0))
