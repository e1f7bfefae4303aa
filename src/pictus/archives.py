"""Members of tar and zip archives, streamed: nothing is unpacked to the disk, and nothing unpacks without bound."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
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
MAX_BESIDE_BYTES = 2**20
"""Of a small file beside a picture that speaks of it."""

MAX_HEADER_BYTES = 2**20
"""Of all the headers before one tar member. Names and extended attributes take a few thousand."""

MAX_DIGITS = 1_000
"""In a row in one of those headers: Python before 3.11.10 searches them in quadratic time (CVE-2024-6232)."""

MAX_MEMBER_BYTES = 2**40

_CHUNK = 2**18
_DIGITS = re.compile(rb"[0-9]+")
_LOCAL_HEADER_BYTES = 30  # of a zip member, without its name

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, struct.error, OSError, ValueError,
    OverflowError, IndexError, RecursionError, MemoryError, NotImplementedError,
)  # fmt: skip
"""What tarfile and zipfile raise on hostile bytes. (Many pax headers in a row recurse.)"""


class Entry(NamedTuple):
    """One member that claims to be a picture, or stands beside one. With a `cause` it has no bytes."""

    name: str
    image_bytes: bytes
    cause: str = ""
    detail: str = ""


class _Wanted(NamedTuple):
    """What a reader asks for."""

    with_bytes: bool
    beside: AbstractSet[str]

    def says(self, name: str) -> bool:
        """Whether a member is one of the small files beside pictures."""
        last = name.rpartition("/")[2]
        return not last.startswith(".") and last.rpartition(".")[2].lower() in self.beside


class _TooMuch(Exception):  # noqa: N818  it ends an iteration, nobody sees it
    """The archive unpacks to more than any picture archive."""


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


def folder_of(name: str, own_name: str) -> str:
    """The folder that a member lies in; an archive's own name for members at its top."""
    return name.rpartition("/")[0].rpartition("/")[2] or own_name


def key_of(name: str) -> str:
    """What the members of one sample share, as WebDataset has it: all before the first dot of the file's name."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def entries(file: BinaryIO, *, with_bytes: bool, beside: AbstractSet[str] = frozenset()) -> Iterator[Entry]:
    """Every member that claims to be a picture, in the archive's order; what kind it is, its first bytes tell.

    A damaged archive gives what is before the damage, then one entry without a name and with the
    cause. Without `with_bytes` only names and causes are told. Small members with an ending of `beside`
    come too, with their bytes; where they cannot be read, or are not small, they are left out.
    """
    start = file.read(6)
    file.seek(0)
    wanted = _Wanted(with_bytes, beside if with_bytes else frozenset())
    members = _zip_members(file, wanted) if start.startswith(b"PK") else _tar_members(file, start, wanted)
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


def _tar_members(file: BinaryIO, start: bytes, wanted: _Wanted) -> Iterator[Entry]:
    bad_headers: list[str] = []
    is_cut: list[bool] = []

    class Noted(tarfile.TarInfo):
        """tarfile takes a damaged header, and no header, for the end of the archive; this remembers them."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Noted":
            try:
                return super().frombuf(buf, encoding, errors)
            except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
                bad_headers.append(str(error))
                raise
            except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
                is_cut.append(True)
                raise

    stream = _Stream(_unpacked(file, start), file)
    with tarfile.TarFile(fileobj=cast("BinaryIO", stream), tarinfo=Noted) as archive:  # it reads the first header
        while member := archive.next():
            if not 0 <= member.size <= MAX_MEMBER_BYTES:
                raise tarfile.ReadError("a header gives a size that no file has")
            stream.header_left = None
            if member.isreg() and (entry := _tar_entry(archive, member, wanted)):
                yield entry
            archive.members = []  # type: ignore[attr-defined]  # else it keeps every header it has read
            archive.pax_headers = {}  # and every global one
            stream.header_left = MAX_HEADER_BYTES
    if bad_headers:
        yield Entry("", b"", "broken-archive", bad_headers[0])
    elif is_cut:
        yield Entry("", b"", "no-end-mark", f"it stops after {stream.tell():,} bytes, where a member could begin")


