"""Training packs: a split's pictures shrunk once, on the disk, so that training decodes small ones.

    models/packs/1.0.0-train-256px-<key>/
      pack.json          what it was made of, counts, digest
      pictures.parquet   a row to each picture of the split, in release order: ROWS
      pack-00000.tar …   baseline JPEGs, members named as in the release's shards

What is larger than the short side is shrunk (antialiased bilinear) and written as baseline JPEG of quality 90, 4:2:0;
what is not, or cannot be decoded, keeps the release's own bytes. A pack is derived: it can be deleted and made again.
While it is being made its rows stand in rows.tsv, written after the bytes they tell of: a killed build goes on there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import pictus
from pictus import pixels, stores
from pictus.engine import cpu_count
from pictus.errors import PictureError, UserError
from pictus.models import in_order, lanes
from pictus.project import Project, safe_name, write_bytes, write_text
from pictus.releases import PictureReader, Release, split_rows
from pictus.shards import ShardReader, ShardWriter, committed_ends, extension_of
from pictus.train.feed.loader import AHEAD, Supply, packed
from pictus.train.recipes import Recipe

FORMAT = 1
QUALITY = 90
"""Of the JPEGs, as in FFCV's scripts for ImageNet (Leclerc et al. 2023)."""

CARD, INDEX, BUILDING = "pack.json", "pictures.parquet", "rows.tsv"
PREFIX, PACKS = "pack", "packs"
TOLD = ("key", "digest", "short_side", "quality", "pictures", "bytes")
COMMIT_BYTES = 32 * 2**20
"""A killed build does at most so many written bytes again."""

ROWS = pa.schema(
    [pa.field("image_id", pa.string()), pa.field("shard", pa.string()), pa.field("offset", pa.int64()),
     pa.field("size", pa.int64()), pa.field("sha256", pa.string())]
)  # fmt: skip
"""`sha256` of the bytes that lie in the pack; equal to image_id where they are the release's own."""


class Row(NamedTuple):
    """One row of ROWS."""

    image_id: str
    shard: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, eq=False)
class Pack:
    """A whole pack. `card`: format, key, digest, release, split, short_side, quality, pictures, bytes …"""

    root: Path
    card: dict[str, Any]
    rows: pa.Table


def key_of(release: Release, split: str, short_side: int) -> str:
    """What decides the pixels, 64 hex digits: pictures, short side, quality and the way they are written."""
    said = f"{FORMAT}\n{release.digest}\n{split}\n{short_side}\n{QUALITY}\n"
    return hashlib.sha256(said.encode()).hexdigest()


def folder_of(packs: Path, release: Release, split: str, short_side: int) -> Path:
    """Where the pack lies in the folder of packs."""
    name = f"{release.version}-{split}-{short_side}px-{key_of(release, split, short_side)[:12]}"
    return packs / safe_name(name, "pack")


def made(
    project: Project, packs: Path, release: Release, short_side: int, *, split: str = "train", cache_gb: float = 20.0
) -> Pack:
    """The pack, built where it is not there or was left half done. Progress is told; one builds at a time."""
    root = folder_of(packs, release, split, short_side)
    if (root / CARD).is_file():
        return opened(root)
    root.mkdir(parents=True, exist_ok=True)
    with replace(project, root=root).lock("pack"):
        if not (root / CARD).is_file():  # another process may have ended it while this one asked
            shelf = stores.shelf_of(release, cache_gb)
            read = shelf.read if shelf else PictureReader(release).read
            _build(project, root, release, Wanted(split, short_side, read))
    return opened(root)


def supplied(project: Project, root: Path, release: Release, recipe: Recipe) -> Supply | None:
    """What the run in `root` reads its training pictures from, where its recipe wants a pack: one lies beside it."""
    if recipe.keep != "pack":
        return None
    pack = made(project, root.parent / PACKS, release, recipe.pack, cache_gb=recipe.cache_gb)
    return Supply(reader(pack), {name: pack.card[name] for name in TOLD})


