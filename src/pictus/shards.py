"""Picture bytes in plain tar files: append, read by offset, verify.

A shard is a USTAR archive whose members are named `<sha256>.<ext>` (WebDataset's convention: the
key is what stands before the first dot). Shards only grow. After every `flush` the file is a whole,
valid archive and its bytes are on the disk; the two zero blocks that end it are overwritten by
the next append. Owner, mode and time in the headers are constants, so that the same pictures in
the same order give the same file.

What counts is what the table says: a picture is in the project when its row is committed. Bytes
after the last committed row (a run was killed) are cut off by the next writer.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple, Self

import pyarrow as pa

from pictus.errors import UserError

MAX_SHARD_BYTES = 512 * 2**20
"""A shard is closed once it is this long: few enough files to list, small enough to copy whole."""

BLOCK = 512
MAX_LOST_BYTES = 512 * 2**20
"""More than a killed run can leave behind the last committed row (collect commits every 64 MB)."""

_END = bytes(2 * BLOCK)
_WRITE_BYTES = 4 * 2**20
_WRITE_PARTS = 900  # POSIX systems gather 1,024 at once
_OPEN_SHARDS = 64


class Placed(NamedTuple):
    """Where the bytes of one picture lie: what `read` needs."""

    shard: str
    offset: int
    size: int


class Member(NamedTuple):
    """One entry of a shard as its own headers tell it."""

    name: str
    offset: int
    size: int


class Damage(NamedTuple):
    """One picture whose bytes are not what its row says. `cause`: missing-shard | short | changed."""

    image_id: str
    shard: str
    cause: str


class ShardWriter:
    """Appends pictures to the shards of one folder. One writer at a time: hold the stage's lock.

    `ends` (see `committed_ends`) tells where the committed bytes of each shard end; what lies
    behind them is cut off. Without it the folder must hold no shard of this prefix yet.
    """

    def __init__(
        self, folder: Path, *, prefix: str = "pictures", max_bytes: int = MAX_SHARD_BYTES,
        ends: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._waiting: list[bytes] = []  # not copied together: the system gathers them
        self._waiting_bytes = 0
        self._fd = -1
        self._written = 0  # bytes handed to the system; those that wait follow them
        self._flushed = 0  # end of the last flush: what may be promised
        folder.mkdir(parents=True, exist_ok=True)
        if ends is None and (found := _numbered(folder, prefix)):
            raise UserError(f"{folder} holds shards already ({found[0]} …).", fix="choose a folder without shards")
        self._name = _recover(folder, prefix, ends or {})
        if self._name:
            self._open(self._name, (ends or {})[self._name])

    def add(self, image_id: str, extension: str, image_bytes: bytes) -> Placed:
        """Append one picture. Its row may be committed after the next `flush`."""
        if self._fd >= 0 and self._end >= self._max_bytes:
            self.flush()
            self._close()
        if self._fd < 0:
            number = int(self._name[len(self._prefix) + 1 : -4]) + 1 if self._name else 0
            self._open(f"{self._prefix}-{number:05d}.tar", 0)
        offset = self._end + BLOCK
        self._wait(header(f"{image_id}.{extension}", len(image_bytes)), image_bytes, bytes(-len(image_bytes) % BLOCK))
        if self._waiting_bytes >= _WRITE_BYTES or len(self._waiting) > _WRITE_PARTS:
            self._write()
        return Placed(self._name, offset, len(image_bytes))

    def flush(self) -> None:
        """Make the shard a whole archive and force it to the disk."""
        if self._fd < 0:
            return
        self._write(ending=_END)
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from error
        self._flushed = self._written

    def forget(self) -> None:
        """After a `flush`: the system need not keep these bytes in memory, where a long run would push all else out."""
        if self._fd >= 0 and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Flush and close. The writer must not be used afterwards."""
        try:
            self.flush()
        finally:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._close()

    @property
    def _end(self) -> int:
        return self._written + self._waiting_bytes

    def _wait(self, *parts: bytes) -> None:
        self._waiting += parts
        self._waiting_bytes += sum(map(len, parts))

    def _open(self, name: str, end: int) -> None:
        path = self.folder / name
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            _sync_folder(self.folder)
        except OSError as error:
            raise _write_error(path, error) from error
        self._name = name
        self._written = self._flushed = _padded(end)

    def _write(self, ending: bytes = b"") -> None:
        parts = [memoryview(part) for part in (*self._waiting, ending) if part]
        at = self._written
        try:
            while parts:
                done = os.pwritev(self._fd, parts, at)
                at += done
                while parts and done >= len(parts[0]):
                    done -= len(parts.pop(0))
                if done:
                    parts[0] = parts[0][done:]
        except OSError as error:
            raise self._failed(error) from error
        self._written += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0

    def _failed(self, error: OSError) -> Exception:
        # Give back what this run wrote since the last flush, so that a full disk has room to commit.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._flushed)
        self._waiting, self._waiting_bytes = [], 0
        self._written = self._flushed
        return _write_error(self.folder / self._name, error)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ShardReader:
    """Reads pictures of one folder by (shard, offset, size); any number of threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, shard: str, offset: int, size: int) -> bytes:
        """The bytes of one picture; a UserError when the shard is missing or ends before them."""
        opened = self._get(shard)
        data = os.pread(opened.fd, size, offset)
        while len(data) < size:
            more = os.pread(opened.fd, size - len(data), offset + len(data))
            if not more:
                raise UserError(
                    f"{self.folder / shard} ends before byte {offset + size:,}: it was cut short.",
                    fix="restore the file from a copy",
                )
            data += more
        return data

    def _get(self, shard: str) -> "_Opened":
        parts = PurePosixPath(shard).parts
        if not parts or shard.startswith("/") or ".." in parts:
            raise UserError(f"{shard!r} is not the name of a shard.", fix="restore the table from a copy")
        path = self.folder / shard
        try:
            found = os.stat(path)  # noqa: PTH116  2 µs, and it notices a file put in the old one's place
        except FileNotFoundError as error:
            raise UserError(f"The shard {path} is missing.", fix="restore the file from a copy") from error
        with self._lock:
            opened = self._opened.get(shard)
            if opened is None or opened.key != (found.st_dev, found.st_ino):
                opened = self._opened[shard] = _Opened(path)
                if len(self._opened) > _OPEN_SHARDS:
                    self._opened.popitem(last=False)
            self._opened.move_to_end(shard)
        return opened


class _Opened:
    """A descriptor that closes with its last user, so that eviction never pulls it from under a read."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self.fd)
        self.key = (found.st_dev, found.st_ino)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


