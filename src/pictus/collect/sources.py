"""Where pictures come from: one registered iterator for each kind of place, and which of them a place is read by.

A third party adds one by an entry point of the group `pictus.sources` that leads to a Source (docs/collect.md).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pictus import archives
from pictus.collect import buckets, parquets, videos
from pictus.collect.found import Found, LookIn, Said
from pictus.collect.members import look_in_archive
from pictus.collect.places import look_at_file, look_in_folder, only
from pictus.errors import UserError, clipped
from pictus.registry import Registry

__all__ = ["SOURCES", "Chosen", "Found", "LookIn", "Said", "Source", "chosen"]

_LIST = re.compile(r"\.(csv|tsv|jsonl|ndjson)(\.gz)?$", re.IGNORECASE)
"""Endings that no picture has."""


@dataclass(frozen=True)
class Source:
    """One kind of place. `takes`: whether a place, as it was typed, is of this kind; nothing is read for that.

    `how`: what may be typed behind its name, in a few words; "" when nothing may.
    """

    takes: Callable[[str], bool]
    look_in: LookIn
    how: str = ""
    is_counted: bool = False  # whether how many pictures there are is known without their bytes


class Chosen(NamedTuple):
    """One place and the source that reads it."""

    place: str
    name: str
    source: Source
    how: str

    def look_in(self, *, with_bytes: bool) -> Iterator[Found]:
        """What the source finds there."""
        return self.source.look_in(self.place, how=self.how, with_bytes=with_bytes)


def chosen(places: Iterable[str], forced: str = "") -> list[Chosen]:
    """The source for each place: the one that is `forced` (NAME or NAME:HOW), else what the place is.

    Files and folders go before plugins; an address that nobody else takes is a store, a file one picture. UserError
    for places that do not exist and that no source takes, all at once; for a source that does not exist, and a HOW
    where none may be typed.
    """
    name, _, how = forced.partition(":")
    source = _loaded(name) if name else None
    if source and how and not source.how:
        raise UserError(f"The source {name} takes nothing behind its name, found {clipped(how, 40)}.", fix=name)
    found: list[Chosen] = []
    missing: list[str] = []
    for given in dict.fromkeys(places):
        path = Path(given).expanduser()
        is_here = os.path.exists(path)  # noqa: PTH110  False for a name that no disk could hold
        place = str(path.resolve()) if is_here else given
        if source and (is_here or name not in _OF_FILES):
            found.append(Chosen(place, name, source, how))
        elif not source and (kind := _kind_of(place)):
            found.append(Chosen(place, kind, _loaded(kind), ""))
        else:
            missing.append(given)
    if lists := [one.place for one in found if one.name == "file" and not source and _LIST.search(one.place)]:
        what = f"{clipped(lists[0], 200)} is a list, not a picture."
        raise UserError(what, fix=f"pictus collect fetch {shlex.quote(lists[0])}    fetches the addresses in it")
    if web := [place for place in missing if place.lower().startswith(("http://", "https://"))]:
        what = f"{clipped(web[0], 200)} is an address: those are fetched, politely, from a list."
        raise UserError(
            what, fix=f"a CSV file with the column url, then    pictus collect fetch LIST.csv    or, for the pictures"
            f" of a web page:    pictus collect find {shlex.quote(web[0][:500])}"
        )  # fmt: skip
    if missing:
        raise UserError(f"There is no file or folder {', '.join(missing)}.", fix="check the spelling")
    return list({one.place: one for one in found}.values())


def _kind_of(place: str) -> str:
    """The name of the first source that takes a place, "" for none."""
    plugins = (name for name in SOURCES.names() if name not in {*_FIRST, *_LAST})
    return next((name for name in (*_FIRST, *plugins, *_LAST) if _loaded(name).takes(place)), "")


def _loaded(name: str) -> Source:
    source: object = SOURCES.get(name)
    if not isinstance(source, Source):
        what = f"The source {name} is a {type(source).__name__}, not a pictus.collect.sources.Source."
        raise UserError(what, fix="mend or uninstall the package that brings it")
    return source


def _is_file(place: str) -> bool:
    return os.path.isfile(place)  # noqa: PTH113  False for a name that no disk could hold


def _look_in_tables(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:
    return only(
        parquets.is_table, lambda path: parquets.look_in_table(path, how, with_bytes=with_bytes), Path(place)
    )


def _look_in_videos(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:
    videos.interval_s(how)  # a wrong one is told before anything else happens
    return only(videos.is_video, lambda path: videos.look_in_video(path, how, with_bytes=with_bytes), Path(place))


def _look_in_archives(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:
    return only(
        archives.is_archive, lambda path: look_in_archive(str(path), how=how, with_bytes=with_bytes), Path(place)
    )


SOURCES: Registry[Source] = Registry("source", "pictus.sources")
SOURCES.register("folder")(Source(os.path.isdir, look_in_folder, is_counted=True))
SOURCES.register("archive")(
    Source(lambda place: _is_file(place) and archives.is_archive(place), _look_in_archives)
)
SOURCES.register("parquet")(
    Source(lambda place: _is_file(place) and parquets.is_table(place), _look_in_tables, how="the column of pictures")
)
SOURCES.register("video")(
    Source(lambda place: _is_file(place) and videos.is_video(place), _look_in_videos, how="2s, 500ms, scene")
)
SOURCES.register("bucket")(Source(buckets.is_bucket, buckets.look_in_bucket))
SOURCES.register("file")(Source(_is_file, look_at_file, is_counted=True))

_FIRST = ("folder", "archive", "parquet", "video")
_LAST = ("bucket", "file")
_OF_FILES = frozenset({*_FIRST, "file"})