def changes(before: dict[str, Any] | None, now: Supply | None) -> tuple[str, ...]:
    """What a run that goes on is to be told: that its pack was made again and came out otherwise. What else supplies
    pictures, a store or a pool, has no digest of a pack: it is checked where it is opened.
    """
    then, here = (str((one or {}).get("digest", ""))[:12] for one in (before, now.facts if now else None))
    if not then or not here or then == here:
        return ()
    what = f"the training pack was made again and holds other bytes (digest {then} then, {here} now)"
    return (f"{what}: the run goes on, but not bit for bit as it would have",)


def opened(root: Path) -> Pack:
    """A pack whose index is the one it was ended with and whose shards are all there, as long as they were."""
    try:
        card = json.loads((root / CARD).read_text(encoding="utf-8"))
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise damaged(root, f"{CARD} is none of format {FORMAT}")
        index = (root / INDEX).read_bytes()
        if hashlib.sha256(index).hexdigest() != card["index_sha256"]:
            raise damaged(root, f"{INDEX} is not the one it was made with")
        rows = _read_index(index)
        for shard, size in card["shards"].items():
            if (root / shard).stat().st_size != size:
                raise damaged(root, f"{shard} has another length")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise damaged(root, f"{error}") from error
    return Pack(root, card, rows)


def damages(pack: Pack) -> Iterator[str]:
    """The image_ids of pictures whose bytes are not what their row says: the whole pack is read."""
    read = reader(pack)
    for position, image_id in enumerate(pack.rows.column("image_id").to_pylist()):
        try:
            read(position)
        except UserError:  # what is wrong with it: that it is not the picture it was
            yield image_id


def removed(root: Path) -> None:
    """The pack's own files; what else lies in its folder stays."""
    for path in (root / CARD, root / INDEX, root / BUILDING, *root.glob(f"{PREFIX}-*.tar")):
        path.unlink(missing_ok=True)


def reader(pack: Pack) -> Callable[[int], bytes]:
    """Position in the split -> bytes, for any number of threads. Each picture is checked by its digest when it is read
    for the first time (about 1 % of what decoding it costs).
    """
    shards = ShardReader(pack.root)
    names, codes_N = np.unique(pack.rows.column("shard").to_numpy(zero_copy_only=False), return_inverse=True)
    offsets_N, sizes_N = (pack.rows.column(name).to_numpy() for name in ("offset", "size"))
    digests_N = pack.rows.column("sha256")
    is_checked_N = np.zeros(len(codes_N), bool)

    def read(position: int) -> bytes:
        shard = str(names[codes_N[position]])
        data = shards.read(shard, int(offsets_N[position]), int(sizes_N[position]))
        if not is_checked_N[position]:
            if hashlib.sha256(data).hexdigest() != digests_N[position].as_py():
                raise damaged(pack.root, f"{shard} holds other bytes than it was written with")
            is_checked_N[position] = True
        return data

    return read


def damaged(root: Path, why: str) -> UserError:
    return UserError(
        f"The training pack {root} is damaged: {why}.",
        fix=f"pictus train pack    (makes it again), or delete the folder {root.name}",
    )


def shrunk(image_bytes: bytes, short_side: int) -> bytes:
    """A baseline JPEG of that short side; the bytes themselves where they are no larger or cannot be decoded."""
    try:
        header = pixels.sniff(image_bytes)
        if min(header.width, header.height) <= short_side:
            return image_bytes
        return pixels.encode_jpeg(packed(image_bytes, short_side, may_grow=False), QUALITY)
    except PictureError:  # training meets the same bytes and tells the cause
        return image_bytes


class Wanted(NamedTuple):
    """`read(shard, offset, size)`: bytes of the release's pictures."""

    split: str
    short_side: int
    read: Callable[[str, int, int], bytes]


