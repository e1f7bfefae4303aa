"""Pictures that lie on this machine: in folders, in archives, as single files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pictus import archives
from pictus.pixels import MAX_BYTES

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


class Found(NamedTuple):
    """One thing that claims to be a picture. With a `cause` it has no bytes.

    `folder` is the name of the folder it lies in (an archive's own name for members at its top).
    """

    address: str  # the path; ARCHIVE!/MEMBER in an archive
    kind: str  # folder | archive
    folder: str
    image_bytes: bytes
    cause: str = ""
    detail: str = ""


def look_in(path: Path, *, with_bytes: bool) -> Iterator[Found]:
    """Everything under `path` that claims to be a picture, in an order that depends on names alone."""
    if path.is_dir():
        yield from _in_folder(path, path, with_bytes=with_bytes)
    elif archives.is_archive(path.name):
        yield from _in_archive(path, with_bytes=with_bytes)
    else:
        yield _file(path, with_bytes=with_bytes)


def _in_folder(folder: Path, root: Path, *, with_bytes: bool) -> Iterator[Found]:  # noqa: C901  one case each
    try:
        with os.scandir(folder) as listed:
            inside = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        yield _failed(folder, "unreadable", error.strerror or "")
        return
    for entry in inside:
        path = folder / entry.name
        is_picture = archives.claims_picture(entry.name)
        if entry.is_symlink() and not os.path.exists(path):  # noqa: PTH110  False for a circle, too
            yield _failed(path, "symlink", "leads nowhere")
        elif entry.is_symlink() and not (target := Path(os.path.realpath(path))).is_relative_to(root):
            if is_picture or path.is_dir():
                yield _failed(path, "symlink", f"to {_text(target)}")
        elif entry.name.startswith("."):
            if is_picture:
                yield _failed(path, "hidden", "")
        elif entry.is_dir(follow_symlinks=False):
            yield from _in_folder(path, root, with_bytes=with_bytes)
        elif entry.is_file() and archives.is_archive(entry.name):
            yield from _in_archive(path, with_bytes=with_bytes)
        elif entry.is_file() and (is_picture or _is_unnamed_picture(path)):
            yield _file(path, with_bytes=with_bytes)


def _in_archive(path: Path, *, with_bytes: bool) -> Iterator[Found]:
    address, own_name = _text(path), archives.stem(path.name)
    try:
        with path.open("rb") as file:
            for entry in archives.entries(file, with_bytes=with_bytes):
                folder = entry.name.rpartition("/")[0].rpartition("/")[2]
                member = f"{address}!/{entry.name}" if entry.name else address
                yield Found(member, "archive", folder or own_name, entry.image_bytes, entry.cause, entry.detail)
    except OSError as error:
        yield Found(address, "archive", own_name, b"", "unreadable", error.strerror or "")


def _file(path: Path, *, with_bytes: bool) -> Found:
    if not with_bytes:
        return Found(_text(path), "folder", path.parent.name, b"")
    try:
        with path.open("rb") as file:
            image_bytes = file.read(MAX_BYTES + 1)
    except OSError as error:
        return _failed(path, "unreadable", error.strerror or "")
    return Found(_text(path), "folder", path.parent.name, image_bytes)


def _failed(path: Path, cause: str, detail: str) -> Found:
    return Found(_text(path), "folder", path.parent.name, b"", cause, detail)


def _is_unnamed_picture(path: Path) -> bool:
    """A file without an ending that begins as pictures do."""
    if path.suffix:
        return False
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(_STARTS)
    except OSError:  # nobody said that it is a picture: it is passed over like any other file
        return False


def _text(path: Path) -> str:
    """A path as text that can be stored, undecodable bytes in hexadecimal."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