def read(folder: Path, shard: str, offset: int, size: int) -> bytes:
    """One picture's bytes, for code that holds no reader of its own (worker processes)."""
    return _reader(folder).read(shard, offset, size)


@lru_cache(maxsize=8)
def _reader(folder: Path) -> ShardReader:
    return ShardReader(folder)


def extension_of(picture_format: str) -> str:
    """The file ending of a format as `pixels.Header` names it: "jpeg" -> "jpg"."""
    return {"jpeg": "jpg", "tiff": "tif", "jpeg2000": "jp2"}.get(picture_format, picture_format)


def committed_ends(pictures: pa.Table) -> dict[str, int]:
    """Shard -> end of its last committed byte, from rows with the columns shard, offset, size."""
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    if not pictures.num_rows:
        return {}
    rows = pa.table(
        {"shard": pictures.column("shard"), "end": pc.add(pictures.column("offset"), pictures.column("size"))}
    )
    ends = rows.group_by("shard").aggregate([("end", "max")])
    return dict(zip(ends.column("shard").to_pylist(), ends.column("end_max").to_pylist(), strict=True))


def members(path: Path) -> Iterator[Member]:
    """What a shard holds, from its own headers alone."""
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            if entry.isreg():
                yield Member(entry.name, entry.offset_data, entry.size)