def _build(project: Project, root: Path, release: Release, wanted: Wanted) -> None:
    split, short_side, read = wanted
    pictures = split_rows(release, split).select(["image_id", "shard", "offset", "size", "format"])
    done = _done(root / BUILDING, pictures.column("image_id").to_pylist())
    ends = committed_ends(pa.Table.from_pylist([row._asdict() for row in done], schema=ROWS))
    threads = cpu_count()
    written: list[Row] = list(done)

    def work(row: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        return row, shrunk(read(row["shard"], row["offset"], row["size"]), short_side)

    with (
        project.progress.track(f"pack {short_side} px", pictures.num_rows - len(done)) as meter,
        ShardWriter(root, prefix=PREFIX, ends=ends) as writer,
        (root / BUILDING).open("a", encoding="ascii") as journal,
        lanes(threads) as pool,
    ):
        waiting: list[Row] = []
        waiting_bytes = 0
        for row, image_bytes in in_order(pool, work, _records(pictures, len(done)), ahead=threads + AHEAD):
            digest = hashlib.sha256(image_bytes).hexdigest()
            extension = extension_of(row["format"]) if digest == row["image_id"] else "jpg"
            placed = writer.add(row["image_id"], extension, image_bytes)
            waiting.append(Row(row["image_id"], placed.shard, placed.offset, placed.size, digest))
            waiting_bytes += placed.size
            meter.advance()
            if waiting_bytes >= COMMIT_BYTES:
                written += _committed(writer, journal, waiting)
                waiting, waiting_bytes = [], 0
        written += _committed(writer, journal, waiting)
    _end(root, release, split, short_side, written)


def _committed(writer: ShardWriter, journal: io.TextIOWrapper, rows: list[Row]) -> list[Row]:
    """Bytes first, then the rows that tell of them."""
    writer.flush()
    journal.write("".join("\t".join(map(str, row)) + "\n" for row in rows))
    journal.flush()
    os.fsync(journal.fileno())
    return rows


def _done(journal: Path, image_ids: list[str]) -> list[Row]:
    """The rows a killed build left, a torn last line cut off; none where they are not this split's first pictures."""
    if not journal.is_file():
        return []
    text = journal.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    try:
        parts = [line.split("\t") for line in whole.decode("ascii").splitlines()]
        rows = [
            Row(image_id, shard, int(offset), int(size), digest) for image_id, shard, offset, size, digest in parts
        ]
    except ValueError:  # no journal of ours: begun anew
        rows = []
    if [row.image_id for row in rows] != image_ids[: len(rows)] or not rows:
        journal.unlink()
        return []
    os.truncate(journal, len(whole))
    return rows


def _records(pictures: pa.Table, first: int) -> Iterator[dict[str, Any]]:
    for batch in pictures.slice(first).to_batches(max_chunksize=1000):
        yield from batch.to_pylist()


def _end(root: Path, release: Release, split: str, short_side: int, rows: list[Row]) -> None:
    """Index, then card: with it the pack is whole."""
    import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row._asdict() for row in rows], schema=ROWS), sink)
    index = sink.getvalue()
    write_bytes(root / INDEX, index)
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.image_id}\t{row.sha256}\n".encode())
    card = {
        "format": FORMAT,
        "key": key_of(release, split, short_side),
        "digest": digest.hexdigest(),
        "release": {"name": release.name, "version": release.version, "digest": release.digest},
        "split": split,
        "short_side": short_side,
        "quality": QUALITY,
        "pictures": len(rows),
        "own_bytes": sum(row.sha256 == row.image_id for row in rows),
        "bytes": sum(row.size for row in rows),
        "pictus": pictus.__version__,
        "index_sha256": hashlib.sha256(index).hexdigest(),
        "shards": {path.name: path.stat().st_size for path in sorted(root.glob(f"{PREFIX}-*.tar"))},
    }
    write_text(root / CARD, json.dumps(card, indent=1) + "\n")
    (root / BUILDING).unlink(missing_ok=True)


def _read_index(index: bytes) -> pa.Table:
    import pyarrow.parquet as pq  # noqa: PLC0415

    return pq.read_table(io.BytesIO(index)).cast(ROWS)
