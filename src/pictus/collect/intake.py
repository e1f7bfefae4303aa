"""Takes pictures in: bytes to a shard, then rows, in that order and in batches.

A kill can fall anywhere. Before the rows are committed, the bytes behind the last committed row
are cut off by the next run; between the tables, `images` comes first, and the next run sees the
missing source and adds it. So nothing is lost, nothing stands twice.

What is known is held in memory: 32 bytes for each picture, 16 for each source, and each different
claim once; about 0.6 GB for a million of each with Python's overhead and what reading them takes
(benchmarks/fetch_memory.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pyarrow as pa

from pictus.errors import PictureError, UserError
from pictus.pixels import MAX_BYTES, Header, sniff
from pictus.records import Attempt, Picture, Source
from pictus.shards import ShardWriter, committed_ends, extension_of
from pictus.tables import SCHEMAS, Tables, table_of

BATCH_PICTURES = 8_192
BATCH_BYTES = 64 * 2**20
"""A batch ends at either: few large commits, and little to do again after a kill."""


class Claim(NamedTuple):
    """What is said of a picture where it was found. All of it may be empty: an empty field says nothing."""

    concept_id: str = ""
    query: str = ""
    licence: str = ""
    author: str = ""


@dataclass
class Counts:
    """What one run took in."""

    added: int = 0  # pictures not seen before
    again: int = 0  # bytes known already, found at another address
    known: int = 0  # the same bytes at the same address with the same claims
    changed: int = 0  # the same bytes at the same address with other claims
    bytes_added: int = 0


class Intake:
    """One run's intake. Use as a context: leaving it commits, except after an error.

    After Ctrl-C it commits too, but not when that fell into a commit: how far this came is not known,
    so the rest is left to the next run, as after a kill.
    """

    def __init__(self, tables: Tables, shards_dir: Path, at: str) -> None:
        self.counts = Counts()
        self._tables = tables
        self._at = at
        _open_tables(tables, shards_dir)
        places = tables.read("images", ["image_id", "shard", "offset", "size"])
        self._pictures = {bytes.fromhex(image_id) for image_id in places.column("image_id").to_pylist()}
        self._claims: dict[Claim, Claim] = {}  # each once: a list says the same of thousands of pictures
        self._sources = _known_sources(tables, self._claims)
        self._failed = _failed_files(tables)
        self._writer = ShardWriter(shards_dir, ends=committed_ends(places))
        self._new_pictures: list[Picture] = []
        self._new_sources: list[Source] = []
        self._changed_sources: dict[tuple[str, str], Source] = {}
        self._attempts: list[tuple[int, Attempt]] = []
        self._bytes = 0
        self._is_committing = False

    def take(self, image_bytes: bytes, address: str, kind: str, claim: Claim) -> str:
        """Take one picture in -> its image_id; a PictureError says why it cannot be."""
        digest = hashlib.sha256(image_bytes).digest()
        image_id = digest.hex()
        is_new = digest not in self._pictures
        if is_new:
            self._place(image_id, image_bytes, checked_header(image_bytes))
            self._pictures.add(digest)
            self.counts.added += 1
            self.counts.bytes_added += len(image_bytes)
        self.counts.again += self.claim(image_id, address, kind, claim) and not is_new
        return image_id

    def claim(self, image_id: str, address: str, kind: str, claim: Claim, *, is_counted: bool = True) -> bool:
        """Record where a known picture was found and what is said of it there -> whether the place is new.

        A field that is empty keeps what was said of it before. A further place of a picture that has been counted
        at its first is not counted again.
        """
        key = _source_key(image_id, address)
        before = self._sources.get(key)
        claim = Claim(*(new or old for new, old in zip(claim, before or Claim(), strict=True)))
        if before == claim:
            self.counts.known += is_counted
            return False
        self._sources[key] = self._claims.setdefault(claim, claim)
        source = Source(image_id, address, kind, *claim, found_at=self._at)
        if before is None:
            self._new_sources.append(source)
            return True
        self._changed_sources[image_id, address] = source
        self.counts.changed += is_counted
        return False

    def note(self, attempt: Attempt, order: int = 0) -> None:
        """Record one attempt. Rows of one commit stand in the order of their list (`order`)."""
        self._attempts.append((order, attempt))

    def note_file(self, attempt: Attempt) -> None:
        """Record one file's attempt, where it says something new: a failure, or the end of one."""
        before = self._failed.get(attempt.address, "ok")
        if attempt.cause != before:
            self._failed[attempt.address] = attempt.cause
            self.note(attempt)

    @property
    def is_full(self) -> bool:
        """Whether the batch should be committed."""
        waiting = max(len(self._new_pictures), len(self._attempts), len(self._new_sources))
        return waiting >= BATCH_PICTURES or self._bytes >= BATCH_BYTES

    def commit(self) -> None:
        """Make everything taken so far permanent: bytes to the disk, then the rows."""
        self._is_committing = True
        if self._new_pictures:
            self._writer.flush()
            self._writer.forget()
            self._tables.append("images", table_of("images", self._new_pictures))
        pending = dict(self._changed_sources)
        fresh = [pending.pop((source.image_id, source.address), source) for source in self._new_sources]
        if fresh:
            self._tables.append("sources", table_of("sources", fresh))
        if pending:
            self._tables.upsert("sources", table_of("sources", pending.values()), key=["image_id", "address"])
        if self._attempts:
            ordered = [attempt for _, attempt in sorted(self._attempts, key=lambda item: item[0])]
            self._tables.append("fetches", table_of("fetches", ordered))
        for name in ("images", "sources", "fetches"):
            self._tables.compact(name)
        self._new_pictures, self._new_sources, self._attempts = [], [], []
        self._changed_sources = {}
        self._bytes = 0
        self._is_committing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or (issubclass(kind, KeyboardInterrupt) and not self._is_committing):
            with self._writer:
                self.commit()
        else:
            self._writer.__exit__(kind, error, trace)

    def _place(self, image_id: str, image_bytes: bytes, header: Header) -> None:
        placed = self._writer.add(image_id, extension_of(header.format), image_bytes)
        self._new_pictures.append(
            Picture(image_id, *placed, header.width, header.height, header.format, header.mode, self._at)
        )
        self._bytes += len(image_bytes)


