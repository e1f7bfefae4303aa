"""Pictures that lie on this machine: in folders, and as single files."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from pictus import archives
from pictus.archives import MAX_BESIDE_BYTES
from pictus.collect import parquets, videos
from pictus.collect.found import Found
from pictus.collect.members import look_in_archive, stored
from pictus.collect.sidecars import spoken
from pictus.pixels import MAX_BYTES, begins_as_picture
from pictus.project import CONFIG_NAME

Read = Callable[[Path, Collection[str]], Iterator[Found] | None]
"""One file, and the names beside it -> what it holds; None for a file that does not say it holds pictures."""

def look_in_folder(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:  # noqa: ARG001  nothing to choose
    """Pictures, archives and tables of pictures in a folder and the folders in it; videos are told only."""

    def read(path: Path, names: Collection[str]) -> Iterator[Found] | None:
        if archives.is_archive(path.name):
            return look_in_archive(str(path), how="", with_bytes=with_bytes)
        if parquets.is_table(path.name):
            return parquets.look_in_table(path, "", with_bytes=with_bytes, is_named=False)
        if videos.is_video(path.name):
            return iter([_left_out(path)])
        if archives.claims_picture(path.name) or _is_unnamed_picture(path):
            return iter([_picture(path, names, with_bytes=with_bytes)])
        return None

    yield from walk(Path(place), read, archives.claims_picture)


def look_at_file(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:  # noqa: ARG001  nothing to choose
    """One file, whatever its name says."""
    path = Path(place)
    beside = [f"{path.stem}.json"] if path.with_suffix(".json").is_file() else []
    yield _picture(path, beside, with_bytes=with_bytes)


def only(is_wanted: Callable[[str], bool], read: Callable[[Path], Iterator[Found]], path: Path) -> Iterator[Found]:
    """The files of one kind: `path` itself, or all in a folder whose names `is_wanted`."""
    if path.is_dir():
        yield from walk(path, lambda inside, _: read(inside) if is_wanted(inside.name) else None, is_wanted)
    else:
        yield from read(path)


def walk(root: Path, read: Read, claims: Callable[[str], bool]) -> Iterator[Found]:
    """Every file below `root` in the order of names; hidden ones, and links that lead out, are causes if they claim."""
    yield from _walked(root, root, read, claims)


def _walked(folder: Path, root: Path, read: Read, claims: Callable[[str], bool]) -> Iterator[Found]:  # noqa: C901  one case each
    try:
        with os.scandir(folder) as listed:
            inside = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        yield _failed(folder, "unreadable", error.strerror or "")
        return
    names = {entry.name for entry in inside}
    for entry in inside:
        path = folder / entry.name
        if entry.is_symlink() and not os.path.exists(path):  # noqa: PTH110  False for a circle, too
            yield _failed(path, "symlink", "leads nowhere")
        elif entry.is_symlink() and not (target := Path(os.path.realpath(path))).is_relative_to(root):
            if claims(entry.name) or path.is_dir():
                yield _failed(path, "symlink", f"to {stored(target)}")
        elif entry.name.startswith("."):
            if claims(entry.name):
                yield _failed(path, "hidden", "")
        elif entry.is_dir(follow_symlinks=False) and (path / CONFIG_NAME).is_file():
            remark = "a Pictus project inside the folder is left out"  # its shards would be found as archives
            yield Found(stored(path), "folder", path.name, b"", remark=remark)
        elif entry.is_dir(follow_symlinks=False):
            yield from _walked(path, root, read, claims)
        elif entry.is_file() and (found := read(path, names)) is not None:
            yield from found


def _picture(path: Path, beside: Collection[str], *, with_bytes: bool) -> Found:
    found = Found(stored(path), "folder", path.parent.name, b"")
    if not with_bytes:
        return found
    try:
        with path.open("rb") as file:
            found = found._replace(image_bytes=file.read(MAX_BYTES + 1))
        if (name := f"{path.stem}.json") not in beside or (path.parent / name).stat().st_size > MAX_BESIDE_BYTES:
            return found
        with (path.parent / name).open("rb") as file:
            told = spoken({"json": file.read(MAX_BESIDE_BYTES)})
    except OSError as error:
        return _failed(path, "unreadable", error.strerror or "")
    return found._replace(said=told.said, remark=told.remark)


def _left_out(path: Path) -> Found:
    remark = "a video beside pictures is left out: --source video takes frames of the videos in a folder"
    return Found(stored(path), "video", path.parent.name, b"", remark=remark)


def _failed(path: Path, cause: str, detail: str) -> Found:
    return Found(stored(path), "folder", path.parent.name, b"", cause, detail)


def _is_unnamed_picture(path: Path) -> bool:
    """A file without an ending that begins as pictures do."""
    if path.suffix:
        return False
    try:
        with path.open("rb") as file:
            return begins_as_picture(file.read(12))
    except OSError:  # nobody said that it is a picture: it is passed over like any other file
        return False