def _tar_entry(archive: tarfile.TarFile, member: tarfile.TarInfo, wanted: _Wanted) -> Entry | None:
    name, with_bytes = _text(member.name), wanted.with_bytes
    if not _is_outside_hidden(member.name):
        return None
    if not _claims_anything(member.name):
        if not wanted.says(member.name) or member.size > MAX_BESIDE_BYTES or member.issparse():
            return None
        with_bytes = True
    if cause := _unwanted(member.name, member.size):
        return Entry(name, b"", cause, f"{member.size:,} bytes")
    if member.issparse():  # a few bytes may stand for any number of zeros
        return Entry(name, b"", "broken-member", "a file with holes in it, which no picture has")
    if not with_bytes:
        return Entry(name, b"")
    opened = archive.extractfile(member)
    return Entry(name, opened.read() if opened else b"")


def _zip_members(file: BinaryIO, wanted: _Wanted) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        overlapping = _overlapping(members)
        left = max(FREE_BYTES, MAX_RATIO * file.seek(0, io.SEEK_END))
        for number in _by_key(members) if wanted.beside else range(len(members)):
            member = members[number]
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir() or kind not in {0, stat.S_IFREG} or not _is_outside_hidden(member.filename):
                continue
            claims = _claims_anything(member.filename)
            if not claims and not (wanted.says(member.filename) and member.file_size <= MAX_BESIDE_BYTES):
                continue
            if number in overlapping:
                yield Entry(_text(member.filename), b"", "bomb", "its bytes are also those of another member")
                continue
            entry = _zip_entry(archive, member, wanted.with_bytes)
            left -= len(entry.image_bytes)
            if left < 0:
                raise _TooMuch(f"more than {MAX_RATIO} bytes for each byte of the archive")
            if claims or not entry.cause:
                yield entry


def _by_key(members: Sequence[zipfile.ZipInfo]) -> list[int]:
    """Numbers of the members, those of one key brought together where the first of them is."""
    first: dict[str, int] = {}
    return sorted(range(len(members)), key=lambda number: first.setdefault(key_of(members[number].filename), number))


def _overlapping(members: Sequence[zipfile.ZipInfo]) -> set[int]:
    """Numbers of the members that begin inside another one: so do a few bytes become many pictures."""
    found, end = set[int](), 0
    for number in sorted(range(len(members)), key=lambda number: members[number].header_offset):
        member = members[number]
        if member.header_offset < end:
            found.add(number)
        end = max(end, member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size)
    return found


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
    except (*_BROKEN, RuntimeError) as error:
        return Entry(name, b"", "broken-member", str(error) or type(error).__name__)
    return Entry(name, data) if len(data) <= MAX_BYTES else Entry(name, b"", "too-big", f"over {MAX_BYTES:,} bytes")


def _is_outside_hidden(name: str) -> bool:
    """Whether a member lies in no hidden folder (.git, __MACOSX)."""
    folders = name.split("/")[:-1]
    return not any(folder == "__MACOSX" or (folder.startswith(".") and folder not in {".", ".."}) for folder in folders)


def _claims_anything(name: str) -> bool:
    """Pictures and archives, by name."""
    return claims_picture(name) or is_archive(name)


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


class _Stream:
    """What tarfile reads from, forwards only. Counts what comes out against what went in, and what headers take."""

    def __init__(self, unpacked: BinaryIO, packed: BinaryIO) -> None:
        self._unpacked = unpacked
        self._packed = packed
        self._given = 0
        self.header_left: int | None = MAX_HEADER_BYTES  # None while a member's own bytes are read

    def read(self, size: int) -> bytes:
        if size < 0:
            raise tarfile.ReadError("a header gives a negative size")
        if self.header_left is None:
            return self._read(size)
        if size > self.header_left:
            raise _TooMuch(f"a header of over {MAX_HEADER_BYTES:,} bytes")
        self.header_left -= size
        header = self._read(size)
        if size > tarfile.BLOCKSIZE and any(len(digits) > MAX_DIGITS for digits in _DIGITS.findall(header)):
            raise tarfile.ReadError(f"a header with a number of over {MAX_DIGITS:,} digits")
        return header

    def tell(self) -> int:
        return self._given

    def seek(self, position: int) -> None:
        if position < self._given:
            raise tarfile.StreamError("a header leads backwards")
        while self._given < position and self._read(min(position - self._given, _CHUNK)):
            pass

    def _read(self, size: int) -> bytes:
        data = self._unpacked.read(size)
        self._given += len(data)
        if self._given > FREE_BYTES and self._given > MAX_RATIO * self._packed.tell():
            raise _TooMuch(f"{self._given:,} bytes out of {self._packed.tell():,}")
        return data
