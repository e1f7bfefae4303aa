"""Members of tar and zip archives, streamed: nothing is unpacked to the disk, and nothing unpacks without bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from pictus.pixels import MAX_BYTES

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".zip")

PICTURE_ENDINGS = frozenset(
    (
        "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "avif", "heic", "heif",
        "jp2", "ppm", "pgm", "pbm", "pnm",
    )
)  # fmt: skip
"""A file with one of these claims to be a picture: if it is none, that is recorded."""

MAX_MEMBERS = 20_000_000
"""More than all of ImageNet."""

MAX_RATIO = 200
"""Unpacked bytes per packed byte. Pictures hardly shrink; a bomb reaches 1,000 (deflate) and far more (xz)."""

FREE_BYTES = 2**30
"""A stream may unpack to this whatever its ratio: small archives of flat pictures are no danger."""

FREE_MEMBER_BYTES = 2**20
_CHUNK = 2**15  # tarfile copies what is left of it at every header

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, OSError, ValueError)


class Entry(NamedTuple):
    """One member that claims to be a picture. With a `cause` it has no bytes."""

    name: str
    image_bytes: bytes
    cause: str = ""
    detail: str = ""


class _TooMuch(Exception):  # noqa: N818  it ends an iteration, nobody sees it
    """The stream unpacks to more than any picture archive."""


def is_archive(name: str) -> bool:
    """Whether a file's name says it is an archive."""
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """An archive's name without its endings: n01440764.tar.gz -> n01440764."""
    ending = max((ending for ending in ENDINGS if name.lower().endswith(ending)), key=len, default="")
    return name[: len(name) - len(ending)]


def claims_picture(name: str) -> bool:
    """Whether a file's name says it is a picture."""
    return name.rpartition(".")[2].lower() in PICTURE_ENDINGS


def entries(file: BinaryIO, *, with_bytes: bool) -> Iterator[Entry]:
    """Every member that claims to be a picture, in the archive's order; what kind it is, its first bytes tell.

    A damaged archive gives what is before the damage, then one entry without a name and with the
    cause. Without `with_bytes` only names and causes are told.
    """
    start = file.read(6)
    file.seek(0)
    members = _zip_members(file, with_bytes) if start.startswith(b"PK") else _tar_members(file, start, with_bytes)
    try:
        for count, entry in enumerate(members):
            if count >= MAX_MEMBERS:
                yield Entry("", b"", "bomb", f"more than {MAX_MEMBERS:,} members")
                return
            yield entry
    except _TooMuch as error:
        yield Entry("", b"", "bomb", str(error))
    except _BROKEN as error:
        yield Entry("", b"", "broken-archive", str(error) or type(error).__name__)


def _tar_members(file: BinaryIO, start: bytes, with_bytes: bool) -> Iterator[Entry]:
    bad_headers: list[str] = []

    class Noted(tarfile.TarInfo):
        """tarfile takes a damaged header after the first for the end of the archive; this remembers it."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Noted":
            try:
                return super().frombuf(buf, encoding, errors)
            except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
                bad_headers.append(str(error))
                raise

    stream = cast("BinaryIO", _Bounded(_unpacked(file, start), file))
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK, tarinfo=Noted) as archive:
        for member in archive:
            if member.isreg() and _is_wanted(member.name):
                yield _tar_entry(archive, member, with_bytes)
            archive.members = []  # type: ignore[attr-defined]  # else it keeps every header it has read
    if bad_headers:
        yield Entry("", b"", "broken-archive", bad_headers[0])


def _tar_entry(archive: tarfile.TarFile, member: tarfile.TarInfo, with_bytes: bool) -> Entry:
    name = _text(member.name)
    if cause := _unwanted(member.name, member.size):
        return Entry(name, b"", cause, f"{member.size:,} bytes")
    if not with_bytes:
        return Entry(name, b"")
    opened = archive.extractfile(member)
    return Entry(name, opened.read() if opened else b"")


def _zip_members(file: BinaryIO, with_bytes: bool) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if not member.is_dir() and kind in {0, stat.S_IFREG} and _is_wanted(member.filename):
                yield _zip_entry(archive, member, with_bytes)


def _zip_entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo, with_bytes: bool) -> Entry:
    name = _text(member.filename)
    cause = _unwanted(member.filename, member.file_size)
    if member.flag_bits & 1:
        cause = "encrypted"
    elif member.file_size > max(FREE_MEMBER_BYTES, MAX_RATIO * member.compress_size):
        cause = "bomb"
    if cause or not with_bytes:
        return Entry(name, b"", cause, f"{member.file_size:,} bytes, packed {member.compress_size:,}" if cause else "")
    try:
        with archive.open(member) as opened:
            data = opened.read(MAX_BYTES + 1)
    except (*_BROKEN, NotImplementedError, RuntimeError) as error:
        return Entry(name, b"", "broken-member", str(error) or type(error).__name__)
    return Entry(name, data) if len(data) <= MAX_BYTES else Entry(name, b"", "too-big", f"over {MAX_BYTES:,} bytes")


def _is_wanted(name: str) -> bool:
    """Pictures and archives by name, outside hidden folders (.git, __MACOSX)."""
    *folders, last = name.split("/")
    if any(folder == "__MACOSX" or (folder.startswith(".") and folder not in {".", ".."}) for folder in folders):
        return False
    return claims_picture(last) or is_archive(last)


def _unwanted(name: str, size: int) -> str:
    last = name.rpartition("/")[2]
    if last.startswith("."):
        return "hidden"
    if is_archive(last):
        return "nested-archive"
    return "too-big" if size > MAX_BYTES else ""


def _text(name: str) -> str:
    """A member's name as text that can be stored: undecodable bytes in hexadecimal, no leading slash."""
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return readable.removeprefix("./").lstrip("/")


def _unpacked(file: BinaryIO, start: bytes) -> BinaryIO:
    if start.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if start.startswith(b"\xfd7zXZ"):
        return cast("BinaryIO", lzma.LZMAFile(file))
    if start.startswith(b"BZh"):
        return cast("BinaryIO", bz2.BZ2File(file))
    return file


class _Bounded:
    """Counts what comes out against what went in."""

    def __init__(self, unpacked: BinaryIO, packed: BinaryIO) -> None:
        self._unpacked = unpacked
        self._packed = packed
        self._given = 0

    def read(self, size: int) -> bytes:
        data = self._unpacked.read(size)
        self._given += len(data)
        if self._given > FREE_BYTES and self._given > MAX_RATIO * self._packed.tell():
            raise _TooMuch(f"{self._given:,} bytes out of {self._packed.tell():,}")
        return data