def verify(folder: Path, pictures: pa.Table) -> Iterator[Damage]:
    """Read every picture (columns image_id, shard, offset, size) back and hash it; yields what is wrong."""
    rows = pictures.select(["image_id", "shard", "offset", "size"])
    rows = rows.sort_by([("shard", "ascending"), ("offset", "ascending")])
    reader = ShardReader(folder)
    for image_id, shard, offset, size in _tuples(rows):
        path = folder / shard
        if not path.is_file():
            yield Damage(image_id, shard, "missing-shard")
        elif path.stat().st_size < offset + size:
            yield Damage(image_id, shard, "short")
        elif hashlib.sha256(reader.read(shard, offset, size)).hexdigest() != image_id:
            yield Damage(image_id, shard, "changed")


def header(name: str, size: int) -> bytes:
    """One USTAR header block: mode 644, owner 0, time 0."""
    encoded = name.encode("ascii")
    if len(encoded) > 100 or size >= 8**11:  # noqa: PLR2004  USTAR's own widths
        message = f"{name!r} of {size} bytes does not fit a USTAR header"
        raise ValueError(message)
    block = bytearray(_TEMPLATE)
    block[: len(encoded)] = encoded
    block[124:136] = b"%011o\0" % size
    block[148:156] = b"%06o\0 " % (sum(block))  # the checksum field counts as eight spaces: it still holds them
    return bytes(block)


def _template() -> bytes:
    block = bytearray(BLOCK)
    block[100:124] = b"0000644\0" b"0000000\0" b"0000000\0"  # mode, uid, gid
    block[136:148] = b"00000000000\0"  # mtime
    block[148:156] = b" " * 8
    block[156:157] = b"0"  # a regular file
    block[257:265] = b"ustar\x0000"
    return bytes(block)


_TEMPLATE = _template()


def _recover(folder: Path, prefix: str, ends: Mapping[str, int]) -> str:
    """Cut off what was never committed -> the last committed shard, "" when there is none."""
    last = max((name for name in ends if _is_numbered(name, prefix)), key=_number, default="")
    later = [folder / name for name in _numbered(folder, prefix) if not last or _number(name) > _number(last)]
    end = _padded(ends[last]) if last else 0
    path = folder / last
    found = path.stat().st_size if last and path.exists() else 0
    if last and found < ends[last]:
        raise UserError(
            f"{path} has {found:,} bytes, but pictures up to byte {ends[last]:,} are recorded in it.",
            fix="restore the file from a copy before anything is added",
        )
    lost = found - end + sum(file.stat().st_size for file in later)
    if lost > MAX_LOST_BYTES:
        raise UserError(
            f"The shards in {folder} hold {lost / 2**20:,.0f} MB that no table knows: more than a killed run leaves.",
            fix="restore the tables that belong to these shards, or move the shards elsewhere",
        )
    try:
        for file in later:
            file.unlink()
        if last:
            _end_at(path, end)
    except OSError as error:
        raise _write_error(path, error) from error
    return last


def _end_at(path: Path, end: int) -> None:
    """Make the shard a whole archive that ends at `end`; a file that is one is not touched."""
    with path.open("r+b") as shard:
        shard.seek(end)
        if shard.read(len(_END) + 1) != _END:
            shard.truncate(end)
            shard.seek(end)
            shard.write(_END)


def _numbered(folder: Path, prefix: str) -> list[str]:
    return sorted((path.name for path in folder.glob("*.tar") if _is_numbered(path.name, prefix)), key=_number)


def _is_numbered(name: str, prefix: str) -> bool:
    return re.fullmatch(re.escape(prefix) + r"-\d{5,}\.tar", name) is not None


def _number(name: str) -> int:
    return int(name.removesuffix(".tar").rpartition("-")[2])


def _padded(end: int) -> int:
    return end + -end % BLOCK


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _tuples(rows: pa.Table) -> Iterable[tuple[str, str, int, int]]:
    return zip(*(column.to_pylist() for column in rows.columns), strict=True)


def _write_error(path: Path, error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return UserError(
            f"The disk is full: {path} could not be written. What was committed before is safe.",
            fix="free some space, then run the same command again: it continues where it stopped",
        )
    if error.errno in {errno.EACCES, errno.EROFS, errno.EPERM}:
        return UserError(f"{path} could not be written: {error.strerror}.", fix="mend the folder's permissions")
    return error
