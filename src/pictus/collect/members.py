"""Pictures in archives, with what the members that share their key say of them (WebDataset, img2dataset)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pictus import archives
from pictus.archives import MAX_BESIDE_BYTES, Entry
from pictus.collect.found import Found
from pictus.collect.sidecars import CLASS_NAMES, ENDINGS, names_in, spoken

_WAITING = 8
"""Pictures of one key that wait for what follows them: a sample has one or two, and each may have 64 MiB."""


def look_in_archive(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:  # noqa: ARG001  nothing to choose
    """The pictures of one tar or zip file."""
    path = Path(place)
    address, own_name = stored(place), archives.stem(path.name)
    try:
        with path.open("rb") as file:
            names = class_names_beside(path) if with_bytes else ()
            yield from in_archive(file, address, own_name, with_bytes=with_bytes, class_names=names)
    except OSError as error:
        yield Found(address, "archive", own_name, b"", "unreadable", error.strerror or str(error))


def in_archive(
    file: BinaryIO, address: str, own_name: str, *, with_bytes: bool, class_names: Sequence[str] = ()
) -> Iterator[Found]:  # fmt: skip
    """The pictures of an open archive, in its order, each told apart as `address!/member`."""
    sample = _Sample(address, own_name, class_names)
    for entry in archives.entries(file, with_bytes=with_bytes, beside=ENDINGS):
        yield from sample.take(entry)
    yield from sample.end()


def class_names_beside(path: Path) -> tuple[str, ...]:
    """The names of numbered classes, where a file beside the archive or table gives them."""
    for name in CLASS_NAMES:
        try:
            with (path.parent / name).open("rb") as file:
                return names_in(file.read(MAX_BESIDE_BYTES).decode("utf-8", "replace"))
        except OSError:  # there is none, as beside most
            continue
    return ()


def stored(path: str | Path) -> str:
    """A path as text that can be stored, undecodable bytes in hexadecimal."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class _Sample:
    """The members under one key, which stand together: a WebDataset is written so, and a zip is read so."""

    def __init__(self, address: str, own_name: str, class_names: Sequence[str]) -> None:
        self._address = address
        self._own_name = own_name
        self._class_names = class_names
        self._key = ""
        self._pictures: list[Entry] = []
        self._beside: dict[str, bytes] = {}
        self._has_given = False

    def take(self, entry: Entry) -> Iterator[Found]:
        """Take the next member -> what is complete by it."""
        key, ending = archives.key_of(entry.name), entry.name.rpartition(".")[2].lower()
        if key != self._key or len(self._pictures) >= _WAITING:
            yield from self.end(is_over=key != self._key)
            self._key = key
        if ending in ENDINGS and not entry.cause:
            self._beside[ending] = entry.image_bytes
        else:
            self._pictures.append(entry)

    def end(self, *, is_over: bool = True) -> Iterator[Found]:
        """The pictures that wait, with what is said of them."""
        told = spoken(self._beside, self._class_names) if self._beside else None
        for entry in self._pictures:
            found = Found(self._at(entry.name), "archive", archives.folder_of(entry.name, self._own_name), *entry[1:])
            yield found._replace(said=told.said, remark=told.remark) if told and not found.cause else found
        if told and told.failure and is_over and not self._pictures and not self._has_given:
            name = f"{self._key}.json"
            folder = archives.folder_of(name, self._own_name)
            yield Found(self._at(name), "archive", folder, b"", "not-fetched", told.failure[:200])
        self._has_given = not is_over
        self._pictures = []
        if is_over:
            self._beside = {}

    def _at(self, name: str) -> str:
        return f"{self._address}!/{name}" if name else self._address