def checked_header(image_bytes: bytes) -> Header:
    """The header of bytes that may be taken in; PictureError with our words for the caps."""
    if len(image_bytes) > MAX_BYTES:
        raise PictureError("too-big", f"over {MAX_BYTES:,} bytes")
    return sniff(image_bytes)


def latest_attempts(tables: Tables, keep: Callable[[str, str], bool]) -> dict[str, str]:
    """Address -> cause of its latest attempt, for the attempts that `keep(kind, cause)` chooses."""
    latest: dict[str, str] = {}
    for batch in tables.batches("fetches", ["address", "kind", "cause"]):
        for address, kind, cause in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if keep(kind, cause):
                latest[address] = cause
            else:
                latest.pop(address, None)
    return latest


def _open_tables(tables: Tables, shards_dir: Path) -> None:
    """The table exists before the first shard, so that shards without it are never taken for leftovers."""
    if tables.exists("images"):
        return
    if any(shards_dir.glob("*.tar")):
        raise UserError(
            f"{shards_dir} holds picture shards, but the table of pictures is gone.",
            fix="restore the folder tables/images.lance from a copy, or move the shards elsewhere to begin anew",
        )
    tables.append("images", SCHEMAS["images"].empty_table())


def _known_sources(tables: Tables, claims: dict[Claim, Claim]) -> dict[bytes, Claim]:
    columns = ["image_id", "address", *Claim._fields]
    known: dict[bytes, Claim] = {}
    for batch in tables.batches("sources", columns):
        for image_id, address, *claim in zip(*(column.to_pylist() for column in _ordered(batch, columns)), strict=True):
            claimed = Claim(*claim)
            known[_source_key(image_id, address)] = claims.setdefault(claimed, claimed)
    return known


def _ordered(batch: pa.RecordBatch, columns: list[str]) -> list[pa.Array]:
    return [batch.column(name) for name in columns]


def _failed_files(tables: Tables) -> dict[str, str]:
    return latest_attempts(tables, lambda kind, cause: kind != "url" and cause != "ok")


def _source_key(image_id: str, address: str) -> bytes:
    return hashlib.blake2b(f"{image_id} {address}".encode(), digest_size=16).digest()
