"""Files, folders and archives of annotations as documents that can be read without fear.

Sizes are capped before and while anything is unpacked, names inside archives are only names, links are not followed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, cast

from pictus.errors import UserError, clipped, counted

ENDINGS = (".json", ".jsonl", ".xml", ".csv", ".tsv", ".txt", ".names", ".data", ".yaml", ".yml", ".pbtxt", ".tfrecord")
PACKED = (".xz", ".gz")

MAX_BYTES = 8 * 2**30
"""Of one document, unpacked: COCO's largest is 0.5 GB, LVIS' 1.2 GB."""

MAX_DOCUMENTS = 2_000_000
MAX_RATIO = 1000
"""Annotations shrink to a tenth or a fiftieth; what shrinks more than this is made to fill a memory."""

FREE_BYTES = 64 * 2**20
"""So much may be unpacked of anything, whatever its ratio."""

HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Document:
    """One text or binary file. `name`: for messages, "labels.zip/annotations.xml"."""

    name: str
    opener: Callable[[], BinaryIO]

    def open(self) -> BinaryIO:
        """From its beginning; close it."""
        return self.opener()

    @property
    def ending(self) -> str:
        """Lower case, of what is inside a packed file: ".json" for hits.json.xz. Of a name without one that is known,
        what its content looks like.
        """
        name = self.name.lower()
        for packed in PACKED:
            name = name.removesuffix(packed)
        found = os.path.splitext(name)[1]  # noqa: PTH122  a name, no path
        return found if found in ENDINGS else self._likely or found

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return self.name.rpartition("/")[2].partition(".")[0] if self.ending else self.name.rpartition("/")[2]

    @cached_property
    def _likely(self) -> str:
        return likely_ending(self.head)

    @cached_property
    def head(self) -> bytes:
        """Its first 64 KB."""
        with self.open() as file:
            return file.read(HEAD_BYTES)

    def read(self, most: int) -> bytes:
        """All of it; a UserError when it is longer than `most` bytes."""
        with self.open() as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise UserError(f"{self.name} has more than {most:,} bytes.", fix="split it")
        return data


def likely_ending(head: bytes) -> str:
    """What the beginning of a file looks like: ".json", ".xml", ".csv", ".tsv", ".parquet"; "" for nothing of these."""
    if head.startswith(b"PAR1"):
        return ".parquet"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in text:
        return ""
    first = text.partition(b"\n")[0]
    signs = ((text.startswith((b"{", b"[")), ".json"), (text.startswith(b"<"), ".xml"), (b"\t" in first, ".tsv"),
             (b"," in first or b";" in first, ".csv"))  # fmt: skip
    return next((ending for is_so, ending in signs if is_so), "")


@dataclass(frozen=True)
class Bundle:
    """What was named on the command line: one document, or those of a folder or archive, sorted by name."""

    name: str
    documents: tuple[Document, ...]
    digest: str  # the first 12 hex digits of the sha256 over names and bytes

    def ending(self, *endings: str) -> tuple[Document, ...]:
        """Its documents with one of these endings."""
        return tuple(document for document in self.documents if document.ending in endings)

    @property
    def first(self) -> Document:
        return self.documents[0]


def bundle_of(path: Path) -> Bundle:
    """A file, a folder or a zip archive. Nothing is unpacked to the disk."""
    if path.is_dir():
        documents = tuple(_of_folder(path))
    elif not path.exists():
        raise UserError(f"There is no file {path}.", fix="check the path")
    elif zipfile.is_zipfile(path):
        documents = tuple(_of_zip(path))
    else:
        documents = (_of_file(path, path.name),)
    if not documents:
        raise UserError(f"{path} holds no file of annotations.", fix=f"files ending in {', '.join(ENDINGS)}")
    return Bundle(path.name or path.resolve().name, documents, _digest(path, documents))


def _digest(path: Path, documents: tuple[Document, ...]) -> str:
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    total = hashlib.sha256()
    for document in documents:
        with document.open() as file:
            inner = hashlib.file_digest(cast("io.BytesIO", file), "sha256").hexdigest()
        total.update(f"{document.name}\n{inner}\n".encode())
    return total.hexdigest()[:12]


def _of_file(path: Path, name: str) -> Document:
    ending = path.suffix.lower()
    if ending in PACKED:
        return Document(name, lambda: _unpacked(path.open("rb"), ending, name))
    return Document(name, lambda: cast("BinaryIO", _Limited(path.open("rb"), name, None)))


def _wanted(name: str) -> bool:
    plain = name.lower()
    for packed in PACKED:
        plain = plain.removesuffix(packed)
    return plain.endswith(ENDINGS) and not name.rpartition("/")[2].startswith(".")


def _of_folder(folder: Path) -> Iterator[Document]:
    found = []
    for at, folders, files in os.walk(folder):  # links to folders are not followed
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(at, name) for name in files if _wanted(name)]
        if len(found) > MAX_DOCUMENTS:
            raise UserError(f"{folder} holds more than {counted(MAX_DOCUMENTS, 'file')}.", fix="name a smaller folder")
    for path in sorted(found):
        if path.is_symlink() or not path.is_file():
            continue
        yield _of_file(path, path.relative_to(folder).as_posix())


def _of_zip(path: Path) -> Iterator[Document]:
    try:
        archive = zipfile.ZipFile(path)  # kept open by its documents: reading its list again for each would be slow
        members = [member for member in archive.infolist() if _wanted(member.filename) and not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path.name} cannot be read as a zip archive: {error}.", fix="export it again") from error
    if len(members) > MAX_DOCUMENTS:
        raise UserError(f"{path.name} holds more than {counted(MAX_DOCUMENTS, 'file')}.", fix="split it")
    for member in sorted(members, key=lambda one: one.filename):
        name = f"{path.name}/{clipped(member.filename, 200)[1:-1]}"
        if member.flag_bits & 1:
            raise UserError(f"{name} is encrypted.", fix="unpack the archive with its password")
        if member.file_size > max(FREE_BYTES, MAX_RATIO * member.compress_size) or member.file_size > MAX_BYTES:
            raise _bomb(name)
        yield Document(name, partial(_member, archive, member, name))


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> BinaryIO:
    try:
        opened = archive.open(member)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{name} cannot be read: {error}.", fix="fetch or export it again") from error
    return cast("BinaryIO", _Limited(cast("BinaryIO", opened), name, member.compress_size))


def _unpacked(file: BinaryIO, ending: str, name: str) -> BinaryIO:
    opened = lzma.LZMAFile(file) if ending == ".xz" else gzip.GzipFile(fileobj=file)  # noqa: SIM115  _Limited closes it
    return cast("BinaryIO", _Limited(cast("BinaryIO", opened), name, os.fstat(file.fileno()).st_size, file))


def _bomb(name: str) -> UserError:
    return UserError(
        f"{name} unpacks to more than {MAX_RATIO:,} times its size or {MAX_BYTES // 2**30} GiB: it is not read.",
        fix="unpack it yourself, if you trust it",
    )


class _Limited(io.RawIOBase):
    """A stream that ends in a UserError when it gives too much or cannot be unpacked. packed: its size, None if not."""

    def __init__(self, file: BinaryIO, name: str, packed: int | None, *more: object) -> None:
        self._file, self._name, self._packed, self._more = file, name, packed, more
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        wanted = size if size >= 0 else MAX_BYTES
        parts = []
        try:
            while wanted > 0 and (data := self._file.read(min(wanted, 2**20))):
                parts.append(data)
                wanted -= len(data)
                self._given += len(data)
                is_swollen = self._packed is not None and self._given > max(FREE_BYTES, MAX_RATIO * self._packed)
                if is_swollen or self._given > MAX_BYTES:
                    raise _bomb(self._name)
        except (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError, ValueError) as error:
            raise UserError(f"{self._name} cannot be read: {error}.", fix="fetch or export it again") from error
        return b"".join(parts)

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            for one in self._more:
                cast("BinaryIO", one).close()
        super().close()
